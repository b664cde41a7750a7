//! All groups, and the task that ends their sessions and rebalances in time.

use std::collections::BTreeMap;
use std::sync::Mutex;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::group::{Group, Join, Joined, State, Sync, Synced};
use crate::sync::lock;

/// The groups by id.
#[derive(Debug, Default)]
pub(crate) struct Coordinator {
    groups: Mutex<BTreeMap<GroupId, Group>>,
    /// Told after each change, because the next deadline may have moved.
    changed: Notify,
}

impl Coordinator {
    /// Waits for deadlines and acts on them, for ever.
    pub(crate) async fn keep_time(&self) {
        loop {
            let next = lock(&self.groups).values().filter_map(Group::next_deadline).min();
            match next {
                None => self.changed.notified().await,
                Some(at) => {
                    tokio::select! {
                        () = self.changed.notified() => continue,
                        () = tokio::time::sleep_until(at) => {}
                    }
                    let now = Instant::now();
                    lock(&self.groups).values_mut().for_each(|group| group.tick(now));
                }
            }
        }
    }

    /// Joins a group, which a first join creates, and waits until the group has met.
    pub(crate) async fn join(&self, id: &GroupId, join: Join) -> Joined {
        let member_id = join.member_id.clone();
        let (reply, joined) = oneshot::channel();
        let is_known = !member_id.is_empty();
        {
            let mut groups = lock(&self.groups);
            if is_known && !groups.contains_key(id) {
                return Joined::refused(&member_id, ResponseError::UnknownMemberId);
            }
            groups.entry(id.clone()).or_default().join(join, Instant::now(), reply);
        }
        self.changed.notify_one();
        joined
            .await
            .unwrap_or_else(|_| Joined::refused(&member_id, ResponseError::UnknownMemberId))
    }

    /// Waits for the assignment of a member.
    pub(crate) async fn sync(&self, id: &GroupId, sync: Sync) -> Synced {
        let (reply, synced) = oneshot::channel();
        self.with(id, |group| group.sync(sync, Instant::now(), reply))
            .ok_or(ResponseError::UnknownMemberId)?;
        synced.await.unwrap_or(Err(ResponseError::UnknownMemberId))
    }

    /// Works on a group that exists.
    pub(crate) fn with<T>(&self, id: &GroupId, work: impl FnOnce(&mut Group) -> T) -> Option<T> {
        let done = lock(&self.groups).get_mut(id).map(work);
        self.changed.notify_one();
        done
    }

    /// Works on a group, and keeps it if it did not exist and the work succeeded: a commit makes a group.
    pub(crate) fn with_new<T>(
        &self,
        id: &GroupId,
        work: impl FnOnce(&mut Group) -> Result<T, ResponseError>,
    ) -> Result<T, ResponseError> {
        let mut groups = lock(&self.groups);
        let done = match groups.get_mut(id) {
            Some(group) => work(group),
            None => {
                let mut group = Group::default();
                let done = work(&mut group)?;
                groups.insert(id.clone(), group);
                Ok(done)
            }
        };
        drop(groups);
        self.changed.notify_one();
        done
    }

    pub(crate) fn exists(&self, id: &GroupId) -> bool {
        lock(&self.groups).contains_key(id)
    }

    /// Every group with its state and protocol type.
    pub(crate) fn list(&self) -> Vec<(GroupId, State, StrBytes)> {
        lock(&self.groups)
            .iter()
            .map(|(id, group)| (id.clone(), group.state(), group.protocol_type()))
            .collect()
    }

    /// Deletes an empty group with its offsets.
    pub(crate) fn delete(&self, id: &GroupId) -> Result<(), ResponseError> {
        let mut groups = lock(&self.groups);
        groups.get_mut(id).ok_or(ResponseError::GroupIdNotFound)?.delete()?;
        groups.remove(id);
        Ok(())
    }

    /// A topic was deleted: its offsets mean nothing any more.
    pub(crate) fn forget_topic(&self, topic: &TopicName) {
        for group in lock(&self.groups).values_mut() {
            group.offsets.remove(topic);
        }
    }
}
