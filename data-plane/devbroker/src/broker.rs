//! What all connections share.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicI64, Ordering};

use kafka_protocol::messages::{BrokerId, ProducerId};
use kafka_protocol::protocol::StrBytes;

use crate::Config;
use crate::coordinator::Coordinator;
use crate::faults::Faults;
use crate::topics::Topics;

/// The id of the only node.
pub(crate) const NODE: BrokerId = BrokerId(1);

/// The state behind the connections.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) topics: Topics,
    pub(crate) coordinator: Coordinator,
    pub(crate) faults: Faults,
    pub(crate) cluster_id: StrBytes,
    pub(crate) default_partitions: i32,
    pub(crate) auto_create_topics: bool,
    next_producer_id: AtomicI64,
}

impl Broker {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            topics: Topics::new(config.max_bytes),
            coordinator: Coordinator::default(),
            faults: Faults::default(),
            cluster_id: StrBytes::from_string(format!("dray-dev-{:013x}", random() >> 12)),
            default_partitions: config.default_partitions,
            auto_create_topics: config.auto_create_topics,
            next_producer_id: AtomicI64::new(0),
        }
    }

    /// An id that no other producer of this broker has.
    pub(crate) fn new_producer_id(&self) -> ProducerId {
        ProducerId(self.next_producer_id.fetch_add(1, Ordering::Relaxed))
    }
}

/// A number that another call, here or in another process, will not give: the standard library's hasher keys are
/// random, which spares a dependency. Not for secrets.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
