//! What the stores inside a process share: the state behind its lock, and watchers that read its history. Nothing is queued for a
//! watcher, so that a slow one costs nothing; it finds its history compacted.

use crate::error::Error;
use crate::key::KeyRange;
use crate::state::Core;
use crate::types::Revision;
use crate::watch::{Watch, WatchEvent};
use futures::stream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub(crate) struct Local {
    core: Mutex<Core>,
    changed: watch::Sender<()>,
}

/// How the watches of one handle end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    /// So often were all of them ended with an error.
    pub(crate) cancelled: u64,
    /// So often were all of them ended without one.
    pub(crate) dropped: u64,
}

/// Makes what is due at a time, and says when to come again.
pub(crate) type Advance = Arc<dyn Fn(Instant) -> Option<Instant> + Send + Sync>;

struct Watcher {
    local: Arc<Local>,
    range: KeyRange,
    /// Everything up to here was delivered.
    after: Revision,
    changed: watch::Receiver<()>,
    ends: watch::Receiver<Ends>,
    ends_at_start: Ends,
    progress: Arc<Notify>,
    advance: Advance,
    ended: bool,
}

impl Local {
    pub(crate) fn new(core: Core) -> Self {
        Self {
            core: Mutex::new(core),
            changed: watch::Sender::new(()),
        }
    }

    /// The state. Nothing can panic half-way through a change of it, so a poisoned lock tells nothing.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the watchers, after a change.
    pub(crate) fn publish(&self) {
        self.changed.send_replace(());
    }

    /// A watch; it ends when `ends` changes, and with [`Error::Closed`] when the sender of `ends` is gone.
    pub(crate) fn watch(
        self: &Arc<Self>,
        range: &KeyRange,
        after: Revision,
        ends: watch::Receiver<Ends>,
        advance: Advance,
    ) -> Watch {
        let progress = Arc::new(Notify::new());
        let ends_at_start = *ends.borrow();
        let watcher = Watcher {
            local: self.clone(),
            range: range.clone(),
            after,
            changed: self.changed.subscribe(),
            ends_at_start,
            ends,
            progress: progress.clone(),
            advance,
            ended: false,
        };
        Watch::new(
            stream::unfold(
                watcher,
                |mut watcher| async move { Some((watcher.next().await?, watcher)) },
            ),
            progress,
        )
    }
}

impl Watcher {
    async fn next(&mut self) -> Option<Result<WatchEvent, Error>> {
        let mut progress = false;
        loop {
            if self.ended {
                return None;
            }
            let due = (self.advance)(Instant::now());
            // Marked as seen before the state is read: a change after that wakes us again.
            self.changed.mark_unchanged();
            let ends = *self.ends.borrow_and_update();
            if ends != self.ends_at_start {
                self.ended = true;
                return (ends.cancelled != self.ends_at_start.cancelled).then(|| {
                    Err(Error::Unavailable {
                        doing: "watch",
                        source: "the watch was cancelled".into(),
                    })
                });
            }
            if let Some(event) = self.read() {
                self.ended = matches!(event, WatchEvent::Compacted { .. });
                return Some(Ok(event));
            }
            if progress {
                return Some(Ok(WatchEvent::Progress { revision: self.after }));
            }
            tokio::select! {
                changed = self.changed.changed() => changed.expect("the sender is in `local`, which we hold"),
                open = self.ends.changed() => if open.is_err() {
                    self.ended = true;
                    return Some(Err(Error::Closed));
                },
                () = self.progress.notified() => progress = true,
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    fn read(&mut self) -> Option<WatchEvent> {
        let core = self.local.lock();
        let oldest = core.oldest();
        if self.after < oldest {
            return Some(WatchEvent::Compacted { oldest });
        }
        if let Some((revision, changes)) = core.next_batch(&self.range, self.after) {
            self.after = revision;
            return Some(WatchEvent::Batch { revision, changes });
        }
        // Never back: a watch may start after a revision that is still to come.
        self.after = self.after.max(core.revision());
        None
    }
}
