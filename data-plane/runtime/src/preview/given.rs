//! Records that somebody has written down.

use super::stages::{Outcome, Part, Seen, observed};
use dray_connect::backing::{Backing, TopicId};
use dray_connect::datum::Field;
use dray_connect::header::Headers;
use dray_connect::value::SchemaAndValue;
use dray_transforms::{Chain, Input, Origin};
use std::sync::Arc;

/// A record that is given instead of read.
#[derive(Clone, Debug)]
pub struct Given {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: Option<i32>,
    /// The offset, where it is a record of a topic.
    pub offset: Option<i64>,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// The key.
    pub key: SchemaAndValue,
    /// The value.
    pub value: SchemaAndValue,
    /// The headers.
    pub headers: Headers,
}

/// What lies in a batch of it.
pub(super) struct Placed {
    pub(super) topic: TopicId,
    pub(super) key: Field,
    pub(super) value: Field,
}

impl Given {
    pub(super) fn seen(&self) -> Seen {
        Seen {
            stage: "input".to_owned(),
            class: None,
            outcome: Outcome::Input,
            topic: self.topic.clone(),
            partition: self.partition,
            offset: self.offset,
            timestamp: self.timestamp,
            source: None,
            key: Part::Data(self.key.clone()),
            value: Part::Data(self.value.clone()),
            headers: Part::of_headers(Some(&self.headers)),
            error: None,
        }
    }

    pub(super) fn headers(&self) -> Option<Box<Headers>> {
        (!self.headers.is_empty()).then(|| Box::new(self.headers.clone()))
    }

    pub(super) fn place(&self, backing: &mut Backing) -> Placed {
        let mut field = |part: &SchemaAndValue| Field {
            schema: part.schema.as_ref().map(|schema| backing.schema(schema)),
            datum: backing.value(&part.value),
        };
        let (key, value) = (field(&self.key), field(&self.value));
        Placed {
            topic: backing.topic(&self.topic),
            key,
            value,
        }
    }
}

/// Runs transforms alone on a record: of a sink where it has an offset, of a source otherwise.
pub fn transformed(chain: &mut Chain, given: &Given) -> Vec<Seen> {
    let mut backing = Backing::default();
    let placed = given.place(&mut backing);
    let input = Input {
        topic: placed.topic,
        kafka_partition: given.partition,
        timestamp: given.timestamp,
        key: placed.key,
        value: placed.value,
        headers: (!given.headers.is_empty()).then_some(&given.headers),
        origin: given.offset.map_or(Origin::Source, |offset| Origin::Sink { offset }),
    };
    let mut seen = vec![given.seen()];
    // What came of it is among the stages either way.
    drop(observed(chain, input, &mut backing, &mut seen));
    seen
}
