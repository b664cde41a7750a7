//! Which topics the partitions of a reader are of: finds them by name, has them fetched by id, and begins anew with a topic that was
//! deleted and created again under its name.

use super::feed::{Feed, Reset};
use super::hub::Fetching;
use super::inbox::Word;
use super::reader::Shared;
use super::reading::Reading;
use crate::codes::{self, local};
use crate::error::{Class, Error};
use crate::lock::lock;
use crate::port::{Assignment, Start, TopicId};
use crate::wire::metadata::Metadata;
use dray_connect::sink_batch::TopicPartition;
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// A partition that does not exist is looked for so often …
const MISSING: Duration = Duration::from_secs(1);
/// … and its reader told of every so manieth time that it was not found, first when it is gone for this long.
const QUIET: u32 = 10;

/// Looks after the partitions of a reader, until that is gone.
pub(super) struct Following {
    /// What nobody fetches yet.
    wanted: Vec<Wanted>,
    /// Where partitions begin whose topics are known: of these only, when a topic is another.
    starts: Vec<(TopicPartition, Start)>,
    /// Topics that were read and exist no more. A broker that lags behind may still name them, and nothing is read twice.
    gone: HashSet<Uuid>,
    reading: Reading,
    shared: Weak<Shared>,
    fetching: Weak<Fetching>,
    /// Ends with the reader.
    ended: watch::Receiver<()>,
}

struct Wanted {
    place: TopicPartition,
    start: Option<Start>,
    /// An earlier topic of this name has been read.
    again: bool,
}

impl Following {
    pub(super) fn new(
        assignment: &Assignment,
        reading: &Reading,
        (shared, fetching): (&Arc<Shared>, &Arc<Fetching>),
        ended: watch::Receiver<()>,
    ) -> Self {
        let known = |(place, start): &(TopicPartition, Option<Start>)| {
            let start = start.filter(|start| start.topic_id.is_some())?;
            Some((place.clone(), start))
        };
        let wanted = assignment.partitions.iter().cloned();
        Self {
            starts: assignment.partitions.iter().filter_map(known).collect(),
            wanted: wanted
                .map(|(place, start)| Wanted {
                    place,
                    start,
                    again: false,
                })
                .collect(),
            gone: HashSet::new(),
            reading: reading.clone(),
            shared: Arc::downgrade(shared),
            fetching: Arc::downgrade(fetching),
            ended,
        }
    }

