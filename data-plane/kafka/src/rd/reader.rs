//! Reading partitions that are named, without a group: one thread a reader, which decodes every record.

use super::batch::{Builder, Epochs};
use super::client::{Quiet, Threads, native, translated};
use super::config::Role;
use super::errors::{from_kafka, local, these};
use super::oauth::Tokens;
use crate::error::{Class, Result};
use crate::port::{Assignment, ClientConfig, Reader, ReaderEvent};
use crate::wire::oauth::Sources;
use async_trait::async_trait;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

/// Events between the thread and the reader: the next is read while one is looked at.
const EVENTS: usize = 2;
/// A batch ends here.
const BATCH_RECORDS: usize = 2000;
const BATCH_BYTES: usize = 1 << 20;
/// How soon the thread notices that nobody listens any more.
const TURN: Duration = Duration::from_millis(50);

/// A reader of partitions.
pub(super) struct RdReader {
    events: mpsc::Receiver<ReaderEvent>,
    thread: Option<JoinHandle<()>>,
    threads: Arc<Threads>,
}

impl RdReader {
    pub(super) fn start(
        config: &ClientConfig,
        assignment: &Assignment,
        threads: &Arc<Threads>,
        sources: &Sources,
    ) -> Result<Self> {
        let mut settings = translated(config, Role::Consumer)?;
        let client = settings.settings.get("client.id").cloned().unwrap_or_default();
        let what = format!("making the reader `{client}`");
        // librdkafka wants a name even where no group is joined; nothing is ever committed.
        settings
            .settings
            .insert("group.id".to_owned(), "dray-reader".to_owned());
        settings
            .settings
            .insert("allow.auto.create.topics".to_owned(), "false".to_owned());
        let kibibytes = (assignment.prefetch / 1024).max(1024);
        settings.default_to("queued.max.messages.kbytes", &kibibytes.to_string());
        let start = match settings.settings.get("auto.offset.reset").map(String::as_str) {
            Some("latest" | "largest" | "end") => Offset::End,
            Some("error") => Offset::Invalid,
            Some(_) | None => Offset::Beginning,
        };
        let mut list = TopicPartitionList::new();
        for (place, offset) in &assignment.partitions {
            let offset = offset.map_or(start, |from| Offset::Offset(from.offset));
            list.add_partition_offset(&place.topic, place.partition, offset)
                .map_err(|error| from_kafka(what.as_str(), &error))?;
        }
        let quiet = Quiet {
            client: client.clone(),
            tokens: Tokens::read(&settings, sources)?,
        };
        let consumer: BaseConsumer<Quiet> = native(&settings)
            .create_with_context(quiet)
            .map_err(|error| from_kafka(what.as_str(), &error))?;
        consumer
            .assign(&list)
            .map_err(|error| from_kafka(what.as_str(), &error))?;
        let topics: BTreeSet<&str> = assignment.partitions.iter().map(|(place, _)| &*place.topic).collect();
        let reading = format!("reading {} as `{client}`", these(topics));
        let (sender, events) = mpsc::channel(EVENTS);
        let thread = std::thread::Builder::new().name("dray-reader".to_owned());
        let thread = thread
            .spawn(move || read(&consumer, &reading, &sender))
            .map_err(|error| local(what.as_str(), "THREAD", error.to_string(), Class::Retriable))?;
        Ok(Self {
            events,
            thread: Some(thread),
            threads: Arc::clone(threads),
        })
    }
}

#[async_trait]
impl Reader for RdReader {
    async fn next(&mut self) -> ReaderEvent {
        match self.events.recv().await {
            Some(event) => event,
            // The thread has panicked, and has said so.
            None => std::future::pending().await,
        }
    }

    fn try_next(&mut self) -> Option<ReaderEvent> {
        self.events.try_recv().ok()
    }
}

impl Drop for RdReader {
    fn drop(&mut self) {
        self.events.close();
        if let Some(thread) = self.thread.take() {
            self.threads.retire(thread);
        }
    }
}

/// Reads until nobody listens.
fn read(consumer: &BaseConsumer<Quiet>, reading: &str, sender: &mpsc::Sender<ReaderEvent>) {
    let (mut builder, epochs) = (Builder::default(), Epochs::default());
    while !sender.is_closed() {
        // Without a token nothing is read, and the source has said why.
        consumer.context().tokens.renew(consumer.client()).ok();
        let wait = if builder.records() == 0 { TURN } else { Duration::ZERO };
        let mut full = false;
        match consumer.poll(wait) {
            Some(Ok(message)) => builder.push_borrowed(&message, &epochs),
            Some(Err(error)) => {
                let error = from_kafka(reading, &error);
                if sender.blocking_send(ReaderEvent::Error(error)).is_err() {
                    return;
                }
            }
            None => full = builder.records() > 0,
        }
        full |= builder.records() >= BATCH_RECORDS || builder.bytes() >= BATCH_BYTES;
        if full
            && let Some(batch) = builder.take().current(&epochs)
            && sender.blocking_send(ReaderEvent::Records(batch)).is_err()
        {
            return;
        }
    }
}
