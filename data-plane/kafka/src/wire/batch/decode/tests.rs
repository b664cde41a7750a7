//! Against the encoder of `kafka-protocol`, and on bytes that are no batches.

use super::*;
use bytes::{BufMut as _, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, Record as Sent, RecordBatchEncoder, RecordEncodeOptions, TimestampType as Kind,
};
use proptest::prelude::*;
use std::io::Write as _;

const ALL: Most = Most {
    records: usize::MAX,
    bytes: usize::MAX,
};
/// A plain record as it is handed out: offset, timestamp, key, value, headers.
pub(super) type Got = (
    i64,
    Option<i64>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Vec<(Vec<u8>, Option<Vec<u8>>)>,
);

pub(super) fn sent(offset: i64, value: &[u8]) -> Sent {
    Sent {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: Kind::Creation,
        offset,
        sequence: offset as i32,
        timestamp: 1_000 + offset,
        key: None,
        value: Some(Bytes::copy_from_slice(value)),
        headers: IndexMap::new(),
    }
}

fn compress(plain: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => plain.to_vec(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(plain).expect("written");
            encoder.finish().expect("finished")
        }
        Compression::Snappy => snap::raw::Encoder::new().compress_vec(plain).expect("compressed"),
        Compression::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(plain).expect("written");
            encoder.finish().expect("finished")
        }
        Compression::Zstd => zstd::encode_all(plain, 1).expect("compressed"),
    }
}

/// One batch of these records.
pub(super) fn encoded(records: &[Sent], compression: Compression) -> Vec<u8> {
    let mut out = BytesMut::new();
    let compressor = |plain: &mut BytesMut, out: &mut BytesMut, compression| {
        out.put_slice(&compress(plain, compression));
        Ok(())
    };
    let options = RecordEncodeOptions {
        version: 2,
        compression,
    };
    RecordBatchEncoder::encode_with_custom_compression(&mut out, records, &options, Some(compressor)).expect("encodes");
    out.to_vec()
}

/// Changes a batch's bytes and puts the checksum right again.
pub(super) fn changed(mut batch: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut batch);
    let crc = crc_fast::crc32_iscsi(&batch[ATTRIBUTES..]);
    batch[CRC..CRC + 4].copy_from_slice(&crc.to_be_bytes());
    batch
}

pub(super) fn with_attributes(batch: Vec<u8>, producer: i64, attributes: i16) -> Vec<u8> {
    changed(batch, |batch| {
        batch[ATTRIBUTES..ATTRIBUTES + 2].copy_from_slice(&attributes.to_be_bytes());
        batch[PRODUCER_ID..PRODUCER_ID + 8].copy_from_slice(&producer.to_be_bytes());
    })
}

/// The control batch that ends a producer's transaction.
pub(super) fn marker(offset: i64, producer: i64, kind: i16) -> Vec<u8> {
    let mut record = sent(offset, &[0, 0, 0, 0, 0, 0]);
    record.key = Some(Bytes::from([0_i16.to_be_bytes(), kind.to_be_bytes()].concat()));
    with_attributes(encoded(&[record], Compression::None), producer, TRANSACTIONAL | CONTROL)
}

pub(super) fn take(records: &mut Records, most: Most) -> Result<Vec<Got>, Malformed> {
    let mut all = Vec::new();
    while let Some(batch) = records.take(&"t".into(), 3, most)? {
        assert!(batch.records.len() <= most.records);
        for record in &batch.records {
            assert_eq!((record.partition, &*batch.topics[record.topic as usize]), (3, "t"));
            let bytes = |slice: &Option<Slice>| slice.as_ref().map(|slice| batch.bytes(slice).to_vec());
            let headers = &batch.headers[record.headers.start as usize..record.headers.end as usize];
            let headers = headers
                .iter()
                .map(|(name, value)| (batch.bytes(name).to_vec(), bytes(value)));
            all.push((
                record.offset,
                record.timestamp,
                bytes(&record.key),
                bytes(&record.value),
                headers.collect(),
            ));
        }
    }
    Ok(all)
}

fn offsets(bytes: &[u8], position: i64, aborted: Option<Vec<Aborted>>) -> Vec<i64> {
    let mut records = Records::new(Bytes::copy_from_slice(bytes), position, aborted);
    let found = take(&mut records, ALL).expect("well formed");
    found.into_iter().map(|record| record.0).collect()
}

type Value = Option<Vec<u8>>;

