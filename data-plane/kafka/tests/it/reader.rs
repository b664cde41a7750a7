//! Partitions read without a group, and whole batches that are passed on: what is read from where they go is what was written where they
//! come from. What is read back is read with librdkafka.

mod anew;

use super::*;
use dray_connect::sink_batch::{TimestampType, TopicPartition};
use dray_connect::source_batch::BatchLimits;
use dray_kafka::port::{
    Assignment, FetchBatch, FetchedRecord, HeaderRef, ProduceWhole, Reader, ReaderEvent, Start, TopicId,
};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

/// Timestamps here are of years ago.
const KEPT: (&str, &str) = ("retention.ms", "-1");
const LIMITS: BatchLimits = BatchLimits {
    codec: None,
    bytes: 1 << 20,
};

/// A record without its offset: timestamp and its type, key, value, headers.
type Record = (
    Option<i64>,
    TimestampType,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Vec<(String, Option<Vec<u8>>)>,
);

fn seen(batch: &FetchBatch, record: &FetchedRecord) -> Record {
    let bytes = |slice: &Option<_>| slice.as_ref().map(|slice| batch.bytes(slice).to_vec());
    let headers = &batch.headers[record.headers.start as usize..record.headers.end as usize];
    let headers = headers.iter().map(|(name, value)| {
        let name = String::from_utf8(batch.bytes(name).to_vec()).expect("a name");
        (name, bytes(value))
    });
    (
        record.timestamp,
        record.timestamp_type,
        bytes(&record.key),
        bytes(&record.value),
        headers.collect(),
    )
}

fn assignment(topic: &str, from: &[Option<i64>], whole: Option<BatchLimits>) -> Assignment {
    let place = |(partition, from): (usize, &Option<i64>)| {
        let topic = topic.into();
        let partition = i32::try_from(partition).expect("small");
        (TopicPartition { topic, partition }, from.map(Start::from))
    };
    Assignment {
        partitions: from.iter().enumerate().map(place).collect(),
        prefetch: 1 << 20,
        whole,
    }
}

fn reader(port: &dyn KafkaPort, pairs: &[(&str, &str)], assignment: Assignment) -> Box<dyn Reader> {
    port.reader(&config(pairs), assignment).expect("a reader")
}

/// The next event that is not a passing error, nor says whose the next records are.
async fn next(reader: &mut dyn Reader) -> ReaderEvent {
    loop {
        match within(reader.next()).await {
            ReaderEvent::Error(error) => assert!(error.is_retriable(), "{error}"),
            ReaderEvent::Topic(..) => {}
            event @ (ReaderEvent::Records(_) | ReaderEvent::Batch(_)) => return event,
        }
    }
}

/// Reads until so many records are there, by partition.
async fn all(port: &dyn KafkaPort, topic: &str, partitions: usize, count: usize) -> Vec<Vec<Record>> {
    let mut found = vec![Vec::new(); partitions];
    let mut reader = reader(port, &[], assignment(topic, &vec![None; partitions], None));
    while found.iter().map(Vec::len).sum::<usize>() < count {
        let ReaderEvent::Records(batch) = next(&mut *reader).await else {
            panic!("nothing whole was asked for")
        };
        for record in &batch.records {
            found[record.partition as usize].push(seen(&batch, record));
        }
    }
    found
}

/// What was copied how.
#[derive(Debug, Default, PartialEq, Eq)]
struct Copied {
    /// Records within batches that were passed on.
    whole: usize,
    decoded: usize,
}

