//! Who can be heard, who is silent for long enough to lose its tasks, and how one is declared dead.

use super::agents::{Dead, LONGEST_HOLD_MS};
use super::edits::Edit;
use super::event::LinkState;
use super::{Machine, Timer};
use crate::scheduler;
use dray_model::{AgentNumber, AgentPolicy, Millis, SessionId};

/// So many heartbeats that do not come are silence: an agent is given nothing more, and keeps what it has.
const SILENT_BEATS: u64 = 3;

impl Machine {
    /// Looks whether an agent is silent, and comes again when it may be.
    pub(super) fn listen(&mut self, number: AgentNumber) {
        let Some(agent) = self.agents.get(&number) else { return };
        if agent.lost {
            return;
        }
        let (now, timing) = (self.now, self.timing);
        let connected = agent.connection.is_some();
        let silent_at = agent.heard.plus(SILENT_BEATS * u64::from(timing.lease.heartbeat_ms));
        let mut lost_at = match (agent.leaving, agent.broke) {
            (Some(back_by), _) if !connected && back_by != Millis::NEVER => back_by,
            (_, Some(broke)) if !connected => broke.plus(self.grace(broke)),
            (Some(_) | None, Some(_) | None) => agent.heard.plus(timing.silent_ms),
        };
        if agent.record.policy == AgentPolicy::Restarting {
            // Somebody restarts it: its tasks are held for it, announced or not.
            lost_at = lost_at.max(agent.heard.plus(LONGEST_HOLD_MS));
        }
        if !self.is_settled() {
            lost_at = lost_at.max(self.elected.plus(timing.settle_ms));
        }
        if now >= lost_at {
            return self.lose(number);
        }
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        let silent = agent.link == LinkState::Connected && now >= silent_at;
        let next = if agent.link == LinkState::Connected && !silent {
            silent_at.min(lost_at)
        } else {
            lost_at
        };
        if silent {
            agent.enter(LinkState::Silent);
            self.is_silent(number);
        }
        self.timers.insert((next, Timer::Silence(number)));
    }

    fn is_silent(&mut self, number: AgentNumber) {
        let decisions = self.scheduler.on(self.now, scheduler::Event::AgentSilent(number));
        self.decided(decisions);
        self.work.seen_agents.insert(number);
    }

    /// How long an agent is waited for whose stream broke then: longer when many broke, because then it was not they.
    fn grace(&self, broke: Millis) -> u64 {
        let timing = &self.timing;
        let near = |(at, _): &&(Millis, AgentNumber)| at.since(broke).max(broke.since(*at)) <= timing.many_within_ms;
        let mut broken: Vec<_> = self.breaks.iter().filter(near).map(|(_, agent)| *agent).collect();
        broken.sort_unstable();
        broken.dedup();
        let sessions = self
            .agents
            .values()
            .filter(|agent| agent.record.session.is_some())
            .count();
        let broken = broken.len() as u64;
        if broken > 1 && broken * 100 > sessions as u64 * timing.many_percent {
            timing.many_broken_ms
        } else {
            timing.broken_ms
        }
    }

    /// The stream of an agent is gone.
    pub(super) fn broke(&mut self, number: AgentNumber) {
        let now = self.now;
        let within = self.timing.many_within_ms.max(self.timing.many_broken_ms);
        while self.breaks.front().is_some_and(|(at, _)| now.since(*at) > within) {
            self.breaks.pop_front();
        }
        self.breaks.push_back((now, number));
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        agent.connection = None;
        agent.broke = Some(now);
        agent.unanswered = None;
        let commands = std::mem::take(&mut agent.commands);
        if agent.link == LinkState::Connected {
            agent.enter(LinkState::Silent);
        }
        for asked in commands.into_values() {
            self.fence_ended(asked, Some("the agent that was asked to fence it is gone".into()));
        }
        self.is_silent(number);
        self.timers
            .insert((now.plus(self.timing.broken_ms), Timer::Silence(number)));
        self.touch_all_of(number);
    }

