//! The task of a group member: carries out what the machine says, whatever its reader does. It waits for requests, commands and the
//! machine's next deadline, and for nothing in between.

use super::machine::{Effect, Event, Identity, Machine};
use super::requests::Coordinated;
use crate::codes::local;
use crate::error::Class;
use crate::lock::lock;
use crate::wire::fetch::feed::{Feed, FetchSettings, Reset};
use crate::wire::fetch::hub::Fetching;
use crate::wire::fetch::inbox::{Inbox, Word};
use crate::wire::timing::together;
use dray_connect::sink_batch::TopicPartition;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

/// Who leaves does not wait longer for a coordinator that does not answer; the session's end does it then.
const LEAVE: Duration = Duration::from_secs(5);

/// Deadlines that are further away than `AHEAD` are met together with those of other members, up to `STEP` later: of 10,000 idle members
/// 2,000 heartbeat each second, and to wake up for each of them costs more than the heartbeats.
const AHEAD: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(500);

/// What the reader wants. A dropped sender means: leave the group.
#[derive(Debug)]
pub(super) enum Command {
    Subscribe(Vec<String>),
    Rejoin,
    Revoked(u64),
    /// The coordinator did not know the member when it committed.
    Doubted,
}

/// What a member and its reader share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) inbox: Arc<Inbox>,
    pub(super) coordinated: Coordinated,
    /// The member's, in the group; commits carry it.
    pub(super) epoch: Mutex<i32>,
    /// What may be committed and sought. Those that are being revoked are in it until they are released.
    pub(super) owned: Mutex<BTreeMap<TopicPartition, Arc<Feed>>>,
    pub(super) leave_when_lost: AtomicBool,
}

pub(super) struct Member {
    shared: Arc<Shared>,
    fetching: Arc<Fetching>,
    fetch: (Arc<FetchSettings>, Reset),
    machine: Machine,
    commands: mpsc::Receiver<Command>,
    requests: FuturesUnordered<BoxFuture<'static, Event>>,
    told_to_leave_when_lost: bool,
}

impl Member {
    pub(super) fn new(
        shared: Arc<Shared>,
        fetching: Arc<Fetching>,
        fetch: (Arc<FetchSettings>, Reset),
        (identity, topics): (Identity, Vec<String>),
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        Self {
            shared,
            fetching,
            fetch,
            machine: Machine::new(identity, topics, Instant::now()),
            commands,
            requests: FuturesUnordered::new(),
            told_to_leave_when_lost: false,
        }
    }

