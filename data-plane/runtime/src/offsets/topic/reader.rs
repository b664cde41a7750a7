//! Reading the offsets topic: one tail for all tasks, and one read to the end for all who ask at the same time.

use super::{REQUEST_TIMEOUT, failed};
use dray_connect::Result;
use dray_kafka::port::TopicTail;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;

/// The newest value of every key of the topic, by the bytes of the key: what another client wrote counts too.
pub(super) struct Reader {
    topic: String,
    /// How many have asked.
    asked: AtomicU64,
    state: Mutex<State>,
}

/// Values by key.
pub(super) type Values = HashMap<Box<[u8]>, Box<[u8]>>;

struct State {
    tail: Box<dyn TopicTail>,
    values: Values,
    /// All who had asked by this number are served by what was read.
    served: u64,
}

impl Reader {
    pub(super) fn new(tail: Box<dyn TopicTail>, topic: &str) -> Self {
        let state = State {
            tail,
            values: HashMap::new(),
            served: 0,
        };
        Self {
            topic: topic.to_owned(),
            asked: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    /// The values under these keys, as of a moment after this call. Whoever waits for a read that began before he asked
    /// needs another one, which then serves all who wait. Cancel-safe: what was read stays read.
    pub(super) async fn read(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        self.look(|values| {
            let value = |key: &String| values.get(key.as_bytes()).map(|value| value.to_vec());
            keys.iter().map(value).collect()
        })
        .await
    }

    /// Looks at all values, as [`read`](Self::read) does at some.
    pub(super) async fn look<T>(&self, look: impl FnOnce(&Values) -> T) -> Result<T> {
        let ticket = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut state = self.state.lock().await;
        if state.served < ticket {
            let serves = self.asked.load(Ordering::SeqCst);
            let State { tail, values, .. } = &mut *state;
            tail.read_to_end(REQUEST_TIMEOUT, &mut |record| {
                let Some(key) = record.key else { return };
                match record.value {
                    Some(value) => drop(values.insert(key.into(), value.into())),
                    None => drop(values.remove(key)),
                }
            })
            .await
            .map_err(|error| failed("reading", &self.topic, error))?;
            state.served = serves;
        }
        Ok(look(&state.values))
    }
}
