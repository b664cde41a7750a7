//! How far a connector is, for people: read, set and forgotten from outside of its tasks (KIP-875), with Connect's checks in its order
//! and in its words.

use crate::client_config;
use crate::guard::guarded_now;
use crate::offsets::OffsetEntry;
use crate::validate::Refused;
use crate::worker::Worker;
use dray_connect::connector::{Connector, SinkOffsetChanges};
use dray_connect::offset::OffsetMap;
use dray_connect::sink_batch::TopicPartition;
use dray_connect::{ConfigMap, Error};
use dray_kafka::port::{ClientConfig, GroupOffsets};
use dray_model::{ConnectorName, Generation, TaskId};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long one request to Kafka may take; all of a call has 90 s.
const REQUEST: Duration = Duration::from_secs(30);

/// A source partition and its offset, or a topic's partition and the offset in it, as JSON; none is null.
pub type OffsetJson = (Option<String>, Option<String>);

/// A source partition and what its offset becomes; none is null.
type SourceChange = (Option<OffsetMap>, Option<OffsetMap>);

/// What is to become of offsets.
#[derive(Clone, Debug)]
pub enum OffsetChange {
    /// These are set; without an offset they are forgotten.
    Alter(Vec<OffsetJson>),
    /// All are forgotten.
    Reset,
}

impl OffsetChange {
    fn verb(&self) -> &'static str {
        match self {
            Self::Alter(_) => "alter",
            Self::Reset => "reset",
        }
    }
}

impl Worker {
    /// The committed offsets of a connector, in no particular order.
    ///
    /// # Errors
    /// When its class is not here, or Kafka does not answer.
    pub async fn read_offsets(&self, name: &ConnectorName, config: &ConfigMap) -> Result<Vec<OffsetJson>, Refused> {
        if self.is_source(config).map_err(failed)? {
            let listed = self.offsets().list(name.as_str()).await.map_err(failed)?;
            let both =
                |(partition, offset): (OffsetMap, OffsetMap)| (Some(partition.to_json()), Some(offset.to_json()));
            return Ok(listed.into_iter().map(both).collect());
        }
        let committed = self.committed(name, config).await.map_err(|error| {
            tracing::warn!(connector = %name, %error, "the offsets of a group cannot be read");
            Refused::Failed(format!(
                "Failed to retrieve consumer group offsets for sink connector {name}"
            ))
        })?;
        let both = |(at, offset): (TopicPartition, i64)| {
            let partition = json!({ "kafka_topic": &*at.topic, "kafka_partition": at.partition });
            let offset = json!({ "kafka_offset": offset });
            (Some(partition.to_string()), Some(offset.to_string()))
        };
        Ok(committed.into_iter().map(both).collect())
    }

    /// Changes the offsets of a connector that nobody runs. Returns whether the connector itself has seen to what it keeps elsewhere.
    ///
    /// # Errors
    /// When the change cannot be, the connector refuses it, or Kafka does; after the last some of it may have been made.
    pub async fn change_offsets(
        &self,
        name: &ConnectorName,
        config: &ConfigMap,
        change: &OffsetChange,
    ) -> Result<bool, Refused> {
        let connector = self.plugin(config).map_err(failed)?.make();
        match &connector {
            Connector::Source(source) => {
                let offsets = match change {
                    OffsetChange::Alter(offsets) => source_offsets(offsets)?,
                    OffsetChange::Reset => {
                        let listed = self.offsets().list(name.as_str()).await.map_err(failed)?;
                        listed
                            .into_iter()
                            .map(|(partition, _)| (Some(partition), None))
                            .collect()
                    }
                };
                let altered =
                    guarded_now("alter_offsets", || source.alter_offsets(config, &offsets)).map_err(failed)?;
                self.store(name, offsets).await?;
                Ok(altered)
            }
            Connector::Sink(sink) => {
                let changes = match change {
                    OffsetChange::Alter(offsets) => sink_offsets(offsets)?,
                    OffsetChange::Reset => {
                        let committed = self.committed(name, config).await.map_err(|error| {
                            tracing::warn!(connector = %name, %error, "the offsets of a group cannot be read");
                            let doing = "Failed to list offsets prior to resetting offsets for sink connector";
                            Refused::Failed(format!("{doing} {name}"))
                        })?;
                        committed.into_keys().map(|partition| (partition, None)).collect()
                    }
                };
                let altered = guarded_now("alter_offsets", || sink.alter_offsets(config, &changes)).map_err(failed)?;
                self.change_group(name, config, change, &changes).await?;
                Ok(altered)
            }
        }
    }