    /// Lives until the reader is gone, and leaves the group.
    pub(super) async fn run(mut self) {
        let mut event = Event::Tick;
        let mut closed = false;
        loop {
            if self.step(event) {
                break;
            }
            let deadline = self.machine.deadline();
            let timer = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(moment(at, Instant::now())).await,
                    None => std::future::pending().await,
                }
            };
            event = tokio::select! {
                Some(event) = self.requests.next(), if !self.requests.is_empty() => event,
                command = self.commands.recv(), if !closed => match command {
                    Some(Command::Subscribe(topics)) => Event::Subscribe(topics),
                    Some(Command::Rejoin) => Event::Rejoin,
                    Some(Command::Revoked(number)) => Event::Revoked(number),
                    Some(Command::Doubted) => Event::Doubted,
                    None => {
                        closed = true;
                        Event::Close
                    }
                },
                () = timer => Event::Tick,
            };
        }
        self.stop_all();
        self.shared.inbox.tell(Word::Ended);
    }

    /// Whether it is over.
    fn step(&mut self, event: Event) -> bool {
        let now = Instant::now();
        let mut effects = Vec::new();
        if self.shared.leave_when_lost.load(Ordering::Relaxed) && !self.told_to_leave_when_lost {
            self.told_to_leave_when_lost = true;
            effects = self.machine.step(now, Event::LeaveWhenLost);
        }
        if matches!(event, Event::Close) {
            self.stop_all();
        }
        effects.extend(self.machine.step(now, event));
        *lock(&self.shared.epoch) = self.machine.epoch();
        let mut over = false;
        for effect in effects {
            over |= self.carry_out(effect);
        }
        over
    }

    fn carry_out(&mut self, effect: Effect) -> bool {
        let shared = Arc::clone(&self.shared);
        match effect {
            Effect::Heartbeat(beat) => {
                let beating = async move {
                    let begun = Instant::now();
                    let answer = shared.coordinated.heartbeat(beat).await;
                    if answer.is_ok() {
                        lock(&shared.inbox.metrics).heartbeat(Instant::now(), begun.elapsed());
                    }
                    Event::Heartbeat(answer)
                };
                self.requests.push(Box::pin(beating));
            }
            Effect::Leave => self.requests.push(Box::pin(async move {
                tokio::time::timeout(LEAVE, shared.coordinated.leave()).await.ok();
                Event::Left
            })),
            Effect::Name(ids) => {
                self.requests.push(Box::pin(
                    async move { Event::Named(named(&shared.coordinated, ids).await) },
                ));
            }
            Effect::ReadOffsets { epoch, partitions } => self.requests.push(Box::pin(async move {
                Event::Offsets(shared.coordinated.committed(epoch, &partitions).await)
            })),
            Effect::Assign(assigned) => self.assign(assigned),
            Effect::Revoke(number, partitions) => {
                self.stop(&partitions);
                shared.inbox.tell(Word::Revoked(number, partitions));
            }
            Effect::Release(partitions) => {
                let mut owned = lock(&shared.owned);
                partitions.iter().for_each(|partition| drop(owned.remove(partition)));
                lock(&shared.inbox.metrics).rebalanced(Instant::now(), owned.len());
            }
            Effect::Lose(partitions) => {
                self.stop(&partitions);
                lock(&shared.owned).clear();
                lock(&shared.inbox.metrics).rebalanced(Instant::now(), 0);
                shared.inbox.tell(Word::Lost(partitions));
            }
            Effect::Tell(error) => shared.inbox.tell(Word::Error(error)),
            Effect::Unsupported(error) => {
                shared.inbox.tell(Word::Error(error));
                return true;
            }
            Effect::End => return true,
        }
        false
    }

    fn assign(&mut self, assigned: Vec<(super::machine::Place, TopicPartition, Option<i64>)>) {
        let mut feeds = Vec::with_capacity(assigned.len());
        let mut told = Vec::with_capacity(assigned.len());
        for (place, partition, offset) in assigned {
            let inbox = Arc::clone(&self.shared.inbox);
            let feed = Feed::new(partition.clone(), place.topic, offset, self.fetch.clone(), inbox);
            feeds.push(Arc::new(feed));
            told.push((partition, offset));
        }
        let mut owned = lock(&self.shared.owned);
        owned.extend(feeds.iter().map(|feed| (feed.partition.clone(), Arc::clone(feed))));
        lock(&self.shared.inbox.metrics).rebalanced(Instant::now(), owned.len());
        drop(owned);
        self.shared.inbox.tell(Word::Assigned(told));
        self.fetching.add(feeds);
    }

    fn stop(&self, partitions: &[TopicPartition]) {
        let owned = lock(&self.shared.owned);
        let feeds: Vec<_> = partitions
            .iter()
            .filter_map(|partition| owned.get(partition).cloned())
            .collect();
        drop(owned);
        feeds.iter().for_each(Feed::stop);
    }

    fn stop_all(&self) {
        let feeds: Vec<_> = std::mem::take(&mut *lock(&self.shared.owned)).into_values().collect();
        feeds.iter().for_each(Feed::stop);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Aborted with the runtime, or broken: nothing is fetched for nobody.
        self.stop_all();
        if std::thread::panicking() {
            let what = format!("being a member of the group `{}`", self.shared.coordinated.group);
            let error = local(what, "PANIC", "its task has ended; see the log", Class::Fatal);
            self.shared.inbox.tell(Word::Error(error));
        }
    }
}

/// The moment at which whatever is due at `at` is done.
fn moment(at: Instant, now: Instant) -> Instant {
    if at.duration_since(now) <= AHEAD {
        return at;
    }
    together(at, STEP)
}

/// The names of these topics, as far as the cluster has them.
async fn named(coordinated: &Coordinated, ids: BTreeSet<Uuid>) -> BTreeMap<Uuid, Arc<str>> {
    let cluster = &coordinated.cluster;
    let mut metadata = cluster.metadata();
    let missing: Vec<Uuid> = ids
        .iter()
        .filter(|id| !metadata.names.contains_key(id))
        .copied()
        .collect();
    if !missing.is_empty() {
        match cluster.refresh_ids(&missing).await {
            Ok(newer) => metadata = newer,
            Err(error) => tracing::debug!(%error, "could not ask for the names of assigned topics"),
        }
    }
    let name = |id: Uuid| Some((id, Arc::clone(metadata.names.get(&id)?)));
    ids.into_iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_due_in_a_while_is_done_at_the_same_moment() {
        let now = Instant::now();
        let soon = now + AHEAD;
        assert_eq!(moment(soon, now), soon, "what is due soon is not kept waiting");
        let mut moments = BTreeSet::new();
        for member in 0..10_000_u64 {
            let due = now + AHEAD + Duration::from_micros(1 + member * 500);
            let moment = moment(due, now);
            assert!(due <= moment && moment < due + STEP, "{due:?}: {moment:?}");
            moments.insert(moment);
        }
        // 10,000 deadlines in 5 s.
        assert!((10..=11).contains(&moments.len()), "{}", moments.len());
    }
}
