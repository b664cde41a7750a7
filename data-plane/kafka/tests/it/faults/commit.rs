//! Commit.

use super::*;

/// What the offset commit response may say. A member that is not known any more is fenced here; as a member it rejoins by
/// itself.
const COMMIT: &[(ResponseError, Outcome)] = &[
    (ResponseError::UnknownServerError, Fails(Fatal, "Unknown")),
    (ResponseError::UnknownTopicOrPartition, GoesOn),
    (ResponseError::RequestTimedOut, GoesOn),
    (
        ResponseError::OffsetMetadataTooLarge,
        Fails(Fatal, "OffsetMetadataTooLarge"),
    ),
    (ResponseError::CoordinatorLoadInProgress, GoesOn),
    (ResponseError::CoordinatorNotAvailable, GoesOn),
    (ResponseError::NotCoordinator, GoesOn),
    (ResponseError::IllegalGeneration, Fails(Fenced, "IllegalGeneration")),
    (ResponseError::InvalidGroupId, Fails(Fatal, "InvalidGroupId")),
    (ResponseError::UnknownMemberId, Fails(Fenced, "UnknownMemberId")),
    (
        ResponseError::RebalanceInProgress,
        Fails(Retriable, "RebalanceInProgress"),
    ),
    (
        ResponseError::InvalidCommitOffsetSize,
        Fails(Fatal, "InvalidCommitOffsetSize"),
    ),
    (
        ResponseError::TopicAuthorizationFailed,
        Fails(Fatal, "TopicAuthorizationFailed"),
    ),
    (
        ResponseError::GroupAuthorizationFailed,
        Fails(Fatal, "GroupAuthorizationFailed"),
    ),
    (ResponseError::GroupIdNotFound, Fails(Fatal, "GroupIdNotFound")),
    (ResponseError::FencedInstanceId, Fails(Fenced, "FencedInstanceId")),
    (ResponseError::StaleMemberEpoch, GoesOn),
    (ResponseError::UnknownTopicId, Fails(Retriable, "UnknownTopicId")),
];

/// A commit that fails leaves what was committed before. Whatever was answered, the group goes on, and commits later.
#[tokio::test(flavor = "multi_thread")]
async fn every_code_on_commit() {
    run_all(COMMIT, |code, expected| async move {
        let rig = Rig::start().await;
        send(&mut *rig.lane().await, 0..10).await;
        let mut consumer = rig.consumer("g", instance(code));
        let mut seen = Seen::default();
        seen.until(&mut *consumer, |seen| seen.has_all(10)).await;
        let at = |offset| BTreeMap::from([(place(), offset)]);
        consumer.commit(&at(3)).await.expect("the first commit");
        rig.inject(ApiKey::OffsetCommit, code);
        let result = within(consumer.commit(&at(7))).await;
        assert!(rig.fired(ApiKey::OffsetCommit), "{code:?} did not happen");
        let kept = match expected {
            GoesOn | Rejoins => {
                result.unwrap_or_else(|error| panic!("{code:?}: {error}"));
                7
            }
            Fails(class, name) => {
                check_error(code, &result.expect_err("the commit fails"), class, name);
                3
            }
        };
        consumer.close().await;
        let mut next = rig.consumer("g", &[]);
        let mut seen = Seen::default();
        seen.until(&mut *next, |seen| seen.values.last() == Some(&9)).await;
        assert_eq!(
            (seen.assigned.as_slice(), seen.offsets[0]),
            (&[Some(kept)][..], kept),
            "{code:?}"
        );
        next.commit(&at(10))
            .await
            .unwrap_or_else(|error| panic!("{code:?}: {error}"));
        next.close().await;
        rig.broker.shutdown().await;
    })
    .await;
}
