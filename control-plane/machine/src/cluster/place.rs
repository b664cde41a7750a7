//! The steps of a task: from one owner to the next, one proof and one write at a time.

use super::connectors::Wish;
use super::tasks::{Stage, Task, Wanted};
use super::{Machine, Timer};
use crate::scheduler::{self, Decision};
use dray_model::message::{Recovery, RevokedWhy};
use dray_model::record::{Owner, Shard};
use dray_model::{AgentNumber, AgentSession, Millis, TaskKey};
use std::collections::BTreeMap;

impl Machine {
    /// The scheduler decided where tasks go.
    pub(super) fn decided(&mut self, decisions: Vec<Decision>) {
        for decision in decisions {
            match decision {
                Decision::Assign { task, to, .. } => self.aim(task, Some(to), None),
                Decision::Unassign { task, reason, .. } => self.aim(task, None, Some(reason)),
            }
        }
    }

    pub(super) fn aim(&mut self, key: TaskKey, target: Option<AgentNumber>, unplaced: Option<scheduler::Unplaced>) {
        let Some(task) = self.task_mut(key) else { return };
        let before = std::mem::replace(&mut task.target, target);
        task.unplaced = unplaced;
        if let Some(agent) = before.and_then(|before| self.agents.get_mut(&before)) {
            agent.targeted.remove(&key);
        }
        if let Some(agent) = target.and_then(|target| self.agents.get_mut(&target)) {
            agent.targeted.insert(key);
        }
        self.touch(key);
    }

    /// The next step of a task.
    pub(super) fn drive_task(&mut self, key: TaskKey) {
        let Some(connector) = self.connectors.get_mut(&key.connector) else {
            return;
        };
        let wish = connector.wish(key.number);
        let Some(task) = connector.tasks.get_mut(&key.number) else {
            return;
        };
        if task.writing {
            return; // the outcome comes first
        }
        task.wanted = None;
        match task.stage() {
            Stage::Unowned => match wish {
                Wish::Run => self.claim(key),
                Wish::Wait(_) => {}
                Wish::Go(_) => {
                    self.work.connectors.insert(key.connector); // the last step of a stop, or of a task that is too many
                }
            },
            Stage::Assigned | Stage::Revoking => match self.leaves_because(key, wish) {
                None => self.stay(key),
                Some(why) => self.leave(key, wish, why),
            },
            Stage::Stopped => match wish {
                Wish::Run => self.claim(key),
                Wish::Wait(_) | Wish::Go(_) => self.want(key, Wanted::Release),
            },
            Stage::Orphaned => self.force(key, wish),
        }
    }

    /// Why a task has to leave its owner. `None`: it stays.
    fn leaves_because(&self, key: TaskKey, wish: Wish) -> Option<RevokedWhy> {
        let task = self.task(key)?;
        match wish {
            Wish::Go(why) | Wish::Wait(why) => Some(why),
            Wish::Run => {
                let at_home = task.owner.is_some_and(|owner| task.target == Some(owner.agent));
                (!at_home).then_some(RevokedWhy::Moved)
            }
        }
    }

    /// The owner keeps it. A revocation that was not said yet is called off.
    fn stay(&mut self, key: TaskKey) {
        let Some(task) = self.task_mut(key) else { return };
        if task.stage() == Stage::Revoking && !task.revoked.1 {
            task.enter(Stage::Assigned);
            if let Some(owner) = task.owner {
                self.tell(owner.agent, key);
            }
        }
    }

    /// The owner is to stop it: it is told to, or, when it cannot be, waited for.
    fn leave(&mut self, key: TaskKey, wish: Wish, why: RevokedWhy) {
        let Some(task) = self.task_mut(key) else { return };
        let Some(owner) = task.owner else { return };
        if task.told.is_none() {
            task.stopped(); // it never heard of it
            self.touch(key);
            return;
        }
        let Some(agent) = self.agents.get(&owner.agent) else {
            return self.force(key, wish);
        };
        if agent.lost {
            return self.force(key, wish);
        }
        let connected = agent.connection.is_some();
        let Some(task) = self.task_mut(key) else { return };
        if task.stage() == Stage::Assigned && connected {
            task.enter(Stage::Revoking);
            task.revoked = (why, false);
            self.tell(owner.agent, key);
            self.seen(key);
        }
    }