/// Copies so many records as a task of the mirror does.
async fn copy((reader, lane): (&mut dyn Reader, &mut dyn ProducerLane), to: &str, count: usize) -> Copied {
    let (mut copied, mut sequence, mut acks) = (Copied::default(), 0, Vec::new());
    while copied.whole + copied.decoded < count {
        match next(reader).await {
            ReaderEvent::Batch(found) => {
                let whole = ProduceWhole {
                    topic: to,
                    partition: found.partition,
                    batch: &found.batch,
                    sequence,
                };
                while !lane.pass(whole).expect("taken") {
                    lane.try_acks(&mut acks);
                    within(lane.ready()).await;
                }
                sequence += 1;
                copied.whole += found.batch.count;
            }
            ReaderEvent::Records(batch) => {
                for record in &batch.records {
                    let (timestamp, _, key, value, headers) = seen(&batch, record);
                    let headers: Vec<_> = headers
                        .iter()
                        .map(|(key, value)| HeaderRef {
                            key,
                            value: value.as_deref(),
                        })
                        .collect();
                    let record = ProduceRecord {
                        topic: to,
                        partition: Some(record.partition),
                        timestamp,
                        key: key.as_deref(),
                        value: value.as_deref(),
                        headers: &headers,
                        sequence,
                    };
                    assert_eq!(offer(lane, &[record]).await.expect("taken"), 1);
                    sequence += 1;
                    copied.decoded += 1;
                }
            }
            ReaderEvent::Topic(..) => panic!("left out"),
            ReaderEvent::Error(error) => panic!("{error}"),
        }
    }
    while lane.in_flight() > 0 {
        within(lane.acks(&mut acks)).await;
    }
    for ack in &acks {
        ack.outcome.as_ref().expect("stored");
    }
    assert_eq!(
        acks.iter().map(|ack| ack.count).sum::<usize>() as u64,
        sequence,
        "each once"
    );
    copied
}

/// What a producer wrote to a new topic stands in the log under its sequences: in each partition from 0 and without a gap. A wrong one would be
/// cured by another epoch of the producer, and what is read would be the same.
async fn has_its_sequences(port: &dyn KafkaPort, topic: &str, partitions: usize, count: usize) {
    let (mut next_sequence, mut found) = (vec![0; partitions], 0);
    let mut reader = reader(port, &[], assignment(topic, &vec![None; partitions], Some(LIMITS)));
    while found < count {
        let ReaderEvent::Batch(whole) = next(&mut *reader).await else {
            panic!("nothing speaks against it")
        };
        let sequence = i32::from_be_bytes(*whole.batch.bytes[53..].first_chunk().expect("a head"));
        let expected = &mut next_sequence[whole.partition as usize];
        assert_eq!(sequence as usize, *expected, "{topic}-{}", whole.partition);
        *expected += whole.batch.count;
        found += whole.batch.count;
    }
}

fn lane(port: &dyn KafkaPort, pairs: &[(&str, &str)]) -> Box<dyn ProducerLane> {
    port.producer_lane(&config(pairs), 16 << 20, None).expect("a lane")
}

