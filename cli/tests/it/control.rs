//! The commands that talk to a control plane, as their user runs them: a replica on the store in memory, without agents.

use dray_control::{Config, Control};
use dray_store::MetadataStore;
use dray_store::mem::MemStore;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A replica, and files for connectors.
struct Rig {
    runtime: Runtime,
    control: Option<Control>,
    address: String,
    folder: TempDir,
}

impl Rig {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let store: Arc<dyn MetadataStore> = Arc::new(MemStore::default());
        let config = Config {
            cluster: "test".into(),
            replica: Some("one".into()),
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            advertise: vec![],
            worker: None,
            data_dir: None,
            timing: Default::default(),
            telemetry: Default::default(),
        };
        let control = runtime.block_on(Control::start(store, config)).unwrap();
        Self {
            address: control.addresses[0].to_string(),
            control: Some(control),
            runtime,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dray"));
        command
            .args(args)
            .env("DRAY_CONTROL", &self.address)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What a command prints that succeeds.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["-o", "json"]].concat())).unwrap()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().into()
    }

    /// Runs it again until its output is so.
    fn until(&self, args: &[&str], so: impl Fn(&str) -> bool) -> String {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            let text = self.ok(args);
            if so(&text) {
                return text;
            }
            assert!(std::time::Instant::now() < end, "not in time: {text}");
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(control) = self.control.take() {
            self.runtime.block_on(control.stop());
        }
    }
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// What a command says that fails, with this code.
fn fails(output: &Output, code: i32) -> &str {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
    assert!(output.stdout.is_empty(), "what is on stdout is data");
    stderr(output)
}

const CONNECTOR: &str = "name=orders\nconnector.class=io.dray.test.Source\ntasks.max=2\n";

#[test]
fn a_connector_from_its_file_to_its_end() {
    let rig = Rig::new();
    let file = rig.file("orders.properties", CONNECTOR);
    let created = rig.ok(&["connector", "create", &file]);
    assert!(
        created.starts_with("connector orders was created (revision "),
        "{created}"
    );
    let again = rig.run(&["connector", "create", &file]);
    assert_eq!(fails(&again, 1), "dray: there is a connector `orders` already\n");

    let list = rig.until(&["connector", "list"], |text| text.contains(" UNASSIGNED "));
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "STATE", "WANTED", "RUNNING", "CLASS"]);
    assert_eq!(
        rows[1],
        ["orders", "UNASSIGNED", "STARTED", "0/0", "io.dray.test.Source"]
    );

    let got = rig.json(&["connector", "get", "orders"]);
    let connector = &got["connector"];
    assert_eq!(
        connector["config"],
        json!({ "name": "orders", "connector.class": "io.dray.test.Source", "tasks.max": "2" })
    );
    assert_eq!(got["status"]["connector"]["state"], "UNASSIGNED");
    let revision = connector["revision"].as_u64().unwrap().to_string();

    let changed = rig.file("changed.properties", &CONNECTOR.replace("tasks.max=2", "tasks.max=3"));
    rig.ok(&["connector", "update", &changed, "--if-revision", &revision]);
    let stale = rig.run(&["connector", "update", &file, "--if-revision", &revision]);
    let said = fails(&stale, 1);
    assert!(
        said.contains("is at revision") && said.contains("read it again"),
        "{said}"
    );
    rig.until(&["connector", "get", "orders"], |text| text.contains("  tasks.max=3\n"));

    rig.ok(&["connector", "pause", "orders"]);
    rig.until(&["connector", "list"], |text| text.contains(" PAUSED "));
    rig.ok(&["connector", "resume", "orders"]);
    rig.ok(&["connector", "stop", "orders"]);
    rig.until(&["connector", "list"], |text| text.contains(" STOPPED "));
    let restarted = rig.json(&["connector", "restart", "orders", "--include-tasks"]);
    assert_eq!(
        (&restarted["instance"], &restarted["tasks"]),
        (&json!(true), &json!([]))
    );

    let unasked = rig.run(&["connector", "delete", "orders"]);
    assert_eq!(
        fails(&unasked, 2),
        "dray: Delete connector `orders`? There is no terminal to ask on: add --yes\n"
    );
    rig.ok(&["connector", "delete", "orders", "--yes"]);
    rig.until(&["connector", "list"], |text| text.lines().count() == 1);
    let gone = rig.run(&["connector", "get", "orders"]);
    assert_eq!(fails(&gone, 1), "dray: there is no connector `orders`\n");
}

