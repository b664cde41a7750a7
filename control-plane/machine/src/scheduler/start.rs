//! What follows from events: tasks are placed, and started as fast as their agents and connectors allow.

use super::event::{Decision, Unplaced};
use super::records::{Link, NeedsRecord, Start, Task};
use super::slab::Slot;
use super::{Scheduler, place};
use dray_model::{Cost, Millis};
use rustc_hash::FxHashMap;

impl Scheduler {
    /// What follows from any event: tasks that may be recovered, that fit again, or whose turn it is to start.
    pub(super) fn settle(&mut self, now: Millis) {
        let recovered = self.guard.release(&self.index, now, &self.limits);
        self.place(recovered);
        for task in place::place_parked(&mut self.index) {
            self.assign(task);
        }
        self.pace();
        while let Some(agent) = self.index.ended.pop() {
            while self.index.agents[agent].starting < self.limits.starts_per_agent
                && self.index.agents[agent].link == Link::Connected
            {
                let Some(next) = self.index.agents[agent].queued.pop_front() else {
                    break;
                };
                let waits = |task: &Slot<Task>| {
                    let task = &self.index.tasks[*task];
                    task.start == Start::Queued && task.target == Some(agent)
                };
                if let Some(task) = self.index.task(next).filter(waits) {
                    self.send(task);
                }
            }
        }
    }

    /// Starts tasks of connectors with a start rate, as far as that allows now.
    fn pace(&mut self) {
        for slot in self.index.paced.iter().copied().collect::<Vec<_>>() {
            let connector = &mut self.index.connectors[slot];
            let mut allowed = connector
                .starts_a_second
                .map_or(u64::MAX, |rate| connector.allowed(self.now, rate));
            while allowed > 0
                && let Some(next) = self.index.connectors[slot].paced.pop_front()
            {
                let waits = |task: &Slot<Task>| self.index.tasks[*task].start == Start::Queued;
                let Some(task) = self.index.task(next).filter(waits) else {
                    continue; // it went elsewhere, or is no more
                };
                self.index.tasks[task].start = Start::Idle;
                let target = self.index.tasks[task].target;
                if target.is_none_or(|target| self.index.agents[target].link != Link::Connected) {
                    continue; // asked for when it is back
                }
                allowed -= 1;
                self.index.connectors[slot].starts.take(1);
                self.start(task);
            }
            if self.index.connectors[slot].paced.is_empty() {
                self.index.paced.remove(&slot);
            }
        }
    }

    /// Places tasks and says so.
    pub(super) fn place(&mut self, mut tasks: Vec<Slot<Task>>) {
        tasks.sort_unstable_by_key(|task| self.index.tasks[*task].key);
        place::place(&mut self.index, tasks.iter().copied());
        // Many tasks have one reason.
        let mut reasons: FxHashMap<(Slot<NeedsRecord>, Cost), Unplaced> = FxHashMap::default();
        for slot in tasks {
            let task = &self.index.tasks[slot];
            if task.target.is_some() {
                self.assign(slot);
                continue;
            }
            let connector = &self.index.connectors[task.connector];
            let reason = if connector.refused.is_empty() {
                let known = reasons.entry((connector.needs, task.cost));
                known.or_insert_with(|| place::reason(&self.index, slot)).clone()
            } else {
                place::reason(&self.index, slot)
            };
            self.decisions.push(Decision::Unassign {
                task: task.key,
                from: self.number(task.owner),
                reason,
            });
        }
    }

    /// Asks for a task to be started at its target, now or when the agent has fewer starts in progress.
    pub(super) fn assign(&mut self, slot: Slot<Task>) {
        let task = &mut self.index.tasks[slot];
        let Some(target) = task.target else { return };
        let agent = &mut self.index.agents[target];
        if agent.link != Link::Connected || matches!(task.start, Start::Queued | Start::Assigned) {
            return; // asked for when it is back; asked for already
        }
        if task.owner == task.target {
            // It is there: nothing is started, and no start in progress may keep it from being said.
            let (task, to) = (task.key, agent.spec.number);
            self.decisions.push(Decision::Assign {
                task,
                to,
                from: Some(to),
            });
            return;
        }
        let connector = &mut self.index.connectors[task.connector];
        if let Some(rate) = connector.starts_a_second.filter(|_| !task.key.is_instance()) {
            if connector.allowed(self.now, rate) == 0 {
                task.start = Start::Queued;
                connector.paced.push_back(task.key);
                self.index.paced.insert(task.connector);
                return;
            }
            connector.starts.take(1);
        }
        self.start(slot);
    }

    /// … as far as the connector is concerned.
    fn start(&mut self, slot: Slot<Task>) {
        let task = &mut self.index.tasks[slot];
        let Some(target) = task.target else { return };
        let agent = &mut self.index.agents[target];
        if agent.starting < self.limits.starts_per_agent {
            self.send(slot);
        } else {
            task.start = Start::Queued;
            agent.queued.push_back(task.key);
        }
    }

    fn send(&mut self, slot: Slot<Task>) {
        let task = &mut self.index.tasks[slot];
        let Some(target) = task.target else { return };
        task.start = Start::Assigned;
        self.index.agents[target].starting += 1;
        let task = &self.index.tasks[slot];
        let (to, from) = (self.index.agents[target].spec.number, self.number(task.owner));
        self.decisions.push(Decision::Assign {
            task: task.key,
            to,
            from,
        });
    }
}
