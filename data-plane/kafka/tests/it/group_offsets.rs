//! What a group has committed, on a real broker, from outside of the group.

use super::*;
use dray_connect::sink_batch::TopicPartition;
use std::collections::BTreeMap;

fn at(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_offsets_are_set_forgotten_and_deleted() {
    let port = RdKafka::new();
    let topic = topic(&port, "offsets", 3, &[]).await;
    let group = unique("connect-offsets");
    let config = config(&[]);
    let read = || port.group_offsets(&config, &group, PATIENCE);
    assert_eq!(read().await.unwrap(), BTreeMap::new(), "there is no such group");

    let set = BTreeMap::from([(at(&topic, 0), Some(7)), (at(&topic, 2), Some(9))]);
    port.alter_group_offsets(&config, &group, &set, PATIENCE).await.unwrap();
    assert_eq!(
        read().await.unwrap(),
        BTreeMap::from([(at(&topic, 0), 7), (at(&topic, 2), 9)])
    );

    let some = BTreeMap::from([(at(&topic, 0), None), (at(&topic, 1), Some(0))]);
    port.alter_group_offsets(&config, &group, &some, PATIENCE)
        .await
        .unwrap();
    assert_eq!(
        read().await.unwrap(),
        BTreeMap::from([(at(&topic, 1), 0), (at(&topic, 2), 9)])
    );

    port.delete_group(&config, &group, PATIENCE).await.unwrap();
    assert_eq!(read().await.unwrap(), BTreeMap::new());
    port.delete_group(&config, &group, PATIENCE)
        .await
        .expect("it is gone already");
    let forget = BTreeMap::from([(at(&topic, 0), None)]);
    port.alter_group_offsets(&config, &group, &forget, PATIENCE)
        .await
        .expect("there is nothing to forget");
}

/// As long as a task runs nobody moves it from outside.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_with_members_keeps_its_offsets() {
    let port = RdKafka::new();
    let topic = topic(&port, "offsets", 1, &[]).await;
    let group = unique("connect-offsets");
    let member = config(&[("group.id", &group), ("auto.offset.reset", "earliest")]);
    let mut consumer = port.consumer(&member, std::slice::from_ref(&topic), 1 << 20).unwrap();
    loop {
        if let ConsumerEvent::Assigned(_) = event(&mut *consumer).await {
            break;
        }
    }
    let set = BTreeMap::from([(at(&topic, 0), Some(7))]);
    let refused = port
        .alter_group_offsets(&config(&[]), &group, &set, PATIENCE)
        .await
        .unwrap_err();
    assert_eq!(refused.code, "UnknownMemberId", "{refused}");
    let refused = port.delete_group(&config(&[]), &group, PATIENCE).await.unwrap_err();
    assert_eq!(refused.code, "NonEmptyGroup", "{refused}");
    consumer.close().await;
    // The broker hears a moment later that nobody is there any more.
    let deadline = std::time::Instant::now() + PATIENCE;
    while let Err(error) = port.alter_group_offsets(&config(&[]), &group, &set, PATIENCE).await {
        let is_early = error.code == "UnknownMemberId" && std::time::Instant::now() < deadline;
        assert!(is_early, "{error}");
    }
    assert_eq!(
        port.group_offsets(&config(&[]), &group, PATIENCE).await.unwrap(),
        BTreeMap::from([(at(&topic, 0), 7)])
    );
}

/// A topic was deleted and created anew, and the member has not been told: what it has read of the old one is not taken for a position in
/// the new one, of which it would leave out as many records.
#[tokio::test(flavor = "multi_thread")]
async fn a_position_in_a_topic_that_is_gone_is_not_committed_in_its_successor() {
    let port = Kafka::new();
    loop {
        let topic = topic(&port, "again", 1, &[]).await;
        let group = unique("connect-again");
        let member = config(&[("group.id", &group), ("auto.offset.reset", "earliest")]);
        let mut consumer = port.consumer(&member, std::slice::from_ref(&topic), 1 << 20).unwrap();
        loop {
            if let ConsumerEvent::Assigned(_) = event(&mut *consumer).await {
                break;
            }
        }
        delete_topic(&topic).await;
        // Another number of partitions tells that the broker knows of the new one.
        let new = NewTopic {
            name: topic.clone(),
            partitions: 2,
            replication_factor: 1,
            configs: BTreeMap::new(),
        };
        create(&port, &config(&[]), &new).await;
        let refused = consumer.commit(&BTreeMap::from([(at(&topic, 0), 7)])).await;
        let refused = refused.expect_err("there is no such topic any more");
        let offsets = port.group_offsets(&config(&[]), &group, PATIENCE).await.unwrap();
        assert_eq!(offsets, BTreeMap::new(), "{refused}");
        consumer.close().await;
        // The news that the partition is not ours any more was quicker.
        if refused.code != "NOT_ASSIGNED" {
            assert_eq!(refused.code, "UnknownTopicId", "{refused}");
            return;
        }
    }
}
