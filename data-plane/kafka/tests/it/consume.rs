//! Consuming as a group member: commits, hand-over, slow readers, seeking. Every test runs under both group protocols, and under the
//! new one over our own connections too.

use super::*;
use dray_connect::sink_batch::TopicPartition;
use std::collections::BTreeSet;

/// Which group protocol a test is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// As a user who writes `group.protocol=classic` has it.
    Classic,
    /// Nothing written: the new one, because this broker has it.
    Unset,
    /// The same, spoken without librdkafka.
    Wire,
}

impl Protocol {
    pub(crate) fn port(self) -> Box<dyn KafkaPort> {
        match self {
            Self::Classic | Self::Unset => Box::new(RdKafka::new()),
            Self::Wire => Box::new(Kafka::new()),
        }
    }

    fn config(self, pairs: &[(&str, &str)]) -> ClientConfig {
        let mut config = super::config(pairs);
        if self == Self::Classic {
            config.insert("group.protocol".to_owned(), "classic".to_owned());
        }
        config
    }
}

macro_rules! under_all {
    ($($case:ident),* $(,)?) => {
        mod classic {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(super::Protocol::Classic).await;
            })*
        }
        mod consumer {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(super::Protocol::Unset).await;
            })*
        }
        mod wire {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                super::$case(super::Protocol::Wire).await;
            })*
        }
    };
}

under_all!(
    the_group_is_of_its_type,
    a_member_goes_on_where_the_last_one_committed,
    after_a_seek_nothing_earlier_is_delivered,
    pause_and_resume_lose_nothing,
    a_hand_over_repeats_nothing,
    a_slow_reader_stays_a_member,
);

async fn filled(port: &dyn KafkaPort, name: &str, partitions: i32, count: u32) -> String {
    let topic = topic(port, name, partitions, &[]).await;
    let mut lane = port.producer_lane(&config(&[]), 4 << 20, None).expect("lane");
    produce(&mut *lane, &topic, &numbered(0..count)).await;
    topic
}

fn place(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition,
    }
}

async fn a_member_goes_on_where_the_last_one_committed(protocol: Protocol) {
    let port = protocol.port();
    let topic = filled(&*port, "resume", 1, 100).await;
    let config = protocol.config(&[("group.id", &unique("resume"))]);
    let mut first = port
        .consumer(&config, std::slice::from_ref(&topic), 1 << 20)
        .expect("consumer");
    read(&mut *first, 100).await;
    first
        .commit(&BTreeMap::from([(place(&topic, 0), 40)]))
        .await
        .expect("commit");
    first.close().await;

    let mut second = port
        .consumer(&config, std::slice::from_ref(&topic), 1 << 20)
        .expect("consumer");
    let assigned = event(&mut *second).await;
    let ConsumerEvent::Assigned(partitions) = assigned else {
        panic!("{assigned:?}")
    };
    assert_eq!(partitions, [(place(&topic, 0), Some(40))]);
    let found = read(&mut *second, 60).await;
    assert_eq!((found[0].1, found.len()), (40, 60));
    second.close().await;
}

async fn after_a_seek_nothing_earlier_is_delivered(protocol: Protocol) {
    let port = protocol.port();
    let topic = filled(&*port, "seek", 1, 20_000).await;
    let config = protocol.config(&[("group.id", &unique("seek")), ("max.poll.records", "100")]);
    let mut consumer = port
        .consumer(&config, std::slice::from_ref(&topic), 1 << 20)
        .expect("consumer");
    read(&mut *consumer, 500).await;
    for target in [15_000, 3] {
        consumer.seek(&place(&topic, 0), target).await.expect("seek");
        let found = read(&mut *consumer, 500).await;
        assert_eq!(found[0].1, target);
        assert!(in_order(&found));
    }
    let unknown = consumer.seek(&place("no-such-topic", 0), 0).await;
    assert_eq!(unknown.expect_err("not assigned").code, "NOT_ASSIGNED");
    consumer.close().await;
}

async fn pause_and_resume_lose_nothing(protocol: Protocol) {
    let port = protocol.port();
    let topic = filled(&*port, "pause", 1, 10_000).await;
    let config = protocol.config(&[("group.id", &unique("pause")), ("max.poll.records", "100")]);
    let mut consumer = port
        .consumer(&config, std::slice::from_ref(&topic), 1 << 20)
        .expect("consumer");
    let mut found = read(&mut *consumer, 300).await;
    consumer.pause(&[place(&topic, 0)]).await.expect("pause");
    // What is on its way still comes; then nothing does.
    while let Ok(event) = tokio::time::timeout(Duration::from_millis(500), consumer.event()).await {
        if let ConsumerEvent::Records(batch) = event {
            found.extend(
                batch
                    .records
                    .iter()
                    .map(|r| (r.partition, r.offset, Vec::new(), Vec::new())),
            );
        }
    }
    assert!(found.len() < 10_000, "it did not pause");
    consumer.resume(&[place(&topic, 0)]).await.expect("resume");
    let rest = 10_000 - found.len();
    found.extend(read(&mut *consumer, rest).await);
    assert!(in_order(&found));
    consumer.close().await;
}

