//! The stream to the leader: opened again and again, greeted, kept alive by heartbeats, and given up when nobody answers.

use crate::event::{ConnectionId, Effect};
use crate::session::{Own, Session};
use crate::task::Running;
use dray_model::message::{
    Fenced, FencedWhy, FromAgent, Heartbeat, HeartbeatAck, Held, LeaveIntent, NotLeader, Order, Owned, PROTOCOL,
    RunState, StoppedTask, TaskReport, ToAgent, Welcome,
};
use dray_model::{Millis, SessionId, TaskKey, Term};
use std::collections::VecDeque;

/// The wait before an attempt to connect is drawn from 0 to this, doubled with each attempt …
const FIRST_WAIT_MS: u64 = 200;
/// … up to this: a proxy that was restarted in front of the leader must cost nobody a session (F8).
const LONGEST_WAIT_MS: u64 = 1_000;
/// A stream that is not open, not welcomed or without an acknowledgement for so long is given up.
const SILENCE_MS: u64 = 5_000;
/// The longest time that a leader can keep an agent away that it refuses.
const LONGEST_RETRY_MS: u64 = 60_000;
/// Heartbeats without an answer that are remembered. The stream is given up after 5 s, and they are at least 100 ms apart.
const UNANSWERED: usize = 64;
/// Changes of state are collected for so long: a thousand tasks that start at once are a few messages, and nobody sees the delay.
const COLLECT_MS: u64 = 15;
/// Messages of changes since the leader last acknowledged a heartbeat: twice what fits between two heartbeats by default, and half of what
/// waits for a stream. A leader that does not read gets no more, and what it missed with the next heartbeat.
const EVENTS_UNANSWERED: u32 = 128;
/// Traces in one heartbeat, far below the 4 MiB of a message; other tasks wait for the next …
const TRACES_BYTES: usize = 1 << 20;
/// … and in one message of changes: 8 MiB of them before a leader has to answer.
const EVENTS_TRACES_BYTES: usize = 64 << 10;
/// Tasks in one message.
const TASKS_A_MESSAGE: usize = 500;

/// The stream, as far as it is.
#[derive(Debug)]
pub(crate) enum Link {
    /// None, and none is wanted before this.
    Down { until: Millis },
    /// Asked for.
    Opening { id: ConnectionId, since: Millis },
    /// Hello was said, with this session.
    Greeted {
        id: ConnectionId,
        since: Millis,
        quoted: Option<SessionId>,
    },
    /// Welcomed.
    Up(Up),
}

#[derive(Debug)]
pub(crate) struct Up {
    id: ConnectionId,
    term: Term,
    /// Of the last heartbeat.
    seq: u64,
    /// When which heartbeat was sent that has no answer yet.
    sent: VecDeque<(u64, Millis)>,
    /// When the leader last welcomed or acknowledged.
    heard: Millis,
    next_beat: Millis,
    /// The next message of changes is sent no earlier.
    next_events: Millis,
    /// So many of them were sent since the last acknowledgement.
    events: u32,
}

