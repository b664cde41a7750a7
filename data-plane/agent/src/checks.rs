//! Tasks that were thrown out of their group ask whether they are still the owners before they join again (rule F4).

use dray_model::Generation;
use dray_model::message::Owned;
use dray_runtime::rejoin::MayRejoin;
use dray_session::Event;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// The questions of a session.
pub(crate) struct Checks {
    state: Mutex<State>,
    events: mpsc::Sender<Event>,
}

#[derive(Default)]
struct State {
    /// What runs here, by its generation, which no other has.
    owned: HashMap<Generation, Owned>,
    waiting: HashMap<Generation, Vec<oneshot::Sender<bool>>>,
}

impl Checks {
    pub(crate) fn new(events: mpsc::Sender<Event>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            events,
        })
    }

    /// What the runtime asks through.
    pub(crate) fn hook(self: &Arc<Self>) -> MayRejoin {
        let checks = self.clone();
        MayRejoin::new(move |_, generation| {
            let checks = checks.clone();
            Box::pin(async move { checks.ask(generation).await })
        })
    }

    async fn ask(&self, generation: Generation) -> bool {
        let (sender, answer) = oneshot::channel();
        let owned = {
            let mut state = self.state();
            let Some(owned) = state.owned.get(&generation).copied() else {
                return false; // it has ended here
            };
            state.waiting.entry(generation).or_default().push(sender);
            owned
        };
        self.events.send(Event::Check(owned)).await.is_ok() && answer.await.unwrap_or(false)
    }

    /// The leader, or Kafka, has answered.
    pub(crate) fn answered(&self, owned: Owned, keep: bool) {
        for asked in self.state().waiting.remove(&owned.generation).into_iter().flatten() {
            let _gone = asked.send(keep); // whoever asked may have ended meanwhile
        }
    }

    pub(crate) fn began(&self, owned: Owned) {
        self.state().owned.insert(owned.generation, owned);
    }

    pub(crate) fn ended(&self, owned: Owned) {
        let mut state = self.state();
        state.owned.remove(&owned.generation);
        state.waiting.remove(&owned.generation);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Held for a few lines that cannot panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dray_model::{ConnectorUid, TaskKey};

    #[tokio::test]
    async fn a_question_is_answered_once_and_never_for_what_has_ended() {
        let (events, mut asked) = mpsc::channel(8);
        let checks = Checks::new(events);
        let task = TaskKey {
            connector: ConnectorUid::FIRST,
            number: 0,
        };
        let owned = Owned {
            task,
            generation: Generation::INITIAL,
        };
        assert!(!checks.ask(owned.generation).await, "nothing of it runs here");
        checks.began(owned);
        for keep in [true, false] {
            let answer = async {
                assert!(matches!(asked.recv().await, Some(Event::Check(of)) if of == owned));
                checks.answered(owned, keep);
            };
            let (said, ()) = tokio::join!(checks.ask(owned.generation), answer);
            assert_eq!(said, keep);
        }
        let end = async {
            asked.recv().await;
            checks.ended(owned);
        };
        let (said, ()) = tokio::join!(checks.ask(owned.generation), end);
        assert!(!said, "it ended while it asked");
    }
}