/// Fills a topic, in several batches a partition: keys, tombstones, headers that are null and come twice, timestamps.
async fn fill(port: &dyn KafkaPort, topic: &str, partitions: i32, each: usize, pairs: &[(&str, &str)]) {
    let mut settings = vec![("batch.size", "2000")];
    settings.extend(pairs);
    let mut lane = lane(port, &settings);
    let headers = [
        HeaderRef {
            key: "a",
            value: Some(b"1"),
        },
        HeaderRef { key: "a", value: None },
        HeaderRef {
            key: "é",
            value: Some(b""),
        },
    ];
    let values: Vec<Vec<u8>> = (0..each).map(|n| format!("value-{n:0>80}").into_bytes()).collect();
    let records: Vec<_> = values
        .iter()
        .enumerate()
        .flat_map(|(n, value)| {
            let headers: &[HeaderRef<'_>] = if n % 3 == 0 { &headers } else { &[] };
            (0..partitions).map(move |partition| ProduceRecord {
                topic,
                partition: Some(partition),
                timestamp: Some(1_000_000_000_000 + n as i64 * 7 % 50),
                key: (n % 2 == 0).then_some(b"key"),
                value: (n % 5 != 0).then_some(value),
                headers,
                sequence: 0,
            })
        })
        .enumerate()
        .map(|(sequence, record)| ProduceRecord {
            sequence: sequence as u64,
            ..record
        })
        .collect();
    send_all(&mut *lane, &records).await;
}

async fn partitions_are_read_from_where_it_is_said(port: &dyn KafkaPort) {
    let topic = topic(port, "assigned", 3, &[KEPT]).await;
    fill(port, &topic, 3, 300, &[]).await;
    let mut reader = reader(port, &[], assignment(&topic, &[None, Some(120), Some(299)], None));
    let mut offsets: Vec<Vec<i64>> = vec![Vec::new(); 3];
    while offsets.iter().map(Vec::len).sum::<usize>() < 300 + 180 + 1 {
        let ReaderEvent::Records(batch) = next(&mut *reader).await else {
            panic!("nothing whole was asked for")
        };
        for record in &batch.records {
            offsets[record.partition as usize].push(record.offset);
        }
    }
    let expected: Vec<Vec<i64>> = [0, 120, 299].iter().map(|from| (*from..300).collect()).collect();
    assert_eq!(offsets, expected);
}

/// An offset that the partition has not got: as `auto.offset.reset` says.
async fn out_of_range_goes_on_where_the_settings_say(port: &dyn KafkaPort) {
    let topic = topic(port, "range", 1, &[KEPT]).await;
    fill(port, &topic, 1, 50, &[]).await;
    let mut reader = reader(port, &[], assignment(&topic, &[Some(1000)], None));
    let ReaderEvent::Records(batch) = next(&mut *reader).await else {
        panic!("nothing whole was asked for")
    };
    assert_eq!(batch.records[0].offset, 0);
    drop(reader);
    let strict = [("auto.offset.reset", "none")];
    let mut reader = self::reader(port, &strict, assignment(&topic, &[Some(1000)], None));
    let error = loop {
        match within(reader.next()).await {
            ReaderEvent::Error(error) if error.is_retriable() => {}
            ReaderEvent::Error(error) => break error,
            ReaderEvent::Topic(..) => {}
            event @ (ReaderEvent::Records(_) | ReaderEvent::Batch(_)) => panic!("{event:?}"),
        }
    };
    assert!(
        error.to_string().contains(&topic) || error.code == "AutoOffsetReset",
        "{error}"
    );
}

on_both_ports!(
    partitions_are_read_from_where_it_is_said,
    out_of_range_goes_on_where_the_settings_say
);

/// A topic that is created later is found.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_may_come_later() {
    let port = Kafka::new();
    let name = unique("later");
    let mut reader = reader(&port, &[], assignment(&name, &[None], None));
    // Asked for, and not there.
    tokio::time::timeout(Duration::from_millis(300), reader.next())
        .await
        .expect_err("nothing");
    let new = NewTopic {
        name: name.clone(),
        partitions: 1,
        replication_factor: 1,
        configs: BTreeMap::new(),
    };
    create(&port, &config(&[]), &new).await;
    fill(&port, &name, 1, 3, &[]).await;
    let ReaderEvent::Records(batch) = next(&mut *reader).await else {
        panic!("nothing whole was asked for")
    };
    assert_eq!(batch.records.len(), 3);
}

/// Every codec: passed on whole and decoded, the same is read.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_on_reads_the_same() {
    const PARTITIONS: usize = 8;
    const EACH: usize = 100;
    let (port, rd) = (Kafka::new(), RdKafka::new());
    let count = PARTITIONS * EACH;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let [from, passed, decoded] = ["from", "passed", "decoded"].map(|name| format!("{name}-{codec}"));
        let from = topic(&port, &from, PARTITIONS as i32, &[KEPT]).await;
        fill(&port, &from, PARTITIONS as i32, EACH, &[("compression.type", codec)]).await;
        let expected = all(&rd, &from, PARTITIONS, count).await;
        for (to, whole) in [(passed, true), (decoded, false)] {
            let to = topic(&port, &to, PARTITIONS as i32, &[KEPT]).await;
            let mut lane = lane(&port, &[]);
            let limits = lane.passes().filter(|_| whole);
            let mut reader = reader(&port, &[], assignment(&from, &[None; PARTITIONS], limits));
            let copied = copy((&mut *reader, &mut *lane), &to, count).await;
            let expected_ways = if whole { (count, 0) } else { (0, count) };
            assert_eq!((copied.whole, copied.decoded), expected_ways, "{codec}");
            has_its_sequences(&port, &to, PARTITIONS, count).await;
            assert!(
                all(&rd, &to, PARTITIONS, count).await == expected,
                "{codec}, whole: {whole}"
            );
        }
    }
}