    async fn store(&self, name: &ConnectorName, offsets: Vec<SourceChange>) -> Result<(), Refused> {
        // Nobody reads at no partition.
        let known = offsets
            .into_iter()
            .filter_map(|(partition, offset)| Some((partition?, offset)));
        let entry = |(partition, offset)| OffsetEntry {
            task: TaskId::new(name.clone(), 0),
            generation: Generation::INITIAL,
            partition: Arc::new(partition),
            offset,
        };
        self.offsets()
            .commit_at_once(known.map(entry).collect())
            .await
            .map_err(failed)
    }

    async fn change_group(
        &self,
        name: &ConnectorName,
        config: &ConfigMap,
        change: &OffsetChange,
        changes: &SinkOffsetChanges,
    ) -> Result<(), Refused> {
        let (client, group) = self.group(name, config);
        let changed = match change {
            OffsetChange::Alter(_) => self.port().alter_group_offsets(&client, &group, changes, REQUEST).await,
            OffsetChange::Reset => self.port().delete_group(&client, &group, REQUEST).await,
        };
        changed.map_err(|error| {
            tracing::warn!(connector = %name, %error, "the offsets of a group cannot be changed");
            let verb = change.verb();
            let members = ["UnknownMemberId", "GroupSubscribedToTopic", "NonEmptyGroup"];
            Refused::Failed(if members.contains(&error.code.as_str()) {
                format!(
                    "Failed to {verb} consumer group offsets for connector {name} either because its tasks haven't stopped completely \
                     yet or the connector was resumed before the request to {verb} its offsets could be successfully completed. If \
                     the connector is in a stopped state, this operation can be safely retried. If it doesn't eventually succeed, the \
                     Connect cluster may need to be restarted to get rid of the zombie sink tasks."
                )
            } else if matches!(change, OffsetChange::Reset) {
                format!("Failed to reset consumer group offsets for sink connector {name}")
            } else {
                format!("Failed to alter consumer group offsets for connector {name}")
            })
        })
    }

    async fn committed(&self, name: &ConnectorName, config: &ConfigMap) -> dray_kafka::Result<GroupOffsets> {
        let (client, group) = self.group(name, config);
        self.port().group_offsets(&client, &group, REQUEST).await
    }

    /// The settings of a client for a sink's group, and the group.
    fn group(&self, name: &ConnectorName, config: &ConfigMap) -> (ClientConfig, String) {
        let client = client_config::consumer(self.config().originals(), config, name.as_str(), 0, None);
        let group = client.get("group.id").cloned().unwrap_or_default();
        (client, group)
    }
}

fn failed(error: Error) -> Refused {
    Refused::Failed(error.to_string())
}

fn bad(why: impl Into<String>) -> Refused {
    Refused::BadRequest(why.into())
}

fn value(text: Option<&String>) -> Result<Value, Refused> {
    match text {
        None => Ok(Value::Null),
        Some(text) => serde_json::from_str(text).map_err(|error| bad(format!("{text} is not JSON: {error}"))),
    }
}

/// Of a partition that is there twice the last counts.
fn source_offsets(offsets: &[OffsetJson]) -> Result<Vec<SourceChange>, Refused> {
    let map = |text: Option<&String>| {
        let json = value(text)?;
        if json.is_null() {
            return Ok(None);
        }
        OffsetMap::from_json(&json).map(Some).map_err(failed)
    };
    let mut read: Vec<SourceChange> = Vec::new();
    for (partition, offset) in offsets {
        let (partition, offset) = (map(partition.as_ref())?, map(offset.as_ref())?);
        read.retain(|(known, _)| *known != partition);
        read.push((partition, offset));
    }
    Ok(read)
}

