//! `kill -9` at random moments: nothing is lost, order holds, and only kills repeat lines.

use crate::harness::{Dray, audit, bootstrap, lines, unique, wait_until};
use std::fs;
use std::io::Write as _;
use std::time::Duration;

/// Kills; `make e2e` asks for more.
fn kills() -> u64 {
    std::env::var("DRAY_TEST_KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok())
        .unwrap_or(10)
}

#[test]
fn kill_9_loses_nothing() {
    println!("{}", kill_and_audit(Dray::new(&bootstrap()), kills()));
}

#[test]
fn kill_9_loses_nothing_with_offsets_in_a_topic() {
    let dray = Dray::with_offsets_topic(&bootstrap(), &unique("offsets"));
    println!("{}", kill_and_audit(dray, kills().div_ceil(3)));
}

/// Kills and restarts a pipeline so many times; returns what was seen.
fn kill_and_audit(mut dray: Dray, kills: u64) -> String {
    let (source, sink) = dray.file_to_file(&unique("kill"));
    let mut sent = String::new();
    let size = |path: &std::path::Path| fs::metadata(path).map_or(0, |file| file.len());
    for round in 0..kills {
        let more = lines(round * 20_000..(round + 1) * 20_000);
        sent.push_str(&more);
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&source)
            .unwrap()
            .write_all(more.as_bytes())
            .unwrap();
        let before = size(&sink);
        dray.start();
        // A different moment each round: from before the first record to after the last one.
        let share = (round.wrapping_add(1).wrapping_mul(6_364_136_223_846_793_005) >> 33) % 100;
        let goal = before + (more.len() as u64) * share / 100;
        wait_until(Duration::from_secs(120), || size(&sink) >= goal, || dray.tail());
        dray.kill();
    }
    dray.start();
    dray.wait_for_end(&sink, &sent, Duration::from_secs(120));
    assert!(dray.terminate().success(), "{}", dray.tail());
    let repeated = audit(&sent, &fs::read(&sink).unwrap());
    format!(
        "{kills} kills: {} lines sent, {repeated} repeated",
        sent.lines().count()
    )
}
