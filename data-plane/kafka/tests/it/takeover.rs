//! A source task is taken over while its process is stopped, and then the process wakes up: on a compacted topic no key goes back to an
//! older value. The processes are `takeover/source.rs`, each behind a gate of its own, on the real broker.

mod gate;
mod log;
pub(crate) mod source;

use super::*;
use crate::session::zombie::Zombie;
use dray_kafka::port::TailRecord;
use gate::{Gate, Hold, Late};
use log::{Log, Stretch};
use std::time::Instant;

const ROUNDS: usize = 100;

/// When a process is stopped. It writes to all partitions without a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    AnyTime,
    /// When the broker has half a request with batches of it.
    HalfABatch,
    /// When the broker has given it its producer id, and nothing was sent under it. The owner before it is stopped as well.
    BeforeItsFirstBatch,
    /// At any time; when it wakes up it has lost its connections, and with them answers.
    CutOff,
}

const MOMENTS: [Moment; 4] = [
    Moment::AnyTime,
    Moment::HalfABatch,
    Moment::BeforeItsFirstBatch,
    Moment::CutOff,
];

/// A process behind its gate.
struct Source {
    process: Zombie,
    gate: Gate,
    generation: u32,
}

impl Source {
    /// One that waits for its turn.
    async fn start(topic: &str, owner: &str, generation: u32) -> Self {
        let gate = Gate::start().await;
        let mut process = Zombie::start(&["source", topic, owner, &generation.to_string(), &gate.address()]);
        process.says("ready").await;
        Self {
            process,
            gate,
            generation,
        }
    }

    fn order(&mut self, order: &[u8]) {
        let stdin = self.process.child.stdin.as_mut().expect("piped");
        std::io::Write::write_all(stdin, order).expect("written");
    }

    /// Has it go on where the partitions end, until it has an acknowledgement of each.
    async fn takes_over(&mut self) {
        self.order(b"go\n");
        self.process.says("took").await;
    }

    /// Wakes it up, and waits until it has noticed that somebody else is the owner. Says what it knows to be stored.
    async fn wakes_up_fenced(&mut self) -> Stored {
        self.process.signal("-CONT");
        self.gate.let_go();
        tokio::select! {
            biased;
            () = self.gate.stores_late() => {
                panic!("of owner {} is stored what came after its successor's: {:?}", self.generation, self.gate.late())
            }
            stored = Stored::last_words(&mut self.process, self.generation, "fenced InvalidProducerEpoch ") => stored,
        }
    }
}

/// What an owner has acknowledgements of, by partition.
struct Stored {
    generation: u32,
    partitions: Vec<Stretch>,
}

impl Stored {
    /// What a process says before it ends, which has to begin so.
    async fn last_words(process: &mut Zombie, generation: u32, begin: &str) -> Self {
        let words = process.says("").await;
        let rest = words
            .strip_prefix(begin)
            .unwrap_or_else(|| panic!("{generation}: {words}"));
        let partitions = rest
            .split(' ')
            .map(|stretch| stretch.parse().expect("a stretch"))
            .collect();
        assert_eq!(process.line().await, None, "and ends");
        assert!(process.child.wait().expect("ours").success(), "{generation}: {words}");
        Self { generation, partitions }
    }
}

/// What the rounds came to.
#[derive(Debug, Default)]
struct Tally {
    /// Processes of which a batch came after they had been woken up, and was refused.
    refused: usize,
    batches: usize,
}

impl Tally {
    fn add(&mut self, late: Late) {
        assert_eq!((late.stored, late.other), (0, 0), "{late:?}");
        self.refused += usize::from(late.refused > 0);
        self.batches += late.refused;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_wakes_up_after_its_successor_began_takes_no_key_back() {
    let port = RdKafka::new();
    // Its one segment is never compacted: all that was stored can be looked at.
    let topic = topic(
        &port,
        "taken-over",
        source::PARTITIONS,
        &[("cleanup.policy", "compact")],
    )
    .await;
    let name = unique("dray-source-0");
    let began = Instant::now();
    let (mut tally, mut stored) = (Tally::default(), Vec::new());
    let mut owner = Source::start(&topic, &name, 1).await;
    owner.takes_over().await;
    for moment in MOMENTS.into_iter().cycle().take(ROUNDS) {
        let mut next = Source::start(&topic, &name, owner.generation + 1).await;
        if moment == Moment::HalfABatch {
            owner.gate.hold(Hold::HalfABatch);
            owner.gate.holds().await;
        }
        owner.process.stop().await;
        if moment == Moment::CutOff {
            owner.gate.cut();
        }
        let mut stopped = vec![owner];
        if moment == Moment::BeforeItsFirstBatch {
            next.gate.hold(Hold::ProducerId);
            next.order(b"go\n");
            next.gate.holds().await;
            next.process.stop().await;
            next.gate.let_go();
            let after = Source::start(&topic, &name, next.generation + 1).await;
            stopped.push(std::mem::replace(&mut next, after));
        }
        next.takes_over().await;
        owner = next;
        for zombie in &mut stopped {
            zombie.gate.is_to_be_woken().await;
            stored.push(zombie.wakes_up_fenced().await);
            tally.add(zombie.gate.late());
        }
    }
    owner.order(b"end\n");
    stored.push(Stored::last_words(&mut owner.process, owner.generation, "ended ").await);
    let took = began.elapsed();

    let log = read_log(&port, &topic).await;
    // Records that came to a partition between a successor's look at its end and its own first one.
    let mut between = 0;
    for Stored { generation, partitions } in &stored {
        for (told, partition) in partitions.iter().zip(0..) {
            log.check(*generation, partition, *told)
                .unwrap_or_else(|wrong| panic!("{wrong}"));
            if told.count > 0 {
                between += told.offset - told.first as i64;
            }
        }
    }
    let Tally { refused, batches } = tally;
    eprintln!(
        "take-over: {ROUNDS} rounds in {took:?}; {batches} batches of {refused} processes came after these were woken up, and were refused; \
         {between} records of {} came just before their successor's first",
        log.records
    );
    // Otherwise nothing was shown.
    assert!(refused > 0, "no batch came late");
}

/// Reads all of the topic, and holds every record against the rules.
async fn read_log(port: &RdKafka, topic: &str) -> Log {
    let mut log = Log::default();
    let mut tail = port.tail(&config(&[]), topic).expect("a tail");
    let mut visit = |record: TailRecord<'_>| {
        let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
        let added = log.add(record.partition, record.offset, key, value);
        added.unwrap_or_else(|wrong| panic!("{wrong}"));
    };
    tail.read_to_end(PATIENCE, &mut visit).await.expect("read");
    log
}
