//! The commands that talk to a control plane, as their user runs them: a replica on the store in memory, without agents.

use dray_control::{Config, Control};
use dray_store::MetadataStore;
use dray_store::mem::MemStore;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
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
            listeners: Default::default(),
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
            // No contexts of whoever runs the tests.
            .env("XDG_CONFIG_HOME", self.folder.path())
            .env_remove("DRAY_REST")
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
        let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
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
    assert_eq!(created, "connector orders was created\n");
    let again = rig.run(&["connector", "create", &file]);
    let said = fails(&again, 1);
    assert!(
        said.starts_with(&format!(
            "dray: cannot create connector `orders` from {file} at {}: there is a connector `orders` already\n  `dray apply",
            rig.address
        )),
        "{said}"
    );

    let list = rig.until(&["connector", "list"], |text| text.contains(" UNASSIGNED "));
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "TYPE", "STATE", "TASKS", "CLASS"]);
    assert_eq!(rows[1], ["orders", "-", "UNASSIGNED", "0/0", "io.dray.test.Source"]);

    let got = rig.json(&["connector", "get", "orders"]);
    assert_eq!(
        got,
        json!({
            "name": "orders",
            "config": { "name": "orders", "connector.class": "io.dray.test.Source", "tasks.max": "2" }
        })
    );
    let seen = rig.json(&["connector", "describe", "orders"]);
    assert_eq!(
        (&seen["state"], &seen["wanted"]),
        (&json!("UNASSIGNED"), &json!("RUNNING"))
    );
    let revision = seen["revision"].as_u64().unwrap().to_string();

    let changed = rig.file("changed.properties", &CONNECTOR.replace("tasks.max=2", "tasks.max=3"));
    rig.ok(&["connector", "update", &changed, "--if-revision", &revision]);
    let stale = rig.run(&["connector", "update", &file, "--if-revision", &revision]);
    let said = fails(&stale, 1);
    assert!(
        said.contains("is at revision") && said.contains("read it again"),
        "{said}"
    );
    rig.until(&["connector", "get", "orders"], |text| text.contains("tasks.max=3\n"));

    assert_eq!(
        rig.ok(&["connector", "pause", "orders"]),
        "connector orders is to be paused\n"
    );
    rig.until(&["connector", "list", "-o", "wide"], |text| text.contains(" PAUSED "));
    rig.ok(&["connector", "resume", "orders"]);
    rig.ok(&["connector", "stop", "orders"]);
    rig.until(&["connector", "list", "-o", "wide"], |text| text.contains(" STOPPED "));
    let got = rig.json(&["connector", "get", "orders"]);
    assert_eq!(
        got["initial_state"], "STOPPED",
        "what is copied is copied with its state"
    );
    let restarted = rig.json(&["connector", "restart", "orders", "--include-tasks"]);
    let result = &restarted["results"][0];
    assert_eq!((&result["instance"], &result["tasks"]), (&json!(true), &json!([])));

    let unasked = rig.run(&["connector", "delete", "orders"]);
    assert_eq!(
        fails(&unasked, 2),
        "dray: Delete connector `orders`? There is no terminal to ask on: add --yes\n"
    );
    rig.ok(&["connector", "delete", "orders", "--yes"]);
    rig.until(&["connector", "list"], |text| text.lines().count() == 1);
    let gone = rig.run(&["connector", "describe", "orders"]);
    assert!(fails(&gone, 1).contains(": there is no connector `orders`\n  `dray connector list`"));
}

