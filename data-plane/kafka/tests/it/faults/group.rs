//! Membership of the classic protocol: finding the coordinator, joining, syncing, heartbeats, and reading the committed
//! offsets.

use super::*;

/// What the find coordinator response may say.
const FIND: &[(ResponseError, Outcome)] = &[
    (ResponseError::UnknownServerError, Fails(Fatal, "Unknown")),
    (ResponseError::CoordinatorLoadInProgress, GoesOn),
    (ResponseError::CoordinatorNotAvailable, GoesOn),
    (ResponseError::InvalidGroupId, Fails(Fatal, "InvalidGroupId")),
    (
        ResponseError::GroupAuthorizationFailed,
        Fails(Fatal, "GroupAuthorizationFailed"),
    ),
];

/// What the join group response may say.
const JOIN: &[(ResponseError, Outcome)] = &[
    (ResponseError::UnknownServerError, Fails(Fatal, "Unknown")),
    (ResponseError::CoordinatorLoadInProgress, GoesOn),
    (ResponseError::CoordinatorNotAvailable, GoesOn),
    (ResponseError::NotCoordinator, GoesOn),
    (
        ResponseError::InconsistentGroupProtocol,
        Fails(Fatal, "InconsistentGroupProtocol"),
    ),
    (ResponseError::InvalidGroupId, Fails(Fatal, "InvalidGroupId")),
    (ResponseError::UnknownMemberId, GoesOn),
    (
        ResponseError::InvalidSessionTimeout,
        Fails(Fatal, "InvalidSessionTimeout"),
    ),
    (
        ResponseError::RebalanceInProgress,
        Fails(Retriable, "RebalanceInProgress"),
    ),
    (
        ResponseError::GroupAuthorizationFailed,
        Fails(Fatal, "GroupAuthorizationFailed"),
    ),
    (ResponseError::UnsupportedVersion, Fails(Fatal, "UnsupportedVersion")),
    (ResponseError::MemberIdRequired, GoesOn),
    (ResponseError::GroupMaxSizeReached, Fails(Fatal, "GroupMaxSizeReached")),
    (ResponseError::FencedInstanceId, Fails(Fenced, "FencedInstanceId")),
];

/// What the sync group response may say. After any of these but the last librdkafka joins anew, which is where a refusal
/// that lasts is reported.
const SYNC: &[(ResponseError, Outcome)] = &[
    (ResponseError::UnknownServerError, GoesOn),
    (ResponseError::CoordinatorLoadInProgress, GoesOn),
    (ResponseError::CoordinatorNotAvailable, GoesOn),
    (ResponseError::NotCoordinator, GoesOn),
    (ResponseError::IllegalGeneration, GoesOn),
    (ResponseError::InconsistentGroupProtocol, GoesOn),
    (ResponseError::InvalidGroupId, GoesOn),
    (ResponseError::UnknownMemberId, GoesOn),
    (ResponseError::RebalanceInProgress, GoesOn),
    (ResponseError::GroupAuthorizationFailed, GoesOn),
    (ResponseError::FencedInstanceId, Fails(Fenced, "FencedInstanceId")),
];

/// What the heartbeat response may say. Where it goes on, a refusal that lasts ends the session.
const HEARTBEAT: &[(ResponseError, Outcome)] = &[
    (ResponseError::UnknownServerError, GoesOn),
    (ResponseError::CoordinatorLoadInProgress, GoesOn),
    (ResponseError::CoordinatorNotAvailable, GoesOn),
    (ResponseError::NotCoordinator, GoesOn),
    (ResponseError::IllegalGeneration, Rejoins),
    (ResponseError::InvalidGroupId, GoesOn),
    (ResponseError::UnknownMemberId, Rejoins),
    (ResponseError::RebalanceInProgress, GoesOn),
    (ResponseError::GroupAuthorizationFailed, GoesOn),
    (ResponseError::FencedInstanceId, Fails(Fenced, "FencedInstanceId")),
];

