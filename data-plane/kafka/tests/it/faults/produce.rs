//! Produce.

use super::*;

/// What the produce response may say. librdkafka tries again what Java tries again, but for codes that no broker answers
/// a producer without topic ids and transactions (NETWORK_EXCEPTION, FENCED_LEADER_EPOCH, ...): those fail the record.
const PRODUCE: &[(ResponseError, Outcome)] = &[
    (ResponseError::UnknownServerError, Fails(Fatal, "Unknown")),
    (ResponseError::CorruptMessage, GoesOn),
    (ResponseError::UnknownTopicOrPartition, GoesOn),
    (ResponseError::LeaderNotAvailable, GoesOn),
    (ResponseError::NotLeaderOrFollower, GoesOn),
    (ResponseError::RequestTimedOut, GoesOn),
    (ResponseError::BrokerNotAvailable, GoesOn),
    (ResponseError::ReplicaNotAvailable, GoesOn),
    (ResponseError::MessageTooLarge, Fails(Fatal, "MessageSizeTooLarge")),
    (ResponseError::NetworkException, Fails(Retriable, "NetworkException")),
    (ResponseError::CoordinatorLoadInProgress, GoesOn),
    (ResponseError::CoordinatorNotAvailable, GoesOn),
    (ResponseError::NotCoordinator, GoesOn),
    (ResponseError::InvalidTopicException, Fails(Fatal, "InvalidTopic")),
    (ResponseError::RecordListTooLarge, Fails(Fatal, "MessageBatchTooLarge")),
    (ResponseError::NotEnoughReplicas, GoesOn),
    (ResponseError::NotEnoughReplicasAfterAppend, GoesOn),
    (ResponseError::InvalidRequiredAcks, Fails(Fatal, "InvalidRequiredAcks")),
    (
        ResponseError::TopicAuthorizationFailed,
        Fails(Fatal, "TopicAuthorizationFailed"),
    ),
    (
        ResponseError::ClusterAuthorizationFailed,
        Fails(Fatal, "ClusterAuthorizationFailed"),
    ),
    (ResponseError::InvalidTimestamp, Fails(Fatal, "InvalidTimestamp")),
    (ResponseError::UnsupportedVersion, Fails(Fatal, "UnsupportedVersion")),
    (
        ResponseError::UnsupportedForMessageFormat,
        Fails(Fatal, "UnsupportedForMessageFormat"),
    ),
    (ResponseError::PolicyViolation, Fails(Fatal, "PolicyViolation")),
    (
        ResponseError::OutOfOrderSequenceNumber,
        Fails(Fatal, "OutOfOrderSequenceNumber"),
    ),
    (
        ResponseError::DuplicateSequenceNumber,
        Fails(Fatal, "DuplicateSequenceNumber"),
    ),
    (
        ResponseError::InvalidProducerEpoch,
        Fails(Fenced, "InvalidProducerEpoch"),
    ),
    (
        ResponseError::InvalidTxnState,
        Fails(Fatal, "InvalidTransactionalState"),
    ),
    (
        ResponseError::InvalidProducerIdMapping,
        Fails(Fatal, "InvalidProducerIdMapping"),
    ),
    (
        ResponseError::ConcurrentTransactions,
        Fails(Retriable, "ConcurrentTransactions"),
    ),
    (
        ResponseError::TransactionalIdAuthorizationFailed,
        Fails(Fatal, "TransactionalIdAuthorizationFailed"),
    ),
    (ResponseError::KafkaStorageError, GoesOn),
    (ResponseError::UnknownProducerId, Fails(Fatal, "UnknownProducerId")),
    (ResponseError::FencedLeaderEpoch, Fails(Retriable, "FencedLeaderEpoch")),
    (
        ResponseError::UnsupportedCompressionType,
        Fails(Fatal, "UnsupportedCompressionType"),
    ),
    (
        ResponseError::ThrottlingQuotaExceeded,
        Fails(Retriable, "ThrottlingQuotaExceeded"),
    ),
    (ResponseError::InvalidRecord, Fails(Fatal, "InvalidRecord")),
    (ResponseError::ProducerFenced, Fails(Fenced, "ProducerFenced")),
    (ResponseError::UnknownTopicId, Fails(Retriable, "UnknownTopicId")),
];

/// What is acknowledged is in the log, in order, once; what is refused is not there; the lane takes records afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn every_code_on_produce() {
    run_all(PRODUCE, |code, expected| async move {
        let rig = Rig::start().await;
        // Ten records are one request: librdkafka has built the next one while one is on its way, and it overtakes what is tried again.
        let together = rig.config(&[("linger.ms", "500")]);
        let mut lane = rig.port.producer_lane(&together, 1 << 20).expect("lane");
        let mut outcomes = send(&mut *lane, 0..10).await;
        rig.inject(ApiKey::Produce, code);
        outcomes.extend(send(&mut *lane, 10..20).await);
        assert!(rig.fired(ApiKey::Produce), "{code:?} did not happen");
        outcomes.extend(send(&mut *lane, 20..30).await);
        let (stored, failed): (Vec<_>, Vec<_>) = outcomes.iter().partition(|(_, outcome)| outcome.is_ok());
        let stored: Vec<u32> = stored.into_iter().map(|(number, _)| *number).collect();
        assert_eq!(rig.log().await, stored, "{code:?}");
        match expected {
            GoesOn | Rejoins => assert!(failed.is_empty(), "{code:?}: {failed:?}"),
            Fails(class, name) => {
                // librdkafka keeps a topic that was denied for a while; every other request after the one is stored.
                let denied = code == ResponseError::TopicAuthorizationFailed;
                assert!(
                    failed.len() == 10 || denied && failed.len() >= 10,
                    "{code:?}: {failed:?}"
                );
                for (_, outcome) in failed {
                    check_error(code, outcome.as_ref().expect_err("failed"), class, name);
                }
            }
        }
        drop(lane);
        rig.broker.shutdown().await;
    })
    .await;
}