/// Records and whole batches of one lane by turns, from one partition to one partition.
#[tokio::test(flavor = "multi_thread")]
async fn records_and_whole_batches_keep_their_order() {
    let (port, rd) = (Kafka::new(), RdKafka::new());
    let from = topic(&port, "mixed", 1, &[KEPT]).await;
    let to = topic(&port, "mixed-to", 1, &[KEPT]).await;
    for codec in ["none", "lz4", "none", "lz4", "none"] {
        fill(&port, &from, 1, 200, &[("compression.type", codec)]).await;
    }
    let mut lane = lane(&port, &[("compression.type", "lz4")]);
    let limits = lane.passes().expect("it passes");
    assert_eq!(limits.codec, Some(3));
    let mut reader = reader(&port, &[], assignment(&from, &[None], Some(limits)));
    let copied = copy((&mut *reader, &mut *lane), &to, 1000).await;
    // Small batches that did not get smaller are stored as they were.
    assert!(copied.whole >= 300 && copied.decoded >= 600, "{copied:?}");
    has_its_sequences(&port, &to, 1, 1000).await;
    assert!(all(&rd, &from, 1, 1000).await == all(&rd, &to, 1, 1000).await);
}

/// What comes out of the first batch that is read: so many records, passed on or decoded.
async fn first(
    port: &dyn KafkaPort,
    pairs: &[(&str, &str)],
    topic: &str,
    from: i64,
    limits: BatchLimits,
) -> (bool, usize) {
    let mut reader = reader(port, pairs, assignment(topic, &[Some(from)], Some(limits)));
    match next(&mut *reader).await {
        ReaderEvent::Batch(found) => (true, found.batch.count),
        ReaderEvent::Records(batch) => (false, batch.records.len()),
        ReaderEvent::Topic(..) => panic!("left out"),
        ReaderEvent::Error(error) => panic!("{error}"),
    }
}

/// A batch that cannot be stored as it is is decoded, and the one behind it is not.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_passed_on_is_decoded_alone() {
    let port = Kafka::new();
    let from = topic(&port, "alone", 1, &[KEPT]).await;
    for _ in 0..2 {
        fill(&port, &from, 1, 100, &[("batch.size", "100000")]).await;
    }
    assert_eq!(first(&port, &[], &from, 0, LIMITS).await, (true, 100));
    let bytes = |bytes| BatchLimits { bytes, ..LIMITS };
    assert_eq!(first(&port, &[], &from, 0, bytes(1000)).await, (false, 100));
    let codec = |codec| BatchLimits {
        codec: Some(codec),
        ..LIMITS
    };
    assert_eq!(first(&port, &[], &from, 0, codec(0)).await, (true, 100));
    assert_eq!(first(&port, &[], &from, 0, codec(4)).await, (false, 100));
    // Begun before: the rest of it, and then the next one.
    let mut reader = reader(&port, &[], assignment(&from, &[Some(40)], Some(LIMITS)));
    let ReaderEvent::Records(rest) = next(&mut *reader).await else {
        panic!("the first 40 were read before")
    };
    let offsets: Vec<i64> = rest.records.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, (40..100).collect::<Vec<_>>());
    let ReaderEvent::Batch(second) = next(&mut *reader).await else {
        panic!("nothing speaks against it")
    };
    assert_eq!((second.batch.count, second.last_offset), (100, 199));

    let appended = topic(&port, "appended", 1, &[("message.timestamp.type", "LogAppendTime")]).await;
    fill(&port, &appended, 1, 10, &[]).await;
    assert_eq!(first(&port, &[], &appended, 0, LIMITS).await, (false, 10));
}

/// Writes in a transaction, and ends it.
fn transact(topic: &str, values: std::ops::Range<u32>, commit: bool) {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", bootstrap());
    config.set("transactional.id", unique("mirrored"));
    let producer: BaseProducer = config.create().expect("a producer");
    producer.init_transactions(PATIENCE).expect("initialised");
    producer.begin_transaction().expect("begun");
    for n in values {
        let value = n.to_string();
        producer
            .send(BaseRecord::to(topic).key("t").payload(&value))
            .expect("taken");
    }
    producer.flush(PATIENCE).expect("sent");
    if commit {
        producer.commit_transaction(PATIENCE).expect("committed");
    } else {
        producer.abort_transaction(PATIENCE).expect("aborted");
    }
}

