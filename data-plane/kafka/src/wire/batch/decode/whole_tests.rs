//! Which batches are handed on whole, and what becomes of their heads.

use super::tests::{changed, encoded, marker, sent, take, with_attributes};
use super::*;
use crate::wire::batch::encode::{Sealed, Stamp};
use kafka_protocol::records::Compression;

const LIMITS: BatchLimits = BatchLimits {
    codec: None,
    bytes: 1 << 20,
};
const ALL: Most = Most {
    records: usize::MAX,
    bytes: usize::MAX,
};

/// A batch of three records from this offset on.
fn three(offset: i64, compression: Compression) -> Vec<u8> {
    let records: Vec<_> = (offset..offset + 3).map(|at| sent(at, &[at as u8; 40])).collect();
    encoded(&records, compression)
}

/// What is handed out batch by batch: the offsets of a decoded one, or the last offset of a whole one.
#[derive(Debug, PartialEq, Eq)]
enum Out {
    Whole(i64),
    Decoded(Vec<i64>),
}

fn out(batches: &[Vec<u8>], position: i64, limits: BatchLimits, aborted: Option<Vec<Aborted>>) -> Vec<Out> {
    let mut records = Records::new(batches.concat().into(), position, aborted).apart();
    let mut found = Vec::new();
    loop {
        if let Some((batch, last)) = records.take_whole(limits).expect("no batch is malformed") {
            assert!(batches.iter().any(|other| other[..] == batch.bytes[..]));
            found.push(Out::Whole(last));
            continue;
        }
        match records.take(&"t".into(), 0, ALL).expect("no batch is malformed") {
            Some(batch) => found.push(Out::Decoded(batch.records.iter().map(|record| record.offset).collect())),
            None => return found,
        }
    }
}

#[test]
fn a_batch_that_reads_the_same_anywhere_is_whole() {
    use Out::{Decoded, Whole};
    let plain = three(3, Compression::None);
    let attributes = |attributes| with_attributes(plain.clone(), 7, attributes);
    let gap = encoded(&[sent(3, b"a"), sent(5, b"b")], Compression::None);
    let early = changed(plain.clone(), |batch| {
        batch[BASE_TIMESTAMP..BASE_TIMESTAMP + 8].fill(0xff)
    });
    let emptied = changed(plain.clone(), |batch| {
        batch.truncate(HEADER);
        batch[8..12].copy_from_slice(&((HEADER - LENGTH_ENDS) as i32).to_be_bytes());
        batch[COUNT..].fill(0);
    });
    let decoded = || Decoded(vec![3, 4, 5]);
    for (what, batch, limits, expected) in [
        ("plain", plain.clone(), LIMITS, Some(Whole(5))),
        ("compressed", three(3, Compression::Zstd), LIMITS, Some(Whole(5))),
        ("of a transaction", attributes(TRANSACTIONAL), LIMITS, Some(Whole(5))),
        ("a control batch", attributes(CONTROL), LIMITS, None),
        (
            "the broker's timestamps",
            attributes(LOG_APPEND_TIME),
            LIMITS,
            Some(decoded()),
        ),
        ("a time to delete it", attributes(1 << 6), LIMITS, Some(decoded())),
        ("no timestamp", early, LIMITS, Some(decoded())),
        ("a gap", gap, LIMITS, Some(Decoded(vec![3, 5]))),
        ("nothing left of it", emptied, LIMITS, None),
        (
            "too large",
            plain.clone(),
            BatchLimits {
                bytes: plain.len() - 1,
                ..LIMITS
            },
            Some(decoded()),
        ),
        (
            "another codec",
            plain.clone(),
            BatchLimits {
                codec: Some(4),
                ..LIMITS
            },
            Some(decoded()),
        ),
        (
            "the codec",
            plain.clone(),
            BatchLimits {
                codec: Some(0),
                ..LIMITS
            },
            Some(Whole(5)),
        ),
    ] {
        let batches = [three(0, Compression::None), batch, three(6, Compression::None)];
        let others = limits == LIMITS || limits.codec == Some(0);
        let other = |last: i64| {
            if others {
                Whole(last)
            } else {
                Decoded((last - 2..=last).collect())
            }
        };
        let all: Vec<_> = [other(2)].into_iter().chain(expected).chain([other(8)]).collect();
        assert_eq!(out(&batches, 0, limits, None), all, "{what}");
    }
}

