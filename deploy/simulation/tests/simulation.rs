//! 10,000 runs without a failure, each path taken, each mutation caught, each run the same again.

use dray_simulation::{Mutation, Options, catch, report, run, sweep};

/// The runs of `make test`; `make soak` plays others.
const SEEDS: u64 = 10_000;
/// A mutation that survives so many runs is not caught.
const BOUND: u64 = 2_000;

#[test]
fn seeds_pass_and_reach_every_path() {
    let all = sweep(1, SEEDS, None, None);
    let hours = all.seconds / 3_600;
    println!("{}", all.coverage);
    println!(
        "{} seeds, {hours} virtual hours, {} steps in {:.1} s",
        all.seeds,
        all.steps,
        all.took.as_secs_f64()
    );
    for (seed, failure) in &all.failures {
        println!("seed {seed}: {failure}");
    }
    if let Some((seed, failure)) = all.failures.first() {
        println!("{}", report(*seed, None, false));
        panic!("seed {seed}: {failure}\nreplay: make soak SEEDS=1 FROM={seed} TRACE=1");
    }
    assert_eq!(
        all.coverage.missing(),
        Vec::<&str>::new(),
        "a path that is never taken is not tested"
    );
}

#[test]
fn every_mutation_is_caught() {
    let mut survivors = Vec::new();
    for mutation in Mutation::ALL {
        match catch(mutation, 1, BOUND) {
            Some((seed, failure)) => println!("{mutation:?}: seed {seed}: {failure}"),
            None => survivors.push(mutation),
        }
    }
    assert_eq!(survivors, [], "not caught in {BOUND} seeds");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let options = Options {
        trace: true,
        ..Options::default()
    };
    for seed in [1, 7, 77] {
        let (first, second) = (run(seed, options), run(seed, options));
        assert_eq!(
            (first.steps, first.ended_at, &first.failure),
            (second.steps, second.ended_at, &second.failure)
        );
        assert_eq!(first.trace, second.trace);
        let quiet = run(seed, Options::default());
        assert_eq!(
            (first.steps, first.ended_at),
            (quiet.steps, quiet.ended_at),
            "a trace changes nothing"
        );
    }
}