    /// Takes a task away from an owner that cannot be asked.
    fn force(&mut self, key: TaskKey, wish: Wish) {
        let Some(connector) = self.connectors.get(&key.connector) else {
            return;
        };
        let Some(task) = connector.tasks.get(&key.number) else {
            return;
        };
        let Some(owner) = task.owner else { return };
        let reconfigured = matches!(wish, Wish::Wait(_));
        if wish == Wish::Run && task.target.is_none() {
            return; // there is nobody to give it to
        }
        let home = wish == Wish::Run && task.target == Some(owner.agent) && task.stage() != Stage::Orphaned;
        if home {
            return; // it comes back, or is placed elsewhere
        }
        let fenceable = self.is_fenceable(key) && !self.is_unfenceable(owner);
        if !fenceable || reconfigured {
            let until = self.outwaited(owner);
            if self.now < until {
                self.timers.insert((until, Timer::Task(key)));
                self.seen(key);
                return;
            }
        }
        if task.stage() != Stage::Orphaned {
            match self.agents.contains_key(&owner.agent) {
                true => self.declare(owner.agent, owner.session),
                false => self.abandon(key),
            }
            return;
        }
        match wish {
            Wish::Run => self.claim(key),
            Wish::Wait(_) | Wish::Go(_) => {
                let dead = AgentSession {
                    agent: owner.agent,
                    session: owner.session,
                };
                // Also of a strict one, which was waited for: a process that was paused all that time may have an effect in flight, and
                // what comes next need not be this task, whose start would fence it.
                if self.is_fenced_for(key.connector, dead) {
                    self.want(key, Wanted::Release);
                }
            }
        }
    }

    /// The owner is no agent that anybody knows: somebody removed its record, and it was waited for.
    fn abandon(&mut self, key: TaskKey) {
        if let Some(task) = self.task_mut(key) {
            task.stopped();
            self.touch(key);
        }
    }

    /// The target becomes the owner, if it can now.
    fn claim(&mut self, key: TaskKey) {
        let now = self.now;
        let Some(task) = self.task(key) else { return };
        let (stage, owner, rests_until) = (task.stage(), task.owner, task.rests_until);
        let Some(target) = task.target else { return };
        if !key.is_instance() && self.is_set_in_flight(key.connector) {
            return; // it may be of the past; its end brings us back
        }
        let Some(session) = self.agents.get(&target).and_then(super::Agent::takes_tasks) else {
            return; // it is touched when the agent is back
        };
        if rests_until > now {
            self.timers.insert((rests_until, Timer::Task(key)));
            return;
        }
        let is_owner = owner.is_some_and(|owner| (owner.agent, owner.session) == (target, session));
        if is_owner && stage == Stage::Stopped {
            // The same ownership goes on: a new generation says so, and nothing is written.
            let Some(generation) = self.generation() else { return };
            if let Some(task) = self.task_mut(key) {
                task.enter(Stage::Assigned);
                task.generation = Some(generation);
                task.report = None;
                self.tell(target, key);
                self.seen(key);
            }
            return;
        }
        self.want(key, Wanted::Claim(target));
    }

    fn want(&mut self, key: TaskKey, wanted: Wanted) {
        if let Some(task) = self.task_mut(key) {
            task.wanted = Some(wanted);
            self.work.shards.insert((key.connector, Shard::of(key.number)));
        }
    }

    /// What shall be written of a shard: all its owners, and the tasks that change. `None`: there is no such connector.
    pub(super) fn owners_wanted(
        &mut self,
        uid: dray_model::ConnectorUid,
        shard: Shard,
    ) -> Option<(BTreeMap<u32, Owner>, Vec<TaskKey>)> {
        let connector = self.connectors.get(&uid)?;
        let of_shard = |number: &u32| Shard::of(*number) == shard;
        let numbers: Vec<u32> = connector.tasks.keys().copied().filter(of_shard).collect();
        let mut owners = BTreeMap::new();
        let mut changed = Vec::new();
        for number in numbers {
            let key = TaskKey { connector: uid, number };
            let task = self.task(key)?;
            let (wanted, owner) = (task.wanted, task.owner);
            let becomes = match wanted {
                None => owner,
                Some(Wanted::Release) => None,
                Some(Wanted::Claim(agent)) => {
                    let session = self.agents.get(&agent).and_then(super::Agent::takes_tasks);
                    let Some(session) = session else {
                        owners.extend(owner.map(|owner| (number, owner)));
                        continue; // it went since; its tasks are touched when it is back
                    };
                    Some(Owner {
                        agent,
                        session,
                        generation: self.generation()?,
                    })
                }
            };
            owners.extend(becomes.map(|owner| (number, owner)));
            if wanted.is_some() {
                self.task_mut(key)?.writing = true;
                changed.push(key);
            }
        }
        Some((owners, changed))
    }

