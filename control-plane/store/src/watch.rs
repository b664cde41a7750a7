//! What a watch delivers.

use crate::error::Error;
use crate::types::{Change, Revision};
use futures::StreamExt;
use futures::stream::{BoxStream, Stream};
use std::fmt;
use std::sync::Arc;
use tokio::sync::Notify;

/// A watch. It delivers until it ends, and ends after an error, after [`WatchEvent::Compacted`], and whenever the store likes:
/// whoever watches always has to be able to watch again, after the last revision that was delivered. Nothing is lost or doubled by that.
///
/// A watcher that does not call [`next`](Self::next) costs a bounded amount of memory; it may find its history compacted.
pub struct Watch {
    events: BoxStream<'static, Result<WatchEvent, Error>>,
    /// Holds at most one request.
    progress: Arc<Notify>,
}

/// One step of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// All changes in the range of one revision.
    Batch {
        /// The revision.
        revision: Revision,
        /// Its changes, at least one, each key once, in no particular order.
        changes: Vec<Change>,
    },
    /// Everything up to this revision was delivered. May come at any time, or never.
    Progress {
        /// The revision.
        revision: Revision,
    },
    /// What comes next cannot be delivered any more, nearly always because history is kept only so long. The watch ends: list again.
    Compacted {
        /// The oldest revision from which a watch can start; [`Revision::NEVER`] when the store did not say.
        oldest: Revision,
    },
}

impl Watch {
    /// A watch over a stream. The store answers `progress` when it is notified.
    pub fn new(events: impl Stream<Item = Result<WatchEvent, Error>> + Send + 'static, progress: Arc<Notify>) -> Self {
        Self {
            events: events.boxed(),
            progress,
        }
    }

    /// The next event; `None` once the watch has ended. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<WatchEvent, Error>> {
        self.events.next().await
    }

    /// Asks for a [`WatchEvent::Progress`]. Whether one comes is the store's to say (etcd before 3.4.31 and 3.5.13 cannot be trusted
    /// with it, so none comes): who has to know that a watch has reached a revision also writes a key in its range.
    pub fn request_progress(&self) {
        self.progress.notify_one();
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
