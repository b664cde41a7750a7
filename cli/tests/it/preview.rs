//! `dray connector preview` as its user runs it: on the real broker, by an agent of `dray standalone`.

use crate::harness::{Dray, bootstrap, unique, wait_until};
use dray_kafka::RdKafka;
use dray_kafka::port::{ClientConfig, KafkaPort as _, NewTopic, Outcome, ProduceRecord, SessionRecord};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_secs(120);
const WITHIN: Duration = Duration::from_secs(30);
const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

/// A process that runs no connector at first, and the broker that it is at.
struct Rig {
    dray: Dray,
    control: String,
    kafka: RdKafka,
    client: ClientConfig,
    runtime: Runtime,
}

impl Rig {
    fn new(more: &str) -> Self {
        let mut dray = Dray::new(&bootstrap());
        let worker = dray.path("worker.properties");
        let text = fs::read_to_string(&worker).unwrap();
        fs::write(&worker, format!("{text}{more}")).unwrap();
        dray.start();
        let mut rig = Self {
            control: address(&dray),
            dray,
            kafka: RdKafka::new(),
            client: [("bootstrap.servers".to_owned(), bootstrap())].into(),
            runtime: Runtime::new().unwrap(),
        };
        rig.ready();
        rig
    }

    /// Waits until its agent answers.
    fn ready(&mut self) {
        self.control = address(&self.dray);
        let listed = || self.run(&["plugin", "list", "-o", "name"], None);
        let ready = || String::from_utf8_lossy(&listed().stdout).contains("FileStreamSink");
        wait_until(PATIENCE, ready, || format!("{:?}\n{}", listed(), self.dray.tail()));
    }

    /// A topic of one partition, with these values.
    fn topic(&self, name: &str, values: &[&str]) {
        self.runtime.block_on(async {
            let admin = self.kafka.admin(&self.client).unwrap();
            let topic = NewTopic {
                name: name.to_owned(),
                partitions: 1,
                replication_factor: 1,
                configs: BTreeMap::new(),
            };
            admin.create_topic(&topic, WITHIN).await.unwrap();
            let mut lane = self.kafka.producer_lane(&self.client, 1 << 20, None).unwrap();
            for (sequence, value) in (0..).zip(values) {
                let record = ProduceRecord {
                    topic: name,
                    partition: Some(0),
                    timestamp: Some(1_700_000_000_000 + sequence as i64),
                    key: None,
                    value: Some(value.as_bytes()),
                    headers: &[],
                    sequence,
                };
                while lane.produce(&[record]).unwrap() == 0 {
                    lane.ready().await;
                }
            }
            let mut acks = Vec::new();
            while lane.in_flight() > 0 {
                lane.acks(&mut acks).await;
            }
            assert!(acks.iter().all(|ack| ack.outcome.is_ok()), "{acks:?}");
        });
    }

    fn topics(&self) -> Vec<String> {
        let admin = self.kafka.admin(&self.client).unwrap();
        let topics = self.runtime.block_on(admin.topics(WITHIN)).unwrap();
        topics.into_keys().collect()
    }

