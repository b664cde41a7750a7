//! The classic group protocol of one group, as a state machine: every call brings its `now`, nothing here waits or
//! reads a clock. A member that must wait leaves a oneshot sender; the machine answers it when the group moves on.
//!
//! `Empty` → `PreparingRebalance` (members join) → `CompletingRebalance` (the leader assigns) → `Stable`, and back to
//! `PreparingRebalance` when anybody comes, goes or changes. `Dead` is a group that was deleted.

mod member;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::offsets::Offsets;
pub(crate) use member::{Join, Joined, Listed, Member, Sync, Synced};

/// Where a group is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    Dead,
}

impl State {
    /// The name that clients print.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// One group: its members, and the offsets it has committed.
#[derive(Debug)]
pub(crate) struct Group {
    state: State,
    generation: i32,
    protocol_type: Option<StrBytes>,
    protocol: Option<StrBytes>,
    leader: Option<StrBytes>,
    members: IndexMap<StrBytes, Member>,
    /// Ids given out by `MEMBER_ID_REQUIRED` that have not joined yet, and when they are forgotten.
    pending: IndexMap<StrBytes, Instant>,
    /// When a rebalance goes on without those who did not come (preparing) or did not sync (completing).
    rebalance_ends: Option<Instant>,
    /// What the group has committed. Kept here so that it lives and dies with the group.
    pub(crate) offsets: Offsets,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            state: State::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: IndexMap::new(),
            pending: IndexMap::new(),
            rebalance_ends: None,
            offsets: Offsets::new(),
        }
    }
}

impl Group {
    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn protocol_type(&self) -> StrBytes {
        self.protocol_type.clone().unwrap_or_default()
    }

    pub(crate) fn protocol(&self) -> StrBytes {
        self.protocol.clone().unwrap_or_default()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&StrBytes, &Member)> {
        self.members.iter()
    }

    /// A member asks to join. The answer comes through `reply`, now or when everybody is there.
    pub(crate) fn join(&mut self, join: Join, now: Instant, reply: oneshot::Sender<Joined>) {
        let member_id = join.member_id.clone();
        let refuse = |reply: oneshot::Sender<Joined>, error| drop(reply.send(Joined::refused(&member_id, error)));
        if self.state == State::Dead {
            return refuse(reply, ResponseError::CoordinatorNotAvailable);
        }
        if join.protocols.is_empty() || !self.takes(&join) {
            return refuse(reply, ResponseError::InconsistentGroupProtocol);
        }
        if let Some(instance) = &join.instance_id
            && let Some(current) = self.member_of_instance(instance)
        {
            if join.member_id.is_empty() {
                return self.replace_static(&current, join, now, reply);
            }
            if current != join.member_id {
                return refuse(reply, ResponseError::FencedInstanceId);
            }
        }
        if join.member_id.is_empty() {
            if join.requires_member_id {
                self.pending
                    .insert(join.new_member_id.clone(), now + join.session_timeout);
                let answer = Joined::refused(&join.new_member_id, ResponseError::MemberIdRequired);
                return drop(reply.send(answer));
            }
            let id = join.new_member_id.clone();
            return self.add(id, join, now, reply);
        }
        if self.pending.shift_remove(&join.member_id).is_some() {
            let id = join.member_id.clone();
            return self.add(id, join, now, reply);
        }
        if !self.members.contains_key(&join.member_id) {
            return refuse(reply, ResponseError::UnknownMemberId);
        }
        self.rejoin(join, now, reply);
    }

