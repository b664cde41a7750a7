//! Members of consumer groups: who they are, and leaving on their behalf. Any client that may read a group may say that a member
//! leaves.

use super::direct::{Ask, Connection, Direct, Of, check};
use super::errors::local;
use super::idle::Idle;
use crate::error::{Class, Result};
use crate::port::{ClientConfig, GroupMember};
use async_trait::async_trait;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, DescribeGroupsRequest, GroupId, LeaveGroupRequest,
};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;
use std::time::Duration;

/// The epoch with which a member of the new protocol says that it leaves.
const LEAVE: i32 = -1;
/// `member_type` of a classic member in a group of the new protocol, while it is migrated.
const CLASSIC: i8 = 0;

pub(super) async fn members(
    config: &ClientConfig,
    idle: &Arc<Idle>,
    group: &str,
    timeout: Duration,
) -> Result<Vec<GroupMember>> {
    let what = format!("describing the group `{group}`");
    let direct = read(config, idle, &what)?;
    direct.ask(Of::Group, group, &what, timeout, &Describe(group)).await
}

pub(super) async fn leave(
    config: &ClientConfig,
    idle: &Arc<Idle>,
    group: &str,
    members: &[GroupMember],
    timeout: Duration,
) -> Result<()> {
    let what = format!("leaving the group `{group}` on behalf of members");
    let direct = read(config, idle, &what)?;
    direct
        .ask(Of::Group, group, &what, timeout, &Leave(group, members))
        .await
}

struct Describe<'a>(&'a str);
struct Leave<'a>(&'a str, &'a [GroupMember]);

#[async_trait]
impl Ask for Describe<'_> {
    type Answer = Vec<GroupMember>;

    async fn ask(&self, coordinator: &mut Connection) -> Result<Vec<GroupMember>> {
        describe(coordinator, self.0).await
    }
}

#[async_trait]
impl Ask for Leave<'_> {
    type Answer = ();

    async fn ask(&self, coordinator: &mut Connection) -> Result<()> {
        make_leave(coordinator, self.0, self.1).await
    }
}

fn read(config: &ClientConfig, idle: &Arc<Idle>, what: &str) -> Result<Direct> {
    let unsupported = || {
        let message = "not possible over this `security.protocol`, `sasl.mechanism` or kind of key store; the group waits for its \
                       session time-out instead";
        local(what, "UNSUPPORTED", message, Class::Fatal)
    };
    Direct::read(config, idle)?.ok_or_else(unsupported)
}

fn id(group: &str) -> GroupId {
    GroupId(text(group))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

async fn describe(coordinator: &mut Connection, group: &str) -> Result<Vec<GroupMember>> {
    let what = "describing the group";
    if coordinator.serves::<ConsumerGroupDescribeRequest>(&(0..=1)) {
        let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![id(group)]);
        let answer = coordinator.ask(&request, 0..=1).await?;
        for found in answer.groups {
            match ResponseError::try_from_code(found.error_code) {
                // A classic one, or none; the broker may have the new protocol switched off.
                Some(ResponseError::GroupIdNotFound | ResponseError::UnsupportedVersion) => {}
                _ => {
                    check(what, found.error_code, found.error_message.as_deref())?;
                    let member =
                        |member: kafka_protocol::messages::consumer_group_describe_response::Member| GroupMember {
                            id: member.member_id.to_string(),
                            client_id: member.client_id.to_string(),
                            classic: member.member_type == CLASSIC,
                        };
                    return Ok(found.members.into_iter().map(member).collect());
                }
            }
        }
    }
    let request = DescribeGroupsRequest::default().with_groups(vec![id(group)]);
    // Up to the version that answers a group which is not there like one without members.
    let answer = coordinator.ask(&request, 0..=5).await?;
    let mut members = Vec::new();
    for found in answer.groups {
        check(what, found.error_code, found.error_message.as_deref())?;
        members.extend(found.members.into_iter().map(|member| GroupMember {
            id: member.member_id.to_string(),
            client_id: member.client_id.to_string(),
            classic: true,
        }));
    }
    Ok(members)
}

async fn make_leave(coordinator: &mut Connection, group: &str, members: &[GroupMember]) -> Result<()> {
    let what = "leaving on a member's behalf";
    let gone = |code: i16| {
        let error = ResponseError::try_from_code(code);
        matches!(
            error,
            Some(ResponseError::UnknownMemberId | ResponseError::GroupIdNotFound)
        )
    };
    let (classic, new): (Vec<_>, Vec<_>) = members.iter().partition(|member| member.classic);
    if !classic.is_empty() {
        let identity = |member: &&GroupMember| MemberIdentity::default().with_member_id(text(&member.id));
        let request = LeaveGroupRequest::default()
            .with_group_id(id(group))
            .with_members(classic.iter().map(identity).collect());
        // Before version 3 a member can only leave for itself.
        let answer = coordinator.ask(&request, 3..=5).await?;
        let codes = std::iter::once(answer.error_code).chain(answer.members.iter().map(|member| member.error_code));
        codes
            .filter(|code| !gone(*code))
            .try_for_each(|code| check(what, code, None))?;
    }
    for member in new {
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(id(group))
            .with_member_id(text(&member.id))
            .with_member_epoch(LEAVE)
            .with_rebalance_timeout_ms(-1)
            .with_subscribed_topic_names(None)
            .with_topic_partitions(None);
        let answer = coordinator.ask(&request, 0..=1).await?;
        if !gone(answer.error_code) {
            check(what, answer.error_code, answer.error_message.as_deref())?;
        }
    }
    Ok(())
}
