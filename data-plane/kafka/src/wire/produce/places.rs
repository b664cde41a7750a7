//! Which partition a record goes to, as Java's producer decides: the one it names, by the murmur2 hash of its key, or without both the
//! same one until its batch is full or sent (KIP-480).

use super::lane_state::LaneState;
use super::settings::Settings;
use super::track::Track;
use crate::codes::{error, local, meaning};
use crate::error::{Class, Error};
use crate::murmur2;
use crate::port::ProduceRecord;
use crate::wire::batch::encode::Open;
use crate::wire::metadata::{Metadata, Refusal};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;

const UNKNOWN_TOPIC: i16 = 3;
const INVALID_TOPIC: i16 = 17;
/// Kafka's own limit for the name of a topic.
const LONGEST_NAME: usize = 249;

/// Where a record goes.
#[derive(Debug)]
pub(super) enum Place {
    /// A track of the lane, by its number.
    Track(usize),
    /// Not known yet: the topic is to be asked for.
    Wait {
        topic: Arc<str>,
        until: Instant,
    },
    Never(Error),
}

/// A topic that the lane writes to.
#[derive(Debug)]
struct Known {
    name: Arc<str>,
    /// Partitions that it has.
    count: i32,
    /// The track of each partition that was written to.
    tracks: Vec<Option<usize>>,
    /// Where records go that say nothing.
    sticky: Option<i32>,
}

/// When a topic, or a partition of it, was first missed.
#[derive(Clone, Copy, Debug)]
struct Missed {
    round: u64,
    since: Instant,
    /// When to look at what is known by then.
    until: Instant,
}

/// The partitions of the topics that a lane writes to.
#[derive(Debug, Default)]
pub(super) struct Places {
    metadata: Arc<Metadata>,
    topics: Vec<Known>,
    numbers: HashMap<Arc<str>, usize>,
    /// That of the record before.
    last: usize,
    missed: HashMap<Arc<str>, Missed>,
    random: u64,
}

impl Places {
    /// Takes in what is known of the cluster now.
    pub(super) fn update(&mut self, metadata: &Arc<Metadata>) {
        if Arc::ptr_eq(metadata, &self.metadata) {
            return;
        }
        self.metadata = Arc::clone(metadata);
        for known in &mut self.topics {
            // One that is away for a moment keeps its partitions; who sends to them finds out.
            if let Some(topic) = metadata.topics.get(&known.name) {
                known.count = topic.partitions.len() as i32;
                known
                    .tracks
                    .resize(topic.partitions.len().max(known.tracks.len()), None);
            }
        }
    }

    /// Whether it is known by now what becomes of a topic that was waited for.
    pub(super) fn is_decided(&self, topic: &str, metadata: &Metadata) -> bool {
        let known = self.number(topic).map_or(0, |number| self.topics[number].count);
        let Some(missed) = self.missed.get(topic) else {
            return true;
        };
        match metadata.topics.get(topic) {
            Some(topic) => topic.partitions.len() as i32 > known || metadata.round > missed.round,
            None => {
                let refusal = metadata.refused.get(topic);
                refusal.is_some_and(|refusal| refusal.round > missed.round && is_final(*refusal))
            }
        }
    }

    fn number(&self, topic: &str) -> Option<usize> {
        self.numbers.get(topic).copied()
    }

    /// Where a record goes. With the `same_topic` as the record before, its name is not compared.
    pub(super) fn of(
        &mut self,
        record: &ProduceRecord<'_>,
        same_topic: bool,
        state: &mut LaneState,
        now: Instant,
        settings: &Settings,
    ) -> Place {
        let last = || self.topics.get(self.last);
        if !same_topic && last().is_none_or(|last| *last.name != *record.topic) {
            match self.number(record.topic).or_else(|| self.learn(record.topic)) {
                Some(number) => self.last = number,
                None => return self.missing(record.topic, now, settings),
            }
        }
        let known = &self.topics[self.last];
        let partition = match (record.partition, record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => murmur2::partition(key, known.count),
            (None, None) => self.sticky(record, state, settings),
        };
        let known = &mut self.topics[self.last];
        let Some(place) = usize::try_from(partition).ok().filter(|_| partition < known.count) else {
            let name = Arc::clone(&known.name);
            return self.no_such_partition(&name, partition, now, settings);
        };
        let track = *known.tracks[place].get_or_insert_with(|| {
            if state.tracks.is_empty() {
                // Most lanes never have another one.
                state.tracks.reserve_exact(1);
            }
            state.tracks.push(Track::new(Arc::clone(&known.name), partition));
            state.tracks.len() - 1
        });
        Place::Track(track)
    }

