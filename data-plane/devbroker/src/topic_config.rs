//! The configuration of a topic: the names that Kafka knows, their defaults, and what a topic sets itself.
//! Only `max.message.bytes` changes what this broker does; the others are kept and shown.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;

/// A name, its default, and its type as `DescribeConfigs` numbers it.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    pub(crate) kind: i8,
}

const BOOLEAN: i8 = 1;
const STRING: i8 = 2;
const INT: i8 = 3;
const LONG: i8 = 5;
const DOUBLE: i8 = 6;
const LIST: i8 = 7;

const fn known(name: &'static str, default: &'static str, kind: i8) -> Known {
    Known { name, default, kind }
}

/// Kafka 4's topic configurations.
pub(crate) const KNOWN: &[Known] = &[
    known("cleanup.policy", "delete", LIST),
    known("compression.gzip.level", "-1", INT),
    known("compression.lz4.level", "9", INT),
    known("compression.type", "producer", STRING),
    known("compression.zstd.level", "3", INT),
    known("delete.retention.ms", "86400000", LONG),
    known("file.delete.delay.ms", "60000", LONG),
    known("flush.messages", "9223372036854775807", LONG),
    known("flush.ms", "9223372036854775807", LONG),
    known("follower.replication.throttled.replicas", "", LIST),
    known("index.interval.bytes", "4096", INT),
    known("leader.replication.throttled.replicas", "", LIST),
    known("local.retention.bytes", "-2", LONG),
    known("local.retention.ms", "-2", LONG),
    known("max.compaction.lag.ms", "9223372036854775807", LONG),
    known("max.message.bytes", "1048588", INT),
    known("message.timestamp.after.max.ms", "3600000", LONG),
    known("message.timestamp.before.max.ms", "9223372036854775807", LONG),
    known("message.timestamp.type", "CreateTime", STRING),
    known("min.cleanable.dirty.ratio", "0.5", DOUBLE),
    known("min.compaction.lag.ms", "0", LONG),
    known("min.insync.replicas", "1", INT),
    known("preallocate", "false", BOOLEAN),
    known("remote.storage.enable", "false", BOOLEAN),
    known("retention.bytes", "-1", LONG),
    known("retention.ms", "604800000", LONG),
    known("segment.bytes", "1073741824", INT),
    known("segment.index.bytes", "10485760", INT),
    known("segment.jitter.ms", "0", LONG),
    known("segment.ms", "604800000", LONG),
    known("unclean.leader.election.enable", "false", BOOLEAN),
];

/// Kafka's default of `max.message.bytes`.
const DEFAULT_MAX_MESSAGE_BYTES: usize = 1_048_588;

/// What a topic sets itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct TopicConfig(BTreeMap<&'static str, String>);

/// A change of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Set,
    Delete,
    Append,
    Subtract,
}

impl Change {
    pub(crate) fn from_code(code: i8) -> Option<Self> {
        match code {
            0 => Some(Self::Set),
            1 => Some(Self::Delete),
            2 => Some(Self::Append),
            3 => Some(Self::Subtract),
            _ => None,
        }
    }
}

impl TopicConfig {
    /// The value set for `name`, if the topic sets one.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The greatest batch that the topic takes.
    pub(crate) fn max_message_bytes(&self) -> usize {
        self.get("max.message.bytes")
            .and_then(|value| value.parse().ok())
            .unwrap_or(DEFAULT_MAX_MESSAGE_BYTES)
    }

    /// Changes one name. Unknown names and values that do not parse are refused.
    pub(crate) fn change(&mut self, name: &str, change: Change, value: Option<&str>) -> Result<(), ResponseError> {
        let known = KNOWN
            .iter()
            .find(|known| known.name == name)
            .ok_or(ResponseError::InvalidConfig)?;
        if change == Change::Delete {
            self.0.remove(known.name);
            return Ok(());
        }
        let value = value.ok_or(ResponseError::InvalidConfig)?;
        let value = match change {
            Change::Set | Change::Delete => value.to_owned(),
            Change::Append | Change::Subtract => {
                if known.kind != LIST {
                    return Err(ResponseError::InvalidConfig);
                }
                self.changed_list(known, change, value)
            }
        };
        if !is_valid(known, &value) {
            return Err(ResponseError::InvalidConfig);
        }
        self.0.insert(known.name, value);
        Ok(())
    }

    fn changed_list(&self, known: &Known, change: Change, value: &str) -> String {
        let split = |list: &str| -> Vec<String> {
            list.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let mut items = split(self.get(known.name).unwrap_or(known.default));
        let named = split(value);
        items.retain(|item| !named.contains(item));
        if change == Change::Append {
            items.extend(named);
        }
        items.join(",")
    }
}

fn is_valid(known: &Known, value: &str) -> bool {
    match (known.name, known.kind) {
        ("cleanup.policy", _) => value
            .split(',')
            .all(|item| matches!(item.trim(), "compact" | "delete" | "")),
        ("max.message.bytes", _) => value.parse::<u32>().is_ok_and(|bytes| i32::try_from(bytes).is_ok()),
        (_, BOOLEAN) => matches!(value, "true" | "false"),
        (_, INT) => value.parse::<i32>().is_ok(),
        (_, LONG) => value.parse::<i64>().is_ok(),
        (_, DOUBLE) => value.parse::<f64>().is_ok(),
        (_, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_checked_and_lists_change_item_by_item() {
        let mut config = TopicConfig::default();
        assert_eq!(
            config.change("no.such", Change::Set, Some("1")),
            Err(ResponseError::InvalidConfig)
        );
        assert_eq!(
            config.change("retention.ms", Change::Set, Some("x")),
            Err(ResponseError::InvalidConfig)
        );
        assert_eq!(
            config.change("retention.ms", Change::Append, Some("1")),
            Err(ResponseError::InvalidConfig)
        );
        assert_eq!(config.change("cleanup.policy", Change::Append, Some("compact")), Ok(()));
        assert_eq!(config.get("cleanup.policy"), Some("delete,compact"));
        assert_eq!(
            config.change("cleanup.policy", Change::Subtract, Some("delete")),
            Ok(())
        );
        assert_eq!(config.get("cleanup.policy"), Some("compact"));
        assert_eq!(config.change("max.message.bytes", Change::Set, Some("77")), Ok(()));
        assert_eq!(config.max_message_bytes(), 77);
    }
}
