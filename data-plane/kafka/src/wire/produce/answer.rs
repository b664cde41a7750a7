//! Answers to produce requests, read by hand: nothing is allocated by a length that an answer claims.

use super::request::is_flexible;
use crate::codes::local;
use crate::error::{Class, Result};
use crate::wire::metadata::{Partition, address};
use crate::wire::reader::{Reader, Short};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// Since when the broker says who leads a partition that it does not lead (KIP-951).
const HINTS: i16 = 10;
const LEADER_TAG: u64 = 0;
const ENDPOINTS_TAG: u64 = 0;

/// What became of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartAnswer {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) code: i16,
    pub(super) offset: i64,
    pub(super) message: Option<String>,
    /// Who leads the partition now.
    pub(super) leader: Option<Partition>,
}

/// An answer to a produce request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) parts: Vec<PartAnswer>,
    /// Nothing is to be sent for so long.
    pub(super) throttle: Duration,
    /// Where the brokers are that lead now.
    pub(super) endpoints: Vec<(i32, Arc<str>)>,
}

/// Reads an answer, behind its header.
///
/// # Errors
/// When it is none. What became of the batches is not known then.
pub(super) fn decode(bytes: &Bytes, version: i16) -> Result<Answers> {
    read(&mut Reader::new(bytes), version).map_err(|Short| {
        local(
            "reading the answer to a produce request",
            "PROTOCOL",
            "it is cut off, or none",
            Class::Retriable,
        )
    })
}

fn read(input: &mut Reader<'_>, version: i16) -> std::result::Result<Answers, Short> {
    let flexible = is_flexible(version);
    let mut out = Answers::default();
    for _ in 0..input.length(flexible)? {
        let topic: Arc<str> = input.string(flexible)?.ok_or(Short)?.into();
        for _ in 0..input.length(flexible)? {
            out.parts.push(part(input, &topic, version)?);
        }
        if flexible {
            input.skip_tags()?;
        }
    }
    out.throttle = Duration::from_millis(u64::try_from(input.i32()?).unwrap_or(0));
    if flexible {
        for _ in 0..input.uvarint()? {
            let tag = input.uvarint()?;
            let mut field = input.field()?;
            if tag == ENDPOINTS_TAG && version >= HINTS {
                for _ in 0..field.length(true)? {
                    let id = field.i32()?;
                    let host = field.string(true)?.ok_or(Short)?.to_owned();
                    let port = field.i32()?;
                    field.string(true)?;
                    field.skip_tags()?;
                    out.endpoints.push((id, address(&host, port)));
                }
            }
        }
    }
    Ok(out)
}

fn part(input: &mut Reader<'_>, topic: &Arc<str>, version: i16) -> std::result::Result<PartAnswer, Short> {
    let flexible = is_flexible(version);
    let mut out = PartAnswer {
        topic: Arc::clone(topic),
        partition: input.i32()?,
        code: input.i16()?,
        offset: input.i64()?,
        message: None,
        leader: None,
    };
    // When it was appended.
    input.i64()?;
    if version >= 5 {
        // Where the log begins.
        input.i64()?;
    }
    if version >= 8 {
        for _ in 0..input.length(flexible)? {
            input.i32()?;
            let message = input.string(flexible)?;
            out.message = out.message.or(message.map(str::to_owned));
            if flexible {
                input.skip_tags()?;
            }
        }
        let message = input.string(flexible)?;
        out.message = message.map(str::to_owned).or(out.message);
    }
    if flexible {
        for _ in 0..input.uvarint()? {
            let tag = input.uvarint()?;
            let mut field = input.field()?;
            if tag == LEADER_TAG && version >= HINTS {
                let (leader, epoch) = (field.i32()?, field.i32()?);
                out.leader = (leader >= 0).then_some(Partition { leader, epoch });
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::messages::produce_response::{
        BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
    };
    use kafka_protocol::messages::{BrokerId, ProduceResponse, TopicName};
    use kafka_protocol::protocol::{Encodable as _, StrBytes};
    use proptest::prelude::*;

    fn answer(version: i16) -> (ProduceResponse, Answers) {
        let text = StrBytes::from_static_str;
        let hints = version >= HINTS;
        let mut failed = PartitionProduceResponse::default()
            .with_index(3)
            .with_error_code(6)
            .with_base_offset(-1);
        if version >= 8 {
            let of_record = BatchIndexAndErrorMessage::default()
                .with_batch_index(1)
                .with_batch_index_error_message(Some(text("bad")));
            failed = failed
                .with_record_errors(vec![of_record])
                .with_error_message(Some(text("no")));
        }
        if hints {
            failed = failed.with_current_leader(
                LeaderIdAndEpoch::default()
                    .with_leader_id(BrokerId(4))
                    .with_leader_epoch(9),
            );
        }
        let stored = PartitionProduceResponse::default().with_index(0).with_base_offset(70);
        let topic = |name, parts| {
            TopicProduceResponse::default()
                .with_name(TopicName(text(name)))
                .with_partition_responses(parts)
        };
        let mut response = ProduceResponse::default()
            .with_responses(vec![topic("a", vec![stored]), topic("b", vec![failed])])
            .with_throttle_time_ms(250);
        if hints {
            let node = NodeEndpoint::default()
                .with_node_id(BrokerId(4))
                .with_host(text("h"))
                .with_port(99);
            response = response.with_node_endpoints(vec![node]);
        }
        let part = |topic: &str, partition, code, offset| PartAnswer {
            topic: topic.into(),
            partition,
            code,
            offset,
            message: None,
            leader: None,
        };
        let failed = PartAnswer {
            message: (version >= 8).then(|| "no".to_owned()),
            leader: hints.then_some(Partition { leader: 4, epoch: 9 }),
            ..part("b", 3, 6, -1)
        };
        let expected = Answers {
            parts: vec![part("a", 0, 0, 70), failed],
            throttle: Duration::from_millis(250),
            endpoints: if hints { vec![(4, "h:99".into())] } else { Vec::new() },
        };
        (response, expected)
    }

    #[test]
    fn what_another_encoder_writes_is_read_in_every_version() {
        for version in super::super::request::VERSIONS {
            let (response, expected) = answer(version);
            let mut bytes = BytesMut::new();
            response.encode(&mut bytes, version).expect("encoded");
            let bytes = bytes.freeze();
            assert_eq!(decode(&bytes, version).expect("decoded"), expected, "{version}");
            for end in 0..bytes.len() {
                // Cut off anywhere it is an error, never a panic.
                assert!(decode(&bytes.slice(..end), version).is_err(), "{version} up to {end}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_allocate_by_their_word(bytes in prop::collection::vec(any::<u8>(), 0..200), version in 3_i16..13) {
            let bytes = Bytes::from(bytes);
            if let Ok(answers) = decode(&bytes, version) {
                prop_assert!(answers.parts.len() <= bytes.len());
            }
        }
    }
}