    /// An agent is heard: by a heartbeat, or because it was welcomed just now.
    pub(super) fn is_heard(&mut self, number: AgentNumber) {
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        let was_lost = std::mem::take(&mut agent.lost);
        let silent = !matches!(agent.link, LinkState::Connected | LinkState::Returning);
        if silent {
            agent.enter(LinkState::Connected);
        }
        if was_lost {
            self.timers.insert((self.now, Timer::Silence(number)));
        }
        if silent || was_lost {
            self.joined(number, false);
            self.come_home(number);
        }
    }

    /// Tells the scheduler that an agent takes tasks. If it was the first that can be heard at all, the others' tasks may be freed now.
    pub(super) fn joined(&mut self, number: AgentNumber, fresh: bool) {
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        if !std::mem::replace(&mut agent.known, true) && agent.inherited {
            self.back += 1;
            if !self.settled && self.is_settled() {
                let waiting = self.agents.keys().map(|number| (self.now, Timer::Silence(*number)));
                self.timers.extend(waiting);
            }
        }
        let Some(agent) = self.agents.get(&number) else { return };
        let agent = agent.spec();
        let was_cut_off = self.scheduler.is_cut_off();
        let decisions = self
            .scheduler
            .on(self.now, scheduler::Event::AgentJoined { agent, fresh });
        self.decided(decisions);
        if was_cut_off {
            let lost = self
                .agents
                .iter()
                .filter(|(_, agent)| agent.lost)
                .map(|(number, _)| *number);
            for lost in lost.collect::<Vec<_>>() {
                self.touch_all_of(lost);
            }
        }
        self.touch_all_of(number);
        self.work.agents.insert(number);
        self.work.deltas.insert(number);
        self.work.seen_agents.insert(number);
    }

    /// What an agent still runs although recovery had begun to place it elsewhere may stay.
    pub(super) fn come_home(&mut self, number: AgentNumber) {
        let Some(agent) = self.agents.get(&number) else { return };
        for key in agent.owned.clone() {
            let away = self.task(key).is_some_and(|task| task.target != Some(number));
            if away {
                let decisions = self.scheduler.on(self.now, scheduler::Event::Returned(key));
                self.decided(decisions);
            }
        }
    }

    /// Whether enough agents are back after the election, or time enough went by.
    fn is_settled(&mut self) -> bool {
        if !self.settled {
            let waited = self.now.since(self.elected) >= self.timing.settle_ms;
            self.settled = waited || self.back * 10 >= self.expected * 9;
        }
        self.settled
    }

    /// An agent was silent for long enough. Its tasks go elsewhere when the guard lets them, and it is declared dead when the first
    /// one has to.
    fn lose(&mut self, number: AgentNumber) {
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        agent.lost = true;
        if agent.link == LinkState::Connected {
            agent.enter(LinkState::Silent);
        }
        if agent.owned.is_empty() {
            agent.enter(LinkState::Gone);
        }
        let decisions = self.scheduler.on(self.now, scheduler::Event::AgentLost(number));
        self.decided(decisions);
        self.work.seen_agents.insert(number);
        self.touch_all_of(number);
    }

    /// Declares a session dead: written down before anybody else may own what it owned. Nobody is while we hear no agent at all,
    /// because then it is we who are cut off.
    pub(super) fn declare(&mut self, number: AgentNumber, session: SessionId) {
        if self.scheduler.is_cut_off() {
            return;
        }
        self.note_dead(number, session);
    }

    /// Wants the declaration, with what is to be known of the session afterwards.
    pub(super) fn note_dead(&mut self, number: AgentNumber, session: SessionId) {
        let reassign_ms = self.timing.reassign_ms;
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        if agent.record.session != Some(session) || agent.is_being_declared(session) {
            return;
        }
        let dead = Dead {
            instance: agent.record.instance,
            outwaited: agent.acked.plus(reassign_ms),
            unfenceable: agent.record.unfenceable,
        };
        agent.dead.insert(session, dead);
        agent.edits.push(Edit::Declare(session));
        self.work.agents.insert(number);
    }
}
