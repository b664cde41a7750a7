//! Agents that leave in order, for good or for a moment.

use crate::cluster::Cluster;
use crate::process::{PATIENCE, in_order, wait_until};
use crate::servers::{shared_broker, shared_etcd};
use crate::turn;
use std::time::{Duration, Instant};

const PACE: Duration = Duration::from_millis(10);

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_leaves_hands_its_tasks_over() {
    let _turn = turn::alone().await;
    let mut cluster = Cluster::start(&shared_etcd(), &shared_broker(), 1, 2).await;
    let traffic = cluster.under_load(5, 5, PACE).await;
    let (before, had) = (cluster.owners(), cluster.owned_by("agent-1"));
    let asked = Instant::now();
    let status = cluster.agent_named("agent-1").terminate();
    assert!(in_order(status), "{status:?}\n{}", cluster.report());
    println!(
        "an agent with {had} of 20 tasks and instances handed over and ended within {:?}",
        asked.elapsed()
    );
    cluster.wait(
        "every task and instance is RUNNING on the other agent",
        PATIENCE,
        |audit| {
            let tasks = audit.tasks();
            tasks.len() == 20 && tasks.values().all(|seen| seen.runs() && seen.agent == "agent-2")
        },
    );
    cluster.wait_for_flow(&traffic, PATIENCE);
    let (flow, gap) = traffic.longest_gap(asked, Instant::now());
    println!(
        "planned move: the longest gap in any task's sequence was {gap:?} ({flow}); 500 ms are required, 100 ms the aim"
    );
    let after = cluster.owners();
    for (task, owner) in before.iter().filter(|(_, (agent, _))| agent == "agent-2") {
        assert_eq!(
            after[task], *owner,
            "{task:?} has nothing to do with it, and is not touched"
        );
    }

    let log = cluster.agent_named("agent-2").log();
    assert!(
        !log.contains("fenced a dead session"),
        "its last words were heard, so nobody had to be fenced\n{log}"
    );

    // One that joins takes nothing that has just moved: whoever runs goes on.
    let joined = Instant::now();
    cluster.add_agent("agent-3", "");
    cluster.wait("the new agent is connected", PATIENCE, |audit| {
        audit.agents().get("agent-3").is_some_and(|agent| agent.session != 0)
    });
    // Longer than from one look at the balance to the next.
    let balanced = Instant::now() + Duration::from_secs(6);
    wait_until(PATIENCE, || Instant::now() > balanced, String::new);
    cluster.wait_for_flow(&traffic, PATIENCE);
    let (flow, gap) = traffic.longest_gap(joined, Instant::now());
    println!("an agent joined: the longest gap was {gap:?} ({flow})");
    assert_eq!(cluster.owners(), after, "nothing is touched\n{}", cluster.report());
    cluster.let_flow(&traffic);
    println!("{}", cluster.check(traffic));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_says_when_it_is_back_finds_its_tasks() {
    let _turn = turn::alone().await;
    let mut cluster = Cluster::start(&shared_etcd(), &shared_broker(), 1, 1).await;
    cluster.add_agent("agent-2", "back-in: 60s\n");
    cluster.wait("both agents are connected", PATIENCE, |audit| {
        audit.agents().values().filter(|agent| agent.session != 0).count() == 2
    });
    let traffic = cluster.under_load(3, 3, PACE).await;
    let before = cluster.owners();
    let had = cluster.owned_by("agent-2");
    assert!(had > 0, "{}", cluster.report());
    let asked = Instant::now();
    let status = cluster.agent_named("agent-2").terminate();
    assert!(in_order(status), "{status:?}\n{}", cluster.report());
    cluster.agent_named("agent-2").start_again();
    cluster.wait("every task and instance runs again", PATIENCE, |audit| {
        let tasks = audit.tasks();
        let again = |task, seen: &crate::audit::Seen| before[task].0 != "agent-2" || seen.generation > before[task].1;
        audit.running() == 12 && tasks.iter().all(|(task, seen)| again(task, seen))
    });
    cluster.wait_for_flow(&traffic, PATIENCE);
    let (flow, gap) = traffic.longest_gap(asked, Instant::now());
    println!("an agent with {had} of 12 tasks and instances was restarted: the longest gap was {gap:?} ({flow})");
    for (task, (agent, generation)) in cluster.owners() {
        assert_eq!(agent, before[&task].0, "nothing moves: {task:?}");
        assert!(
            agent == "agent-2" || generation == before[&task].1,
            "{task:?} was not restarted"
        );
    }
    cluster.let_flow(&traffic);
    println!("{}", cluster.check(traffic));
}
