//! Fetching from one cluster for all consumers of the process: finds each partition's leader and a place to start, and puts it into a
//! lane there.

use super::feed::{Feed, FetchSettings, Reset};
use super::inbox::{Budget, Word};
use super::lane::Lane;
use super::offsets::{Asked, End, list_offsets};
use crate::codes;
use crate::error::{Class, Error};
use crate::lock::lock;
use crate::wire::cluster::Cluster;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Bytes that all consumers of one cluster hold ahead of their readers.
const BUDGET: usize = 256 << 20;
/// The reader hears of a partition that has no leader for so many tries.
const QUIET: u32 = 10;

/// What the consumers of a cluster hold: when the last one is gone, so are the fetchers.
#[derive(Debug)]
pub(crate) struct Fetching {
    hub: Arc<Hub>,
}

#[derive(Debug)]
pub(crate) struct Hub {
    cluster: Arc<Cluster>,
    budget: Arc<Budget>,
    lanes: Mutex<Vec<Arc<Lane>>>,
    homeless: Mutex<Vec<Homeless>>,
    wake: Notify,
    tasks: Mutex<JoinSet<()>>,
    /// Whoever makes the first consumer may stand on a thread that connectors block.
    runtime: Handle,
}

/// A feed without a lane.
#[derive(Debug)]
struct Homeless {
    feed: Arc<Feed>,
    /// What is known of its leader is not to be trusted; not before then.
    refresh: Option<Instant>,
}

impl Fetching {
    pub(crate) fn start(cluster: Arc<Cluster>, runtime: Handle) -> Self {
        let hub = Arc::new(Hub {
            cluster,
            budget: Arc::new(Budget::new(BUDGET)),
            lanes: Mutex::default(),
            homeless: Mutex::default(),
            wake: Notify::new(),
            tasks: Mutex::default(),
            runtime,
        });
        let placing = Arc::clone(&hub);
        hub.spawn(async move { placing.run().await });
        Self { hub }
    }

    pub(crate) fn cluster(&self) -> &Arc<Cluster> {
        &self.hub.cluster
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.hub.budget
    }

    /// Runs a task that ends when nobody needs what it holds of this.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.hub.spawn(task);
        self.hub.wake.notify_one();
    }

    /// Begins to fetch.
    pub(crate) fn add(&self, feeds: Vec<Arc<Feed>>) {
        let homeless = feeds.into_iter().map(|feed| Homeless { feed, refresh: None });
        lock(&self.hub.homeless).extend(homeless);
        self.hub.wake.notify_one();
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        lock(&self.hub.tasks).abort_all();
    }
}

