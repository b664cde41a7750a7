//! Scripted faults: what shall go wrong at the n-th request of an API. A fault fires once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;

use crate::sync::lock;

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is not applied; the answer carries this error wherever it has room for one.
    Error(ResponseError),
    /// The request is applied after this long, and answered as usual.
    Delay(Duration),
    /// The connection is closed; the request is not applied.
    CutBefore,
    /// The request is applied; then the connection is closed instead of answering.
    CutAfter,
    /// The request is applied, the answer says for how long the client is throttled, and as Kafka does it, nothing more
    /// is read from this connection for that long.
    Throttle(Duration),
    /// Metadata only: the answer names a leader that is gone, as one of an old state of the cluster does.
    OldLeader,
    /// Metadata only: the answer does not know the topics yet, while it knows the broker.
    MissingTopics,
}

/// The script. Requests of all connections are counted together, in the order in which they arrive.
#[derive(Debug, Default)]
pub struct Faults {
    apis: Mutex<HashMap<ApiKey, Script>>,
}

#[derive(Debug, Default)]
struct Script {
    seen: u64,
    /// The number of the request, counted from the start of the broker, and what happens to it.
    pending: Vec<(u64, Fault)>,
}

impl Faults {
    /// Lets `fault` happen to the `nth` request of `api` from now on; 1 is the next one, and 0 means the same.
    pub fn inject(&self, api: ApiKey, nth: u64, fault: Fault) {
        let mut apis = lock(&self.apis);
        let script = apis.entry(api).or_default();
        let number = script.seen.saturating_add(nth.max(1));
        script.pending.push((number, fault));
    }

    /// Lets `fault` happen to each of the next `count` requests of `api`.
    pub fn inject_all(&self, api: ApiKey, count: u64, fault: Fault) {
        for nth in 1..=count {
            self.inject(api, nth, fault);
        }
    }

    /// How many requests of `api` have arrived since the start.
    #[must_use]
    pub fn seen(&self, api: ApiKey) -> u64 {
        lock(&self.apis).get(&api).map_or(0, |script| script.seen)
    }

    /// How many scripted faults of `api` have not happened yet.
    #[must_use]
    pub fn pending(&self, api: ApiKey) -> usize {
        lock(&self.apis).get(&api).map_or(0, |script| script.pending.len())
    }

    /// Forgets every fault that has not happened yet.
    pub fn clear(&self) {
        for script in lock(&self.apis).values_mut() {
            script.pending.clear();
        }
    }

    /// Counts a request and takes what shall happen to it.
    pub(crate) fn next(&self, api: ApiKey) -> Option<Fault> {
        let mut apis = lock(&self.apis);
        let script = apis.entry(api).or_default();
        script.seen += 1;
        let at = script.pending.iter().position(|(number, _)| *number == script.seen)?;
        Some(script.pending.remove(at).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_from_now_fires_once() {
        let faults = Faults::default();
        assert_eq!(faults.next(ApiKey::Fetch), None);
        faults.inject(ApiKey::Fetch, 2, Fault::CutBefore);
        assert_eq!(faults.next(ApiKey::Produce), None);
        assert_eq!(faults.next(ApiKey::Fetch), None);
        assert_eq!(faults.next(ApiKey::Fetch), Some(Fault::CutBefore));
        assert_eq!(faults.next(ApiKey::Fetch), None);
        assert_eq!((faults.seen(ApiKey::Fetch), faults.pending(ApiKey::Fetch)), (4, 0));
    }
}
