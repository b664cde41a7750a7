//! The answer to a fetch (versions 13 to 17), read by hand: records stay slices of the received frame, and nothing is allocated by a
//! length that the frame only claims. Pure.

use crate::wire::batch::decode::Aborted;
use bytes::Bytes;
use uuid::Uuid;

/// What a broker answered.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) throttle_ms: i32,
    pub(crate) error: i16,
    pub(crate) session: i32,
    pub(crate) partitions: Vec<Partition>,
    /// Where the leaders are that partitions name.
    pub(crate) brokers: Vec<Broker>,
}

/// One partition's share.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) topic: Uuid,
    pub(crate) partition: i32,
    pub(crate) error: i16,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable: i64,
    pub(crate) aborted: Vec<Aborted>,
    /// A replica to read from instead; -1 without one.
    pub(crate) preferred: i32,
    pub(crate) records: Bytes,
    /// A leader that is newer than the one we know: its broker and epoch (KIP-951).
    pub(crate) leader: Option<(i32, i32)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broker {
    pub(crate) id: i32,
    pub(crate) host: String,
    pub(crate) port: i32,
}

/// The bytes are not such an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an answer to Fetch that does not parse at byte {0}")]
pub(crate) struct Malformed(usize);

/// Reads an answer from behind its header.
pub(crate) fn read(frame: &Bytes) -> Result<Answer, Malformed> {
    let mut cursor = Cursor { frame, at: 0 };
    let answer = cursor.answer();
    answer.ok_or(Malformed(cursor.at))
}

struct Cursor<'a> {
    frame: &'a Bytes,
    at: usize,
}

