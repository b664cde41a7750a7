//! Many seeds, on all cores: the only threads of this crate. Each run stays on one.

use crate::{Coverage, Mutation, Options, run};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// So many failures end a sweep: more of them say nothing new.
const ENOUGH: usize = 20;
/// Seeds between two looks whether a mutation was caught.
const BATCH: u64 = 24;

/// What came of many seeds.
#[derive(Default)]
pub struct Sweep {
    /// Seeds that failed, with their reason, in order.
    pub failures: Vec<(u64, String)>,
    /// All that happened.
    pub coverage: Coverage,
    /// How many seeds were played.
    pub seeds: u64,
    /// How many events there were.
    pub steps: u64,
    /// Virtual seconds.
    pub seconds: u64,
    /// How long it took.
    pub took: Duration,
}

/// Plays `seeds` seeds from `from` on; ends early after some failures.
#[must_use]
pub fn sweep(from: u64, seeds: u64, mutation: Option<Mutation>, enough: Option<usize>) -> Sweep {
    let began = Instant::now();
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let next = AtomicU64::new(from);
    let stop = AtomicBool::new(false);
    let options = Options {
        mutation,
        ..Options::default()
    };
    let enough = enough.unwrap_or(ENOUGH);
    let work = || {
        let mut mine = Sweep::default();
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from.saturating_add(seeds) {
                break;
            }
            let outcome = run(seed, options);
            mine.seeds += 1;
            mine.steps += outcome.steps;
            mine.seconds += outcome.ended_at / 1_000;
            mine.coverage.add(&outcome.coverage);
            if let Some(failure) = outcome.failure {
                mine.failures.push((seed, failure));
                if mine.failures.len() >= enough {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        }
        mine
    };
    let mut all = Sweep::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let mine = worker.join().expect("a run that panics is a bug that the panic names");
            all.failures.extend(mine.failures);
            all.coverage.add(&mine.coverage);
            all.seeds += mine.seeds;
            all.steps += mine.steps;
            all.seconds += mine.seconds;
        }
    });
    all.failures.sort();
    all.took = began.elapsed();
    all
}

/// Plays seeds of a mutation until one fails in the way that it must: which, and how. `None`: none of so many did.
#[must_use]
pub fn catch(mutation: Mutation, from: u64, seeds: u64) -> Option<(u64, String)> {
    let mut at = from;
    while at < from + seeds {
        let all = sweep(at, BATCH.min(from + seeds - at), Some(mutation), Some(usize::MAX));
        let caught = |failure: &str| mutation.breaks().iter().any(|start| failure.starts_with(start));
        if let Some(first) = all.failures.into_iter().find(|(_, failure)| caught(failure)) {
            return Some(first);
        }
        at += BATCH;
    }
    None
}

/// A failing seed for people: what, how to see it again, and the end of its trace.
#[must_use]
pub fn report(seed: u64, mutation: Option<Mutation>, whole_trace: bool) -> String {
    let outcome = run(
        seed,
        Options {
            mutation,
            trace: true,
            whole_trace,
        },
    );
    let ended = outcome.ended_at;
    let end = match outcome.failure {
        Some(failure) => {
            format!(
                "seed {seed} fails after {ended} virtual ms: {failure}\nreplay: make soak SEEDS=1 FROM={seed} TRACE=1"
            )
        }
        None => format!(
            "seed {seed} passes, after {ended} virtual ms and {} steps",
            outcome.steps
        ),
    };
    format!("{}\n{end}", outcome.trace.join("\n"))
}
