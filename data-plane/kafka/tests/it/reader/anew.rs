//! Topics that are deleted and created anew under their names, while they are read and while nobody reads them.

use super::*;

/// Deletes a topic and creates one of its name, with another number of partitions: that tells that the broker knows the new one.
async fn anew(port: &dyn KafkaPort, name: &str, partitions: i32) {
    delete_topic(name).await;
    let new = NewTopic {
        name: name.to_owned(),
        partitions,
        replication_factor: 1,
        configs: BTreeMap::from([(KEPT.0.to_owned(), KEPT.1.to_owned())]),
    };
    create(port, &config(&[]), &new).await;
}

fn from(topic: &str, offset: i64, topic_id: Option<TopicId>) -> Assignment {
    let mut assignment = assignment(topic, &[None], None);
    assignment.partitions[0].1 = Some(Start { offset, topic_id });
    assignment
}

/// The id of the next topic, where it is told, and the next so many offsets of its only partition.
async fn offsets(reader: &mut dyn Reader, count: usize) -> (Option<TopicId>, Vec<i64>) {
    let (mut id, mut offsets) = (None, Vec::new());
    while offsets.len() < count {
        match within(reader.next()).await {
            ReaderEvent::Topic(_, told) => {
                assert!(offsets.is_empty(), "in the midst");
                id = Some(told);
            }
            ReaderEvent::Records(batch) => offsets.extend(batch.records.iter().map(|record| record.offset)),
            ReaderEvent::Batch(_) => panic!("nothing whole was asked for"),
            ReaderEvent::Error(error) => assert!(error.is_retriable(), "{error}"),
        }
    }
    (id, offsets)
}

/// Longer than the old one when it is found, so that the old offset is one of the new topic too: none of its records is left out.
#[tokio::test(flavor = "multi_thread")]
async fn all_of_a_topic_that_was_created_anew_is_read() {
    let port = Kafka::new();
    let whole = |range: std::ops::Range<i64>| range.collect::<Vec<_>>();
    for reset in ["earliest", "latest"] {
        let name = topic(&port, "anew", 1, &[KEPT]).await;
        fill(&port, &name, 1, 50, &[]).await;
        let settings = [("auto.offset.reset", reset)];
        let mut reading = reader(&port, &settings, from(&name, 10, None));
        let (first, found) = offsets(&mut *reading, 40).await;
        let first = first.expect("it is told");
        assert_eq!(found, whole(10..50));
        anew(&port, &name, 2).await;
        fill(&port, &name, 1, 80, &[]).await;
        let (second, found) = offsets(&mut *reading, 80).await;
        assert_eq!(found, whole(0..80), "{reset}");
        let second = second.expect("it is told");
        assert_ne!(first, second);
        drop(reading);
        // And while nobody was there: by the id that stands beside the offset.
        for (id, expected) in [(Some(first), 0..80), (Some(second), 50..80), (None, 50..80)] {
            let mut reading = reader(&port, &settings, from(&name, 50, id));
            let (told, found) = offsets(&mut *reading, expected.clone().count()).await;
            assert_eq!((told, found), (Some(second), whole(expected)), "{reset}");
        }
    }
}

/// Who wants no reset is told, and not given the records of another topic.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_reset_a_topic_that_was_created_anew_is_an_error() {
    let port = Kafka::new();
    let name = topic(&port, "anew", 1, &[KEPT]).await;
    fill(&port, &name, 1, 5, &[]).await;
    let mut reading = reader(&port, &[("auto.offset.reset", "none")], from(&name, 0, None));
    offsets(&mut *reading, 5).await;
    anew(&port, &name, 2).await;
    fill(&port, &name, 1, 10, &[]).await;
    let error = loop {
        match within(reading.next()).await {
            ReaderEvent::Error(error) if error.is_retriable() => {}
            ReaderEvent::Error(error) => break error,
            ReaderEvent::Topic(..) => {}
            event @ (ReaderEvent::Records(_) | ReaderEvent::Batch(_)) => panic!("{event:?}"),
        }
    };
    assert_eq!(error.code, "AutoOffsetReset", "{error}");
}

/// Whatever a client knows of ids: the old offset is none that the new topic has.
async fn a_shorter_topic_is_read_from_its_beginning(port: &dyn KafkaPort) {
    let name = topic(port, "anew", 1, &[KEPT]).await;
    fill(port, &name, 1, 50, &[]).await;
    let mut reading = reader(port, &[], from(&name, 0, None));
    assert_eq!(offsets(&mut *reading, 50).await.1.len(), 50);
    anew(port, &name, 2).await;
    fill(port, &name, 1, 20, &[]).await;
    let (_, found) = offsets(&mut *reading, 20).await;
    assert_eq!(found, (0..20).collect::<Vec<_>>());
    drop(reading);
    let mut reading = reader(port, &[], from(&name, 50, None));
    assert_eq!(offsets(&mut *reading, 20).await.1, (0..20).collect::<Vec<_>>());
}

on_both_ports!(a_shorter_topic_is_read_from_its_beginning);

/// A group's member is given the new topic by its group, which has no position in it, whatever is committed in the old one.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_reads_all_of_a_topic_that_was_created_anew() {
    let port = Kafka::new();
    let name = topic(&port, "anew", 1, &[KEPT]).await;
    let member = config(&[("group.id", &unique("connect-anew")), ("auto.offset.reset", "earliest")]);
    let consumer = || {
        port.consumer(&member, std::slice::from_ref(&name), 1 << 20)
            .expect("a consumer")
    };
    let all = async |consumer: &mut dyn Consumer, count: usize| {
        fill(&port, &name, 1, count, &[]).await;
        let mut offsets = Vec::new();
        while offsets.len() < count {
            match event(consumer).await {
                ConsumerEvent::Records(batch) => offsets.extend(batch.records.iter().map(|record| record.offset)),
                ConsumerEvent::Revoked(_) => within(consumer.revoked()).await,
                ConsumerEvent::Assigned(_) | ConsumerEvent::Lost(_) => {}
                ConsumerEvent::Error(error) => panic!("{error}"),
            }
        }
        assert_eq!(offsets, (0..count as i64).collect::<Vec<_>>());
        let next = BTreeMap::from([(assignment(&name, &[None], None).partitions[0].0.clone(), count as i64)]);
        within(consumer.commit(&next)).await.expect("committed");
    };
    let mut reading = consumer();
    all(&mut *reading, 50).await;
    anew(&port, &name, 2).await;
    all(&mut *reading, 80).await;
    reading.close().await;
    anew(&port, &name, 3).await;
    let mut reading = consumer();
    all(&mut *reading, 120).await;
    reading.close().await;
}
