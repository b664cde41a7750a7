//! A source's way: what it polls, transforms, and the bytes that would go to Kafka.

use super::given::Given;
use super::patience::Patience;
use super::stages::{Failed, Seen, observed};
use super::{Parts, Preview};
use crate::attempt::lent;
use crate::config::{ConnectorConfig, PluginConfig, SourceConfig};
use crate::conversion::{converters, plugins};
use crate::encode::{Converters, encode_one};
use crate::guard::{guarded, guarded_now, guarded_within, trace};
use crate::instance::completed;
use crate::offsets::ConnectorOffsets;
use crate::policy::{Failure, Stage};
use crate::transform::source_record;
use dray_connect::connector::{SourceConnector, SourceTask};
use dray_connect::context::{ConnectorContext, ConnectorRequest, Loan, OffsetReader, SourceTaskContext};
use dray_connect::offset::{OffsetMap, SharedFields, SourceOffset};
use dray_connect::source_batch::{Body, SourceBatch, SourceRecord};
use dray_connect::{ConfigMap, Result};
use dray_converters::{WITH_REGISTRY, class_name};
use dray_transforms::Chain;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long the connector's start may take, and then its task's.
const START: Duration = Duration::from_secs(7);
/// How long each of them may take to stop.
const STOP: Duration = Duration::from_secs(4);
/// The wait after a poll that failed and may be tried again.
const AGAIN: Duration = Duration::from_millis(300);
/// Whether a converter registers its schemas.
const REGISTERS: &str = "auto.register.schemas";

/// Real records.
pub(super) async fn real(
    parts: &Parts,
    make: fn() -> Box<dyn SourceConnector>,
    most: usize,
    wait: Duration,
) -> Result<Preview> {
    let config = SourceConfig::parse(&parts.config, parts.worker.topic_creation)?;
    let way = Way::new(parts, &config.connector)?;
    let reader = ConnectorOffsets::new(parts.offsets.clone(), parts.name.as_str());
    let lends = Lends {
        offsets: Arc::new(reader),
        loan: lent(&parts.port, &parts.worker, &parts.config),
    };
    let mut connector = guarded_now("the constructor", || Ok(make()))?;
    // As many as a connector's own instance has.
    let (requests, mut asked) = mpsc::channel(4);
    let context = ConnectorContext::new(requests, Some(lends.offsets.clone())).lending(Some(lends.loan.clone()));
    let seen = async {
        guarded_within("start", START, connector.start(context, &parts.config)).await?;
        let max = config.connector.tasks_max;
        let configs = guarded_now("taskConfigs", || connector.task_configs(max))?;
        let configs = completed(&parts.name, parts.plugin, &config.connector, configs)?;
        match configs.first() {
            Some(first) => task(make, lends, first, way, most, wait).await,
            None => Ok(Preview {
                records: Vec::new(),
                note: Some("the connector has no tasks: there is nothing to read".to_owned()),
            }),
        }
    };
    let seen = seen.await;
    stopped("the connector", guarded_within("stop", STOP, connector.stop()).await);
    while let Ok(request) = asked.try_recv() {
        if let ConnectorRequest::Fail(error) = request {
            return Err(error);
        }
    }
    seen
}

/// Records as if they had been polled.
pub(super) async fn given(parts: &Parts, given: Vec<Given>) -> Result<Preview> {
    let config = SourceConfig::parse(&parts.config, parts.worker.topic_creation)?;
    let mut way = Way::new(parts, &config.connector)?;
    let mut records = Vec::new();
    for given in given {
        let mut batch = SourceBatch::new();
        let source_partition = batch.source_partition(&Arc::default());
        let placed = given.place(batch.backing_mut());
        batch.push(SourceRecord {
            topic: placed.topic,
            kafka_partition: given.partition,
            timestamp: given.timestamp,
            source_partition,
            source_offset: SourceOffset::Shared {
                fields: SharedFields::whole(OffsetMap::new()),
                value: 0,
            },
            body: Body::Data {
                key: placed.key,
                value: placed.value,
                headers: given.headers(),
            },
        });
        records.push(way.goes(&mut batch, 0, given.seen()).await);
    }
    Ok(Preview { records, note: None })
}

/// What the connector and its task are lent.
struct Lends {
    offsets: Arc<dyn OffsetReader>,
    loan: Loan,
}

/// The first task, from its start to its end.
async fn task(
    make: fn() -> Box<dyn SourceConnector>,
    lends: Lends,
    config: &ConfigMap,
    way: Way,
    most: usize,
    wait: Duration,
) -> Result<Preview> {
    let mut task = guarded_now("task", || Ok(make().task()))?;
    let context = SourceTaskContext::new(lends.offsets).lending(Some(lends.loan));
    let seen = match guarded_within("start", START, task.start(context, config)).await {
        Ok(()) => polled(task.as_mut(), way, most, wait).await,
        Err(error) => Err(error),
    };
    stopped("the task", guarded_within("stop", STOP, task.stop()).await);
    seen
}

fn stopped(what: &str, result: Result<()>) {
    if let Err(error) = result {
        tracing::warn!(error = %trace(&error), "stop() of {what} failed after a preview");
    }
}