/// What was committed arrives, and what was aborted where that is asked for; on the target it is no transaction's any more.
#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_read_as_the_settings_say() {
    let (port, rd) = (Kafka::new(), RdKafka::new());
    let from = topic(&port, "transactions", 1, &[]).await;
    let writing = from.clone();
    let written = tokio::task::spawn_blocking(move || {
        for n in 0..6 {
            transact(&writing, n * 10..(n + 1) * 10, n % 2 == 0);
        }
    });
    written.await.expect("written");
    for (level, count) in [("read_committed", 30), ("read_uncommitted", 60)] {
        let to = topic(&port, level, 1, &[]).await;
        let mut lane = lane(&port, &[]);
        let limits = lane.passes();
        let mut reader = reader(&port, &[("isolation.level", level)], assignment(&from, &[None], limits));
        let copied = copy((&mut *reader, &mut *lane), &to, count).await;
        assert_eq!((copied.whole, copied.decoded), (count, 0), "{level}");
        let found = all(&rd, &to, 1, count).await.remove(0);
        let values: Vec<u32> = found
            .iter()
            .map(|record| {
                let value = record.3.as_deref().expect("a value");
                std::str::from_utf8(value).expect("text").parse().expect("a number")
            })
            .collect();
        let expected = (0..60).filter(|n| level == "read_uncommitted" || n / 10 % 2 == 0);
        assert_eq!(values, expected.collect::<Vec<u32>>(), "{level}");
        // A reader of committed records is held up by nothing that looks like an open transaction.
        let mut strict = self::reader(
            &port,
            &[("isolation.level", "read_committed")],
            assignment(&to, &[None], None),
        );
        let mut read = 0;
        while read < count {
            if let ReaderEvent::Records(batch) = next(&mut *strict).await {
                read += batch.records.len();
            }
        }
    }
}

/// Batches that compaction has left gaps in.
#[tokio::test(flavor = "multi_thread")]
async fn compacted_batches_are_decoded() {
    let (port, rd) = (Kafka::new(), RdKafka::new());
    let compacted = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("segment.ms", "100"),
        ("max.compaction.lag.ms", "100"),
    ];
    let from = topic(&port, "compacted", 1, &compacted).await;
    let mut lane = lane(&port, &[]);
    let write = |range: std::ops::Range<u32>| -> Vec<(Vec<u8>, Vec<u8>)> {
        let pair = |n: u32| (format!("key-{}", n % 150).into_bytes(), n.to_string().into_bytes());
        range.map(pair).collect()
    };
    produce(&mut *lane, &from, &write(0..200)).await;
    let with_gaps = async {
        // Each write rolls the segment, which the cleaner may then clean.
        for n in 0.. {
            let last = format!("filler-{n}");
            produce(&mut *lane, &from, &[(b"filler".to_vec(), last.into_bytes())]).await;
            let mut reader = reader(&port, &[], assignment(&from, &[None], Some(LIMITS)));
            if let ReaderEvent::Records(batch) = next(&mut *reader).await
                && batch.records.len() < 200
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    within(with_gaps).await;
    let end = b"end".to_vec();
    produce(&mut *lane, &from, &[(end.clone(), end.clone())]).await;
    let to = topic(&port, "compacted-to", 1, &[]).await;
    let mut writer = self::lane(&port, &[]);
    let mut reader = reader(&port, &[], assignment(&from, &[None], writer.passes()));
    let copied = copy((&mut *reader, &mut *writer), &to, 151).await;
    assert!(copied.decoded >= 150, "{copied:?}");
    // The cleaner may have gone on meanwhile, but it keeps the last of each key.
    let latest = |records: &[Record]| -> BTreeMap<Vec<u8>, Vec<u8>> {
        let pairs = records
            .iter()
            .filter_map(|record| Some((record.2.clone()?, record.3.clone()?)));
        pairs.filter(|(key, _)| key.starts_with(b"key")).collect()
    };
    let count = copied.whole + copied.decoded;
    let there = all(&rd, &to, 1, count).await.remove(0);
    assert_eq!(latest(&there).len(), 150);
    let expected: BTreeMap<_, _> = write(0..200).into_iter().collect();
    assert_eq!(latest(&there), expected);
}
