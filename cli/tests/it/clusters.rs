//! One walk through all verbs, as their user runs them, on the real Kafka Connect over REST, and on Dray over REST and over gRPC. What they
//! print is in `snapshots/`, one file a cluster and transport: there one sees where they differ.

use crate::harness::{bootstrap, unique, wait_until};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How long a server may take to start, or a connector to come to a state, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// A server, ended by its own pid.
struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    fn start(mut command: Command, log: PathBuf) -> Self {
        let file = fs::File::create(&log).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        Self {
            child: command.spawn().unwrap(),
            log,
        }
    }

    /// The real Kafka Connect, alone in its group.
    fn connect(folder: &Path, port: &str) -> Self {
        let group = unique("cli");
        let mut worker = worker(port);
        worker += &format!("group.id={group}\n");
        for kind in ["config", "offset", "status"] {
            worker += &format!("{kind}.storage.topic={group}-{kind}\n{kind}.storage.replication.factor=1\n");
            if kind != "config" {
                worker += &format!("{kind}.storage.partitions=1\n");
            }
        }
        let file = folder.join("worker.properties");
        fs::write(&file, worker).unwrap();
        let mut command = Command::new(kafka_sh());
        command
            .args(["tool", "org.apache.kafka.connect.cli.ConnectDistributed"])
            .arg(file);
        Self::start(command, folder.join("connect.log"))
    }

    /// Dray as one process, with the gateway and the admin services of a cluster.
    fn dray(folder: &Path, port: &str) -> Self {
        let offsets = format!("offset.storage.file.filename={}\n", folder.join("offsets").display());
        let file = folder.join("worker.properties");
        fs::write(&file, worker(port) + &offsets).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dray"));
        command.arg("standalone").arg(file);
        Self::start(command, folder.join("dray.log"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn kafka_sh() -> String {
    std::env::var("DRAY_TEST_KAFKA_SH").expect("DRAY_TEST_KAFKA_SH starts Kafka's tools: run `make test`")
}

fn worker(port: &str) -> String {
    format!(
        "bootstrap.servers={}\nlisteners=http://127.0.0.1:{port}\nrest.advertised.host.name=worker\nrest.advertised.port=8083\n\
         key.converter=org.apache.kafka.connect.storage.StringConverter\n\
         value.converter=org.apache.kafka.connect.storage.StringConverter\noffset.flush.interval.ms=500\n",
        bootstrap()
    )
}

/// A walk, and what was printed on it.
struct Walk {
    folder: TempDir,
    transport: [String; 2],
    text: String,
    topic: String,
}

impl Walk {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dray"));
        command
            .args(args)
            .args(&self.transport)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command.env("XDG_CONFIG_HOME", self.folder.path());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn file(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Runs it until its output is so.
    fn until(&self, args: &[&str], so: impl Fn(&str) -> bool) {
        wait_until(
            PATIENCE,
            || so(&self.run_text(args)),
            || format!("{args:?}: {}", self.run_text(args)),
        );
    }

    fn run_text(&self, args: &[&str]) -> String {
        let output = self.run(args);
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    }

    /// Runs it, and keeps what it printed.
    fn show(&mut self, args: &[&str], code: i32) {
        let output = self.run(args);
        let (stdout, stderr) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        let text = format!(
            "$ dray {}\n{stdout}{stderr}[{}]\n\n",
            args.join(" "),
            output.status.code().unwrap()
        );
        assert_eq!(output.status.code(), Some(code), "{text}");
        self.text += &self.redacted(&text);
    }

    /// Without what is another one each time.
    fn redacted(&self, text: &str) -> String {
        let folder = self.folder.path().to_str().unwrap();
        let address = self.transport[1].trim_start_matches("http://");
        let text = text
            .replace(folder, "FOLDER")
            .replace(address, "ADDRESS")
            .replace(&self.topic, "TOPIC");
        let numbers = regex::Regex::new(r#"((?:generation |"generation": |"revision": |Revision: ))\d+"#).unwrap();
        let text = numbers.replace_all(&text, "${1}N");
        let frames = regex::Regex::new(r"(?m)^\s+at .*\n").unwrap();
        let text = frames.replace_all(&text, "");
        let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
        let wide = regex::Regex::new("PARTITION +OFFSET").unwrap();
        let text = wide.replace_all(&text, "PARTITION  OFFSET");
        let wide = regex::Regex::new("TOPIC +CONNECTOR").unwrap();
        let text = wide.replace_all(&text, "TOPIC  CONNECTOR");
        let generations = regex::Regex::new(r"\b\d{8,}\b").unwrap();
        let text = generations.replace_all(&text, "N");
        let more = regex::Regex::new(r"(?m)^\s+\.\.\. \d+ more\n").unwrap();
        more.replace_all(&text, "").into_owned()
    }
}

/// `name` is the snapshot's.
fn walk(name: &str, transport: [String; 2], server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let topic = unique("cli-walk");
    let mut walk = Walk {
        folder,
        transport,
        text: String::new(),
        topic,
    };
    // A worker that begins to answer may still be joining its group.
    let ready = || walk.run(&["connector", "list"]).status.success();
    wait_until(PATIENCE, ready, || fs::read_to_string(&server.log).unwrap());

    let here = walk.folder.path().to_str().unwrap().to_owned();
    let topic = walk.topic.clone();
    walk.file("lines.txt", "one\ntwo\n");
    let source = format!(
        "name: lines\nconfig:\n  connector.class: FileStreamSource\n  file: {here}/lines.txt\n  topic: {topic}\n  tasks.max: 1\n  \
         dray.labels: team=pay\n  topic.creation.default.partitions: 1\n  topic.creation.default.replication.factor: 1\n"
    );
    walk.file("source.yaml", &source);
    // Its folder is not there: the task fails.
    let sink = format!(
        "{{\"name\":\"copy\",\"config\":{{\"connector.class\":\"FileStreamSink\",\"file\":\"{here}/none/copy.txt\",\"topics\":\"{topic}\",\
         \"tasks.max\":1,\"dray.labels\":\"team=pay\",\"dray.restart.policy\":\"none\"}}}}"
    );
    walk.file("sink.json", &sink);
    walk.file(
        "wrong.properties",
        "name=wrong\nconnector.class=FileStreamSource\ntasks.max=many\ntopc=x\n",
    );

    walk.show(&["connector", "validate", "wrong.properties"], 1);
    walk.show(&["connector", "create", "wrong.properties"], 1);
    walk.show(&["apply", "source.yaml", "sink.json", "--dry-run"], 0);
    walk.show(&["apply", "source.yaml", "sink.json"], 0);
    walk.show(&["connector", "create", "source.yaml"], 1);
    walk.until(&["task", "list"], |text| {
        text.contains("lines-0  RUNNING") && text.contains("copy-0   FAILED")
    });
    walk.show(&["apply", "source.yaml", "sink.json"], 0);
    walk.show(&["connector", "list"], 0);
    walk.show(&["connector", "list", "-o", "wide"], 0);
    walk.show(&["connector", "list", "-l", "team=pay", "--failed", "-o", "name"], 0);
    walk.show(&["connector", "get", "lines", "-o", "yaml"], 0);
    walk.show(&["connector", "describe", "copy"], 0);
    walk.show(&["task", "list", "--failed"], 0);
    walk.show(&["task", "describe", "lines-0"], 0);
    walk.show(&["status"], 0);
    walk.show(&["connector", "describe", "nothing"], 1);

    // What was mended runs after a restart.
    fs::create_dir(walk.folder.path().join("none")).unwrap();
    walk.show(&["connector", "restart", "--failed"], 0);
    walk.until(&["task", "list"], |text| text.contains("copy-0   RUNNING"));
    walk.show(&["task", "restart", "copy-0"], 0);
    walk.until(&["task", "list"], |text| text.contains("copy-0   RUNNING"));

    walk.file("source.yaml", &source.replace("tasks.max: 1", "tasks.max: 2"));
    walk.show(&["connector", "diff", "source.yaml", "sink.json"], 1);
    walk.show(&["apply", "source.yaml"], 0);
    walk.show(
        &[
            "connector",
            "patch",
            "lines",
            "--set",
            "batch.size=100",
            "--remove",
            "dray.labels",
        ],
        0,
    );
    walk.show(&["connector", "patch", "lines", "--set", "tasks.max=none"], 1);
    walk.show(&["connector", "get", "lines", "-o", "json"], 0);

    let position = |text: &str| text.contains("position") && !text.contains("null");
    walk.until(&["connector", "offsets", "get", "lines"], position);
    walk.show(&["connector", "offsets", "get", "lines"], 0);
    walk.show(&["connector", "offsets", "reset", "lines", "--yes"], 1);
    walk.until(&["connector", "topics", "lines", "-o", "name"], |text| {
        text.trim() == topic
    });
    walk.show(&["connector", "topics", "lines"], 0);
    walk.show(&["connector", "topics", "lines", "--reset", "--yes"], 0);
    // Loggers have other names in Dray.
    if name == "walk-connect" {
        let logger = "org.apache.kafka.connect.runtime.Herder";
        walk.show(&["logger", "set", logger, "debug"], 0);
        walk.show(&["logger", "get", logger], 0);
        walk.show(
            &["logger", "set", logger, "info", "--scope", "cluster", "-o", "json"],
            0,
        );
        walk.show(&["logger", "get", "there.is.none"], 1);
        let all = walk.run_text(&["logger", "list", "-o", "name"]);
        assert!(all.lines().any(|line| line == logger), "{all}");
    }
    walk.show(&["connector", "stop", "lines"], 0);
    walk.until(&["connector", "list"], |text| {
        text.contains("STOPPED") && !text.contains("lines  source  STOPPED  1")
    });
    let set = || {
        let partition = format!("{{\"filename\":\"{here}/lines.txt\"}}");
        walk.run(&[
            "connector",
            "offsets",
            "set",
            "lines",
            "--partition",
            &partition,
            "--offset",
            "{\"position\":0}",
        ])
    };
    wait_until(
        PATIENCE,
        || set().status.success(),
        || String::from_utf8_lossy(&set().stderr).into_owned(),
    );
    walk.show(&["connector", "offsets", "get", "lines", "-o", "json"], 0);
    walk.show(&["connector", "offsets", "reset", "lines", "--yes"], 0);
    walk.show(&["connector", "offsets", "get", "lines"], 0);
    walk.show(&["connector", "pause", "l*"], 0);
    walk.until(&["connector", "list"], |text| text.contains(" PAUSED "));
    walk.show(&["connector", "resume", "-e", "(lines|copy)"], 0);
    walk.until(&["connector", "list"], |text| !text.contains(" PAUSED "));

    walk.show(
        &[
            "plugin",
            "describe",
            "FileStreamSource",
            "--search-name",
            "^(topic|batch.size)$",
        ],
        0,
    );
    walk.until(&["task", "list"], |text| text.matches(" RUNNING ").count() == 2);
    walk.show(&["cluster", "members"], 0);
    let about: Value = serde_json::from_slice(&walk.run(&["cluster", "status", "-o", "json"]).stdout).unwrap();
    assert_eq!(
        about["product"],
        if name.contains("connect") {
            "Kafka Connect"
        } else {
            "Dray"
        }
    );
    let plugins = walk.run_text(&["plugin", "list", "-t", "source,sink", "-o", "name"]);
    assert!(
        plugins.contains("org.apache.kafka.connect.file.FileStreamSinkConnector"),
        "{plugins}"
    );

    walk.show(&["connector", "delete", "lines", "copy", "nothing", "--yes"], 1);
    walk.show(&["connector", "delete", "lines", "copy", "--yes"], 0);
    walk.until(&["connector", "list", "-o", "name"], str::is_empty);
    insta::assert_snapshot!(name, walk.text);
}

fn free_port() -> String {
    let port = Command::new(kafka_sh()).arg("freeport").output().unwrap().stdout;
    String::from_utf8(port).unwrap().trim().to_owned()
}

#[test]
fn the_real_connect_over_rest() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let server = Server::connect(folder.path(), &port);
    walk(
        "walk-connect",
        ["--rest".into(), format!("http://127.0.0.1:{port}")],
        &server,
    );
}

#[test]
fn dray_over_rest() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let server = Server::dray(folder.path(), &port);
    let transport = ["--rest".into(), format!("http://127.0.0.1:{port}")];
    walk("walk-dray-rest", transport, &server);
}

#[test]
fn dray_over_grpc() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let server = Server::dray(folder.path(), &port);
    let transport = ["--control".into(), format!("127.0.0.1:{port}")];
    walk("walk-dray", transport, &server);
}