/// Polls until there are enough, or it is late.
async fn polled(task: &mut dyn SourceTask, mut way: Way, most: usize, wait: Duration) -> Result<Preview> {
    let (mut preview, mut batch) = (Preview::default(), SourceBatch::new());
    let deadline = Instant::now() + wait;
    let mut failed = None;
    while preview.records.len() < most {
        let polled = timeout_at(deadline, guarded("poll", task.poll(&mut batch))).await;
        // What it has handed over counts, also when it is late.
        for place in 0..batch.len().min(most - preview.records.len()) {
            let polled = Seen::polled(&batch, place);
            preview.records.push(way.goes(&mut batch, place, polled).await);
        }
        batch.clear();
        match polled {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.is_retriable() => {
                failed = Some(error);
                sleep_until(deadline.min(Instant::now() + AGAIN)).await;
            }
            Ok(Err(error)) if preview.records.is_empty() => return Err(error),
            Ok(Err(error)) => {
                preview.note = Some(format!("no more records: poll failed: {}", trace(&error)));
                return Ok(preview);
            }
            Err(_) => {}
        }
        if Instant::now() >= deadline && preview.records.len() < most {
            return match failed {
                Some(error) if preview.records.is_empty() => Err(error),
                Some(_) | None => {
                    preview.note = Some(format!("no more records within {wait:?}"));
                    Ok(preview)
                }
            };
        }
        // One that always has something never waits.
        tokio::task::yield_now().await;
    }
    Ok(preview)
}

/// What each record goes through.
struct Way {
    converters: Converters,
    chain: Chain,
    /// Whether the connector itself would register schemas of keys, and of values.
    registers: [bool; 2],
    patience: Patience,
}

impl Way {
    fn new(parts: &Parts, connector: &ConnectorConfig) -> Result<Self> {
        let [key, value, header] = plugins(&parts.worker, connector);
        let ((key, key_registers), (value, value_registers)) = (registering_nothing(key), registering_nothing(value));
        Ok(Self {
            converters: converters([&key, &value, header])?,
            chain: Chain::read(connector.originals())?,
            registers: [key_registers, value_registers],
            patience: Patience::default(),
        })
    }

    /// The stages of a record of a batch, behind the first one.
    async fn goes(&mut self, batch: &mut SourceBatch, place: usize, first: Seen) -> Vec<Seen> {
        let mut seen = vec![first];
        let chain = &mut self.chain;
        let ran = source_record(batch, place, |input, backing| {
            observed(chain, input, backing, &mut seen)
        });
        while ran.is_ok() {
            match encode_one(batch, place, &mut self.converters) {
                Ok(Some(bytes)) => {
                    let encoded = seen[seen.len() - 1].encoded(bytes);
                    seen.push(encoded);
                    break;
                }
                Ok(None) => break,
                Err(failure) => {
                    if let Some(lookup) = self.converters.lookup(failure.stage)
                        && self.patience.waits_for(lookup).await
                    {
                        continue;
                    }
                    let error = self.told(&failure);
                    let failed = seen[seen.len() - 1].failed("encoded", &failure.class, error);
                    seen.push(failed);
                    break;
                }
            }
        }
        seen
    }

    /// Why it is not encoded.
    fn told(&self, failure: &Failure) -> Failed {
        let mut failed = Failed::of(failure.stage, &failure.error);
        let [key, value] = self.registers;
        let registers =
            (key && failure.stage == Stage::KeyConverter) || (value && failure.stage == Stage::ValueConverter);
        if registers && failed.message.contains(REGISTERS) {
            failed
                .message
                .push_str("\nA preview registers no schema: the connector itself would register this one.");
        }
        failed
    }
}

/// A converter that finds schemas and registers none; and whether it would have.
fn registering_nothing(converter: &PluginConfig) -> (PluginConfig, bool) {
    let mut converter = converter.clone();
    let has_registry = class_name(&converter.class).is_some_and(|class| WITH_REGISTRY.contains(&class));
    let set = converter.settings.get(REGISTERS);
    let registers = has_registry && set.is_none_or(|set| set.trim().eq_ignore_ascii_case("true"));
    if registers {
        converter.settings.insert(REGISTERS.to_owned(), "false".to_owned());
        // They count only for those that register nothing.
        for other in ["use.latest.version", "use.schema.id"] {
            converter.settings.remove(other);
        }
    }
    (converter, registers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_converter_with_a_registry_finds_its_own_schema_and_registers_none() {
        let converter = |class: &str, pairs: &[(&str, &str)]| PluginConfig {
            class: class.to_owned(),
            settings: pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let url = ("schema.registry.url", "http://127.0.0.1:1");
        let avro = WITH_REGISTRY[0];
        for (given, expected, registers) in [
            (
                converter(avro, &[url, ("use.latest.version", "true")]),
                converter(avro, &[url, (REGISTERS, "false")]),
                true,
            ),
            (
                converter(avro, &[(REGISTERS, " True ")]),
                converter(avro, &[(REGISTERS, "false")]),
                true,
            ),
            (
                converter(avro, &[(REGISTERS, "false"), ("use.latest.version", "true")]),
                converter(avro, &[(REGISTERS, "false"), ("use.latest.version", "true")]),
                false,
            ),
            (
                converter("StringConverter", &[url]),
                converter("StringConverter", &[url]),
                false,
            ),
        ] {
            assert_eq!(registering_nothing(&given), (expected, registers));
        }
    }
}