impl Cursor<'_> {
    fn answer(&mut self) -> Option<Answer> {
        let mut answer = Answer {
            throttle_ms: self.i32()?,
            error: self.i16()?,
            session: self.i32()?,
            ..Answer::default()
        };
        for _ in 0..self.count()? {
            let topic = Uuid::from_bytes(*self.take(16)?.first_chunk()?);
            for _ in 0..self.count()? {
                let partition = self.partition(topic)?;
                answer.partitions.push(partition);
            }
            self.tags(|_, _| Some(()))?;
        }
        let brokers = &mut answer.brokers;
        self.tags(|tag, cursor| {
            if tag == 0 {
                for _ in 0..cursor.count()? {
                    brokers.push(cursor.broker()?);
                }
            }
            Some(())
        })?;
        Some(answer)
    }

    fn partition(&mut self, topic: Uuid) -> Option<Partition> {
        let partition = self.i32()?;
        let error = self.i16()?;
        let (high_watermark, last_stable) = (self.i64()?, self.i64()?);
        self.i64()?; // The start of the log.
        let mut aborted = Vec::new();
        for _ in 0..self.count()? {
            aborted.push(Aborted {
                producer_id: self.i64()?,
                first_offset: self.i64()?,
            });
            self.tags(|_, _| Some(()))?;
        }
        let preferred = self.i32()?;
        let length = self.uvarint()?.saturating_sub(1);
        let start = self.at;
        self.take(length)?;
        let records = self.frame.slice(start..self.at);
        let mut leader = None;
        self.tags(|tag, cursor| {
            if tag == 1 {
                leader = Some((cursor.i32()?, cursor.i32()?));
                cursor.tags(|_, _| Some(()))?;
            }
            Some(())
        })?;
        Some(Partition {
            topic,
            partition,
            error,
            high_watermark,
            last_stable,
            aborted,
            preferred,
            records,
            leader,
        })
    }

    fn broker(&mut self) -> Option<Broker> {
        let id = self.i32()?;
        let length = self.uvarint()?.checked_sub(1)?;
        let host = std::str::from_utf8(self.take(length)?).ok()?.to_owned();
        let port = self.i32()?;
        let rack = self.uvarint()?.saturating_sub(1);
        self.take(rack)?;
        self.tags(|_, _| Some(()))?;
        Some(Broker { id, host, port })
    }

    /// Hands each tagged field to `visit`, which need not read it.
    fn tags(&mut self, mut visit: impl FnMut(usize, &mut Cursor<'_>) -> Option<()>) -> Option<()> {
        for _ in 0..self.uvarint()? {
            let tag = self.uvarint()?;
            let length = self.uvarint()?;
            let start = self.at;
            self.take(length)?;
            let field = self.frame.slice(start..self.at);
            visit(tag, &mut Cursor { frame: &field, at: 0 })?;
        }
        Some(())
    }

    fn take(&mut self, bytes: usize) -> Option<&[u8]> {
        let start = self.at;
        let taken = self.frame.get(start..start.checked_add(bytes)?)?;
        self.at = start + bytes;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(*self.take(2)?.first_chunk()?))
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(*self.take(4)?.first_chunk()?))
    }

    fn i64(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(*self.take(8)?.first_chunk()?))
    }

    /// The length of an array; null is empty. Every element reads bytes, so a wrong one ends soon.
    fn count(&mut self) -> Option<usize> {
        Some(self.uvarint()?.saturating_sub(1))
    }

    fn uvarint(&mut self) -> Option<usize> {
        let mut value = 0_usize;
        for shift in (0..35).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::messages::fetch_response::{
        AbortedTransaction, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
    };
    use kafka_protocol::messages::{BrokerId, FetchResponse, ProducerId};
    use kafka_protocol::protocol::{Encodable as _, StrBytes};
    use proptest::prelude::*;

    fn encoded(version: i16) -> Bytes {
        let aborted = AbortedTransaction::default()
            .with_producer_id(ProducerId(7))
            .with_first_offset(9);
        let leader = LeaderIdAndEpoch::default()
            .with_leader_id(BrokerId(2))
            .with_leader_epoch(5);
        let one = PartitionData::default()
            .with_partition_index(3)
            .with_error_code(6)
            .with_high_watermark(41)
            .with_last_stable_offset(40)
            .with_aborted_transactions(Some(vec![aborted]))
            .with_preferred_read_replica(BrokerId(4))
            .with_current_leader(leader)
            .with_records(Some(Bytes::from_static(b"records")));
        let two = PartitionData::default()
            .with_aborted_transactions(None)
            .with_records(None);
        let topic = FetchableTopicResponse::default()
            .with_topic_id(Uuid::from_u128(1))
            .with_partitions(vec![one, two]);
        let node = NodeEndpoint::default()
            .with_node_id(BrokerId(2))
            .with_host(StrBytes::from_static_str("b2"))
            .with_port(9092);
        let mut response = FetchResponse::default()
            .with_throttle_time_ms(11)
            .with_error_code(70)
            .with_session_id(12)
            .with_responses(vec![topic]);
        if version >= 16 {
            response = response.with_node_endpoints(vec![node]);
        }
        let mut out = BytesMut::new();
        response.encode(&mut out, version).expect("encodes");
        out.freeze()
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        for version in 13..=17 {
            let frame = encoded(version);
            let answer = read(&frame).expect("an answer");
            assert_eq!((answer.throttle_ms, answer.error, answer.session), (11, 70, 12));
            let [one, two] = &answer.partitions[..] else {
                panic!("{answer:?}")
            };
            let aborted = Aborted {
                producer_id: 7,
                first_offset: 9,
            };
            assert_eq!((one.topic, one.partition, one.error), (Uuid::from_u128(1), 3, 6));
            assert_eq!((one.high_watermark, one.last_stable), (41, 40));
            assert_eq!(
                (&one.aborted[..], one.preferred, one.leader),
                (&[aborted][..], 4, Some((2, 5)))
            );
            assert_eq!(one.records, "records");
            assert!(frame.as_ptr_range().contains(&one.records.as_ptr()), "not copied");
            assert_eq!((two.records.len(), two.leader), (0, None));
            let broker = Broker {
                id: 2,
                host: "b2".to_owned(),
                port: 9092,
            };
            assert_eq!(answer.brokers, if version >= 16 { vec![broker] } else { vec![] });
            for cut in 0..frame.len() {
                read(&frame.slice(..cut)).expect_err("cut off");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), place in 0..200_usize, real: bool) {
            if real {
                let mut frame = encoded(16).to_vec();
                let place = place % frame.len();
                frame[place] = bytes.pop().unwrap_or(0xff);
                bytes = frame;
            }
            read(&Bytes::from(bytes)).ok();
        }
    }
}
