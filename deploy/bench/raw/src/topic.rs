//! Topics: made, dropped, and looked at from outside while somebody else fills or reads them.

use crate::Result;

use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{Client, ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::thread::sleep;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks: fine against runs of ten seconds, and next to nothing for the broker.
const LOOK: Duration = Duration::from_millis(20);
/// The benchmarks end a watch that takes too long themselves; this is for one that they lost.
const LONGEST: Duration = Duration::from_secs(900);

pub(crate) fn create(config: &ClientConfig, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    for result in block_on(admin.create_topics([&topic], &options))?? {
        result.map_err(|(topic, code)| format!("{topic}: {code}"))?;
    }
    Ok(())
}

pub(crate) fn drop(config: &ClientConfig, name: &str) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    for result in block_on(admin.delete_topics(&[name], &AdminOptions::new()))?? {
        result.map_err(|(topic, code)| format!("{topic}: {code}"))?;
    }
    Ok(())
}

/// rdkafka's admin calls are futures, answered by a thread of its own.
pub(crate) fn block_on<T>(answer: impl Future<Output = T>) -> Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().build()?.block_on(answer))
}

/// How many partitions an existing topic has.
pub(crate) fn partitions<C: ClientContext>(client: &Client<C>, name: &str) -> Result<i32> {
    let metadata = client.fetch_metadata(Some(name), PATIENCE)?;
    match metadata.topics().first().map(|topic| topic.partitions().len()) {
        Some(count) if count > 0 => Ok(i32::try_from(count)?),
        _ => Err(format!("there is no topic {name}").into()),
    }
}

/// The end offset of each partition.
pub(crate) fn ends(consumer: &BaseConsumer, name: &str) -> Result<Vec<(i32, i64)>> {
    let count = partitions(consumer.client(), name)?;
    (0..count)
        .map(|partition| Ok((partition, consumer.fetch_watermarks(name, partition, PATIENCE)?.1)))
        .collect()
}

/// Counts by end offsets, so records that retention has removed meanwhile count too.
pub(crate) fn arrived(config: &ClientConfig, name: &str, records: i64) -> Result<()> {
    let consumer: BaseConsumer = config.create()?;
    let count = partitions(consumer.client(), name)?;
    watch(records, || {
        let end = |partition| Ok(consumer.fetch_watermarks(name, partition, PATIENCE)?.1);
        (0..count).map(end).sum()
    })
}

/// Asks without joining the group, so nobody is rebalanced.
pub(crate) fn committed(config: &ClientConfig, name: &str, group: &str) -> Result<()> {
    let consumer: BaseConsumer = config.clone().set("group.id", group).create()?;
    let ends = ends(&consumer, name)?;
    let mut wanted = TopicPartitionList::new();
    for (partition, _) in &ends {
        wanted.add_partition(name, *partition);
    }
    watch(ends.iter().map(|(_, end)| end).sum(), || {
        let offsets = match consumer.committed_offsets(wanted.clone(), PATIENCE) {
            // The coordinator is still loading, or the very first group makes its topic: nothing is committed yet.
            Err(KafkaError::MetadataFetch(
                Code::NotCoordinator | Code::CoordinatorNotAvailable | Code::CoordinatorLoadInProgress,
            )) => return Ok(0),
            other => other?,
        };
        Ok(offsets
            .elements()
            .iter()
            .filter_map(|element| element.offset().to_raw())
            .map(|offset| offset.max(0))
            .sum())
    })
}

/// Says `ready`, then `first` and `last`; more than all is an error: something arrived twice.
fn watch(all: i64, mut count: impl FnMut() -> Result<i64>) -> Result<()> {
    println!("ready");
    let started = Instant::now();
    let mut begun = false;
    loop {
        let now = count()?;
        if now > 0 && !begun {
            println!("first");
            begun = true;
        }
        if now > all {
            return Err(format!("{now} records instead of {all}").into());
        }
        if now == all {
            println!("last");
            return Ok(());
        }
        if started.elapsed() > LONGEST {
            return Err(format!("only {now} of {all} records after {} s", LONGEST.as_secs()).into());
        }
        sleep(LOOK);
    }
}