#[test]
fn only_what_is_wanted_is_handed_on() {
    use Out::{Decoded, Whole};
    let batches = [three(0, Compression::None), three(3, Compression::Lz4)];
    assert_eq!(out(&batches, 3, LIMITS, None), [Whole(5)]);
    assert_eq!(out(&batches, 1, LIMITS, None), [Decoded(vec![1, 2]), Whole(5)]);
    assert_eq!(out(&batches, 5, LIMITS, None), [Decoded(vec![5])]);
    assert_eq!(out(&batches, 6, LIMITS, None), []);
    // A transaction that was aborted, another producer's that was not, and then one more of the first.
    let batches = [
        with_attributes(three(0, Compression::None), 7, TRANSACTIONAL),
        with_attributes(three(3, Compression::None), 8, TRANSACTIONAL),
        marker(6, 7, ABORT),
        with_attributes(three(7, Compression::None), 7, TRANSACTIONAL),
    ];
    let aborted = vec![Aborted {
        producer_id: 7,
        first_offset: 0,
    }];
    assert_eq!(out(&batches, 0, LIMITS, Some(aborted)), [Whole(5), Whole(9)]);
    assert_eq!(out(&batches, 0, LIMITS, None), [Whole(2), Whole(5), Whole(9)]);
}

#[test]
fn a_wrong_checksum_is_no_batch() {
    for place in [ATTRIBUTES, HEADER + 5] {
        let mut wrong = three(0, Compression::None);
        wrong[place] ^= 0x10;
        let mut records = Records::new(wrong.into(), 0, None).apart();
        for _ in 0..2 {
            let refused = records.take_whole(LIMITS).expect_err("corrupt");
            assert!(matches!(refused, Malformed::Corrupt { .. }), "{refused}");
        }
    }
}

/// Under another producer's stamp, and outside of any transaction, the records read as before.
#[test]
fn a_new_head_fits_the_old_records() {
    for compression in [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let transactional = three(40, compression);
        let attributes = i16::from_be_bytes([transactional[ATTRIBUTES], transactional[ATTRIBUTES + 1]]);
        let batch = with_attributes(transactional, 77, attributes | TRANSACTIONAL);
        let mut records = Records::new(batch.clone().into(), 40, None).apart();
        let (whole, _) = records.take_whole(LIMITS).expect("sound").expect("whole");
        let sealed = Sealed::whole(&whole).expect("a batch");
        let stamp = Stamp {
            producer_id: 5,
            epoch: 6,
            sequence: 7,
        };
        let again = [&sealed.head(stamp)[..], &sealed.records()[..]].concat();
        assert_eq!(again.len(), batch.len());
        let crc = i32::from_be_bytes(*again[CRC..].first_chunk().expect("a head")) as u32;
        assert_eq!(crc, crc_fast::crc32_iscsi(&again[ATTRIBUTES..]), "{compression:?}");
        assert_eq!(be_i64(&again, 0), 0);
        assert_eq!(be_i64(&again, PRODUCER_ID), 5);
        assert_eq!(
            i16::from_be_bytes([again[ATTRIBUTES], again[ATTRIBUTES + 1]]),
            attributes
        );
        let mut before = Records::new(batch.into(), 0, None);
        let mut after = Records::new(again.into(), 0, None);
        let before = take(&mut before, ALL).expect("read");
        let after = take(&mut after, ALL).expect("read");
        let shifted = before.into_iter().map(|mut got| {
            got.0 -= 40;
            got
        });
        assert_eq!(after, shifted.collect::<Vec<_>>(), "{compression:?}");
    }
}

#[test]
fn what_is_no_batch_gets_no_head() {
    let bytes: Bytes = three(0, Compression::None).into();
    let whole = |bytes: Bytes, count| Sealed::whole(&WholeBatch { bytes, count }).is_some();
    assert!(whole(bytes.clone(), 3));
    assert!(!whole(bytes.clone(), 4));
    assert!(!whole(bytes.slice(..HEADER - 1), 3));
    let unknown = with_attributes(bytes.to_vec(), 0, 7);
    assert!(!whole(unknown.into(), 3));
}