    /// The store names this owner of a task.
    pub(super) fn owner_changed(&mut self, key: TaskKey, owner: Option<Owner>) {
        let Some(connector) = self.connectors.get_mut(&key.connector) else {
            return;
        };
        let inherited = connector.inherited;
        let is_new = !connector.tasks.contains_key(&key.number);
        let task = connector
            .tasks
            .entry(key.number)
            .or_insert_with(|| Task::new(inherited));
        self.unproved += usize::from(is_new && inherited);
        let before = task.owner;
        if before == owner {
            return;
        }
        let was_orphaned = task.stage() == Stage::Orphaned;
        let ours = task.writing;
        task.owner = owner;
        task.generation = owner.map(|owner| owner.generation);
        task.report = None;
        task.older = false;
        task.digest = None;
        task.recovery = None;
        if let (true, Some(before)) = (was_orphaned, before) {
            let dead = AgentSession {
                agent: before.agent,
                session: before.session,
            };
            if task.fences.known.insert(dead) {
                *self.fenced_first.entry(dead).or_default() += 1;
            }
        }
        let task = self.task_mut(key).expect("made above if it was not there");
        match owner {
            None => {
                if task.stage() != Stage::Unowned {
                    if matches!(task.stage(), Stage::Assigned | Stage::Revoking) {
                        task.stopped(); // a write that was not ours
                    }
                    task.enter(Stage::Unowned);
                }
                task.told = None;
            }
            Some(owner) => {
                if task.stage() == Stage::Revoking {
                    task.stopped();
                }
                task.enter(Stage::Assigned);
                // Nobody but us can have told it; what an earlier leader may have said is found out.
                task.told = (!ours).then_some(owner.generation);
            }
        }
        if let Some(agent) = before.and_then(|before| self.agents.get_mut(&before.agent)) {
            agent.owned.remove(&key);
            agent.outbox.remove(&key);
            if agent.owned.is_empty() || !agent.record.dead_sessions.is_empty() {
                self.work.agents.insert(agent.record.number);
            }
            self.work.seen_agents.insert(agent.record.number);
        }
        let event = match owner {
            Some(owner) => {
                if let Some(agent) = self.agents.get_mut(&owner.agent) {
                    agent.owned.insert(key);
                    self.work.seen_agents.insert(owner.agent);
                }
                self.settle_session(key, owner);
                scheduler::Event::Owned {
                    task: key,
                    agent: owner.agent,
                }
            }
            None => scheduler::Event::Freed(key),
        };
        let decisions = self.scheduler.on(self.now, event);
        self.decided(decisions);
        self.touch(key);
    }

    /// What the record of the owner's agent says of the session that owns a task.
    fn settle_session(&mut self, key: TaskKey, owner: Owner) {
        let Some(agent) = self.agents.get(&owner.agent) else {
            return;
        };
        let live = agent.record.session == Some(owner.session);
        let declared = agent.record.dead_sessions.contains_key(&owner.session);
        let Some(task) = self.task_mut(key) else { return };
        if live {
            if task.told.is_none() {
                self.tell(owner.agent, key);
            }
        } else if declared && task.told.is_some() {
            task.enter(Stage::Orphaned);
        } else {
            task.stopped();
        }
    }

    /// A new generation under the same owner: it restarts the task, with its present configuration.
    pub(super) fn renew(&mut self, key: TaskKey) {
        let Some(task) = self.task(key) else { return };
        let Some(owner) = task
            .owner
            .filter(|_| task.stage() == Stage::Assigned && task.told.is_some())
        else {
            return; // it begins anew anyway
        };
        let Some(generation) = self.generation() else { return };
        if let Some(task) = self.task_mut(key) {
            task.generation = Some(generation);
            task.report = None;
            self.tell(owner.agent, key);
            self.seen(key);
        }
    }

    /// When everything of a session is dead, whatever it can reach.
    pub(super) fn outwaited(&self, owner: Owner) -> Millis {
        let inherited = self.elected.plus(self.timing.leader_ms);
        let Some(agent) = self.agents.get(&owner.agent) else {
            return inherited.plus(self.timing.reassign_ms);
        };
        if agent.record.session == Some(owner.session) {
            return agent.acked.plus(self.timing.reassign_ms);
        }
        match agent.dead.get(&owner.session) {
            Some(dead) => dead.outwaited,
            None => inherited.plus(self.timing.reassign_ms),
        }
    }

    /// Whether Kafka refuses what a task may still do at its owner: it is of that class, and was when it was assigned.
    pub(super) fn is_fenceable(&self, key: TaskKey) -> bool {
        let Some(connector) = self.connectors.get(&key.connector) else {
            return false;
        };
        let assigned = match connector.tasks.get(&key.number).and_then(|task| task.recovery) {
            Some(recovery) => recovery == Recovery::Fenced,
            // By an earlier leader, under the configuration that its set was made from.
            None => {
                let version = connector.set.as_ref().map(|set| set.config_version);
                version.is_none_or(|version| version == connector.assigned.config_version)
            }
        };
        assigned && connector.settings.recovery == Recovery::Fenced
    }

    /// Whether the session that owns a task has no writer that could be fenced. Of one that was dead at the election only the latest is
    /// known; for others the worst is assumed.
    fn is_unfenceable(&self, owner: Owner) -> bool {
        let Some(agent) = self.agents.get(&owner.agent) else {
            return true;
        };
        if agent.record.session == Some(owner.session) {
            return agent.record.unfenceable;
        }
        match agent.dead.get(&owner.session) {
            Some(dead) => dead.unfenceable,
            None => agent.record.session.is_some() || agent.record.unfenceable,
        }
    }
}
