//! What one lane has for one partition: the batch that takes records, batches that wait, batches on their way. Pure: it decides what may
//! be sent when, under which sequence, and what an answer means for the order. Nothing ever overtakes.
//!
//! Batches of an idempotent producer are sent up to five ahead. When one of them fails, nothing more is sent until all others on their
//! way are answered: the broker refuses them too, as their sequences do not follow, unless it has them. Then all that is not stored is sent
//! again in its order, one by one; what the broker finds too large is made two batches then, which have its sequences. What cannot be sent
//! again under its sequence is sent under a newer epoch, which begins anew at sequence 0 (KIP-360).

use super::settings::Settings;
use crate::metrics::SentBatch;
use crate::port::ProduceRecord;
use crate::wire::batch::compression::Codec;
use crate::wire::batch::encode::{HEAD, Open, Sealed, Stamp, next_sequence};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

mod batch;

pub(super) use batch::Done;
use batch::{Batch, Part, Run, both};

/// For so long a broker surely remembers a producer that sends nothing (`producer.id.expiration.ms`, a day by default).
const REMEMBERED: Duration = Duration::from_secs(600);

/// A partition's batches leave at least so far apart unless they are full: a stream of single records would cost a request each, us and
/// the broker. Never longer than `linger.ms`; a record after a longer silence leaves at once.
const PACE: Duration = Duration::from_millis(2);

/// A producer id with its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

/// How a lane's batches are told apart by the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// By nothing: one batch is on its way at a time, so that none overtakes, and one that is sent again may be stored twice.
    Plain,
    /// By an id of its own, whose epoch the client raises.
    Own(Identity),
    /// By the id of a name that only one producer has at a time; the transaction coordinator raises its epoch.
    Named(Identity),
}

/// A batch that still takes records.
#[derive(Debug)]
struct Filling {
    batch: Open,
    runs: Vec<Run>,
    bytes: usize,
    since: Instant,
}

impl Filling {
    #[inline]
    fn push(&mut self, record: &ProduceRecord<'_>, timestamp: i64, bytes: usize, settings: &Settings) {
        self.batch.push(record, timestamp);
        if settings.codec == Codec::None {
            self.batch.sum_up();
        }
        self.bytes += bytes;
        match self.runs.last_mut() {
            Some((first, count)) if *first + *count as u64 == record.sequence => *count += 1,
            Some(_) | None => self.runs.push((record.sequence, 1)),
        }
    }
}

#[derive(Debug)]
struct Flying {
    number: u64,
    batch: Batch,
    /// It is to be sent again.
    failed: bool,
    /// Instead of it.
    halves: Option<(Sealed, Sealed)>,
}

/// The batches of a lane for a partition.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    filling: Option<Filling>,
    waiting: VecDeque<Batch>,
    flying: VecDeque<Flying>,
    /// The broker that the flying ones are sent to.
    flying_to: i32,
    /// When the last batch left.
    left: Option<Instant>,
    /// The next batch's.
    stamp: Option<Stamp>,
    /// When the broker last took a batch of this epoch.
    confirmed: Option<Instant>,
    /// A newer epoch is needed.
    reset: bool,
    not_before: Option<Instant>,
    failures: u32,
    numbers: u64,
    /// Room that the last batch needed.
    capacity: usize,
    /// The sender is to look at it.
    pub(super) listed: bool,
    /// It waits at a broker, or for one.
    pub(super) queued: bool,
    /// When the sender looks at it again.
    pub(super) timer: Option<Instant>,
    /// Since when the topic does not exist.
    pub(super) missing: Option<Instant>,
}

/// Whether a track has something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Now,
    At(Instant),
    /// Not before something else happens.
    No,
    /// Not before there is a newer epoch of the name.
    Epoch,
}

/// A batch to be sent.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) number: u64,
    pub(super) head: [u8; HEAD],
    pub(super) records: Bytes,
    /// What is measured of it.
    pub(super) sent: SentBatch,
}

