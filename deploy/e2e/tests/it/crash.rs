//! Agents that are killed, and agents that are frozen and come back.

use crate::cluster::Cluster;
use crate::process::PATIENCE;
use crate::servers::{shared_broker, shared_etcd};
use crate::turn;
use std::time::{Duration, Instant};

/// A line for each flow: short against the gaps that are measured.
const PACE: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread")]
async fn the_tasks_of_a_killed_agent_go_on_elsewhere() {
    let _turn = turn::alone().await;
    let mut cluster = Cluster::start(&shared_etcd(), &shared_broker(), 1, 2).await;
    let traffic = cluster.under_load(8, 8, PACE).await;
    let (before, had) = (cluster.owners(), cluster.owned_by("agent-1"));
    assert!(
        had > 0 && cluster.owned_by("agent-2") > 0,
        "both have some\n{}",
        cluster.report()
    );

    let killed = Instant::now();
    cluster.agent_named("agent-1").kill();
    cluster.wait(
        "every task and instance is RUNNING on the other agent",
        PATIENCE,
        |audit| {
            let tasks = audit.tasks();
            tasks.len() == 32 && tasks.values().all(|seen| seen.runs() && seen.agent == "agent-2")
        },
    );
    println!(
        "kill -9 of an agent with {had} of 32 tasks and instances: all are RUNNING elsewhere after {:?}",
        killed.elapsed()
    );
    cluster.wait_for_flow(&traffic, PATIENCE);
    let (flow, gap) = traffic.longest_gap(killed - Duration::from_secs(1), Instant::now());
    println!(
        "the longest gap in any task's sequence at its destination was {gap:?} ({flow}); 3 s are required, 1.5 s the aim"
    );
    let after = cluster.owners();
    for (task, owner) in before.iter().filter(|(_, (agent, _))| agent == "agent-2") {
        assert_eq!(
            after[task], *owner,
            "{task:?} was not the dead agent's, and is not touched"
        );
    }

    let restarted = Instant::now();
    cluster.agent_named("agent-1").start_again();
    cluster.wait("the killed agent is back", PATIENCE, |audit| {
        audit.session("agent-1").is_some()
    });
    println!("started again, it is connected after {:?}", restarted.elapsed());
    cluster.wait_for_flow(&traffic, PATIENCE);
    cluster.let_flow(&traffic);
    println!("{}", cluster.check(traffic));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_frozen_while_its_tasks_moved_commits_nothing() {
    let _turn = turn::alone().await;
    let mut cluster = Cluster::start(&shared_etcd(), &shared_broker(), 1, 2).await;
    let traffic = cluster.under_load(8, 8, PACE).await;
    let (session, had) = (cluster.audit.session("agent-1"), cluster.owned_by("agent-1"));
    assert!(had > 0, "it has some\n{}", cluster.report());

    let before = cluster.owners();
    let frozen = Instant::now();
    cluster.agent_named("agent-1").freeze();
    cluster.wait(
        "every task and instance is RUNNING on the other agent",
        PATIENCE,
        |audit| {
            let tasks = audit.tasks();
            tasks.len() == 32 && tasks.values().all(|seen| seen.runs() && seen.agent == "agent-2")
        },
    );
    println!(
        "SIGSTOP of an agent with {had} of 32 tasks and instances: all are RUNNING elsewhere after {:?}",
        frozen.elapsed()
    );
    cluster.wait_for_flow(&traffic, PATIENCE);
    let (flow, gap) = traffic.longest_gap(frozen - Duration::from_secs(1), Instant::now());
    println!("the longest gap in any task's sequence at its destination was {gap:?} ({flow})");

    let arrived = traffic.arrived();
    let others = before
        .iter()
        .filter(|((_, task), (agent, _))| task.is_some() && agent == "agent-2");
    let gaps = others.map(|((connector, _), _)| arrived[connector].longest_gap(frozen, Instant::now()));
    println!(
        "and in those of the other agent's own tasks {:?}",
        gaps.max().unwrap_or_default()
    );

    let thawed = Instant::now();
    cluster.agent_named("agent-1").thaw();
    cluster.wait("the frozen agent has a new session", PATIENCE, |audit| {
        let now = audit.session("agent-1");
        now.is_some() && now != session
    });
    println!("after SIGCONT it has a new session after {:?}", thawed.elapsed());
    cluster.wait_for_flow(&traffic, PATIENCE);
    let late: usize = traffic
        .arrived()
        .values()
        .map(|arrived| arrived.repeated_since(thawed))
        .sum();
    println!("{late} records came late, after SIGCONT (F11)");
    cluster.let_flow(&traffic);
    println!("{}", cluster.check(traffic));
    assert!(cluster.agent_named("agent-1").runs(), "it went on as the same process");
}
