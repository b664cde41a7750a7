//! What brokers refuse, put into the real broker's answers, and what becomes of it: one table for each API.

use super::proxy::{Fault, Proxy};
use super::*;
use dray_kafka::{Class, Error};
use futures::StreamExt as _;
use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::ApiKey;
use std::ops::Range;

/// What a refusal comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The client goes on by itself, and nobody hears of it.
    GoesOn,
    /// It goes on, and the reader hears an error of this class and code, or the call fails with it.
    Says(Class, &'static str),
    /// The member loses its partitions, joins anew, and goes on where the group's offsets are.
    Rejoins,
}
use Class::{Fatal, Fenced, Retriable};
use Outcome::{GoesOn, Rejoins, Says};

/// A member behind a proxy, that has read what there was.
struct Rig {
    proxy: Proxy,
    port: Kafka,
    topic: String,
    group: String,
    consumer: Box<dyn Consumer>,
    seen: Seen,
}

#[derive(Debug, Default)]
struct Seen {
    values: Vec<u32>,
    assigned: Vec<Option<i64>>,
    lost: usize,
    errors: Vec<Error>,
}

impl Rig {
    async fn start(pairs: &[(&str, &str)]) -> Self {
        let mut rig = Self::waiting(pairs, &[]).await;
        rig.until(|seen| seen.values.len() == 10).await;
        rig
    }

    /// A member that has just been made; these faults are there already.
    async fn waiting(pairs: &[(&str, &str)], faults: &[(ApiKey, Fault)]) -> Self {
        let rd = RdKafka::new();
        let topic = topic(&rd, "faults", 1, &[]).await;
        send(&rd, &topic, 0..10).await;
        let proxy = Proxy::start(bootstrap()).await;
        for (api, fault) in faults {
            proxy.inject(*api as i16, *fault);
        }
        let port = Kafka::new();
        let group = unique("faults");
        let mut config = config(&[
            ("bootstrap.servers", &proxy.address()),
            ("group.id", &group),
            ("reconnect.backoff.ms", "10"),
        ]);
        config.extend(
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
        );
        let consumer = port
            .consumer(&config, std::slice::from_ref(&topic), 1 << 20)
            .expect("a consumer");
        let seen = Seen::default();
        Self {
            proxy,
            port,
            topic,
            group,
            consumer,
            seen,
        }
    }

    fn place(&self) -> TopicPartition {
        TopicPartition {
            topic: self.topic.as_str().into(),
            partition: 0,
        }
    }

    async fn until(&mut self, wish: impl Fn(&Seen) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !wish(&self.seen) {
            let event = tokio::time::timeout_at(deadline, self.consumer.event()).await;
            match event.unwrap_or_else(|_| panic!("in time; seen: {:?}", self.seen)) {
                ConsumerEvent::Records(batch) => self.seen.values.extend(batch.records.iter().map(|record| {
                    let value = batch.bytes(record.value.as_ref().expect("a value"));
                    String::from_utf8_lossy(value).parse::<u32>().expect("a number")
                })),
                ConsumerEvent::Assigned(new) => self.seen.assigned.extend(new.into_iter().map(|(_, offset)| offset)),
                ConsumerEvent::Revoked(gone) => panic!("revoked {gone:?}"),
                ConsumerEvent::Lost(_) => self.seen.lost += 1,
                ConsumerEvent::Error(error) => self.seen.errors.push(error),
            }
        }
    }

    /// Takes events until so many faults of an API have happened.
    async fn until_fired(&mut self, api: ApiKey, count: usize) {
        self.until_proxy(|proxy| proxy.fired(api as i16) >= count).await;
    }

    /// Takes events until the proxy has seen something.
    async fn until_proxy(&mut self, seen: impl Fn(&Proxy) -> bool) {
        let waiting = async {
            while !seen(&self.proxy) {
                // Nothing tells of it, so look again from time to time.
                tokio::time::timeout(Duration::from_millis(10), self.until(|_| false))
                    .await
                    .ok();
            }
        };
        within(waiting).await;
    }

    fn check(&self, code: Code, expected: Outcome) {
        let seen = &self.seen;
        match expected {
            GoesOn => assert!(seen.errors.is_empty() && seen.lost == 0, "{code:?}: {seen:?}"),
            Rejoins => assert!(seen.errors.is_empty() && seen.lost == 1, "{code:?}: {seen:?}"),
            Says(class, name) => {
                let error = seen
                    .errors
                    .first()
                    .unwrap_or_else(|| panic!("{code:?}: no error; {seen:?}"));
                assert_eq!((error.class, error.code.as_str()), (class, name), "{code:?}: {error}");
            }
        }
    }

