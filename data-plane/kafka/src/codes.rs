//! What each error code that a broker answers means, and what it is called: one table for both clients.

use crate::error::{Class, Error, Result};
use Class::{Fatal, Fenced, Retriable};
use kafka_protocol::error::ResponseError;

/// Every code of a broker, in order. Names are those that librdkafka's binding prints.
///
/// Fenced: a newer owner exists, so the one who met this must stop without a further write. Retriable: the cluster is on its way from one
/// state to another, or away; the same request can succeed later. Metadata lags behind the creation of a topic, so an unknown topic is
/// retriable, as in Java; `InvalidMessage` is written only when data is corrupt on the way; `StaleMemberEpoch` is the same member with a
/// newer epoch, which the next heartbeat brings.
const TABLE: &[(i16, &str, Class)] = &[
    (-1, "Unknown", Fatal),
    (1, "OffsetOutOfRange", Fatal),
    (2, "InvalidMessage", Retriable),
    (3, "UnknownTopicOrPartition", Retriable),
    (4, "InvalidMessageSize", Fatal),
    (5, "LeaderNotAvailable", Retriable),
    (6, "NotLeaderForPartition", Retriable),
    (7, "RequestTimedOut", Retriable),
    (8, "BrokerNotAvailable", Retriable),
    (9, "ReplicaNotAvailable", Retriable),
    (10, "MessageSizeTooLarge", Fatal),
    (11, "StaleControllerEpoch", Retriable),
    (12, "OffsetMetadataTooLarge", Fatal),
    (13, "NetworkException", Retriable),
    (14, "CoordinatorLoadInProgress", Retriable),
    (15, "CoordinatorNotAvailable", Retriable),
    (16, "NotCoordinator", Retriable),
    (17, "InvalidTopic", Fatal),
    (18, "MessageBatchTooLarge", Fatal),
    (19, "NotEnoughReplicas", Retriable),
    (20, "NotEnoughReplicasAfterAppend", Retriable),
    (21, "InvalidRequiredAcks", Fatal),
    (22, "IllegalGeneration", Fenced),
    (23, "InconsistentGroupProtocol", Fatal),
    (24, "InvalidGroupId", Fatal),
    (25, "UnknownMemberId", Fenced),
    (26, "InvalidSessionTimeout", Fatal),
    (27, "RebalanceInProgress", Retriable),
    (28, "InvalidCommitOffsetSize", Fatal),
    (29, "TopicAuthorizationFailed", Fatal),
    (30, "GroupAuthorizationFailed", Fatal),
    (31, "ClusterAuthorizationFailed", Fatal),
    (32, "InvalidTimestamp", Fatal),
    (33, "UnsupportedSASLMechanism", Fatal),
    (34, "IllegalSASLState", Fatal),
    (35, "UnsupportedVersion", Fatal),
    (36, "TopicAlreadyExists", Fatal),
    (37, "InvalidPartitions", Fatal),
    (38, "InvalidReplicationFactor", Fatal),
    (39, "InvalidReplicaAssignment", Fatal),
    (40, "InvalidConfig", Fatal),
    (41, "NotController", Retriable),
    (42, "InvalidRequest", Fatal),
    (43, "UnsupportedForMessageFormat", Fatal),
    (44, "PolicyViolation", Fatal),
    (45, "OutOfOrderSequenceNumber", Fatal),
    (46, "DuplicateSequenceNumber", Fatal),
    (47, "InvalidProducerEpoch", Fenced),
    (48, "InvalidTransactionalState", Fatal),
    (49, "InvalidProducerIdMapping", Fatal),
    (50, "InvalidTransactionTimeout", Fatal),
    (51, "ConcurrentTransactions", Retriable),
    (52, "TransactionCoordinatorFenced", Fenced),
    (53, "TransactionalIdAuthorizationFailed", Fatal),
    (54, "SecurityDisabled", Fatal),
    (55, "OperationNotAttempted", Fatal),
    (56, "KafkaStorageError", Retriable),
    (57, "LogDirNotFound", Fatal),
    (58, "SaslAuthenticationFailed", Fatal),
    (59, "UnknownProducerId", Fatal),
    (60, "ReassignmentInProgress", Retriable),
    (61, "DelegationTokenAuthDisabled", Fatal),
    (62, "DelegationTokenNotFound", Fatal),
    (63, "DelegationTokenOwnerMismatch", Fatal),
    (64, "DelegationTokenRequestNotAllowed", Fatal),
    (65, "DelegationTokenAuthorizationFailed", Fatal),
    (66, "DelegationTokenExpired", Fatal),
    (67, "InvalidPrincipalType", Fatal),
    (68, "NonEmptyGroup", Fatal),
    (69, "GroupIdNotFound", Fatal),
    (70, "FetchSessionIdNotFound", Retriable),
    (71, "InvalidFetchSessionEpoch", Retriable),
    (72, "ListenerNotFound", Retriable),
    (73, "TopicDeletionDisabled", Fatal),
    (74, "FencedLeaderEpoch", Retriable),
    (75, "UnknownLeaderEpoch", Retriable),
    (76, "UnsupportedCompressionType", Fatal),
    (77, "StaleBrokerEpoch", Retriable),
    (78, "OffsetNotAvailable", Retriable),
    (79, "MemberIdRequired", Retriable),
    (80, "PreferredLeaderNotAvailable", Retriable),
    (81, "GroupMaxSizeReached", Fatal),
    (82, "FencedInstanceId", Fenced),
    (83, "EligibleLeadersNotAvailable", Retriable),
    (84, "ElectionNotNeeded", Fatal),
    (85, "NoReassignmentInProgress", Fatal),
    (86, "GroupSubscribedToTopic", Fatal),
    (87, "InvalidRecord", Fatal),
    (88, "UnstableOffsetCommit", Retriable),
    (89, "ThrottlingQuotaExceeded", Retriable),
    (90, "ProducerFenced", Fenced),
    (91, "ResourceNotFound", Fatal),
    (92, "DuplicateResource", Fatal),
    (93, "UnacceptableCredential", Fatal),
    (94, "InconsistentVoterSet", Fatal),
    (95, "InvalidUpdateVersion", Fatal),
    (96, "FeatureUpdateFailed", Fatal),
    (97, "PrincipalDeserializationFailure", Fatal),
    (98, "SnapshotNotFound", Fatal),
    (99, "PositionOutOfRange", Fatal),
    (100, "UnknownTopicId", Retriable),
    (101, "DuplicateBrokerRegistration", Fatal),
    (102, "BrokerIdNotRegistered", Fatal),
    (103, "InconsistentTopicId", Retriable),
    (104, "InconsistentClusterId", Fatal),
    (105, "TransactionalIdNotFound", Fatal),
    (106, "FetchSessionTopicIdError", Retriable),
    (107, "IneligibleReplica", Fatal),
    (108, "NewLeaderElected", Fatal),
    (109, "OffsetMovedToTieredStorage", Retriable),
    (110, "FencedMemberEpoch", Fenced),
    (111, "UnreleasedInstanceId", Retriable),
    (112, "UnsupportedAssignor", Fatal),
    (113, "StaleMemberEpoch", Retriable),
    (114, "MismatchedEndpointType", Fatal),
    (115, "UnsupportedEndpointType", Fatal),
    (116, "UnknownControllerId", Fatal),
    (117, "UnknownSubscriptionId", Fatal),
    (118, "TelemetryTooLarge", Fatal),
    (119, "InvalidRegistration", Fatal),
    (120, "TransactionAbortable", Fatal),
    (121, "InvalidRecordState", Fatal),
    (122, "ShareSessionNotFound", Fatal),
    (123, "InvalidShareSessionEpoch", Fatal),
    (124, "FencedStateEpoch", Fenced),
    (125, "InvalidVoterKey", Fatal),
    (126, "DuplicateVoter", Fatal),
    (127, "VoterNotFound", Fatal),
    (128, "InvalidRegularExpression", Fatal),
    (129, "RebootstrapRequired", Retriable),
];