impl Hub {
    pub(super) fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.tasks).spawn_on(task, &self.runtime);
    }

    /// Looks for a lane; with a time, for a new leader, then.
    pub(super) fn place(&self, feed: Arc<Feed>, refresh: Option<Instant>) {
        lock(&self.homeless).push(Homeless { feed, refresh });
        self.wake.notify_one();
    }

    pub(super) fn closed(&self, lane: &Arc<Lane>) {
        lock(&self.lanes).retain(|other| !Arc::ptr_eq(other, lane));
    }

    async fn run(self: Arc<Self>) {
        loop {
            let now = Instant::now();
            let mut due = Vec::new();
            let mut next = None;
            lock(&self.homeless).retain_mut(|homeless| {
                if homeless.feed.is_stopped() {
                    return false;
                }
                match homeless.refresh {
                    Some(at) if at > now => {
                        next = Some(next.map_or(at, |other: Instant| other.min(at)));
                        true
                    }
                    refresh => {
                        due.push((Arc::clone(&homeless.feed), refresh.is_some()));
                        false
                    }
                }
            });
            if due.is_empty() {
                let sleep = async {
                    match next {
                        Some(at) => tokio::time::sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = sleep => {}
                }
                self.join_ended();
                continue;
            }
            self.settle(due).await;
        }
    }

    fn join_ended(&self) {
        let mut tasks = lock(&self.tasks);
        while let Some(ended) = tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                tracing::error!(%error, "a task of kafka consumers panicked");
            }
        }
    }

    /// Finds leaders and positions for these feeds.
    async fn settle(self: &Arc<Self>, due: Vec<(Arc<Feed>, bool)>) {
        let metadata = self.cluster.metadata();
        let unknown = |feed: &Feed| {
            metadata
                .leader(&feed.partition.topic, feed.partition.partition)
                .is_none()
        };
        let stale = due.iter().filter(|(feed, refresh)| *refresh || unknown(feed));
        let topics: BTreeSet<Arc<str>> = stale.map(|(feed, _)| Arc::clone(&feed.partition.topic)).collect();
        let topics: Vec<Arc<str>> = topics.into_iter().collect();
        let metadata = if topics.is_empty() {
            metadata
        } else {
            match self.cluster.refresh(&topics).await {
                Ok(metadata) => metadata,
                Err(error) => {
                    for (feed, _) in due {
                        self.later(feed, error.clone());
                    }
                    return;
                }
            }
        };
        let mut lookups: HashMap<i32, Vec<(Arc<Feed>, i32)>> = HashMap::new();
        let now = Instant::now();
        for (feed, _) in due {
            let (topic, partition) = (&feed.partition.topic, feed.partition.partition);
            let Some(leader) = metadata.leader(topic, partition) else {
                let what = format!("fetching {}", feed.partition);
                let error = match metadata.refused.get(topic) {
                    Some(refusal) => codes::error(what, refusal.code, None),
                    None => codes::local(what, "LeaderNotAvailable", "it has no leader", Class::Retriable),
                };
                self.later(feed, error);
                continue;
            };
            let epoch = metadata.partition(topic, partition).map_or(-1, |known| known.epoch);
            if feed.lacks_position().is_some() {
                lookups.entry(leader).or_default().push((feed, epoch));
            } else {
                let broker = feed.preferred(now).unwrap_or(leader);
                self.assign(broker, &feed, epoch);
            }
        }
        for (leader, feeds) in lookups {
            let hub = Arc::clone(self);
            self.spawn(async move { hub.look_up(leader, feeds).await });
        }
    }

    fn later(&self, feed: Arc<Feed>, error: Error) {
        let (failures, at) = feed.failed(Instant::now());
        if failures.is_multiple_of(QUIET) || error.class == Class::Fatal {
            feed.inbox().tell(Word::Error(error));
        }
        self.place(feed, Some(at));
    }

    /// Puts a feed into a lane at this broker that does not have its partition already.
    fn assign(self: &Arc<Self>, broker: i32, feed: &Arc<Feed>, leader_epoch: i32) {
        let mut lanes = lock(&self.lanes);
        let fits = |lane: &&Arc<Lane>| lane.broker == broker && lane.settings == feed.settings;
        if lanes.iter().filter(fits).any(|lane| lane.admit(feed, leader_epoch)) {
            return;
        }
        let taken = |number: &u32| lanes.iter().any(|lane| lane.broker == broker && lane.number == *number);
        let number = (0..).find(|number| !taken(number)).unwrap_or_default();
        let lane = Arc::new(Lane::new(broker, number, Arc::<FetchSettings>::clone(&feed.settings)));
        lane.admit(feed, leader_epoch);
        lanes.push(Arc::clone(&lane));
        drop(lanes);
        let hub = Arc::clone(self);
        self.spawn(async move { lane.run(hub).await });
    }

    /// Asks a leader where partitions without a position start.
    async fn look_up(self: Arc<Self>, leader: i32, feeds: Vec<(Arc<Feed>, i32)>) {
        let mut wanted = Vec::new();
        for (feed, epoch) in feeds {
            let Some(asked) = feed.lacks_position() else {
                self.place(feed, None);
                continue;
            };
            if feed.reset == Reset::None {
                let what = format!("finding where to start with {}", feed.partition);
                let message = "the group has no offset there that the partition has, and `auto.offset.reset` is `none`";
                // librdkafka's word for it.
                let error = codes::local(what, "AutoOffsetReset", message, Class::Fatal);
                feed.inbox().tell(Word::Error(error));
                continue;
            }
            wanted.push((feed, asked, epoch));
        }
        // One request for each kind of question: a partition may stand in a request once only.
        for read_committed in [false, true] {
            for reset in [Reset::Earliest, Reset::Latest] {
                let alike = |feed: &Feed| feed.settings.read_committed == read_committed && feed.reset == reset;
                let group: Vec<_> = wanted.iter().filter(|(feed, ..)| alike(feed)).collect();
                if group.is_empty() {
                    continue;
                }
                let asked = group.iter().map(|(feed, _, epoch)| Asked {
                    topic: &feed.partition.topic,
                    partition: feed.partition.partition,
                    leader_epoch: *epoch,
                });
                let end = if reset == Reset::Latest {
                    End::Latest
                } else {
                    End::Earliest
                };
                let found = list_offsets(&self.cluster, leader, (end, read_committed), asked).await;
                for (feed, asked, epoch) in group {
                    let place = (feed.partition.topic.to_string(), feed.partition.partition);
                    let missing = || codes::error("finding where to start", -1, Some("the answer lacks the partition"));
                    let offset = found.as_ref().map_err(Clone::clone);
                    let offset = offset.and_then(|found| found.get(&place).cloned().unwrap_or_else(|| Err(missing())));
                    match offset {
                        Ok(offset) => {
                            feed.found(*asked, offset);
                            self.assign(leader, feed, *epoch);
                        }
                        Err(error) => self.later(Arc::clone(feed), error),
                    }
                }
            }
        }
    }
}
