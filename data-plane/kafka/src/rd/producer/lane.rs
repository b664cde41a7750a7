//! One task's share of a producer.

use super::Shared;
use super::report::{COUNTER_BITS, COUNTER_MASK, Mailbox, Report};
use crate::error::{Class, Error};
use crate::port::{Ack, Delivered, ProduceRecord, ProduceRefused, ProducerLane};
use crate::rd::client::lock;
use crate::rd::errors::{from_code, local};
use crate::rd::topic::Topic;
use async_trait::async_trait;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// A lane that was full is ready again when one part in so many of its quota is free.
const ROOM_SHARE: usize = 8;
/// What librdkafka and the protocol add to a record, at most: `message.max.bytes` covers it too.
const RECORD_OVERHEAD: usize = 512;

/// A record in flight.
#[derive(Clone, Copy)]
struct Flight {
    sequence: u64,
    bytes: usize,
    done: bool,
}

/// One task's share of a producer.
pub(in super::super) struct Lane {
    /// That of the last record. Dropped first, and so before its producer.
    topic: Option<Topic>,
    shared: Arc<Shared>,
    id: u32,
    mailbox: Arc<Mailbox>,
    quota: usize,
    used: usize,
    /// The size of the record that found no room last.
    wanted: usize,
    /// The number of the first record of `flights`.
    first: u64,
    /// Bounded by the quota; records come back out of order across partitions, so the done ones wait for the first.
    flights: VecDeque<Flight>,
    /// Acknowledged, and not yet handed out.
    acked: Vec<Ack>,
    in_flight: usize,
    /// The last attempt met the producer's full queue.
    queue_full: bool,
    /// Reused between calls.
    reports: Vec<Report>,
}

impl Lane {
    pub(super) fn new(shared: Arc<Shared>, quota: usize) -> Self {
        // 2^24 lanes per producer: a task would have to restart once a second for half a year, and then find another
        // lane of the same number alive.
        let id = shared.next_lane.fetch_add(1, Ordering::Relaxed) & 0x00ff_ffff;
        let mailbox = Arc::new(Mailbox::default());
        let mut mailboxes = shared
            .context()
            .mailboxes
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let place = mailboxes.partition_point(|(other, _)| *other < id);
        mailboxes.insert(place, (id, Arc::clone(&mailbox)));
        drop(mailboxes);
        Self {
            topic: None,
            shared,
            id,
            mailbox,
            quota,
            used: 0,
            wanted: 0,
            first: 0,
            flights: VecDeque::new(),
            acked: Vec::new(),
            in_flight: 0,
            queue_full: false,
            reports: Vec::new(),
        }
    }

    /// Turns the reports that are there into acknowledgements and gives their bytes back to the quota.
    fn collect(&mut self) {
        std::mem::swap(&mut *lock(&self.mailbox.reports), &mut self.reports);
        for report in self.reports.drain(..) {
            let index = (report.counter.wrapping_sub(self.first) & COUNTER_MASK) as usize;
            for place in 0..report.count {
                let flight = self.flights.get_mut(index + place as usize);
                let Some(flight) = flight.filter(|flight| !flight.done) else {
                    tracing::error!(lane = self.id, "a delivery report for a record that is not in flight");
                    continue;
                };
                flight.done = true;
                self.used -= flight.bytes;
                let outcome = match &report.error {
                    None => Ok(Delivered {
                        partition: report.partition,
                        offset: report.offset + place as i64,
                    }),
                    Some(failure) => {
                        let what = format!("producing a record to `{}`", failure.topic);
                        Err(Box::new(from_code(what, failure.code)))
                    }
                };
                Ack::append(&mut self.acked, flight.sequence, outcome);
            }
        }
        let done = self.flights.iter().take_while(|flight| flight.done).count();
        self.flights.drain(..done);
        self.first = (self.first + done as u64) & COUNTER_MASK;
    }

    fn hand_out(&mut self, out: &mut Vec<Ack>) {
        self.in_flight -= self.acked.iter().map(|ack| ack.count).sum::<usize>();
        out.append(&mut self.acked);
    }

    /// Room for the record that was not taken, and for some more: without the margin a full lane would wake up for
    /// each single acknowledgement.
    fn has_quota(&self) -> bool {
        self.used == 0 || self.used + self.wanted.max(self.quota / ROOM_SHARE) <= self.quota
    }

    /// Records without a timestamp get `now`: librdkafka would ask the clock for each one.
    fn send(&mut self, record: &ProduceRecord<'_>, now: Option<i64>, opaque: usize) -> std::result::Result<(), Code> {
        if !record.headers.is_empty() {
            return self.send_with_headers(record, now, opaque);
        }
        if self.topic.as_ref().is_none_or(|topic| topic.name() != record.topic) {
            self.topic = Topic::new(&self.shared.producer, record.topic);
        }
        let topic = self.topic.as_ref().ok_or(Code::InvalidArgument)?;
        topic.send(record, record.timestamp.or(now), opaque)
    }

    fn send_with_headers(
        &self,
        record: &ProduceRecord<'_>,
        now: Option<i64>,
        opaque: usize,
    ) -> std::result::Result<(), Code> {
        let mut message: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to(record.topic, opaque);
        message.partition = record.partition;
        message.timestamp = record.timestamp.or(now);
        message.key = record.key;
        message.payload = record.value;
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for header in record.headers {
            headers = headers.insert(Header {
                key: header.key,
                value: header.value,
            });
        }
        message.headers = Some(headers);
        match self.shared.producer.send(message) {
            Ok(()) => Ok(()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(Code::InvalidArgument)),
        }
    }

