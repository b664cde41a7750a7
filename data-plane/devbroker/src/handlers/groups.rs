//! The classic group protocol on the wire. What it means is in `group`.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    ListGroupsRequest, ListGroupsResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use crate::broker::{Broker, random};
use crate::group::{Group, Join, Joined, State, Sync};
use crate::handlers::{code, millis};
use crate::server::Peer;

/// The join version from which a new member must come back with its id.
const REQUIRES_MEMBER_ID: i16 = 4;
/// The join and sync versions from which the answer names the protocol type.
const JOIN_TELLS_TYPE: i16 = 7;
const SYNC_TELLS_TYPE: i16 = 5;
/// The leave version from which several members leave at once.
const LEAVE_IS_A_LIST: i16 = 3;
/// The list version from which a group has its state.
const LIST_TELLS_STATE: i16 = 4;
/// Kafka's `group.max.session.timeout.ms`. Its least, 6 s, is not kept: tests want short sessions.
const MAX_SESSION_TIMEOUT: Duration = Duration::from_secs(1_800);

pub(crate) async fn join(broker: &Broker, peer: &Peer, request: JoinGroupRequest) -> JoinGroupResponse {
    let session_timeout = millis(request.session_timeout_ms);
    // Version 0 knows one timeout for both.
    let rebalance_timeout = millis(request.rebalance_timeout_ms.max(0)).max(session_timeout);
    let id = request.group_id;
    if id.is_empty() {
        return joined(peer, Joined::refused(&request.member_id, ResponseError::InvalidGroupId));
    }
    if session_timeout.is_zero() || session_timeout > MAX_SESSION_TIMEOUT {
        return joined(
            peer,
            Joined::refused(&request.member_id, ResponseError::InvalidSessionTimeout),
        );
    }
    let prefix = request.group_instance_id.as_ref().unwrap_or(&peer.client_id);
    let new_member_id = format!("{prefix}-{:016x}{:016x}", random(), random());
    let join = Join {
        member_id: request.member_id,
        new_member_id: StrBytes::from_string(new_member_id),
        requires_member_id: peer.version >= REQUIRES_MEMBER_ID && request.group_instance_id.is_none(),
        instance_id: request.group_instance_id,
        client_id: peer.client_id.clone(),
        client_host: StrBytes::from_string(format!("/{}", peer.remote.ip())),
        session_timeout,
        rebalance_timeout,
        protocol_type: request.protocol_type,
        protocols: request
            .protocols
            .into_iter()
            .map(|protocol| (protocol.name, protocol.metadata))
            .collect(),
    };
    joined(peer, broker.coordinator.join(&id, join).await)
}

fn joined(peer: &Peer, joined: Joined) -> JoinGroupResponse {
    let member = |member: crate::group::Listed| {
        JoinGroupResponseMember::default()
            .with_member_id(member.member_id)
            .with_group_instance_id(member.instance_id)
            .with_metadata(member.metadata)
    };
    let tells_type = peer.version >= JOIN_TELLS_TYPE;
    // Null is for the versions that know it; the older ones have an empty name.
    let protocol = if tells_type {
        joined.protocol
    } else {
        Some(joined.protocol.unwrap_or_default())
    };
    JoinGroupResponse::default()
        .with_error_code(joined.error.map_or(0, |error| error.code()))
        .with_generation_id(joined.generation)
        .with_protocol_type(joined.protocol_type.filter(|_| tells_type))
        .with_protocol_name(protocol)
        .with_leader(joined.leader)
        .with_member_id(joined.member_id)
        .with_members(joined.members.into_iter().map(member).collect())
}

pub(crate) async fn sync(broker: &Broker, version: i16, request: SyncGroupRequest) -> SyncGroupResponse {
    let sync = Sync {
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        generation: request.generation_id,
        protocol_type: request.protocol_type,
        protocol: request.protocol_name,
        assignments: request
            .assignments
            .into_iter()
            .map(|share| (share.member_id, share.assignment))
            .collect(),
    };
    match broker.coordinator.sync(&request.group_id, sync).await {
        Err(error) => SyncGroupResponse::default().with_error_code(error.code()),
        Ok((protocol_type, protocol, assignment)) => {
            let response = SyncGroupResponse::default().with_assignment(assignment);
            if version < SYNC_TELLS_TYPE {
                return response;
            }
            response
                .with_protocol_type(Some(protocol_type))
                .with_protocol_name(Some(protocol))
        }
    }
}

