//! One replica, one agent: a connector from its creation to its end.

use crate::cluster::{Cluster, sink, source};
use crate::kafka::create_topics;
use crate::process::{PATIENCE, in_order, wait_until};
use crate::servers::{shared_broker, shared_etcd};
use crate::traffic::same_lines;
use crate::turn;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

fn append(file: &Path, lines: std::ops::Range<u32>) {
    let text: String = lines.map(|line| format!("{line:06} grüße\n")).collect();
    let mut file = fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_through_a_topic_into_a_file() {
    let _turn = turn::shared().await;
    let started = Instant::now();
    let mut cluster = Cluster::start(&shared_etcd(), &shared_broker(), 1, 1).await;
    println!("one control and one agent are ready after {:?}", started.elapsed());
    let session = cluster.audit.session("agent-1");
    let (topic, from, to) = (cluster.id.clone(), cluster.path("from.txt"), cluster.path("to.txt"));
    let (reads, writes) = (format!("reads-{topic}"), format!("writes-{topic}"));
    create_topics(&cluster.bootstrap, std::slice::from_ref(&topic)).await;
    append(&from, 0..1000);

    let created = Instant::now();
    cluster.admin.create(&reads, &source(&from, &topic)).await;
    cluster.admin.create(&writes, &sink(&topic, &to)).await;
    cluster.wait_for_running(2, PATIENCE);
    println!(
        "both connectors and their tasks are RUNNING after {:?}",
        created.elapsed()
    );
    wait_until(PATIENCE, || same_lines(&from, &to), || cluster.report());
    println!("1,000 lines have arrived after {:?}", created.elapsed());

    // Paused: nothing moves. What shows that is the sink, which runs and gets nothing.
    cluster.admin.pause(&reads).await;
    let state = |name: &str, state: &'static str| {
        let (name, admin) = (name.to_owned(), &cluster.audit);
        let all = admin.tasks();
        let mut own = all.iter().filter(|((of, _), _)| *of == name);
        own.clone().count() == 2 && own.all(|(_, seen)| seen.state == state)
    };
    wait_until(PATIENCE, || state(&reads, "PAUSED"), || cluster.report());
    append(&from, 1000..1100);
    cluster.admin.pause(&writes).await;
    wait_until(PATIENCE, || state(&writes, "PAUSED"), || cluster.report());
    let arrived = fs::read_to_string(&to).unwrap();
    assert!(!arrived.contains("\n001000 "), "a paused source moves nothing");

    cluster.admin.resume(&writes).await;
    cluster.admin.resume(&reads).await;
    wait_until(PATIENCE, || same_lines(&from, &to), || cluster.report());
    cluster.wait_for_running(2, PATIENCE);

    // Stopped: its tasks are gone, its offsets stay.
    cluster.admin.stop(&reads).await;
    cluster.wait("the source is STOPPED and has no task", PATIENCE, |audit| {
        let tasks = audit.tasks();
        let connector = tasks.get(&(reads.clone(), None));
        connector.is_some_and(|seen| seen.state == "STOPPED") && !tasks.contains_key(&(reads.clone(), Some(0)))
    });
    append(&from, 1100..1200);
    cluster.admin.resume(&reads).await;
    wait_until(PATIENCE, || same_lines(&from, &to), || cluster.report());
    // A machine that stood still for 5 s has cost the agent its session, and with it lines that come again.
    let arrived = fs::read_to_string(&to).unwrap().lines().count();
    let held_up = cluster.audit.session("agent-1") != session;
    assert!(
        arrived == 1200 || held_up && arrived > 1200,
        "nothing is repeated by orderly stops: {arrived} of 1,200\n{}",
        cluster.report()
    );

    for name in [&reads, &writes] {
        cluster.admin.delete(name).await;
    }
    cluster.wait("both connectors are gone", PATIENCE, |audit| audit.tasks().is_empty());
    assert!(
        cluster.admin.status(&reads).await.is_err(),
        "a deleted connector has no status"
    );
    cluster.audit.check();
    for mut process in cluster.agents.drain(..).chain(cluster.controls.drain(..)) {
        let status = process.terminate();
        assert!(in_order(status), "{status:?}\n{}", process.tail());
    }
    println!("the whole life of a connector took {:?}", created.elapsed());
}
