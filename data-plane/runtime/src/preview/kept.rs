//! The records that are kept of those that are read.

use dray_connect::sink_batch::TopicPartition;
use dray_kafka::port::{FetchBatch, FetchedRecord, Slice};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of records at most. The answer has fewer; this is for topics with records of many megabytes.
const MOST_BYTES: usize = 16 << 20;

/// Which are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Newest,
    Oldest,
}

/// By their time, which never goes back within a partition: where a timestamp does, that of the record before counts.
type Place = (i64, Arc<str>, i32, i64);

/// So many records, each a fetch of its own.
pub(super) struct Kept {
    keep: Keep,
    most: usize,
    bytes: usize,
    records: BTreeMap<Place, FetchBatch>,
    latest: BTreeMap<TopicPartition, (i64, usize)>,
    /// Some are not kept because they are too large all together.
    full: bool,
}

impl Kept {
    pub(super) fn new(keep: Keep, most: usize) -> Self {
        Self {
            keep,
            most,
            bytes: 0,
            records: BTreeMap::new(),
            latest: BTreeMap::new(),
            full: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// How many records of a partition were seen.
    pub(super) fn seen(&self, partition: &TopicPartition) -> usize {
        self.latest.get(partition).map_or(0, |(_, seen)| *seen)
    }

    /// Takes the record of a fetch, if it is one of those to keep.
    pub(super) fn take(&mut self, fetch: &FetchBatch, record: &FetchedRecord) {
        let topic = &fetch.topics[record.topic as usize];
        let partition = TopicPartition {
            topic: topic.clone(),
            partition: record.partition,
        };
        let (latest, seen) = self.latest.entry(partition).or_insert((i64::MIN, 0));
        *latest = record.timestamp.unwrap_or(i64::MIN).max(*latest);
        *seen += 1;
        // Those of one partition come in order: there are enough before this one.
        if self.keep == Keep::Oldest && *seen > self.most {
            return;
        }
        let place = (*latest, topic.clone(), record.partition, record.offset);
        let alone = alone(fetch, record);
        self.bytes += alone.data.len();
        self.records.insert(place, alone);
        while self.records.len() > self.most || (self.bytes > MOST_BYTES && self.records.len() > 1) {
            self.full |= self.records.len() <= self.most;
            let gone = match self.keep {
                Keep::Newest => self.records.pop_first(),
                Keep::Oldest => self.records.pop_last(),
            };
            self.bytes -= gone.map_or(0, |(_, gone)| gone.data.len());
        }
    }

    /// The records, the oldest first, and whether some are missing because of their size.
    pub(super) fn into_records(self) -> (Vec<FetchBatch>, bool) {
        (self.records.into_values().collect(), self.full)
    }
}

/// A record as the only one of a fetch, with no bytes but its own.
fn alone(fetch: &FetchBatch, record: &FetchedRecord) -> FetchBatch {
    let topic = fetch.topics[record.topic as usize].clone();
    let mut data = Vec::new();
    let mut put = |slice: &Slice| -> Slice {
        let start = data.len() as u32;
        data.extend_from_slice(fetch.bytes(slice));
        start..data.len() as u32
    };
    let (key, value) = (record.key.as_ref().map(&mut put), record.value.as_ref().map(&mut put));
    let headers: Vec<_> = fetch.headers[record.headers.start as usize..record.headers.end as usize]
        .iter()
        .map(|(name, value)| (put(name), value.as_ref().map(&mut put)))
        .collect();
    let record = FetchedRecord {
        topic: 0,
        key,
        value,
        headers: 0..headers.len() as u32,
        ..record.clone()
    };
    FetchBatch {
        data: data.into(),
        topics: vec![topic],
        headers,
        records: vec![record],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dray_connect::sink_batch::TimestampType;

    /// Records of one byte: partition, offset, timestamp.
    fn fetch(records: &[(i32, i64, i64)], value: &'static [u8]) -> FetchBatch {
        let record = |(partition, offset, timestamp): &(i32, i64, i64)| FetchedRecord {
            topic: 0,
            partition: *partition,
            offset: *offset,
            timestamp: Some(*timestamp),
            timestamp_type: TimestampType::CreateTime,
            key: None,
            value: Some(0..value.len() as u32),
            headers: 0..1,
        };
        FetchBatch {
            data: value.into(),
            topics: vec!["t".into()],
            headers: vec![(0..1, None)],
            records: records.iter().map(record).collect(),
        }
    }

    fn kept(keep: Keep, most: usize, records: &[(i32, i64, i64)]) -> Vec<(i32, i64)> {
        let mut kept = Kept::new(keep, most);
        let fetch = fetch(records, b"v");
        for record in &fetch.records {
            kept.take(&fetch, record);
        }
        let (records, full) = kept.into_records();
        assert!(!full);
        for one in &records {
            let record = &one.records[0];
            assert_eq!(one.bytes(record.value.as_ref().unwrap()), b"v");
            assert_eq!(one.bytes(&one.headers[0].0), b"v");
        }
        let place = |one: &FetchBatch| (one.records[0].partition, one.records[0].offset);
        records.iter().map(place).collect()
    }

    #[test]
    fn the_newest_of_all_partitions_are_kept_in_the_order_of_each() {
        // Partition 0 has a timestamp that goes back.
        let records = [(0, 5, 10), (0, 6, 3), (1, 9, 8), (1, 10, 20), (0, 7, 11)];
        assert_eq!(kept(Keep::Newest, 3, &records), [(0, 6), (0, 7), (1, 10)]);
        assert_eq!(kept(Keep::Oldest, 3, &records), [(1, 9), (0, 5), (0, 6)]);
        assert_eq!(kept(Keep::Oldest, 9, &records).len(), 5);
    }

    #[test]
    fn large_records_are_fewer() {
        static LARGE: [u8; MOST_BYTES / 2] = [0; MOST_BYTES / 2];
        let mut kept = Kept::new(Keep::Newest, 9);
        let fetch = fetch(&[(0, 1, 1), (0, 2, 2), (0, 3, 3)], &LARGE);
        for record in &fetch.records {
            kept.take(&fetch, record);
        }
        let partition = TopicPartition {
            topic: "t".into(),
            partition: 0,
        };
        assert_eq!(kept.seen(&partition), 3);
        let (records, full) = kept.into_records();
        assert_eq!((records.len(), records[0].records[0].offset, full), (1, 3, true));
    }
}
