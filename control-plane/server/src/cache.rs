//! What is in the store, in memory: every replica follows it with one watch, and everything that is read is read from here.
//!
//! Readers get a [`State`]: immutable, with the revision that it shows. Revisions are taken as a whole. When the watch has lost its
//! place in history, everything is listed again while readers go on with what was known, and they see the difference: the cache is
//! never empty, and never goes back.

mod state;
mod table;
#[cfg(test)]
mod tests;

pub use state::{Kept, LeaderSeen, Listed, State};

use dray_store::keys::Keys;
use dray_store::{MetadataStore, Read, Revision, Watch, WatchEvent, list_all};
use futures::FutureExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// How long to wait after a store that does not answer; as long as a leader's candidate waits.
const RETRY: Duration = Duration::from_millis(200);
/// How often a store that was restored from a backup is looked at again: an operator has to act.
const PAST: Duration = Duration::from_secs(2);
/// How often the store is asked how far the watch is, while somebody waits for a revision.
const PROGRESS: Duration = Duration::from_millis(100);
/// Revisions taken together when they have come together: readers are shown the last of them.
const TOGETHER: usize = 1_000;

/// Why a reader did not get what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The watch is behind.
    #[error("this replica has seen revision {reached} and not yet {asked}; ask again, or ask another replica")]
    Late {
        /// What was asked for.
        asked: Revision,
        /// How far the cache is.
        reached: Revision,
    },
    /// The store does not say how far it is.
    #[error("could not learn the newest revision")]
    Store(#[source] dray_store::Error),
}

/// The cache of a replica.
pub struct Cache {
    store: Arc<dyn MetadataStore>,
    keys: Keys,
    state: watch::Sender<Arc<State>>,
    /// Somebody waits for a revision.
    wanted: Notify,
}

/// Why a watch ended.
enum End {
    /// Watch again from where it stopped.
    Broken,
    /// Its place in history is gone.
    Compacted,
}

impl Cache {
    /// Lists everything of a cluster. [`follow`](Self::follow) keeps it up to date.
    pub async fn seed(store: Arc<dyn MetadataStore>, keys: Keys) -> Result<Arc<Self>, dray_store::Error> {
        let state = list(store.as_ref(), &keys, None).await?;
        Ok(Arc::new(Self {
            store,
            keys,
            state: watch::Sender::new(Arc::new(state)),
            wanted: Notify::new(),
        }))
    }

    /// The keys of the cluster.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What is known now.
    #[must_use]
    pub fn now(&self) -> Arc<State> {
        self.state.borrow().clone()
    }

    /// Tells of every change; several may be told as one.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<State>> {
        self.state.subscribe()
    }

    /// Waits until a revision is seen.
    pub async fn at_least(&self, asked: Revision, within: Duration) -> Result<Arc<State>, Error> {
        let mut states = self.state.subscribe();
        let end = Instant::now() + within;
        loop {
            let reached = {
                let state = states.borrow_and_update();
                if state.revision >= asked {
                    return Ok(state.clone());
                }
                state.revision
            };
            self.wanted.notify_one();
            let turn = end.min(Instant::now() + PROGRESS);
            // The sender lives as long as `self`: only the time can end this.
            if tokio::time::timeout_at(turn, states.changed()).await.is_err() && turn == end {
                return Err(Error::Late { asked, reached });
            }
        }
    }

    /// What was committed before this call began, and perhaps more.
    pub async fn linearizable(&self, within: Duration) -> Result<Arc<State>, Error> {
        let end = Instant::now() + within;
        let key = self.keys.key(&dray_store::keys::Name::Meta);
        let found = self.store.get(&key, Read::Linearizable).await.map_err(Error::Store)?;
        self.at_least(found.revision, end.saturating_duration_since(Instant::now()))
            .await
    }

    /// Follows the store. Never returns: it is cancelled by dropping it.
    pub async fn follow(&self) {
        let mut state = State::clone(&self.now());
        loop {
            if !self.is_the_same(&mut state).await {
                tokio::time::sleep(PAST).await;
                continue;
            }
            let end = match self.store.watch(&self.keys.all(), state.revision).await {
                Ok(watch) => self.drain(watch, &mut state).await,
                Err(dray_store::Error::Compacted { .. }) => End::Compacted,
                Err(error) => {
                    tracing::warn!(revision = %state.revision, %error, "could not watch the metadata store");
                    End::Broken
                }
            };
            match end {
                End::Broken => tokio::time::sleep(RETRY).await,
                End::Compacted => self.list_again(&mut state).await,
            }
        }
    }

    /// Whether the store still has what was seen of it. A watch of one that has not would wait for revisions that tell another story.
    async fn is_the_same(&self, state: &mut State) -> bool {
        let key = self.keys.key(&dray_store::keys::Name::Meta);
        let behind = match self.store.get(&key, Read::AtLeast(state.revision)).await {
            Err(error @ dray_store::Error::Behind { current, .. }) => {
                if state.behind.is_none() {
                    tracing::error!(error = %dray_process::chain(&error), "the metadata store has lost what this replica has seen");
                }
                Some(current)
            }
            Ok(_) => None,
            // The watch will say so too.
            Err(_) => state.behind,
        };
        if behind != state.behind {
            state.behind = behind;
            self.state.send_replace(Arc::new(state.clone()));
        }
        behind.is_none()
    }

    async fn drain(&self, mut watch: Watch, state: &mut State) -> End {
        loop {
            let mut event = tokio::select! {
                event = watch.next() => event,
                () = self.wanted.notified() => {
                    watch.request_progress();
                    continue;
                }
            };
            let mut end = None;
            for _ in 0..TOGETHER {
                match event {
                    Some(Ok(WatchEvent::Batch { revision, changes })) => state.apply(&self.keys, revision, changes),
                    Some(Ok(WatchEvent::Progress { revision })) => state.revision = state.revision.max(revision),
                    Some(Ok(WatchEvent::Compacted { .. })) => end = Some(End::Compacted),
                    Some(Err(error)) => {
                        tracing::warn!(revision = %state.revision, %error, "the watch on the metadata store broke");
                        end = Some(End::Broken);
                    }
                    None => end = Some(End::Broken),
                }
                if end.is_some() {
                    break;
                }
                match watch.next().now_or_never() {
                    Some(next) => event = next,
                    None => break,
                }
            }
            self.state.send_replace(Arc::new(state.clone()));
            if let Some(end) = end {
                return end;
            }
        }
    }

    async fn list_again(&self, state: &mut State) {
        tracing::info!(revision = %state.revision, "the watch has lost its place in history: listing everything again");
        match list(self.store.as_ref(), &self.keys, Some(state)).await {
            Ok(listed) => {
                *state = listed;
                self.state.send_replace(Arc::new(state.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "could not list the metadata store");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Everything at one revision; what has not changed since `known` is shared with it.
async fn list(store: &dyn MetadataStore, keys: &Keys, known: Option<&State>) -> Result<State, dray_store::Error> {
    let listed = list_all(store, &keys.all()).await?;
    let seen = known.map_or(Revision::NEVER, |known| known.revision);
    if listed.revision < seen {
        return Err(dray_store::Error::Behind {
            asked: seen,
            current: listed.revision,
        });
    }
    Ok(State::listed(keys, listed.revision, listed.value, known))
}