#[test]
fn a_file_says_how_its_connector_begins() {
    let rig = Rig::new();
    let text = r#"{"name":"quiet","config":{"connector.class":"X"},"initial_state":"PAUSED"}"#;
    rig.ok(&["connector", "create", &rig.file("quiet.json", text)]);
    let wanted = |text: &str| serde_json::from_str::<Value>(text).unwrap()["connectors"][0]["wanted"] == "PAUSED";
    rig.until(&["connector", "list", "-o", "json"], wanted);
    let wrong = rig.run(&["connector", "create", &rig.file("wrong.json", r#"{"config":{}}"#)]);
    assert!(fails(&wrong, 2).contains("wrong.json"), "{}", stderr(&wrong));
    let no_class = rig.run(&["connector", "create", &rig.file("none.properties", "name=x\n")]);
    let said = fails(&no_class, 1);
    assert!(said.contains("config[connector.class]: is missing"), "{said}");
}

/// Files are the truth: what differs is changed, what is the same is not touched, what is owned and not declared any more is deleted.
#[test]
fn a_folder_is_applied_and_pruned() {
    let rig = Rig::new();
    let folder = rig.folder.path().join("connectors");
    fs::create_dir(&folder).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let folder = folder.to_str().unwrap();
    write(
        "a.yaml",
        "name: a\nconfig:\n  connector.class: X\n  dray.labels: team=pay,tier=gold\n",
    );
    write("b.properties", "name=b\nconnector.class=X\ndray.labels=team=pay\n");
    write(
        "c.json",
        r#"{"name":"c","connector.class":"X","dray.labels":"team=pay,old"}"#,
    );
    write("notes.txt", "not a connector");
    rig.ok(&[
        "connector",
        "create",
        &rig.file("theirs.properties", "name=theirs\nconnector.class=X\n"),
    ]);

    let args = ["apply", "-f", folder, "--no-validate"];
    let differs = rig.run(&["connector", "diff", "-f", folder]);
    assert_eq!(differs.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&differs.stdout).starts_with("connector a would be created\n+ connector.class=X\n")
    );
    assert_eq!(
        rig.ok(&args),
        "connector a was created\nconnector b was created\nconnector c was created\n"
    );
    rig.until(&["connector", "list", "-o", "name"], |text| text == "a\nb\nc\ntheirs\n");
    let unchanged = "connector a is as declared\nconnector b is as declared\nconnector c is as declared\n";
    assert_eq!(rig.ok(&args), unchanged);
    assert_eq!(rig.ok(&["connector", "diff", "-f", folder]), "");

    // Labels choose, on every verb.
    assert_eq!(
        rig.ok(&["connector", "list", "-l", "team=pay,!old", "-o", "name"]),
        "a\nb\n"
    );
    assert_eq!(
        rig.ok(&["connector", "pause", "-l", "tier=gold"]),
        "connector a is to be paused\n"
    );
    assert_eq!(rig.ok(&["connector", "get", "[ab]", "-e", "-o", "name"]), "a\nb\n");
    let nobody = rig.run(&["connector", "stop"]);
    assert!(fails(&nobody, 2).contains("which connectors?"));
    let all = rig.run(&["connector", "stop", "--all"]);
    assert_eq!(
        fails(&all, 2),
        "dray: Stop 4 connectors (a, b, c, theirs)? There is no terminal to ask on: add --yes\n"
    );
    let wrong = rig.run(&["connector", "stop", "nothing-*"]);
    assert!(fails(&wrong, 1).contains("no connector is called `nothing-*`"));

    fs::remove_file(rig.folder.path().join("connectors/c.json")).unwrap();
    write("b.properties", "name=b\nconnector.class=Y\ndray.labels=team=pay\n");
    let prune = ["--prune", "-l", "team=pay", "--no-validate"];
    let plan = rig.run(&[&["connector", "diff", "-f", folder][..], &prune[..3]].concat());
    assert_eq!(
        String::from_utf8_lossy(&plan.stdout),
        "connector b would be changed\n- connector.class=X\n+ connector.class=Y\nconnector c would be deleted\n- connector.class=X\n\
         - dray.labels=team=pay,old\n- name=c\n"
    );
    let apply = [&["apply", folder], &prune[..]].concat();
    let unasked = rig.run(&apply);
    assert_eq!(
        fails(&unasked, 2),
        "dray: Delete 1 connector (c)? There is no terminal to ask on: add --yes\n"
    );
    assert_eq!(
        rig.ok(&[&apply[..], &["--yes"]].concat()),
        "connector a is as declared\nconnector b was updated\nconnector c is deleted: it is not declared\n"
    );
    rig.until(&["connector", "list", "-o", "name"], |text| text == "a\nb\ntheirs\n");

    // What would be applied and never pruned is refused, before anything is changed.
    write("d.properties", "name=d\nconnector.class=X\n");
    let unowned = rig.run(&[&apply[..], &["--yes"]].concat());
    assert!(fails(&unowned, 2).contains("the dray.labels of connector `d` do not fit `team=pay`"));
    let twice = rig.file("twice.json", r#"[{"name":"x","a":1},{"name":"x","a":2}]"#);
    let said = rig.run(&["apply", &twice]);
    assert!(
        fails(&said, 2).contains("(connector 2): connector `x` is in"),
        "{}",
        stderr(&said)
    );
}

#[test]
fn stdin_is_a_file_too() {
    let rig = Rig::new();
    for (text, name) in [
        ("name=p\nconnector.class=X\n", "p"),
        (r#"{"name":"j","connector.class":"X"}"#, "j"),
        ("name: y\nconfig:\n  connector.class: X\n", "y"),
    ] {
        let mut child = rig
            .command(&["connector", "create", "-", "--no-validate", "-o", "name"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{name}\n"));
    }
    rig.until(&["connector", "list", "-o", "name"], |text| text == "j\np\ny\n");
}

#[test]
fn one_that_fails_keeps_none_of_the_others() {
    let rig = Rig::new();
    let files = ["a", "b"].map(|name| {
        rig.file(
            &format!("{name}.properties"),
            &format!("name={name}\nconnector.class=X\n"),
        )
    });
    rig.ok(&["connector", "create", &files[0], "--no-validate"]);
    let both = rig.run(&["connector", "create", &files[0], &files[1], "--no-validate"]);
    assert_eq!(both.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&both.stdout), "connector b was created\n");
    assert_eq!(stderr(&both).matches("dray: cannot create").count(), 1);
}

#[test]
fn tasks_and_agents_that_are_not_there_are_named() {
    let rig = Rig::new();
    rig.ok(&["connector", "create", &rig.file("orders.properties", CONNECTOR)]);
    rig.until(&["connector", "list"], |text| text.contains("orders"));
    for (args, doing, said) in [
        (
            vec!["task", "restart", "orders-7"],
            "restart task `orders-7`",
            "there is no task `orders-7`",
        ),
        (
            vec!["task", "describe", "orders-7"],
            "describe task `orders-7`",
            "there is no task `orders-7`",
        ),
        (
            vec!["task", "list", "x"],
            "read connector `x`",
            "there is no connector `x`",
        ),
        (
            vec!["agent", "describe", "a"],
            "describe agent `a`",
            "there is no agent `a`",
        ),
        (
            vec!["agent", "cordon", "a"],
            "cordon agent `a`",
            "there is no agent `a`",
        ),
        (
            vec!["agent", "uncordon", "a"],
            "uncordon agent `a`",
            "there is no agent `a`",
        ),
        (vec!["agent", "drain", "a"], "drain agent `a`", "there is no agent `a`"),
        (
            vec!["agent", "remove", "a", "--yes"],
            "remove agent `a`",
            "there is no agent `a`",
        ),
    ] {
        let output = rig.run(&args);
        let expected = format!("dray: cannot {doing} at {}: {said}\n", rig.address);
        assert!(
            fails(&output, 1).starts_with(&expected),
            "{args:?}: {}",
            stderr(&output)
        );
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
    assert!(fails(&nowhere, 2).starts_with("dray: which cluster? Give --control HOST:PORT for Dray, --rest URL"));
    // A port on which nobody listens.
    let closed = "127.0.0.1:1";
    let refused = rig.run(&["agent", "list", "--control", closed]);
    let said = fails(&refused, 1);
    assert!(
        said.starts_with(&format!(
            "dray: cannot reach the cluster: no replica of the control plane answers: {closed}: "
        )),
        "{said}"
    );
    let refused = rig.run(&["connector", "list", "--rest", closed]);
    let said = fails(&refused, 1);
    assert!(
        said.starts_with(&format!(
            "dray: cannot list the connectors at http://{closed}: GET http://{closed}/connectors"
        )),
        "{said}"
    );
    for wrong in ["ftp://x", "http://", "http://x?y=z"] {
        let output = rig.run(&["connector", "list", "--rest", wrong]);
        assert!(fails(&output, 2).contains("is no address of a REST API"), "{wrong}");
    }
    let both = format!("{closed},{}", rig.address);
    let cluster = rig.json(&["cluster", "status", "--control", &both]);
    assert_eq!(
        (&cluster["cluster"], &cluster["product"]),
        (&json!("test"), &json!("Dray"))
    );
    rig.until(&["cluster", "status"], |text| text.contains("\nLeader:   one (term "));
    let members = rig.ok(&["cluster", "members"]);
    assert!(members.contains("\none  control  LEADER"), "{members}");
}

#[test]
fn contexts_are_remembered_for_their_owner_only() {
    let rig = Rig::new();
    let home = rig.folder.path().join("config");
    let dray = |args: &[&str]| {
        let mut command = rig.command(args);
        command
            .env_remove("DRAY_CONTROL")
            .env("XDG_CONFIG_HOME", &home)
            .env("DRAY_PASSWORD", "secret");
        command.output().unwrap()
    };
    let ok = |args: &[&str]| {
        let output = dray(args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(fails(&dray(&["context", "current"]), 1).contains("no context is the current one"));
    assert_eq!(
        ok(&["context", "set", "here", "--control", &rig.address]),
        "context here is set, and the current one\n"
    );
    assert_eq!(
        ok(&["context", "set", "old", "--rest", "connect:8083/", "--user", "me"]),
        "context old is set\n"
    );
    assert_eq!(ok(&["cluster", "status", "-o", "name"]), "test\n");
    assert_eq!(ok(&["cluster", "status", "-o", "name", "--context", "here"]), "test\n");
    let list = ok(&["context", "list", "-o", "wide"]);
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[2], ["old", "rest", "http://connect:8083", "me"]);
    let file = home.join("dray/contexts.yaml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("password: secret"), "{text}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(ok(&["context", "use", "old"]), "context old is the current one\n");
    assert_eq!(ok(&["context", "current"]), "old\n");
    assert_eq!(ok(&["context", "remove", "old"]), "context old is removed\n");
    let said = dray(&["context", "use", "old"]);
    assert_eq!(fails(&said, 2), "dray: there is no context `old`; there are here\n");
    fs::write(&file, "contexts: {x: {controll: [a]}}\n").unwrap();
    assert!(fails(&dray(&["context", "list"]), 2).contains("contexts.yaml: "));
}

/// What the shell asks while somebody presses Tab.
#[test]
fn shells_complete_verbs_and_names() {
    let rig = Rig::new();
    rig.ok(&["connector", "create", &rig.file("orders.properties", CONNECTOR)]);
    for (shell, word) in [("bash", "complete"), ("zsh", "compdef"), ("fish", "complete")] {
        let script = rig.ok(&["completion", shell]);
        assert!(script.contains(word) && script.contains("DRAY_COMPLETE"), "{script}");
    }
    let complete = |words: &[&str]| {
        let mut command = rig.command(&["--"]);
        command.args(words);
        command
            .env("DRAY_COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
            .env("_CLAP_IFS", "\n")
            .env("_CLAP_COMPLETE_COMP_TYPE", "9")
            .env("_CLAP_COMPLETE_SPACE", "true");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(complete(&["dray", "connector", "pa"]).starts_with("pa"));
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while complete(&["dray", "connector", "pause", "or"]).trim() != "orders" {
        assert!(std::time::Instant::now() < end, "the connector is not offered");
    }
}

/// Lines of a watch, until Ctrl-C; the same over both transports.
#[test]
fn a_watch_goes_on_until_it_is_ended() {
    for rest in [false, true] {
        let rig = Rig::new();
        rig.until(&["cluster", "members"], |text| text.contains(" LEADER "));
        let url = format!("http://{}", rig.address);
        let transport = if rest {
            ["--rest", &url]
        } else {
            ["--control", &rig.address]
        };
        let watching = || {
            let args = [&["status", "--watch", "-o", "json"][..], &transport].concat();
            rig.command(&args).stdout(Stdio::piped()).spawn().unwrap()
        };
        let mut watch = watching();
        let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
        let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
        let first = next();
        assert_eq!(first["reset"], true);
        rig.ok(&["connector", "create", &rig.file("orders.properties", CONNECTOR)]);
        let change = loop {
            if let Some(change) = next()["changes"].as_array().unwrap().first() {
                break change.clone();
            }
        };
        assert_eq!(
            (&change["what"], &change["name"]),
            (&json!("connector"), &json!("orders"))
        );
        let text = rig.until(&["status", "orders"], |text| text.contains("orders: "));
        assert!(
            text.starts_with("NAME    STATE       AGENT  WORKER  GENERATION  RESTARTS\norders  UNASSIGNED  -"),
            "{text}"
        );

        let id = watch.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        assert!(watch.wait().unwrap().success(), "Ctrl-C is how a watch ends");

        let mut unread = watching();
        let mut lines = BufReader::new(unread.stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        drop(lines);
        assert!(
            unread.wait().unwrap().success(),
            "nobody reads it any more, as behind `| head`"
        );
    }
}
