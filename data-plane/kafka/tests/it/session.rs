//! Sessions on a real broker: a process that was declared dead wakes up, and has no effect any more. The process is
//! `zombie.rs`, stopped by SIGSTOP.

pub(crate) mod zombie;

use super::*;
use dray_kafka::port::{GroupMember, Outcome, SessionRecord, TailRecord};
use dray_kafka::session::SessionWriter;
use dray_model::Millis;
use std::sync::Arc;
use std::time::Instant;
use zombie::Zombie;

fn offset(topic: &str, value: &str) -> SessionRecord {
    SessionRecord {
        topic: topic.into(),
        key: b"offset".to_vec(),
        value: Some(value.as_bytes().to_vec()),
    }
}

async fn writer(port: &dyn KafkaPort, id: &str) -> SessionWriter {
    let producer = port
        .transactional_producer(&config(&[]), id, PATIENCE)
        .await
        .expect("a producer");
    SessionWriter::start(producer, id, Arc::new(|| Millis(0)))
}

/// All committed values of the key `offset`, in order, as whoever takes a task over reads them.
async fn offsets(port: &dyn KafkaPort, topic: &str) -> Vec<String> {
    let mut tail = port
        .tail(&config(&[("isolation.level", "read_committed")]), topic)
        .expect("a tail");
    let mut values = Vec::new();
    let mut visit = |record: TailRecord<'_>| {
        if record.key == Some(b"offset") {
            values.push(String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned());
        }
    };
    tail.read_to_end(PATIENCE, &mut visit).await.expect("read");
    values
}

