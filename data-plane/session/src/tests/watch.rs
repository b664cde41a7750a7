//! What holds of every agent, whatever a leader says and a driver does. Looks at events and effects only.

use crate::task::may_become;
use crate::{ConnectionId, Effect, Event, Gate};
use dray_model::message::*;
use dray_model::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(super) struct Watch {
    open: Option<ConnectionId>,
    greeted: bool,
    /// What runs: its recovery, and whether it was killed.
    pub(super) alive: BTreeMap<Owned, (Recovery, bool)>,
    started: BTreeMap<TaskKey, Generation>,
    gate: Option<Gate>,
    pub(super) session: Option<SessionId>,
    /// When heartbeats were sent on the stream that is open.
    beats: BTreeMap<u64, Millis>,
    /// The latest of this session that was acknowledged, in the terms of the stream that is open.
    acked: Option<Millis>,
    committed: Option<Millis>,
    /// Fenced and not usable again.
    doubted: BTreeSet<KafkaCluster>,
    /// How far each writer is: asked for, opened, confirmed.
    writers: BTreeMap<KafkaCluster, u8>,
    refused: bool,
    checks: BTreeMap<Owned, Millis>,
    pub(super) left: bool,
    welcomed: bool,
    /// The state of what runs.
    states: BTreeMap<Owned, RunState>,
    /// Whose change of state people wait for, and nobody said.
    unsaid: BTreeSet<Owned>,
    /// When changes were said last on the stream that is open, and how often since the last acknowledgement.
    events: (Option<Millis>, u32),
}

impl Watch {
    pub(super) fn step(&mut self, now: Millis, event: Option<&Event>, effects: &[Effect]) {
        assert!(!self.left || effects.is_empty(), "nothing after the end: {effects:?}");
        if let Some(event) = event {
            self.happened(now, event);
        }
        for effect in effects {
            self.wanted(now, effect);
        }
        let may_say = self.welcomed && self.events.1 < 128 && self.events.0.is_none_or(|at| now >= at.plus(15));
        assert!(!may_say || self.unsaid.is_empty(), "{:?} could be said", self.unsaid);
        if let Some(gate) = self.gate {
            assert!(gate.shut || self.session.is_some(), "open without a session");
            assert!(
                gate.shut || self.doubted.is_empty(),
                "open while {:?} may be fenced",
                self.doubted
            );
            for (owned, (recovery, killed)) in &self.alive {
                let bound_by_time = *recovery == Recovery::Strict || self.refused;
                assert!(
                    !bound_by_time || *killed || now < gate.strict_until,
                    "{owned:?} outlives the lease"
                );
            }
        }
    }

    fn happened(&mut self, now: Millis, event: &Event) {
        match event {
            Event::Disconnected(id) if self.open == Some(*id) => self.closed(),
            Event::Message {
                connection,
                message: ToAgent { body, .. },
            } if self.open == Some(*connection) && self.greeted => match body {
                Order::HeartbeatAck(ack) => {
                    if let Some(sent) = self.beats.get(&ack.seq).copied() {
                        self.acked = self.acked.max(Some(sent));
                        self.beats.retain(|seq, _| *seq > ack.seq);
                        self.events.1 = 0;
                    }
                }
                Order::WriterConfirmed(cluster) => {
                    if let Some(writer) = self.writers.get_mut(cluster).filter(|writer| **writer == 1) {
                        *writer = 2;
                    }
                }
                _ => {}
            },
            Event::Dead { owned, .. } => {
                self.alive.remove(owned);
                self.states.remove(owned);
                self.unsaid.remove(owned);
            }
            Event::Report(report) => {
                let says_itself = !matches!(report.state, RunState::Fencing | RunState::Stopping);
                if let Some(state) = self.states.get_mut(&report.owned)
                    && says_itself
                    && may_become(*state, report.state)
                    && *state != report.state
                {
                    *state = report.state;
                    if matches!(report.state, RunState::Running | RunState::Failed | RunState::Paused) {
                        self.unsaid.insert(report.owned);
                    }
                }
            }
            Event::WriterOpened {
                session,
                cluster,
                refused,
            } if self.session == Some(*session) => {
                if let Some(writer) = self.writers.get_mut(cluster).filter(|writer| **writer == 0) {
                    *writer = 1;
                    self.refused |= refused.is_some();
                }
            }
            Event::WriterCommitted { session, sent, cluster }
                if self.session == Some(*session) && self.writers.contains_key(cluster) =>
            {
                self.committed = self.committed.max(Some((*sent).min(now)));
            }
            Event::WriterFenced { session, cluster } if self.session == Some(*session) => {
                if let Some(writer) = self.writers.get_mut(cluster) {
                    *writer = 3; // until it is opened again
                    self.doubted.insert(cluster.clone());
                }
            }
            Event::Check(owned) => drop(self.checks.insert(*owned, now)),
            _ => {}
        }
    }

    fn closed(&mut self) {
        self.open = None;
        self.greeted = false;
        self.welcomed = false;
        self.beats.clear();
        self.events = (None, 0);
    }

