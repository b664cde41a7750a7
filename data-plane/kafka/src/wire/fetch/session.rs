//! An incremental fetch session (KIP-227): what the broker remembers, so that a request says only what has changed. Pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use uuid::Uuid;

/// A partition in a session; there is one of each at most.
pub(super) type Key = (Uuid, i32);

/// What a partition is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) position: i64,
    /// The feed's, not the broker's: the answer is told apart by it.
    pub(super) epoch: u64,
    pub(super) leader_epoch: i32,
    pub(super) max_bytes: i32,
}

impl Asked {
    fn same_to_the_broker(&self, other: &Self) -> bool {
        (self.position, self.leader_epoch, self.max_bytes) == (other.position, other.leader_epoch, other.max_bytes)
    }
}

#[derive(Debug, Default)]
pub(super) struct Session {
    id: i32,
    /// 0: the next request says everything.
    epoch: i32,
    known: HashMap<Key, Known>,
}

/// What the broker knows of a partition, and what it has said of it.
#[derive(Clone, Copy, Debug)]
struct Known {
    asked: Asked,
    /// Where it ends. Said once, and again when it has changed: who reads the partition next would not hear it.
    end: Option<i64>,
}

/// The part of a request that a session decides.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) id: i32,
    pub(super) epoch: i32,
    pub(super) asked: Vec<(Key, Asked)>,
    pub(super) forgotten: Vec<Key>,
}

impl Session {
    /// The next request, that asks for exactly these.
    pub(super) fn next(&mut self, wanted: &HashMap<Key, Asked>) -> Change {
        let full = self.epoch == 0;
        let mut change = Change {
            id: self.id,
            epoch: self.epoch,
            asked: Vec::new(),
            forgotten: Vec::new(),
        };
        if full {
            self.known.clear();
        }
        self.known.retain(|key, _| {
            let kept = wanted.contains_key(key);
            if !kept {
                change.forgotten.push(*key);
            }
            kept
        });
        for (key, asked) in wanted {
            let asked = *asked;
            match self.known.entry(*key) {
                Entry::Occupied(mut known) => {
                    let before = std::mem::replace(&mut known.get_mut().asked, asked);
                    if before.same_to_the_broker(&asked) {
                        continue;
                    }
                }
                Entry::Vacant(new) => drop(new.insert(Known { asked, end: None })),
            }
            change.asked.push((*key, asked));
        }
        change
    }

    /// The next request, that asks for what the last one did; none when everything has to be said.
    pub(super) fn again(&self) -> Option<Change> {
        (self.epoch != 0).then(|| Change {
            id: self.id,
            epoch: self.epoch,
            asked: Vec::new(),
            forgotten: Vec::new(),
        })
    }

    /// What was asked for a partition that the answer names.
    pub(super) fn asked(&self, key: &Key) -> Option<Asked> {
        self.known.get(key).map(|known| known.asked)
    }

    /// The broker has said where a partition ends.
    pub(super) fn ends_at(&mut self, key: &Key, end: i64) {
        if let Some(known) = self.known.get_mut(key) {
            known.end = Some(end);
        }
    }

    /// Where a partition ends, if the broker has said so.
    pub(super) fn end(&self, key: &Key) -> Option<i64> {
        self.known.get(key)?.end
    }

    /// The request that is on its way is not waited for. The broker has taken it in: it knows what it said, and counts it. Where it has
    /// not, it refuses the next one, and is told everything.
    pub(super) fn unheard(&mut self) {
        if self.epoch != 0 {
            self.answered(self.id);
        }
    }

    /// The answer came. A broker without room for another session says 0, and is told everything each time.
    pub(super) fn answered(&mut self, id: i32) {
        if id == 0 {
            (self.id, self.epoch) = (0, 0);
        } else if self.epoch == 0 {
            (self.id, self.epoch) = (id, 1);
        } else {
            self.epoch = self.epoch.checked_add(1).unwrap_or(1);
        }
    }

    /// The broker does not know the session as we do: the next request opens a new one in its place.
    pub(super) fn reset(&mut self) {
        self.epoch = 0;
    }

    /// The connection is another: sessions do not depend on it, but whether the last request arrived is not known.
    pub(super) fn forget(&mut self) {
        (self.id, self.epoch) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The broker's side, as far as a session is concerned.
    #[derive(Default)]
    struct Broker {
        sessions: i32,
        open: Option<(i32, i32)>,
        cached: HashMap<Key, Asked>,
    }

    impl Broker {
        /// The session's id, or an error.
        fn take(&mut self, change: &Change, room: bool) -> Option<i32> {
            if change.epoch == 0 {
                self.cached = change.asked.iter().copied().collect();
                assert!(change.forgotten.is_empty(), "there is nothing to forget");
                self.sessions += 1;
                self.open = room.then_some((self.sessions, 1));
                return Some(self.open.map_or(0, |(id, _)| id));
            }
            let (id, epoch) = self.open?;
            if (id, epoch) != (change.id, change.epoch) {
                return None;
            }
            self.open = Some((id, epoch + 1));
            for key in &change.forgotten {
                assert!(self.cached.remove(key).is_some());
            }
            self.cached.extend(change.asked.iter().copied());
            Some(id)
        }
    }

    proptest! {
        /// Whatever joins and leaves, is lost or forgotten, the broker serves what is wanted and nothing else.
        #[test]
        fn the_broker_knows_what_is_wanted(
            steps in proptest::collection::vec((0..10_u8, proptest::collection::hash_map(0..5_i32, 0..3_i64, 1..5)), 1..60),
        ) {
            let (mut session, mut broker) = (Session::default(), Broker::default());
            let mut last = None;
            for (fault, wanted) in steps {
                let key = |partition| (Uuid::from_u128(1), partition);
                let asked = |position| Asked { position, epoch: 0, leader_epoch: 0, max_bytes: 1 };
                let wanted: HashMap<Key, Asked> = wanted.into_iter().map(|(at, position)| (key(at), asked(position))).collect();
                let again = session.again().filter(|_| last.as_ref() == Some(&wanted));
                let change = session.next(&wanted);
                prop_assert!(again.is_none_or(|again| again == change), "nothing has changed: {change:?}");
                last = Some(wanted.clone());
                match fault {
                    0 => session.forget(),                                     // it never arrived
                    1 => { broker.take(&change, true); session.forget() }      // its answer never did
                    4 => { broker.take(&change, true); session.unheard() }     // nobody waits for its answer
                    5 => session.unheard(),                                    // nor did it arrive
                    2 => { broker.open = None; }                               // evicted
                    _ => {}
                }
                if matches!(fault, 0 | 1 | 4 | 5) { continue; }
                match broker.take(&change, fault != 3) {
                    Some(id) => {
                        session.answered(id);
                        let served: HashMap<Key, Asked> = broker.cached.clone();
                        prop_assert_eq!(served, wanted);
                    }
                    None => session.reset(),
                }
            }
        }
    }
}
