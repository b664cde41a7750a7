//! Control planes that die: one of three, or all of them with their etcd.

use crate::cluster::{Cluster, sink};
use crate::kafka::{check_offsets, create_topics};
use crate::process::{PATIENCE, wait_until};
use crate::servers::{Etcd, shared_broker, shared_etcd};
use crate::turn;
use std::time::{Duration, Instant};

const PACE: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread")]
async fn tasks_do_not_notice_that_the_leader_dies() {
    let _turn = turn::alone().await;
    let mut cluster = Cluster::start(&shared_etcd(), &shared_broker(), 3, 2).await;
    let traffic = cluster.under_load(6, 6, PACE).await;
    let before = cluster.owners();
    let leader = cluster.admin.leader_but(None).await;
    let (name, topic) = (format!("late-{}", cluster.id), format!("late-{}", cluster.id));
    create_topics(&cluster.bootstrap, std::slice::from_ref(&topic)).await;

    let place = cluster
        .controls
        .iter()
        .position(|control| control.name == leader)
        .unwrap();
    let killed = Instant::now();
    cluster.controls[place].kill();
    cluster
        .admin
        .create(&name, &sink(&topic, &cluster.path("late.txt")))
        .await;
    println!(
        "kill -9 of the leader: the next configuration write was accepted after {:?}; 8 s are required, 6 s the aim",
        killed.elapsed()
    );
    cluster.wait(
        "the connector that was created meanwhile is RUNNING",
        PATIENCE,
        |audit| {
            let tasks = audit.tasks();
            let own: Vec<_> = tasks.iter().filter(|((of, _), _)| *of == name).collect();
            own.len() == 2 && own.iter().all(|(_, seen)| seen.runs())
        },
    );
    println!("the connector that it created is RUNNING after {:?}", killed.elapsed());
    let next = cluster.admin.leader_but(Some(&leader)).await;
    cluster.wait("both agents are back", PATIENCE, |audit| {
        audit.agents().values().filter(|agent| agent.link == 2).count() == 2
    });
    cluster.wait_for_flow(&traffic, PATIENCE);
    let (flow, gap) = traffic.longest_gap(killed - Duration::from_secs(1), Instant::now());
    println!("from {leader} to {next}: the longest gap in any task's sequence was {gap:?} ({flow})");
    cluster.controls[place].start_again();
    cluster.admin.delete(&name).await;
    cluster.wait("the connector is deleted", PATIENCE, |audit| audit.tasks().len() == 24);
    assert_eq!(cluster.owners(), before, "nothing was restarted\n{}", cluster.report());
    println!("{}", cluster.check(traffic));
}

/// How long everything is away; `make e2e` asks for 10 minutes.
fn away() -> Duration {
    let seconds = std::env::var("DRAY_TEST_AWAY")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

#[tokio::test(flavor = "multi_thread")]
async fn data_flows_while_the_whole_control_plane_is_away() {
    let _turn = turn::shared().await;
    let folder = tempfile::tempdir().unwrap();
    let etcd = Etcd::start(folder.path(), 1);
    let mut cluster = Cluster::start_in(folder, &etcd.endpoints(), &shared_broker(), 2, 2).await;
    let traffic = cluster.under_load(4, 4, PACE).await;
    let before = cluster.owners();
    let sessions =
        |cluster: &Cluster| -> Vec<u64> { cluster.audit.agents().values().map(|agent| agent.session).collect() };
    let sessions_before = sessions(&cluster);

    let gone = Instant::now();
    for control in &mut cluster.controls {
        control.kill();
    }
    etcd.kill_all();
    let committed = |cluster: &Cluster| check_offsets(&cluster.bootstrap, &cluster.offsets_topic(), &cluster.id);
    let mut last = committed(&cluster);
    while gone.elapsed() < away() {
        cluster.wait_for_flow(&traffic, PATIENCE);
        // Sources and sinks commit all the time, not at the end.
        let mut now = last;
        wait_until(
            PATIENCE,
            || {
                std::thread::park_timeout(Duration::from_secs(5));
                now = committed(&cluster);
                now.0 > last.0 && now.1 > last.1
            },
            || format!("offsets are committed\n{}", cluster.report()),
        );
        last = now;
    }
    let (flow, gap) = traffic.longest_gap(gone, Instant::now());
    println!(
        "{:?} without control plane and etcd: the longest gap in any task's sequence was {gap:?} ({flow})",
        gone.elapsed()
    );

    let back = Instant::now();
    etcd.start_again(1);
    for control in &mut cluster.controls {
        control.start_again();
    }
    cluster.wait("both agents are back", PATIENCE, |audit| {
        audit.synced() && audit.agents().values().filter(|agent| agent.link == 2).count() == 2 && audit.running() == 16
    });
    println!("when it is back, all is known again after {:?}", back.elapsed());
    // Longer than a new leader waits before it moves anything by force.
    let settled = Instant::now() + Duration::from_secs(20);
    wait_until(PATIENCE, || Instant::now() > settled, String::new);
    cluster.wait_for_flow(&traffic, PATIENCE);
    assert_eq!(cluster.owners(), before, "nothing was restarted\n{}", cluster.report());
    assert_eq!(sessions(&cluster), sessions_before, "the sessions go on");
    println!("{}", cluster.check(traffic));
}
