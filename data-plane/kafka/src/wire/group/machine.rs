//! A member of a consumer group under KIP-848, without its I/O: told what happened, it says what is to be done. It knows no clock
//! but the one it is given, and one heartbeat is on its way at most.
//!
//! The coordinator says in its answers which partitions are meant for this member. Those that are not any more are given up first,
//! and that is acknowledged; new ones are the reader's once it is known where the group stands in them.

use crate::error::{Class, Error};
use dray_connect::sink_batch::TopicPartition;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Between two tries of what failed: at first, and at most.
const RETRY: Duration = Duration::from_millis(50);
const MAX_RETRY: Duration = Duration::from_secs(1);
/// Before the first answer says otherwise; Kafka's own default.
const INTERVAL: Duration = Duration::from_secs(5);
/// A group is assigned at most once a second, and who came too early for that hears of it with its next heartbeat, so a member without
/// partitions asks again so often …
const ASK: Duration = Duration::from_millis(400);
/// … but not for ever: in a group of more members than partitions some have none.
const ASK_FOR: Duration = Duration::from_secs(6);
/// A topic that metadata does not name yet is looked for again so often.
const NAME_AGAIN: Duration = Duration::from_secs(1);
/// The reader hears of heartbeats that fail, though a later one may not, when they have failed for so long, and then so often.
const SILENCE: Duration = Duration::from_secs(5);

/// A partition as the coordinator names it. A topic that is created anew has another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) topic: Uuid,
    pub(super) partition: i32,
}

/// What does not change of a member.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// How long the reader may take to give partitions up.
    pub(super) patience: Duration,
}

/// A heartbeat. What is none has not changed since the last one that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heartbeat {
    pub(super) epoch: i32,
    /// Everything that never changes is said too.
    pub(super) full: bool,
    pub(super) topics: Option<Vec<String>>,
    pub(super) owned: Option<BTreeSet<Place>>,
}

/// The coordinator's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) epoch: i32,
    pub(super) interval: Duration,
    /// None when it is the same as before.
    pub(super) assignment: Option<BTreeSet<Place>>,
}

/// Why a request to the coordinator did nothing, or nobody knows what.
#[derive(Clone, Debug)]
pub(super) enum Refused {
    /// The group does not know the member, or not with this epoch.
    Fenced(Error),
    /// Members of another epoch are asked for; the next heartbeat brings it.
    Stale(Error),
    /// The broker has no groups of this protocol.
    Unsupported(Error),
    /// To be asked again; no word of it to the reader.
    Quiet(Error),
    /// The coordinator met an error of its own. Asked again, as it mostly passes; it is the reader's as it is when it lasts.
    Broken(Error),
    Failed(Error),
}

/// What happened.
#[derive(Debug)]
pub(super) enum Event {
    /// Nothing but that time has passed.
    Tick,
    Heartbeat(Result<Answer, Refused>),
    /// The names of topics, as far as there are such topics.
    Named(BTreeMap<Uuid, Arc<str>>),
    /// What the group has committed of the partitions that were asked for.
    Offsets(Result<BTreeMap<Place, i64>, Refused>),
    /// The reader has given up what this number took from it.
    Revoked(u64),
    Subscribe(Vec<String>),
    LeaveWhenLost,
    Rejoin,
    /// A request in this member's name was refused as an unknown member's: a heartbeat shall tell.
    Doubted,
    Close,
    /// It has left, or that could not be said.
    Left,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Effect {
    Heartbeat(Heartbeat),
    /// Says that the member leaves, and [`Event::Left`] afterwards.
    Leave,
    Name(BTreeSet<Uuid>),
    ReadOffsets {
        epoch: i32,
        partitions: Vec<(Place, TopicPartition)>,
    },
    /// These are the reader's, from the group's offsets on.
    Assign(Vec<(Place, TopicPartition, Option<i64>)>),
    /// Nothing of these is delivered any more; they can be committed until they are released.
    Revoke(u64, Vec<TopicPartition>),
    /// These are given up.
    Release(Vec<TopicPartition>),
    /// These are another's already. None is a member without partitions that is out of the group now.
    Lose(Vec<TopicPartition>),
    Tell(Error),
    /// The broker has no such groups: somebody else is to be the member.
    Unsupported(Error),
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    In,
    /// It has lost its partitions, and waits for leave to join.
    Out,
    Leaving,
    Over,
}

/// How far the member is with a change of its partitions.
#[derive(Debug)]
enum Doing {
    Nothing,
    Revoking {
        number: u64,
        until: Instant,
        places: BTreeSet<Place>,
    },
    Naming,
    Reading(BTreeSet<Place>),
    /// The offsets could not be read, and are asked for again then.
    Waiting(Instant),
}

#[derive(Debug)]
pub(super) struct Machine {
    identity: Identity,
    topics: Vec<String>,
    leave_when_lost: bool,
    stage: Stage,
    /// 0: not in the group.
    epoch: i32,
    interval: Duration,
    in_flight: bool,
    /// A join may have reached the coordinator.
    asked_to_join: bool,
    sent: Instant,
    next: Instant,
    failures: u32,
    failing_since: Option<Instant>,
    told: Option<Instant>,
    full: bool,
    topics_changed: bool,
    owned_changed: bool,
    target: BTreeSet<Place>,
    owned: BTreeMap<Place, Arc<str>>,
    names: BTreeMap<Uuid, Arc<str>>,
    name_again: Option<Instant>,
    doing: Doing,
    read_failures: u32,
    revocations: u64,
    lacking_since: Instant,
}

fn backoff(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        n => (RETRY * 2_u32.pow((n - 1).min(5))).min(MAX_RETRY),
    }
}