/// What became of a batch that was sent.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// Stored from this offset on; -1 when the broker does not say.
    Stored(i64),
    /// Not stored, or that is not known; to be sent again. The wait before it is left out where the broker said who leads now.
    Again { at_once: bool },
    /// Not stored under this sequence or epoch: to be sent again, under a new epoch unless an earlier one's failure explains it.
    Sequence,
    /// Not stored, and it never will be as it is: to be sent in two batches, or if it has one record not at all.
    TooLarge(crate::Error),
    /// Not stored, and it never will be.
    Refused(crate::Error),
}

impl Track {
    pub(super) fn new(topic: Arc<str>, partition: i32) -> Self {
        Self {
            topic,
            partition,
            filling: None,
            // Room for one: four, which they would have by themselves, are 3 KB that most tracks never use.
            waiting: VecDeque::with_capacity(1),
            flying: VecDeque::with_capacity(1),
            flying_to: -1,
            left: None,
            stamp: None,
            confirmed: None,
            reset: false,
            not_before: None,
            failures: 0,
            numbers: 0,
            capacity: 512,
            listed: false,
            queued: false,
            timer: None,
            missing: None,
        }
    }

    /// Takes a record, of so many bytes and with that bound.
    #[inline]
    pub(super) fn push(
        &mut self,
        record: &ProduceRecord<'_>,
        timestamp: i64,
        (bytes, bound): (usize, usize),
        now: Instant,
        settings: &Settings,
    ) -> Pushed {
        let sealed = self.filling.is_some() && !self.takes_more(bound, settings) && self.seal(settings);
        let begins = self.filling.is_none();
        let filling = self.filling.get_or_insert_with(|| Filling {
            batch: Open::with_capacity(self.capacity),
            runs: Vec::new(),
            bytes: 0,
            since: now,
        });
        filling.push(record, timestamp, bytes, settings);
        Pushed { sealed, begins }
    }

    /// Takes a record into a batch that has others already. False when there is none, or it takes no more.
    #[inline]
    pub(super) fn append(
        &mut self,
        record: &ProduceRecord<'_>,
        timestamp: i64,
        (bytes, bound): (usize, usize),
        settings: &Settings,
    ) -> bool {
        let fits = |filling: &&mut Filling| filling.batch.len() + bound <= settings.batch_size;
        let Some(filling) = self.filling.as_mut().filter(fits) else {
            return false;
        };
        filling.push(record, timestamp, bytes, settings);
        true
    }

    /// Takes a batch that is whole already, behind all that was taken before.
    pub(super) fn pass(&mut self, sealed: Sealed, sequence: u64, bytes: usize, now: Instant, settings: &Settings) {
        self.seal(settings);
        self.waiting.push_back(Batch {
            sealed,
            runs: vec![(sequence, 1)],
            bytes,
            since: now,
            stamp: None,
            tries: 0,
            part: None,
        });
    }

    /// Whether a record with this bound would go to a batch that has others already.
    #[inline]
    pub(super) fn takes_more(&self, bound: usize, settings: &Settings) -> bool {
        let fits = |filling: &Filling| filling.batch.len() + bound <= settings.batch_size;
        self.filling.as_ref().is_some_and(fits)
    }

    /// Ends the batch that takes records, if there is one.
    fn seal(&mut self, settings: &Settings) -> bool {
        let Some(filling) = self.filling.take() else {
            return false;
        };
        // Batches of a busy track are all of one size, and those of an idle one cost no memory.
        self.capacity = (filling.batch.len() + 64).min(settings.batch_size.max(512));
        self.waiting.push_back(Batch {
            sealed: filling.batch.seal(settings.codec, settings.level),
            runs: filling.runs,
            bytes: filling.bytes,
            since: filling.since,
            stamp: None,
            tries: 0,
            part: None,
        });
        true
    }

