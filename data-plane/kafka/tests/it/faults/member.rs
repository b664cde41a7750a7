//! What befalls a member beyond a single answer: offsets that cannot be read, partitions that are lost, a broker without
//! the new group protocol.

use super::*;

/// While the committed offsets cannot be read, a member is told of no partition; then it goes on where the group was.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_assigned_before_its_offset_is_known() {
    const REFUSALS: u64 = 5;
    let rig = Rig::start().await;
    send(&mut *rig.lane().await, 0..10).await;
    let mut first = rig.consumer("g", &[]);
    Seen::default().until(&mut *first, |seen| seen.has_all(10)).await;
    first.commit(&BTreeMap::from([(place(), 4)])).await.expect("commit");
    first.close().await;

    for nth in 1..=REFUSALS {
        let refused = Fault::Error(ResponseError::CoordinatorNotAvailable);
        rig.broker.faults().inject(ApiKey::OffsetFetch, nth, refused);
    }
    let mut second = rig.consumer("g", &[]);
    let mut seen = Seen::default();
    seen.until(&mut *second, |seen| !seen.errors.is_empty()).await;
    assert_eq!((seen.assigned.len(), seen.values.len()), (0, 0), "{seen:?}");
    seen.until(&mut *second, |seen| seen.values.last() == Some(&9)).await;
    assert!(rig.fired(ApiKey::OffsetFetch));
    assert_eq!(
        (seen.assigned.as_slice(), seen.offsets[0]),
        (&[Some(4)][..], 4),
        "{seen:?}"
    );
    assert!(seen.errors.iter().all(Error::is_retriable), "{seen:?}");
    second.close().await;
    rig.broker.shutdown().await;
}

/// A reader that gives up meanwhile is let go at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_waits_for_its_offsets_can_be_closed() {
    let rig = Rig::start().await;
    for nth in 1..1000 {
        let refused = Fault::Error(ResponseError::GroupAuthorizationFailed);
        rig.broker.faults().inject(ApiKey::OffsetFetch, nth, refused);
    }
    let mut consumer = rig.consumer("g", &[]);
    let mut seen = Seen::default();
    seen.until(&mut *consumer, |seen| !seen.errors.is_empty()).await;
    check_error(
        ResponseError::GroupAuthorizationFailed,
        &seen.errors[0],
        Fatal,
        "GroupAuthorizationFailed",
    );
    within(consumer.close()).await;
    rig.broker.shutdown().await;
}

/// The group does not know the member any more while it waits for its offsets: it joins anew instead of waiting for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_expelled_joins_anew() {
    let rig = Rig::start().await;
    send(&mut *rig.lane().await, 0..10).await;
    for nth in 1..1000 {
        let refused = Fault::Error(ResponseError::UnknownMemberId);
        rig.broker.faults().inject(ApiKey::OffsetFetch, nth, refused);
    }
    let mut consumer = rig.consumer("g", &[]);
    let mut seen = Seen::default();
    seen.until(&mut *consumer, |seen| !seen.errors.is_empty()).await;
    let joins = rig.broker.faults().seen(ApiKey::JoinGroup);
    let rejoined = async {
        while rig.broker.faults().seen(ApiKey::JoinGroup) == joins {
            let turn = seen.until(&mut *consumer, |_| false);
            tokio::time::timeout(Duration::from_millis(10), turn).await.ok();
        }
    };
    within(rejoined).await;
    rig.broker.faults().clear();
    seen.until(&mut *consumer, |seen| seen.has_all(10)).await;
    assert_eq!((seen.assigned.as_slice(), seen.lost), (&[None][..], 0), "{seen:?}");
    consumer.close().await;
    rig.broker.shutdown().await;
}

