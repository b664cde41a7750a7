//! The conformance cases: what Dray relies on in a broker. Each takes bootstrap servers and holds for any broker.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::admin::{AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::FutureRecord;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client::*;

/// 1,000 records go in, come out through a group, and a second consumer resumes where the first one committed.
pub(crate) async fn produce_consume_commit_resume(servers: &str) {
    let topic = unique("resume");
    let group = unique("group");
    create_topic(servers, &topic, 1, &[]).await;
    let producer = producer(servers, &[]);
    produce(&producer, &topic, 0..1_000).await;

    let first = consumer(servers, &group, &topic, &[]);
    for expected in 0..600 {
        let message = next(&first).await;
        assert_eq!((number(&message), message.offset()), (expected, i64::from(expected)));
        if expected == 599 {
            first.commit_message(&message, CommitMode::Sync).unwrap();
        }
    }
    drop(first);

    let second = consumer(servers, &group, &topic, &[]);
    assert_eq!(read(&second, 400).await, (600..1_000).collect::<Vec<_>>());
    assert_eq!(watermarks(servers, &topic, 0), (0, 1_000));
}

/// Two members share the partitions; when one leaves, the other has them all.
pub(crate) async fn two_members_split_and_one_takes_over(servers: &str) {
    let topic = unique("split");
    let group = unique("group");
    create_topic(servers, &topic, 4, &[]).await;
    let first = consumer(servers, &group, &topic, &[]);
    poll_until(&[&first], || assigned(&first).len() == 4).await;
    let second = consumer(servers, &group, &topic, &[]);
    poll_until(&[&first, &second], || {
        assigned(&first).len() == 2 && assigned(&second).len() == 2
    })
    .await;
    assert!(assigned(&first).is_disjoint(&assigned(&second)));
    drop(first);
    poll_until(&[&second], || assigned(&second).len() == 4).await;
}

fn assigned(consumer: &StreamConsumer) -> BTreeSet<i32> {
    consumer
        .assignment()
        .unwrap()
        .elements()
        .iter()
        .map(|element| element.partition())
        .collect()
}

/// Lets the members work until the condition holds.
async fn poll_until(members: &[&StreamConsumer], holds: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !holds() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the group did not settle in time"
        );
        for member in members {
            // The topic is empty: this serves rebalances and comes back.
            tokio::time::timeout(Duration::from_millis(20), member.recv())
                .await
                .ok();
        }
    }
}

/// Topics are created once, grown, configured, described and deleted; mistakes have Kafka's errors.
pub(crate) async fn topics_and_configs(servers: &str) {
    let topic = unique("admin");
    create_topic(servers, &topic, 1, &[("retention.ms", "1000")]).await;
    let admin = admin(servers);
    let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
    let again = rdkafka::admin::NewTopic::new(&topic, 1, rdkafka::admin::TopicReplication::Fixed(1));
    let results = admin.create_topics([&again], &options).await.unwrap();
    assert_eq!(results, [Err((topic.clone(), RDKafkaErrorCode::TopicAlreadyExists))]);

    let results = admin
        .create_partitions(&[NewPartitions::new(&topic, 3)], &options)
        .await
        .unwrap();
    assert_eq!(results, [Ok(topic.clone())]);
    let client: BaseConsumer = config(servers).create().unwrap();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    // A real broker hears of a change from its controller, a moment after the change was confirmed.
    while client.fetch_metadata(Some(&topic), DEADLINE).unwrap().topics()[0]
        .partitions()
        .len()
        != 3
    {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the new partitions did not show"
        );
    }

    let resource = ResourceSpecifier::Topic(&topic);
    let described = admin
        .describe_configs([&resource], &options)
        .await
        .unwrap()
        .remove(0)
        .unwrap();
    assert_eq!(described.get("retention.ms").unwrap().value.as_deref(), Some("1000"));
    assert_eq!(
        described.get("cleanup.policy").unwrap().value.as_deref(),
        Some("delete")
    );
    let alter = AlterConfig::new(resource).set("max.message.bytes", "2000");
    assert!(admin.alter_configs([&alter], &options).await.unwrap().remove(0).is_ok());
    loop {
        let described = admin
            .describe_configs([&resource], &options)
            .await
            .unwrap()
            .remove(0)
            .unwrap();
        if described.get("max.message.bytes").unwrap().value.as_deref() == Some("2000") {
            break;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "the new configuration did not show"
        );
    }

    let results = admin.delete_topics(&[&topic], &options).await.unwrap();
    assert_eq!(results, [Ok(topic.clone())]);
    let results = admin.delete_topics(&[&topic], &options).await.unwrap();
    assert_eq!(results, [Err((topic, RDKafkaErrorCode::UnknownTopicOrPartition))]);
}