/// How many records a topic has.
async fn count(port: &dyn KafkaPort, topic: &str) -> u64 {
    let mut tail = port.tail(&config(&[]), topic).expect("a tail");
    let mut count = 0;
    tail.read_to_end(PATIENCE, &mut |_| count += 1).await.expect("read");
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_has_an_id() {
    let port = Kafka::new();
    let id = port.cluster_id(&config(&[]), PATIENCE).await.expect("an id");
    assert_eq!(id.len(), 22, "{id}");
    let nobody = ClientConfig::from([("bootstrap.servers".to_owned(), "127.0.0.1:1".to_owned())]);
    let error = port
        .cluster_id(&nobody, Duration::from_millis(300))
        .await
        .expect_err("nobody there");
    assert!(error.is_retriable(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_commits_and_its_successor_fences_it() {
    let port = Kafka::new();
    let topic = topic(&port, "offsets", 3, &[("cleanup.policy", "compact")]).await;
    let id = unique("c-agent-1");
    let first = writer(&port, &id).await;
    assert!(matches!(
        first.commit(vec![offset(&topic, "1")]).await,
        Outcome::Committed
    ));
    assert!(matches!(
        first.commit(vec![offset(&topic, "2")]).await,
        Outcome::Committed
    ));
    let second = writer(&port, &id).await;
    let outcome = first.commit(vec![offset(&topic, "3")]).await;
    assert!(matches!(outcome, Outcome::Fenced(_)), "{outcome:?}");
    assert!(matches!(
        second.commit(vec![offset(&topic, "4")]).await,
        Outcome::Committed
    ));
    assert_eq!(offsets(&port, &topic).await, ["1", "2", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_aborted_and_the_writer_goes_on() {
    let port = Kafka::new();
    let topic = topic(&port, "offsets", 1, &[("cleanup.policy", "compact")]).await;
    let writer = writer(&port, &unique("c-agent-1")).await;
    let large = "x".repeat(3 << 20);
    let outcome = writer.commit(vec![offset(&topic, "1"), offset(&topic, &large)]).await;
    assert!(matches!(outcome, Outcome::Aborted(_)), "{outcome:?}");
    assert!(matches!(
        writer.commit(vec![offset(&topic, "2")]).await,
        Outcome::Committed
    ));
    assert_eq!(offsets(&port, &topic).await, ["2"], "all or nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_is_quick_even_with_a_transaction_open() {
    let port = Kafka::new();
    let topic = topic(&port, "offsets", 1, &[("cleanup.policy", "compact")]).await;
    let (mut idle, mut busy) = (Vec::<Duration>::new(), Vec::<Duration>::new());
    // librdkafka waits a second before it asks again. A busy machine may take as long, but not each time.
    let quick = |times: &[Duration]| times.iter().any(|time| *time < Duration::from_millis(900));
    while busy.len() < 5 || !quick(&busy) {
        assert!(busy.len() < 30, "{busy:?}");
        let id = unique("c-agent-1");
        let mut zombie = Zombie::start(&["open", &id, &topic]);
        zombie.says("open").await;
        zombie.stop().await;
        for times in [&mut busy, &mut idle] {
            let at = Instant::now();
            port.fence(&config(&[]), &id, PATIENCE).await.expect("fenced");
            times.push(at.elapsed());
        }
        zombie.signal("-CONT");
        drop(zombie.child.stdin.take());
        let refused = zombie.says("").await;
        assert!(refused.starts_with("refused"), "{refused}");
    }
    eprintln!("fence: {idle:?} idle, {busy:?} with a transaction open");
    assert!(
        offsets(&port, &topic).await.is_empty(),
        "nothing of the open transactions is ever seen"
    );
}

/// A transaction of another session is open before them: readers of committed records are told of an end that lies before it.
#[tokio::test(flavor = "multi_thread")]
async fn another_sessions_open_transaction_hides_no_offsets() {
    open_transactions_hide_nothing(&RdKafka::new()).await;
    open_transactions_hide_nothing(&Kafka::new()).await;
}

async fn open_transactions_hide_nothing(port: &dyn KafkaPort) {
    let topic = topic(port, "offsets", 1, &[("cleanup.policy", "compact")]).await;
    let mut zombie = Zombie::start(&["open", &unique("c-agent-1"), &topic]);
    zombie.says("open").await;
    let writer = writer(port, &unique("c-agent-2")).await;
    let values: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let records = values.iter().map(|value| offset(&topic, value)).collect();
    assert!(matches!(writer.commit(records).await, Outcome::Committed));

    let mut tail = port
        .tail(&config(&[("isolation.level", "read_committed")]), &topic)
        .expect("a tail");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut visit = |_: TailRecord<'_>| panic!("nothing is committed up to there");
        let error = tail
            .read_to_end(Duration::from_secs(1), &mut visit)
            .await
            .expect_err("it is open");
        assert!(error.is_retriable() && Instant::now() < deadline, "{error}");
        // A busy broker may take the second for less.
        if error.code == "OPEN_TRANSACTION" {
            break;
        }
    }

    let reading = offsets(port, &topic);
    tokio::pin!(reading);
    assert!(
        tokio::time::timeout(Duration::from_secs(1), &mut reading)
            .await
            .is_err(),
        "nothing may be passed over in silence"
    );
    drop(zombie.child.stdin.take());
    zombie.says("committed").await;
    let mut expected = vec!["open".to_owned()];
    expected.extend(values);
    assert_eq!(reading.await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_session_has_no_effect_after_it_was_fenced() {
    let port = Kafka::new();
    let topic = topic(&port, "offsets", 1, &[("cleanup.policy", "compact")]).await;
    let data = super::topic(&port, "data", 1, &[]).await;
    let id = unique("c-agent-1");
    let mut zombie = Zombie::start(&["session", &id, &topic, &data]);
    zombie.says("ready").await;
    for _ in 0..2 {
        zombie.says("committed").await;
    }
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let mut last = number(&zombie.says("committed").await);
    zombie.stop().await;
    let stopped = Instant::now();
    for line in zombie.said_before_it_stopped().await {
        last = number(line.strip_prefix("committed ").expect("nothing else"));
    }

    let at = Instant::now();
    port.fence(&config(&[]), &id, PATIENCE).await.expect("fenced");
    let fenced = at.elapsed();
    // A second is between two transactions, so this is the middle of neither as a rule; then these are the same.
    let read = number(offsets(&port, &topic).await.last().expect("committed"));
    assert!(
        read >= last,
        "the successor goes on at {read}, and {last} was committed"
    );
    let before = count(&port, &data).await;
    let successor = writer(&port, &unique("c-agent-2")).await;
    let committed = successor.commit(vec![offset(&topic, "successor")]).await;
    assert!(matches!(committed, Outcome::Committed), "{committed:?}");

    // Nobody declares a session dead before its tasks stop by themselves. What its client has in its queue goes out all the
    // same: records of at-least-once sources are not fenced.
    tokio::time::sleep_until((stopped + zombie::QUIET).into()).await;
    let at = Instant::now();
    zombie.signal("-CONT");
    let mut said = zombie.says("").await;
    // One that was committed before, which it had no time to say.
    while let Some(late) = said.strip_prefix("committed ") {
        assert!(number(late) <= read, "{late} after the fence");
        said = zombie.says("").await;
    }
    assert!(said.starts_with("fenced"), "{said}");
    let noticed = at.elapsed();
    assert_eq!(zombie.line().await, None, "and ends");
    let late = count(&port, &data).await - before;
    eprintln!("session: fenced in {fenced:?}; noticed {noticed:?} after it woke up; {late} records were late");
    assert!(late <= 2 * (1 << 20) / 200, "more than its queue holds: {late}");
    assert_eq!(
        offsets(&port, &topic).await.last().map(String::as_str),
        Some("successor")
    );
}

/// A member of the group that waits until it has all partitions.
async fn successor(group: &str, topic: &str, protocol: &str, partitions: usize) -> Box<dyn Consumer> {
    let (port, protocol) = speaks(protocol);
    let config = config(&[
        ("group.id", group),
        ("client.id", "c.2-9"),
        ("group.protocol", protocol),
    ]);
    let mut consumer = port
        .consumer(&config, &[topic.to_owned()], 1 << 20)
        .expect("a consumer");
    let mut owned = 0;
    while owned < partitions {
        match event(&mut *consumer).await {
            ConsumerEvent::Assigned(new) => owned += new.len(),
            ConsumerEvent::Revoked(gone) => {
                owned -= gone.len();
                consumer.revoked().await;
            }
            ConsumerEvent::Lost(gone) => owned -= gone.len(),
            ConsumerEvent::Records(_) | ConsumerEvent::Error(_) => {}
        }
    }
    consumer
}

/// A dead member's partitions go to its successor at once, and what it does when it wakes up is refused.
async fn left_on_behalf(protocol: &str, signal: &str) {
    const PARTITIONS: usize = 6;
    let port = Kafka::new();
    let topic = topic(&port, "sink", 6, &[]).await;
    let mut lane = port.producer_lane(&config(&[]), 1 << 20, None).expect("lane");
    produce(&mut *lane, &topic, &numbered(0..1000)).await;
    let group = unique("connect-sink");
    let mut zombie = Zombie::start(&["member", &group, &topic, "c.1-7", protocol]);
    // For two seconds: the broker makes a group's assignments a second apart, and a member that comes too early for one asks
    // again 5 s later.
    for _ in 0..10 {
        zombie.says("committed").await;
    }
    if signal == "-STOP" {
        zombie.stop().await;
        zombie.said_before_it_stopped().await;
    } else {
        zombie.signal(signal);
    }

    let at = Instant::now();
    let members = port
        .group_members(&config(&[]), &group, PATIENCE)
        .await
        .expect("described");
    let expected = |member: &GroupMember| (member.client_id.clone(), member.classic);
    assert_eq!(
        members.iter().map(expected).collect::<Vec<_>>(),
        [("c.1-7".to_owned(), protocol == "classic")]
    );
    port.leave_on_behalf(&config(&[]), &group, &members, PATIENCE)
        .await
        .expect("left");
    let left = at.elapsed();
    let mut consumer = successor(&group, &topic, protocol, PARTITIONS).await;
    let taken = at.elapsed();
    eprintln!("{protocol}, {signal}: left in {left:?}, all partitions with the successor in {taken:?}");
    assert!(taken < Duration::from_secs(40), "without a leave it is 45 s: {taken:?}");
    port.leave_on_behalf(&config(&[]), &group, &members, PATIENCE)
        .await
        .expect("gone is fine");
    if signal == "-STOP" {
        zombie.signal("-CONT");
        let hears = async {
            loop {
                let line = zombie.line().await.expect("it goes on");
                assert_ne!(line, "committed", "before it knows that it lost everything");
                if line.starts_with("lost") {
                    break;
                }
            }
        };
        within(hears).await;
        // Left alone it would be back after 5 to 6 s, and take half of the partitions.
        let deadline = Instant::now() + Duration::from_secs(8);
        while Instant::now() < deadline {
            let members = port
                .group_members(&config(&[]), &group, PATIENCE)
                .await
                .expect("described");
            assert!(
                members.iter().all(|member| member.client_id != "c.1-7"),
                "it is back: {members:?}"
            );
            let event = tokio::time::timeout(Duration::from_millis(200), consumer.event()).await;
            let changed = matches!(event, Ok(ConsumerEvent::Revoked(_) | ConsumerEvent::Lost(_)));
            assert!(!changed, "somebody else got partitions");
        }
        let stdin = zombie.child.stdin.as_mut().expect("piped");
        std::io::Write::write_all(stdin, b"rejoin\n").expect("written");
        let mut shared = false;
        while !shared {
            // The group has two members again.
            if let ConsumerEvent::Revoked(_) = event(&mut *consumer).await {
                consumer.revoked().await;
                shared = true;
            }
        }
        zombie.says("assigned 3").await;
    }
    drop(zombie);
    consumer.close().await;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let members = port
            .group_members(&config(&[]), &group, PATIENCE)
            .await
            .expect("described");
        if members.iter().all(|member| member.client_id != "c.2-9") {
            return;
        }
        // Sooner than it is given up.
        assert!(Instant::now() < deadline, "{members:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_member_leaves_on_its_behalf() {
    tokio::join!(
        left_on_behalf("consumer", "-KILL"),
        left_on_behalf("classic", "-KILL"),
        left_on_behalf("wire", "-KILL")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_member_leaves_on_its_behalf() {
    tokio::join!(
        left_on_behalf("consumer", "-STOP"),
        left_on_behalf("classic", "-STOP"),
        left_on_behalf("wire", "-STOP")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_not_there_has_no_members() {
    let port = Kafka::new();
    let group = unique("connect-none");
    let members = port
        .group_members(&config(&[]), &group, PATIENCE)
        .await
        .expect("described");
    assert!(members.is_empty(), "{members:?}");
}