impl Session {
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.link, Link::Up(_))
    }

    #[cfg(test)]
    pub(crate) fn is_greeted(&self) -> bool {
        matches!(self.link, Link::Greeted { .. })
    }

    fn connection(&self) -> Option<ConnectionId> {
        match &self.link {
            Link::Down { .. } => None,
            Link::Opening { id, .. } | Link::Greeted { id, .. } => Some(*id),
            Link::Up(up) => Some(up.id),
        }
    }

    /// Says something, if a leader has welcomed us.
    pub(crate) fn say(&mut self, message: FromAgent) {
        if let Link::Up(up) = &self.link {
            let connection = up.id;
            self.effect(Effect::Send { connection, message });
        }
    }

    /// Closes the stream and tries again after a while, at least after so long.
    pub(crate) fn hang_up(&mut self, at_least_ms: u64) {
        if let Some(id) = self.connection() {
            self.effect(Effect::Disconnect(id));
        }
        self.link_down(at_least_ms);
    }

    fn link_down(&mut self, at_least_ms: u64) {
        let most = (FIRST_WAIT_MS << self.attempts.min(8)).min(LONGEST_WAIT_MS);
        self.attempts = self.attempts.saturating_add(1);
        let wait = self.jitter.up_to(most).max(at_least_ms);
        self.link = Link::Down {
            until: self.now.plus(wait),
        };
    }

    pub(crate) fn connected(&mut self, connection: ConnectionId) {
        match self.link {
            Link::Opening { id, .. } if id == connection => {}
            Link::Down { .. } | Link::Opening { .. } | Link::Greeted { .. } | Link::Up(_) => return,
        }
        let held = self.held();
        self.stopped.clear();
        let quoted = self.own.as_ref().map(|own| own.id);
        let hello = self.identity.hello(quoted, self.max_term, held);
        self.link = Link::Greeted {
            id: connection,
            since: self.now,
            quoted,
        };
        self.effect(Effect::Send {
            connection,
            message: FromAgent::Hello(hello),
        });
    }

    /// Everything that may still cause an effect. A task is listed twice while it stops and a successor waits for that.
    fn held(&self) -> Vec<Held> {
        let mut held = Vec::with_capacity(self.tasks.len());
        for (key, task) in &self.tasks {
            if let Some(running) = &task.running {
                held.push(Held {
                    owned: Owned {
                        task: *key,
                        generation: running.generation,
                    },
                    stopping: running.state == RunState::Stopping,
                    asked_restarts: running.asked_restarts,
                });
            }
            if let Some(waiting) = &task.waiting {
                held.push(Held {
                    owned: waiting.assignment.owned,
                    stopping: false,
                    asked_restarts: waiting.assignment.asked_restarts,
                });
            }
        }
        held
    }

    pub(crate) fn disconnected(&mut self, connection: ConnectionId) {
        if self.connection() == Some(connection) {
            self.link_down(0);
        }
    }

    pub(crate) fn message(&mut self, connection: ConnectionId, message: ToAgent) {
        if self.connection() != Some(connection) {
            return;
        }
        let ToAgent { term, body } = message;
        match (&self.link, body) {
            // Whoever says it: it is only a hint.
            (Link::Greeted { .. } | Link::Up(_), Order::NotLeader(not)) => self.not_leader(not),
            (Link::Greeted { .. }, Order::Welcome(_) | Order::Fenced(_)) if self.max_term > Some(term) => {
                self.hang_up(0)
            }
            (Link::Greeted { quoted, .. }, Order::Welcome(welcome)) => {
                let quoted = *quoted;
                self.welcome(connection, term, quoted, welcome);
            }
            (Link::Greeted { .. }, Order::Fenced(fenced)) => {
                self.max_term = Some(term);
                self.fenced(fenced);
            }
            (Link::Up(up), body) if up.term == term => self.order(body),
            // A leader of another term must be greeted; an old one is not heard.
            (Link::Up(up), _) if up.term < term => self.hang_up(0),
            (Link::Up(_) | Link::Down { .. } | Link::Opening { .. } | Link::Greeted { .. }, _) => {}
        }
    }

    fn not_leader(&mut self, not: NotLeader) {
        self.endpoints = not.endpoints;
        self.endpoints.truncate(16); // more replicas than anybody runs
        self.hang_up(u64::from(not.retry_after_ms).min(LONGEST_WAIT_MS));
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::HeartbeatAck(ack) => self.acked(ack),
            Order::Assignments(delta) => self.assignments(*delta),
            Order::TaskConfigsStored { instance } => self.configs_stored(instance),
            Order::WriterConfirmed(cluster) => self.writer_confirmed(cluster),
            Order::Verdicts(verdicts) => self.verdicts(&verdicts),
            Order::Command(command) => self.command(command),
            Order::Fenced(fenced) => self.fenced(fenced),
            // It is the first word or none.
            Order::Welcome(_) => self.hang_up(0),
            Order::NotLeader(not) => self.not_leader(not),
        }
    }

    fn welcome(&mut self, id: ConnectionId, term: Term, quoted: Option<SessionId>, welcome: Welcome) {
        if self.max_term != Some(term) {
            // Each leader counts its commands anew.
            self.commands.clear();
            self.results.clear();
        }
        self.max_term = Some(term);
        if !PROTOCOL.contains(&welcome.protocol) {
            self.warn(format!(
                "the control plane wants protocol {}, and this version speaks {} to {}; trying again",
                welcome.protocol,
                PROTOCOL.start(),
                PROTOCOL.end()
            ));
            return self.hang_up(LONGEST_WAIT_MS);
        }
        let goes_on = match (&self.own, quoted) {
            (Some(own), Some(quoted)) => {
                if own.id != quoted || own.id != welcome.session || own.number != welcome.number {
                    return self.end_session("the control plane no longer knows this session", 0);
                }
                true
            }
            (None, None) => {
                if self.last_session >= Some(welcome.session) {
                    self.warn(format!(
                        "session {} was granted, which is not newer than an earlier one of this process; trying again",
                        welcome.session
                    ));
                    return self.hang_up(LONGEST_WAIT_MS);
                }
                false
            }
            // Cannot be: a session begins and ends with its connection down.
            (Some(_), None) | (None, Some(_)) => return self.hang_up(0),
        };
        self.attempts = 0;
        self.endpoints.clear();
        self.warned = None;
        self.link = Link::Up(Up {
            id,
            term,
            seq: 0,
            sent: VecDeque::new(),
            heard: self.now,
            next_beat: self.now,
            next_events: self.now,
            events: 0,
        });
        if goes_on {
            if let Some(own) = self.live() {
                own.lease = welcome.lease;
            }
            self.judge_held(&welcome.verdicts);
        } else {
            self.begin(welcome);
        }
        self.say_again();
    }

    fn begin(&mut self, welcome: Welcome) {
        self.last_session = Some(welcome.session);
        self.effect(Effect::SessionBegan {
            session: welcome.session,
            number: welcome.number,
            worker: welcome.worker.clone(),
        });
        self.own = Some(Own::new(welcome));
    }

    /// What a stream that broke may have lost.
    fn say_again(&mut self) {
        self.beat(true);
        let stopped = std::mem::take(&mut self.stopped);
        for part in stopped.chunks(TASKS_A_MESSAGE) {
            self.say(FromAgent::TasksStopped(part.to_vec()));
        }
        if let Some(back) = self.leaving.as_ref().map(|leaving| leaving.back_in_ms) {
            self.say(FromAgent::LeaveIntent(LeaveIntent { expect_back_ms: back }));
        }
        let fenced: Vec<_> = self.own.iter().flat_map(|own| own.fenced.iter().cloned()).collect();
        for (dead, cluster) in fenced {
            self.say(FromAgent::SessionFenced { dead, cluster });
        }
        self.writers_on_welcome();
        let configs: Vec<_> = self.own.iter().flat_map(|own| own.configs.values().cloned()).collect();
        for configs in configs {
            self.say(FromAgent::TaskConfigs(configs));
        }
        self.ask_again();
        for result in std::mem::take(&mut self.results) {
            self.say(FromAgent::CommandResult(result));
        }
    }

    /// A leader that may not answer just then drops the question.
    fn ask_again(&mut self) {
        let checks = self.own.iter().flat_map(|own| own.checks.values());
        let checks: Vec<_> = checks.map(|check| check.0).collect();
        for part in checks.chunks(TASKS_A_MESSAGE) {
            self.say(FromAgent::GenerationCheck(part.to_vec()));
        }
    }

    fn acked(&mut self, ack: HeartbeatAck) {
        let Link::Up(up) = &mut self.link else { return };
        let Some(at) = up.sent.iter().position(|(seq, _)| *seq == ack.seq) else {
            return; // twice, or never sent
        };
        up.heard = self.now;
        up.events = 0;
        let sent = up.sent[at].1;
        up.sent.drain(..=at);
        if let Some(own) = self.live() {
            own.acked = own.acked.max(Some(sent));
        }
    }

    /// The session is over, or none begins.
    fn fenced(&mut self, fenced: Fenced) {
        let Fenced {
            why,
            detail,
            retry_after_ms,
        } = fenced;
        let reason = match why {
            FencedWhy::DeclaredDead => "this agent was silent for too long and declared dead",
            FencedWhy::DuplicateId => "another process runs with this agent's id, or did until a moment ago",
            FencedWhy::Removed => "this agent was removed",
            FencedWhy::Protocol => "the control plane speaks no protocol of this version",
            FencedWhy::OtherCluster => "the control plane belongs to another cluster",
        };
        let text = if detail.is_empty() {
            reason.into()
        } else {
            format!("{reason}: {detail}")
        };
        self.end_session(&text, u64::from(retry_after_ms).min(LONGEST_RETRY_MS));
    }

    pub(crate) fn pass_time_on_link(&mut self) {
        let over = self.own.as_ref().is_some_and(|own| own.over);
        match &self.link {
            // Hello is said again only when everything of the old session is dead.
            Link::Down { until } if self.now >= *until && !over => self.open(),
            Link::Opening { since, .. } | Link::Greeted { since, .. } if self.now.since(*since) >= SILENCE_MS => {
                self.hang_up(0);
            }
            Link::Up(up) if self.now.since(up.heard) >= SILENCE_MS => self.hang_up(0),
            Link::Up(up) if self.now >= up.next_beat => {
                self.beat(false);
                self.ask_again();
            }
            Link::Down { .. } | Link::Opening { .. } | Link::Greeted { .. } | Link::Up(_) => {}
        }
        self.say_soon();
    }

    fn open(&mut self) {
        self.connections += 1;
        let id = ConnectionId(self.connections);
        self.link = Link::Opening { id, since: self.now };
        let endpoints = std::mem::take(&mut self.endpoints);
        self.effect(Effect::Connect {
            connection: id,
            endpoints,
        });
    }

    /// Sends a heartbeat, with all tasks in the first of a connection.
    fn beat(&mut self, all: bool) {
        let Some(every) = self.live().map(|own| u64::from(own.lease.heartbeat_ms.max(100))) else {
            return;
        };
        let now = self.now;
        let Link::Up(up) = &mut self.link else { return };
        up.seq += 1;
        up.next_beat = now.plus(every);
        if up.sent.len() == UNANSWERED {
            up.sent.pop_front();
        }
        up.sent.push_back((up.seq, now));
        let seq = up.seq;
        let changed = self.changed(all);
        self.say(FromAgent::Heartbeat(Heartbeat {
            seq,
            changed,
            cpu_millis: self.cpu_millis,
            memory_bytes: self.memory_bytes,
        }));
    }

    fn changed(&mut self, all: bool) -> Vec<TaskReport> {
        let mut room = TRACES_BYTES;
        let mut reports = Vec::new();
        for (key, task) in &mut self.tasks {
            if let Some(running) = &mut task.running {
                running.changed |= all;
                if running.changed && running.trace_bytes() <= room {
                    room -= running.trace_bytes();
                    running.changed = false;
                    reports.push(running.report(*key));
                }
            }
            if let Some(waiting) = task.waiting.as_mut().filter(|waiting| waiting.changed || all) {
                waiting.changed = false;
                reports.push(waiting.report());
            }
        }
        reports
    }

    /// A task says how it is.
    pub(crate) fn report(&mut self, report: TaskReport) {
        let key = report.owned.task;
        let Some(running) = self.running(report.owned) else {
            return;
        };
        let before = running.state;
        if !running.take(report) || before == running.state {
            return;
        }
        if matches!(running.state, RunState::Running | RunState::Failed | RunState::Paused) {
            self.soon.insert(key);
        }
    }

    /// When [`Event::Tick`](crate::Event::Tick) is wanted earlier than it comes anyway: changes of state are waiting to be said.
    #[must_use]
    pub fn wake_at(&self) -> Option<Millis> {
        let Link::Up(up) = &self.link else { return None };
        let waits = !self.soon.is_empty() && up.events < EVENTS_UNANSWERED;
        waits.then_some(up.next_events)
    }

    /// Says how tasks changed that people wait for, without waiting for the heartbeat.
    fn say_soon(&mut self) {
        if self.wake_at().is_none_or(|at| self.now < at) {
            return;
        }
        let mut room = EVENTS_TRACES_BYTES; // more than one trace
        let mut reports = Vec::new();
        while let Some(key) = self.soon.first().copied()
            && reports.len() < TASKS_A_MESSAGE
        {
            let running = self.tasks.get_mut(&key).and_then(|task| task.running.as_mut());
            // Others went with a heartbeat, or are dead.
            if let Some(running) = running.filter(|running| running.changed) {
                if running.trace_bytes() > room {
                    break;
                }
                room -= running.trace_bytes();
                running.changed = false;
                reports.push(running.report(key));
            }
            self.soon.remove(&key);
        }
        if let Link::Up(up) = &mut self.link
            && !reports.is_empty()
        {
            up.events += 1;
            up.next_events = self.now.plus(COLLECT_MS);
            self.say(FromAgent::TaskEvents(reports));
        }
    }

    /// What runs under this ownership.
    pub(crate) fn running(&mut self, owned: Owned) -> Option<&mut Running> {
        let running = self.tasks.get_mut(&owned.task)?.running.as_mut()?;
        (running.generation == owned.generation).then_some(running)
    }

    /// Says that these are dead: now, or after the Welcome that is awaited. Without a stream the next Hello says it by leaving them out.
    pub(crate) fn say_stopped(&mut self, stopped: Vec<StoppedTask>) {
        if stopped.is_empty() {
            return;
        }
        match &self.link {
            Link::Up(_) => self.say(FromAgent::TasksStopped(stopped)),
            Link::Greeted { .. } => self.stopped.extend(stopped),
            Link::Down { .. } | Link::Opening { .. } => {}
        }
    }

    /// The tasks that are there.
    pub(crate) fn keys(&self) -> Vec<TaskKey> {
        self.tasks.keys().copied().collect()
    }
}
