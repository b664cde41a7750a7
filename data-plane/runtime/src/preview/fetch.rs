//! Reads some records of a sink's topics, without a group.

use super::kept::{Keep, Kept};
use super::{From, Parts};
use crate::client_config;
use crate::config::Topics;
use dray_connect::sink_batch::TopicPartition;
use dray_connect::{Error, Result};
use dray_kafka::port::{Admin, Assignment, ClientConfig, FetchBatch, ReaderEvent};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long one question about a topic may take.
const QUESTION: Duration = Duration::from_secs(10);
/// All questions, before the records are waited for.
const QUESTIONS: Duration = Duration::from_secs(20);
/// Bytes that are fetched ahead.
const PREFETCH: usize = 4 << 20;
/// Offsets that are looked at for one record, the first time: some are of control records, or of records that were compacted away …
const BACK: i64 = 4;
/// … and so much further each time that there were too few.
const FURTHER: i64 = 16;
/// A partition's last offsets may be of control records, which no reader is shown: it is at its end when nothing has come for so long.
const QUIET: Duration = Duration::from_secs(2);

/// Where partitions begin and end.
type Spans = BTreeMap<TopicPartition, Range<i64>>;

/// Records, each a fetch of its own, and what there is to say about their number.
pub(super) type Found = (Vec<FetchBatch>, Option<String>);

/// Reads at most so many.
pub(super) async fn fetch(parts: &Parts, topics: &Topics, most: usize, from: &From, wait: Duration) -> Result<Found> {
    let worker = parts.worker.originals();
    let mut client = client_config::consumer(worker, &parts.config, parts.name.as_str(), 0, None);
    let asked = tokio::time::timeout(QUESTIONS, spans(parts, &client, topics)).await;
    let (spans, missing) = asked.map_err(|_| {
        Error::connect(format!(
            "Kafka did not say within {QUESTIONS:?} which records the topics have"
        ))
    })??;
    // Where an offset is gone meanwhile.
    client.insert("auto.offset.reset".to_owned(), "earliest".to_owned());
    let reading = Reading {
        parts,
        client: &client,
        deadline: Instant::now() + wait,
        wait,
    };
    let (mut records, mut note) = match from {
        From::Newest => reading.newest(&spans, most).await?,
        From::Oldest => reading.oldest(&spans, most).await?,
        From::Offsets(offsets) => reading.oldest(&chosen(&spans, offsets)?, most).await?,
    };
    if records.is_empty() {
        note = note.or_else(|| Some(empty(&spans, from)));
    }
    if let Some(missing) = missing {
        note = Some(note.map_or(missing.clone(), |note| format!("{missing}; {note}")));
    }
    records.truncate(most);
    Ok((records, note))
}

fn empty(spans: &Spans, from: &From) -> String {
    match from {
        _ if spans.is_empty() => "no topic matches".to_owned(),
        From::Newest | From::Oldest => "the topics have no records".to_owned(),
        From::Offsets(_) => "there are no records from these offsets on".to_owned(),
    }
}

/// Of all topics that there are; and which are missing.
async fn spans(parts: &Parts, client: &ClientConfig, topics: &Topics) -> Result<(Spans, Option<String>)> {
    let asks = client_config::internal(client, "dray-preview");
    let admin = parts.port.admin(&asks).map_err(kafka)?;
    let (mut known, mut missing) = (Vec::new(), Vec::new());
    match topics {
        Topics::List(names) => {
            for name in names {
                match admin.partitions(name, QUESTION).await.map_err(kafka)? {
                    Some(partitions) => known.push((name.clone(), partitions)),
                    None => missing.push(format!("topic {name} does not exist")),
                }
            }
        }
        Topics::Pattern(pattern) => {
            for (name, partitions) in admin.topics(QUESTION).await.map_err(kafka)? {
                if pattern
                    .matches(&name)
                    .map_err(|error| Error::config(error.to_string()))?
                {
                    known.push((name, partitions));
                }
            }
        }
    }
    let mut spans = Spans::new();
    for (name, partitions) in known {
        let topic: Arc<str> = name.into();
        let found = found(admin.as_ref(), &topic, partitions).await?;
        for (partition, span) in (0..).zip(found) {
            let topic = topic.clone();
            spans.insert(TopicPartition { topic, partition }, span);
        }
    }
    let missing = (!missing.is_empty()).then(|| missing.join(", "));
    if spans.is_empty()
        && let Some(missing) = missing
    {
        return Err(Error::connect(missing));
    }
    Ok((spans, missing))
}

