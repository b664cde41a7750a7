//! Fetch.

use super::*;

/// What the fetch response may say.
const FETCH: &[(ResponseError, Outcome)] = &[
    (ResponseError::UnknownServerError, Fails(Fatal, "Unknown")),
    (ResponseError::OffsetOutOfRange, GoesOn),
    (ResponseError::CorruptMessage, Fails(Retriable, "InvalidMessage")),
    (ResponseError::UnknownTopicOrPartition, GoesOn),
    (ResponseError::LeaderNotAvailable, GoesOn),
    (ResponseError::NotLeaderOrFollower, GoesOn),
    (ResponseError::RequestTimedOut, Fails(Retriable, "RequestTimedOut")),
    (ResponseError::BrokerNotAvailable, GoesOn),
    (ResponseError::ReplicaNotAvailable, GoesOn),
    (ResponseError::NetworkException, Fails(Retriable, "NetworkException")),
    (
        ResponseError::TopicAuthorizationFailed,
        Fails(Fatal, "TopicAuthorizationFailed"),
    ),
    (
        ResponseError::ClusterAuthorizationFailed,
        Fails(Fatal, "ClusterAuthorizationFailed"),
    ),
    (ResponseError::UnsupportedVersion, Fails(Fatal, "UnsupportedVersion")),
    (ResponseError::KafkaStorageError, GoesOn),
    (
        ResponseError::FetchSessionIdNotFound,
        Fails(Retriable, "FetchSessionIdNotFound"),
    ),
    (
        ResponseError::InvalidFetchSessionEpoch,
        Fails(Retriable, "InvalidFetchSessionEpoch"),
    ),
    (ResponseError::FencedLeaderEpoch, GoesOn),
    (ResponseError::UnknownLeaderEpoch, GoesOn),
    (
        ResponseError::UnsupportedCompressionType,
        Fails(Fatal, "UnsupportedCompressionType"),
    ),
    (ResponseError::OffsetNotAvailable, GoesOn),
    (
        ResponseError::ThrottlingQuotaExceeded,
        Fails(Retriable, "ThrottlingQuotaExceeded"),
    ),
    (ResponseError::UnknownTopicId, GoesOn),
    (ResponseError::InconsistentTopicId, GoesOn),
    (ResponseError::FetchSessionTopicIdError, GoesOn),
];

/// Whatever was answered, every record comes, in order; twice only where the offset was out of range, because the group
/// starts at the beginning then. What the consumer reports of it has its class; the task acts on that.
#[tokio::test(flavor = "multi_thread")]
async fn every_code_on_fetch() {
    run_all(FETCH, |code, expected| async move {
        let rig = Rig::start().await;
        let mut lane = rig.lane().await;
        send(&mut *lane, 0..10).await;
        let mut consumer = rig.consumer(&unique("fetch"), &[]);
        let mut seen = Seen::default();
        seen.until(&mut *consumer, |seen| seen.has_all(10)).await;
        rig.inject(ApiKey::Fetch, code);
        rig.until_fired(ApiKey::Fetch, &mut seen, &mut *consumer).await;
        send(&mut *lane, 10..20).await;
        if code == ResponseError::OffsetOutOfRange {
            seen.until(&mut *consumer, |seen| seen.values.last() == Some(&19)).await;
            seen.values.drain(..10);
        }
        seen.until(&mut *consumer, |seen| seen.has_all(20)).await;
        match expected {
            GoesOn | Rejoins => assert!(seen.errors.is_empty(), "{code:?}: {seen:?}"),
            Fails(class, name) => check_error(code, seen.errors.first().expect("an error"), class, name),
        }
        consumer.close().await;
        rig.broker.shutdown().await;
    })
    .await;
}
