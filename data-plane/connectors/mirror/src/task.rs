//! The task: reads its partitions and hands on what it reads, whole batches where the pipeline changes nothing.

use crate::clients;
use crate::config::{Plan, assigned};
use crate::connector::failed;
use crate::offsets;
use dray_connect::config::ConfigMap;
use dray_connect::connector::SourceTask;
use dray_connect::context::SourceTaskContext;
use dray_connect::datum::{Datum, Field};
use dray_connect::header::Headers;
use dray_connect::offset::{SharedFields, SourcePartition};
use dray_connect::schema::{Schema, SchemaRef};
use dray_connect::sink_batch::TopicPartition;
use dray_connect::source_batch::{Body, ShortCuts, SourceBatch, SourceRecord};
use dray_connect::{Error, Result, async_trait};
use dray_kafka::port::{
    Assignment, Clients, FetchBatch, FetchedRecord, FetchedWhole, Reader, ReaderEvent, Slice, TopicId,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Bytes that are held ahead: with the lane's quota what a task may need of memory.
const PREFETCH: usize = 16 << 20;
/// A poll ends with so many records, or so many bytes of whole batches: a quarter of what a lane takes, so that it never runs dry while
/// the next is read.
const MOST_RECORDS: usize = 10_000;
const MOST_BYTES: usize = 4 << 20;

/// Reads partitions of the source.
#[derive(Default)]
pub struct MirrorSourceTask {
    running: Option<Running>,
}

struct Running {
    reader: Box<dyn Reader>,
    streams: Streams,
    short_cuts: ShortCuts,
    cluster: String,
    poll: Duration,
    /// Told by the next poll: what came before it is on its way.
    failed: Option<Error>,
    /// Of keys and values where they go through converters.
    schemas: [SchemaRef; 2],
}

/// Where a partition goes.
struct Stream {
    remote: Arc<str>,
    source: SourcePartition,
    /// The topic that is read, where that is known, or was when its last offset was stored.
    topic_id: Option<TopicId>,
    /// What the offsets of this topic have in common, once it is known.
    offsets: Option<Arc<SharedFields>>,
}

#[derive(Default)]
struct Streams(HashMap<TopicPartition, Stream>);

impl Streams {
    fn of(&self, topic: &Arc<str>, partition: i32) -> Result<&Stream> {
        let at = TopicPartition {
            topic: Arc::clone(topic),
            partition,
        };
        self.0
            .get(&at)
            .ok_or_else(|| Error::connect(format!("{at} was read, and is not this task's")))
    }
}

impl MirrorSourceTask {
    /// Not yet started.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl SourceTask for MirrorSourceTask {
    async fn start(&mut self, context: SourceTaskContext, config: &ConfigMap) -> Result<()> {
        let plan = Plan::new(config)?;
        let client = clients::consumer(config, &plan)?;
        let clients: &Clients = context
            .lent()
            .ok_or_else(|| Error::connect("this worker lends no Kafka clients"))?;
        let cluster = plan.policy.source.clone();
        let partitions = assigned(config)?;
        let sources: Vec<SourcePartition> = partitions.iter().map(|at| offsets::partition(&cluster, at)).collect();
        let stored = context.offset_reader().offsets(&sources).await?;
        let mut streams = Streams::default();
        let mut wanted = Vec::with_capacity(partitions.len());
        for ((at, source), stored) in partitions.into_iter().zip(sources).zip(stored) {
            let remote = plan.policy.remote(&at.topic).into();
            let start = offsets::next(stored.as_ref());
            wanted.push((at.clone(), start));
            let stream = Stream {
                remote,
                source,
                topic_id: start.and_then(|start| start.topic_id),
                offsets: None,
            };
            streams.0.insert(at, stream);
        }
        let short_cuts = context.short_cuts();
        let assignment = Assignment {
            partitions: wanted,
            prefetch: PREFETCH,
            whole: short_cuts.batches.filter(|_| plan.pass_through),
        };
        let whole = assignment.whole.is_some();
        tracing::info!(partitions = streams.0.len(), whole, "reading cluster {cluster}");
        let reader = clients.port.reader(&client, assignment);
        self.running = Some(Running {
            reader: reader.map_err(|error| failed(format!("A client of cluster {cluster} cannot be made"), error))?,
            streams,
            short_cuts,
            cluster,
            poll: plan.poll,
            failed: None,
            schemas: [Schema::optional_bytes(), Schema::bytes()],
        });
        Ok(())
    }

    /// What the reader gives is pushed before anything else is waited for: cancel-safe.
    async fn poll(&mut self, batch: &mut SourceBatch) -> Result<()> {
        let Some(running) = &mut self.running else {
            return Err(Error::connect("the task was not started"));
        };
        if let Some(error) = running.failed.take() {
            return Err(error);
        }
        let deadline = Instant::now() + running.poll;
        let Ok(first) = timeout_at(deadline, running.reader.next()).await else {
            return Ok(());
        };
        let mut next = Some(first);
        let mut bytes = 0;
        while let Some(event) = next {
            match running.take(batch, event) {
                Ok(passed) => bytes += passed,
                Err(error) if batch.is_empty() => return Err(error),
                Err(error) => {
                    running.failed = Some(error);
                    break;
                }
            }
            if batch.len() >= MOST_RECORDS || bytes >= MOST_BYTES {
                break;
            }
            next = running.reader.try_next();
        }
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        self.running = None;
        Ok(())
    }
}

impl Running {
    /// Pushes what was read. Returns the bytes of whole batches.
    fn take(&mut self, batch: &mut SourceBatch, event: ReaderEvent) -> Result<usize> {
        match event {
            ReaderEvent::Records(records) => self.records(batch, &records).map(|()| 0),
            ReaderEvent::Batch(whole) => self.whole(batch, whole),
            ReaderEvent::Topic(at, id) => {
                self.topic(&at, id);
                Ok(0)
            }
            ReaderEvent::Error(error) if error.is_retriable() => {
                tracing::warn!(cluster = self.cluster, %error, "reading goes on");
                Ok(0)
            }
            ReaderEvent::Error(error) => Err(failed(format!("Cluster {} cannot be read", self.cluster), error)),
        }
    }

    /// What comes next of this partition is of this topic.
    fn topic(&mut self, at: &TopicPartition, id: TopicId) {
        let Some(stream) = self.streams.0.get_mut(at) else {
            return;
        };
        if let Some(before) = stream.topic_id.replace(id).filter(|before| *before != id) {
            tracing::warn!(cluster = self.cluster, partition = %at, topic.id = %id, topic.id.before = %before,
                "the topic was deleted and created anew: it is copied from its beginning");
        }
        stream.offsets = Some(offsets::of_topic(id));
    }

    fn whole(&mut self, batch: &mut SourceBatch, whole: FetchedWhole) -> Result<usize> {
        let stream = self.streams.of(&whole.topic, whole.partition)?;
        let topic = batch.topic(&stream.remote);
        let source = batch.source_partition(&stream.source);
        let bytes = whole.batch.bytes.len();
        batch.pass(
            (topic, whole.partition),
            source,
            offsets::offset(whole.last_offset, stream.offsets.as_ref()),
            whole.batch,
        );
        Ok(bytes)
    }

    fn records(&mut self, batch: &mut SourceBatch, fetched: &FetchBatch) -> Result<()> {
        let block = batch.backing_mut().adopt(fetched.data.clone());
        let span = |slice: &Slice| block.slice(slice.start as usize, slice.end as usize);
        batch.reserve(fetched.records.len());
        let same = |a: &FetchedRecord, b: &FetchedRecord| (a.topic, a.partition) == (b.topic, b.partition);
        for run in fetched.records.chunk_by(same) {
            let at = &run[0];
            let stream = self.streams.of(&fetched.topics[at.topic as usize], at.partition)?;
            let topic = batch.topic(&stream.remote);
            let source_partition = batch.source_partition(&stream.source);
            let [key_schema, value_schema] = [0, 1].map(|place| batch.schema(&self.schemas[place]));
            for record in run {
                let headers = &fetched.headers[record.headers.start as usize..record.headers.end as usize];
                let body = if self.short_cuts.encoded {
                    Body::Encoded {
                        key: record.key.as_ref().map(span),
                        value: record.value.as_ref().map(span),
                        headers: headers
                            .iter()
                            .map(|(name, value)| (span(name), value.as_ref().map(span)))
                            .collect(),
                    }
                } else {
                    let field = |bytes: &Option<Slice>, schema| Field {
                        schema: Some(schema),
                        datum: bytes.as_ref().map_or(Datum::Null, |bytes| Datum::Bytes(span(bytes))),
                    };
                    Body::Data {
                        key: field(&record.key, key_schema),
                        value: field(&record.value, value_schema),
                        headers: (!headers.is_empty()).then(|| Box::new(values(fetched, headers))),
                    }
                };
                batch.push(SourceRecord {
                    topic,
                    kafka_partition: Some(record.partition),
                    timestamp: record.timestamp,
                    source_partition,
                    source_offset: offsets::offset(record.offset, stream.offsets.as_ref()),
                    body,
                });
            }
        }
        Ok(())
    }
}

/// Headers as values of bytes.
fn values(fetched: &FetchBatch, headers: &[(Slice, Option<Slice>)]) -> Headers {
    let mut values = Headers::new();
    for (name, value) in headers {
        let name = String::from_utf8_lossy(fetched.bytes(name));
        values.add_bytes(&*name, value.as_ref().map(|value| fetched.bytes(value)));
    }
    values
}
