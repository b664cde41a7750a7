//! How far a partition is, in MirrorMaker's form: `{"cluster": alias, "partition": n, "topic": name}` and `{"offset": n}`, the offset of the
//! last record that was copied. Beside it stands `"topic_id"`, so that a topic that was deleted and created anew is told from the one that
//! was read; MirrorMaker leaves it alone.

use dray_connect::offset::{OffsetMap, Primitive, SharedFields, SourceOffset, SourcePartition};
use dray_connect::sink_batch::TopicPartition;
use dray_connect::{Error, Result};
use dray_kafka::port::{Start, TopicId};
use std::fmt::Write as _;
use std::sync::Arc;

const CLUSTER: &str = "cluster";
const PARTITION: &str = "partition";
const TOPIC: &str = "topic";
const OFFSET: &str = "offset";
const TOPIC_ID: &str = "topic_id";

/// The source partition of a partition. The order is that of the map that MirrorMaker makes, whose JSON is the key in the offsets topic.
pub(crate) fn partition(cluster: &str, at: &TopicPartition) -> SourcePartition {
    let map = OffsetMap::new()
        .with(CLUSTER, Primitive::String(cluster.into()))
        .with(PARTITION, Primitive::Long(at.partition.into()))
        .with(TOPIC, Primitive::String((&*at.topic).into()));
    Arc::new(map)
}

/// What all offsets in a topic have in common.
pub(crate) fn of_topic(id: TopicId) -> Arc<SharedFields> {
    let id = OffsetMap::new().with(TOPIC_ID, Primitive::String(id.to_string().into()));
    SharedFields::behind(OFFSET, id)
}

/// The source offset of a record, or of a batch by its last record; `topic` as [`of_topic`] makes it, where the topic's id is known.
pub(crate) fn offset(offset: i64, topic: Option<&Arc<SharedFields>>) -> SourceOffset {
    match topic {
        Some(fields) => SourceOffset::Shared {
            fields: Arc::clone(fields),
            value: offset,
        },
        None => SourceOffset::Long {
            field: OFFSET,
            value: offset,
        },
    }
}

/// Where reading goes on; none where nothing is stored, or a negative number, which stands for nothing.
pub(crate) fn next(stored: Option<&OffsetMap>) -> Option<Start> {
    let stored = stored?;
    let offset = stored.long(OFFSET).filter(|offset| *offset >= 0)?;
    let topic_id = match stored.get(TOPIC_ID) {
        Some(Primitive::String(id)) => id.parse().ok(),
        Some(Primitive::Null | Primitive::Boolean(_) | Primitive::Long(_) | Primitive::Double(_)) | None => None,
    };
    Some(Start {
        offset: offset.checked_add(1)?,
        topic_id,
    })
}

/// Checks what a user wants to be stored. The texts are MirrorMaker's, where it has the key.
pub(crate) fn check(partition: Option<&OffsetMap>, offset: Option<&OffsetMap>) -> Result<()> {
    let Some(offset) = offset else {
        return Ok(());
    };
    let Some(partition) = partition else {
        return Err(Error::connect("Source partitions may not be null"));
    };
    let shown = java(partition);
    let value = |key: &str| {
        let value = partition.get(key).filter(|value| **value != Primitive::Null);
        value.ok_or_else(|| {
            Error::connect(format!(
                "Source partition {shown} is missing the '{key}' key, which is required"
            ))
        })
    };
    let wrong = |key: &str, value: &Primitive, problem: &str| {
        Error::connect(format!(
            "Source partition {shown} has an invalid value {} for the '{key}' key, which {problem}",
            text(value)
        ))
    };
    for key in [CLUSTER, TOPIC] {
        let value = value(key)?;
        if !matches!(value, Primitive::String(_)) {
            return Err(wrong(key, value, "must be a string"));
        }
    }
    let number = value(PARTITION)?;
    match number {
        Primitive::Long(n) if *n > i64::from(i32::MAX) => return Err(wrong(PARTITION, number, "must be an integer")),
        Primitive::Long(n) if *n < 0 => return Err(wrong(PARTITION, number, "cannot be negative")),
        Primitive::Long(_) => {}
        Primitive::Null | Primitive::Boolean(_) | Primitive::Double(_) | Primitive::String(_) => {
            return Err(wrong(PARTITION, number, "must be an integer"));
        }
    }
    let stored = java(offset);
    match offset.get(TOPIC_ID) {
        None | Some(Primitive::Null) => {}
        Some(Primitive::String(id)) if id.parse::<TopicId>().is_ok() => {}
        Some(other) => {
            return Err(Error::connect(format!(
                "Source offset {stored} for source partition {shown} has an invalid value {} for the 'topic_id' key, which must be the id of a \
                 topic as Kafka's tools show it, or left out",
                text(other)
            )));
        }
    }
    let problem = match offset.get(OFFSET) {
        None | Some(Primitive::Null) => {
            return Err(Error::connect(format!(
                "Source offset {stored} for source partition {shown} is missing the 'offset' key, which is required"
            )));
        }
        Some(Primitive::Long(n)) if *n >= 0 => return Ok(()),
        Some(Primitive::Long(n)) => (n.to_string(), "cannot be negative"),
        Some(other @ (Primitive::Boolean(_) | Primitive::Double(_) | Primitive::String(_))) => {
            (text(other), "must be an integer")
        }
    };
    let (value, problem) = problem;
    Err(Error::connect(format!(
        "Source offset {stored} for source partition {shown} has an invalid value {value} for the 'offset' key, which {problem}"
    )))
}

fn text(value: &Primitive) -> String {
    match value {
        Primitive::Null => "null".to_owned(),
        Primitive::Boolean(value) => value.to_string(),
        Primitive::Long(value) => value.to_string(),
        Primitive::Double(value) => format!("{value:?}"),
        Primitive::String(value) => value.to_string(),
    }
}

/// A map as Java prints it.
fn java(map: &OffsetMap) -> String {
    let mut out = String::from("{");
    for (place, (key, value)) in map.iter().enumerate() {
        let comma = if place > 0 { ", " } else { "" };
        write!(out, "{comma}{key}={}", text(value)).expect("writing to a string cannot fail");
    }
    out.push('}');
    out
}
