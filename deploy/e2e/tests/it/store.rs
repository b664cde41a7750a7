//! An etcd that cannot be used as it should: full, read-only, too old, or restored from a backup. What is wrong is said, tasks go on, and
//! once an operator has acted so does everything else.

use crate::cluster::{Cluster, More, sink};
use crate::process::{PATIENCE, Process, wait_until};
use crate::proxy;
use crate::servers::{Etcd, free_ports, shared_broker};
use crate::turn;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tonic::Code;

const PACE: Duration = Duration::from_millis(50);

/// Waits until the log of one of these has a line with all of these words, and returns it.
fn said(processes: &[Process], words: &[&str]) -> String {
    let line = || {
        let logs: Vec<String> = processes.iter().map(Process::log).collect();
        let mut lines = logs.iter().flat_map(|log| log.lines());
        lines
            .find(|line| words.iter().all(|word| line.contains(word)))
            .map(ToOwned::to_owned)
    };
    let tails = || processes.iter().map(Process::tail).collect::<Vec<_>>().join("\n");
    wait_until(
        PATIENCE,
        || line().is_some(),
        || format!("{words:?} is not said\n{}", tails()),
    );
    line().unwrap()
}

/// Waits until creating a connector fails, and returns why.
async fn refused(cluster: &Cluster, name: &str) -> tonic::Status {
    let end = Instant::now() + PATIENCE;
    loop {
        let config = sink("some-topic", &cluster.path("refused.txt"));
        match cluster.admin.try_create(name, &config).await {
            Err(status) if !matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) => return status,
            Err(status) => assert!(Instant::now() < end, "{status}"),
            Ok(()) => panic!("{name} was created\n{}", cluster.report()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Everything is as it was before, and a connector can be created.
async fn works_again(cluster: &Cluster, before: &std::collections::BTreeMap<crate::audit::TaskOf, (String, u64)>) {
    let (name, topic) = (format!("later-{}", cluster.id), format!("later-{}", cluster.id));
    crate::kafka::create_topics(&cluster.bootstrap, std::slice::from_ref(&topic)).await;
    cluster
        .admin
        .create(&name, &sink(&topic, &cluster.path("later.txt")))
        .await;
    cluster.wait("all run, the new one too", Duration::from_secs(120), |audit| {
        audit.synced() && audit.running() == before.len() + 2
    });
    let after = cluster.owners();
    let changed: Vec<_> = before
        .iter()
        .filter(|(task, owner)| after.get(*task) != Some(*owner))
        .collect();
    assert!(
        changed.is_empty(),
        "nothing was restarted: {changed:?}\n{}",
        cluster.report()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_etcd_stops_no_task() {
    let _turn = turn::shared().await;
    let folder = tempfile::tempdir().unwrap();
    let etcd = Etcd::start_with(folder.path(), 1, "--quota-backend-bytes 16777216");
    let cluster = Cluster::start_in(folder, &etcd.endpoints(), &shared_broker(), 2, 1).await;
    let traffic = cluster.under_load(1, 1, PACE).await;
    let before = cluster.owners();

    let filler = json!({"key": "ZmlsbGVy", "value": "A".repeat(1 << 20)});
    wait_until(
        PATIENCE,
        || etcd.ask("kv/put", &filler, None)["error"].is_string(),
        || "etcd is full".into(),
    );
    let status = refused(&cluster, "refused").await;
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    println!("create: {}", status.message());
    println!("log: {}", said(&cluster.controls, &["space"]));
    // Nobody leads: the leader's beat is a write. Longer than its lease, lines go on.
    let end = Instant::now() + Duration::from_secs(12);
    while Instant::now() < end {
        cluster.wait_for_flow(&traffic, PATIENCE);
    }

    let range = etcd.ask("kv/range", &json!({"key": "ZmlsbGVy"}), None);
    let revision = range["header"]["revision"].as_str().unwrap().to_owned();
    etcd.ask("kv/deleterange", &json!({"key": "ZmlsbGVy"}), None);
    etcd.ask("kv/compaction", &json!({"revision": revision, "physical": true}), None);
    wait_until(
        PATIENCE,
        || {
            etcd.ask("maintenance/defragment", &json!({}), None);
            let alarms = etcd.ask("maintenance/alarm", &json!({"action": "GET"}), None);
            for alarm in alarms["alarms"].as_array().into_iter().flatten() {
                let disarm = json!({"action": "DEACTIVATE", "alarm": "NOSPACE", "memberID": alarm["memberID"]});
                etcd.ask("maintenance/alarm", &disarm, None);
            }
            etcd.ask("kv/put", &json!({"key": "ZmlsbGVy", "value": ""}), None)["error"].is_null()
        },
        || {
            let answer = etcd.ask("kv/put", &json!({"key": "ZmlsbGVy", "value": ""}), None);
            format!("there is room again: {answer}")
        },
    );
    works_again(&cluster, &before).await;
    println!("{}", cluster.check(traffic));
}

/// "/dray/" and what follows it, in base64.
const OURS: (&str, &str) = ("L2RyYXkv", "L2RyYXkw");

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_may_only_be_read_stops_no_task() {
    let _turn = turn::shared().await;
    let folder = tempfile::tempdir().unwrap();
    let etcd = Etcd::start(folder.path(), 1);
    let (key, range_end) = OURS;
    let may = |kind: &str| json!({"name": "dray", "perm": {"permType": kind, "key": key, "range_end": range_end}});
    for (path, body) in [
        ("auth/user/add", json!({"name": "root", "password": "root-secret"})),
        ("auth/user/grant", json!({"user": "root", "role": "root"})),
        ("auth/role/add", json!({"name": "dray"})),
        ("auth/role/grant", may("READWRITE")),
        ("auth/user/add", json!({"name": "dray", "password": "secret"})),
        ("auth/user/grant", json!({"user": "dray", "role": "dray"})),
        ("auth/enable", json!({})),
    ] {
        let answer = etcd.ask(path, &body, None);
        assert!(answer["error"].is_null(), "{path}: {answer}");
    }
    let root = json!({"name": "root", "password": "root-secret"});
    let operator = |path: &str, body: &Value| {
        let token = etcd.ask("auth/authenticate", &root, None)["token"]
            .as_str()
            .unwrap()
            .to_owned();
        let answer = etcd.ask(path, body, Some(&token));
        assert!(answer["error"].is_null(), "{path}: {answer}");
    };
    let more = More {
        control: "etcd-user: dray\netcd-password: secret\n".into(),
        ..More::default()
    };
    let cluster = Cluster::start_with(folder, &etcd.endpoints(), &more, &shared_broker(), 2, 1).await;
    let traffic = cluster.under_load(1, 1, PACE).await;
    let before = cluster.owners();

    operator("auth/role/grant", &may("READ"));
    let status = refused(&cluster, "refused").await;
    println!("create: {:?} {}", status.code(), status.message());
    assert!(status.message().contains("refuses the user; check"), "{status}");
    println!("log: {}", said(&cluster.controls, &["refuses the user; check"]));
    let end = Instant::now() + Duration::from_secs(12);
    while Instant::now() < end {
        cluster.wait_for_flow(&traffic, PATIENCE);
    }
    operator("auth/role/grant", &may("READWRITE"));
    works_again(&cluster, &before).await;
    println!("{}", cluster.check(traffic));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_is_too_old_is_refused() {
    let _turn = turn::shared().await;
    let folder = tempfile::tempdir().unwrap();
    let etcd = Etcd::start(folder.path(), 1);
    let endpoint = etcd.endpoints();
    let status = etcd.ask("maintenance/status", &json!({}), None);
    let version = status["version"].as_str().unwrap().to_owned();
    let old: proxy::Instead = match version.get(..4) {
        Some("3.4.") => (b"3.4.", b"3.3."),
        Some("3.5.") => (b"3.5.", b"3.3."),
        Some("3.6.") => (b"3.6.", b"3.3."),
        _ => panic!("etcd {version} is not known here"),
    };
    let proxied = proxy::start(endpoint.trim_start_matches("http://"), old);
    let settings = format!(
        "cluster: old\nlisten: [\"127.0.0.1:{}\"]\netcd: [\"http://{proxied}\"]\ndata-dir: {}\n",
        free_ports(1)[0],
        folder.path().join("data").display(),
    );
    let mut control = Process::start("dray-control", "control", &folder.path().join("control"), &settings);
    let status = control.ended(PATIENCE);
    println!("{}", said(&[control], &["etcd 3.3.", "at least 3.4 is needed"]));
    assert_eq!(status.code(), Some(1), "{status}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if entry.is_dir() {
            copy(&entry, &to.join(name));
        } else {
            fs::copy(&entry, to.join(name)).unwrap();
        }
    }
}

/// Row 16: etcd comes back with what it held some time ago. Replicas that have seen more do not lead on it, whether they were there all
/// the time or are started again, and tasks go on.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_leads_on_an_older_backup() {
    let _turn = turn::shared().await;
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup");
    let etcd = Etcd::start(folder.path(), 1);
    let mut cluster = Cluster::start_in(folder, &etcd.endpoints(), &shared_broker(), 2, 1).await;
    etcd.stop_all();
    copy(&etcd.data(), &backup);
    etcd.start_again(1);
    let traffic = cluster.under_load(1, 1, PACE).await;
    let ownerships = cluster.audit.generations();
    // What a replica has seen it writes down every 10 s.
    let seen = cluster.path("control-1").join("data/seen.json");
    let noted = fs::read(&seen).unwrap_or_default();
    let noted_again = || fs::read(&seen).is_ok_and(|now| now != noted);
    wait_until(PATIENCE, noted_again, || "what was seen is noted".into());

    etcd.kill_all();
    fs::remove_dir_all(etcd.data()).unwrap();
    copy(&backup, &etcd.data());
    etcd.start_again(1);
    println!(
        "log: {}",
        said(&cluster.controls, &["has lost what this replica has seen"])
    );
    println!(
        "log: {}",
        said(
            &cluster.controls,
            &["cannot lead", "the store has gone back to revision"]
        )
    );
    let end = Instant::now() + Duration::from_secs(12);
    while Instant::now() < end {
        cluster.wait_for_flow(&traffic, PATIENCE);
    }
    cluster.controls[0].kill();
    cluster.controls[0].start_again();
    println!("log: {}", said(&cluster.controls[..1], &["cannot lead", "has seen"]));
    cluster.wait_for_flow(&traffic, PATIENCE);
    assert_eq!(
        cluster.audit.generations(),
        ownerships,
        "nobody gave anything away\n{}",
        cluster.report()
    );
    println!("{}", cluster.check(traffic));
}
