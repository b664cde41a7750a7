//! What Kafka refuses of a source's records: cut, or written as a letter, where the configuration says so. For this, and only then, a
//! record's bytes are kept until it is acknowledged.

use super::{Runner, log_failure};
use crate::breaker::because;
use crate::config::Oversize;
use crate::dead_letter::{CUT, SourceLetters, Why};
use crate::ledger::Sequence;
use crate::owned_record::OwnedRecord;
use crate::policy::{Failure, Stage};
use dray_connect::{Error, Result};
use dray_kafka::port::{Ack, ProduceRecord};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Half of a record's value goes, and a header says how long it was; false when there is nothing to cut. Ends where a character does if the
/// value is a text.
fn cut(record: &mut OwnedRecord) -> bool {
    let Some(value) = record.value.as_mut().filter(|value| value.len() > 1) else {
        return false;
    };
    let before = value.len();
    let half = before / 2;
    let end = std::str::from_utf8(value).map_or(half, |text| text.floor_char_boundary(half));
    value.truncate(end);
    if !record.headers.iter().any(|(name, _)| name == CUT) {
        record
            .headers
            .push((CUT.to_owned(), Some(before.to_string().into_bytes())));
    }
    true
}

/// The records of a task on their way, as far as they are needed again when Kafka refuses them. Bounded by the lane's quota.
#[derive(Default)]
pub(super) struct Refusals {
    /// The dead letter queue, if there is one.
    pub(super) letters: Option<Arc<SourceLetters>>,
    /// What happens to records that are too large.
    pub(super) oversize: Oversize,
    /// By sequence.
    kept: HashMap<u64, OwnedRecord>,
    /// Which of those on their way are letters.
    sent: HashSet<u64>,
    /// To be produced in place of what was refused, as soon as the lane takes it.
    instead: VecDeque<(u64, OwnedRecord)>,
}

impl Refusals {
    pub(super) fn new(letters: Option<Arc<SourceLetters>>, oversize: Oversize) -> Self {
        Self {
            letters,
            oversize,
            ..Self::default()
        }
    }

    /// Whether records are kept.
    pub(super) fn is_on(&self) -> bool {
        self.letters.is_some() || self.oversize == Oversize::Truncate
    }

    /// Whether the lane did not take something yet that goes in place of a refused record.
    pub(super) fn has_instead(&self) -> bool {
        !self.instead.is_empty()
    }

    /// These are on their way, or refused at once.
    pub(super) fn keep(&mut self, records: &[ProduceRecord<'_>]) {
        if !self.is_on() {
            return;
        }
        let queue = self.letters.as_ref().map(|letters| letters.topic.as_str());
        for record in records {
            self.kept.insert(record.sequence, OwnedRecord::of(record));
            // A letter has the very name of the queue; a record may go to a topic of the same name.
            if queue.is_some_and(|queue| std::ptr::eq(queue, record.topic)) {
                self.sent.insert(record.sequence);
            }
        }
    }

    /// These are stored.
    pub(super) fn stored(&mut self, ack: &Ack) {
        if !self.is_on() {
            return;
        }
        for sequence in ack.sequences() {
            self.kept.remove(&sequence);
            self.sent.remove(&sequence);
        }
    }
}

impl Runner {
    /// Kafka did not take a record. Whether something else goes in its place.
    pub(super) fn on_unproducible(&mut self, sequence: Sequence, error: dray_kafka::Error) -> Result<bool> {
        let number = sequence.to_u64();
        let kept = self.refusals.kept.remove(&number);
        let (fenced, too_large) = (error.class == dray_kafka::Class::Fenced, error.is_too_large());
        let is_letter = self.refusals.sent.remove(&number);
        if let (true, Some(letters)) = (is_letter && !fenced, &self.refusals.letters) {
            let again = kept
                .filter(|_| too_large)
                .and_then(|mut kept| cut(&mut kept).then_some(kept));
            let Some(kept) = again else {
                return Err(letters.unwritable(error));
            };
            self.refusals.sent.insert(number);
            self.refusals.instead.push_back((number, kept));
            return Ok(true);
        }
        let text = "Unrecoverable exception from producer send callback";
        if too_large && self.refusals.oversize == Oversize::Truncate {
            let again = kept.and_then(|mut kept| cut(&mut kept).then_some(kept));
            if let Some(kept) = again {
                tracing::warn!(topic = kept.topic, %error, "the value of a record is cut: it is too large");
                self.refusals.instead.push_back((number, kept));
                return Ok(true);
            }
            return self.give_up(sequence, Error::connect(text).with_source(error), None, false);
        }
        let error = Error::connect(text).with_source(error);
        if fenced {
            // Nothing is wrong with the record: it is for the task's new owner to send, whatever is tolerated.
            self.parts.policy.failures.failed();
            self.parts.policy.failures.gave_up();
            log_failure(&self.parts.me, &self.parts.policy, Stage::KafkaProduce, &error);
            return Err(error);
        }
        let has_to_be_letter = too_large && self.refusals.oversize == Oversize::DeadLetter;
        self.give_up(sequence, error, kept, has_to_be_letter)
    }