/// A record above `max.message.bytes` is refused, and the ones after it are not.
pub(crate) async fn a_large_record_is_refused(servers: &str) {
    let topic = unique("large");
    create_topic(servers, &topic, 1, &[("max.message.bytes", "1000")]).await;
    let producer = producer(servers, &[]);
    let large = vec![0_u8; 2_000];
    let record: FutureRecord<'_, (), Vec<u8>> = FutureRecord::to(&topic).payload(&large);
    let (error, _) = producer.send(record, DEADLINE).await.unwrap_err();
    assert_eq!(
        error,
        KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)
    );
    produce(&producer, &topic, 0..1).await;
    assert_eq!(watermarks(servers, &topic, 0), (0, 1));
}

/// Deleted records are gone, and a reader is told where the log starts now.
pub(crate) async fn records_are_deleted(servers: &str) {
    let topic = unique("delete");
    create_topic(servers, &topic, 1, &[]).await;
    // Batches of one, so that the offset lies between batches on any broker.
    produce(&producer(servers, &[("batch.num.messages", "1")]), &topic, 0..10).await;
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&topic, 0, Offset::Offset(4)).unwrap();
    admin(servers)
        .delete_records(&before, &AdminOptions::new())
        .await
        .unwrap();
    assert_eq!(watermarks(servers, &topic, 0), (4, 10));
    let consumer = consumer(servers, &unique("group"), &topic, &[]);
    assert_eq!(read(&consumer, 6).await, (4..10).collect::<Vec<_>>());
}

/// A time finds the first record that is not older; a time after all of them finds the end.
pub(crate) async fn offsets_are_found_by_time(servers: &str) {
    let topic = unique("time");
    create_topic(servers, &topic, 1, &[]).await;
    let producer = producer(servers, &[("batch.num.messages", "1")]);
    for time in [1_000, 2_000, 3_000] {
        let record: FutureRecord<'_, (), str> = FutureRecord::to(&topic).payload("x").timestamp(time);
        producer
            .send(record, DEADLINE)
            .await
            .map_err(|(error, _)| error)
            .unwrap();
    }
    let client: BaseConsumer = config(servers).set("group.id", "none").create().unwrap();
    for (time, expected) in [(1, Offset::Offset(0)), (2_000, Offset::Offset(1)), (3_001, Offset::End)] {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(&topic, 0, Offset::Offset(time)).unwrap();
        let found = client.offsets_for_times(asked, DEADLINE).unwrap();
        assert_eq!(found.elements()[0].offset(), expected, "at {time}");
    }
}

/// Offsets can be committed without being a member; the group is listed, and can be deleted once it is empty.
pub(crate) async fn groups_are_listed_and_deleted(servers: &str) {
    let topic = unique("groups");
    let group = unique("group");
    create_topic(servers, &topic, 1, &[]).await;
    let client: BaseConsumer = config(servers).set("group.id", &group).create().unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&topic, 0, Offset::Offset(0)).unwrap();
    client.commit(&offsets, CommitMode::Sync).unwrap();
    let committed = client.committed_offsets(offsets.clone(), DEADLINE).unwrap();
    assert_eq!(committed.elements()[0].offset(), Offset::Offset(0));
    let listed = client.fetch_group_list(Some(&group), DEADLINE).unwrap();
    assert_eq!(listed.groups()[0].state(), "Empty");
    let results = admin(servers)
        .delete_groups(&[&group], &AdminOptions::new())
        .await
        .unwrap();
    assert_eq!(results, [Ok(group.clone())]);
    let committed = client.committed(DEADLINE);
    assert!(committed.is_ok_and(|list| {
        list.elements()
            .iter()
            .all(|element| element.offset() == Offset::Invalid)
    }));
}

/// An idempotent producer and every codec this rdkafka was built with.
pub(crate) async fn idempotent_and_compressed(servers: &str) {
    for codec in ["none", "gzip", "zstd", "snappy", "lz4"] {
        let topic = unique(codec);
        create_topic(servers, &topic, 1, &[]).await;
        let producer = producer(servers, &[("enable.idempotence", "true"), ("compression.type", codec)]);
        produce(&producer, &topic, 0..200).await;
        let consumer = consumer(servers, &unique("group"), &topic, &[]);
        assert_eq!(read(&consumer, 200).await, (0..200).collect::<Vec<_>>(), "{codec}");
    }
}

/// A reader that waits at the end gets a record as soon as it is there, not when its wait is over.
pub(crate) async fn a_waiting_fetch_is_woken(servers: &str) {
    let topic = unique("wait");
    create_topic(servers, &topic, 1, &[]).await;
    let producer = producer(servers, &[("linger.ms", "0")]);
    produce(&producer, &topic, 0..1).await;
    let consumer = consumer(servers, &unique("group"), &topic, &[("fetch.wait.max.ms", "50000")]);
    assert_eq!(read(&consumer, 1).await, [0]);
    produce(&producer, &topic, 1..2).await;
    // Sooner than the fetch would end by itself.
    assert_eq!(next(&consumer).await.payload(), Some(&b"1"[..]));
}
