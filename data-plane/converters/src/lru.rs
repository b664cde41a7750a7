//! A small cache that forgets what was not asked for longest.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// At most `limit` values by key.
///
/// Making room looks at every entry. That is only done when something new comes in, which costs far more by itself.
#[derive(Debug)]
pub(crate) struct Lru<K, V> {
    limit: usize,
    clock: u64,
    entries: HashMap<K, (u64, V)>,
}

impl<K: Eq + Hash + Clone, V> Lru<K, V> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            clock: 0,
            entries: HashMap::new(),
        }
    }

    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.clock += 1;
        let (used, value) = self.entries.get_mut(key)?;
        *used = self.clock;
        Some(value)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.limit == 0 {
            return;
        }
        if self.entries.len() >= self.limit && !self.entries.contains_key(&key) {
            let oldest = self
                .entries
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(key, _)| key.clone());
            oldest.and_then(|key| self.entries.remove(&key));
        }
        self.clock += 1;
        self.entries.insert(key, (self.clock, value));
    }

    /// Forgets all others.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&K) -> bool) {
        self.entries.retain(|key, _| is_kept(key));
    }
}

#[cfg(test)]
mod tests {
    use super::Lru;

    #[test]
    fn forgets_the_least_recently_used() {
        let mut cache = Lru::new(2);
        cache.insert("a", 1);
        cache.insert("b", 2);
        assert_eq!(cache.get("a"), Some(&1));
        cache.insert("c", 3);
        assert_eq!(cache.get("b"), None);
        assert_eq!(cache.get("a"), Some(&1));
        assert_eq!(cache.get("c"), Some(&3));
    }

    #[test]
    fn forgets_what_it_is_told_to() {
        let mut cache = Lru::new(2);
        cache.insert("a", 1);
        cache.insert("b", 2);
        cache.retain(|key| *key == "b");
        assert_eq!(cache.get("a"), None);
        assert_eq!(cache.get("b"), Some(&2));
    }

    #[test]
    fn a_limit_of_zero_keeps_nothing() {
        let mut cache = Lru::new(0);
        cache.insert("a", 1);
        assert_eq!(cache.get("a"), None);
    }
}
