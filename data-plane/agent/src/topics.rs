//! The topics that tasks here have used, until the leader has stored them.

use dray_runtime::active_topics::ActiveTopics;
use dray_wire::agent::v1::{ActiveTopicsResult, ConnectorTopics};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// A new topic is told so soon, with others that come at the same time.
const SOON: Duration = Duration::from_millis(100);
/// Topics that were told before are told again so often while they are used: after a reset it takes so long until they are back.
const AGAIN: Duration = Duration::from_secs(5);
/// An answer is on its way so long before nobody waits for it any more.
const MARGIN: Duration = Duration::from_secs(5);

/// What the leader does not know yet.
pub(crate) struct News {
    active: ActiveTopics,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    /// The answer that was given last, until it is said to be stored.
    answer: ActiveTopicsResult,
    /// When what is known already may be told again.
    again: Option<Instant>,
}

impl News {
    pub(crate) fn new(active: ActiveTopics) -> Self {
        Self {
            active,
            last: Mutex::default(),
        }
    }

    /// A new stream: whoever asks there has not heard anything yet.
    pub(crate) fn unsaid(&self) {
        self.last().again = None;
    }

    /// What the leader asks for: the answer before, if that is not stored, or what was used since; nothing when the time is nearly over.
    pub(crate) async fn next(&self, stored: u64, within: Duration) -> ActiveTopicsResult {
        let end = Instant::now() + within.saturating_sub(MARGIN);
        loop {
            let again = {
                let mut last = self.last();
                if last.answer.number != stored && !last.answer.connectors.is_empty() {
                    return last.answer.clone();
                }
                let again = *last.again.get_or_insert_with(Instant::now);
                if Instant::now() >= again {
                    let connectors: Vec<_> = self.active.take_used().into_iter().map(wire).collect();
                    if !connectors.is_empty() {
                        last.again = Some(Instant::now() + AGAIN);
                        let number = last.answer.number + 1;
                        last.answer = ActiveTopicsResult { number, connectors };
                        return last.answer.clone();
                    }
                }
                again.max(Instant::now() + AGAIN)
            };
            if Instant::now() >= end {
                let number = stored;
                return ActiveTopicsResult {
                    number,
                    connectors: Vec::new(),
                };
            }
            if timeout_at(again.min(end), self.active.new_one()).await.is_ok() {
                sleep(SOON).await;
                self.last().again = None;
            }
        }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        // Nothing that is done under it panics half-way.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wire(used: dray_runtime::active_topics::UsedTopics) -> ConnectorTopics {
    ConnectorTopics {
        connector: used.connector.as_str().into(),
        uid: used.uid.get(),
        topics: used.topics.iter().map(|topic| topic.to_string()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dray_model::ConnectorUid;
    use dray_runtime::active_topics::TaskTopics;

    const WITHIN: Duration = Duration::from_secs(30);

    fn topics(news: &ActiveTopicsResult) -> Vec<&str> {
        let all = news.connectors.iter().flat_map(|used| &used.topics);
        all.map(String::as_str).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn news_come_until_they_are_stored() {
        let active = ActiveTopics::default();
        let name = "c".try_into().unwrap();
        active.connector(&name, ConnectorUid::FIRST);
        let mut task = TaskTopics::of(active.clone(), name);
        let news = News::new(active);
        let begun = Instant::now();
        assert_eq!(news.next(0, WITHIN).await.connectors, []);
        assert_eq!(begun.elapsed(), WITHIN - MARGIN);

        task.received(&["a".into()]);
        let first = news.next(0, WITHIN).await;
        assert_eq!((first.number, topics(&first)), (1, vec!["a"]));
        // Its answer was lost, or could not be stored.
        assert_eq!(news.next(0, WITHIN).await, first);

        // A new one is told soon, also when others were told a moment ago; what is still used, a little later.
        task.received(&["b".into()]);
        let begun = Instant::now();
        let second = news.next(1, WITHIN).await;
        assert_eq!((second.number, topics(&second)), (2, vec!["b"]));
        assert!(begun.elapsed() < AGAIN);
        task.received(&["a".into()]);
        let begun = Instant::now();
        let third = news.next(2, WITHIN).await;
        assert_eq!((third.number, topics(&third)), (3, vec!["a"]));
        assert_eq!(begun.elapsed(), AGAIN);
        assert_eq!(news.next(3, WITHIN).await.connectors, []);
    }
}
