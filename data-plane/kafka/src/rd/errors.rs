//! What each of librdkafka's error codes means: one table for all operations.

use crate::error::{Class, Error};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// A newer owner exists, so the one who met this must stop without a further write.
const FENCED: &[Code] = &[
    Code::Fenced,
    Code::ProducerFenced,
    Code::InvalidProducerEpoch,
    Code::TransactionCoordinatorFenced,
    Code::FencedInstanceId,
    Code::FencedMemberEpoch,
    Code::IllegalGeneration,
    Code::UnknownMemberId,
    Code::AssignmentLost,
];

/// The cluster is on its way from one state to another, or away; the same request can succeed later.
const RETRIABLE: &[Code] = &[
    Code::BrokerDestroy,
    Code::BrokerTransportFailure,
    Code::Resolve,
    Code::MessageTimedOut,
    // Metadata lags behind the creation of a topic and of partitions; Java retries these too.
    Code::UnknownPartition,
    Code::UnknownTopic,
    Code::UnknownTopicOrPartition,
    Code::UnknownTopicId,
    Code::UnknownBroker,
    Code::AllBrokersDown,
    Code::OperationTimedOut,
    Code::QueueFull,
    Code::ISRInsufficient,
    Code::NodeUpdate,
    // A handshake that fails while a broker restarts looks like one that always will; retrying is the safe reading.
    Code::SSL,
    Code::WaitingForCoordinator,
    Code::InProgress,
    Code::PreviousInProgress,
    Code::Conflict,
    Code::Outdated,
    Code::TimedOutQueue,
    Code::WaitCache,
    Code::Interrupted,
    Code::Retry,
    // The producer went away before the broker answered: a new one may send the record again.
    Code::PurgeQueue,
    Code::PurgeInflight,
    Code::PollExceeded,
    Code::DestroyBroker,
    Code::NoOffset,
    Code::Partial,
    // Written only when a fetch is corrupt on the way.
    Code::InvalidMessage,
    Code::BadMessage,
    Code::LeaderNotAvailable,
    Code::NotLeaderForPartition,
    Code::RequestTimedOut,
    Code::BrokerNotAvailable,
    Code::ReplicaNotAvailable,
    Code::StaleControllerEpoch,
    Code::NetworkException,
    Code::CoordinatorLoadInProgress,
    Code::CoordinatorNotAvailable,
    Code::NotCoordinator,
    Code::NotEnoughReplicas,
    Code::NotEnoughReplicasAfterAppend,
    Code::RebalanceInProgress,
    Code::NotController,
    Code::ConcurrentTransactions,
    Code::KafkaStorageError,
    Code::ReassignmentInProgress,
    Code::FetchSessionIdNotFound,
    Code::InvalidFetchSessionEpoch,
    Code::ListenerNotFound,
    Code::FencedLeaderEpoch,
    Code::UnknownLeaderEpoch,
    Code::StaleBrokerEpoch,
    Code::OffsetNotAvailable,
    Code::MemberIdRequired,
    Code::PreferredLeaderNotAvailable,
    Code::EligibleLeadersNotAvailable,
    Code::UnstableOffsetCommit,
    // The same member with a newer epoch, which the next heartbeat brings.
    Code::StaleMemberEpoch,
    Code::ThrottlingQuotaExceeded,
    Code::UnreleasedInstanceId,
    Code::RebootstrapRequired,
];

/// What a code means. A code that no list names is fatal: it is better to stop than to try for ever.
pub(super) fn class(code: Code) -> Class {
    if FENCED.contains(&code) {
        Class::Fenced
    } else if RETRIABLE.contains(&code) {
        Class::Retriable
    } else {
        Class::Fatal
    }
}

/// The error for a code.
pub(super) fn from_code(what: impl Into<String>, code: Code) -> Error {
    Error {
        what: what.into(),
        code: format!("{code:?}"),
        message: code.to_string(),
        class: class(code),
    }
}

/// The error for what a client call returned.
pub(super) fn from_kafka(what: impl Into<String>, error: &KafkaError) -> Error {
    match error.rdkafka_error_code() {
        Some(code) => from_code(what, code),
        None => Error {
            what: what.into(),
            code: "client".to_owned(),
            message: error.to_string(),
            class: Class::Fatal,
        },
    }
}

/// An error of this crate's own.
pub(super) fn local(what: impl Into<String>, code: &str, message: impl Into<String>, class: Class) -> Error {
    Error {
        what: what.into(),
        code: code.to_owned(),
        message: message.into(),
        class,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_is_in_two_lists() {
        for code in FENCED {
            assert!(!RETRIABLE.contains(code), "{code:?}");
        }
    }

    #[test]
    fn classes() {
        for (code, expected) in [
            (Code::AllBrokersDown, Class::Retriable),
            (Code::NotLeaderForPartition, Class::Retriable),
            (Code::MessageTimedOut, Class::Retriable),
            (Code::UnknownTopicOrPartition, Class::Retriable),
            (Code::ThrottlingQuotaExceeded, Class::Retriable),
            (Code::RebalanceInProgress, Class::Retriable),
            (Code::MessageSizeTooLarge, Class::Fatal),
            (Code::TopicAuthorizationFailed, Class::Fatal),
            (Code::GroupAuthorizationFailed, Class::Fatal),
            (Code::SaslAuthenticationFailed, Class::Fatal),
            (Code::Authentication, Class::Fatal),
            (Code::InvalidTopic, Class::Fatal),
            (Code::InvalidRecord, Class::Fatal),
            (Code::Fatal, Class::Fatal),
            (Code::Unknown, Class::Fatal),
            (Code::IllegalGeneration, Class::Fenced),
            (Code::UnknownMemberId, Class::Fenced),
            (Code::FencedInstanceId, Class::Fenced),
            (Code::ProducerFenced, Class::Fenced),
        ] {
            assert_eq!(class(code), expected, "{code:?}");
        }
    }
}
