//! What is seen of connectors, tasks and agents: the latest word on each. The leader's machine writes it; other replicas follow its.

use dray_machine::cluster::{Shown, ShownAgent, ShownStatus};
use dray_model::{AgentId, ConnectorName, ConnectorState, Millis, TaskState, Term};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// Changes that a follower may be behind; one that is further behind is sent everything again.
const BEHIND: usize = 16_384;

/// What is seen of a connector and its tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectorSeen {
    /// The connector; none before its instance was placed for the first time.
    pub connector: Option<ShownStatus<ConnectorState>>,
    /// Its tasks, by number.
    pub tasks: BTreeMap<u32, ShownStatus<TaskState>>,
}

/// How fresh the board is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The leader of this term writes it, here or through a feed.
    Fresh(Term),
    /// Nobody has written it since this moment.
    Stale {
        /// The latest term of what it shows.
        term: Option<Term>,
        /// Since when.
        since: Millis,
    },
}

/// One change of the board.
#[derive(Clone, Debug)]
pub enum Told {
    /// A leader begins, here or elsewhere: everything is shown anew.
    Lead(Term),
    /// Nobody writes it any more: what it shows stays, and grows old.
    Stale(Freshness),
    /// Something else is seen.
    Shown(Arc<Shown>),
}

/// All that is seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How fresh it is.
    pub freshness: Freshness,
    /// Connectors, by name.
    pub connectors: BTreeMap<ConnectorName, ConnectorSeen>,
    /// Agents, by id.
    pub agents: BTreeMap<AgentId, ShownAgent>,
}

/// The board of a replica.
pub struct Board {
    seen: Mutex<Seen>,
    changes: broadcast::Sender<Told>,
}

impl Board {
    pub(crate) fn new(now: Millis) -> Self {
        Self {
            seen: Mutex::new(Seen {
                freshness: Freshness::Stale { term: None, since: now },
                connectors: BTreeMap::new(),
                agents: BTreeMap::new(),
            }),
            changes: broadcast::Sender::new(BEHIND),
        }
    }

    /// A leader begins, here or elsewhere: it shows everything anew.
    pub(crate) fn lead(&self, term: Term) {
        let mut seen = self.lock();
        seen.freshness = Freshness::Fresh(term);
        seen.connectors.clear();
        seen.agents.clear();
        self.tell(Told::Lead(term));
    }

    /// What is shown stays, and grows old.
    pub(crate) fn nobody_leads(&self, now: Millis) {
        let mut seen = self.lock();
        if let Freshness::Fresh(term) = seen.freshness {
            seen.freshness = Freshness::Stale {
                term: Some(term),
                since: now,
            };
            self.tell(Told::Stale(seen.freshness));
        }
    }

    pub(crate) fn show(&self, shown: Shown) {
        let mut seen = self.lock();
        match &shown {
            Shown::Connector(name, status) => {
                let connector = seen.connectors.entry(name.clone()).or_default();
                connector.connector.clone_from(status);
                if status.is_none() && connector.tasks.is_empty() {
                    seen.connectors.remove(name);
                }
            }
            Shown::Task(name, number, Some(status)) => {
                let connector = seen.connectors.entry(name.clone()).or_default();
                connector.tasks.insert(*number, status.clone());
            }
            Shown::Task(name, number, None) => {
                if let Some(connector) = seen.connectors.get_mut(name) {
                    connector.tasks.remove(number);
                    if connector.tasks.is_empty() && connector.connector.is_none() {
                        seen.connectors.remove(name);
                    }
                }
            }
            Shown::Agent(id, Some(agent)) => {
                seen.agents.insert(id.clone(), ShownAgent::clone(agent));
            }
            Shown::Agent(id, None) => {
                seen.agents.remove(id);
            }
        }
        self.tell(Told::Shown(Arc::new(shown)));
    }

    /// Under the lock, so that who copies the board and then follows misses nothing.
    fn tell(&self, told: Told) {
        // Nobody may be listening.
        drop(self.changes.send(told));
    }

    /// Looks at the board.
    pub fn read<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.lock())
    }

    /// A copy, and every change after it.
    #[must_use]
    pub fn follow(&self) -> (Seen, broadcast::Receiver<Told>) {
        let seen = self.lock();
        (seen.clone(), self.changes.subscribe())
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // Nothing that is done under it panics half-way.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
