//! Tables here; [`check`] compares the index with one made from scratch, [`properties`] runs random events against a model.

mod balance;
mod check;
mod properties;
mod tables;

use super::*;
use dray_model::{Capacity, ConnectorUid, PluginClass};
use std::num::NonZeroU64;

fn number(agent: u32) -> AgentNumber {
    AgentNumber::try_from(agent).unwrap()
}

fn uid(connector: u64) -> ConnectorUid {
    NonZeroU64::new(connector).unwrap().into()
}

fn key(connector: u64, number: u32) -> TaskKey {
    TaskKey {
        connector: uid(connector),
        number,
    }
}

fn cost(units: u32) -> Cost {
    Cost::try_from(units).unwrap()
}

/// An agent of region `r` with plugin `P` in version 1.0.
fn agent(agent: u32, zone: &str, slots: u32, units: u32) -> AgentSpec {
    AgentSpec {
        number: number(agent),
        region: Region::try_from("r").unwrap(),
        zone: Zone::try_from(zone).unwrap(),
        labels: dray_model::Labels::new(),
        plugins: vec![(plugin("P"), "1.0".into())],
        capacity: Capacity::new(slots, units).unwrap(),
        policy: AgentPolicy::Active,
    }
}

fn plugin(class: &str) -> PluginClass {
    PluginClass::try_from(class).unwrap()
}

fn joined(agent: AgentSpec) -> Event {
    Event::AgentJoined { agent, fresh: true }
}

/// Tasks 0, 1, 2 … of these costs that need plugin `P`.
fn set(connector: u64, costs: &[u32]) -> TaskSet {
    TaskSet {
        connector: uid(connector),
        needs: Needs {
            plugins: vec![(plugin("P"), None)],
            ..Needs::default()
        },
        prefers: None,
        starts_a_second: None,
        movable: true,
        tasks: (0..)
            .zip(costs)
            .map(|(number, units)| TaskInput {
                number,
                cost: cost(*units),
                owner: None,
            })
            .collect(),
    }
}

/// A scheduler and the machine that carries its decisions out at once.
struct World {
    scheduler: Scheduler,
    now: Millis,
}

impl World {
    fn new() -> Self {
        Self {
            scheduler: Scheduler::new(Limits::default(), Millis(0)),
            now: Millis(0),
        }
    }

    fn with(agents: impl IntoIterator<Item = AgentSpec>) -> Self {
        let mut world = Self::new();
        for agent in agents {
            world.tell(joined(agent));
        }
        world
    }

    /// Tells an event and returns the decisions, as text, without carrying them out.
    fn tell(&mut self, event: Event) -> Vec<Decision> {
        let decisions = self.scheduler.on(self.now, event);
        // A check asks every agent about every task: with thousands of them `run` does it once.
        if self.scheduler.index.tasks.len() <= 400 {
            check::check(&self.scheduler.index);
        }
        decisions
    }

    /// Tells an event, carries out what is decided until nothing more is, and returns all decisions.
    fn run(&mut self, event: Event) -> Vec<Decision> {
        let mut all = self.tell(event);
        let mut at = 0;
        while let Some(decision) = all.get(at).cloned() {
            at += 1;
            match decision {
                Decision::Assign { task, to, .. } => {
                    all.extend(self.tell(Event::Owned { task, agent: to }));
                    all.extend(self.tell(Event::Running { task, agent: to }));
                }
                Decision::Unassign { task, .. } => all.extend(self.tell(Event::Freed(task))),
            }
        }
        check::check(&self.scheduler.index);
        all
    }

    fn pass(&mut self, milliseconds: u64) -> Vec<Decision> {
        self.now = self.now.plus(milliseconds);
        self.run(Event::Tick)
    }

    /// Where each task shall run: `agent: tasks`, an agent a line.
    fn shown(&self) -> String {
        let mut lines: Vec<_> = self.scheduler.index.by_number.keys().copied().collect();
        lines.sort_unstable();
        let tasks = |agent| {
            self.scheduler
                .tasks_of(agent)
                .iter()
                .map(shown)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let mut lines: Vec<_> = lines
            .into_iter()
            .map(|agent| format!("{agent}: {}", tasks(agent)))
            .collect();
        for task in self.scheduler.unplaced() {
            let Some(Placement::Unplaced(reason)) = self.scheduler.placement(task) else {
                panic!("{task:?} is listed as unplaced")
            };
            lines.push(format!("{}: {reason}", shown(&task)));
        }
        lines.join("\n")
    }

    fn target(&self, task: TaskKey) -> Option<AgentNumber> {
        let task = self.scheduler.index.task(task)?;
        self.scheduler.number(self.scheduler.index.tasks[task].target)
    }
}

fn shown(task: &TaskKey) -> String {
    format!("{}-{}", task.connector, task.number)
}

/// Decisions in one line: `1-0>2` an assignment, `1-0:1>2` a move, `1-0!` nobody can run it.
fn line(decisions: &[Decision]) -> String {
    let shown = decisions.iter().map(|decision| match decision {
        Decision::Assign { task, to, from: None } => format!("{}>{to}", shown(task)),
        Decision::Assign {
            task,
            to,
            from: Some(from),
        } => format!("{}:{from}>{to}", shown(task)),
        Decision::Unassign { task, .. } => format!("{}!", shown(task)),
    });
    shown.collect::<Vec<_>>().join(" ")
}
