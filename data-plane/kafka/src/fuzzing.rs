//! The parsers of what brokers send, for the fuzz targets and for `tests`. Not part of an ordinary build.

#[cfg(test)]
mod memory;
#[cfg(test)]
mod tests;

use crate::wire::batch::decode::{Aborted, Most, Records, next_position};
use crate::wire::batch::encode::Sealed;
use crate::wire::fetch::answer;
use crate::wire::{group, produce};
use bytes::Bytes;
use dray_connect::source_batch::BatchLimits;

/// Of a batch of records: what stands before its length ends, where its checksum is, what that covers, and its whole header.
const LENGTH_ENDS: usize = 12;
const CHECKSUM: usize = 17;
const COVERED: usize = 21;
const HEADER: usize = 61;

/// Reads bytes as an answer to a fetch with its records, and as records alone.
pub fn fetched(bytes: &[u8]) {
    let frame = Bytes::copy_from_slice(bytes);
    if let Ok(answer) = answer::read(&frame) {
        for partition in answer.partitions {
            as_sent_and_righted(&partition.records, &partition.aborted);
        }
    }
    as_sent_and_righted(&frame, &[]);
}

/// Reads bytes as every other answer that is not left to `kafka-protocol`.
pub fn answered(bytes: &[u8]) {
    produce::read_any(&Bytes::copy_from_slice(bytes));
    group::read_any(bytes);
}

fn as_sent_and_righted(bytes: &Bytes, aborted: &[Aborted]) {
    records(bytes.clone(), aborted);
    records(righted(bytes.to_vec()), aborted);
}

/// Puts right what would hide the rest: the checksum of each batch, and a length that leads out of the bytes.
fn righted(mut bytes: Vec<u8>) -> Bytes {
    let mut at = 0;
    while bytes.len() - at > HEADER {
        let most = bytes.len() - at - LENGTH_ENDS;
        let batch = &mut bytes[at..];
        let length = i32::from_be_bytes(*batch[8..].first_chunk().expect("a header"));
        let fits = |length: &usize| (HEADER - LENGTH_ENDS..=most).contains(length);
        let length = usize::try_from(length).ok().filter(fits).unwrap_or(most);
        batch[8..LENGTH_ENDS].copy_from_slice(&(length as i32).to_be_bytes());
        let checksum = crc_fast::crc32_iscsi(&batch[COVERED..LENGTH_ENDS + length]);
        batch[CHECKSUM..COVERED].copy_from_slice(&checksum.to_be_bytes());
        at += LENGTH_ENDS + length;
    }
    Bytes::from(bytes)
}

fn records(bytes: Bytes, aborted: &[Aborted]) {
    let end = next_position(&bytes, 0);
    let mut records = Records::new(bytes.clone(), 0, Some(aborted.to_vec()));
    let most = Most {
        records: 100,
        bytes: 1 << 20,
    };
    let mut next = 0;
    while let Ok(Some(batch)) = records.take(&"t".into(), 0, most) {
        for record in &batch.records {
            assert!(
                (next..end).contains(&record.offset),
                "offsets rise, and end where the batches do"
            );
            next = record.offset + 1;
            for slice in record.key.iter().chain(&record.value) {
                let _bytes = batch.bytes(slice);
            }
            for (name, value) in &batch.headers[record.headers.start as usize..record.headers.end as usize] {
                let _bytes = (batch.bytes(name), value.as_ref().map(|value| batch.bytes(value)));
            }
        }
        assert!(records.position() >= next);
    }
    assert!(records.position() <= end);
    whole(bytes, aborted, end);
}

/// Batch by batch, whole where that is possible.
fn whole(bytes: Bytes, aborted: &[Aborted], end: i64) {
    let mut records = Records::new(bytes, 0, Some(aborted.to_vec())).apart();
    let limits = BatchLimits {
        codec: None,
        bytes: 1 << 20,
    };
    let most = Most {
        records: usize::MAX,
        bytes: usize::MAX,
    };
    let mut next = 0;
    loop {
        match records.take_whole(limits) {
            Ok(Some((batch, last))) => {
                assert!(
                    (next..end).contains(&last),
                    "offsets rise, and end where the batches do"
                );
                assert_eq!(
                    Sealed::whole(&batch).map(|sealed| sealed.len()),
                    Some(batch.bytes.len())
                );
                next = last + 1;
                continue;
            }
            Ok(None) => {}
            Err(_) => return,
        }
        match records.take(&"t".into(), 0, most) {
            Ok(Some(batch)) => next = batch.records.last().map_or(next, |record| record.offset + 1),
            Ok(None) | Err(_) => return,
        }
    }
}
