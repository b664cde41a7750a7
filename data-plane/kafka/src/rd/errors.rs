//! What librdkafka's error codes mean: those of brokers as everywhere, and its own.

use crate::codes;
pub(super) use crate::codes::local;
use crate::error::{Class, Error};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// Of librdkafka's own codes, those that mean a newer owner. What brokers say stands in `codes`.
const FENCED: &[Code] = &[Code::Fenced, Code::AssignmentLost];

/// Of librdkafka's own codes, those after which a later try can succeed.
const RETRIABLE: &[Code] = &[
    Code::BrokerDestroy,
    Code::BrokerTransportFailure,
    Code::Resolve,
    Code::MessageTimedOut,
    // Metadata lags behind the creation of a topic and of partitions; Java retries these too.
    Code::UnknownPartition,
    Code::UnknownTopic,
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
    Code::BadMessage,
];

/// What a code means. A code that nobody names is fatal: it is better to stop than to try for ever.
pub(super) fn class(code: Code) -> Class {
    if let Some((_, class)) = i16::try_from(code as i32).ok().and_then(codes::meaning) {
        class
    } else if FENCED.contains(&code) {
        Class::Fenced
    } else if RETRIABLE.contains(&code) {
        Class::Retriable
    } else {
        Class::Fatal
    }
}

/// Topics in an error: rdkafka does not say which one it is about.
pub(super) fn these<'a>(topics: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 5;
    let topics: Vec<&str> = topics.into_iter().collect();
    let some = topics[..topics.len().min(MOST)].join("`, `");
    match topics.len().saturating_sub(MOST) {
        0 => format!("`{some}`"),
        more => format!("`{some}` and {more} more topics"),
    }
}

/// The error for a code.
pub(super) fn from_code(what: impl Into<String>, code: Code) -> Error {
    Error {
        what: what.into(),
        code: format!("{code:?}"),
        message: with_rights(code, code.to_string()),
        class: class(code),
    }
}

/// What librdkafka or a broker says, and what to allow where a right is missing.
pub(super) fn with_rights(code: Code, said: String) -> String {
    match i16::try_from(code as i32) {
        Ok(number) => codes::with_rights(number, said),
        Err(_) => said,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_is_in_two_lists() {
        for code in FENCED {
            assert!(!RETRIABLE.contains(code), "{code:?}");
        }
    }

    /// The table of brokers' codes has the names that this binding prints.
    #[test]
    fn names_are_those_of_the_table() {
        for code in [
            Code::Unknown,
            Code::InvalidMessage,
            Code::NotLeaderForPartition,
            Code::MessageSizeTooLarge,
            Code::InvalidTopic,
            Code::InvalidTransactionalState,
            Code::GroupMaxSizeReached,
            Code::ProducerFenced,
            Code::UnknownTopicId,
            Code::StaleMemberEpoch,
            Code::RebootstrapRequired,
        ] {
            let number = i16::try_from(code as i32).expect("a broker's code");
            let (name, class) = codes::meaning(number).expect("it is in the table");
            assert_eq!((name, class), (format!("{code:?}").as_str(), super::class(code)));
        }
    }

    #[test]
    fn topics_in_an_error() {
        assert_eq!(these(["a", "b"]), "`a`, `b`");
        assert_eq!(
            these(["a", "b", "c", "d", "e", "f", "g"]),
            "`a`, `b`, `c`, `d`, `e` and 2 more topics"
        );
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
