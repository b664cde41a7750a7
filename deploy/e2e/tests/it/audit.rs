//! Everything that the control plane has said of connectors, tasks and agents, as a watcher hears it, and what has to hold of it.

use crate::admin::Admin;
use dray_wire::admin::v1::status_change::What;
use dray_wire::admin::v1::{AgentStatus, StatusChange};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// A connector's task; the instance is `None`.
pub(crate) type TaskOf = (String, Option<u32>);

/// The latest word on a task or instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// In Connect's words.
    pub(crate) state: &'static str,
    pub(crate) agent: String,
    pub(crate) generation: u64,
    pub(crate) trace: String,
}

impl Seen {
    pub(crate) fn runs(&self) -> bool {
        self.state == "RUNNING"
    }
}

#[derive(Default)]
struct Heard {
    tasks: BTreeMap<TaskOf, Seen>,
    agents: BTreeMap<String, AgentStatus>,
    /// Whose each generation is.
    owners: HashMap<(TaskOf, u64), String>,
    /// The largest generation of each task that is there.
    largest: HashMap<TaskOf, u64>,
    breaches: Vec<String>,
    history: Vec<(Instant, String)>,
    synced: bool,
}

/// Listens for as long as it lives.
pub(crate) struct Audit {
    heard: Arc<Mutex<Heard>>,
    _listener: JoinSet<()>,
}

impl Audit {
    /// Listens to replicas at these addresses, to one after the other.
    pub(crate) fn start(addresses: &[String]) -> Self {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let (admin, hears) = (Admin::new(addresses), heard.clone());
        let mut listener = JoinSet::new();
        listener.spawn(async move {
            loop {
                if let Ok(mut stream) = admin.watch().await {
                    while let Ok(Some(said)) = stream.message().await {
                        lock(&hears).take(said.reset, said.synced, said.changes);
                    }
                    admin.elsewhere();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self {
            heard,
            _listener: listener,
        }
    }

    /// What is known of all tasks and instances now.
    pub(crate) fn tasks(&self) -> BTreeMap<TaskOf, Seen> {
        lock(&self.heard).tasks.clone()
    }

    pub(crate) fn agents(&self) -> BTreeMap<String, AgentStatus> {
        lock(&self.heard).agents.clone()
    }

    /// What is known of an agent: nothing, too, while a replica tells everything anew.
    pub(crate) fn agent(&self, name: &str) -> Option<AgentStatus> {
        lock(&self.heard).agents.get(name).cloned()
    }

    /// The session of an agent that has one.
    pub(crate) fn session(&self, name: &str) -> Option<u64> {
        let session = self.agent(name)?.session;
        (session != 0).then_some(session)
    }

    pub(crate) fn synced(&self) -> bool {
        lock(&self.heard).synced
    }

    /// How many tasks, and instances, run.
    pub(crate) fn running(&self) -> usize {
        lock(&self.heard).tasks.values().filter(|seen| seen.runs()).count()
    }

    /// Fails the test when a generation had two owners or a generation went back.
    pub(crate) fn check(&self) {
        let heard = lock(&self.heard);
        assert!(heard.breaches.is_empty(), "{:#?}", heard.breaches);
    }

    /// How many ownerships have been seen.
    pub(crate) fn generations(&self) -> usize {
        lock(&self.heard).owners.len()
    }

    /// What was said, for a failed test; `start` is second 0.
    pub(crate) fn history(&self, start: Instant, last: usize) -> String {
        let heard = lock(&self.heard);
        let history = heard.history[heard.history.len().saturating_sub(last)..].iter();
        let lines =
            history.map(|(at, text)| format!("{:8.3} {text}\n", at.saturating_duration_since(start).as_secs_f64()));
        lines.collect()
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap()
}

impl Heard {
    fn take(&mut self, reset: bool, synced: bool, changes: Vec<StatusChange>) {
        if reset {
            self.tasks.clear();
            self.agents.clear();
            self.largest.clear(); // this replica may be behind the one before
            self.synced = false;
            self.note("-- a snapshot begins".into());
        }
        for change in changes {
            match change.what {
                Some(What::Connector(said)) => {
                    let seen = said.status.map(|status| Seen {
                        state: word(status.state().as_str_name()),
                        agent: status.agent,
                        generation: status.generation,
                        trace: status.trace.unwrap_or_default(),
                    });
                    self.task((said.name, None), seen);
                }
                Some(What::Task(said)) => {
                    let seen = said.status.map(|status| Seen {
                        state: word(status.state().as_str_name()),
                        agent: status.agent,
                        generation: status.generation,
                        trace: status.trace.unwrap_or_default(),
                    });
                    self.task((said.connector, Some(said.task)), seen);
                }
                Some(What::Agent(said)) => {
                    self.note(format!("{}: {:?}", said.agent, said.status));
                    match said.status {
                        Some(status) => drop(self.agents.insert(said.agent, status)),
                        None => drop(self.agents.remove(&said.agent)),
                    }
                }
                None => {}
            }
        }
        self.synced |= synced;
    }

    fn task(&mut self, task: TaskOf, seen: Option<Seen>) {
        let Some(seen) = seen else {
            self.note(format!("{task:?}: gone"));
            // A name that is created again is another connector, whose generations are larger still.
            self.tasks.remove(&task);
            return;
        };
        let place = format!(
            "{task:?}: {} {} g{} {}",
            seen.state, seen.agent, seen.generation, seen.trace
        );
        if seen.generation != 0 && !seen.agent.is_empty() {
            let owner = self
                .owners
                .entry((task.clone(), seen.generation))
                .or_insert_with(|| seen.agent.clone());
            if *owner != seen.agent {
                self.breaches
                    .push(format!("two owners of one generation: {owner} and {place}"));
            }
            let largest = self.largest.entry(task.clone()).or_default();
            if seen.generation < *largest {
                self.breaches
                    .push(format!("a generation went back from {largest}: {place}"));
            }
            *largest = seen.generation.max(*largest);
        }
        self.note(place);
        self.tasks.insert(task, seen);
    }

    fn note(&mut self, text: String) {
        self.history.push((Instant::now(), text));
    }
}

/// `TASK_STATE_RUNNING` is RUNNING.
fn word(state: &'static str) -> &'static str {
    let state = state.strip_prefix("TASK_STATE_").unwrap_or(state);
    state.strip_prefix("CONNECTOR_STATE_").unwrap_or(state)
}
