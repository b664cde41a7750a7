//! Who an agent is: all that its [`Hello`] says besides the session, and the chance that spreads its attempts to connect.

use dray_model::message::{Held, Hello, PROTOCOL, Plugin};
use dray_model::{AgentId, Capacity, Instance, Labels, Region, SessionId, Term, WorkerId, Zone};

/// Who an agent is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The Dray cluster that it belongs to (`group.id`).
    pub cluster: String,
    /// Its stable name.
    pub agent: AgentId,
    /// This process.
    pub instance: Instance,
    /// The process before this one, which is surely dead: we hold its lock.
    pub previous_instance: Option<Instance>,
    /// host:port, as Connect shows it.
    pub worker_id: WorkerId,
    /// Where it stands.
    pub region: Region,
    /// Where in the region.
    pub zone: Zone,
    /// What selectors look at.
    pub labels: Labels,
    /// What it can carry.
    pub capacity: Capacity,
    /// What it can load.
    pub plugins: Vec<Plugin>,
    /// Its version, for people.
    pub software_version: String,
    /// What the waits between attempts to connect are drawn from: another one for each process.
    pub seed: u64,
}

impl Identity {
    pub(crate) fn hello(&self, session: Option<SessionId>, max_term: Option<Term>, held: Vec<Held>) -> Box<Hello> {
        Box::new(Hello {
            cluster: self.cluster.clone(),
            agent: self.agent.clone(),
            instance: self.instance,
            previous_instance: self.previous_instance,
            session,
            max_term,
            software_version: self.software_version.clone(),
            protocol: (*PROTOCOL.start(), *PROTOCOL.end()),
            worker_id: self.worker_id.clone(),
            region: self.region.clone(),
            zone: self.zone.clone(),
            labels: self.labels.clone(),
            capacity: self.capacity,
            plugins: self.plugins.clone(),
            held,
        })
    }
}

/// SplitMix64: enough to spread agents, and the same again for the same seed.
#[derive(Debug)]
pub(crate) struct Jitter(pub(crate) u64);

impl Jitter {
    /// A number from 0 to `most`.
    pub(crate) fn up_to(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % most.saturating_add(1).max(1)
    }
}
