//! An agent as the leader remembers it.

use super::cluster::{read_written, written};
use super::{Form, v1};
use crate::Invalid;
use crate::read::{self, choice, name, names, number, optional, required, same_words};
use dray_model::record::AgentRecord;
use dray_model::{AgentPolicy, Capacity, KafkaCluster};
use std::collections::{BTreeMap, BTreeSet};

same_words!(v1::AgentPolicy, AgentPolicy: Active Cordoned Draining Restarting Removed);

impl Form for AgentRecord {
    const WHAT: &'static str = "agent";
    type Wire = v1::Agent;

    fn read(wire: v1::Agent) -> Result<Self, Invalid> {
        let mut dead_sessions = BTreeMap::new();
        for (at, dead) in wire.dead_sessions.into_iter().enumerate() {
            let field = |field| format!("dead_sessions[{at}].{field}");
            let session = number(&field("session"), dead.session)?;
            dead_sessions.insert(session, names(&field("clusters"), dead.clusters)?);
        }
        Ok(Self {
            number: read::agent_number("number", wire.number)?,
            session: optional(wire.session),
            instance: read::instance("instance", &wire.instance)?,
            clusters: names("clusters", wire.clusters)?,
            unfenceable: wire.unfenceable,
            dead_sessions,
            policy: choice::<v1::AgentPolicy, _>("policy", wire.policy)?,
            worker_id: wire.worker_id.into(),
            region: name("region", wire.region)?,
            zone: name("zone", wire.zone)?,
            labels: wire.labels,
            capacity: required("capacity", wire.capacity)?,
            software_version: wire.software_version,
            written: read_written("written", wire.written)?,
        })
    }

    fn wire(&self) -> Result<v1::Agent, Invalid> {
        let dead = self.dead_sessions.iter().map(|(session, clusters)| v1::DeadSession {
            session: session.get(),
            clusters: texts(clusters),
        });
        Ok(v1::Agent {
            number: self.number.get(),
            session: self.session.map_or(0, |session| session.get()),
            instance: read::instance_bytes(self.instance),
            clusters: texts(&self.clusters),
            unfenceable: self.unfenceable,
            dead_sessions: dead.collect(),
            policy: v1::AgentPolicy::from(self.policy).into(),
            worker_id: self.worker_id.as_str().into(),
            region: self.region.as_str().into(),
            zone: self.zone.as_str().into(),
            labels: self.labels.clone(),
            capacity: Some(v1::Capacity {
                slots: self.capacity.slots.get(),
                cost: self.capacity.cost.get(),
            }),
            software_version: self.software_version.clone(),
            written: Some(written(self.written)),
        })
    }
}

fn texts(clusters: &BTreeSet<KafkaCluster>) -> Vec<String> {
    clusters.iter().map(|cluster| cluster.as_str().into()).collect()
}

impl TryFrom<v1::Capacity> for Capacity {
    type Error = Invalid;

    fn try_from(capacity: v1::Capacity) -> Result<Self, Invalid> {
        read::capacity(capacity.slots, capacity.cost)
    }
}