    /// A record is not to be produced. Whether its letter is.
    fn give_up(
        &mut self,
        sequence: Sequence,
        error: Error,
        kept: Option<OwnedRecord>,
        tolerated: bool,
    ) -> Result<bool> {
        let policy = &self.parts.policy;
        policy.failures.failed();
        policy.failures.gave_up();
        log_failure(&self.parts.me, policy, Stage::KafkaProduce, &error);
        if !tolerated && let Err(verdict) = policy.tolerate() {
            return Err(because(verdict, error));
        }
        let (Some(letters), Some(mut kept)) = (&self.refusals.letters, kept) else {
            self.ledger.finish(sequence, 1);
            return Ok(false);
        };
        let failure = Failure {
            stage: Stage::KafkaProduce,
            class: "org.apache.kafka.clients.producer.KafkaProducer".into(),
            error,
        };
        let source = self.ledger.source(sequence);
        let why = Why {
            failure: &failure,
            topic: &kept.topic,
            kafka_partition: kept.partition,
            source: source.as_ref().map(|(partition, offset)| (*partition, offset)),
        };
        let context = letters.context_of_bytes(&why);
        let header = |(name, text): (&str, String)| (name.to_owned(), Some(text.into_bytes()));
        kept.headers.extend(context.into_iter().map(header));
        (kept.topic, kept.partition) = (letters.topic.clone(), None);
        self.refusals.sent.insert(sequence.to_u64());
        self.refusals.instead.push_back((sequence.to_u64(), kept));
        Ok(true)
    }

    /// Produces what goes in place of refused records, as far as the lane takes it now.
    pub(super) fn produce_instead(&mut self) -> Result<()> {
        while let Some((sequence, kept)) = self.refusals.instead.pop_front() {
            match kept.lend(sequence, |record| self.parts.lane.produce(&[record])) {
                Ok(0) => {
                    self.refusals.instead.push_front((sequence, kept));
                    return Ok(());
                }
                Ok(_) => {
                    self.refusals.kept.insert(sequence, kept);
                }
                Err(refused) => {
                    self.refusals.kept.insert(sequence, kept);
                    let sequence = Sequence::from_u64(sequence);
                    if !self.on_unproducible(sequence, refused.error)? {
                        self.parts.me.metrics.acknowledged(0, 1);
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(value: &[u8]) -> OwnedRecord {
        OwnedRecord::of(&ProduceRecord {
            topic: "t",
            partition: None,
            timestamp: None,
            key: None,
            value: Some(value),
            headers: &[],
            sequence: 0,
        })
    }

    #[test]
    fn a_value_is_cut_between_characters_and_says_how_long_it_was() {
        let mut text = kept("aäöü".as_bytes());
        assert!(cut(&mut text));
        assert_eq!(text.value.as_deref(), Some("aä".as_bytes()));
        assert!(cut(&mut text));
        assert_eq!(text.value.as_deref(), Some("a".as_bytes()));
        assert!(!cut(&mut text), "one byte is left");
        assert_eq!(text.headers, [(CUT.to_owned(), Some(b"7".to_vec()))]);
        let mut bytes = kept(&[0xff; 8]);
        assert!(cut(&mut bytes));
        assert_eq!(bytes.value.as_deref(), Some(&[0xff; 4][..]));
        assert!(!cut(&mut kept(b"")));
    }
}
