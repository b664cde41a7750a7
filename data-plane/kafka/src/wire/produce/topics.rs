//! Which topics a sender asks for, and when. Pure.

use crate::codes::meaning;
use crate::error::Class;
use crate::wire::metadata::Metadata;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What is to be asked about topics.
#[derive(Debug)]
pub(super) struct Topics {
    /// To be asked for next.
    wanted: BTreeSet<Arc<str>>,
    /// One of them was never asked for: it need not wait because another one had to be asked for again.
    fresh: bool,
    /// Those that lanes wait for, and until when.
    missed: BTreeMap<Arc<str>, Instant>,
    /// All that were ever asked for; asked again when what is known is too old.
    used: BTreeSet<Arc<str>>,
    max_age: Duration,
    /// Nothing is asked again before.
    not_before: Instant,
    begun: Instant,
    old_at: Option<Instant>,
    asking: bool,
    failures: u32,
}

impl Topics {
    pub(super) fn new(max_age: Duration) -> Self {
        Self {
            wanted: BTreeSet::new(),
            fresh: false,
            missed: BTreeMap::new(),
            used: BTreeSet::new(),
            max_age,
            not_before: Instant::now(),
            begun: Instant::now(),
            old_at: None,
            asking: false,
            failures: 0,
        }
    }

    /// Asks for a topic whose partitions have no leader, or another.
    pub(super) fn want(&mut self, topic: Arc<str>) {
        self.fresh |= !self.used.contains(&topic);
        self.wanted.insert(topic);
    }

    /// Asks for a topic that is not known until it is, not longer than this.
    pub(super) fn miss(&mut self, topic: Arc<str>, until: Instant) {
        self.missed.entry(Arc::clone(&topic)).or_insert(until);
        self.want(topic);
    }

    /// When there will be something to ask; none while there is nothing, or somebody is asking.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.asking {
            return None;
        }
        let at = if self.fresh { self.begun } else { self.not_before };
        let wanted = (!self.wanted.is_empty()).then_some(at);
        wanted.into_iter().chain(self.old_at).min()
    }

    /// The topics to ask for now.
    pub(super) fn ask(&mut self, now: Instant) -> Option<Vec<Arc<str>>> {
        if self.due().is_none_or(|at| at > now) {
            return None;
        }
        if self.old_at.is_some_and(|at| at <= now) {
            self.wanted.extend(self.used.iter().cloned());
        }
        self.old_at = Some(now + self.max_age);
        (self.asking, self.fresh) = (true, false);
        self.used.extend(self.wanted.iter().cloned());
        Some(std::mem::take(&mut self.wanted).into_iter().collect())
    }

    /// Somebody was asked, and answered or not. How many questions before this one were of no use.
    pub(super) fn refreshed(&mut self, answered: bool) -> u32 {
        self.asking = false;
        if answered {
            self.failures = 0;
        } else {
            self.failures = self.failures.saturating_add(1);
            self.wanted.extend(self.missed.keys().cloned());
        }
        self.failures
    }

    /// What is still missing is asked for again, with all else, not before this.
    pub(super) fn keep_missed(&mut self, metadata: &Metadata, again: Instant) {
        let now = Instant::now();
        let is_final = |code| meaning(code).is_none_or(|(_, class)| class != Class::Retriable);
        self.missed.retain(|topic, until| {
            let refused = metadata
                .refused
                .get(topic)
                .is_some_and(|refusal| is_final(refusal.code));
            *until > now && !refused && !metadata.topics.contains_key(topic)
        });
        self.wanted.extend(self.missed.keys().cloned());
        self.not_before = again;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_question_at_a_time_and_again_when_it_is_old() {
        let mut topics = Topics::new(Duration::from_secs(300));
        let now = Instant::now();
        assert_eq!((topics.due(), topics.ask(now)), (None, None));
        topics.want("a".into());
        assert_eq!(topics.ask(now), Some(vec!["a".into()]));
        topics.miss("b".into(), now + Duration::from_secs(10));
        assert_eq!(topics.ask(now), None, "somebody is asking");
        topics.refreshed(true);
        topics.keep_missed(&Metadata::default(), now + Duration::from_millis(100));
        assert_eq!(topics.ask(now), Some(vec!["b".into()]), "it was not asked for yet");
        topics.refreshed(true);
        topics.keep_missed(&Metadata::default(), now + Duration::from_millis(100));
        assert_eq!(topics.ask(now), None, "not at once again");
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(topics.ask(Instant::now()), Some(vec!["b".into()]));
        tokio::time::advance(Duration::from_secs(10)).await;
        topics.refreshed(true);
        topics.keep_missed(&Metadata::default(), Instant::now());
        assert_eq!(topics.ask(Instant::now()), None, "nobody waits any more");
        tokio::time::advance(Duration::from_secs(290)).await;
        assert_eq!(topics.ask(Instant::now()), Some(vec!["a".into(), "b".into()]));
    }
}
