//! Topics, and what has been written about offsets, read back with a client that is not ours.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("allow.auto.create.topics", "false");
    config
}

/// Creates topics of one partition, and waits until they can be read.
pub(crate) async fn create_topics(bootstrap: &str, topics: &[String]) {
    let admin: AdminClient<DefaultClientContext> = client(bootstrap).create().unwrap();
    let new: Vec<_> = topics
        .iter()
        .map(|topic| NewTopic::new(topic, 1, TopicReplication::Fixed(1)))
        .collect();
    for created in admin.create_topics(&new, &AdminOptions::new()).await.unwrap() {
        created.unwrap();
    }
    let consumer = reader(bootstrap, "read_committed");
    for topic in topics {
        crate::process::wait_until(
            TIMEOUT,
            || consumer.fetch_watermarks(topic, 0, TIMEOUT).is_ok(),
            || format!("{topic} cannot be read"),
        );
    }
}

/// A consumer that belongs to no group and commits nothing.
pub(crate) fn reader(bootstrap: &str, isolation: &str) -> BaseConsumer {
    client(bootstrap)
        .set("group.id", "no-group")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "false")
        .set("isolation.level", isolation)
        .set("fetch.wait.max.ms", "20")
        .set("fetch.error.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500")
        .create()
        .unwrap()
}

/// Every committed record of a topic up to its present end: key and value, a partition after the other.
pub(crate) fn read_all(bootstrap: &str, topic: &str, mut each: impl FnMut(&[u8], Option<&[u8]>)) {
    let consumer = reader(bootstrap, "read_committed");
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).unwrap();
    for partition in metadata.topics()[0].partitions() {
        let (first, end) = consumer.fetch_watermarks(topic, partition.id(), TIMEOUT).unwrap();
        if first == end {
            continue;
        }
        let mut at = TopicPartitionList::new();
        at.add_partition_offset(topic, partition.id(), Offset::Beginning)
            .unwrap();
        consumer.assign(&at).unwrap();
        let limit = Instant::now() + TIMEOUT;
        // The last entries may be markers of transactions, which nobody is given: the position says when they are passed.
        while position(&consumer, topic, partition.id()) < end {
            assert!(Instant::now() < limit, "{topic} cannot be read to its end");
            if let Some(record) = consumer.poll(Duration::from_millis(20)) {
                let record = record.unwrap();
                each(record.key().unwrap_or_default(), record.payload());
            }
        }
    }
}

fn position(consumer: &BaseConsumer, topic: &str, partition: i32) -> i64 {
    let positions = consumer.position().unwrap();
    match positions.find_partition(topic, partition).map(|found| found.offset()) {
        Some(Offset::Offset(offset)) => offset,
        _ => 0,
    }
}

/// How many commits of offsets were found, having checked that none of them went back: of the file sources whose offsets are in `topic`,
/// and of the groups whose names end with `mine`.
pub(crate) fn check_offsets(bootstrap: &str, topic: &str, mine: &str) -> (usize, usize) {
    let (mut sources, mut groups) = (0, 0);
    let mut last: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    read_all(bootstrap, topic, |key, value| {
        let Some(position) = value.and_then(|value| serde_json::from_slice::<serde_json::Value>(value).ok()) else {
            return; // a heartbeat of a session's writer
        };
        let Some(position) = position["position"].as_i64() else {
            return;
        };
        let before = last.insert(key.to_vec(), position).unwrap_or(0);
        let key = String::from_utf8_lossy(key);
        assert!(
            position >= before,
            "offset of {key} went back from {before} to {position}"
        );
        sources += 1;
    });
    let mut last: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    read_all(bootstrap, "__consumer_offsets", |key, value| {
        let (Some(group), Some(value)) = (group_of_commit(key), value) else {
            return;
        };
        if !group.ends_with(mine) {
            return;
        }
        let offset = i64::from_be_bytes(value[2..10].try_into().unwrap());
        let before = last.insert(key.to_vec(), offset).unwrap_or(0);
        assert!(
            offset >= before,
            "offset of group {group} went back from {before} to {offset}"
        );
        groups += 1;
    });
    (sources, groups)
}

/// The group, when this is the key of a committed offset (`OffsetCommitKey`, versions 0 and 1).
fn group_of_commit(key: &[u8]) -> Option<String> {
    let version = u16::from_be_bytes(key.get(..2)?.try_into().ok()?);
    let length = u16::from_be_bytes(key.get(2..4)?.try_into().ok()?);
    let group = key.get(4..4 + usize::from(length))?;
    (version <= 1).then(|| String::from_utf8_lossy(group).into_owned())
}