    fn has_all(seen: &Seen, count: u32) -> bool {
        seen.values == (0..count).collect::<Vec<_>>()
    }
}

async fn send(port: &dyn KafkaPort, topic: &str, numbers: Range<u32>) {
    let mut lane = port.producer_lane(&config(&[]), 1 << 20, None).expect("lane");
    produce(&mut *lane, topic, &numbered(numbers)).await;
}

async fn run_all<F: Future<Output = ()>>(table: &[(Code, Outcome)], case: impl Fn(Code, Outcome) -> F) {
    futures::stream::iter(table)
        .for_each_concurrent(8, |&(code, expected)| case(code, expected))
        .await;
}

/// What the fetch response may say. Whatever it is, every record comes, in order; twice only where the offset was out of range, because
/// the group starts at the beginning then.
const FETCH: &[(Code, Outcome)] = &[
    (Code::UnknownServerError, Says(Retriable, "Unknown")),
    (Code::OffsetOutOfRange, GoesOn),
    (Code::CorruptMessage, Says(Retriable, "InvalidMessage")),
    (Code::UnknownTopicOrPartition, GoesOn),
    (Code::LeaderNotAvailable, GoesOn),
    (Code::NotLeaderOrFollower, GoesOn),
    (Code::RequestTimedOut, Says(Retriable, "RequestTimedOut")),
    (Code::BrokerNotAvailable, GoesOn),
    (Code::ReplicaNotAvailable, GoesOn),
    (Code::TopicAuthorizationFailed, Says(Fatal, "TopicAuthorizationFailed")),
    (Code::KafkaStorageError, GoesOn),
    (Code::FetchSessionIdNotFound, GoesOn),
    (Code::InvalidFetchSessionEpoch, GoesOn),
    (Code::FencedLeaderEpoch, GoesOn),
    (Code::UnknownLeaderEpoch, GoesOn),
    (Code::OffsetNotAvailable, GoesOn),
    (Code::UnknownTopicId, GoesOn),
    (Code::InconsistentTopicId, GoesOn),
    (Code::FetchSessionTopicIdError, GoesOn),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_code_on_fetch() {
    run_all(FETCH, |code, expected| async move {
        let mut rig = Rig::start(&[]).await;
        rig.proxy.inject(ApiKey::Fetch as i16, Fault::Code(code.code()));
        rig.until_fired(ApiKey::Fetch, 1).await;
        send(&rig.port, &rig.topic, 10..20).await;
        if code == Code::OffsetOutOfRange {
            rig.until(|seen| seen.values.last() == Some(&19)).await;
            rig.seen.values.drain(..10);
        }
        rig.until(|seen| Rig::has_all(seen, 20)).await;
        rig.check(code, expected);
        rig.consumer.close().await;
    })
    .await;
}

/// `auto.offset.reset=none`: nothing is made up.
#[tokio::test(flavor = "multi_thread")]
async fn who_asked_for_it_is_told_that_there_is_no_offset() {
    let mut rig = Rig::waiting(&[("auto.offset.reset", "none")], &[]).await;
    rig.until(|seen| !seen.errors.is_empty()).await;
    let error = &rig.seen.errors[0];
    assert_eq!(
        (error.class, error.code.as_str()),
        (Fatal, "AutoOffsetReset"),
        "{error}"
    );
    // Where to begin can still be said.
    let place = rig.place();
    rig.consumer.seek(&place, 4).await.expect("assigned");
    rig.until(|seen| seen.values == [4, 5, 6, 7, 8, 9]).await;
    rig.consumer.close().await;
}

/// What the heartbeat's answer may say of a member.
const HEARTBEAT: &[(Code, Outcome)] = &[
    (Code::UnknownServerError, GoesOn),
    (Code::CoordinatorLoadInProgress, GoesOn),
    (Code::CoordinatorNotAvailable, GoesOn),
    (Code::NotCoordinator, GoesOn),
    (Code::UnreleasedInstanceId, GoesOn),
    (Code::UnknownMemberId, Rejoins),
    (Code::FencedMemberEpoch, Rejoins),
    (Code::GroupIdNotFound, Rejoins),
    (Code::GroupAuthorizationFailed, Says(Fatal, "GroupAuthorizationFailed")),
    (Code::GroupMaxSizeReached, Says(Fatal, "GroupMaxSizeReached")),
    (Code::InvalidRequest, Says(Fatal, "InvalidRequest")),
    (Code::UnsupportedAssignor, Says(Fatal, "UnsupportedAssignor")),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_code_on_heartbeats() {
    run_all(HEARTBEAT, |code, expected| async move {
        let mut rig = Rig::start(&[]).await;
        let place = rig.place();
        rig.consumer
            .commit(&BTreeMap::from([(place.clone(), 10)]))
            .await
            .expect("commit");
        rig.proxy
            .inject(ApiKey::ConsumerGroupHeartbeat as i16, Fault::Code(code.code()));
        // A subscription to the same topics makes no heartbeat due; a new one does.
        let topics = [rig.topic.clone(), unique("other")];
        rig.consumer.subscribe(&topics).await.expect("subscribed");
        rig.until_fired(ApiKey::ConsumerGroupHeartbeat, 1).await;
        if expected == Rejoins {
            rig.until(|seen| seen.lost == 1).await;
            let refused = rig.consumer.commit(&BTreeMap::from([(place.clone(), 3)])).await;
            // It may be back already; then its offset is that of the group's.
            if let Err(error) = refused {
                assert_eq!(error.class, Fenced, "{error}");
                rig.until(|seen| seen.assigned.len() == 2).await;
                assert_eq!(rig.seen.assigned, [None, Some(10)], "{code:?}");
            } else {
                rig.until(|seen| seen.assigned.len() == 2).await;
                rig.consumer
                    .commit(&BTreeMap::from([(place.clone(), 10)]))
                    .await
                    .expect("commit");
            }
        }
        send(&rig.port, &rig.topic, 10..20).await;
        rig.until(|seen| Rig::has_all(seen, 20)).await;
        rig.check(code, expected);
        rig.consumer.close().await;
    })
    .await;
}

/// What may be said to a member on its way in. Whatever it is, all records come.
const OFFSETS: &[(Code, Outcome)] = &[
    (Code::CoordinatorLoadInProgress, GoesOn),
    (Code::UnstableOffsetCommit, GoesOn),
    (
        Code::CoordinatorNotAvailable,
        Says(Retriable, "CoordinatorNotAvailable"),
    ),
    (Code::NotCoordinator, Says(Retriable, "NotCoordinator")),
    (Code::UnknownMemberId, Says(Retriable, "UnknownMemberId")),
    (Code::StaleMemberEpoch, Says(Retriable, "StaleMemberEpoch")),
    (Code::GroupAuthorizationFailed, Says(Fatal, "GroupAuthorizationFailed")),
];
const FIND: &[(Code, Outcome)] = &[
    (Code::CoordinatorLoadInProgress, GoesOn),
    (Code::CoordinatorNotAvailable, GoesOn),
    (Code::GroupAuthorizationFailed, Says(Fatal, "GroupAuthorizationFailed")),
];
const LIST: &[(Code, Outcome)] = &[
    (Code::NotLeaderOrFollower, GoesOn),
    (Code::LeaderNotAvailable, GoesOn),
    (Code::OffsetNotAvailable, GoesOn),
    (Code::FencedLeaderEpoch, GoesOn),
    (Code::TopicAuthorizationFailed, Says(Fatal, "TopicAuthorizationFailed")),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_code_on_the_way_in() {
    for (api, table) in [
        (ApiKey::OffsetFetch, OFFSETS),
        (ApiKey::FindCoordinator, FIND),
        (ApiKey::ListOffsets, LIST),
    ] {
        run_all(table, |code, expected| async move {
            let mut rig = Rig::waiting(&[], &[(api, Fault::Code(code.code()))]).await;
            rig.until(|seen| Rig::has_all(seen, 10)).await;
            assert_eq!(rig.proxy.fired(api as i16), 1, "{api:?} {code:?}");
            assert_eq!(rig.seen.assigned, [None], "{api:?} {code:?}");
            rig.check(code, expected);
            rig.consumer.close().await;
        })
        .await;
    }
}

/// What the commit's answer may say.
const COMMIT: &[(Code, Outcome)] = &[
    (Code::UnknownServerError, Says(Fatal, "Unknown")),
    (Code::UnknownTopicOrPartition, GoesOn),
    (Code::RequestTimedOut, GoesOn),
    (Code::OffsetMetadataTooLarge, Says(Fatal, "OffsetMetadataTooLarge")),
    (Code::CoordinatorLoadInProgress, GoesOn),
    (Code::CoordinatorNotAvailable, GoesOn),
    (Code::NotCoordinator, GoesOn),
    (Code::IllegalGeneration, Says(Fenced, "IllegalGeneration")),
    (Code::UnknownMemberId, Says(Fenced, "UnknownMemberId")),
    (Code::InvalidCommitOffsetSize, Says(Fatal, "InvalidCommitOffsetSize")),
    (Code::TopicAuthorizationFailed, Says(Fatal, "TopicAuthorizationFailed")),
    (Code::GroupAuthorizationFailed, Says(Fatal, "GroupAuthorizationFailed")),
    (Code::GroupIdNotFound, Says(Fatal, "GroupIdNotFound")),
    (Code::StaleMemberEpoch, GoesOn),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_code_on_commit() {
    run_all(COMMIT, |code, expected| async move {
        let mut rig = Rig::start(&[]).await;
        let place = rig.place();
        rig.proxy.inject(ApiKey::OffsetCommit as i16, Fault::Code(code.code()));
        let result = within(rig.consumer.commit(&BTreeMap::from([(place.clone(), 7)]))).await;
        assert_eq!(rig.proxy.fired(ApiKey::OffsetCommit as i16), 1, "{code:?}");
        match (expected, result) {
            (GoesOn, result) => result.unwrap_or_else(|error| panic!("{code:?}: {error}")),
            (Says(class, name), Err(error)) => assert_eq!((error.class, error.code.as_str()), (class, name), "{error}"),
            (_, result) => panic!("{code:?}: {result:?}"),
        }
        // The member is still one, and commits.
        rig.consumer
            .commit(&BTreeMap::from([(place.clone(), 8)]))
            .await
            .expect("commit");
        let group = rig.group.clone();
        let offsets = rig
            .port
            .group_offsets(&config(&[]), &group, PATIENCE)
            .await
            .expect("read");
        assert_eq!(offsets, BTreeMap::from([(place, 8)]), "{code:?}");
        rig.consumer.close().await;
    })
    .await;
}

/// Connections that are cut in the middle of an answer cost nothing but time.
#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_lose_nothing_and_repeat_nothing() {
    let mut rig = Rig::start(&[("max.poll.records", "20")]).await;
    let mut next = 10;
    for (round, api) in [ApiKey::Fetch, ApiKey::ConsumerGroupHeartbeat, ApiKey::OffsetCommit]
        .iter()
        .cycle()
        .take(12)
        .enumerate()
    {
        rig.proxy.inject(*api as i16, Fault::Cut);
        send(&rig.port, &rig.topic, next..next + 100).await;
        next += 100;
        if *api == ApiKey::ConsumerGroupHeartbeat {
            let topics = [rig.topic.clone(), format!("other-{round}")];
            rig.consumer.subscribe(&topics).await.expect("subscribed");
        }
        let place = rig.place();
        within(rig.consumer.commit(&BTreeMap::from([(place, i64::from(next))])))
            .await
            .expect("commit");
        rig.until(|seen| Rig::has_all(seen, next)).await;
        rig.until_fired(*api, round / 3 + 1).await;
    }
    assert_eq!(
        (rig.seen.lost, rig.seen.assigned.len()),
        (0, 1),
        "{:?}",
        rig.seen.errors
    );
    rig.consumer.close().await;
}

/// Where nothing has come for a while the broker is asked to wait for long. What is wanted meanwhile does not wait for its answer, and
/// what comes meanwhile comes at once, each record once.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wanted_does_not_wait_for_the_poll_of_a_silent_lane() {
    let mut rig = Rig::start(&[]).await;
    let place = rig.place();
    let mut overtook = 0;
    // Only a machine that stands still for seconds answers the poll first.
    for round in 1..=3 {
        rig.until_proxy(|proxy| proxy.long_polls() == 1).await;
        rig.consumer.seek(&place, 5).await.expect("sought");
        rig.until(|seen| seen.values.len() == 10 + round * 5).await;
        overtook += usize::from(rig.proxy.long_polls() == 1);
    }
    assert!(overtook > 0, "each poll was waited for");
    let again: Vec<u32> = (0..10).chain([5..10, 5..10, 5..10].into_iter().flatten()).collect();
    assert_eq!(rig.seen.values, again);

    rig.until_proxy(|proxy| proxy.long_polls() == 1).await;
    send(&rig.port, &rig.topic, 10..20).await;
    rig.until(|seen| seen.values.len() == 35).await;
    assert!(
        rig.seen.values[25..].iter().copied().eq(10..20),
        "{:?}",
        rig.seen.values
    );
    assert!(rig.seen.errors.is_empty() && rig.seen.lost == 0, "{:?}", rig.seen);
    rig.consumer.close().await;
}