    fn wanted(&mut self, now: Millis, effect: &Effect) {
        match effect {
            Effect::Connect { connection, .. } => {
                assert!(self.open.is_none(), "two streams");
                self.open = Some(*connection);
            }
            Effect::Disconnect(connection) => {
                assert_eq!(self.open, Some(*connection), "closes what is not open");
                self.closed();
            }
            Effect::Send { connection, message } => {
                assert_eq!(self.open, Some(*connection), "says {message:?} on a closed stream");
                self.said(now, message);
            }
            Effect::SessionBegan { session, .. } => {
                assert!(self.alive.is_empty(), "a new session while {:?} live", self.alive);
                self.session = Some(*session);
                (self.acked, self.committed, self.refused) = (None, None, false);
                self.writers.clear();
                self.doubted.clear();
            }
            Effect::OpenWriter { cluster, session } => {
                assert_eq!(self.session, Some(*session));
                self.writers.insert(cluster.clone(), 0);
            }
            Effect::UseWriter { cluster, session } => {
                assert_eq!(self.session, Some(*session));
                assert_eq!(
                    self.writers.get(cluster),
                    Some(&2),
                    "F2: {cluster} is used without a confirmation"
                );
                self.doubted.remove(cluster);
            }
            Effect::Start { assignment, connector } => self.starts(assignment, connector),
            Effect::Stop { owned, .. } => {
                assert!(self.alive.contains_key(owned), "stops what does not run");
                self.stopping(*owned);
            }
            Effect::Kill { owned } => {
                self.alive.get_mut(owned).expect("kills what does not run").1 = true;
                self.stopping(*owned);
            }
            Effect::Gate(gate) => self.gated(*gate),
            Effect::Checked { owned, keep } => {
                let asked = self.checks.remove(owned).expect("an answer without a question");
                let proven = self.committed.is_some_and(|committed| committed > asked);
                assert!(
                    !keep || self.welcomed || proven,
                    "F4: {owned:?} goes on without a proof"
                );
            }
            Effect::Leave => self.left = true,
            Effect::FenceFirst { .. } | Effect::SetPaused { .. } | Effect::Command { .. } | Effect::Warn(_) => {}
        }
    }

    /// It is said with the next heartbeat, whatever it was before.
    fn stopping(&mut self, owned: Owned) {
        self.states.insert(owned, RunState::Stopping);
        self.unsaid.remove(&owned);
    }

    fn starts(&mut self, assignment: &Assignment, connector: &AssignedConnector) {
        let owned = assignment.owned;
        let gate = self.gate.expect("a start before any gate");
        assert!(!gate.shut && !gate.suspect, "{owned:?} starts under {gate:?}");
        assert!(
            !self.alive.keys().any(|other| other.task == owned.task),
            "{owned:?} starts beside another"
        );
        let before = self.started.insert(owned.task, owned.generation);
        assert!(before < Some(owned.generation), "{owned:?} starts after {before:?}");
        self.alive.insert(owned, (connector.recovery, false));
        self.states.insert(owned, RunState::Starting);
    }

    fn gated(&mut self, gate: Gate) {
        assert_ne!(self.gate, Some(gate), "the gate is told twice");
        let lease = LeasePolicy::default();
        let acked = |ms: u32| self.acked.map_or(Millis(0), |acked| acked.plus(ms.into()));
        let committed = self.committed.map_or(Millis(0), |at| at.plus(lease.quiet_ms.into()));
        if !gate.shut {
            assert!(
                gate.strict_until <= acked(lease.lease_ms),
                "the lease counts from sending"
            );
            assert!(gate.fenced_until <= acked(lease.quiet_ms).max(committed), "F9");
            assert!(
                !self.refused || gate.fenced_until <= gate.strict_until,
                "an unfenceable session is strict"
            );
        }
        if let Some(before) = self.gate.filter(|before| !before.shut && !gate.shut) {
            assert!(gate.strict_until >= before.strict_until, "a lease never shrinks");
            assert!(self.refused || gate.fenced_until >= before.fenced_until);
        }
        self.gate = Some(gate);
    }

    fn said(&mut self, now: Millis, message: &FromAgent) {
        assert_eq!(
            self.greeted,
            !matches!(message, FromAgent::Hello(_)),
            "Hello first, and once: {message:?}"
        );
        match message {
            FromAgent::Hello(hello) => {
                self.greeted = true;
                let held: BTreeSet<_> = hello.held.iter().map(|held| held.owned).collect();
                assert_eq!(held.len(), hello.held.len());
                assert!(
                    self.alive.keys().all(|owned| held.contains(owned)),
                    "(5): {:?} live and are not held",
                    self.alive
                );
                assert!(
                    hello.session.is_some() || held.is_empty(),
                    "(5): held without a session"
                );
            }
            FromAgent::Heartbeat(beat) => {
                self.welcomed = true;
                self.beats.insert(beat.seq, now);
                self.reported(&beat.changed, 1 << 20);
            }
            FromAgent::TaskEvents(reports) => {
                let (before, unanswered) = self.events;
                assert!(before.is_none_or(|at| now >= at.plus(15)), "changes are collected");
                assert!(unanswered < 128, "a leader that does not answer is told no more");
                assert!((1..=500).contains(&reports.len()), "{} in a message", reports.len());
                self.events = (Some(now), unanswered + 1);
                self.reported(reports, 64 << 10);
            }
            FromAgent::TasksStopped(stopped) => {
                for StoppedTask { owned, .. } in stopped {
                    let lives = |other: &Owned| other.task == owned.task && other.generation <= owned.generation;
                    assert!(!self.alive.keys().any(lives), "{owned:?} is called dead and lives");
                }
            }
            _ => {}
        }
    }

    fn reported(&mut self, reports: &[TaskReport], most: usize) {
        let traces: usize = reports
            .iter()
            .filter_map(|report| report.trace.as_ref())
            .map(String::len)
            .sum();
        assert!(traces <= most, "{traces} bytes of traces");
        for report in reports {
            self.unsaid.remove(&report.owned);
            if let Some(state) = self.states.get(&report.owned) {
                assert_eq!(report.state, *state, "{:?}", report.owned);
            }
        }
    }
}
