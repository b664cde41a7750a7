//! The levels of a process: by logger, by connector, and of everything else; read for each line that may be written, changed by people.
//!
//! The rules of Connect's `/admin/loggers` (KIP-495, KIP-976) are here: setting a logger sets all that are known and begin with its name.
//! A place in our code has two names, its own and that of what does the same in Java: what was set last counts.

use super::level::Level;
use super::names::{self, CONNECTOR, ROOT};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// Loggers that may have a level of their own: many times what anybody looks at.
const MOST: usize = 2_000;
/// Class names are shorter.
const LONGEST: usize = 512;

/// The levels of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Levels(Arc<RwLock<State>>);

#[derive(Debug)]
struct State {
    root: Set,
    /// Those with a level of their own, by name.
    set: BTreeMap<String, Set>,
    /// Of these, the connectors' by the connectors' names.
    connectors: BTreeMap<String, LevelFilter>,
    /// The most that any of them lets through.
    most: LevelFilter,
    /// Counts changes.
    changes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Set {
    level: Level,
    modified_ms: Option<u64>,
    /// The number of the change that set it.
    change: u64,
}

/// A logger, as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logger {
    /// Its name.
    pub name: String,
    /// Its level, its own or the one that it has from above.
    pub level: Level,
    /// When that was last changed, in milliseconds since 1970; none: since the start it was not.
    pub modified_ms: Option<u64>,
}

/// A level that is to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The logger.
    pub name: String,
    /// Its new level.
    pub level: Level,
}

/// Why a level is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// Its name cannot be one.
    #[error("the name of a logger has 1 to {LONGEST} bytes")]
    Name,
    /// There are so many.
    #[error("{MOST} loggers have a level of their own already; restart the process to forget them")]
    Full,
}

impl Default for Levels {
    fn default() -> Self {
        Self::of_text("")
    }
}