async fn found(admin: &dyn Admin, topic: &str, partitions: usize) -> Result<Vec<Range<i64>>> {
    admin.spans(topic, partitions, QUESTION).await.map_err(kafka)
}

fn chosen(spans: &Spans, offsets: &[(TopicPartition, i64)]) -> Result<Spans> {
    let chosen = offsets.iter().map(|(partition, offset)| match spans.get(partition) {
        Some(span) => Ok((partition.clone(), (*offset).clamp(span.start, span.end)..span.end)),
        None => Err(Error::connect(format!(
            "{partition} is not a partition of the connector's topics"
        ))),
    });
    chosen.collect()
}

fn kafka(error: dray_kafka::Error) -> Error {
    Error::connect("the topics cannot be read").with_source(error)
}

struct Reading<'a> {
    parts: &'a Parts,
    client: &'a ClientConfig,
    deadline: Instant,
    wait: Duration,
}

impl Reading<'_> {
    async fn newest(&self, spans: &Spans, most: usize) -> Result<Found> {
        let mut back = BACK * i64::try_from(most).unwrap_or(i64::MAX / BACK);
        loop {
            let mut whole = true;
            let mut ends = Spans::new();
            for (partition, span) in spans {
                let start = span.start.max(span.end.saturating_sub(back));
                whole &= start == span.start;
                ends.insert(partition.clone(), start..span.end);
            }
            let mut kept = Kept::new(Keep::Newest, most);
            let stopped = self.read(&ends, &mut kept, usize::MAX).await?;
            if kept.len() >= most || whole || stopped == Stopped::Late {
                return Ok(self.told(kept, most, stopped));
            }
            back = back.saturating_mul(FURTHER);
        }
    }

    async fn oldest(&self, spans: &Spans, most: usize) -> Result<Found> {
        let mut kept = Kept::new(Keep::Oldest, most);
        let stopped = self.read(spans, &mut kept, most).await?;
        Ok(self.told(kept, most, stopped))
    }

    fn told(&self, kept: Kept, most: usize, stopped: Stopped) -> Found {
        let (records, full) = kept.into_records();
        let note = match stopped {
            _ if full => Some(format!("more records than {} would be too large", records.len())),
            Stopped::Late => Some(format!("no more records within {:?}", self.wait)),
            Stopped::Quiet if records.len() < most => Some(format!("no more records came within {QUIET:?}")),
            Stopped::Quiet | Stopped::AtTheEnd => None,
        };
        (records, note)
    }

    /// Reads these to their ends, but no more than `enough` of each.
    async fn read(&self, spans: &Spans, kept: &mut Kept, enough: usize) -> Result<Stopped> {
        let mut open: Spans = spans.clone();
        open.retain(|_, span| !span.is_empty());
        if open.is_empty() {
            return Ok(Stopped::AtTheEnd);
        }
        let partitions = open
            .iter()
            .map(|(partition, span)| (partition.clone(), Some(span.start.into())));
        let assignment = Assignment {
            partitions: partitions.collect(),
            prefetch: PREFETCH,
            whole: None,
        };
        let mut reader = self.parts.port.reader(self.client, assignment).map_err(kafka)?;
        let (mut until, mut last) = (self.deadline, None);
        while !open.is_empty() {
            let event = match timeout_at(until, reader.next()).await {
                Ok(event) => event,
                Err(_) if until < self.deadline => return Ok(Stopped::Quiet),
                Err(_) => match last {
                    Some(error) if kept.len() == 0 => return Err(kafka(error)),
                    Some(_) | None => return Ok(Stopped::Late),
                },
            };
            match event {
                ReaderEvent::Records(fetch) => {
                    for record in &fetch.records {
                        let partition = TopicPartition {
                            topic: fetch.topics[record.topic as usize].clone(),
                            partition: record.partition,
                        };
                        kept.take(&fetch, record);
                        let over = |span: &Range<i64>| record.offset + 1 >= span.end || kept.seen(&partition) >= enough;
                        if open.get(&partition).is_some_and(over) {
                            open.remove(&partition);
                        }
                    }
                    until = self.deadline.min(Instant::now() + QUIET);
                }
                ReaderEvent::Error(error) if error.is_retriable() => last = Some(error),
                ReaderEvent::Error(error) => return Err(kafka(error)),
                // Whole ones are not asked for.
                ReaderEvent::Batch(_) | ReaderEvent::Topic(..) => {}
            }
        }
        Ok(Stopped::AtTheEnd)
    }
}

/// Why no more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    AtTheEnd,
    Quiet,
    Late,
}
