//! What a transform or predicate has worked out about a topic, kept for the records that follow.

use std::collections::HashMap;
use std::sync::Arc;

use dray_connect::Result;

/// So many topics are known at a time; at the limit it starts anew. A task has some hundred, and a topic costs about 200
/// bytes here.
const CAPACITY: usize = 1000;

/// A `T` for each topic.
#[derive(Debug)]
pub(crate) struct Topics<T> {
    known: Vec<(Arc<str>, T)>,
    places: HashMap<Arc<str>, usize>,
    /// The place of the topic that was asked for last: most records are of the same topic as the one before.
    latest: usize,
}

impl<T> Default for Topics<T> {
    fn default() -> Self {
        Self {
            known: Vec::new(),
            places: HashMap::new(),
            latest: 0,
        }
    }
}

impl<T> Topics<T> {
    /// What is known about the topic; made the first time.
    #[inline]
    pub(crate) fn get(&mut self, topic: &Arc<str>, make: impl FnOnce(&str) -> Result<T>) -> Result<&mut T> {
        let latest = self.known.get(self.latest);
        let is_latest = latest.is_some_and(|(latest, _)| Arc::ptr_eq(latest, topic));
        if !is_latest {
            self.latest = self.find(topic, make)?;
        }
        Ok(&mut self.known[self.latest].1)
    }

    fn find(&mut self, topic: &Arc<str>, make: impl FnOnce(&str) -> Result<T>) -> Result<usize> {
        if let Some(place) = self.places.get(topic) {
            // The handle that records have now is found by its pointer next time.
            self.known[*place].0 = Arc::clone(topic);
            return Ok(*place);
        }
        let made = make(topic)?;
        if self.known.len() == CAPACITY {
            self.known.clear();
            self.places.clear();
        }
        self.places.insert(Arc::clone(topic), self.known.len());
        self.known.push((Arc::clone(topic), made));
        Ok(self.known.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::Error;

    use super::*;

    #[test]
    fn a_topic_is_worked_out_once_whatever_handle_it_comes_with() {
        let mut topics = Topics::default();
        let mut made = 0;
        for name in ["a", "b", "a", "a", "b"] {
            let found = topics.get(&name.into(), |topic| {
                made += 1;
                Ok(format!("{topic}{made}"))
            });
            assert_eq!(found.unwrap(), if name == "a" { "a1" } else { "b2" });
        }
        assert_eq!(made, 2);
    }

    #[test]
    fn the_same_handle_costs_no_search() {
        let mut topics = Topics::default();
        let topic: Arc<str> = "a".into();
        topics.get(&topic, |_| Ok(1)).unwrap();
        topics.places.clear();
        assert_eq!(topics.get(&topic, |_| Ok(2)).unwrap(), &1);
    }

    #[test]
    fn there_is_a_limit_and_errors_are_not_kept() {
        let mut topics = Topics::default();
        for i in 0..CAPACITY {
            topics.get(&i.to_string().into(), |_| Ok(i)).unwrap();
        }
        assert_eq!(topics.known.len(), CAPACITY);
        let failed = topics.get(&"x".into(), |_| Err(Error::data("no")));
        assert!(failed.is_err());
        assert_eq!(topics.get(&"x".into(), |_| Ok(7)).unwrap(), &7);
        assert_eq!((topics.known.len(), topics.places.len()), (1, 1));
    }
}