fn sink_offsets(offsets: &[OffsetJson]) -> Result<SinkOffsetChanges, Refused> {
    let mut changes = SinkOffsetChanges::new();
    for (partition, offset) in offsets {
        let Value::Object(partition) = value(partition.as_ref())? else {
            return Err(bad(
                "The partition for a sink connector offset cannot be null or missing",
            ));
        };
        let (Some(topic), Some(number)) = (partition.get("kafka_topic"), partition.get("kafka_partition")) else {
            let problem =
                "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'";
            return Err(bad(problem));
        };
        if topic.is_null() {
            return Err(bad("Kafka topic names must be valid strings and may not be null"));
        }
        if number.is_null() {
            return Err(bad("Kafka partitions must be valid numbers and may not be null"));
        }
        let number: i32 = text_of(number).parse().map_err(|_| {
            bad(format!(
                "Failed to parse the following Kafka partition value in the provided offsets: '{}'. Partition values for sink \
                 connectors need to be integers.",
                text_of(number)
            ))
        })?;
        let partition = TopicPartition {
            topic: text_of(topic).into(),
            partition: number,
        };
        changes.insert(partition, sink_offset(&value(offset.as_ref())?)?);
    }
    Ok(changes)
}

fn sink_offset(offset: &Value) -> Result<Option<i64>, Refused> {
    if offset.is_null() {
        return Ok(None);
    }
    let Some(position) = offset.get("kafka_offset") else {
        let problem = "The offset for a sink connector should either be null or contain the key 'kafka_offset'";
        return Err(bad(problem));
    };
    let parsed = text_of(position).parse().map_err(|_| {
        bad(format!(
            "Failed to parse the following Kafka offset value in the provided offsets: '{}'. Offset values for sink connectors need \
             to be integers.",
            text_of(position)
        ))
    })?;
    Ok(Some(parsed))
}

/// As Java's `String.valueOf` prints it.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(partition: &str, offset: &str) -> OffsetJson {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        (text(partition), text(offset))
    }

    fn refused(partition: &str, offset: &str) -> String {
        sink_offsets(&[pair(partition, offset)]).unwrap_err().to_string()
    }

    /// The vectors of Connect's own tests.
    #[test]
    fn what_cannot_be_a_sinks_offset_is_refused_in_connects_words() {
        let topic = r#""kafka_topic":"t""#;
        for (partition, offset, begins) in [
            ("", "", "The partition for a sink connector offset cannot be null"),
            ("{}", "", "The partition for a sink connector offset must contain"),
            (
                r#"{"kafka_topic":null,"kafka_partition":1}"#,
                "",
                "Kafka topic names must be",
            ),
            (
                &format!(r#"{{{topic},"kafka_partition":null}}"#),
                "",
                "Kafka partitions must be",
            ),
            (
                &format!(r#"{{{topic},"kafka_partition":"not a number"}}"#),
                "",
                "Failed to parse the following Kafka partition value in the provided offsets: 'not a number'.",
            ),
            (
                &format!(r#"{{{topic},"kafka_partition":1.0}}"#),
                "",
                "Failed to parse the following Kafka partition value in the provided offsets: '1.0'.",
            ),
            (
                &format!(r#"{{{topic},"kafka_partition":1}}"#),
                "{}",
                "The offset for a sink connector should either",
            ),
            (
                &format!(r#"{{{topic},"kafka_partition":1}}"#),
                r#"{"kafka_offset":"x"}"#,
                "Failed to parse the following Kafka offset value in the provided offsets: 'x'.",
            ),
            (
                &format!(r#"{{{topic},"kafka_partition":1}}"#),
                r#"{"kafka_offset":null}"#,
                "Failed to parse the following Kafka offset value in the provided offsets: 'null'.",
            ),
        ] {
            let text = refused(partition, offset);
            assert!(text.starts_with(begins), "{partition} {offset}: {text}");
        }
    }

    #[test]
    fn texts_are_numbers_too_and_the_last_of_a_partition_counts() {
        let at = r#"{"kafka_topic":"t","kafka_partition":"10","more":1}"#;
        let changes = sink_offsets(&[pair(at, r#"{"kafka_offset":1}"#), pair(at, r#"{"kafka_offset":"7"}"#)]).unwrap();
        let partition = TopicPartition {
            topic: "t".into(),
            partition: 10,
        };
        assert_eq!(changes, [(partition, Some(7))].into());
        let source = r#"{"filename":"f"}"#;
        let offsets = source_offsets(&[pair(source, r#"{"position":1}"#), pair(source, "")]).unwrap();
        assert_eq!(offsets.len(), 1);
        assert_eq!(offsets[0].1, None);
        let nested = source_offsets(&[pair(r#"{"a":{}}"#, "")]).unwrap_err().to_string();
        assert!(nested.contains("primitive types"), "{nested}");
    }
}
