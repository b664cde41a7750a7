//! The header of a record batch (format 2): checked on the way in, patched in two places, never decoded further.
//!
//! The checksum covers everything from the attributes on, so that the base offset and the leader epoch, which stand
//! before it, can be set by the broker without touching what the producer signed.

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::ResponseError;

/// The leader epoch of every partition: a single node never elects another leader.
pub(crate) const LEADER_EPOCH: i32 = 0;

const LENGTH_AT: usize = 8;
const LEADER_EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const LAST_OFFSET_DELTA_AT: usize = 23;
const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCER_ID_AT: usize = 43;
const PRODUCER_EPOCH_AT: usize = 51;
const BASE_SEQUENCE_AT: usize = 53;
const RECORD_COUNT_AT: usize = 57;
const HEADER_LENGTH: usize = 61;
/// The bytes that the length field does not count: the base offset and the length itself.
const LENGTH_OVERHEAD: usize = 12;
/// Attribute bits 4 and 5: transactional, control. A producer without transactions sets neither.
const TRANSACTIONAL_OR_CONTROL: i16 = 0x30;

/// A batch whose header and checksum are right, in the bytes that the producer sent.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Bytes,
    pub(crate) last_offset_delta: i32,
    pub(crate) max_timestamp: i64,
    pub(crate) producer: Option<Sequence>,
}

/// Which batch of an idempotent producer this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sequence {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) base: i32,
}

impl Batch {
    /// Takes exactly one batch. Kafka refuses more than one since produce version 3, and so do we.
    pub(crate) fn parse(bytes: Bytes) -> Result<Self, ResponseError> {
        if bytes.len() < HEADER_LENGTH {
            return Err(ResponseError::CorruptMessage);
        }
        let length = i32_at(&bytes, LENGTH_AT);
        let magic = bytes[MAGIC_AT];
        if magic != 2 {
            return Err(ResponseError::UnsupportedForMessageFormat);
        }
        let total = usize::try_from(length)
            .map_err(|_| ResponseError::CorruptMessage)?
            .saturating_add(LENGTH_OVERHEAD);
        if total < HEADER_LENGTH || total > bytes.len() {
            return Err(ResponseError::CorruptMessage);
        }
        if total < bytes.len() {
            return Err(ResponseError::InvalidRecord);
        }
        if (&bytes[CRC_AT..]).get_u32() != crc_fast::crc32_iscsi(&bytes[ATTRIBUTES_AT..]) {
            return Err(ResponseError::CorruptMessage);
        }
        let last_offset_delta = i32_at(&bytes, LAST_OFFSET_DELTA_AT);
        let count = i32_at(&bytes, RECORD_COUNT_AT);
        if count < 1 || last_offset_delta != count - 1 {
            return Err(ResponseError::InvalidRecord);
        }
        if (&bytes[ATTRIBUTES_AT..]).get_i16() & TRANSACTIONAL_OR_CONTROL != 0 {
            return Err(ResponseError::InvalidRecord);
        }
        let producer_id = i64_at(&bytes, PRODUCER_ID_AT);
        let producer = (producer_id >= 0).then(|| Sequence {
            producer_id,
            epoch: (&bytes[PRODUCER_EPOCH_AT..]).get_i16(),
            base: i32_at(&bytes, BASE_SEQUENCE_AT),
        });
        Ok(Self {
            last_offset_delta,
            max_timestamp: i64_at(&bytes, MAX_TIMESTAMP_AT),
            producer,
            bytes,
        })
    }

    /// The size as stored.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// A copy with the base offset and the leader epoch set. A copy, because a slice of the request would keep the
    /// whole request alive, and the memory cap would no longer be true.
    pub(crate) fn at_offset(&self, base_offset: i64) -> Bytes {
        let mut stored = BytesMut::from(&self.bytes[..]);
        stored[..LENGTH_AT].copy_from_slice(&base_offset.to_be_bytes());
        stored[LEADER_EPOCH_AT..MAGIC_AT].copy_from_slice(&LEADER_EPOCH.to_be_bytes());
        stored.freeze()
    }
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    (&bytes[at..]).get_i32()
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    (&bytes[at..]).get_i64()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A batch of `count` records whose payload is `payload` zero bytes; enough for code that never decodes.
    pub(crate) fn batch_bytes(count: i32, max_timestamp: i64, payload: usize) -> BytesMut {
        let mut bytes = BytesMut::zeroed(HEADER_LENGTH + payload);
        let length = i32::try_from(bytes.len() - LENGTH_OVERHEAD).unwrap();
        bytes[LENGTH_AT..LEADER_EPOCH_AT].copy_from_slice(&length.to_be_bytes());
        bytes[MAGIC_AT] = 2;
        bytes[LAST_OFFSET_DELTA_AT..LAST_OFFSET_DELTA_AT + 4].copy_from_slice(&(count - 1).to_be_bytes());
        bytes[MAX_TIMESTAMP_AT..PRODUCER_ID_AT].copy_from_slice(&max_timestamp.to_be_bytes());
        bytes[PRODUCER_ID_AT..PRODUCER_EPOCH_AT].copy_from_slice(&(-1_i64).to_be_bytes());
        bytes[RECORD_COUNT_AT..HEADER_LENGTH].copy_from_slice(&count.to_be_bytes());
        sign(&mut bytes);
        bytes
    }

    /// The same, from an idempotent producer.
    pub(crate) fn sequenced(count: i32, producer_id: i64, base: i32) -> BytesMut {
        let mut bytes = batch_bytes(count, 0, 10);
        bytes[PRODUCER_ID_AT..PRODUCER_EPOCH_AT].copy_from_slice(&producer_id.to_be_bytes());
        bytes[BASE_SEQUENCE_AT..RECORD_COUNT_AT].copy_from_slice(&base.to_be_bytes());
        sign(&mut bytes);
        bytes
    }

    fn sign(bytes: &mut BytesMut) {
        let crc = crc_fast::crc32_iscsi(&bytes[ATTRIBUTES_AT..]);
        bytes[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    }

    #[test]
    fn patching_leaves_the_checksum_right() {
        let batch = Batch::parse(batch_bytes(3, 7, 20).freeze()).unwrap();
        let stored = batch.at_offset(41);
        assert_eq!((&stored[..]).get_i64(), 41);
        assert_eq!(Batch::parse(stored).unwrap().max_timestamp, 7);
    }

    #[test]
    fn damage_is_refused() {
        let good = batch_bytes(2, 0, 8);
        let mut flipped = good.clone();
        flipped[HEADER_LENGTH] ^= 1;
        assert_eq!(
            Batch::parse(flipped.freeze()).unwrap_err(),
            ResponseError::CorruptMessage
        );
        let short = good.clone().freeze().slice(..HEADER_LENGTH + 1);
        assert_eq!(Batch::parse(short).unwrap_err(), ResponseError::CorruptMessage);
        let mut two = good.clone();
        two.extend_from_slice(&good);
        assert_eq!(Batch::parse(two.freeze()).unwrap_err(), ResponseError::InvalidRecord);
    }
}