pub(crate) fn heartbeat(broker: &Broker, request: &HeartbeatRequest) -> HeartbeatResponse {
    let beat = |group: &mut Group| {
        let instance = request.group_instance_id.as_ref();
        group.heartbeat(&request.member_id, instance, request.generation_id, Instant::now())
    };
    let result = broker
        .coordinator
        .with(&request.group_id, beat)
        .unwrap_or(Err(ResponseError::UnknownMemberId));
    HeartbeatResponse::default().with_error_code(code(&result))
}

pub(crate) fn leave(broker: &Broker, version: i16, request: &LeaveGroupRequest) -> LeaveGroupResponse {
    let leave_one = |member_id: &StrBytes, instance_id: Option<&StrBytes>| {
        let leave = |group: &mut Group| group.leave(member_id, instance_id, Instant::now());
        broker
            .coordinator
            .with(&request.group_id, leave)
            .unwrap_or(Err(ResponseError::UnknownMemberId))
    };
    if version < LEAVE_IS_A_LIST {
        return LeaveGroupResponse::default().with_error_code(code(&leave_one(&request.member_id, None)));
    }
    let mut members = Vec::with_capacity(request.members.len());
    for member in &request.members {
        let left = leave_one(&member.member_id, member.group_instance_id.as_ref());
        let response = MemberResponse::default()
            .with_member_id(member.member_id.clone())
            .with_group_instance_id(member.group_instance_id.clone())
            .with_error_code(code(&left));
        members.push(response);
    }
    LeaveGroupResponse::default().with_members(members)
}

pub(crate) fn list(broker: &Broker, version: i16, request: &ListGroupsRequest) -> ListGroupsResponse {
    let wanted = |state: State| {
        let filter = &request.states_filter;
        filter.is_empty() || filter.iter().any(|name| name.eq_ignore_ascii_case(state.name()))
    };
    let mut groups = Vec::new();
    for (id, state, protocol_type) in broker.coordinator.list() {
        if !wanted(state) {
            continue;
        }
        let mut group = ListedGroup::default()
            .with_group_id(id)
            .with_protocol_type(protocol_type);
        if version >= LIST_TELLS_STATE {
            group.group_state = StrBytes::from_static_str(state.name());
        }
        groups.push(group);
    }
    ListGroupsResponse::default().with_groups(groups)
}

pub(crate) fn describe(broker: &Broker, request: &DescribeGroupsRequest) -> DescribeGroupsResponse {
    let one = |id: &GroupId| {
        // A group that does not exist is described as dead, without an error, as Kafka does it below version 6.
        let dead = || DescribedGroup::default().with_group_state(StrBytes::from_static_str(State::Dead.name()));
        broker
            .coordinator
            .with(id, |group| described(group))
            .unwrap_or_else(dead)
            .with_group_id(id.clone())
    };
    DescribeGroupsResponse::default().with_groups(request.groups.iter().map(one).collect())
}

fn described(group: &Group) -> DescribedGroup {
    let protocol = group.protocol();
    let is_stable = group.state() == State::Stable;
    let mut members = Vec::new();
    for (id, member) in group.members() {
        let mut described = DescribedGroupMember::default()
            .with_member_id(id.clone())
            .with_group_instance_id(member.instance_id.clone())
            .with_client_id(member.client_id.clone())
            .with_client_host(member.client_host.clone());
        if is_stable {
            described.member_metadata = member.metadata(&protocol).cloned().unwrap_or_default();
            described.member_assignment = member.assignment.clone();
        }
        members.push(described);
    }
    DescribedGroup::default()
        .with_group_state(StrBytes::from_static_str(group.state().name()))
        .with_protocol_type(group.protocol_type())
        .with_protocol_data(if is_stable { protocol } else { StrBytes::new() })
        .with_members(members)
}

pub(crate) fn delete(broker: &Broker, request: &DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for id in &request.groups_names {
        let deleted = broker.coordinator.delete(id);
        results.push(
            DeletableGroupResult::default()
                .with_group_id(id.clone())
                .with_error_code(code(&deleted)),
        );
    }
    DeleteGroupsResponse::default().with_results(results)
}
