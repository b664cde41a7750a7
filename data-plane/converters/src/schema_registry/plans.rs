//! What converters have made of schemas, so that a schema that comes or goes again and again is looked at once.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

use crate::lru::Lru;

/// Topics that one schema is kept for. A converter has few, and one with many makes some plans again.
const TOPICS: usize = 16;

/// Plans by the schema that they are for, one for each topic. What was asked for last is found first.
pub(crate) struct Plans<K, V> {
    all: Lru<K, Vec<Arc<V>>>,
    last: Option<Arc<V>>,
}

impl<K: Eq + Hash + Clone, V> Plans<K, V> {
    /// For so many schemas.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            all: Lru::new(limit),
            last: None,
        }
    }

    /// The one that was asked for last, if it is that one.
    #[inline]
    pub(crate) fn last(&self, is_it: impl Fn(&V) -> bool) -> Option<Arc<V>> {
        self.last.as_ref().filter(|last| is_it(last)).cloned()
    }

    pub(crate) fn find<Q: Eq + Hash + ?Sized>(&mut self, key: &Q, is_it: impl Fn(&V) -> bool) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
    {
        let found = self.all.get(key)?.iter().find(|plan| is_it(plan)).cloned()?;
        self.last = Some(Arc::clone(&found));
        Some(found)
    }

    /// Keeps a plan in the place of one of the same topic.
    pub(crate) fn keep(&mut self, key: K, plan: V, same_topic: impl Fn(&V) -> bool) -> Arc<V> {
        let plan = Arc::new(plan);
        let mut all = self.all.get(&key).cloned().unwrap_or_default();
        all.retain(|other| !same_topic(other));
        if all.len() >= TOPICS {
            all.remove(0);
        }
        all.push(Arc::clone(&plan));
        self.all.insert(key, all);
        self.last = Some(Arc::clone(&plan));
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_plan_for_each_topic() {
        let mut plans = Plans::new(1);
        let of = |topic: &'static str| move |plan: &(&str, i32)| plan.0 == topic;
        plans.keep(1, ("a", 1), of("a"));
        plans.keep(1, ("b", 2), of("b"));
        assert!(plans.last(of("a")).is_none());
        assert_eq!(*plans.last(of("b")).unwrap(), ("b", 2));
        assert_eq!(*plans.find(&1, of("a")).unwrap(), ("a", 1));
        assert_eq!(*plans.last(of("a")).unwrap(), ("a", 1));
        plans.keep(1, ("a", 3), of("a"));
        assert_eq!(*plans.find(&1, of("a")).unwrap(), ("a", 3));
        // Schemas beyond the limit are forgotten, and topics beyond theirs.
        plans.keep(2, ("c", 4), of("c"));
        assert!(plans.find(&1, of("a")).is_none());
        for number in 0..20 {
            plans.keep(2, ("t", number), |_| false);
        }
        assert!(plans.find(&2, of("c")).is_none());
    }
}
