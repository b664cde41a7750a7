//! The loop of a member's thread: commands, events of the client, fetched records.

use super::batch::Builder;
use super::client::lock;
use super::consumer::Item;
use super::errors::{from_code, these};
use super::fetch::FetchQueue;
use super::member::{Member, Over, Served};
use crate::error::{Class, Error};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A batch ends here, so that the reader's memory does not depend on the records' size.
const BATCH_BYTES: usize = 1 << 20;
/// How long a command or a rebalance waits at most when no record comes,
const BETWEEN_RECORDS: Duration = Duration::from_millis(10);
/// and when none came for so long: a fleet of idle tasks must not keep a core busy. A record never waits.
const IDLE_AFTER: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_millis(100);
/// How soon room for a batch is noticed while the reader is busy.
const BUSY_WAIT: Duration = Duration::from_millis(1);
/// A reader that is behind for longer gets its partitions paused; librdkafka then drops what it prefetched.
const PAUSE_AFTER: Duration = Duration::from_secs(1);
/// Under the new protocol a group is assigned at most once a second, and who came too early for that hears of it with its next heartbeat,
/// 5 s later. So a member without partitions asks again so often …
const ASK: Duration = Duration::from_millis(400);
/// … but not for ever: in a group of more members than partitions some have none.
const ASK_FOR: Duration = Duration::from_secs(6);
/// Events of the client served in one turn, so that commands get theirs even while something floods the log.
const EVENTS: usize = 1000;

/// Polls until the client is of no more use.
pub(super) fn run(consumer: &BaseConsumer<Member>, max_records: usize) -> Over {
    let member = Arc::clone(consumer.context());
    *lock(&member.fetches) = Some(FetchQueue::new(consumer));
    let over = work(&member, consumer, max_records);
    // The consumer goes after it.
    drop(lock(&member.fetches).take());
    over
}

fn work(member: &Member, consumer: &BaseConsumer<Member>, max_records: usize) -> Over {
    let mut builder = Builder::default();
    let mut held = false;
    let mut last_records = Instant::now();
    let mut asked = Instant::now();
    loop {
        while member.serve(consumer, Duration::ZERO) == Served::Command {}
        if asked.elapsed() > ASK {
            asked = Instant::now();
            member.ask_for_partitions(consumer, ASK_FOR);
        }
        if let Some(over) = member.over() {
            return over;
        }
        // Without a token nothing is read, and the source has said why.
        member.tokens.renew(consumer.client()).ok();
        let idle = last_records.elapsed() > IDLE_AFTER;
        let wait = if idle { IDLE } else { BETWEEN_RECORDS };
        gather(member, consumer, &mut builder, max_records, wait);
        if let Some(over) = member.over() {
            return over;
        }
        if builder.records() == 0 {
            continue;
        }
        let since = Instant::now();
        last_records = since;
        let mut batch = Box::new(builder.take());
        while let Err(back) = member.link.events.push_batch(batch) {
            batch = back;
            if let Some(over) = member.over() {
                return over;
            }
            if since.elapsed() < PAUSE_AFTER {
                member.serve(consumer, BUSY_WAIT);
                continue;
            }
            if !held || member.assigned_anew.swap(false, Ordering::Relaxed) {
                member.hold(consumer, true);
                held = true;
            }
            // Nothing is delivered from held partitions but what slipped through, and that waits in the builder.
            gather(member, consumer, &mut builder, max_records, BUSY_WAIT);
            member.serve(consumer, BUSY_WAIT);
        }
        if held {
            member.hold(consumer, false);
            held = false;
        }
    }
}

/// Takes what is there, up to a batch; waits only for the first record.
fn gather(member: &Member, consumer: &BaseConsumer<Member>, builder: &mut Builder, max_records: usize, wait: Duration) {
    // Rebalances and errors of the client come on the consumer's own queue, records of adopted partitions do not.
    // Under the new protocol each commit and heartbeat leaves a dozen lines of the log there: served one a turn, a rebalance
    // behind them would wait for seconds, and for ever where they come faster.
    for _ in 0..EVENTS {
        let served = member.served.load(Ordering::Relaxed);
        let Some(polled) = consumer.poll(Duration::ZERO) else {
            if member.served.load(Ordering::Relaxed) == served {
                break;
            }
            continue;
        };
        match polled {
            Ok(message) => builder.push_borrowed(&message, &member.link.epochs),
            Err(error) => {
                if member.tentative && unsupported(consumer) {
                    member.over.get_or_init(|| Over::Unsupported);
                } else {
                    member.link.events.push(Item::Error(consume_error(member, &error)));
                }
                return;
            }
        }
    }
    let mut fetches = lock(&member.fetches);
    let Some(fetches) = fetches.as_mut() else { return };
    while builder.records() < max_records && builder.bytes() < BATCH_BYTES {
        let wait = if builder.records() == 0 { wait } else { Duration::ZERO };
        let most = max_records - builder.records();
        let taken = fetches.take(most, wait, &mut |message| match message {
            Ok(message) => builder.push(&message, &member.link.epochs),
            Err(code) => {
                let error = KafkaError::MessageConsumption(code);
                member.link.events.push(Item::Error(consume_error(member, &error)));
            }
        });
        if taken == 0 {
            return;
        }
    }
}

/// Whether the broker refused the group protocol itself.
fn unsupported(consumer: &BaseConsumer<Member>) -> bool {
    let fatal = consumer.client().fatal_error();
    matches!(fatal, Some((Code::UnsupportedFeature | Code::UnsupportedVersion, _)))
}

fn consume_error(member: &Member, error: &KafkaError) -> Error {
    let topics = member.link.topics();
    let what = format!("consuming {}", these(topics.iter().map(String::as_str)));
    if let KafkaError::MessageConsumptionFatal(code) = error {
        let mut fatal = from_code(format!("{what}, group `{}`", member.identity.group), *code);
        if fatal.class == Class::Retriable || *code == Code::Fatal {
            fatal.class = Class::Fatal;
        }
        return fatal;
    }
    member.error(&what, error)
}
