//! Replaying letters. A sink's letter goes back to the topic that it came from, as it was, and so through the connector as it is now; whoever
//! else reads that topic sees it again. A source's goes through the converters and transforms as they are now, to the topic that they say.
//! Letters stay in the queue until they are dropped.

use super::{MOST, StoredLetter, Wanted, failed};
use crate::attempt::LANE_QUOTA;
use crate::client_config;
use crate::config::{SinkConfig, SourceConfig, Topics};
use crate::conversion::conversion;
use crate::dead_letter::CUT;
use crate::encode::{Converters, EncodedRecord, encode_one};
use crate::owned_record::OwnedRecord;
use crate::policy::{ErrorPolicy, Failure, Tolerance};
use crate::transform::transform_source;
use crate::validate::Refused;
use crate::worker::Worker;
use dray_connect::backing::Backing;
use dray_connect::datum::Field;
use dray_connect::header::Headers;
use dray_connect::offset::{OffsetMap, SourceOffset};
use dray_connect::source_batch::{Body, SourceBatch, SourceRecord};
use dray_connect::{ConfigMap, Error, Result as Done};
use dray_converters::{Converter as _, Input, JsonConverter, to_connect_owned};
use dray_kafka::port::{Ack, ProducerLane};
use dray_transforms::Chain;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Headers that say why a letter is one: they do not go along.
const REASONS: [&str; 2] = ["__connect.errors.", "__dray.errors."];

/// Which letters to replay, and where to.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Partition of the queue.
    pub partition: i32,
    /// The first.
    pub offset: i64,
    /// How many at most; an answer has no more than [`MOST`].
    pub count: usize,
    /// A topic instead of the one that they say.
    pub to: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Letters that are stored where they belong.
    pub replayed: u64,
    /// Offsets of letters that are not, and why.
    pub refused: Vec<(i64, String)>,
    /// The offset of the queue to go on at.
    pub next: i64,
    /// The offset behind the last letter.
    pub end: i64,
}

impl Worker {
    /// Replays letters of a connector's queue, as many as one answer has room for, and waits until they are stored.
    ///
    /// # Errors
    /// When the connector has no queue, its configuration is wrong, or Kafka does not answer. Some letters may be replayed then.
    pub async fn replay_letters(&self, config: &ConfigMap, replay: &Replay) -> Result<Replayed, Refused> {
        let count = replay.count.min(MOST);
        let wanted = Wanted::From(replay.partition, replay.offset, count);
        let found = self.letters(config, wanted).await?;
        let bound = found.bounds.get(&replay.partition).cloned().unwrap_or_default();
        let asked = replay.offset.max(bound.start).saturating_add(count as i64);
        let mut done = Replayed {
            // What is missing in between was compacted away, or never a letter.
            next: bound.end.min(asked),
            end: bound.end,
            ..Replayed::default()
        };
        if let Some(last) = found.letters.last()
            && found.letters.len() < count
            && last.offset + 1 < done.next
        {
            done.next = last.offset + 1;
        }
        let mut pipeline = self.pipeline(config)?;
        let producer = client_config::producer(self.config().originals(), config);
        let mut lane = self.port().producer_lane(&producer, LANE_QUOTA, None).map_err(failed)?;
        let mut offsets = Vec::new();
        for letter in &found.letters {
            let record = match pipeline.again(letter, replay.to.as_deref()).await {
                Ok(Some(record)) => record,
                Ok(None) => continue,
                Err(why) => {
                    done.refused.push((letter.offset, why));
                    continue;
                }
            };
            match produce(lane.as_mut(), &record, offsets.len() as u64).await {
                Ok(()) => offsets.push(letter.offset),
                Err(error) => done.refused.push((letter.offset, error.to_string())),
            }
        }
        let mut acks: Vec<Ack> = Vec::new();
        while lane.in_flight() > 0 {
            lane.acks(&mut acks).await;
            for ack in acks.drain(..) {
                match ack.outcome {
                    Ok(_) => done.replayed += ack.count as u64,
                    Err(error) => {
                        let offset = usize::try_from(ack.sequence).ok().and_then(|at| offsets.get(at));
                        done.refused
                            .push((offset.copied().unwrap_or_default(), error.to_string()));
                    }
                }
            }
        }
        done.refused.sort_by_key(|(offset, _)| *offset);
        Ok(done)
    }

    fn pipeline(&self, config: &ConfigMap) -> Result<Pipeline, Refused> {
        let wrong = |error: Error| Refused::Config(error.to_string());
        if !self.is_source(config).map_err(failed)? {
            let sink = SinkConfig::parse(config).map_err(wrong)?;
            return Ok(Pipeline::Sink(sink.topics));
        }
        let source = SourceConfig::parse(config, false).map_err(wrong)?;
        let (converters, chain) = conversion(self.config(), &source.connector).map_err(wrong)?;
        let policy = ErrorPolicy {
            tolerance: Tolerance::None,
            ..source.connector.errors
        };
        Ok(Pipeline::Source(Box::new(Source {
            converters,
            chain,
            policy,
        })))
    }
}

