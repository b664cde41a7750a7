//! What the leader wants run, and what becomes of it: assignments, revocations, verdicts, deaths.

use crate::event::Effect;
use crate::session::Session;
use crate::task::{Running, Waiting};
use dray_model::TaskKey;
use dray_model::message::{
    AssignedConnector, Assignment, AssignmentAck, AssignmentDelta, Command, CommandResult, FromAgent, Owned,
    RefusedTask, RefusedWhy, Revocation, RevokedWhy, RunState, StoppedTask, TaskConfigs, Verdict,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Commands that are carried out at once. A leader sends a few.
const COMMANDS: usize = 64;

impl Session {
    pub(crate) fn assignments(&mut self, delta: AssignmentDelta) {
        let mut stopped = Vec::new();
        for revocation in delta.revocations {
            self.revoke(&revocation, &mut stopped);
        }
        let mut refused = Vec::new();
        for assignment in delta.assignments {
            let owned = assignment.owned;
            let connector = delta
                .connectors
                .iter()
                .find(|connector| connector.uid == owned.task.connector);
            if let Some((why, message)) = self.assign(assignment, connector) {
                refused.push(RefusedTask { owned, why, message });
            }
        }
        let nonce = delta.nonce;
        self.say(FromAgent::AssignmentAck(AssignmentAck { nonce, refused }));
        self.say_stopped(stopped);
    }

    /// `Some`: it is not taken, and this is why.
    fn assign(
        &mut self,
        assignment: Assignment,
        connector: Option<&Arc<AssignedConnector>>,
    ) -> Option<(RefusedWhy, String)> {
        let owned = assignment.owned;
        if !self.seen.is_new(owned) {
            self.set_paused(owned, assignment.paused);
            return None;
        }
        self.seen.see(owned);
        self.make_way(owned);
        let Some(connector) = connector.filter(|_| self.leaving.is_none()) else {
            return self.refuse(owned);
        };
        let fencing = !assignment.fence_first.is_empty();
        if fencing {
            self.effect(Effect::FenceFirst {
                owned,
                dead: assignment.fence_first.clone(),
                connector: connector.clone(),
            });
        }
        let waiting = Waiting {
            assignment: Box::new(assignment),
            connector: connector.clone(),
            fencing,
            changed: true,
        };
        self.tasks.entry(owned.task).or_default().waiting = Some(waiting);
        self.ready.insert(owned.task);
        None
    }

    /// What is not taken stands in the answer, unless the task still runs under an earlier generation: a refusal could be read as
    /// "nothing of it is here", so its death is awaited and reported instead.
    fn refuse(&mut self, owned: Owned) -> Option<(RefusedWhy, String)> {
        if let Some(running) = self.tasks.get_mut(&owned.task).and_then(|task| task.running.as_mut()) {
            running.revoked = Some(owned.generation);
            return None;
        }
        if self.leaving.is_some() {
            return Some((RefusedWhy::Suspect, "the agent is leaving".into()));
        }
        let Owned { task, .. } = owned;
        let message = format!("connector {} is not in the delta that assigns {task}", task.connector);
        Some((RefusedWhy::Connector, message))
    }

    /// What runs or waits of the task under a smaller generation goes. Nothing is said of what only waited: the leader knows better.
    fn make_way(&mut self, owned: Owned) {
        let Some(task) = self.tasks.get_mut(&owned.task) else {
            return;
        };
        task.waiting = None;
        match &task.running {
            Some(running) => {
                let generation = running.generation;
                let task = owned.task;
                self.stop(Owned { task, generation }, self.graceful_ms(), RevokedWhy::Reconfigured);
            }
            None => drop(self.tasks.remove(&owned.task)),
        }
    }

    fn graceful_ms(&self) -> u32 {
        self.own.as_ref().map_or(0, |own| own.graceful_ms)
    }

    /// Forgets an assignment that did not start. It is reported when nothing before it can act any more either.
    pub(crate) fn drop_waiting(&mut self, key: TaskKey, stopped: &mut Vec<StoppedTask>) {
        let Some(task) = self.tasks.get_mut(&key) else { return };
        let Some(waiting) = task.waiting.take() else { return };
        let owned = waiting.assignment.owned;
        match &mut task.running {
            Some(running) => running.revoked = Some(owned.generation),
            None => {
                self.tasks.remove(&key);
                stopped.push(StoppedTask { owned, clean: true });
            }
        }
    }

    /// Answered with exactly this generation, when nothing of the task up to it can act any more.
    fn revoke(&mut self, revocation: &Revocation, stopped: &mut Vec<StoppedTask>) {
        let Revocation {
            owned,
            graceful_ms,
            why,
        } = *revocation;
        self.seen.see(owned);
        let mut clean = false; // of a task that we never heard of nothing is known
        if let Some(task) = self.tasks.get_mut(&owned.task) {
            if task
                .waiting
                .take_if(|waiting| waiting.assignment.owned.generation <= owned.generation)
                .is_some()
            {
                clean = true;
            }
            match &mut task.running {
                Some(running) if running.generation <= owned.generation => {
                    running.revoked = running.revoked.max(Some(owned.generation));
                    let generation = running.generation;
                    let task = owned.task;
                    return self.stop(Owned { task, generation }, graceful_ms, why);
                }
                Some(_) => {}
                None if task.waiting.is_none() => drop(self.tasks.remove(&owned.task)),
                None => {}
            }
        }
        stopped.push(StoppedTask { owned, clean });
    }

    /// Stops what runs under this ownership in good order; again, only sooner.
    pub(crate) fn stop(&mut self, owned: Owned, graceful_ms: u32, why: RevokedWhy) {
        let end = self.now.plus(graceful_ms.into());
        let Some(running) = self.running(owned) else { return };
        let end = running.kill_at.map_or(end, |earlier| earlier.min(end));
        running.kill_at = Some(end);
        if running.state != RunState::Stopping {
            running.state = RunState::Stopping;
            running.changed = true;
            self.effect(Effect::Stop {
                owned,
                graceful_ms,
                why,
            });
        }
        self.first_kill = Some(self.first_kill.map_or(end, |first| first.min(end)));
    }

    /// Kills what runs under this ownership, once.
    pub(crate) fn kill(&mut self, owned: Owned) {
        let Some(running) = self.running(owned) else { return };
        running.state = RunState::Stopping;
        if !running.killed {
            running.killed = true;
            running.changed = true;
            self.effect(Effect::Kill { owned });
        }
    }

    /// What runs, of all tasks that this is true of.
    pub(crate) fn all_running(&self, which: impl Fn(&Running) -> bool) -> Vec<Owned> {
        let running = self
            .tasks
            .iter()
            .filter_map(|(key, task)| Some((*key, task.running.as_ref()?)));
        let chosen = running.filter(|(_, running)| which(running));
        chosen
            .map(|(task, running)| Owned {
                task,
                generation: running.generation,
            })
            .collect()
    }

    pub(crate) fn kill_late(&mut self) {
        let now = self.now;
        if self.first_kill.is_none_or(|first| now < first) {
            return;
        }
        for owned in self.all_running(|running| !running.killed && running.kill_at.is_some_and(|at| now >= at)) {
            self.kill(owned);
        }
        let running = self.tasks.values().filter_map(|task| task.running.as_ref());
        self.first_kill = running
            .filter(|running| !running.killed)
            .filter_map(|running| running.kill_at)
            .min();
    }

    /// Everything stops in good order, and nothing starts.
    pub(crate) fn stop_all(&mut self, why: RevokedWhy) {
        let graceful_ms = self.graceful_ms();
        let mut stopped = Vec::new();
        for key in self.keys() {
            self.drop_waiting(key, &mut stopped);
        }
        self.say_stopped(stopped);
        for owned in self.all_running(|_| true) {
            self.stop(owned, graceful_ms, why);
        }
    }

    fn set_paused(&mut self, owned: Owned, paused: bool) {
        let Some(task) = self.tasks.get_mut(&owned.task) else {
            return;
        };
        if let Some(waiting) = task
            .waiting
            .as_mut()
            .filter(|waiting| waiting.assignment.owned == owned)
        {
            waiting.assignment.paused = paused;
        }
        let Some(running) = self.running(owned) else { return };
        if running.paused != paused && running.state != RunState::Stopping {
            running.paused = paused;
            self.effect(Effect::SetPaused { owned, paused });
        }
    }

    pub(crate) fn fence_done(&mut self, owned: Owned) {
        let waiting = self.tasks.get_mut(&owned.task).and_then(|task| task.waiting.as_mut());
        if let Some(waiting) = waiting.filter(|waiting| waiting.assignment.owned == owned) {
            waiting.fencing = false;
            waiting.changed = true;
            self.ready.insert(owned.task);
        }
    }

    /// Starts what may start: fenced, alone, and under a lease that is not nearly over.
    pub(crate) fn start_waiting(&mut self) {
        if self.gate.shut || self.gate.suspect || self.leaving.is_some() {
            return;
        }
        for key in std::mem::take(&mut self.ready) {
            let Some(task) = self.tasks.get_mut(&key).filter(|task| task.running.is_none()) else {
                continue;
            };
            if let Some(waiting) = task.waiting.take_if(|waiting| !waiting.fencing) {
                debug_assert_eq!(key, waiting.assignment.owned.task);
                task.running = Some(Running::start(&waiting.assignment, waiting.connector.clone()));
                self.effects.push(Effect::Start {
                    assignment: waiting.assignment,
                    connector: waiting.connector,
                });
            }
        }
    }

    pub(crate) fn dead(&mut self, owned: Owned, clean: bool) {
        if self.running(owned).is_none() {
            return;
        }
        let Some(task) = self.tasks.get_mut(&owned.task) else {
            return;
        };
        let revoked = task.running.take().and_then(|running| running.revoked);
        if task.waiting.is_some() {
            self.ready.insert(owned.task);
        } else {
            self.tasks.remove(&owned.task);
        }
        if let Some(own) = &mut self.own {
            own.configs.remove(&owned.task);
            own.checks.remove(&owned.task);
        }
        let mut stopped = vec![StoppedTask { owned, clean }];
        if let Some(generation) = revoked.filter(|generation| *generation > owned.generation) {
            let task = owned.task;
            let owned = Owned { task, generation };
            stopped.push(StoppedTask { owned, clean });
        }
        self.say_stopped(stopped);
    }

    /// What a Welcome says about all that its Hello listed. What it does not name is not ours.
    pub(crate) fn judge_held(&mut self, verdicts: &[Verdict]) {
        let kept: BTreeSet<Owned> = verdicts
            .iter()
            .filter(|verdict| verdict.keep)
            .map(|verdict| verdict.owned)
            .collect();
        let refused = |owned: &Owned| !kept.contains(owned);
        let mut stopped = Vec::new();
        for key in self.keys() {
            let waiting = self.tasks.get(&key).and_then(|task| task.waiting.as_ref());
            if waiting.is_some_and(|waiting| refused(&waiting.assignment.owned)) {
                self.drop_waiting(key, &mut stopped);
            }
        }
        for owned in self.all_running(|_| true).into_iter().filter(refused) {
            self.stop(owned, self.graceful_ms(), RevokedWhy::NotOwned);
        }
        self.stopped.extend(stopped);
    }

    pub(crate) fn task_configs(&mut self, configs: TaskConfigs) {
        if self.running(configs.instance).is_none() {
            return;
        }
        let Some(own) = self.live() else { return };
        own.configs.insert(configs.instance.task, configs.clone());
        self.say(FromAgent::TaskConfigs(configs));
    }

    pub(crate) fn configs_stored(&mut self, instance: Owned) {
        let Some(own) = &mut self.own else { return };
        if own
            .configs
            .get(&instance.task)
            .is_some_and(|configs| configs.instance == instance)
        {
            own.configs.remove(&instance.task);
        }
    }

    pub(crate) fn command(&mut self, command: Command) {
        let Command { id, what } = command;
        if self.commands.contains(&id) {
            return;
        }
        if self.commands.len() >= COMMANDS {
            let error = Some(format!(
                "the agent carries out {COMMANDS} commands already; try again later"
            ));
            return self.say(FromAgent::CommandResult(CommandResult { id, error }));
        }
        self.commands.insert(id);
        self.effect(Effect::Command { id, what });
    }

    pub(crate) fn command_done(&mut self, result: CommandResult) {
        if !self.commands.remove(&result.id) {
            return; // another leader's
        }
        if self.is_up() {
            self.say(FromAgent::CommandResult(result));
        } else {
            self.results.push(result); // at most as many as there were commands
        }
    }
}