const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
const GROUP_AUTHORIZATION_FAILED: i16 = 30;
const CLUSTER_AUTHORIZATION_FAILED: i16 = 31;
const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;

/// The code's name and class. A code that the table does not have is fatal: it is better to stop than to try for ever.
pub(crate) fn meaning(code: i16) -> Option<(&'static str, Class)> {
    let place = TABLE.binary_search_by_key(&code, |(known, ..)| *known).ok()?;
    Some((TABLE[place].1, TABLE[place].2))
}

/// The error for a code of an answer, with what the broker says of it if it says anything.
pub(crate) fn error(what: impl Into<String>, code: i16, message: Option<&str>) -> Error {
    let said = || match ResponseError::try_from_code(code) {
        Some(error) => error.to_string(),
        None => "no error".to_owned(),
    };
    let (name, class) = meaning(code).map_or_else(
        || (format!("CODE_{code}"), Fatal),
        |(name, class)| (name.to_owned(), class),
    );
    let message = message.filter(|text| !text.is_empty()).map_or_else(said, str::to_owned);
    Error {
        what: what.into(),
        code: name,
        message: with_rights(code, message),
        class,
    }
}

/// A broker's words, and what to allow where it has refused for want of a right: it says neither whose nor which.
pub(crate) fn with_rights(code: i16, said: String) -> String {
    let rights = match code {
        TOPIC_AUTHORIZATION_FAILED => {
            "WRITE on the topic to write to it, READ to read it, DESCRIBE to see it, CREATE to create it"
        }
        GROUP_AUTHORIZATION_FAILED => "READ on the group, DELETE to delete it",
        CLUSTER_AUTHORIZATION_FAILED => {
            "the operation on the cluster: CREATE for topics, DESCRIBE to look at it, IDEMPOTENT_WRITE (or WRITE on a topic) for producer ids"
        }
        TRANSACTIONAL_ID_AUTHORIZATION_FAILED => "WRITE on the transactional id",
        _ => return said,
    };
    let said = said.trim_end_matches('.');
    format!("{said}; allow the principal of this client {rights}")
}

/// Whether an answer's code is success.
pub(crate) fn check(what: impl Into<String>, code: i16, message: Option<&str>) -> Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(error(what, code, message))
    }
}

/// An error of this crate's own.
pub(crate) fn local(what: impl Into<String>, code: &str, message: impl Into<String>, class: Class) -> Error {
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
    fn every_code_of_the_protocol_is_in_the_table_once_and_in_order() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for code in -1..=129 {
            assert_eq!(meaning(code).is_some(), code != 0, "{code}");
        }
        assert_eq!(error("x", 3000, None).class, Fatal);
        assert_eq!(error("x", 3, None).code, "UnknownTopicOrPartition");
        assert_eq!(error("x", 3, Some("gone")).message, "gone");
    }
}