    /// Whether something can be sent to this broker.
    pub(super) fn due(&self, now: Instant, mode: Mode, leader: Option<i32>, settings: &Settings) -> Due {
        if self.is_failing() || (self.waiting.is_empty() && self.filling.is_none()) {
            return Due::No;
        }
        if !self.flying.is_empty() {
            let ahead = match mode {
                Mode::Plain => 1,
                Mode::Own(_) | Mode::Named(_) => settings.max_in_flight,
            };
            // What may be stored already goes alone: with others behind it, stored, the broker could forget that it has it.
            let resending = self.is_resent() || self.flying.iter().any(|flying| flying.batch.goes_alone());
            // To another leader only once the old one has said what it has.
            let moved = leader.is_some_and(|leader| leader != self.flying_to);
            // A broker that knows nothing of a producer takes any sequence, so the first batch goes alone.
            let unknown = self.confirmed.is_none_or(|at| at + REMEMBERED < now);
            if self.flying.len() >= ahead || unknown || resending || self.reset || moved {
                return Due::No;
            }
        }
        if self.reset
            && !self.is_resent()
            && let (Mode::Named(identity), Some(stamp)) = (mode, self.stamp)
            && (stamp.producer_id, stamp.epoch) == (identity.id, identity.epoch)
        {
            return Due::Epoch;
        }
        if let Some(at) = self.not_before.filter(|at| *at > now) {
            return Due::At(at);
        }
        if !self.waiting.is_empty() {
            return Due::Now;
        }
        let Some(filling) = &self.filling else {
            return Due::No;
        };
        let at = if self.flying.is_empty() {
            self.left.map(|left| left + settings.linger.min(PACE))
        } else {
            // Something is on its way, so there is time to gather more.
            Some(filling.since + settings.linger)
        };
        at.filter(|at| *at > now).map_or(Due::Now, Due::At)
    }

    /// The size of what [`take`](Self::take) gives, before it is compressed.
    pub(super) fn next_size(&self) -> usize {
        let waiting = self.waiting.front().map(|batch| batch.sealed.len());
        let filling = || self.filling.as_ref().map(|filling| filling.batch.len());
        waiting.or_else(filling).unwrap_or(0)
    }

    /// The next batch to send to this broker, which has to be due.
    pub(super) fn take(&mut self, mode: Mode, leader: i32, now: Instant, settings: &Settings) -> Option<Parcel> {
        if self.waiting.is_empty() {
            self.seal(settings);
        }
        self.begin_epoch(mode);
        let mut batch = self.waiting.pop_front()?;
        let stamp = match (batch.stamp, self.stamp) {
            (Some(stamp), _) => stamp,
            (None, Some(stamp)) => {
                self.stamp = Some(Stamp {
                    sequence: next_sequence(stamp.sequence, batch.sealed.count()),
                    ..stamp
                });
                stamp
            }
            (None, None) => Stamp::NONE,
        };
        batch.stamp = Some(stamp).filter(|stamp| *stamp != Stamp::NONE);
        batch.tries += 1;
        self.numbers += 1;
        let parcel = Parcel {
            number: self.numbers,
            head: batch.sealed.head(stamp),
            records: batch.sealed.records(),
            sent: SentBatch {
                records: usize::try_from(batch.sealed.count()).unwrap_or(0),
                bytes: batch.sealed.len(),
                compression: batch.sealed.compression(),
                queued: now - batch.since,
                again: batch.tries > 1,
            },
        };
        self.flying_to = leader;
        self.left = Some(now);
        self.flying.push_back(Flying {
            number: self.numbers,
            batch,
            failed: false,
            halves: None,
        });
        Some(parcel)
    }

