//! Makes two batches of one that a broker finds too large. Pure.

use super::decode::{Most, Records};
use super::encode::{Open, Sealed, Stamp};
use crate::port::{FetchBatch, FetchedRecord, HeaderRef, ProduceRecord};
use bytes::BytesMut;
use std::sync::Arc;

impl Sealed {
    /// Two batches of the same codec with the records of this one, each with about half of their bytes. None when there is one record
    /// only, or the records of another's batch are not what they should be.
    pub(crate) fn halves(&self, level: Option<i32>) -> Option<(Self, Self)> {
        let all = Most {
            records: usize::MAX,
            bytes: usize::MAX,
        };
        let mut bytes = BytesMut::with_capacity(self.len());
        bytes.extend_from_slice(&self.head(Stamp::NONE));
        bytes.extend_from_slice(&self.records());
        let batch = Records::new(bytes.freeze(), 0, None).take(&Arc::from(""), 0, all);
        let batch = batch.ok()??;
        if batch.records.len() < 2 || i32::try_from(batch.records.len()) != Ok(self.count()) {
            return None;
        }
        let (first, second) = batch.records.split_at(middle(&batch));
        let seal = |records: &[FetchedRecord]| {
            let mut open = Open::with_capacity(batch.data.len() / 2);
            for record in records {
                push(&mut open, &batch, record)?;
            }
            Some(open.seal(self.codec(), level))
        };
        Some((seal(first)?, seal(second)?))
    }
}

/// How many records the first half has, of two at least.
fn middle(batch: &FetchBatch) -> usize {
    let total: usize = batch.records.iter().map(|record| size(batch, record)).sum();
    let mut before = 0;
    let reaches = |record: &FetchedRecord| {
        before += size(batch, record);
        before * 2 >= total
    };
    let half = batch.records.iter().position(reaches);
    half.map_or(1, |last| last + 1).clamp(1, batch.records.len() - 1)
}

fn size(batch: &FetchBatch, record: &FetchedRecord) -> usize {
    let headers = &batch.headers[record.headers.start as usize..record.headers.end as usize];
    let headers = headers.iter().flat_map(|(name, value)| [Some(name), value.as_ref()]);
    let slices = [record.key.as_ref(), record.value.as_ref()].into_iter().chain(headers);
    // What surrounds them counts too, or records without anything had no middle.
    1 + slices.flatten().map(ExactSizeIterator::len).sum::<usize>()
}

fn push(open: &mut Open, batch: &FetchBatch, record: &FetchedRecord) -> Option<()> {
    let headers = &batch.headers[record.headers.start as usize..record.headers.end as usize];
    let header = |(name, value): &(_, Option<_>)| {
        Some(HeaderRef {
            key: std::str::from_utf8(batch.bytes(name)).ok()?,
            value: value.as_ref().map(|value| batch.bytes(value)),
        })
    };
    let headers: Option<Vec<_>> = headers.iter().map(header).collect();
    let record_again = ProduceRecord {
        topic: "",
        partition: None,
        timestamp: None,
        key: record.key.as_ref().map(|key| batch.bytes(key)),
        value: record.value.as_ref().map(|value| batch.bytes(value)),
        headers: &headers?,
        sequence: 0,
    };
    // None is how -1 is read.
    open.push(&record_again, record.timestamp.unwrap_or(-1));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::batch::compression::Codec;
    use bytes::Bytes;
    use dray_connect::source_batch::WholeBatch;
    use proptest::prelude::*;

    type Record = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

    fn sealed(records: &[Record], codec: Codec) -> Sealed {
        let mut open = Open::with_capacity(0);
        for (timestamp, key, value, headers) in records {
            let headers: Vec<_> = headers
                .iter()
                .map(|(key, value)| HeaderRef {
                    key,
                    value: value.as_deref(),
                })
                .collect();
            let record = ProduceRecord {
                topic: "",
                partition: None,
                timestamp: None,
                key: key.as_deref(),
                value: value.as_deref(),
                headers: &headers,
                sequence: 0,
            };
            open.push(&record, *timestamp);
        }
        open.seal(codec, None)
    }

    fn bytes(sealed: &Sealed) -> Bytes {
        [&sealed.head(Stamp::NONE)[..], &sealed.records()].concat().into()
    }

    fn records(sealed: &Sealed) -> Vec<Record> {
        let all = Most {
            records: usize::MAX,
            bytes: usize::MAX,
        };
        let batch = Records::new(bytes(sealed), 0, None).take(&"".into(), 0, all);
        let batch = batch.expect("well formed").expect("not empty");
        let own = |slice: &_| batch.bytes(slice).to_vec();
        let record = |record: &FetchedRecord| {
            let headers = &batch.headers[record.headers.start as usize..record.headers.end as usize];
            let headers = headers
                .iter()
                .map(|(name, value)| (String::from_utf8(own(name)).expect("a name"), value.as_ref().map(own)));
            (
                record.timestamp.unwrap_or(-1),
                record.key.as_ref().map(own),
                record.value.as_ref().map(own),
                headers.collect(),
            )
        };
        batch.records.iter().map(record).collect()
    }

    fn record() -> impl Strategy<Value = Record> {
        let field = || prop_oneof![Just(None), prop::collection::vec(any::<u8>(), 0..300).prop_map(Some)];
        let headers = prop::collection::vec(("[a-zé]{0,9}", field()), 0..4);
        (-1..5_000_i64, field(), field(), headers)
    }

    proptest! {
        #[test]
        fn halves_hold_what_the_whole_did(
            before in prop::collection::vec(record(), 1..40),
            codec in prop_oneof![Just(Codec::None), Just(Codec::Gzip), Just(Codec::Snappy), Just(Codec::Lz4), Just(Codec::Zstd)],
            passed: bool,
        ) {
            let mut whole = sealed(&before, codec);
            if passed {
                let batch = WholeBatch { bytes: bytes(&whole), count: before.len() };
                whole = Sealed::whole(&batch).expect("a batch");
            }
            let Some((first, second)) = whole.halves(None) else {
                prop_assert_eq!(before.len(), 1);
                return Ok(());
            };
            let mut after = records(&first);
            after.extend(records(&second));
            prop_assert_eq!(after, before);
        }
    }

    #[test]
    fn halves_are_halves_of_the_bytes() {
        let of = |size: usize| (0, None, Some(vec![7; size]), Vec::new());
        let cases = [
            (vec![100; 10], 5),
            (vec![1000, 1, 1, 1], 1),
            (vec![1, 1, 1, 1000], 3),
            (vec![0, 0], 1),
        ];
        for (sizes, first) in cases {
            let all: Vec<Record> = sizes.iter().copied().map(of).collect();
            let (half, rest) = sealed(&all, Codec::None).halves(None).expect("two at least");
            assert_eq!(
                (half.count(), rest.count()),
                (first, sizes.len() as i32 - first),
                "{sizes:?}"
            );
        }
    }

    #[test]
    fn what_does_not_read_has_no_halves() {
        let whole = sealed(&[(0, None, None, Vec::new()), (0, None, None, Vec::new())], Codec::None);
        let mut damaged = bytes(&whole).to_vec();
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        let batch = WholeBatch {
            bytes: damaged.into(),
            count: 2,
        };
        assert!(Sealed::whole(&batch).expect("a head").halves(None).is_none());
    }
}
