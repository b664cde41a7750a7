//! The offsets that one group has committed.

use std::collections::BTreeMap;

use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;

/// A committed offset as the client gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: Option<StrBytes>,
}

/// By topic, then by partition.
pub(crate) type Offsets = BTreeMap<TopicName, BTreeMap<i32, Committed>>;