fn arbitrary() -> impl Strategy<Value = Vec<Sent>> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40));
    let headers = proptest::collection::vec(("[a-zäß]{0,5}", bytes()), 0..4);
    let record = (bytes(), bytes(), headers, -1_i64..2_000_000_000_000);
    let record = record.prop_map(
        |(key, value, headers, timestamp): (Value, Value, Vec<(String, Value)>, i64)| {
            let headers = headers
                .into_iter()
                .map(|(name, value)| (StrBytes::from_string(name), value.map(Bytes::from)));
            Sent {
                key: key.map(Bytes::from),
                value: value.map(Bytes::from),
                headers: headers.collect(),
                timestamp,
                ..sent(0, b"")
            }
        },
    );
    proptest::collection::vec(record, 1..40).prop_map(|mut records| {
        for (index, record) in records.iter_mut().enumerate() {
            record.offset = 50 + index as i64;
            record.sequence = 50 + index as i32;
        }
        records
    })
}

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// What another's encoder wrote is read as it was, in whatever portions and from wherever.
    #[test]
    fn records_come_as_they_were_sent(
        first in arbitrary(), second in arbitrary(), codecs in (0..5_usize, 0..5_usize), most in 1..50_usize, skip in 0..60_i64,
    ) {
        let shift = 50 + first.len() as i64;
        let second: Vec<Sent> = second.into_iter().map(|r| Sent { offset: r.offset - 50 + shift, ..r }).collect();
        let mut bytes = encoded(&first, CODECS[codecs.0]);
        bytes.extend(encoded(&second, CODECS[codecs.1]));
        let end = shift + second.len() as i64;
        prop_assert_eq!(next_position(&bytes, 0), end);
        let position = 50 + skip.min(end - 50);
        let mut records = Records::new(Bytes::from(bytes), position, None);
        let found = take(&mut records, Most { records: most, bytes: 1000 }).expect("well formed");
        let expected: Vec<Got> = first.iter().chain(&second).filter(|record| record.offset >= position).map(|record| {
            let plain = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| bytes.to_vec());
            let headers = record.headers.iter().map(|(name, value)| (name.as_bytes().to_vec(), plain(value)));
            let timestamp = (record.timestamp != -1).then_some(record.timestamp);
            (record.offset, timestamp, plain(&record.key), plain(&record.value), headers.collect())
        }).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(records.position(), end);
    }

    /// Any change is noticed, or was made where it does not matter; nothing panics, and nothing is made up.
    #[test]
    fn a_changed_byte_is_noticed(
        sent in arbitrary(), codec in 0..5_usize, place in any::<prop::sample::Index>(), to in any::<u8>(), right: bool, cut: bool,
    ) {
        let mut bytes = encoded(&sent, CODECS[codec]);
        let place = place.index(bytes.len());
        if cut {
            bytes.truncate(place);
        } else if right && place >= ATTRIBUTES {
            bytes = changed(bytes, |bytes| bytes[place] = to);
        } else {
            bytes[place] = to;
        }
        let mut records = Records::new(Bytes::from(bytes), 0, Some(Vec::new()));
        let most = Most { records: 7, bytes: 1000 };
        let mut last = -1;
        for _ in 0..1000 {
            match records.take(&"t".into(), 0, most) {
                Ok(Some(batch)) => for record in &batch.records {
                    prop_assert!(record.offset >= last, "in order");
                    last = record.offset;
                },
                Ok(None) | Err(_) => return Ok(()),
            }
        }
        prop_assert!(false, "it does not end");
    }

    #[test]
    fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        next_position(&bytes, 0);
        let mut records = Records::new(Bytes::from(bytes), 0, Some(Vec::new()));
        take(&mut records, ALL).ok();
    }
}

#[test]
fn aborted_transactions_are_left_out() {
    let batch = |base: i64, producer| {
        let records = [sent(base, b"a"), sent(base + 1, b"b")];
        with_attributes(encoded(&records, Compression::None), producer, TRANSACTIONAL)
    };
    let plain = encoded(&[sent(4, b"p"), sent(5, b"p")], Compression::None);
    let log = [
        batch(0, 1),
        batch(2, 2),
        plain,
        marker(6, 1, ABORT),
        batch(7, 1),
        marker(9, 2, 1),
        marker(10, 1, 1),
    ]
    .concat();
    let aborted = |first_offset| Aborted {
        producer_id: 1,
        first_offset,
    };
    assert_eq!(
        offsets(&log, 0, None),
        [0, 1, 2, 3, 4, 5, 7, 8],
        "of all that is there, but control records"
    );
    // The first transaction of producer 1 was aborted, its second was not.
    assert_eq!(offsets(&log, 0, Some(vec![aborted(0)])), [2, 3, 4, 5, 7, 8]);
    assert_eq!(offsets(&log, 3, Some(vec![aborted(0)])), [3, 4, 5, 7, 8]);
    let later = Aborted {
        producer_id: 2,
        first_offset: 2,
    };
    let list = vec![later, aborted(0)];
    assert_eq!(
        offsets(&log, 0, Some(list)),
        [4, 5, 7, 8],
        "whatever the order of the list"
    );
    let mut records = Records::new(Bytes::from(log.clone()), 0, Some(Vec::new()));
    take(&mut records, ALL).expect("well formed");
    assert_eq!(records.position(), 11, "behind the last marker");
    assert_eq!(next_position(&log, 0), 11);
}

#[test]
fn the_brokers_time_is_every_records() {
    let batch = encoded(&[sent(0, b"a"), sent(1, b"b")], Compression::None);
    let batch = changed(batch, |batch| {
        batch[ATTRIBUTES + 1] |= LOG_APPEND_TIME as u8;
        batch[MAX_TIMESTAMP..MAX_TIMESTAMP + 8].copy_from_slice(&77_i64.to_be_bytes());
    });
    let mut records = Records::new(Bytes::from(batch), 0, None);
    let batch = records
        .take(&"t".into(), 0, ALL)
        .expect("well formed")
        .expect("two records");
    for record in batch.records {
        assert_eq!(
            (record.timestamp, record.timestamp_type),
            (Some(77), TimestampType::LogAppendTime)
        );
    }
}

