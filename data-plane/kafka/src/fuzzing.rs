//! The parsers of what brokers send, for the fuzz targets. Not part of an ordinary build.

use crate::wire::batch::decode::{Most, Records, next_position};
use crate::wire::fetch::answer;
use bytes::Bytes;

/// Reads `bytes` as an answer to a fetch, and as the records of one. The checksum is put right, so that it does not hide the rest.
pub fn fetched(bytes: &[u8]) {
    let frame = Bytes::copy_from_slice(bytes);
    if let Ok(answer) = answer::read(&frame) {
        for partition in answer.partitions {
            records(partition.records);
        }
    }
    let mut batch = bytes.to_vec();
    if batch.len() > 61 {
        let length = (batch.len() - 12) as i32;
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        let crc = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    records(frame);
    records(Bytes::from(batch));
}

fn records(bytes: Bytes) {
    let end = next_position(&bytes, 0);
    let mut records = Records::new(bytes, 0, Some(Vec::new()));
    let most = Most {
        records: 100,
        bytes: 1 << 20,
    };
    while let Ok(Some(batch)) = records.take(&"t".into(), 0, most) {
        for record in &batch.records {
            assert!(record.offset < end.max(1));
            for slice in record.key.iter().chain(&record.value) {
                let _bytes = batch.bytes(slice);
            }
        }
    }
    assert!(records.position() <= end);
}
