//! Produce requests: written by hand, so that batches are spliced in and not copied.

use super::inbox::TrackRef;
use super::settings::Settings;
use super::track::Parcel;
use crate::error::Result;
use crate::wire::frame::{Frame, put_uvarint};
use bytes::{BufMut as _, BytesMut};
use kafka_protocol::messages::ProduceRequest;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Record batches (v2) came with 3. From 13 on topics have ids instead of names.
pub(super) const VERSIONS: RangeInclusive<i16> = 3..=12;
/// From here on lengths are varints, and every structure ends with tags.
const FLEXIBLE: i16 = 9;

/// A batch in a request.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) from: TrackRef,
    pub(super) parcel: Parcel,
}

/// Whether a version is one of the flexible ones (KIP-482).
pub(super) fn is_flexible(version: i16) -> bool {
    version >= FLEXIBLE
}

/// A request with these batches, at most one for a partition. Sorts them by topic and partition.
pub(super) fn encode(parts: &mut [Part], version: i16, settings: &Settings) -> Result<Frame> {
    parts.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    let flexible = is_flexible(version);
    let mut frame = Frame::new::<ProduceRequest>(version, &settings.client)?;
    let out = &mut frame.body;
    // No transactional id: batches may be fenced by one, and are still not transactional.
    if flexible {
        out.put_u8(0);
    } else {
        out.put_i16(-1);
    }
    out.put_i16(settings.acks.number());
    out.put_i32(i32::try_from(settings.request_timeout.as_millis()).unwrap_or(i32::MAX));
    let topics: Vec<&mut [Part]> = parts.chunk_by_mut(|a, b| a.topic == b.topic).collect();
    put_length(out, topics.len(), flexible);
    for parts in topics {
        let out = &mut frame.body;
        let topic = parts[0].topic.as_bytes();
        if flexible {
            put_uvarint(out, topic.len() + 1);
        } else {
            out.put_i16(topic.len() as i16);
        }
        out.put_slice(topic);
        put_length(out, parts.len(), flexible);
        for part in parts {
            let out = &mut frame.body;
            out.put_i32(part.partition);
            put_length(out, part.parcel.head.len() + part.parcel.records.len(), flexible);
            out.put_slice(&part.parcel.head);
            // It goes on in the request, and only there.
            frame.splice(std::mem::take(&mut part.parcel.records));
            if flexible {
                frame.body.put_u8(0);
            }
        }
        if flexible {
            frame.body.put_u8(0);
        }
    }
    if flexible {
        frame.body.put_u8(0);
    }
    Ok(frame)
}

/// The length of an array or of bytes.
fn put_length(out: &mut BytesMut, length: usize, flexible: bool) {
    if flexible {
        put_uvarint(out, length + 1);
    } else {
        out.put_i32(length as i32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::SentBatch;
    use crate::wire::batch::encode::HEAD;
    use crate::wire::produce::lane_state::LaneShared;
    use bytes::{Buf as _, Bytes};
    use kafka_protocol::messages::RequestHeader;
    use kafka_protocol::protocol::{Decodable as _, HeaderVersion as _};
    use std::time::Duration;

    fn part(topic: &str, partition: i32, size: usize) -> Part {
        Part {
            topic: topic.into(),
            partition,
            from: TrackRef {
                lane: Arc::new(LaneShared::default()),
                track: 0,
            },
            parcel: Parcel {
                number: 1,
                head: [partition as u8; HEAD],
                records: vec![7; size].into(),
                sent: SentBatch {
                    records: 1,
                    bytes: HEAD + size,
                    compression: 1.0,
                    queued: Duration::ZERO,
                    again: false,
                },
            },
        }
    }

    #[test]
    fn another_decoder_reads_what_is_written() {
        let settings = Settings::read(&[("client.id".to_owned(), "me".to_owned())].into()).expect("settings");
        for version in VERSIONS {
            let mut parts = vec![
                part("b", 2, 300),
                part("a", 1, 0),
                part("b", 0, 70_000),
                part("a", 7, 1),
            ];
            let frame = encode(&mut parts, version, &settings).expect("a frame");
            let mut pieces = Vec::new();
            frame.finish(9, &mut pieces).expect("short enough");
            let mut all = Bytes::from(pieces.concat());
            assert_eq!(all.get_i32() as usize, all.len());
            let header = RequestHeader::decode(&mut all, ProduceRequest::header_version(version)).expect("a header");
            assert_eq!((header.request_api_version, header.correlation_id), (version, 9));
            let request = ProduceRequest::decode(&mut all, version).expect("a request");
            assert!(all.is_empty(), "{version}: nothing is left");
            assert_eq!((request.acks, request.timeout_ms), (-1, 30_000));
            assert_eq!(request.transactional_id, None);
            let found: Vec<_> = request
                .topic_data
                .iter()
                .flat_map(|topic| topic.partition_data.iter().map(|part| (topic.name.as_str(), part)))
                .map(|(name, part)| (name, part.index, part.records.as_ref().expect("records").len()))
                .collect();
            assert_eq!(
                found,
                [
                    ("a", 1, HEAD),
                    ("a", 7, HEAD + 1),
                    ("b", 0, HEAD + 70_000),
                    ("b", 2, HEAD + 300)
                ],
                "{version}"
            );
        }
    }
}
