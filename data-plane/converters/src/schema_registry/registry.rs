//! A registry as the converters of a process share it: what it has answered, and what it is being asked. A question is asked once, however
//! many wait for it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use dray_connect::Result;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::api::{Failure, Found, Question};
use super::config::Config;
use super::http::Http;
use crate::Lookup;
use crate::lru::Lru;

/// Answers that are kept: a schema has some thousand bytes, so that all of them may have some ten million.
const ANSWERS: usize = 5_000;

/// Requests at once, each of which takes one of the threads that may block: a registry that hangs leaves the others to those who need them.
const AT_ONCE: usize = 4;

type Outcome = Result<Arc<Found>, Failure>;

/// A registry.
pub(crate) struct Registry {
    config: Config,
    http: Http,
    at_once: Arc<Semaphore>,
    state: Mutex<State>,
}

struct State {
    known: Lru<Question, (Instant, Arc<Found>)>,
    /// What it has said no to, for a while: a topic may be full of messages with one such schema.
    refused: Lru<Question, (Instant, Failure)>,
    /// What is being asked, and how one hears of it.
    asked: HashMap<Question, watch::Receiver<Option<Outcome>>>,
}

/// Where the answer to one question is put for the converter that lacks it.
pub(crate) type Slot = Arc<Mutex<Option<Outcome>>>;

/// The registries that converters of this process use. Tasks come and go, and each of them makes its own converters; what these ask and have
/// been answered is the same.
static SHARED: LazyLock<Mutex<HashMap<Config, Weak<Registry>>>> = LazyLock::new(Mutex::default);

impl Registry {
    /// The registry of a configuration, which others may use already.
    pub(crate) fn of(config: Config) -> Result<Arc<Self>> {
        let mut shared = lock(&SHARED);
        shared.retain(|_, registry| registry.strong_count() > 0);
        if let Some(registry) = shared.get(&config).and_then(Weak::upgrade) {
            return Ok(registry);
        }
        let registry = Arc::new(Self {
            http: Http::new(&config)?,
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            state: Mutex::new(State {
                known: Lru::new(ANSWERS),
                refused: Lru::new(config.refusals),
                asked: HashMap::new(),
            }),
            config: config.clone(),
        });
        shared.insert(config, Arc::downgrade(&registry));
        Ok(registry)
    }

    /// What is known of a question, unless it is older than that.
    pub(crate) fn known(&self, question: &Question, ttl: Option<Duration>) -> Option<Arc<Found>> {
        let mut state = lock(&self.state);
        let (since, found) = state.known.get(question)?;
        ttl.is_none_or(|ttl| since.elapsed() < ttl).then(|| Arc::clone(found))
    }

    /// Why there was no answer, as long as that counts.
    pub(crate) fn refused(&self, question: &Question) -> Option<Failure> {
        let ttl = match question {
            Question::ById { .. } => self.config.missing_id,
            Question::Latest { .. } | Question::Find { .. } | Question::Register { .. } => self.config.missing_schema,
        };
        let mut state = lock(&self.state);
        let (since, failure) = state.refused.get(question)?;
        (since.elapsed() < ttl).then(|| failure.clone())
    }

    /// Asks, or waits for the answer that another has asked for; either way it is in the slot then.
    pub(crate) fn ask(self: &Arc<Self>, question: Question, slot: Slot) -> Lookup {
        let registry = Arc::clone(self);
        Box::pin(async move {
            let outcome = registry.outcome(&question).await;
            *lock(&slot) = Some(outcome);
        })
    }

    async fn outcome(self: &Arc<Self>, question: &Question) -> Outcome {
        loop {
            let asking = match self.join(question) {
                Joined::First(asking) => asking,
                Joined::Behind(mut answer) => {
                    // It ends without an answer when the one who asked was stopped; then another asks.
                    if let Ok(outcome) = answer.wait_for(Option::is_some).await
                        && let Some(outcome) = &*outcome
                    {
                        return outcome.clone();
                    }
                    continue;
                }
            };
            let outcome = self.ask_patiently(question).await;
            asking.finish(outcome.clone());
            return outcome;
        }
    }

    fn join(self: &Arc<Self>, question: &Question) -> Joined {
        let mut state = lock(&self.state);
        if let Some(answer) = state.asked.get(question) {
            return Joined::Behind(answer.clone());
        }
        let (sender, receiver) = watch::channel(None);
        state.asked.insert(question.clone(), receiver);
        Joined::First(Asking {
            registry: Arc::clone(self),
            question: question.clone(),
            sender,
        })
    }

    /// Asks all servers again and again while they are away, each time after a longer wait.
    async fn ask_patiently(self: &Arc<Self>, question: &Question) -> Outcome {
        let mut tries = 0;
        loop {
            let (registry, asked) = (Arc::clone(self), question.clone());
            let turn = Arc::clone(&self.at_once).acquire_owned().await;
            let asked = tokio::task::spawn_blocking(move || {
                let answer = asked.ask(&registry.http);
                // Only now, also when nobody waits for the answer any more.
                drop(turn);
                answer
            });
            let asked = asked.await;
            let outcome = asked.unwrap_or_else(|_| Err(Failure::Away("the request was given up".to_owned())));
            match outcome {
                Err(Failure::Away(_)) if tries < self.config.retries => {
                    tokio::time::sleep(self.wait(tries)).await;
                    tries += 1;
                }
                outcome => return outcome.map(Arc::new),
            }
        }
    }

    /// Up to the wait of that try, so that not all come back at once.
    fn wait(&self, tries: u32) -> Duration {
        let most = self
            .config
            .backoff
            .saturating_mul(1 << tries.min(16))
            .min(self.config.backoff_max);
        // A new state hashes nothing to something else each time.
        let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), tries) as u32;
        most.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
    }
}

enum Joined {
    First(Asking),
    Behind(watch::Receiver<Option<Outcome>>),
}

/// The one who asks. Others hear of it when it is dropped before there is an answer.
struct Asking {
    registry: Arc<Registry>,
    question: Question,
    sender: watch::Sender<Option<Outcome>>,
}

impl Asking {
    fn finish(self, outcome: Outcome) {
        let mut state = lock(&self.registry.state);
        match &outcome {
            Ok(found) => {
                // With a schema of its own a subject may answer anything.
                if let Question::Register { subject, .. } = &self.question {
                    state.refused.retain(|question| question.subject() != Some(subject));
                }
                let entry = (Instant::now(), Arc::clone(found));
                state.known.insert(self.question.clone(), entry);
            }
            Err(failure @ (Failure::Refused(_) | Failure::Denied(_))) => {
                let entry = (Instant::now(), failure.clone());
                state.refused.insert(self.question.clone(), entry);
            }
            // It may be there again at once, and waits between its tries.
            Err(Failure::Away(_)) => {}
        }
        drop(state);
        self.sender.send_replace(Some(outcome));
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        lock(&self.registry.state).asked.remove(&self.question);
    }
}

/// What a mutex guards is whole whenever it is free, also after a panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