    fn groups(&self) -> String {
        let script =
            std::env::var("DRAY_TEST_KAFKA_SH").expect("DRAY_TEST_KAFKA_SH starts Kafka's tools: run `make test`");
        let listed = Command::new(script)
            .args(["tool", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"])
            .args(["--bootstrap-server", &bootstrap(), "--list"])
            .output()
            .unwrap();
        assert!(listed.status.success(), "{listed:?}");
        String::from_utf8(listed.stdout).unwrap()
    }

    fn run(&self, args: &[&str], stdin: Option<&str>) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dray"))
            .args(args)
            .args(["--control", &self.control])
            // No contexts of whoever runs the tests.
            .env("XDG_CONFIG_HOME", self.dray.path("config"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(stdin.unwrap_or_default().as_bytes()).unwrap();
        drop(input);
        child.wait_with_output().unwrap()
    }

    fn file(&self, name: &str, settings: &[(&str, &str)]) -> String {
        let lines: Vec<String> = settings.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        let path = self.dray.path(&format!("{name}-connector.properties"));
        fs::write(&path, format!("name={name}\n{}", lines.concat())).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Unless it is said how long records are waited for, longer than they take on a busy machine.
    fn preview(&self, file: &str, more: &[&str]) -> Output {
        let wait: &[&str] = if more.contains(&"--wait") {
            &[]
        } else {
            &["--wait", "60"]
        };
        self.run(&[&["connector", "preview", file], more, wait].concat(), None)
    }
}

/// Where the process listens, as its log says.
fn address(dray: &Dray) -> String {
    let found = || {
        let log = dray.log();
        let mut lines = log
            .lines()
            .rev()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let line = lines.find(|line| line.to_string().contains("\"listening\""))?;
        let text = line.to_string();
        let (_, rest) = text.split_once("\"address\":\"")?;
        Some(rest.split('"').next()?.to_owned())
    };
    wait_until(PATIENCE, || found().is_some(), || dray.tail());
    found().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn a_sink_shows_its_records_and_touches_nothing() {
    let rig = Rig::new("");
    let topic = unique("preview-sink");
    rig.topic(&topic, &[r#"{"a":1}"#, r#"{"qty":2}"#, "{", r#"{"qty":3}"#]);
    let name = unique("previewed-sink");
    let target = rig.dray.path("target.txt");
    let file = rig.file(
        &name,
        &[
            ("connector.class", "FileStreamSink"),
            ("file", target.to_str().unwrap()),
            ("topics", &topic),
            ("value.converter", JSON),
            ("value.converter.schemas.enable", "false"),
            ("transforms", "rename,when"),
            ("transforms.rename.type", "ReplaceField$Value"),
            ("transforms.rename.renames", "qty:quantity"),
            ("transforms.when.type", "InsertField$Value"),
            ("transforms.when.offset.field", "offset"),
        ],
    );
    let output = rig.preview(&file, &["--records", "3"]);
    let expected = r#"record 1: TOPIC-0 at offset 1, timestamp 1700000000001
  raw
    value     {"qty":2}
      stored  9 bytes
  converted
    key       null
      schema  string?
    value     {"qty":2}
      schema  none
  rename (ReplaceField$Value)
    value     {"quantity":2}
  when (InsertField$Value)
    value     {"quantity":2,"offset":1}
  sink
    as above
record 2: TOPIC-0 at offset 2, timestamp 1700000000002
  raw
    value     {
      stored  1 byte
  converted (JsonConverter): FAILED
    VALUE_CONVERTER
    org.apache.kafka.connect.errors.DataException: "#;
    let text = stdout(&output).replace(&topic, "TOPIC");
    assert!(text.starts_with(expected), "{text}\n{}", stderr(&output));
    let last = text.split("record 3: ").nth(1).unwrap();
    assert!(
        last.starts_with("TOPIC-0 at offset 3") && last.contains(r#"{"quantity":3,"offset":3}"#),
        "{text}"
    );
    assert_eq!(stderr(&output), "dray: 1 of 3 records failed\n");
    assert_eq!(output.status.code(), Some(1));

    // By whichever client.
    fs::write(
        &file,
        format!("{}dray.kafka.client=librdkafka\n", fs::read_to_string(&file).unwrap()),
    )
    .unwrap();
    let other = rig.preview(&file, &["--records", "3"]);
    assert_eq!(stdout(&other).replace(&topic, "TOPIC"), text, "{}", stderr(&other));

    let first = rig.preview(&file, &["--records", "1", "--from-beginning", "-o", "json"]);
    assert!(first.status.success(), "{}", stderr(&first));
    let seen: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!(seen["records"].as_array().unwrap().len(), 1);
    let stages = seen["records"][0]["stages"].as_array().unwrap();
    assert_eq!(
        (&stages[0]["offset"], &stages[0]["stage"]),
        (&Value::from(0), &Value::from("raw"))
    );
    assert_eq!(
        (&stages[4]["stage"], &stages[4]["outcome"]),
        (&Value::from("sink"), &Value::from("output"))
    );
    let there = rig.preview(&file, &["--offset", &format!("{topic}-0:3"), "-o", "yaml"]);
    assert!(
        there.status.success() && stdout(&there).contains("offset: 3"),
        "{}{}",
        stdout(&there),
        stderr(&there)
    );
    assert!(!stdout(&there).contains("offset: 1"), "{}", stdout(&there));

    assert!(!target.exists());
    let group = format!("connect-{name}");
    assert!(!rig.groups().lines().any(|line| line == group), "{}", rig.groups());
    let offsets = rig.kafka.group_offsets(&rig.client, &group, WITHIN);
    assert_eq!(rig.runtime.block_on(offsets).unwrap(), BTreeMap::new());
}

/// The last offset of such a topic is no record's.
#[test]
fn a_topic_of_transactions_is_read_to_its_end() {
    let rig = Rig::new("");
    let topic = unique("preview-transactions");
    rig.topic(&topic, &[]);
    rig.runtime.block_on(async {
        let made = rig.kafka.transactional_producer(&rig.client, &topic, WITHIN).await;
        let mut producer = made.unwrap();
        for value in ["one", "two"] {
            let record = SessionRecord {
                topic: topic.as_str().into(),
                key: b"k".to_vec(),
                value: Some(value.as_bytes().to_vec()),
            };
            let outcome = producer.commit(vec![record]).await;
            assert!(matches!(outcome, Outcome::Committed), "{outcome:?}");
        }
    });
    let file = rig.file(
        "transactions",
        &[
            ("connector.class", "FileStreamSink"),
            ("file", rig.dray.path("none.txt").to_str().unwrap()),
            ("topics", &topic),
            ("consumer.override.isolation.level", "read_committed"),
        ],
    );
    let output = rig.preview(&file, &["--wait", "60"]);
    let text = stdout(&output);
    assert!(text.contains("at offset 0,") && text.contains("at offset 2,"), "{text}");
    assert_eq!(text.matches("record ").count(), 2, "{text}");
    assert_eq!(stderr(&output), "dray: no more records came within 2s\n");
    assert!(output.status.success());
}

#[test]
fn a_source_shows_what_it_would_send_and_begins_anew_afterwards() {
    let mut rig = Rig::new("");
    let (topic, name) = (unique("preview-source"), unique("previewed-source"));
    let (from, to) = (rig.dray.path("from.txt"), rig.dray.path("to.txt"));
    fs::write(&from, "one\ntwo\n").unwrap();
    let settings = [
        ("connector.class", "FileStreamSource"),
        ("file", from.to_str().unwrap()),
        ("topic", &topic),
        ("value.converter", JSON),
        ("transforms", "hoist"),
        ("transforms.hoist.type", "HoistField$Value"),
        ("transforms.hoist.field", "line"),
        ("topic.creation.default.partitions", "1"),
        ("topic.creation.default.replication.factor", "1"),
    ];
    let file = rig.file(&name, &settings);
    let output = rig.preview(&file, &["--records", "2"]);
    let text = stdout(&output)
        .replace(&topic, "TOPIC")
        .replace(from.to_str().unwrap(), "FILE");
    // It is the time of the poll.
    let lines = text.lines().filter(|line| !line.starts_with("    timestamp "));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let expected = r#"record 1
  polled
    source    {"filename":"FILE"} at {"position":4}
    topic     TOPIC
    value     "one"
      schema  string
  hoist (HoistField$Value)
    value     {"line":"one"}
      schema  {line: string}
  encoded
    value     {"schema":{"type":"struct","fields":[{"type":"string","optional":false,"field":"line"}],"optional":false},"payload":{"line":"one"}}
      stored  131 bytes
record 2
"#;
    assert!(text.starts_with(expected), "{text}\n{}", stderr(&output));
    assert!(output.status.success(), "{}", stderr(&output));

    // Asked for more than there is, it says so.
    let output = rig.preview(&file, &["--wait", "1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "dray: no more records within 1s\n");
    assert_eq!(stdout(&output).matches("record ").count(), 2);

    assert!(!rig.topics().contains(&topic));
    assert!(rig.dray.terminate().success(), "{}", rig.dray.tail());
    assert!(
        !rig.dray.path("connect.offsets").exists() || fs::read(rig.dray.path("connect.offsets")).unwrap().is_empty()
    );

    // The connector itself reads from the beginning.
    rig.dray.connector(&name, &settings);
    rig.dray.connector(
        &unique("reads"),
        &[
            ("connector.class", "FileStreamSink"),
            ("file", to.to_str().unwrap()),
            ("topics", &topic),
            ("consumer.override.metadata.max.age.ms", "1000"),
            ("value.converter", JSON),
            ("transforms", "line"),
            ("transforms.line.type", "ExtractField$Value"),
            ("transforms.line.field", "line"),
        ],
    );
    rig.dray.start();
    rig.dray.wait_for_size(&to, 8, PATIENCE);
    assert_eq!(fs::read_to_string(&to).unwrap(), "one\ntwo\n");

    // From where it is there is nothing more; one of another name is at the beginning.
    rig.ready();
    let committed = || {
        let args = ["connector", "offsets", "get", &name];
        stdout(&rig.run(&args, None)).contains("\"position\":8")
    };
    rig.dray.wait_for_size(&to, 8, PATIENCE);
    wait_until(PATIENCE, committed, || rig.dray.tail());
    let output = rig.run(&["connector", "preview", "--name", &name, "--wait", "1"], None);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        (stdout(&output), stderr(&output)),
        ("", "dray: no more records within 1s\n")
    );
}

#[test]
fn records_can_be_given_and_secrets_are_not_shown() {
    let rig = Rig::new(
        "config.providers=file\nconfig.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider\n\
         config.providers.file.param.allowed.paths=/\n",
    );
    let secrets = rig.dray.path("secrets.properties");
    fs::write(&secrets, "word=opensesame\nnumber=4711471147\n").unwrap();
    let secret = |key: &str| format!("${{file:{}:{key}}}", secrets.display());
    let (word, number) = (secret("word"), secret("number"));
    let topic = unique("preview-secret");
    let file = rig.file(
        "secretive",
        &[
            ("connector.class", "FileStreamSource"),
            ("file", rig.dray.path("none.txt").to_str().unwrap()),
            ("topic", &topic),
            ("value.converter", JSON),
            ("value.converter.schemas.enable", "false"),
            ("transforms", "word,cast,fail"),
            ("transforms.word.type", "InsertField$Value"),
            ("transforms.word.static.field", "word"),
            ("transforms.word.static.value", &word),
            ("transforms.cast.type", "InsertField$Value"),
            ("transforms.cast.static.field", "number"),
            ("transforms.cast.static.value", &number),
            ("transforms.fail.type", "Cast$Value"),
            ("transforms.fail.spec", "word:int32"),
            ("transforms.fail.predicate", "bad"),
            ("predicates", "bad"),
            ("predicates.bad.type", "HasHeaderKey"),
            ("predicates.bad.name", "bad"),
        ],
    );
    let records = "{\"value\":{\"a\":1}}\n\n{\"value\":{\"a\":2},\"headers\":{\"bad\":true}}\n";
    for output in ["text", "json"] {
        let args = ["connector", "preview", &file, "--input", "-", "-o", output];
        let seen = rig.run(&args, Some(records));
        let all = format!("{}{}", stdout(&seen), stderr(&seen));
        assert!(!all.contains("opensesame") && !all.contains("4711471147"), "{all}");
        assert!(all.contains(&word) && all.contains(&number), "{all}");
        assert_eq!(seen.status.code(), Some(1), "{all}");
        assert!(stderr(&seen).ends_with("1 of 2 records failed\n"), "{all}");
    }
    let text = stdout(&rig.run(&["connector", "preview", &file, "--input", "-"], Some(records))).to_owned();
    assert!(
        text.contains("  encoded\n") && text.contains("  fail (Cast$Value): FAILED\n"),
        "{text}"
    );
    assert!(!rig.topics().contains(&topic));

    // What is wrong with files, flags and configurations.
    let wrong = rig.file(
        "wrong",
        &[("connector.class", "FileStreamSource"), ("tasks.max", "many")],
    );
    for (args, stdin, code, expected) in [
        (
            vec![file.as_str(), "--input", "-"],
            "\n",
            2,
            "dray: stdin: there are no records in it",
        ),
        (
            vec![file.as_str(), "--input", "-"],
            "{\"value\":1}\n{\"vale\":1}\n",
            2,
            "dray: stdin:2: not a record: unknown field `vale`",
        ),
        (vec![file.as_str(), "--records", "101"], "", 2, "101 is not in 1..=100"),
        (
            vec![file.as_str(), "--offset", "here"],
            "",
            2,
            "TOPIC-PARTITION:OFFSET is wanted",
        ),
        (
            vec![wrong.as_str()],
            "",
            1,
            "Connector configuration is invalid and contains the following",
        ),
        (vec!["--name", "nobody"], "", 1, "cannot read connector `nobody`"),
        (vec![], "", 2, "required"),
    ] {
        let output = rig.run(&[&["connector", "preview"], &args[..]].concat(), Some(stdin));
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{args:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn kafka_connect_has_no_such_call() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.properties");
    fs::write(&file, "name=c\nconnector.class=x\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_dray"))
        .args([
            "connector",
            "preview",
            file.to_str().unwrap(),
            "--rest",
            "http://127.0.0.1:1",
        ])
        .env("XDG_CONFIG_HOME", folder.path())
        .env_remove("DRAY_CONTROL")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("Kafka Connect has no call for it"), "{said}");
}