    /// Begins at sequence 0 where that is needed, or possible and asked for by a newer identity. Only while nothing is on its way.
    fn begin_epoch(&mut self, mode: Mode) {
        let (Mode::Own(identity) | Mode::Named(identity)) = mode else {
            self.stamp = None;
            return;
        };
        let next = match (self.stamp, mode) {
            (None, _) => Some(identity),
            // What was sent before and may be stored is told apart only under its old sequence.
            (Some(_), _) if !self.flying.is_empty() || self.is_resent() => None,
            // Raised here: nobody else has the id. Epochs that have run out are asked for anew by the lane.
            (Some(stamp), Mode::Own(_)) if self.reset && stamp.producer_id == identity.id => Some(Identity {
                id: identity.id,
                epoch: stamp.epoch.saturating_add(1),
            }),
            (Some(stamp), Mode::Own(_)) if stamp.producer_id == identity.id => None,
            (Some(stamp), _) if (stamp.producer_id, stamp.epoch) == (identity.id, identity.epoch) => None,
            (Some(_), _) => Some(identity),
        };
        if let Some(identity) = next {
            self.reset = false;
            self.confirmed = None;
            self.stamp = Some(Stamp {
                producer_id: identity.id,
                epoch: identity.epoch,
                sequence: 0,
            });
        }
    }

    /// Whether the next batch was sent before. Those that were stand in front of those that were not.
    fn is_resent(&self) -> bool {
        self.waiting.front().is_some_and(|batch| batch.stamp.is_some())
    }

    /// Whether the epochs of an own id have run out, so that a new id is needed.
    pub(super) fn is_worn(&self) -> bool {
        self.reset && self.stamp.is_some_and(|stamp| stamp.epoch == i16::MAX)
    }

    /// Takes in what became of a batch.
    pub(super) fn answered(&mut self, number: u64, answer: Answer, now: Instant, settings: &Settings) -> Done {
        let mut done = Done::default();
        let Some(place) = self.flying.iter().position(|flying| flying.number == number) else {
            return done;
        };
        let explained = self.flying.iter().take(place).any(|flying| flying.failed);
        match answer {
            Answer::Stored(offset) => {
                if let Some(flying) = self.flying.remove(place) {
                    self.end(flying.batch, Ok(offset), &mut done);
                }
                self.failures = 0;
                self.confirmed = Some(now);
            }
            Answer::Again { at_once } => {
                self.flying[place].failed = true;
                if !at_once && !explained {
                    self.back_off(now, settings);
                }
            }
            Answer::Sequence => {
                self.flying[place].failed = true;
                if !explained {
                    // A batch before it was given up, or the broker has lost what it knew. It is not stored, nor what is behind it.
                    let flying = self.flying.iter_mut().skip(place).map(|flying| &mut flying.batch);
                    for batch in flying.chain(&mut self.waiting) {
                        batch.stamp = None;
                    }
                    if !self.reset {
                        self.back_off(now, settings);
                    }
                    self.reset = true;
                }
            }
            Answer::TooLarge(error) => match self.flying[place].batch.sealed.halves(settings.level) {
                Some(halves) => {
                    self.flying[place].failed = true;
                    self.flying[place].halves = Some(halves);
                    done.splits += 1;
                }
                None => self.refuse(place, error, &mut done),
            },
            Answer::Refused(error) => self.refuse(place, error, &mut done),
        }
        self.gather(&mut done, settings);
        done
    }

    /// A batch on its way will never be stored.
    fn refuse(&mut self, place: usize, error: crate::Error, done: &mut Done) {
        if let Some(flying) = self.flying.remove(place) {
            // No sequence can follow this one any more. Those that were sent before it keep theirs until they are known to be stored or
            // not.
            self.reset |= flying.batch.stamp.is_some();
            self.end(flying.batch, Err(error), done);
        }
    }

    /// A batch is stored from this offset on, or never will be.
    fn end(&mut self, batch: Batch, outcome: crate::Result<i64>, done: &mut Done) {
        let outcome = match batch.part {
            Some(Part { whole, .. }) if batch.runs.is_empty() => return self.tell_last(whole, outcome),
            Some(Part { before, .. }) => both(before, outcome),
            None => outcome,
        };
        match outcome {
            Ok(offset) => done.stored(&batch.runs, batch.bytes, self.partition, offset),
            Err(error) => done.failed(&batch.runs, batch.bytes, &error),
        }
    }

