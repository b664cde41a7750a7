//! Many connectors in one process.

use crate::harness::{Dray, bootstrap, lines, process_status, unique, wait_until};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// Threads by name, and resident kilobytes of a process that runs so many source connectors, all of which have sent their lines.
fn sources(count: usize) -> (BTreeMap<String, usize>, u64) {
    let mut dray = Dray::new(&bootstrap());
    let topic = unique("fleet");
    for number in 0..count {
        let file = dray.path(&format!("source-{number}.txt"));
        fs::write(&file, lines(0..10)).unwrap();
        dray.connector(
            &format!("{topic}-{number}"),
            &[
                ("connector.class", "FileStreamSource"),
                ("file", &file.display().to_string()),
                ("topic", &topic),
                ("topic.creation.default.partitions", "1"),
                ("topic.creation.default.replication.factor", "1"),
            ],
        );
    }
    dray.start();
    // Offsets are committed once the lines are durable: the offsets file names every source then.
    let offsets = dray.path("connect.offsets");
    let committed = || {
        let bytes = fs::read(&offsets).unwrap_or_default();
        String::from_utf8_lossy(&bytes).matches("\"position\"").count()
    };
    wait_until(
        Duration::from_secs(120),
        || committed() == count,
        || format!("{} of {count}\n{}", committed(), dray.tail()),
    );
    let seen = (thread_names(dray.pid()), process_status(dray.pid(), "VmRSS"));
    assert!(dray.terminate().success(), "{}", dray.tail());
    seen
}

/// How many threads of each name a process has.
fn thread_names(pid: u32) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        // A thread may end while we look.
        let name = fs::read_to_string(thread.unwrap().path().join("comm")).unwrap_or_default();
        *names.entry(name.trim().to_owned()).or_default() += 1;
    }
    names
}

#[test]
fn threads_do_not_grow_with_source_tasks() {
    let (few, few_rss) = sources(10);
    let (many, many_rss) = sources(200);
    println!("10 connectors: {few:?}, {few_rss} kB; 200 connectors: {many:?}, {many_rss} kB");
    // File calls and tokio's other blocking calls share a pool that varies with what runs at the moment of looking; it is
    // bounded, whatever the number of tasks.
    let total = |names: &BTreeMap<String, usize>| names.values().sum::<usize>();
    // The pool has 24 threads at most.
    assert!(total(&many) <= total(&few) + 40, "10 sources: {few:?}; 200: {many:?}");
}