    /// Takes up a topic that the cluster has.
    fn learn(&mut self, topic: &str) -> Option<usize> {
        let topic = self.metadata.topics.get(topic)?;
        self.missed.remove(&topic.name);
        self.topics.push(Known {
            name: Arc::clone(&topic.name),
            count: topic.partitions.len() as i32,
            tracks: vec![None; topic.partitions.len()],
            sticky: None,
        });
        self.numbers.insert(Arc::clone(&topic.name), self.topics.len() - 1);
        Some(self.topics.len() - 1)
    }

    fn sticky(&mut self, record: &ProduceRecord<'_>, state: &LaneState, settings: &Settings) -> i32 {
        let known = &self.topics[self.last];
        let takes_more = |partition: &i32| {
            let track = known.tracks.get(*partition as usize).copied().flatten();
            track.is_some_and(|track| state.tracks[track].takes_more(Open::bound(record), settings))
        };
        if let Some(partition) = known.sticky.filter(takes_more) {
            return partition;
        }
        let first = (random(&mut self.random) % known.count.max(1) as u64) as i32;
        // Not one that nobody leads, where there is another.
        let led = |partition: &i32| self.metadata.leader(&known.name, *partition).is_some();
        let partition = (first..known.count).chain(0..first).find(led).unwrap_or(first);
        self.topics[self.last].sticky = Some(partition);
        partition
    }

    /// Waits until a partition exists, not longer than the settings say.
    fn no_such_partition(&mut self, topic: &Arc<str>, partition: i32, now: Instant, settings: &Settings) -> Place {
        let count = self.topics[self.last].count;
        let never = || {
            Place::Never(local(
                format!("producing a record to `{topic}`"),
                "UnknownPartition",
                format!("there is no partition {partition}: the topic has {count}"),
                Class::Retriable,
            ))
        };
        if partition < 0 {
            return never();
        }
        let missed = self.missed.get(topic).copied();
        match missed {
            // Asked since, and it is still not there.
            Some(missed) if self.metadata.round > missed.round || now >= missed.until => {
                self.missed.remove(topic);
                never()
            }
            missed => self.wait(topic, missed, now, settings),
        }
    }

    fn missing(&mut self, topic: &str, now: Instant, settings: &Settings) -> Place {
        let what = || format!("producing a record to `{topic}`");
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if topic.is_empty() || topic.len() > LONGEST_NAME || !topic.chars().all(legal) {
            return Place::Never(error(what(), INVALID_TOPIC, Some("a topic cannot have this name")));
        }
        let name: Arc<str> = self
            .missed
            .get_key_value(topic)
            .map_or_else(|| topic.into(), |(name, _)| Arc::clone(name));
        let missed = self.missed.get(topic).copied();
        let Some(known) = missed else {
            return self.wait(&name, None, now, settings);
        };
        let refusal = self.metadata.refused.get(topic).copied();
        let refusal = refusal.filter(|refusal| refusal.round > known.round);
        let late = settings.max_block.is_some_and(|most| known.since + most <= now);
        match refusal {
            Some(refusal) if is_final(refusal) || known.until <= now => {
                self.missed.remove(topic);
                Place::Never(error(what(), refusal.code, None))
            }
            None if late => {
                self.missed.remove(topic);
                Place::Never(error(
                    what(),
                    UNKNOWN_TOPIC,
                    Some("no broker says whether the topic exists"),
                ))
            }
            None if known.until <= now => {
                let until = now + settings.max_missing;
                self.wait(&name, Some(Missed { until, ..known }), now, settings)
            }
            Some(_) | None => self.wait(&name, missed, now, settings),
        }
    }

    fn wait(&mut self, topic: &Arc<str>, missed: Option<Missed>, now: Instant, settings: &Settings) -> Place {
        let known = missed.unwrap_or(Missed {
            round: self.metadata.round,
            since: now,
            until: now + settings.max_missing,
        });
        self.missed.insert(Arc::clone(topic), known);
        Place::Wait {
            topic: Arc::clone(topic),
            until: known.until,
        }
    }
}

/// Whether waiting helps nothing.
fn is_final(refusal: Refusal) -> bool {
    meaning(refusal.code).is_none_or(|(_, class)| class != Class::Retriable)
}

/// Numbers that are spread well enough for a choice of partitions (xorshift).
fn random(state: &mut u64) -> u64 {
    if *state == 0 {
        *state = uuid::Uuid::new_v4().as_u64_pair().0 | 1;
    }
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