#[test]
fn uncompressed_records_are_not_copied() {
    let batch = Bytes::from(encoded(&[sent(0, b"value")], Compression::None));
    let mut records = Records::new(batch.clone(), 0, None);
    let found = records
        .take(&"t".into(), 0, ALL)
        .expect("well formed")
        .expect("a record");
    assert_eq!(found.data.as_ptr(), batch.as_ptr());
}

/// The end of an answer may lie within a batch, and within its header.
#[test]
fn a_batch_that_is_cut_off_waits_for_the_next_answer() {
    let (first, second) = (
        encoded(&[sent(0, b"a")], Compression::None),
        encoded(&[sent(1, b"b")], Compression::None),
    );
    for cut in 0..second.len() {
        let bytes = [&first[..], &second[..cut]].concat();
        assert_eq!(
            (offsets(&bytes, 0, None), next_position(&bytes, 0)),
            (vec![0], 1),
            "{cut}"
        );
        assert_eq!(cut_off(&second[..cut]), cut > 0);
    }
}

#[test]
fn what_is_wrong_is_said() {
    let batch = encoded(&[sent(7, b"a")], Compression::None);
    let flipped = |place: usize, value: u8| {
        let mut batch = batch.clone();
        batch[place] = value;
        batch
    };
    for (bytes, expected) in [
        (
            flipped(MAGIC, 1),
            "the batch at offset 7 is of format 1, and only 2 is read, which brokers have since 0.11",
        ),
        (
            flipped(MAGIC, 3),
            "the batch at offset 7 is of format 3, and only 2 is read, which brokers have since 0.11",
        ),
        (
            flipped(65, 9),
            "the batch at offset 7 is corrupt: its checksum is not that of its bytes",
        ),
        (
            flipped(11, 3),
            "the batch at offset 7 is corrupt: it is shorter than its header",
        ),
        (
            changed(batch.clone(), |batch| batch[ATTRIBUTES + 1] = 6),
            "the batch at offset 7 is compressed by codec 6, which is not known",
        ),
        (
            changed(batch.clone(), |batch| batch[COUNT + 3] = 200),
            "the batch at offset 7 is corrupt: it counts more records than it has room for",
        ),
        (
            changed(batch.clone(), |batch| batch[ATTRIBUTES + 1] = 4),
            "the batch at offset 7 does not decompress",
        ),
    ] {
        let mut records = Records::new(Bytes::from(bytes), 0, None);
        let error = records.take(&"t".into(), 0, ALL).expect_err(expected);
        assert_eq!(error.to_string(), expected);
        assert_eq!(records.position(), 0);
    }
    // What came before it is handed out first.
    let bytes = [encoded(&[sent(6, b"a")], Compression::None), flipped(65, 9)].concat();
    let mut records = Records::new(Bytes::from(bytes), 0, None);
    let first = records
        .take(&"t".into(), 0, ALL)
        .expect("the first batch")
        .expect("a record");
    assert_eq!((first.records.len(), records.position()), (1, 7));
    records.take(&"t".into(), 0, ALL).expect_err("the second");
}

/// A record that is refused in the middle of a batch is refused for good: the next call does not pass over it, nor over what is behind it.
#[test]
fn a_bad_record_behind_good_ones_is_not_passed_over() {
    let batch = encoded(&[sent(0, b"a"), sent(1, b"b"), sent(2, b"c")], Compression::None);
    // Each record: length, attributes, time, offset, no key, length and byte of the value, no headers.
    let (each, offset) = ((batch.len() - HEADER) / 3, 3);
    let second = HEADER + each + offset;
    assert_eq!(batch[second], 2, "zigzag");
    let behind = |batch: &mut Vec<u8>| {
        batch.push(0);
        let length = (batch.len() - LENGTH_ENDS) as i32;
        batch[8..12].copy_from_slice(&length.to_be_bytes());
    };
    for (bad, good) in [
        (changed(batch.clone(), |batch| batch[second] = 0), 1),
        (changed(batch.clone(), |batch| batch[second] = 6), 1),
        (changed(batch.clone(), |batch| batch[second] = 1), 1),
        (changed(batch.clone(), |batch| batch[second - 3] = 100), 1),
        (changed(batch.clone(), behind), 2),
    ] {
        for records in 1..4 {
            let mut reader = Records::new(Bytes::from(bad.clone()), 0, None);
            let most = Most { records, bytes: 1000 };
            let mut found = 0;
            let error = loop {
                match reader.take(&"t".into(), 0, most) {
                    Ok(batch) => found += batch.expect("not the end").records.len(),
                    Err(error) => break error,
                }
            };
            assert_eq!((found, reader.position()), (good, good as i64), "{error}");
            reader.take(&"t".into(), 0, most).expect_err("again");
        }
    }
}