    pub(super) async fn run(mut self) {
        let mut tries = 0_u32;
        loop {
            // Nothing is held while it waits: the last reader to go takes the fetchers with it.
            let Some(cluster) = self.fetching.upgrade().map(|fetching| Arc::clone(fetching.cluster())) else {
                return;
            };
            // Before it is looked at, so that no change is missed. A fetcher whose topic is gone has it asked for again.
            let mut changes = cluster.changes();
            let asked = if self.wanted.is_empty() {
                Ok(cluster.metadata())
            } else {
                let topics: BTreeSet<Arc<str>> = self
                    .wanted
                    .iter()
                    .map(|wanted| Arc::clone(&wanted.place.topic))
                    .collect();
                cluster.refresh(&topics.into_iter().collect::<Vec<_>>()).await
            };
            drop(cluster);
            let missing = match asked {
                Ok(metadata) => {
                    self.leave(&metadata);
                    self.place(&metadata)
                }
                Err(error) => Some(error),
            };
            let Some(shared) = self.shared.upgrade() else {
                return;
            };
            tries += 1;
            if let Some(error) = missing
                && (error.class == Class::Fatal || tries.is_multiple_of(QUIET))
            {
                shared.inbox.tell(Word::Error(error));
            }
            drop(shared);
            if !self.wanted.is_empty() {
                tokio::time::sleep(super::backoff(tries).min(MISSING)).await;
                continue;
            }
            tries = 0;
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                // The reader is gone.
                _ = self.ended.changed() => return,
            }
        }
    }

    /// Leaves topics that are others by now.
    fn leave(&mut self, metadata: &Metadata) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let mut left = Vec::new();
        lock(&shared.feeds).all.retain(|feed| {
            let now = metadata.topics.get(&feed.partition.topic).map(|topic| topic.id);
            let other = now.is_some_and(|now| now != feed.topic_id && !now.is_nil() && !self.gone.contains(&now));
            if other {
                left.push(Arc::clone(feed));
            }
            !other
        });
        for feed in left {
            feed.retire();
            self.gone.insert(feed.topic_id);
            let start = self.starts.iter().find(|(place, _)| *place == feed.partition);
            self.wanted.push(Wanted {
                place: feed.partition.clone(),
                start: start.map(|(_, start)| *start),
                again: true,
            });
        }
    }

    /// Has what is there fetched; why the first of the others is not.
    fn place(&mut self, metadata: &Metadata) -> Option<Error> {
        let (shared, fetching) = (self.shared.upgrade()?, self.fetching.upgrade()?);
        let (mut found, mut missing) = (Vec::new(), None);
        let (gone, reading) = (&self.gone, &self.reading);
        self.wanted.retain(|wanted| {
            let place = &wanted.place;
            let topic = metadata
                .topics
                .get(&place.topic)
                .filter(|topic| !gone.contains(&topic.id));
            if let Some(topic) = topic
                && metadata.partition(&place.topic, place.partition).is_some()
            {
                let position = position(wanted, topic.id, reading.reset);
                let how = (Arc::clone(&reading.fetch), reading.reset);
                let inbox = Arc::clone(&shared.inbox);
                found.push(Arc::new(Feed::new(place.clone(), topic.id, position, how, inbox)));
                return false;
            }
            missing.get_or_insert_with(|| {
                let what = format!("reading {place}");
                match metadata.refused.get(&place.topic) {
                    Some(refusal) => codes::error(what, refusal.code, None),
                    None => local(
                        what,
                        "UnknownTopicOrPartition",
                        "there is no such partition",
                        Class::Retriable,
                    ),
                }
            });
            true
        });
        let mut feeds = lock(&shared.feeds);
        if feeds.closed {
            return None;
        }
        feeds.all.extend(found.iter().cloned());
        drop(feeds);
        // Before it is fetched, so that it comes before its records.
        found.iter().for_each(Feed::announce);
        fetching.add(found);
        missing
    }
}

/// Where a partition of the topic with this id begins.
fn position(wanted: &Wanted, topic: Uuid, reset: Reset) -> Option<i64> {
    match wanted.start {
        Some(start) if start.topic_id.is_none() && !wanted.again => Some(start.offset),
        Some(start) if start.topic_id == TopicId::of(topic) || topic.is_nil() => Some(start.offset),
        None if !wanted.again => None,
        // Another topic than the one that was read: all of it is new, also where only what is new is wanted. Its first record has offset
        // 0; a broker that lags behind, asked for where the partition starts, would answer for the old one.
        Some(_) | None => (reset != Reset::None).then_some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_counts_in_its_own_topic_only() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let start = |topic| Start {
            offset: 7,
            topic_id: TopicId::of(topic),
        };
        for (from, again, topic, reset, expected) in [
            (None, false, one, Reset::Earliest, None),
            (None, true, one, Reset::Earliest, Some(0)),
            (None, true, one, Reset::Latest, Some(0)),
            (None, true, one, Reset::None, None),
            (Some(Start::from(7)), false, one, Reset::Earliest, Some(7)),
            (Some(start(one)), false, one, Reset::None, Some(7)),
            (Some(start(one)), false, two, Reset::Latest, Some(0)),
            (Some(start(one)), false, two, Reset::None, None),
            (Some(start(one)), false, Uuid::nil(), Reset::Earliest, Some(7)),
            // What was taken for the topic was an older one yet, and this is the one that was meant.
            (Some(start(one)), true, one, Reset::Earliest, Some(7)),
            (Some(start(one)), true, two, Reset::Earliest, Some(0)),
        ] {
            let wanted = Wanted {
                place: TopicPartition {
                    topic: "t".into(),
                    partition: 0,
                },
                start: from,
                again,
            };
            let found = position(&wanted, topic, reset);
            assert_eq!(found, expected, "{from:?}, again: {again}, {topic}, {reset:?}");
        }
    }
}