    fn too_large(&self, record: &ProduceRecord<'_>, bytes: usize) -> Error {
        local(
            format!("producing a record to `{}`", record.topic),
            "MSG_SIZE_TOO_LARGE",
            format!(
                "the record has {bytes} bytes and the limit is {}; raise `producer.override.max.request.size`",
                self.shared.max_message_bytes
            ),
            Class::Fatal,
        )
    }
}

fn size(record: &ProduceRecord<'_>) -> usize {
    let headers: usize = record
        .headers
        .iter()
        .map(|h| h.key.len() + h.value.map_or(0, <[u8]>::len))
        .sum();
    record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + headers
}

#[async_trait]
impl ProducerLane for Lane {
    fn produce(&mut self, records: &[ProduceRecord<'_>]) -> std::result::Result<usize, ProduceRefused> {
        self.collect();
        self.queue_full = false;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        let now = now.and_then(|now| i64::try_from(now.as_millis()).ok());
        for (taken, record) in records.iter().enumerate() {
            let bytes = size(record);
            // An empty record takes a place too: the quota bounds their number as well.
            let charge = bytes.max(1);
            if self.used > 0 && self.used + charge > self.quota {
                self.wanted = charge;
                return Ok(taken);
            }
            if bytes > self.shared.max_message_bytes.saturating_add(RECORD_OVERHEAD) {
                return Err(ProduceRefused {
                    taken,
                    error: self.too_large(record, bytes),
                });
            }
            let counter = (self.first + self.flights.len() as u64) & COUNTER_MASK;
            let opaque = ((u64::from(self.id) << COUNTER_BITS) | counter) as usize;
            let mut sent = self.send(record, now, opaque);
            if sent == Err(Code::QueueFull) {
                // Say so first and try once more: room made in between would otherwise wake nobody.
                self.shared.context().full.store(true, Ordering::Release);
                sent = self.send(record, now, opaque);
            }
            match sent {
                Ok(()) => {
                    self.flights.push_back(Flight {
                        sequence: record.sequence,
                        bytes: charge,
                        done: false,
                    });
                    self.used += charge;
                    self.in_flight += 1;
                }
                Err(Code::QueueFull) => {
                    self.queue_full = true;
                    return Ok(taken);
                }
                Err(Code::MessageSizeTooLarge) => {
                    return Err(ProduceRefused {
                        taken,
                        error: self.too_large(record, bytes),
                    });
                }
                Err(code) => {
                    let error = from_code(format!("producing a record to `{}`", record.topic), code);
                    return Err(ProduceRefused { taken, error });
                }
            }
        }
        Ok(records.len())
    }

    async fn ready(&mut self) {
        loop {
            self.collect();
            if self.queue_full {
                let shared = Arc::clone(&self.shared);
                let room = shared.context().room.notified();
                tokio::pin!(room);
                room.as_mut().enable();
                if shared.context().full.load(Ordering::Acquire) {
                    room.await;
                }
                self.queue_full = false;
            } else if self.has_quota() {
                return;
            } else {
                self.mailbox.wake.notified().await;
            }
        }
    }

    async fn acks(&mut self, out: &mut Vec<Ack>) {
        loop {
            self.collect();
            if !self.acked.is_empty() {
                return self.hand_out(out);
            }
            self.mailbox.wake.notified().await;
        }
    }

    fn try_acks(&mut self, out: &mut Vec<Ack>) {
        self.collect();
        self.hand_out(out);
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut mailboxes = self
            .shared
            .context()
            .mailboxes
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        mailboxes.retain(|(id, _)| *id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Producers;
    use super::*;
    use crate::port::ClientConfig;
    use crate::wire::oauth::Sources;
    use std::time::Duration;
    use tokio::time::timeout;

    /// No broker is needed: nothing is ever acknowledged.
    #[tokio::test]
    async fn a_full_lane_is_not_ready_for_a_record_that_does_not_fit() {
        let config = ClientConfig::from([("bootstrap.servers".to_owned(), "127.0.0.1:1".to_owned())]);
        let mut lane = Producers::default()
            .lane(&config, 1000, &Arc::default(), &Sources::default())
            .expect("a lane");
        let value = [0; 600];
        let record = ProduceRecord {
            topic: "t",
            partition: Some(0),
            timestamp: None,
            key: None,
            value: Some(&value),
            headers: &[],
            sequence: 0,
        };
        assert_eq!(lane.produce(&[record, record]).expect("the first one"), 1);
        assert!(
            timeout(Duration::from_millis(50), lane.ready()).await.is_err(),
            "400 bytes are no room for 600"
        );
    }

    #[tokio::test]
    async fn a_topic_that_cannot_be_is_refused() {
        let config = ClientConfig::from([("bootstrap.servers".to_owned(), "127.0.0.1:1".to_owned())]);
        let mut lane = Producers::default()
            .lane(&config, 1000, &Arc::default(), &Sources::default())
            .expect("a lane");
        let long = "t".repeat(600);
        for (topic, taken) in [("t", true), ("a\0b", false), (&long, false), ("", true), ("t", true)] {
            let record = ProduceRecord {
                topic,
                partition: None,
                timestamp: None,
                key: None,
                value: None,
                headers: &[],
                sequence: 0,
            };
            match lane.produce(&[record]) {
                Ok(count) => assert_eq!((count, taken), (1, true), "{topic}"),
                Err(refused) => assert_eq!((refused.error.class, taken), (Class::Fatal, false), "{topic}"),
            }
        }
    }
}
