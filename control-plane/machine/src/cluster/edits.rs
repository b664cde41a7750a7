//! Changes of an agent's record. They are made anew on top of whatever the record is when it is written, because other replicas write
//! it too: the operator's policy.

use dray_model::message::Hello;
use dray_model::record::{AgentRecord, Written};
use dray_model::{AgentNumber, AgentPolicy, KafkaCluster, SessionId};
use std::collections::{BTreeMap, BTreeSet};

/// A change of an agent's record.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// A session begins. These dead ones were of a process that is proved dead.
    Begin {
        session: SessionId,
        hello: Box<Hello>,
        proved: Vec<SessionId>,
    },
    /// What it said of itself when its session went on.
    Facts(Box<Hello>),
    /// The session is over as far as we are concerned, and may still act.
    Declare(SessionId),
    /// It has a writer there.
    Opened(SessionId, KafkaCluster),
    /// It can have none there.
    Unfenceable(SessionId, KafkaCluster),
    /// Its writer was fenced there.
    Fenced(SessionId, KafkaCluster),
    /// Nobody has to know any more that it is dead.
    Forget(SessionId),
}

impl Edit {
    pub(super) fn apply(&self, record: &mut AgentRecord) {
        match self {
            Self::Begin { session, hello, proved } => {
                // Nothing of these can act, but members of its sinks may still sit in their groups: whoever starts next has them leave.
                let before = record
                    .session
                    .filter(|before| before != session && !record.clusters.is_empty());
                record
                    .dead_sessions
                    .extend(before.map(|before| (before, BTreeSet::new())));
                record.session = Some(*session);
                record.instance = hello.instance;
                record.clusters.clear();
                record.unfenceable = false;
                for dead in proved {
                    if let Some(clusters) = record.dead_sessions.get_mut(dead) {
                        clusters.clear();
                    }
                }
                describe(record, hello);
            }
            Self::Facts(hello) => describe(record, hello),
            Self::Declare(session) => {
                if record.session == Some(*session) {
                    record.session = None;
                    let clusters = std::mem::take(&mut record.clusters);
                    record.dead_sessions.insert(*session, clusters);
                }
            }
            Self::Opened(session, cluster) => {
                if record.session == Some(*session) {
                    record.clusters.insert(cluster.clone());
                }
            }
            Self::Unfenceable(session, _) => {
                if record.session == Some(*session) {
                    record.unfenceable = true;
                }
            }
            Self::Fenced(session, cluster) => {
                if let Some(clusters) = record.dead_sessions.get_mut(session) {
                    clusters.remove(cluster);
                }
            }
            Self::Forget(session) => {
                record.dead_sessions.remove(session);
            }
        }
    }
}

/// Writes down what an agent says of itself.
fn describe(record: &mut AgentRecord, hello: &Hello) {
    record.worker_id = hello.worker_id.clone();
    record.region = hello.region.clone();
    record.zone = hello.zone.clone();
    record.labels.clone_from(&hello.labels);
    record.capacity = hello.capacity;
    record.software_version.clone_from(&hello.software_version);
}

/// The record of an agent that is new, in its first session.
pub(super) fn first_record(number: AgentNumber, session: SessionId, hello: &Hello, written: Written) -> AgentRecord {
    AgentRecord {
        number,
        session: Some(session),
        instance: hello.instance,
        clusters: BTreeSet::new(),
        unfenceable: false,
        dead_sessions: BTreeMap::new(),
        policy: AgentPolicy::default(),
        worker_id: hello.worker_id.clone(),
        region: hello.region.clone(),
        zone: hello.zone.clone(),
        labels: hello.labels.clone(),
        capacity: hello.capacity,
        software_version: hello.software_version.clone(),
        written,
    }
}