async fn produce(lane: &mut dyn ProducerLane, record: &OwnedRecord, sequence: u64) -> dray_kafka::Result<()> {
    while record
        .lend(sequence, |record| lane.produce(&[record]))
        .map_err(|refused| refused.error)?
        == 0
    {
        lane.ready().await;
    }
    Ok(())
}

/// The way of a letter back.
enum Pipeline {
    Sink(Topics),
    Source(Box<Source>),
}

struct Source {
    converters: Converters,
    chain: Chain,
    policy: ErrorPolicy,
}

impl Pipeline {
    /// What is to be produced for a letter: nothing if the transforms leave it out now.
    ///
    /// # Errors
    /// Why it cannot be.
    async fn again(&mut self, letter: &StoredLetter, to: Option<&str>) -> Result<Option<OwnedRecord>, String> {
        if let Some(bytes) = letter.header(CUT) {
            return Err(format!("its value was cut: it had {bytes} bytes"));
        }
        let own = |(name, _): &&(String, Option<Vec<u8>>)| !REASONS.iter().any(|reason| name.starts_with(reason));
        let headers: Vec<_> = letter.headers.iter().filter(own).cloned().collect();
        let topic = to.or_else(|| letter.header("__connect.errors.topic"));
        let Some(topic) = topic else {
            return Err("it does not say which topic it is of: \
                 errors.deadletterqueue.context.headers.enable was off when it was written"
                .to_owned());
        };
        let partition = letter.header("__connect.errors.partition").filter(|_| to.is_none());
        let again = OwnedRecord {
            topic: topic.to_owned(),
            partition: partition.and_then(|number| number.parse().ok()),
            timestamp: letter.timestamp,
            key: letter.key.clone(),
            value: letter.value.clone(),
            headers,
        };
        match self {
            Self::Sink(topics) if to.is_none() && !reads(topics, topic) => {
                Err(format!("the connector does not read topic {topic} any more"))
            }
            Self::Sink(_) => Ok(Some(again)),
            Self::Source(_) if letter.header("__dray.errors.format") == Some("bytes") => Ok(Some(again)),
            Self::Source(source) => source.again(again, to).await.map_err(|error| error.to_string()),
        }
    }
}

fn reads(topics: &Topics, topic: &str) -> bool {
    match topics {
        Topics::List(list) => list.iter().any(|read| read == topic),
        Topics::Pattern(pattern) => pattern.matches(topic).unwrap_or(false),
    }
}

impl Source {
    async fn again(&mut self, letter: OwnedRecord, to: Option<&str>) -> Done<Option<OwnedRecord>> {
        let mut batch = read(letter)?;
        let stop = CancellationToken::new();
        let quiet = &mut |_: &Failure| {};
        transform_source(&mut batch, &mut self.chain, &self.policy, &mut Vec::new(), quiet, &stop).await?;
        loop {
            let failure = match encode_one(&batch, 0, &mut self.converters) {
                Ok(encoded) => return Ok(encoded.map(|encoded| produced(&batch, encoded, to))),
                Err(failure) => failure,
            };
            match self.converters.lookup(failure.stage) {
                Some(lookup) => lookup.await,
                None => return Err(failure.error),
            }
        }
    }
}

/// The only record of a batch, in bytes.
fn produced(batch: &SourceBatch, encoded: EncodedRecord, to: Option<&str>) -> OwnedRecord {
    let record = &batch.records()[0];
    OwnedRecord {
        topic: to.unwrap_or(batch.topic_name(record.topic)).to_owned(),
        partition: record.kafka_partition.filter(|_| to.is_none()),
        timestamp: record.timestamp,
        key: encoded.key,
        value: encoded.value,
        headers: encoded.headers,
    }
}

/// The record of a letter that is JSON with schemas.
fn read(letter: OwnedRecord) -> Done<SourceBatch> {
    let settings = ConfigMap::from([("schemas.enable".to_owned(), "true".to_owned())]);
    let mut json = JsonConverter::new(&settings)?;
    let mut batch = SourceBatch::new();
    let mut headers = Headers::new();
    for (name, value) in &letter.headers {
        let value = to_connect_owned(&mut json, "", value.as_deref(), &mut Backing::default())?;
        headers.add(name.as_str(), value)?;
    }
    let mut field = |bytes: &Option<Vec<u8>>, batch: &mut SourceBatch| -> Done<Field> {
        let backing = batch.backing_mut();
        let input = bytes.as_ref().map(|bytes| Input {
            bytes,
            span: backing.copy(bytes),
        });
        json.to_connect("", input, backing)
    };
    let (key, value) = (field(&letter.key, &mut batch)?, field(&letter.value, &mut batch)?);
    let topic = batch.topic(&letter.topic.as_str().into());
    let source_partition = batch.source_partition(&Arc::new(OffsetMap::new()));
    batch.push(SourceRecord {
        topic,
        kafka_partition: letter.partition,
        timestamp: letter.timestamp,
        source_partition,
        source_offset: SourceOffset::Long {
            field: "offset",
            value: 0,
        },
        body: Body::Data {
            key,
            value,
            headers: (!headers.is_empty()).then(|| Box::new(headers)),
        },
    });
    Ok(batch)
}