/// What the offset fetch response may say. A member is never told of partitions before their offsets are known; a member
/// that the group has passed by hears so by a heartbeat, so that is no reason to stop.
const OFFSETS: &[(ResponseError, Outcome)] = &[
    (ResponseError::UnknownServerError, Fails(Fatal, "Unknown")),
    (
        ResponseError::UnknownTopicOrPartition,
        Fails(Retriable, "UnknownTopicOrPartition"),
    ),
    (ResponseError::CoordinatorLoadInProgress, GoesOn),
    (
        ResponseError::CoordinatorNotAvailable,
        Fails(Retriable, "CoordinatorNotAvailable"),
    ),
    (ResponseError::NotCoordinator, Fails(Retriable, "NotCoordinator")),
    (ResponseError::IllegalGeneration, Fails(Retriable, "IllegalGeneration")),
    (ResponseError::UnknownMemberId, Fails(Retriable, "UnknownMemberId")),
    (
        ResponseError::TopicAuthorizationFailed,
        Fails(Fatal, "TopicAuthorizationFailed"),
    ),
    (
        ResponseError::GroupAuthorizationFailed,
        Fails(Fatal, "GroupAuthorizationFailed"),
    ),
    (ResponseError::GroupIdNotFound, Fails(Fatal, "GroupIdNotFound")),
    (ResponseError::UnstableOffsetCommit, GoesOn),
    (ResponseError::StaleMemberEpoch, Fails(Retriable, "StaleMemberEpoch")),
];

/// A first member: the request is refused once, and then, unless it is fenced, all records come.
async fn on_the_way_in(api: ApiKey, code: ResponseError, expected: Outcome) {
    let rig = Rig::start().await;
    send(&mut *rig.lane().await, 0..10).await;
    let mut seen = Seen::default();
    rig.inject(api, code);
    let mut consumer = rig.consumer("g", instance(code));
    rig.until_fired(api, &mut seen, &mut *consumer).await;
    if !matches!(expected, Fails(Fenced, _)) {
        seen.until(&mut *consumer, |seen| seen.has_all(10)).await;
        assert_eq!(seen.assigned, [None], "{code:?}");
    }
    check(api, code, expected, &mut seen, &mut *consumer).await;
    consumer.close().await;
    rig.broker.shutdown().await;
}

async fn check(api: ApiKey, code: ResponseError, expected: Outcome, seen: &mut Seen, consumer: &mut dyn Consumer) {
    match expected {
        GoesOn => assert!(seen.errors.is_empty() && seen.lost == 0, "{api:?} {code:?}: {seen:?}"),
        Rejoins => assert!(seen.errors.is_empty() && seen.lost == 1, "{api:?} {code:?}: {seen:?}"),
        // librdkafka asks from two places, of which one only tries again: what is reported has its class.
        Fails(class, name) if api == ApiKey::FindCoordinator => {
            seen.errors
                .iter()
                .for_each(|error| check_error(code, error, class, name));
        }
        Fails(class, name) => {
            seen.until(consumer, |seen| !seen.errors.is_empty()).await;
            check_error(code, &seen.errors[0], class, name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_on_find_coordinator() {
    run_all(FIND, |code, expected| {
        on_the_way_in(ApiKey::FindCoordinator, code, expected)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_on_join() {
    run_all(JOIN, |code, expected| on_the_way_in(ApiKey::JoinGroup, code, expected)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_on_sync() {
    run_all(SYNC, |code, expected| on_the_way_in(ApiKey::SyncGroup, code, expected)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_on_offset_fetch() {
    run_all(OFFSETS, |code, expected| {
        on_the_way_in(ApiKey::OffsetFetch, code, expected)
    })
    .await;
}

/// A member at work that has committed: it goes on, or comes back to its committed offset, or is told that it is fenced.
#[tokio::test(flavor = "multi_thread")]
async fn every_code_on_heartbeat() {
    run_all(HEARTBEAT, |code, expected| async move {
        let rig = Rig::start().await;
        let mut lane = rig.lane().await;
        send(&mut *lane, 0..10).await;
        let mut consumer = rig.consumer("g", instance(code));
        let mut seen = Seen::default();
        seen.until(&mut *consumer, |seen| seen.has_all(10)).await;
        consumer.commit(&BTreeMap::from([(place(), 10)])).await.expect("commit");
        rig.inject(ApiKey::Heartbeat, code);
        rig.until_fired(ApiKey::Heartbeat, &mut seen, &mut *consumer).await;
        send(&mut *lane, 10..20).await;
        if !matches!(expected, Fails(Fenced, _)) {
            seen.until(&mut *consumer, |seen| seen.has_all(20)).await;
        }
        if expected == Rejoins || code == ResponseError::RebalanceInProgress {
            seen.until(&mut *consumer, |seen| seen.assigned.len() == 2).await;
            assert_eq!(seen.assigned, [None, Some(10)], "{code:?}");
        }
        check(ApiKey::Heartbeat, code, expected, &mut seen, &mut *consumer).await;
        consumer.close().await;
        rig.broker.shutdown().await;
    })
    .await;
}
