//! The levels of loggers that hold in the whole cluster: taken over by this replica, and told to the agents that call it.

use crate::cache::Cache;
use dray_model::record::LoggerLevels;
use dray_process::log::{Change, Level, Levels};

/// Takes over what is set, and what was. Never returns.
pub(crate) async fn follow(cache: &Cache, levels: &Levels) {
    let mut states = cache.subscribe();
    let mut done = 0;
    loop {
        let now = states.borrow_and_update().loggers.clone();
        for (name, level) in news(&now, &mut done) {
            // A newer version's level is not ours to guess.
            let Some(level) = Level::of(level) else { continue };
            let name = name.to_owned();
            if let Err(error) = levels.set(&Change { name, level }) {
                tracing::warn!(%error, "a level that was set for the cluster is not used");
            }
        }
        if states.changed().await.is_err() {
            return; // the cache has ended
        }
    }
}

/// What was set after the change of this number, which becomes the last one's.
pub(crate) fn news<'a>(levels: &'a LoggerLevels, done: &mut u64) -> Vec<(&'a str, &'a str)> {
    let before = std::mem::replace(done, levels.last.max(*done));
    let news = levels.levels.iter().filter(|level| level.number > before);
    news.map(|level| (level.name.as_str(), level.level.as_str())).collect()
}