/// A reader that commits what it has seen, when asked to give partitions away, hands over without a duplicate.
async fn a_hand_over_repeats_nothing(protocol: Protocol) {
    const COUNT: u32 = 20_000;
    let port = protocol.port();
    let topic = filled(&*port, "handover", 4, COUNT).await;
    let config = protocol.config(&[("group.id", &unique("handover")), ("max.poll.records", "50")]);
    let mut seen: BTreeSet<(i32, i64)> = BTreeSet::new();
    let mut next: [BTreeMap<TopicPartition, i64>; 2] = Default::default();
    let mut members = vec![
        port.consumer(&config, std::slice::from_ref(&topic), 1 << 20)
            .expect("consumer"),
    ];
    let (mut revocations, mut assigned_to_second) = (0, false);
    while seen.len() < COUNT as usize || !assigned_to_second {
        let mut quiet = true;
        for (index, member) in members.iter_mut().enumerate() {
            let Ok(event) = tokio::time::timeout(Duration::from_millis(20), member.event()).await else {
                continue;
            };
            quiet = false;
            match event {
                ConsumerEvent::Records(batch) => {
                    for record in &batch.records {
                        assert!(seen.insert((record.partition, record.offset)), "{record:?} again");
                        next[index].insert(place(&topic, record.partition), record.offset + 1);
                    }
                }
                ConsumerEvent::Assigned(_) => assigned_to_second |= index == 1,
                ConsumerEvent::Revoked(_) => {
                    revocations += 1;
                    member.commit(&next[index]).await.expect("commit while revoked");
                    next[index].clear();
                    member.revoked().await;
                }
                ConsumerEvent::Lost(partitions) => panic!("lost {partitions:?}"),
                ConsumerEvent::Error(error) => assert!(error.is_retriable(), "{error}"),
            }
        }
        if members.len() == 1 && seen.len() > 1000 {
            members.push(
                port.consumer(&config, std::slice::from_ref(&topic), 1 << 20)
                    .expect("consumer"),
            );
        }
        if quiet {
            tokio::task::yield_now().await;
        }
    }
    assert!(revocations > 0);
    for member in members {
        member.close().await;
    }
}

/// Nobody asks for events for longer than the session; the partitions are still this member's afterwards.
async fn a_slow_reader_stays_a_member(protocol: Protocol) {
    const COUNT: u32 = 20_000;
    let port = protocol.port();
    let topic = filled(&*port, "slow", 1, COUNT).await;
    let mut config = protocol.config(&[
        ("group.id", &unique("slow")),
        ("max.poll.interval.ms", "6000"),
        ("max.poll.records", "100"),
    ]);
    if protocol == Protocol::Classic {
        config.insert("session.timeout.ms".to_owned(), "6000".to_owned());
    }
    let mut consumer = port
        .consumer(&config, std::slice::from_ref(&topic), 1 << 20)
        .expect("consumer");
    let mut found = read(&mut *consumer, 200).await;
    // The one wait here that is for time itself: longer than the session and the poll interval.
    tokio::time::sleep(Duration::from_secs(8)).await;
    consumer
        .commit(&BTreeMap::from([(place(&topic, 0), 100)]))
        .await
        .expect("still a member");
    while found.len() < COUNT as usize {
        let event = event(&mut *consumer).await;
        let ConsumerEvent::Records(batch) = event else {
            panic!("{event:?}")
        };
        found.extend(
            batch
                .records
                .iter()
                .map(|r| (r.partition, r.offset, Vec::new(), Vec::new())),
        );
    }
    assert!(in_order(&found));
    consumer.close().await;
}

/// What the broker says of the group, and what each of librdkafka's own settings of the classic protocol makes of it.
async fn the_group_is_of_its_type(protocol: Protocol) {
    let port = protocol.port();
    let topic = filled(&*port, "type", 1, 10).await;
    let expected = match protocol {
        Protocol::Classic => "classic",
        Protocol::Unset | Protocol::Wire => "consumer",
    };
    let written: &[(&str, &str)] = &[
        ("session.timeout.ms", "10000"),
        ("heartbeat.interval.ms", "1000"),
        (
            "partition.assignment.strategy",
            "org.apache.kafka.clients.consumer.RangeAssignor",
        ),
    ];
    let mut cases = vec![(Vec::new(), expected)];
    cases.extend(written.iter().map(|pair| (vec![*pair], "classic")));
    for (pairs, expected) in cases {
        let group = unique("type");
        let mut config = protocol.config(&[("group.id", &group)]);
        config.extend(
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
        );
        let mut consumer = port
            .consumer(&config, std::slice::from_ref(&topic), 1 << 20)
            .expect("consumer");
        read(&mut *consumer, 10).await;
        assert_eq!(group_type(&group).await, expected, "{pairs:?}");
        consumer.close().await;
    }
}

/// The type of a group, as the broker's answer to ListGroups version 5 has it. Read by hand: librdkafka does not tell.
async fn group_type(group: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    // Header version 2: API key 16, version 5, correlation id 1, no client id, no tags. Body: any state, any type, no tags.
    let request = [0, 16, 0, 5, 0, 0, 0, 1, 0xff, 0xff, 0, 1, 1, 0];
    let mut stream = tokio::net::TcpStream::connect(bootstrap()).await.expect("connects");
    stream.write_u32(request.len() as u32).await.expect("sends");
    stream.write_all(&request).await.expect("sends");
    let mut answer = vec![0; stream.read_u32().await.expect("answers") as usize];
    stream.read_exact(&mut answer).await.expect("answers");
    // A group is four compact strings: id, protocol type, state, type.
    let id = [&[group.len() as u8 + 1], group.as_bytes()].concat();
    let at = answer
        .windows(id.len())
        .position(|window| window == id)
        .expect("the group is listed");
    let mut rest = &answer[at + id.len()..];
    let mut text = String::new();
    for _ in 0..3 {
        let (length, tail) = rest.split_first().expect("a string");
        let (bytes, tail) = tail.split_at(usize::from(*length) - 1);
        (text, rest) = (String::from_utf8_lossy(bytes).into_owned(), tail);
    }
    text
}
