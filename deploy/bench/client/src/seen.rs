//! What the control plane says of tasks and instances, counted as it comes: 10,000 of them are not looked through for every change.

use dray_wire::admin::v1::status_change::What;
use dray_wire::admin::v1::{AgentStatus, StatusChange};
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

/// A connector's task; the instance is `None`.
type TaskOf = (String, Option<u32>);

/// The latest word on a task or instance.
#[derive(Clone, Debug)]
struct Task {
    state: &'static str,
    agent: String,
    generation: u64,
    trace: String,
}

/// All that is known, and when it last changed.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    tasks: HashMap<TaskOf, Task>,
    pub(crate) agents: BTreeMap<String, AgentStatus>,
    /// Tasks and instances that run.
    pub(crate) running: usize,
    /// Those of them whose ownership is another one than at the mark.
    pub(crate) renewed: usize,
    marked: HashMap<TaskOf, Task>,
    pub(crate) synced: bool,
    /// When an ownership or a state changed last.
    pub(crate) changed: Option<Instant>,
}

/// What became of a task or instance since the mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) task: Option<u32>,
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Seen {
    pub(crate) fn take(&mut self, reset: bool, synced: bool, changes: Vec<StatusChange>) {
        if reset {
            // What another replica says replaces it; until then nothing is known to run.
            self.tasks.clear();
            self.agents.clear();
            (self.running, self.renewed, self.synced) = (0, 0, false);
        }
        for change in changes {
            match change.what {
                Some(What::Connector(said)) => {
                    let task = said.status.map(|status| Task {
                        state: status.state().as_str_name(),
                        agent: status.agent,
                        generation: status.generation,
                        trace: status.trace.unwrap_or_default(),
                    });
                    self.task((said.name, None), task);
                }
                Some(What::Task(said)) => {
                    let task = said.status.map(|status| Task {
                        state: status.state().as_str_name(),
                        agent: status.agent,
                        generation: status.generation,
                        trace: status.trace.unwrap_or_default(),
                    });
                    self.task((said.connector, Some(said.task)), task);
                }
                Some(What::Agent(said)) => match said.status {
                    Some(status) => drop(self.agents.insert(said.agent, status)),
                    None => drop(self.agents.remove(&said.agent)),
                },
                None => {}
            }
        }
        self.synced |= synced;
    }

    fn task(&mut self, of: TaskOf, task: Option<Task>) {
        let old = match &task {
            Some(task) => self.tasks.insert(of.clone(), task.clone()),
            None => self.tasks.remove(&of),
        };
        let place = |task: &Option<Task>| task.as_ref().map(|task| (task.state, task.generation));
        if place(&old) != place(&task) {
            self.changed = Some(Instant::now());
        }
        for (task, more) in [(old, false), (task, true)] {
            let Some(task) = task else { continue };
            if !task.state.ends_with("_RUNNING") {
                continue;
            }
            let renewed = self
                .marked
                .get(&of)
                .is_none_or(|marked| marked.generation != task.generation);
            if more {
                self.running += 1;
                self.renewed += usize::from(renewed);
            } else {
                self.running -= 1;
                self.renewed -= usize::from(renewed);
            }
        }
    }

    /// Remembers the ownerships.
    pub(crate) fn mark(&mut self) {
        self.marked = self.tasks.clone();
        self.renewed = 0;
    }

    /// Tasks and instances whose ownership is another one than at the mark, or that are gone.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let changed = self.marked.iter().filter_map(|(of, marked)| {
            let task = self.tasks.get(of);
            (task.map(|task| task.generation) != Some(marked.generation)).then(|| Change {
                name: of.0.clone(),
                task: of.1,
                from: marked.agent.clone(),
                to: task.map(|task| task.agent.clone()).unwrap_or_default(),
            })
        });
        changed.collect()
    }

    /// How many are in which state, and what is wrong with some that do not run.
    pub(crate) fn summary(&self) -> (BTreeMap<&'static str, usize>, Vec<String>) {
        let mut states = BTreeMap::new();
        let mut wrong = Vec::new();
        for ((name, number), task) in &self.tasks {
            *states.entry(task.state).or_default() += 1;
            if !task.state.ends_with("_RUNNING") && wrong.len() < 5 {
                wrong.push(format!(
                    "{name} {number:?} {} at {}: {}",
                    task.state, task.agent, task.trace
                ));
            }
        }
        (states, wrong)
    }

    /// How many an agent has.
    pub(crate) fn of(&self, agent: &str) -> usize {
        self.tasks.values().filter(|task| task.agent == agent).count()
    }
}
