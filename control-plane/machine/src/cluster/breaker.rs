//! Breakers: when too many records of a task fail, its connector is paused as a whole, until a person brings it back.
//!
//! The leader writes that into what is wanted, so that it holds under every later leader. It compares revisions: whoever resumes or changes
//! the connector at that moment is not overruled, and what he wrote is looked at first. A report counts only once: it is of the generation
//! in force, and not of one that stands in the record. Whoever lifts the pause asks for a restart of the tasks that stand there, so that
//! their old reports are no longer current, under a new leader neither.

use super::connectors::Connector;
use super::event::{Effect, Name, Record};
use super::tasks::Stage;
use super::writes::Purpose;
use super::{Machine, Timer};
use dray_model::record::{Breaker, ConnectorSpec};
use dray_model::{ConnectorUid, Generation, TargetState};
use std::collections::BTreeMap;

/// The longest reason that is kept; a trace has its causes behind its first line.
const REASON_BYTES: usize = 1024;

impl Connector {
    /// Tasks that say that their breaker tripped and that nobody has acted on, with what the first of them says.
    fn tripped(&self) -> Option<(String, BTreeMap<u32, Generation>)> {
        // What runs was made from a configuration that somebody has replaced: its tasks are about to be replaced as well.
        let is_former = self
            .set
            .as_ref()
            .is_none_or(|set| set.config_version != self.assigned.config_version);
        if self.is_ending() || is_former {
            return None;
        }
        let known = |number: u32, generation: Generation| {
            let breaker = self.spec.breaker.as_ref();
            breaker.is_some_and(|breaker| breaker.tasks.get(&number) >= Some(&generation))
        };
        let mut reason = None;
        let mut tasks = BTreeMap::new();
        for (number, task) in &self.tasks {
            let (Some(report), Some(generation)) = (&task.report, task.generation) else {
                continue;
            };
            if !report.tripped || task.stage() != Stage::Assigned || known(*number, generation) {
                continue;
            }
            let trace = report.trace.as_deref().unwrap_or_default();
            reason.get_or_insert_with(|| reason_of(*number, trace));
            tasks.insert(*number, generation);
        }
        Some((reason?, tasks))
    }
}

fn reason_of(number: u32, trace: &str) -> String {
    let first = trace.lines().next().filter(|line| !line.is_empty());
    let mut reason = format!("task {number}: {}", first.unwrap_or("too many of its records fail"));
    reason.truncate(reason.floor_char_boundary(REASON_BYTES));
    reason
}

/// What is wanted once these tasks have tripped as well.
fn paused(spec: &ConnectorSpec, reason: String, tasks: BTreeMap<u32, Generation>) -> ConnectorSpec {
    let mut spec = spec.clone();
    // One that is left from before it was started again, by a replica that did not know of breakers, is over.
    let before = spec.breaker.take().filter(|_| spec.target == TargetState::Paused);
    let breaker = spec.breaker.insert(before.unwrap_or(Breaker {
        reason,
        tasks: BTreeMap::new(),
        paused: spec.target != TargetState::Paused,
    }));
    breaker.tasks.extend(tasks);
    spec.target = TargetState::Paused;
    spec
}

impl Machine {
    /// Has a connector paused whose tasks have tripped.
    pub(super) fn pause_tripped(&mut self, uid: ConnectorUid) {
        let Some(connector) = self.connectors.get(&uid) else {
            return;
        };
        let Some((reason, tasks)) = connector.tripped() else {
            return;
        };
        let name = Name::Spec(connector.name.clone());
        let mut spec = paused(&connector.spec, reason, tasks);
        spec.uid = Some(uid);
        match self.writes.free_at(&name) {
            None => return, // its outcome brings us back
            Some(at) if at > self.now => {
                self.timers.insert((at, Timer::Connector(uid)));
                return;
            }
            Some(_) => {}
        }
        let puts = vec![(name, Record::Spec(spec))];
        let write = self.writes.begin(Purpose::Pause(uid), &[], puts, Vec::new());
        self.effects.push(Effect::Write(write));
    }

    /// What people see of the connector's instance says why the whole is paused.
    pub(super) fn why_paused(connector: &Connector) -> Option<String> {
        let breaker = connector.spec.paused_by_breaker()?;
        Some(format!(
            "paused because too many records fail ({}); it goes on when it is resumed or its configuration is changed",
            breaker.reason
        ))
    }
}
