//! Tells source tasks that something happened to their file: one inotify watcher for the whole process.
//!
//! Hints only. A missed one costs a second, because every task also looks at its file once a second.

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::AccessKind, event::AccessMode};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tracing::warn;

/// Who waits for news of which file, by directory.
type Subscribers = Arc<Mutex<HashMap<PathBuf, Vec<(OsString, Arc<Notify>)>>>>;

/// Shared by the process, and therefore global: each watcher costs a thread and one of 128 inotify instances that a user
/// has by default, and a plugin's `make` gets nothing passed in that could hold it.
static WATCHER: Mutex<Option<Shared>> = Mutex::new(None);

struct Shared {
    watcher: RecommendedWatcher,
    /// Locked by the watcher's thread for every event, so it is never held across a call into `watcher`, which waits for
    /// that thread.
    subscribers: Subscribers,
}

/// News of one file, until dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    directory: PathBuf,
    news: Arc<Notify>,
}

impl Watch {
    /// Begins to watch the directory of `path`, which has to exist: the file may come later. Blocks shortly. `news` is
    /// notified when something happened to the file.
    pub(crate) fn new(path: &Path, news: Arc<Notify>) -> Result<Self, notify::Error> {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let directory = std::fs::canonicalize(parent).map_err(notify::Error::io)?;
        let name = path.file_name().unwrap_or(OsStr::new("")).to_owned();
        let mut shared = lock(&WATCHER);
        let shared = match &mut *shared {
            Some(shared) => shared,
            empty @ None => empty.insert(Shared::new()?),
        };
        let first = {
            let mut subscribers = lock(&shared.subscribers);
            let waiting = subscribers.entry(directory.clone()).or_default();
            waiting.push((name, news.clone()));
            waiting.len() == 1
        };
        if first && let Err(error) = shared.watcher.watch(&directory, RecursiveMode::NonRecursive) {
            forget(shared, &directory, &news);
            return Err(error);
        }
        Ok(Self { directory, news })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut shared = lock(&WATCHER);
        let Some(shared) = &mut *shared else { return };
        if forget(shared, &self.directory, &self.news)
            && let Err(error) = shared.watcher.unwatch(&self.directory)
        {
            // The directory is gone, and the watch with it.
            tracing::debug!(file.path = %self.directory.display(), %error, "could not end watching a directory");
        }
    }
}

/// Whether nobody is left who waits for this directory.
fn forget(shared: &Shared, directory: &Path, news: &Arc<Notify>) -> bool {
    let mut subscribers = lock(&shared.subscribers);
    let Some(waiting) = subscribers.get_mut(directory) else {
        return false;
    };
    waiting.retain(|(_, other)| !Arc::ptr_eq(other, news));
    let empty = waiting.is_empty();
    if empty {
        subscribers.remove(directory);
    }
    empty
}

impl Shared {
    fn new() -> Result<Self, notify::Error> {
        let subscribers = Subscribers::default();
        let to = subscribers.clone();
        let watcher = notify::recommended_watcher(move |event| on_event(&to, event))?;
        Ok(Self { watcher, subscribers })
    }
}

fn on_event(subscribers: &Subscribers, event: notify::Result<notify::Event>) {
    let subscribers = lock(subscribers);
    let event = match event {
        Ok(event) if !event.need_rescan() => event,
        // Events were dropped: anything may have happened.
        Ok(_) => return subscribers.values().flatten().for_each(|(_, news)| news.notify_one()),
        Err(error) => return warn!(%error, "watching files failed; new lines may take a second to be noticed"),
    };
    // Our own opening and reading is not news.
    if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)) {
        return;
    }
    for path in &event.paths {
        let waiting = path.parent().and_then(|directory| subscribers.get(directory));
        for (name, news) in waiting.into_iter().flatten() {
            if path.file_name() == Some(name) {
                news.notify_one();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Hints only: whatever a panic left behind is good enough.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
