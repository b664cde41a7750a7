//! One term: the machine, what happens to it, and what it wants done.

use super::{Candidate, Ended};
use crate::board::Board;
use crate::cache::State;
use crate::clock;
use crate::desk::StreamEvent;
use crate::writes::{Settled, Writes};
use dray_machine::cluster::{ConnectionId, Effect, Event, Machine, Name, Outcome, Record, Write, WriteId};
use dray_model::message::ToAgent;
use dray_model::{Millis, Term};
use dray_store::Revision;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

/// The machine wants to be told the time so often.
const TICK: Duration = Duration::from_millis(100);
/// Messages taken together, so that what they want written goes together.
const TOGETHER: usize = 256;

/// A term in which this replica leads.
pub(super) struct Running {
    term: Term,
    machine: Machine,
    writes: Writes,
    board: Arc<Board>,
    streams: mpsc::Receiver<StreamEvent>,
    outbound: FxHashMap<ConnectionId, mpsc::Sender<ToAgent>>,
    states: watch::Receiver<Arc<State>>,
    /// What the machine has been told of the store.
    told: Arc<State>,
    /// Streams that took nothing any more; the machine is told after what it is doing.
    broken: Vec<ConnectionId>,
    resigned: Option<&'static str>,
}

/// What happened.
enum Happened {
    Valid(Millis),
    Stored,
    Settled(Settled),
    Stream(StreamEvent),
    Tick,
    /// Nobody else can end: the cache, the desk and the beat live longer.
    Over,
}

impl Running {
    /// The machine begins with a state that shows its election.
    pub(super) fn begin(candidate: &Candidate, term: Term, state: Arc<State>) -> Self {
        let states = candidate.cache.subscribe();
        let (machine, effects) = Machine::new(term, clock::now(), state.snapshot(), candidate.timing);
        let mut running = Self {
            term,
            machine,
            writes: Writes::new(
                candidate.store.clone(),
                candidate.cache.keys().clone(),
                Revision::new(term.get()),
            ),
            board: candidate.board.clone(),
            streams: candidate.desk.sit_down(),
            outbound: FxHashMap::default(),
            states,
            told: state,
            broken: Vec::new(),
            resigned: None,
        };
        // All at once, so that nobody sees a half of it.
        let (shown, others) = effects
            .into_iter()
            .partition::<Vec<_>, _>(|effect| matches!(effect, Effect::Show(_)));
        let shown = shown.into_iter().filter_map(|effect| match effect {
            Effect::Show(shown) => Some(shown),
            Effect::Send { .. } | Effect::Close(_) | Effect::Write(_) | Effect::Answer(_) | Effect::Resign(_) => None,
        });
        running.board.replace(term, shown.collect());
        running.perform(others);
        running
    }

    pub(super) async fn run(&mut self, mut valid: watch::Receiver<Millis>) -> Ended {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.step(Event::Valid(*valid.borrow_and_update()));
        // What the cache has learned while this was set up.
        if let Some(ended) = self.stored() {
            return ended;
        }
        loop {
            self.writes.pump();
            let happened = tokio::select! {
                Ok(()) = valid.changed() => Happened::Valid(*valid.borrow_and_update()),
                Ok(()) = self.states.changed() => Happened::Stored,
                settled = self.writes.next() => Happened::Settled(settled),
                Some(event) = self.streams.recv() => Happened::Stream(event),
                _ = tick.tick() => Happened::Tick,
                else => Happened::Over,
            };
            match happened {
                Happened::Valid(until) => self.step(Event::Valid(until)),
                Happened::Stored => {
                    if let Some(ended) = self.stored() {
                        return ended;
                    }
                }
                Happened::Settled(Settled::NotLeader) | Happened::Over => return Ended::Lost,
                Happened::Settled(Settled::Written(ended)) => {
                    self.written(ended);
                    let ended = self.writes.told(&self.told);
                    self.written(ended);
                }
                Happened::Stream(event) => {
                    self.stream(event);
                    for _ in 1..TOGETHER {
                        match self.streams.try_recv() {
                            Ok(event) => self.stream(event),
                            Err(_) => break,
                        }
                    }
                }
                Happened::Tick => self.step(Event::Tick),
            }
            while let Some(connection) = self.broken.pop() {
                self.step(Event::Closed(connection));
            }
            if let Some(reason) = self.resigned {
                return Ended::Resigned(reason);
            }
        }
    }

    /// Joins what it has begun. Transactions that were sent may still be applied as long as the term lasts.
    pub(super) async fn end(mut self) {
        self.writes.shutdown().await;
    }

    /// Tells the machine what has changed in the store.
    fn stored(&mut self) -> Option<Ended> {
        let state = self.states.borrow_and_update().clone();
        if let Some(current) = state.behind {
            return Some(Ended::Unfit(format!("the store has gone back to revision {current}")));
        }
        if state.leader.as_ref().is_none_or(|leader| leader.term != self.term) {
            return Some(Ended::Lost);
        }
        if let Some(key) = state.unreadable.first() {
            return Some(Ended::Unfit(format!("the value of {key} cannot be read")));
        }
        for change in state.changes_since(&self.told) {
            self.step(Event::Changed(change));
        }
        self.told = state;
        let ended = self.writes.told(&self.told);
        self.written(ended);
        None
    }

    fn written(&mut self, ended: Vec<(WriteId, Outcome)>) {
        for (write, outcome) in ended {
            self.step(Event::Written { write, outcome });
        }
    }

    fn stream(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Opened { connection, outbound } => {
                self.outbound.insert(connection, outbound);
            }
            // What was said before the stream was closed from here is of no interest.
            StreamEvent::Message { connection, message } if self.outbound.contains_key(&connection) => {
                self.step(Event::Message { connection, message });
            }
            StreamEvent::Closed(connection) if self.outbound.remove(&connection).is_some() => {
                self.step(Event::Closed(connection));
            }
            StreamEvent::Message { .. } | StreamEvent::Closed(_) => {}
        }
    }

    fn step(&mut self, event: Event) {
        let effects = self.machine.step(clock::now(), event);
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { connection, message } => self.send(connection, message),
                Effect::Close(connection) => drop(self.outbound.remove(&connection)),
                Effect::Write(write) => {
                    note(&write);
                    self.writes.want(write, &self.told);
                }
                Effect::Show(shown) => self.board.show(self.term, shown),
                Effect::Answer(result) => {
                    tracing::info!(command = result.id, error = ?result.error, "a command was answered");
                }
                Effect::Resign(reason) => self.resigned = Some(reason),
            }
        }
    }

    /// A stream that is gone says so itself.
    fn send(&mut self, connection: ConnectionId, message: ToAgent) {
        let Some(outbound) = self.outbound.get(&connection) else {
            return;
        };
        if let Err(TrySendError::Full(_)) = outbound.try_send(message) {
            tracing::warn!(
                connection = connection.0,
                "an agent takes nothing any more: its stream is closed"
            );
            self.outbound.remove(&connection);
            self.broken.push(connection);
        }
    }
}

/// A leader writes what is wanted of a connector only to pause it.
fn note(write: &Write) {
    for (name, record) in &write.puts {
        if let (Name::Spec(connector), Record::Spec(spec)) = (name, record)
            && let Some(breaker) = &spec.breaker
        {
            tracing::warn!(connector = %connector, reason = breaker.reason, tasks = breaker.tasks.len(),
                "connector is paused: too many of its records fail");
        }
    }
}