/// After `Lost` the partitions are another's: a commit of theirs is refused here, before any request is made.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_lost_partitions_is_committed() {
    // An old generation, and a session that ended: both are noticed by the heartbeat.
    for code in [ResponseError::IllegalGeneration, ResponseError::UnknownMemberId] {
        let rig = Rig::start().await;
        send(&mut *rig.lane().await, 0..10).await;
        let mut consumer = rig.consumer("g", &[]);
        let mut seen = Seen::default();
        seen.until(&mut *consumer, |seen| seen.has_all(10)).await;
        consumer.commit(&BTreeMap::from([(place(), 2)])).await.expect("commit");
        // Rejoining waits, so that the time between is long enough to try.
        let held = Fault::Delay(Duration::from_secs(3));
        rig.broker.faults().inject(ApiKey::JoinGroup, 1, held);
        rig.inject(ApiKey::Heartbeat, code);
        seen.until(&mut *consumer, |seen| seen.lost == 1).await;
        let before = rig.broker.faults().seen(ApiKey::OffsetCommit);
        let refused = consumer.commit(&BTreeMap::from([(place(), 9)])).await;
        check_error(code, &refused.expect_err("not ours"), Fenced, "NOT_ASSIGNED");
        assert_eq!(rig.broker.faults().seen(ApiKey::OffsetCommit), before, "{code:?}");
        seen.until(&mut *consumer, |seen| seen.assigned.len() == 2).await;
        assert_eq!(seen.assigned, [None, Some(2)], "{code:?}");
        consumer.close().await;
        rig.broker.shutdown().await;
    }
}

/// A member whose heartbeats no longer arrive is given up by the broker; what it commits afterwards in its old name is not
/// taken, and it comes back by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_commits_nothing() {
    let rig = Rig::start().await;
    send(&mut *rig.lane().await, 0..10).await;
    // Longer than a busy machine stands still.
    let config = [("session.timeout.ms", "4000")];
    let mut consumer = rig.consumer("g", &config);
    let mut seen = Seen::default();
    seen.until(&mut *consumer, |seen| seen.has_all(10)).await;
    consumer.commit(&BTreeMap::from([(place(), 2)])).await.expect("commit");
    // Its next heartbeat is held back for longer than the session.
    rig.broker
        .faults()
        .inject(ApiKey::Heartbeat, 1, Fault::Delay(Duration::from_secs(12)));
    seen.until(&mut *consumer, |seen| seen.lost == 1).await;
    let refused = consumer.commit(&BTreeMap::from([(place(), 9)])).await;
    assert_eq!(refused.expect_err("not ours").class, Fenced);
    seen.until(&mut *consumer, |seen| seen.assigned.len() == 2).await;
    assert_eq!(seen.assigned, [None, Some(2)], "{seen:?}");
    consumer.close().await;
    rig.broker.shutdown().await;
}

/// This broker knows classic groups only: the new protocol is tried once, and nobody who reads notices.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_without_the_new_protocol_gets_classic_members() {
    let rig = Rig::start().await;
    send(&mut *rig.lane().await, 0..10).await;
    for round in 1..=2 {
        let config = rig.config(&[("group.id", &unique("fallback"))]);
        let mut consumer = rig
            .port
            .consumer(&config, &[TOPIC.to_owned()], 1 << 20)
            .expect("consumer");
        let mut seen = Seen::default();
        seen.until(&mut *consumer, |seen| seen.has_all(10)).await;
        assert!(seen.errors.is_empty() && seen.lost == 0, "round {round}: {seen:?}");
        consumer.commit(&BTreeMap::from([(place(), 10)])).await.expect("commit");
        consumer.close().await;
    }
    // Who asks for the new protocol himself is told that it is not there.
    let config = rig.config(&[("group.id", "asked"), ("group.protocol", "consumer")]);
    let mut consumer = rig
        .port
        .consumer(&config, &[TOPIC.to_owned()], 1 << 20)
        .expect("consumer");
    let mut seen = Seen::default();
    seen.until(&mut *consumer, |seen| !seen.errors.is_empty()).await;
    let refused = ResponseError::UnsupportedVersion;
    check_error(refused, &seen.errors[0], Fatal, "UnsupportedFeature");
    within(consumer.close()).await;
    rig.broker.shutdown().await;
}