    /// Notes with the last part of a whole what became of one before it.
    fn tell_last(&mut self, whole: u64, outcome: crate::Result<i64>) {
        let flying = self.flying.iter_mut().map(|flying| &mut flying.batch);
        let last = flying.chain(&mut self.waiting).filter(|batch| !batch.runs.is_empty());
        let mut parts = last.filter_map(|batch| batch.part.as_mut());
        if let Some(part) = parts.find(|part| part.whole == whole) {
            part.before = Some(both(part.before.take(), outcome));
        }
    }

    fn back_off(&mut self, now: Instant, settings: &Settings) {
        self.not_before = Some(now + settings.retry(self.failures));
        self.failures = self.failures.saturating_add(1);
    }

    fn is_failing(&self) -> bool {
        self.flying.iter().any(|flying| flying.failed)
    }

    /// Once all on their way are answered, those that failed wait again, in front of all others.
    fn gather(&mut self, done: &mut Done, settings: &Settings) {
        if !self.flying.iter().all(|flying| flying.failed) {
            return;
        }
        while let Some(flying) = self.flying.pop_back() {
            if let Some(halves) = flying.halves {
                let (first, second) = flying.batch.split(halves);
                self.waiting.push_front(second);
                self.waiting.push_front(first);
            } else if flying.batch.tries > settings.retries {
                self.reset |= flying.batch.stamp.is_some();
                let error = late(&self.topic, self.partition, "it was tried as often as `retries` allows");
                self.end(flying.batch, Err(error), done);
            } else {
                self.waiting.push_front(flying.batch);
            }
        }
    }

    /// Fails what waits for longer than it may. Says when to look again.
    pub(super) fn expire(&mut self, now: Instant, timeout: Option<Duration>) -> (Done, Option<Instant>) {
        let mut done = Done::default();
        let Some(timeout) = timeout else {
            return (done, None);
        };
        // What is on its way is not over before it is answered.
        while self.flying.is_empty()
            && let Some(batch) = self.waiting.pop_front_if(|batch| batch.since + timeout <= now)
        {
            self.reset |= batch.stamp.is_some();
            let error = late(&self.topic, self.partition, "`delivery.timeout.ms` is over");
            self.end(batch, Err(error), &mut done);
        }
        if self.flying.is_empty()
            && self.waiting.is_empty()
            && let Some(filling) = self.filling.take_if(|filling| filling.since + timeout <= now)
        {
            done.failed(
                &filling.runs,
                filling.bytes,
                &late(&self.topic, self.partition, "`delivery.timeout.ms` is over"),
            );
        }
        let oldest = self.waiting.front().map(|batch| batch.since);
        let oldest = oldest.or(self.filling.as_ref().map(|filling| filling.since));
        (done, oldest.map(|since| since + timeout))
    }

    /// Fails all that is not on its way, and has what is fail too unless it is stored.
    pub(super) fn fail(&mut self, error: &crate::Error) -> Done {
        let mut done = Done::default();
        while let Some(batch) = self.waiting.pop_front() {
            self.reset |= batch.stamp.is_some();
            self.end(batch, Err(error.clone()), &mut done);
        }
        if let Some(filling) = self.filling.take() {
            done.failed(&filling.runs, filling.bytes, error);
        }
        self.not_before = None;
        done
    }

    /// Whether nothing is left of it but its place in the sequence.
    pub(super) fn is_empty(&self) -> bool {
        self.flying.is_empty() && self.waiting.is_empty() && self.filling.is_none()
    }
}

/// What taking a record began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pushed {
    /// The batch before it is full.
    pub(super) sealed: bool,
    /// It is the first of its batch.
    pub(super) begins: bool,
}

fn late(topic: &str, partition: i32, why: &str) -> crate::Error {
    crate::codes::local(
        format!("producing to `{topic}-{partition}`"),
        "MessageTimedOut",
        why,
        crate::Class::Retriable,
    )
}

#[cfg(test)]
mod tests;