    /// A member asks for its assignment; the leader brings everybody's.
    pub(crate) fn sync(&mut self, sync: Sync, now: Instant, reply: oneshot::Sender<Synced>) {
        let refuse = |reply: oneshot::Sender<Synced>, error| drop(reply.send(Err(error)));
        if let Err(error) = self.check(&sync.member_id, sync.instance_id.as_ref(), sync.generation) {
            return refuse(reply, error);
        }
        let differs = |asked: &Option<StrBytes>, ours: &Option<StrBytes>| asked.is_some() && asked != ours;
        if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol, &self.protocol) {
            return refuse(reply, ResponseError::InconsistentGroupProtocol);
        }
        match self.state {
            State::Empty | State::Dead => refuse(reply, ResponseError::UnknownMemberId),
            State::PreparingRebalance => refuse(reply, ResponseError::RebalanceInProgress),
            State::CompletingRebalance => {
                let is_leader = self.leader.as_ref() == Some(&sync.member_id);
                if let Some(member) = self.members.get_mut(&sync.member_id) {
                    member.wait_for_sync(reply, now);
                }
                if is_leader {
                    self.assign(sync.assignments, now);
                }
            }
            State::Stable => {
                let synced = (self.protocol_type(), self.protocol());
                if let Some(member) = self.members.get_mut(&sync.member_id) {
                    member.seen(now);
                    drop(reply.send(Ok((synced.0, synced.1, member.assignment.clone()))));
                }
            }
        }
    }

    /// A member says that it lives.
    pub(crate) fn heartbeat(
        &mut self,
        member_id: &StrBytes,
        instance_id: Option<&StrBytes>,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        self.check(member_id, instance_id, generation)?;
        if let Some(member) = self.members.get_mut(member_id) {
            member.seen(now);
        }
        match self.state {
            State::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
            State::Empty | State::Dead => Err(ResponseError::UnknownMemberId),
        }
    }

    /// A member goes. A static one may name its instance alone, with an empty member id.
    pub(crate) fn leave(
        &mut self,
        member_id: &StrBytes,
        instance_id: Option<&StrBytes>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if self.pending.shift_remove(member_id).is_some() {
            self.complete_join_if_all_came(now);
            return Ok(());
        }
        let id = match instance_id {
            Some(instance) => {
                let current = self
                    .member_of_instance(instance)
                    .ok_or(ResponseError::UnknownMemberId)?;
                if !member_id.is_empty() && *member_id != current {
                    return Err(ResponseError::FencedInstanceId);
                }
                current
            }
            None => member_id.clone(),
        };
        self.remove(&id, now)
    }

    /// Whether a commit may be made in the name of this member. Without member and generation only an empty group
    /// takes it: such a client assigns partitions by itself.
    pub(crate) fn may_commit(
        &mut self,
        member_id: &StrBytes,
        instance_id: Option<&StrBytes>,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        self.check(member_id, instance_id, generation)?;
        if self.state == State::CompletingRebalance {
            return Err(ResponseError::RebalanceInProgress);
        }
        if let Some(member) = self.members.get_mut(member_id) {
            member.seen(now);
        }
        Ok(())
    }

    /// Ends the group, if nobody is in it.
    pub(crate) fn delete(&mut self) -> Result<(), ResponseError> {
        match self.state {
            State::Empty => {
                self.state = State::Dead;
                Ok(())
            }
            State::Dead => Err(ResponseError::GroupIdNotFound),
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => Err(ResponseError::NonEmptyGroup),
        }
    }

    /// When [`Group::tick`] has something to do, if nothing else happens before.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let sessions = self.members.values().filter_map(Member::session_ends);
        sessions
            .chain(self.pending.values().copied())
            .chain(self.rebalance_ends)
            .min()
    }

    /// Ends sessions and rebalances whose time is over.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.pending.retain(|_, ends| *ends > now);
        let expired = |(id, member): (&StrBytes, &Member)| {
            member
                .session_ends()
                .is_some_and(|ends| ends <= now)
                .then(|| id.clone())
        };
        for id in self.members.iter().filter_map(expired).collect::<Vec<_>>() {
            // It was found a moment ago, so that removing it cannot fail.
            self.remove(&id, now).ok();
        }
        if self.rebalance_ends.is_some_and(|ends| ends <= now) {
            match self.state {
                State::PreparingRebalance => self.complete_join(now),
                State::CompletingRebalance => {
                    self.members.retain(|_, member| member.is_syncing());
                    self.rebalance(now);
                }
                State::Empty | State::Stable | State::Dead => self.rebalance_ends = None,
            }
        }
        self.complete_join_if_all_came(now);
    }

    /// Whether the group can take these protocols: of its type, and with one that every other member knows.
    fn takes(&self, join: &Join) -> bool {
        let others = || {
            self.members
                .iter()
                .filter(|(id, _)| **id != join.member_id)
                .map(|(_, member)| member)
        };
        if others().next().is_none() {
            return true;
        }
        let known_to_all = |name: &StrBytes| others().all(|member| member.metadata(name).is_some());
        self.protocol_type.as_ref() == Some(&join.protocol_type)
            && join.protocols.iter().any(|(name, _)| known_to_all(name))
    }

    fn member_of_instance(&self, instance: &StrBytes) -> Option<StrBytes> {
        let is_it = |member: &Member| member.instance_id.as_ref() == Some(instance);
        self.members
            .iter()
            .find(|(_, member)| is_it(member))
            .map(|(id, _)| id.clone())
    }

    fn check(&self, id: &StrBytes, instance: Option<&StrBytes>, generation: i32) -> Result<(), ResponseError> {
        if let Some(instance) = instance {
            let current = self
                .member_of_instance(instance)
                .ok_or(ResponseError::UnknownMemberId)?;
            if current != *id {
                return Err(ResponseError::FencedInstanceId);
            }
        }
        if !self.members.contains_key(id) {
            return Err(ResponseError::UnknownMemberId);
        }
        if generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        Ok(())
    }

    fn add(&mut self, id: StrBytes, join: Join, now: Instant, reply: oneshot::Sender<Joined>) {
        self.protocol_type = Some(join.protocol_type.clone());
        let mut member = Member::new(join, now);
        member.wait_for_join(reply);
        self.members.insert(id, member);
        self.rebalance(now);
    }

    /// A known member joins again.
    fn rejoin(&mut self, join: Join, now: Instant, reply: oneshot::Sender<Joined>) {
        let id = join.member_id.clone();
        let is_leader = self.leader.as_ref() == Some(&id);
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let changed = member.update(join, now);
        let rebalance = match self.state {
            // The answer to the earlier join was lost on the way: give it again.
            State::CompletingRebalance => changed,
            // The leader joins again when it wants another assignment.
            State::Stable => changed || is_leader,
            State::Empty | State::PreparingRebalance | State::Dead => true,
        };
        if rebalance {
            member.wait_for_join(reply);
            self.rebalance(now);
        } else {
            drop(reply.send(self.joined(&id)));
        }
    }

    /// A static member came back without its member id: it takes the place of its former self, which is fenced.
    fn replace_static(&mut self, old_id: &StrBytes, join: Join, now: Instant, reply: oneshot::Sender<Joined>) {
        let new_id = join.new_member_id.clone();
        let Some(mut member) = self.members.shift_remove(old_id) else {
            return;
        };
        member.fence(old_id);
        let changed = member.update(join, now);
        let was_leader = self.leader.as_ref() == Some(old_id);
        let stable = self.state == State::Stable && !changed;
        if !stable {
            member.wait_for_join(reply);
            self.members.insert(new_id.clone(), member);
            if was_leader {
                self.leader = Some(new_id);
            }
            return self.rebalance(now);
        }
        self.members.insert(new_id.clone(), member);
        // It is told the leader's former id, so that it does not think it must assign; nothing is to be assigned.
        let mut joined = self.joined(&new_id);
        joined.members.clear();
        if was_leader {
            joined.leader = old_id.clone();
            self.leader = Some(new_id);
        }
        drop(reply.send(joined));
    }

    fn remove(&mut self, id: &StrBytes, now: Instant) -> Result<(), ResponseError> {
        let mut member = self.members.shift_remove(id).ok_or(ResponseError::UnknownMemberId)?;
        member.refuse(id, ResponseError::UnknownMemberId);
        if self.leader.as_ref() == Some(id) {
            self.leader = None;
        }
        match self.state {
            State::Stable | State::CompletingRebalance => self.rebalance(now),
            State::PreparingRebalance => self.complete_join_if_all_came(now),
            State::Empty | State::Dead => {}
        }
        Ok(())
    }

    /// Asks everybody to join anew, or goes on waiting for that.
    fn rebalance(&mut self, now: Instant) {
        if self.state != State::PreparingRebalance {
            for member in self.members.values_mut() {
                member.refuse_sync(ResponseError::RebalanceInProgress, now);
            }
            self.state = State::PreparingRebalance;
            let longest = self.members.values().map(|member| member.rebalance_timeout).max();
            self.rebalance_ends = Some(now + longest.unwrap_or(Duration::ZERO));
        }
        self.complete_join_if_all_came(now);
    }

    fn complete_join_if_all_came(&mut self, now: Instant) {
        let all_came = self.pending.is_empty() && self.members.values().all(Member::is_joining);
        if self.state == State::PreparingRebalance && all_came {
            self.complete_join(now);
        }
    }

    /// Starts the next generation with those who came. Static members keep their place while their session lives.
    fn complete_join(&mut self, now: Instant) {
        self.members
            .retain(|_, member| member.is_joining() || member.instance_id.is_some());
        let first = self
            .members
            .iter()
            .find(|(_, member)| member.is_joining())
            .map(|(id, _)| id.clone());
        let longest = self.members.values().map(|member| member.rebalance_timeout).max();
        if first.is_none() && longest.is_some() {
            // Static members that live and did not come: nobody could lead, so wait for another round.
            self.rebalance_ends = longest.map(|longest| now + longest);
            return;
        }
        self.generation = self.generation.wrapping_add(1).max(1);
        let Some(first) = first else {
            self.leader = None;
            self.protocol = None;
            self.rebalance_ends = None;
            self.state = State::Empty;
            return;
        };
        let leader_came = self
            .leader
            .as_ref()
            .and_then(|id| self.members.get(id))
            .is_some_and(|leader| leader.is_joining());
        if !leader_came {
            self.leader = Some(first);
        }
        self.protocol = self.elect();
        self.state = State::CompletingRebalance;
        self.rebalance_ends = longest.map(|longest| now + longest);
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            let joined = self.joined(&id);
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = Bytes::new();
                member.answer_join(joined, now);
            }
        }
    }

    /// The protocol that most members like best, of those that all know.
    fn elect(&self) -> Option<StrBytes> {
        let known_to_all = |name: &StrBytes| self.members.values().all(|member| member.metadata(name).is_some());
        let mut votes: IndexMap<StrBytes, usize> = IndexMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| known_to_all(name)) {
                *votes.entry(name.clone()).or_default() += 1;
            }
        }
        // On a draw the one that was named first wins, so that the outcome does not change from run to run.
        let most = votes.values().copied().max()?;
        votes
            .into_iter()
            .find(|(_, count)| *count == most)
            .map(|(name, _)| name)
    }

    /// What a member is told about the generation; the leader is told the members too.
    fn joined(&self, id: &StrBytes) -> Joined {
        let protocol = self.protocol();
        let list = |(id, member): (&StrBytes, &Member)| Listed {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(&protocol).cloned().unwrap_or_default(),
        };
        let is_leader = self.leader.as_ref() == Some(id);
        Joined {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: id.clone(),
            members: if is_leader {
                self.members.iter().map(list).collect()
            } else {
                Vec::new()
            },
        }
    }

    /// The leader's word: everybody who waits gets a share, and a member it does not name gets an empty one.
    fn assign(&mut self, assignments: Vec<(StrBytes, Bytes)>, now: Instant) {
        for (id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = assignment;
            }
        }
        self.state = State::Stable;
        self.rebalance_ends = None;
        let (protocol_type, protocol) = (self.protocol_type(), self.protocol());
        for member in self.members.values_mut() {
            member.answer_sync(&protocol_type, &protocol, now);
        }
    }
}
