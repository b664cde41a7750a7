//! A cluster on its way from one state to another: old metadata, throttling, a coordinator that moves. All goes on.

use super::*;

/// Everything that is sent arrives once, in order, whatever happens meanwhile; then a commit succeeds.
async fn all_goes_on(rig: &Rig, consumer: &mut dyn Consumer, seen: &mut Seen, lane: &mut dyn ProducerLane, count: u32) {
    let outcomes = send(lane, seen.values.len() as u32..count).await;
    assert!(outcomes.values().all(Result::is_ok), "{outcomes:?}");
    seen.until(consumer, |seen| seen.has_all(count)).await;
    let end = BTreeMap::from([(place(), i64::from(count))]);
    within(consumer.commit(&end)).await.expect("commit");
    assert_eq!(rig.log().await, (0..count).collect::<Vec<_>>());
}

/// With metadata that is asked for often, the next answers are old ones, for clients at work and for new ones.
#[tokio::test(flavor = "multi_thread")]
async fn old_metadata_is_gone_through() {
    for (fault, port) in [Fault::OldLeader, Fault::MissingTopics]
        .into_iter()
        .flat_map(|fault| ports().map(|port| (fault, port)))
    {
        let rig = Rig::with(port).await;
        let often = [
            ("metadata.max.age.ms", "200"),
            ("topic.metadata.refresh.interval.ms", "200"),
        ];
        let mut lane = rig
            .port
            .producer_lane(&rig.config(&often), 1 << 20, None)
            .expect("lane");
        let mut consumer = rig.consumer("g", &often);
        let mut seen = Seen::default();
        all_goes_on(&rig, &mut *consumer, &mut seen, &mut *lane, 10).await;

        rig.broker.faults().inject_all(ApiKey::Metadata, 4, fault);
        let wait = async {
            while !rig.fired(ApiKey::Metadata) {
                let turn = seen.until(&mut *consumer, |_| false);
                tokio::time::timeout(Duration::from_millis(10), turn).await.ok();
            }
        };
        within(wait).await;
        all_goes_on(&rig, &mut *consumer, &mut seen, &mut *lane, 20).await;
        assert!(seen.errors.iter().all(Error::is_retriable), "{fault:?}: {seen:?}");
        consumer.close().await;

        rig.broker.faults().inject_all(ApiKey::Metadata, 3, fault);
        let mut new = rig.consumer("new", &often);
        let mut seen = Seen::default();
        seen.until(&mut *new, |seen| seen.has_all(20)).await;
        assert!(rig.fired(ApiKey::Metadata), "{fault:?}");
        assert!(seen.errors.iter().all(Error::is_retriable), "{fault:?}: {seen:?}");
        new.close().await;
        drop(lane);
        rig.broker.shutdown().await;
    }
}

/// A throttled client is slower, and nothing else: its connection is not read for that long.
#[tokio::test(flavor = "multi_thread")]
async fn throttling_only_takes_time() {
    const THROTTLED: Duration = Duration::from_millis(300);
    for port in ports() {
        let rig = Rig::with(port).await;
        let mut lane = rig.lane().await;
        let mut consumer = rig.consumer("g", &[]);
        let mut seen = Seen::default();
        all_goes_on(&rig, &mut *consumer, &mut seen, &mut *lane, 10).await;
        for api in [ApiKey::Produce, ApiKey::Fetch, ApiKey::OffsetCommit, ApiKey::Heartbeat] {
            rig.broker.faults().inject(api, 1, Fault::Throttle(THROTTLED));
        }
        let began = tokio::time::Instant::now();
        all_goes_on(&rig, &mut *consumer, &mut seen, &mut *lane, 20).await;
        // The second request on the producer's connection waits for the first one's penalty.
        all_goes_on(&rig, &mut *consumer, &mut seen, &mut *lane, 30).await;
        assert!(began.elapsed() >= THROTTLED, "{:?}", began.elapsed());
        for api in [ApiKey::Produce, ApiKey::Fetch, ApiKey::OffsetCommit] {
            assert!(rig.fired(api), "{api:?}");
        }
        assert!(seen.errors.is_empty() && seen.lost == 0, "{seen:?}");
        consumer.close().await;
        drop(lane);
        rig.broker.shutdown().await;
    }
}

/// The coordinator says that it is none, and for a while there is none; then the group and its offsets are where they were.
#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_moves_keeps_group_and_offsets() {
    for port in ports() {
        let rig = Rig::with(port).await;
        let mut lane = rig.lane().await;
        let mut consumer = rig.consumer("g", &[]);
        let mut seen = Seen::default();
        all_goes_on(&rig, &mut *consumer, &mut seen, &mut *lane, 10).await;
        let faults = rig.broker.faults();
        faults.inject_all(ApiKey::Heartbeat, 2, Fault::Error(ResponseError::NotCoordinator));
        faults.inject_all(ApiKey::OffsetCommit, 2, Fault::Error(ResponseError::NotCoordinator));
        let away = Fault::Error(ResponseError::CoordinatorNotAvailable);
        faults.inject_all(ApiKey::FindCoordinator, 3, away);
        all_goes_on(&rig, &mut *consumer, &mut seen, &mut *lane, 20).await;
        assert!(rig.fired(ApiKey::OffsetCommit) && rig.fired(ApiKey::FindCoordinator));
        rig.until_fired(ApiKey::Heartbeat, &mut seen, &mut *consumer).await;
        all_goes_on(&rig, &mut *consumer, &mut seen, &mut *lane, 30).await;
        assert_eq!((seen.assigned.len(), seen.lost), (1, 0), "{seen:?}");
        consumer.close().await;
        let mut next = rig.consumer("g", &[]);
        let mut seen = Seen::default();
        seen.until(&mut *next, |seen| !seen.assigned.is_empty()).await;
        assert_eq!(seen.assigned, [Some(30)]);
        next.close().await;
        rig.broker.shutdown().await;
    }
}