impl Levels {
    /// As `DRAY_LOG` writes them: a level, and `target=level`, with commas. Without a level for everything: INFO.
    pub(super) fn of_text(text: &str) -> Self {
        // A blank text is one target without a name, and what cannot be read must not keep a process from starting.
        let text = Some(text).filter(|text| !text.trim().is_empty()).unwrap_or("info");
        let targets: Targets = text.parse().unwrap_or_default();
        let begin = |filter| Set {
            level: Level::of_filter(filter),
            modified_ms: None,
            change: 0,
        };
        let set = targets
            .iter()
            .map(|(target, filter)| (names::canonical(target), begin(filter)));
        let mut state = State {
            root: begin(targets.default_level().unwrap_or(LevelFilter::INFO)),
            set: set.collect(),
            connectors: BTreeMap::new(),
            most: LevelFilter::OFF,
            changes: 0,
        };
        state.sum_up();
        Self(Arc::new(RwLock::new(state)))
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that are known, those that were set, and `root`, by name; each with the level that holds for it.
    #[must_use]
    pub fn list(&self) -> Vec<Logger> {
        let state = self.read();
        let mut names: BTreeSet<String> = names::known().chain([ROOT]).map(str::to_owned).collect();
        names.extend(state.set.keys().cloned());
        names.iter().map(|name| logger(name, state.of_name(name))).collect()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Logger> {
        let name = names::canonical(name);
        let state = self.read();
        let known = name == ROOT || state.set.contains_key(&name) || names::known().any(|known| known == name);
        known.then(|| logger(&name, state.of_name(&name)))
    }

    /// Sets the level of a logger, and of all that are known and begin with its name. Returns the names of those that had another level,
    /// sorted. The others stay as they are.
    ///
    /// # Errors
    /// When it cannot be set.
    pub fn set(&self, change: &Change) -> Result<Vec<String>, SetError> {
        let name = names::canonical(&change.name);
        if name.is_empty() || name.len() > LONGEST {
            return Err(SetError::Name);
        }
        let names = {
            let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
            let all = state.affected(&name);
            if state.set.len() + all.len() > MOST {
                return Err(SetError::Full);
            }
            state.changes += 1;
            let set = Set {
                level: change.level,
                modified_ms: Some(now_ms()),
                change: state.changes,
            };
            // All are looked at before any is set, or those below would have their new level from above already.
            let with_level = |name: String| {
                let had = state.of_name(&name);
                (name, had)
            };
            let before: Vec<(String, Set)> = all.into_iter().map(with_level).collect();
            let mut names = Vec::new();
            for (name, had) in before {
                let set = if had.level == set.level {
                    Set {
                        change: set.change,
                        ..had
                    }
                } else {
                    set
                };
                if had.level != set.level {
                    names.push(name.clone());
                }
                if name == ROOT {
                    state.root = set;
                } else {
                    state.set.insert(name, set);
                }
            }
            state.sum_up();
            names
        };
        // Places in the code remember whether their lines are wanted. One after the other: of two at once, the one that looked first could
        // have the last word.
        static REBUILDING: Mutex<()> = Mutex::new(());
        let _turn = REBUILDING.lock().unwrap_or_else(PoisonError::into_inner);
        tracing::callsite::rebuild_interest_cache();
        Ok(names)
    }

    /// The most that any logger lets through.
    pub(super) fn most(&self) -> LevelFilter {
        self.read().most
    }

    /// Whether a line may be wanted, whosever it is.
    pub(super) fn may_want(&self, target: &str, level: tracing::Level) -> bool {
        let state = self.read();
        state.connectors.values().any(|filter| level <= *filter) || level <= state.of_target(target)
    }

    /// Whether a connector has a level of its own.
    pub(super) fn has_connectors(&self) -> bool {
        !self.read().connectors.is_empty()
    }

    /// Whether a line is wanted that is about this connector, if it is about one.
    pub(super) fn wants(&self, target: &str, level: tracing::Level, connector: Option<&str>) -> bool {
        let state = self.read();
        let own = connector.and_then(|connector| state.connectors.get(connector));
        level <= own.copied().unwrap_or_else(|| state.of_target(target))
    }
}

impl State {
    /// What holds for a name. One without a level of its own was never modified.
    fn of_name(&self, name: &str) -> Set {
        let own = if name == ROOT {
            Some(&self.root)
        } else {
            self.set.get(name)
        };
        if let Some(own) = own {
            return *own;
        }
        let is_connector = name.starts_with(CONNECTOR);
        let above = if is_connector {
            None
        } else {
            self.nearest(name, separator(name))
        };
        Set {
            modified_ms: None,
            ..above.unwrap_or(self.root)
        }
    }

    /// What holds for lines with this target.
    fn of_target(&self, target: &str) -> LevelFilter {
        if self.set.is_empty() {
            return self.root.level.filter();
        }
        let ours = self.nearest(target, "::");
        let java = names::java(target).and_then(|java| self.nearest(java, "."));
        let last = ours.into_iter().chain(java).max_by_key(|set| set.change);
        last.unwrap_or(self.root).level.filter()
    }

    fn nearest(&self, name: &str, separator: &str) -> Option<Set> {
        let mut name = name;
        loop {
            if let Some(set) = self.set.get(name) {
                return Some(*set);
            }
            name = &name[..name.rfind(separator)?];
        }
    }

    /// The loggers that are set with this one: itself, and all that begin with its name.
    fn affected(&self, name: &str) -> Vec<String> {
        let begins = |other: &str| (name == ROOT || other.starts_with(name)) && !other.starts_with(CONNECTOR);
        let known = names::known().filter(|known| begins(known)).map(str::to_owned);
        let set = self.set.keys().filter(|known| begins(known)).cloned();
        if name.starts_with(CONNECTOR) {
            return vec![name.to_owned()];
        }
        let all: BTreeSet<String> = known.chain(set).chain([name.to_owned()]).collect();
        all.into_iter().collect()
    }

    fn sum_up(&mut self) {
        let connectors = self.set.iter().filter_map(|(name, set)| {
            let name = name.strip_prefix(CONNECTOR)?;
            Some((name.to_owned(), set.level.filter()))
        });
        self.connectors = connectors.collect();
        let levels = self.set.values().chain([&self.root]).map(|set| set.level.filter());
        self.most = levels.max().unwrap_or(LevelFilter::OFF);
    }
}

fn separator(name: &str) -> &'static str {
    if name.starts_with("dray_") { "::" } else { "." }
}

fn logger(name: &str, set: Set) -> Logger {
    Logger {
        name: name.to_owned(),
        level: set.level,
        modified_ms: set.modified_ms,
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::sync::MutexGuard;
    use tracing::Level as L;

    /// Whoever sets a level on a thread without a subscriber makes all places in the code forget that somebody wants their lines.
    pub(in crate::log) fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(levels: &Levels, name: &str, level: Level) -> Vec<String> {
        let name = name.to_owned();
        levels.set(&Change { name, level }).unwrap()
    }

    #[test]
    fn a_java_name_sets_what_does_the_same_here() {
        let _alone = alone();
        let levels = Levels::default();
        let all = [
            "org.apache.kafka.connect.runtime.WorkerS",
            "org.apache.kafka.connect.runtime.WorkerSinkTask",
            "org.apache.kafka.connect.runtime.WorkerSourceTask",
        ];
        assert_eq!(set(&levels, all[0], Level::Debug), all, "all that begin so");
        assert_eq!(set(&levels, all[0], Level::Debug), [""; 0], "it is so already");
        assert!(levels.wants("dray_runtime::sink_task", L::DEBUG, None));
        assert!(!levels.wants("dray_runtime::instance", L::DEBUG, None));
        set(&levels, "dray_runtime.sink_task", Level::Warn);
        assert!(!levels.wants("dray_runtime::sink_task", L::INFO, None));
        assert!(levels.wants("dray_runtime::source_task", L::DEBUG, None));
        assert_eq!(levels.most(), LevelFilter::DEBUG);
        let names = set(&levels, "ROOT", Level::Error);
        assert!(names.contains(&"root".into()) && names.contains(&"dray_runtime::sink_task".into()));
        assert!(!levels.wants("dray_runtime::source_task", L::WARN, None) && !levels.wants("h2", L::WARN, None));
        assert_eq!(levels.most(), LevelFilter::ERROR);
        // What was set last counts, by whichever name.
        set(&levels, "org.apache.kafka.connect", Level::Debug);
        assert!(levels.wants("dray_runtime::sink_task", L::DEBUG, None) && !levels.wants("h2", L::WARN, None));
        set(&levels, "dray_runtime", Level::Off);
        assert!(!levels.wants("dray_runtime::sink_task", L::ERROR, None));
    }

    #[test]
    fn without_a_word_it_is_info() {
        let _alone = alone();
        for text in ["", " ", "dray_kafka=debug", "=,=nonsense"] {
            assert_eq!(
                Levels::of_text(text).get("root").map(|root| root.level),
                Some(Level::Info),
                "{text:?}"
            );
        }
    }

    #[test]
    fn each_is_shown_with_what_holds_for_it() {
        let _alone = alone();
        let levels = Levels::of_text("warn,dray_kafka=debug");
        let all: Vec<String> = levels
            .list()
            .into_iter()
            .map(|one| format!("{} {}", one.name, one.level))
            .collect();
        for line in [
            "dray_kafka DEBUG",
            "dray_kafka::rd::admin DEBUG",
            "dray_rest WARN",
            "root WARN",
        ] {
            assert!(all.iter().any(|other| other == line), "{line} in {all:?}");
        }
        let of = |name: &str| levels.get(name).map(|found| (found.level, found.modified_ms.is_some()));
        assert_eq!(of("Root"), Some((Level::Warn, false)));
        assert_eq!((of("no.such"), of("org.apache")), (None, None));
        // From now on it is known, and was not modified.
        assert_eq!(set(&levels, "no.such", Level::Warn), [""; 0]);
        assert_eq!(of("no.such"), Some((Level::Warn, false)));
        assert_eq!(set(&levels, "no.such", Level::Fatal), ["no.such"]);
        assert_eq!(of("no.such"), Some((Level::Fatal, true)));
        let name = String::new();
        assert_eq!(
            levels.set(&Change {
                name,
                level: Level::All
            }),
            Err(SetError::Name)
        );
    }

    #[test]
    fn a_connector_has_its_own_level() {
        let _alone = alone();
        let levels = Levels::default();
        set(&levels, "dray.connector.a.b", Level::Trace);
        assert!(levels.has_connectors() && levels.may_want("anything", L::TRACE));
        assert!(levels.wants("anything", L::TRACE, Some("a.b")));
        for other in [None, Some("a"), Some("a.b.c")] {
            assert!(!levels.wants("anything", L::DEBUG, other), "{other:?}");
        }
        set(&levels, "root", Level::Error);
        assert!(
            levels.wants("anything", L::TRACE, Some("a.b")),
            "everything else is everything else"
        );
    }

    #[test]
    fn there_are_not_too_many() {
        let _alone = alone();
        let levels = Levels::default();
        let full = (0..=MOST).find_map(|number| {
            let name = format!("x{number}.");
            levels
                .set(&Change {
                    name,
                    level: Level::Debug,
                })
                .err()
        });
        assert_eq!(full, Some(SetError::Full));
    }
}
