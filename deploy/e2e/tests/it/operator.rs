//! What operators type: the verbs of `dray agent` and `dray cluster`, on agents that carry tasks.

use crate::cluster::Cluster;
use crate::process::{PATIENCE, binary, wait_until};
use crate::servers::{shared_broker, shared_etcd};
use crate::turn;
use serde_json::Value;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const PACE: Duration = Duration::from_millis(10);

/// What a command says, and how it ends.
pub(crate) fn dray(cluster: &Cluster, args: &[&str]) -> Output {
    Command::new(binary("dray"))
        .args(args)
        .env("DRAY_CONTROL", cluster.addresses.join(","))
        .env("XDG_CONFIG_HOME", cluster.path("no-contexts"))
        .env_remove("DRAY_REST")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// What a command prints that succeeds.
pub(crate) fn ok(cluster: &Cluster, args: &[&str]) -> String {
    let output = dray(cluster, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}\n{}", cluster.report());
    String::from_utf8(output.stdout).unwrap()
}

fn agent(cluster: &Cluster, id: &str) -> Value {
    serde_json::from_str(&ok(cluster, &["agent", "describe", id, "-o", "json"])).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_drained_and_taken_out() {
    let _turn = turn::shared().await;
    let cluster = Cluster::start(&shared_etcd(), &shared_broker(), 1, 2).await;
    let traffic = cluster.under_load(3, 3, PACE).await;
    let before = cluster.owned_by("agent-1");
    assert!(before > 0, "{}", cluster.report());
    let listed = ok(&cluster, &["agent", "list"]);
    assert!(listed.contains("agent-1") && listed.contains("agent-2"), "{listed}");

    // What is cordoned keeps what it has.
    ok(&cluster, &["agent", "cordon", "agent-1"]);
    assert_eq!(agent(&cluster, "agent-1")["policy"], "CORDONED");
    assert_eq!(cluster.owned_by("agent-1"), before);

    // The command ends when nothing is left, and then nothing is.
    ok(&cluster, &["agent", "drain", "agent-1", "--wait", "--timeout", "60"]);
    let drained = agent(&cluster, "agent-1");
    assert_eq!(
        (&drained["drained"], &drained["tasks"]),
        (&true.into(), &0.into()),
        "{drained}"
    );
    assert_eq!(cluster.owned_by("agent-1"), 0);
    cluster.wait_for_flow(&traffic, PATIENCE);

    // One that is removed stays listed as such: whoever comes with its id is sent away.
    ok(&cluster, &["agent", "remove", "agent-1", "--yes"]);
    let removed = agent(&cluster, "agent-1");
    assert_eq!(
        (&removed["policy"], &removed["tasks"]),
        (&"REMOVED".into(), &0.into()),
        "{removed}"
    );
    let told = || cluster.agents[0].log().contains("an operator removed this agent");
    wait_until(PATIENCE, told, || cluster.report());
    let unknown = dray(&cluster, &["agent", "describe", "nobody"]);
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert!(unknown.status.code() == Some(1) && said.contains("nobody"), "{said}");
    assert!(ok(&cluster, &["cluster", "status"]).contains(&cluster.id));
    cluster.let_flow(&traffic);
    println!("{}", cluster.check(traffic));
}
