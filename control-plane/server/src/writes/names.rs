//! Which records waiting writes touch.

use dray_machine::cluster::{Name, Write};
use rustc_hash::{FxHashMap, FxHashSet};

/// The names of some writes: those that are changed, and those that are only looked at.
#[derive(Default)]
pub(super) struct Names {
    changed: FxHashSet<Name>,
    seen: FxHashMap<Name, usize>,
}

fn changed(write: &Write) -> impl Iterator<Item = &Name> {
    write.puts.iter().map(|(name, _)| name).chain(&write.deletes)
}

fn seen(write: &Write) -> impl Iterator<Item = &Name> {
    write.compares.iter().map(|(name, _)| name)
}

impl Names {
    /// Whether this write has to wait for one of those: it changes what they look at, or looks at what they change.
    pub(super) fn hinder(&self, write: &Write) -> bool {
        changed(write).any(|name| self.seen.contains_key(name) || self.changed.contains(name))
            || seen(write).any(|name| self.changed.contains(name))
    }

    pub(super) fn add(&mut self, write: &Write) {
        self.changed.extend(changed(write).cloned());
        for name in seen(write) {
            *self.seen.entry(name.clone()).or_default() += 1;
        }
    }

    /// Nobody else changes what this one changed, so its names can go.
    pub(super) fn remove(&mut self, write: &Write) {
        for name in changed(write) {
            self.changed.remove(name);
        }
        for name in seen(write) {
            if let Some(count) = self.seen.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.seen.remove(name);
                }
            }
        }
    }
}