impl Machine {
    pub(super) fn new(identity: Identity, topics: Vec<String>, now: Instant) -> Self {
        Self {
            identity,
            topics,
            leave_when_lost: false,
            stage: Stage::In,
            epoch: 0,
            interval: INTERVAL,
            in_flight: false,
            asked_to_join: false,
            sent: now,
            next: now,
            failures: 0,
            failing_since: None,
            told: None,
            full: true,
            topics_changed: false,
            owned_changed: false,
            target: BTreeSet::new(),
            owned: BTreeMap::new(),
            names: BTreeMap::new(),
            name_again: None,
            doing: Doing::Nothing,
            read_failures: 0,
            revocations: 0,
            lacking_since: now,
        }
    }

    /// What a request in the member's name has to carry.
    pub(super) fn epoch(&self) -> i32 {
        self.epoch
    }

    /// When there is something to be done though nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let heartbeat = self.may_beat().then_some(self.next);
        let change = match &self.doing {
            Doing::Revoking { until, .. } => Some(*until),
            Doing::Waiting(until) => Some(*until),
            Doing::Nothing => self.name_again,
            Doing::Naming | Doing::Reading(_) => None,
        };
        let change = change.filter(|_| self.stage == Stage::In);
        [heartbeat, change].into_iter().flatten().min()
    }

    pub(super) fn step(&mut self, now: Instant, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        match event {
            Event::Tick => {}
            Event::Heartbeat(answer) => self.answered(now, answer, &mut out),
            Event::Named(found) => self.named(now, found),
            Event::Offsets(offsets) => self.offsets(now, offsets, &mut out),
            Event::Revoked(number) => {
                if matches!(&self.doing, Doing::Revoking { number: asked, .. } if *asked == number) {
                    self.release(now, &mut out);
                }
            }
            Event::Subscribe(topics) => {
                self.topics_changed |= self.topics != topics;
                self.topics = topics;
                self.lacking_since = now;
                self.next = now;
            }
            Event::LeaveWhenLost => self.leave_when_lost = true,
            Event::Rejoin => {
                if self.stage == Stage::Out {
                    self.stage = Stage::In;
                    self.join_anew(now);
                }
            }
            Event::Doubted => self.next = now,
            Event::Close => match self.stage {
                Stage::In | Stage::Out if self.asked_to_join => {
                    self.stage = Stage::Leaving;
                    out.push(Effect::Leave);
                }
                Stage::In | Stage::Out => self.end(&mut out),
                Stage::Leaving | Stage::Over => {}
            },
            Event::Left => {
                if self.stage == Stage::Leaving {
                    self.end(&mut out);
                }
            }
        }
        self.go_on(now, &mut out);
        out
    }

    fn end(&mut self, out: &mut Vec<Effect>) {
        self.stage = Stage::Over;
        out.push(Effect::End);
    }

    fn join_anew(&mut self, now: Instant) {
        self.epoch = 0;
        self.full = true;
        self.next = now + backoff(self.failures);
        self.lacking_since = now;
    }

    fn answered(&mut self, now: Instant, answer: Result<Answer, Refused>, out: &mut Vec<Effect>) {
        self.in_flight = false;
        if self.stage != Stage::In {
            return;
        }
        let refused = match answer {
            Ok(answer) => {
                if self.epoch == 0 {
                    self.lacking_since = now;
                }
                self.failures = 0;
                self.failing_since = None;
                self.told = None;
                self.epoch = answer.epoch;
                self.interval = answer.interval.max(ASK);
                // Something may have been to say meanwhile.
                if self.next > now {
                    self.next = self.sent + self.interval;
                }
                if let Some(assignment) = answer.assignment {
                    self.target = assignment;
                }
                return;
            }
            Err(refused) => refused,
        };
        self.full = true; // Whether it was taken is not known.
        self.failures += 1;
        self.next = now + backoff(self.failures);
        match refused {
            Refused::Fenced(error) if self.epoch > 0 => self.lose(now, &error, out),
            Refused::Unsupported(error) => {
                self.stage = Stage::Over;
                out.push(Effect::Unsupported(error));
            }
            Refused::Failed(error) if error.class == Class::Fatal => out.push(Effect::Tell(error)),
            Refused::Broken(error) => self.tell_when_it_lasts(now, error, out),
            Refused::Fenced(error) | Refused::Stale(error) | Refused::Quiet(error) | Refused::Failed(error) => {
                let class = Class::Retriable;
                self.tell_when_it_lasts(now, Error { class, ..error }, out);
            }
        }
    }

    fn tell_when_it_lasts(&mut self, now: Instant, error: Error, out: &mut Vec<Effect>) {
        let since = *self.failing_since.get_or_insert(now);
        let last = self.told.unwrap_or(since);
        if now.duration_since(last) >= SILENCE {
            self.told = Some(now);
            out.push(Effect::Tell(error));
        }
    }

    fn lose(&mut self, now: Instant, error: &Error, out: &mut Vec<Effect>) {
        tracing::debug!(%error, "the group does not know this member any more");
        let lost: Vec<_> = std::mem::take(&mut self.owned)
            .into_iter()
            .map(|(place, topic)| TopicPartition {
                topic,
                partition: place.partition,
            })
            .collect();
        self.target.clear();
        self.doing = Doing::Nothing;
        self.failures = 0;
        self.join_anew(now);
        if self.leave_when_lost {
            self.stage = Stage::Out;
            // Fenced is not forgotten: the coordinator may still have a member of this id.
            out.push(Effect::Leave);
            out.push(Effect::Lose(lost));
        } else if !lost.is_empty() {
            out.push(Effect::Lose(lost));
        }
    }

    fn named(&mut self, now: Instant, found: BTreeMap<Uuid, Arc<str>>) {
        self.names.extend(found);
        if matches!(self.doing, Doing::Naming) {
            self.doing = Doing::Nothing;
        }
        let unknown = self.target.iter().any(|place| !self.names.contains_key(&place.topic));
        self.name_again = unknown.then(|| now + NAME_AGAIN);
    }

    fn offsets(&mut self, now: Instant, offsets: Result<BTreeMap<Place, i64>, Refused>, out: &mut Vec<Effect>) {
        // The answer to what was asked before everything was lost says nothing.
        let Doing::Reading(places) = &mut self.doing else {
            return;
        };
        let places = std::mem::take(places);
        self.doing = Doing::Nothing;
        let refused = match offsets {
            Ok(offsets) => {
                self.read_failures = 0;
                let mut assigned = Vec::new();
                for place in places.intersection(&self.target) {
                    let Some(name) = self.names.get(&place.topic) else {
                        continue;
                    };
                    self.owned.insert(*place, Arc::clone(name));
                    let partition = TopicPartition {
                        topic: Arc::clone(name),
                        partition: place.partition,
                    };
                    let offset = offsets.get(place).copied();
                    assigned.push((*place, partition, offset));
                }
                if !assigned.is_empty() {
                    self.owned_changed = true;
                    self.next = now;
                    out.push(Effect::Assign(assigned));
                }
                return;
            }
            Err(refused) => refused,
        };
        self.read_failures += 1;
        self.doing = Doing::Waiting(now + backoff(self.read_failures));
        match refused {
            // The group has gone on; a heartbeat tells how.
            Refused::Fenced(error) | Refused::Stale(error) => {
                self.next = now;
                let class = Class::Retriable;
                out.push(Effect::Tell(Error { class, ..error }));
            }
            Refused::Quiet(error) => tracing::debug!(%error, "committed offsets are asked for again"),
            Refused::Broken(error) | Refused::Failed(error) | Refused::Unsupported(error) => {
                out.push(Effect::Tell(error))
            }
        }
    }

    fn release(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let Doing::Revoking { places, .. } = std::mem::replace(&mut self.doing, Doing::Nothing) else {
            return;
        };
        let given_up = places.iter().filter_map(|place| {
            let topic = self.owned.remove(place)?;
            Some(TopicPartition {
                topic,
                partition: place.partition,
            })
        });
        out.push(Effect::Release(given_up.collect()));
        self.owned_changed = true;
        self.next = now; // The coordinator waits for it.
        self.lacking_since = now;
    }

    /// The next steps towards the target, and the next heartbeat.
    fn go_on(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if self.stage == Stage::In {
            self.approach(now, out);
        }
        let lacks = self.epoch > 0 && self.owned.is_empty() && self.target.is_empty() && !self.topics.is_empty();
        if lacks && now.duration_since(self.lacking_since) < ASK_FOR {
            self.next = self.next.min(self.sent + ASK);
        }
        if self.may_beat() && self.next <= now {
            self.beat(now, out);
        }
    }

    fn may_beat(&self) -> bool {
        let joins_nothing = self.epoch == 0 && self.topics.is_empty();
        self.stage == Stage::In && !self.in_flight && !joins_nothing
    }

    fn beat(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let full = self.full || self.epoch == 0;
        let owned = (full || self.owned_changed).then(|| self.owned.keys().copied().collect());
        out.push(Effect::Heartbeat(Heartbeat {
            epoch: self.epoch,
            full,
            topics: (full || self.topics_changed).then(|| self.topics.clone()),
            owned,
        }));
        (self.full, self.topics_changed, self.owned_changed) = (false, false, false);
        self.in_flight = true;
        self.asked_to_join = true;
        self.sent = now;
        self.next = now + self.interval;
    }

    fn approach(&mut self, now: Instant, out: &mut Vec<Effect>) {
        match &self.doing {
            Doing::Revoking { until, .. } if *until <= now => {
                tracing::warn!("a revocation was not answered in time");
                self.release(now, out);
            }
            Doing::Waiting(until) if *until <= now => self.doing = Doing::Nothing,
            Doing::Revoking { .. } | Doing::Waiting(_) | Doing::Naming | Doing::Reading(_) => return,
            Doing::Nothing => {}
        }
        let places: BTreeSet<Place> = self
            .owned
            .keys()
            .filter(|place| !self.target.contains(place))
            .copied()
            .collect();
        if !places.is_empty() {
            self.revocations += 1;
            let named = |place: &Place| {
                let topic = Arc::clone(self.owned.get(place)?);
                Some(TopicPartition {
                    topic,
                    partition: place.partition,
                })
            };
            out.push(Effect::Revoke(
                self.revocations,
                places.iter().filter_map(named).collect(),
            ));
            let until = now + self.identity.patience;
            self.doing = Doing::Revoking {
                number: self.revocations,
                until,
                places,
            };
            return;
        }
        let wanted = self.target.iter().filter(|place| !self.owned.contains_key(place));
        let (known, unknown): (BTreeSet<Place>, BTreeSet<Place>) =
            wanted.copied().partition(|place| self.names.contains_key(&place.topic));
        if unknown.is_empty() {
            self.name_again = None;
        }
        if !unknown.is_empty() && self.name_again.is_none_or(|at| at <= now) {
            self.doing = Doing::Naming;
            self.name_again = None;
            out.push(Effect::Name(unknown.iter().map(|place| place.topic).collect()));
        } else if !known.is_empty() {
            let named = |place: &Place| {
                let topic = Arc::clone(self.names.get(&place.topic)?);
                let partition = place.partition;
                Some((*place, TopicPartition { topic, partition }))
            };
            let partitions = known.iter().filter_map(named).collect();
            out.push(Effect::ReadOffsets {
                epoch: self.epoch,
                partitions,
            });
            self.doing = Doing::Reading(known);
        }
    }
}

#[cfg(test)]
mod tests;