#[test]
fn a_file_says_how_its_connector_begins() {
    let rig = Rig::new();
    let text = r#"{"name":"quiet","config":{"connector.class":"X"},"initial_state":"PAUSED"}"#;
    rig.ok(&["connector", "create", &rig.file("quiet.json", text)]);
    let paused = |text: &str| serde_json::from_str::<Value>(text).unwrap()["connectors"][0]["target"] == "PAUSED";
    rig.until(&["connector", "list", "-o", "json"], paused);
    let wrong = rig.run(&["connector", "create", &rig.file("wrong.json", r#"{"config":{}}"#)]);
    assert!(fails(&wrong, 2).contains("wrong.json"), "{}", stderr(&wrong));
    let no_class = rig.run(&["connector", "create", &rig.file("none.properties", "name=x\n")]);
    assert_eq!(fails(&no_class, 1), "dray: config[connector.class]: is missing\n");
}

#[test]
fn tasks_and_agents_that_are_not_there_are_named() {
    let rig = Rig::new();
    rig.ok(&["connector", "create", &rig.file("orders.properties", CONNECTOR)]);
    rig.until(&["connector", "list"], |text| text.contains("orders"));
    for (args, said) in [
        (vec!["task", "restart", "orders-7"], "there is no task `orders-7`"),
        (vec!["task", "list", "x"], "there is no connector `x`"),
        (vec!["agent", "get", "a"], "there is no agent `a`"),
        (vec!["agent", "cordon", "a"], "there is no agent `a`"),
        (vec!["agent", "uncordon", "a"], "there is no agent `a`"),
        (vec!["agent", "drain", "a"], "there is no agent `a`"),
        (vec!["agent", "remove", "a", "--yes"], "there is no agent `a`"),
    ] {
        assert_eq!(fails(&rig.run(&args), 1), format!("dray: {said}\n"), "{args:?}");
    }
    let number = rig.run(&["task", "restart", "orders"]);
    assert!(fails(&number, 2).contains("`orders` is not a task id such as `name-0`"));
    assert_eq!(
        rig.ok(&["agent", "list"]),
        "ID  LINK  POLICY  TASKS  WORKER  PLACE  VERSION\n"
    );
    assert_eq!(rig.json(&["task", "list", "orders"])["tasks"], json!([]));
}

#[test]
fn the_control_plane_is_found_or_it_is_said_why_not() {
    let rig = Rig::new();
    let nowhere = rig
        .command(&["agent", "list"])
        .env_remove("DRAY_CONTROL")
        .output()
        .unwrap();
    assert_eq!(
        fails(&nowhere, 2),
        "dray: where is the control plane? Give --control HOST:PORT or set DRAY_CONTROL\n"
    );
    // A port on which nobody listens.
    let closed = "127.0.0.1:1";
    let refused = rig.run(&["agent", "list", "--control", closed]);
    let said = fails(&refused, 1);
    assert!(
        said.starts_with(&format!("dray: no replica answers: http://{closed}/: ")),
        "{said}"
    );
    let both = format!("{closed},{}", rig.address);
    let cluster = rig.json(&["cluster", "get", "--control", &both]);
    assert_eq!((&cluster["cluster"], &cluster["epoch"]), (&json!("test"), &json!(0)));
    let leads = |text: &str| text.contains("leader    one (term ");
    rig.until(&["cluster", "get"], leads);
}

/// Lines of a watch, until Ctrl-C.
#[test]
fn a_watch_goes_on_until_it_is_ended() {
    let rig = Rig::new();
    // The leader's key is there a moment before the replica leads.
    let fresh = |text: &str| serde_json::from_str::<Value>(text).unwrap()["freshness"]["stale"] == false;
    rig.until(&["status", "-o", "json"], fresh);
    let mut watch = rig
        .command(&["status", "--watch", "-o", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let first = next();
    assert_eq!((&first["reset"], &first["synced"]), (&json!(true), &json!(true)));
    assert_eq!(first["freshness"]["stale"], false);

    rig.ok(&["connector", "create", &rig.file("orders.properties", CONNECTOR)]);
    let change = loop {
        if let Some(change) = next()["changes"].as_array().unwrap().first() {
            break change.clone();
        }
    };
    assert_eq!(
        (&change["connector"], &change["status"]["state"]),
        (&json!("orders"), &json!("UNASSIGNED"))
    );
    let text = rig.until(&["status", "orders"], |text| text.contains("orders: "));
    assert!(
        text.starts_with("NAME    STATE       AGENT  WORKER  GENERATION  RESTARTS\norders  UNASSIGNED"),
        "{text}"
    );

    let id = watch.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert!(watch.wait().unwrap().success(), "Ctrl-C is how a watch ends");
}
