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

    /// A leader begins, here or elsewhere, and this is all that it sees. A later one's word stands.
    pub(crate) fn replace(&self, term: Term, all: Vec<Shown>) {
        let mut seen = self.lock();
        if seen.freshness.term() > Some(term) {
            return;
        }
        seen.freshness = Freshness::Fresh(term);
        seen.connectors.clear();
        seen.agents.clear();
        for shown in &all {
            seen.take(shown);
        }
        self.tell(Told::Lead(term));
    }

    /// The leader of this term is not heard any more: what is shown stays, and grows old.
    pub(crate) fn unheard(&self, of: Term, now: Millis) {
        let mut seen = self.lock();
        if seen.freshness == Freshness::Fresh(of) {
            seen.freshness = Freshness::Stale {
                term: Some(of),
                since: now,
            };
            self.tell(Told::Stale(seen.freshness));
        }
    }

    /// The leader of this term sees something else. Nothing, unless the board is its.
    pub(crate) fn show(&self, term: Term, shown: Shown) {
        let mut seen = self.lock();
        if seen.freshness != Freshness::Fresh(term) {
            return;
        }
        seen.take(&shown);
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

impl Freshness {
    /// Whose word it is.
    #[must_use]
    pub fn term(self) -> Option<Term> {
        match self {
            Self::Fresh(term) => Some(term),
            Self::Stale { term, .. } => term,
        }
    }
}

impl Seen {
    fn take(&mut self, shown: &Shown) {
        let seen = self;
        match shown {
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{name, term};

    fn task(number: u32, state: Option<TaskState>) -> Shown {
        let status = |state| ShownStatus {
            state,
            agent: None,
            generation: None,
            trace: None,
            restarts: 0,
        };
        Shown::Task(name("c"), number, state.map(status))
    }

    #[test]
    fn the_latest_leader_has_the_word() {
        let board = Board::new(Millis(0));
        board.show(term(5), task(0, Some(TaskState::Running)));
        assert_eq!(board.read(|seen| seen.connectors.len()), 0, "nobody leads yet");
        board.replace(
            term(5),
            vec![task(0, Some(TaskState::Running)), task(1, Some(TaskState::Paused))],
        );
        let (before, mut told) = board.follow();
        board.show(term(5), task(0, None));
        board.show(term(4), task(1, None));
        board.replace(term(4), vec![]);
        board.unheard(term(4), Millis(7));
        assert_eq!(before.connectors[&name("c")].tasks.len(), 2);
        board.read(|seen| {
            assert_eq!(seen.connectors[&name("c")].tasks.keys().collect::<Vec<_>>(), [&1]);
            assert_eq!(seen.freshness, Freshness::Fresh(term(5)));
        });
        assert!(matches!(told.try_recv(), Ok(Told::Shown(_))) && told.try_recv().is_err());
        board.unheard(term(5), Millis(8));
        let stale = Freshness::Stale {
            term: Some(term(5)),
            since: Millis(8),
        };
        assert!(matches!(told.try_recv(), Ok(Told::Stale(freshness)) if freshness == stale));
        assert_eq!(
            board.read(|seen| (seen.connectors.len(), seen.freshness)),
            (1, stale),
            "it stays, and is old"
        );
        board.replace(term(6), vec![]);
        assert!(matches!(told.try_recv(), Ok(Told::Lead(of)) if of == term(6)));
        assert_eq!(board.read(|seen| seen.connectors.len()), 0);
    }

    #[test]
    fn what_is_gone_leaves_nothing() {
        let board = Board::new(Millis(0));
        board.replace(term(1), vec![task(0, Some(TaskState::Running))]);
        board.show(term(1), task(0, None));
        board.show(term(1), task(9, None));
        board.show(term(1), Shown::Connector(name("d"), None));
        assert_eq!(board.read(|seen| seen.connectors.len()), 0);
    }
}
