//! What cannot work says why, where operators look, and harms nobody.

use crate::cluster::{Cluster, sink};
use crate::process::{PATIENCE, Process, wait_until};
use crate::servers::{shared_broker, shared_etcd};
use crate::turn;

/// Waits for a word in the log of a process, and returns its line.
fn said(process: &Process, word: &str) -> String {
    let line = || {
        process
            .log()
            .lines()
            .find(|line| line.contains(word))
            .map(ToOwned::to_owned)
    };
    wait_until(
        PATIENCE,
        || line().is_some(),
        || format!("{word:?} is not said\n{}", process.tail()),
    );
    line().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_says_why() {
    let _turn = turn::shared().await;
    let cluster = Cluster::start(&shared_etcd(), &shared_broker(), 1, 1).await;
    let flows = cluster.create_flows(0, 1).await;
    cluster.wait_for_running(1, PATIENCE);
    let before = cluster.owners();
    let topic = flows.keys().next().unwrap();

    let mut unknown = sink(topic, &cluster.path("unknown.txt"));
    unknown[0].1 = "org.example.NobodySinkConnector".into();
    let mut picky = sink(topic, &cluster.path("picky.txt"));
    picky.push(("dray.placement.labels", "disk=ssd".into()));
    for (name, config, reason) in [
        ("unknown", unknown, "org.example.NobodySinkConnector"),
        ("picky", picky, "disk=ssd"),
    ] {
        let name = format!("{name}-{}", cluster.id);
        cluster.admin.create(&name, &config).await;
        cluster.wait(
            &format!("{name} is UNASSIGNED because of {reason}"),
            PATIENCE,
            |audit| {
                let tasks = audit.tasks();
                tasks
                    .get(&(name.clone(), None))
                    .is_some_and(|seen| seen.state == "UNASSIGNED" && seen.trace.contains(reason))
            },
        );
        println!("{}", cluster.audit.tasks()[&(name.clone(), None)].trace);
    }

    // More tasks than a connector may have: none of them is stored.
    let many = format!("many-{}", cluster.id);
    let config = [
        ("connector.class", "DatagenSource"),
        ("tasks.max", "16385"),
        ("tasks", "16385"),
        ("topic", "nothing-comes-here"),
    ];
    let config = config.map(|(key, value)| (key, value.to_owned()));
    cluster.admin.create(&many, &config).await;
    cluster.wait("too many tasks are refused", PATIENCE, |audit| {
        let seen = audit.tasks().remove(&(many.clone(), None));
        seen.is_some_and(|seen| {
            seen.state == "FAILED" && seen.trace.contains("16385 tasks, and a connector may have 16384")
        })
    });
    println!("{}", cluster.audit.tasks()[&(many.clone(), None)].trace);
    assert!(!cluster.audit.tasks().contains_key(&(many, Some(0))));

    // The same id from another folder: there is no proof that the first is dead, and it is not.
    let twin = cluster.agent("twin", "agent-1", &cluster.id, "");
    println!("{}", said(&twin, "agent-1"));
    let problem = || cluster.audit.agent("agent-1").and_then(|agent| agent.problem);
    cluster.wait("the duplicate is shown", PATIENCE, |_| {
        problem().is_some_and(|problem| !problem.is_empty())
    });
    println!("{problem:?}", problem = problem());

    let stranger = cluster.agent("stranger", "stranger", "another-cluster", "");
    println!("{}", said(&stranger, &cluster.id));
    // The control plane has no record of it, and says so in its log.
    println!("{}", said(&cluster.controls[0], "another-cluster"));
    assert!(
        !cluster.audit.agents().contains_key("stranger"),
        "it does not belong here"
    );

    let after = cluster.owners();
    assert!(
        before.iter().all(|(task, owner)| after[task] == *owner),
        "who runs goes on\n{}",
        cluster.report()
    );
    cluster.audit.check();
}
