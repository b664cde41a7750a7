//! Where partitions begin and end, as their leader says (`ListOffsets`).

use crate::codes;
use crate::error::Result;
use crate::wire::cluster::{Cluster, Purpose};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Which end of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Behind the last record: the high watermark, or the last stable offset where only what is committed counts.
    Latest,
    /// The first record that is kept.
    Earliest,
}

/// A partition that is asked about, at most once in a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) leader_epoch: i32,
}

/// The offset of each partition, or why the leader does not say. A leader that has just been elected does not before it is sure of its
/// high watermark (KIP-207). Cancel-safe.
///
/// # Errors
/// When the leader cannot be asked.
pub(crate) async fn list_offsets<'a>(
    cluster: &Cluster,
    leader: i32,
    (end, read_committed): (End, bool),
    asked: impl Iterator<Item = Asked<'a>>,
) -> Result<BTreeMap<(String, i32), Result<i64>>> {
    let timestamp = match end {
        End::Latest => -1,
        End::Earliest => -2,
    };
    let mut topics: BTreeMap<&str, BTreeMap<i32, ListOffsetsPartition>> = BTreeMap::new();
    for asked in asked {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(asked.partition)
            .with_current_leader_epoch(asked.leader_epoch)
            .with_timestamp(timestamp);
        topics
            .entry(asked.topic)
            .or_default()
            .insert(asked.partition, partition);
    }
    let topic = |(name, partitions): (&str, BTreeMap<i32, _>)| {
        let name = TopicName(StrBytes::from_string(name.to_owned()));
        let partitions = partitions.into_values().collect();
        ListOffsetsTopic::default().with_name(name).with_partitions(partitions)
    };
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(i8::from(read_committed))
        .with_topics(topics.into_iter().map(topic).collect());
    let connection = cluster.connection(leader, Purpose::Short).await?;
    let client = StrBytes::from_static_str("dray-fetch");
    let answer = connection.ask(&client, &request, 4..=8, TIMEOUT).await?;
    let mut found = BTreeMap::new();
    for topic in answer.topics {
        for partition in topic.partitions {
            let place = (topic.name.to_string(), partition.partition_index);
            let what = format!("asking for the offsets of {}-{}", place.0, place.1);
            let offset = codes::check(what, partition.error_code, None).map(|()| partition.offset);
            found.insert(place, offset);
        }
    }
    Ok(found)
}
