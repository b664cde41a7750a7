//! A stream of statuses: a snapshot in pieces, then what changes. A reader that is slow gets the latest of each, and one that is too slow
//! gets a snapshot again: nothing waits for it, and nothing is kept for it.

use super::agents::agent_status;
use super::read::freshness;
use super::statuses::{connector, task};
use crate::board::{Board, Seen, Told};
use crate::cache::{Cache, State};
use crate::status;
use dray_machine::cluster::{Shown, ShownAgent};
use dray_model::{AgentId, ConnectorName};
use dray_wire::admin::v1;
use dray_wire::admin::v1::status_change::What;
use futures::stream::{BoxStream, StreamExt as _, unfold};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Changes in one message: with traces of 8 KiB each they are below the 4 MiB that clients take.
const TOGETHER: usize = 400;

/// One reader.
pub(super) struct Watched {
    cache: Arc<Cache>,
    board: Arc<Board>,
    stop: CancellationToken,
    /// What is still to be sent of a snapshot.
    snapshot: VecDeque<What>,
    /// What follows it; none: a snapshot is to be taken.
    told: Option<Receiver<Told>>,
}

/// What a change is about.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Connector(ConnectorName),
    Task(ConnectorName, u32),
    Agent(AgentId),
}

impl Watched {
    pub(super) fn new(cache: Arc<Cache>, board: Arc<Board>, stop: CancellationToken) -> Self {
        Self {
            cache,
            board,
            stop,
            snapshot: VecDeque::new(),
            told: None,
        }
    }

    async fn next(&mut self) -> Result<v1::WatchStatusResponse, Status> {
        loop {
            let reset = self.told.is_none();
            if reset {
                let (seen, told) = self.board.follow();
                self.told = Some(told);
                self.snapshot = snapshot(&self.cache.now(), seen);
            }
            if reset || !self.snapshot.is_empty() {
                let next = self.snapshot.len().min(TOGETHER);
                let changes = self.snapshot.drain(..next).collect();
                return Ok(self.message(reset, changes));
            }
            if let Some(changes) = self.changes().await? {
                return Ok(self.message(false, changes));
            }
            self.told = None;
        }
    }

    /// Waits for a change, and takes what has come together with it; `None`: everything has to be told anew.
    async fn changes(&mut self) -> Result<Option<Vec<What>>, Status> {
        let Some(told) = &mut self.told else { return Ok(None) };
        let mut next = tokio::select! {
            () = self.stop.cancelled() => return Err(status::stopping()),
            next = told.recv() => match next {
                Ok(next) => next,
                Err(RecvError::Lagged(_)) => return Ok(None),
                Err(RecvError::Closed) => return Err(status::stopping()),
            }
        };
        let state = self.cache.now();
        let mut latest = BTreeMap::new();
        loop {
            match next {
                Told::Lead(_) => return Ok(None),
                // How fresh it is says every message.
                Told::Stale(_) => {}
                Told::Shown(shown) => {
                    let (subject, what) = change(&state, &shown);
                    latest.insert(subject, what);
                }
            }
            if latest.len() == TOGETHER {
                break;
            }
            match told.try_recv() {
                Ok(more) => next = more,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                Err(TryRecvError::Lagged(_)) => return Ok(None),
            }
        }
        Ok(Some(latest.into_values().collect()))
    }

    fn message(&self, reset: bool, changes: Vec<What>) -> v1::WatchStatusResponse {
        let fresh = self.board.read(|seen| seen.freshness);
        let changes = changes.into_iter().map(|what| v1::StatusChange { what: Some(what) });
        v1::WatchStatusResponse {
            freshness: Some(freshness(&self.cache.now(), fresh)),
            reset,
            synced: self.snapshot.is_empty(),
            changes: changes.collect(),
        }
    }
}

/// The stream; it ends with an error when the replica stops.
pub(super) fn stream(watched: Watched) -> BoxStream<'static, Result<v1::WatchStatusResponse, Status>> {
    unfold(Some(watched), |watched| async {
        let mut watched = watched?;
        match watched.next().await {
            Ok(message) => Some((Ok(message), Some(watched))),
            Err(status) => Some((Err(status), None)),
        }
    })
    .boxed()
}

fn snapshot(state: &State, seen: Seen) -> VecDeque<What> {
    let mut all = VecDeque::new();
    for (id, seen) in &seen.agents {
        all.push_back(agent(id, Some(seen)));
    }
    for (name, seen) in &seen.connectors {
        if let Some(status) = &seen.connector {
            all.push_back(What::Connector(v1::ConnectorChange {
                name: name.as_str().into(),
                status: Some(connector(state, status)),
            }));
        }
        for (number, status) in &seen.tasks {
            all.push_back(What::Task(v1::TaskChange {
                connector: name.as_str().into(),
                task: *number,
                status: Some(task(state, status)),
            }));
        }
    }
    all
}

fn change(state: &State, shown: &Shown) -> (Subject, What) {
    match shown {
        Shown::Connector(name, status) => (
            Subject::Connector(name.clone()),
            What::Connector(v1::ConnectorChange {
                name: name.as_str().into(),
                status: status.as_ref().map(|status| connector(state, status)),
            }),
        ),
        Shown::Task(name, number, status) => (
            Subject::Task(name.clone(), *number),
            What::Task(v1::TaskChange {
                connector: name.as_str().into(),
                task: *number,
                status: status.as_ref().map(|status| task(state, status)),
            }),
        ),
        Shown::Agent(id, seen) => (Subject::Agent(id.clone()), agent(id, seen.as_deref())),
    }
}

fn agent(id: &AgentId, seen: Option<&ShownAgent>) -> What {
    let policy = seen.map_or(v1::AgentPolicy::Unspecified, |seen| seen.policy.into());
    What::Agent(v1::AgentChange {
        agent: id.as_str().into(),
        policy: policy.into(),
        status: seen.map(agent_status),
    })
}
