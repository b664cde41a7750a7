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

/// What the wire client does otherwise: it tries again whatever may pass, and sends what its sequence does not fit any more under a newer
/// epoch. A duplicate is a success; that needs a broker that has the record.
const ON_THE_WIRE: &[(ResponseError, Outcome)] = &[
    (ResponseError::NetworkException, GoesOn),
    (ResponseError::OutOfOrderSequenceNumber, GoesOn),
    (ResponseError::ConcurrentTransactions, GoesOn),
    (ResponseError::UnknownProducerId, GoesOn),
    (ResponseError::FencedLeaderEpoch, GoesOn),
    (ResponseError::ThrottlingQuotaExceeded, GoesOn),
    (ResponseError::UnknownTopicId, GoesOn),
    (
        ResponseError::TransactionAbortable,
        Fails(Fatal, "TransactionAbortable"),
    ),
];

/// The table of the wire client.
fn on_the_wire() -> Vec<(ResponseError, Outcome)> {
    let other = |code| ON_THE_WIRE.iter().any(|(known, _)| *known == code);
    let same = PRODUCE
        .iter()
        .filter(|(code, _)| !other(*code) && *code != ResponseError::DuplicateSequenceNumber);
    same.chain(ON_THE_WIRE).copied().collect()
}

/// Each record is a request, and several are on their way when one of them fails: nothing overtakes it, and only that one is refused.
#[tokio::test(flavor = "multi_thread")]
async fn every_code_on_produce_on_the_wire() {
    run_all(&on_the_wire(), |code, expected| async move {
        let rig = Rig::with(Box::new(Kafka::new())).await;
        let each = rig.config(&[("batch.size", "1")]);
        let mut lane = rig.port.producer_lane(&each, 1 << 20, None).expect("lane");
        let mut outcomes = send(&mut *lane, 0..10).await;
        rig.inject(ApiKey::Produce, code);
        outcomes.extend(send(&mut *lane, 10..40).await);
        assert!(rig.fired(ApiKey::Produce), "{code:?} did not happen");
        outcomes.extend(send(&mut *lane, 40..50).await);
        let (stored, failed): (Vec<_>, Vec<_>) = outcomes.iter().partition(|(_, outcome)| outcome.is_ok());
        let stored: Vec<u32> = stored.into_iter().map(|(number, _)| *number).collect();
        assert_eq!(rig.log().await, stored, "{code:?}");
        match expected {
            GoesOn | Rejoins => assert!(failed.is_empty(), "{code:?}: {failed:?}"),
            Fails(class, name) => {
                assert_eq!(failed.len(), 1, "{code:?}: {failed:?}");
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

/// The second of four requests is refused for a moment; without idempotence as well nothing overtakes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_refused_for_a_moment_is_not_overtaken() {
    for idempotence in ["true", "false"] {
        for refusals in 1..4 {
            let rig = Rig::with(Box::new(Kafka::new())).await;
            let each = rig.config(&[("batch.size", "1"), ("enable.idempotence", idempotence)]);
            let mut lane = rig.port.producer_lane(&each, 1 << 20, None).expect("lane");
            let mut outcomes = send(&mut *lane, 0..1).await;
            let refusal = Fault::Error(ResponseError::NotEnoughReplicas);
            rig.broker.faults().inject_all(ApiKey::Produce, refusals, refusal);
            outcomes.extend(send(&mut *lane, 1..4).await);
            assert!(outcomes.values().all(Result::is_ok), "{outcomes:?}");
            assert!(rig.fired(ApiKey::Produce));
            assert_eq!(rig.log().await, [0, 1, 2, 3], "idempotence {idempotence}");
            drop(lane);
            rig.broker.shutdown().await;
        }
    }
}

/// What is acknowledged is in the log, in order, once; what is refused is not there; the lane takes records afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn every_code_on_produce() {
    run_all(PRODUCE, |code, expected| async move {
        let rig = Rig::start().await;
        // Ten records are one request: librdkafka has built the next one while one is on its way, and it overtakes what is tried again.
        let together = rig.config(&[("linger.ms", "500")]);
        let mut lane = rig.port.producer_lane(&together, 1 << 20, None).expect("lane");
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
