//! Tasks whose converters ask a real schema registry: from a source over a real broker to a sink, and while the registry is away. In real time.

use crate::harness::{SHELVES, Stage, map};
use crate::metrics::Look;
use dray_connect::header::Headers;
use dray_connect::schema::Schema;
use dray_connect::value::SchemaAndValue;
use dray_kafka::Kafka;
use dray_model::TaskState;
use dray_runtime::preview::{Ask, Given, Outcome, Part, Records};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const AVRO: &str = "io.confluent.connect.avro.AvroConverter";

fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is missing: `deploy/rig/with-registry.sh deploy/rig/with-broker.sh cargo test -p dray-runtime`")
    })
}

async fn until(what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !met() {
        assert!(Instant::now() < deadline, "it never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn shelf(name: &str) -> Vec<String> {
    let mut values = SHELVES.lock().unwrap().get(name).cloned().unwrap_or_default();
    values.sort_by_key(|value| value.parse::<i64>().unwrap());
    values
}

fn numbers(count: i64) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

fn source<'a>(topic: &'a str, url: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("connector.class", "Counter"),
        ("topic", topic),
        ("count", "25"),
        ("value.converter", AVRO),
        ("value.converter.schema.registry.url", url),
    ]
}

fn sink<'a>(topic: &'a str, url: &'a str, shelf: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("connector.class", "Keeper"),
        ("topics", topic),
        ("shelf", shelf),
        ("value.converter", AVRO),
        ("value.converter.schema.registry.url", url),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_source_over_a_real_broker_to_a_sink() {
    let (broker, url) = (environment("DRAY_TEST_BOOTSTRAP"), environment("DRAY_TEST_REGISTRY"));
    let stage = Stage::on_kafka(Kafka::new(), &broker);
    let topic = format!("avro-{}", std::process::id());
    let from_beginning = ("consumer.override.auto.offset.reset", "earliest");
    let writing = stage.task("writes", &source(&topic, &url));
    until("all is written", || stage.offsets.position("writes") == Some(25)).await;
    let reading = stage.task("reads", &[sink(&topic, &url, "avro"), vec![from_beginning]].concat());
    until("all is read", || shelf("avro").len() >= 25).await;
    assert_eq!(shelf("avro"), numbers(25));
    for running in [writing, reading] {
        assert!(
            running
                .stop(tokio::time::Instant::now() + Duration::from_secs(20))
                .await
        );
    }
}

/// A registry that knows GUIDs, which the real one of the tests does not.
struct Guids {
    process: Child,
    url: String,
}

impl Guids {
    fn start() -> Self {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../deploy/registry-clients/guid_registry.py"
        );
        let mut process = Command::new(environment("DRAY_TEST_REGISTRY_PYTHON"))
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut url).unwrap();
        Self {
            process,
            url: url.trim().to_owned(),
        }
    }
}

impl Drop for Guids {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
    }
}

/// Ids of schemas go over the broker in headers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_in_headers_from_a_source_over_a_real_broker_to_a_sink() {
    let (broker, registry) = (environment("DRAY_TEST_BOOTSTRAP"), Guids::start());
    let stage = Stage::on_kafka(Kafka::new(), &broker);
    let (topic, url) = (format!("guids-{}", std::process::id()), registry.url.as_str());
    let in_headers = [("value.converter.value.schema.id.serializer", "HeaderSchemaIdSerializer")];
    let writing = stage.task("writes", &[source(&topic, url), in_headers.to_vec()].concat());
    until("all is written", || stage.offsets.position("writes") == Some(25)).await;
    let from_beginning = ("consumer.override.auto.offset.reset", "earliest");
    let reading = stage.task("reads", &[sink(&topic, url, "guids"), vec![from_beginning]].concat());
    until("all is read", || shelf("guids").len() >= 25).await;
    assert_eq!(shelf("guids"), numbers(25));
    // Who looks before the value only finds none there.
    let prefix = (
        "value.converter.value.schema.id.deserializer",
        "PrefixSchemaIdDeserializer",
    );
    let config = [sink(&topic, url, "no-guids"), vec![from_beginning, prefix]].concat();
    let failing = stage.task("fails", &config);
    stage.wait_for("fails", TaskState::Failed).await;
    assert_eq!(shelf("no-guids").len(), 0);
    for running in [writing, reading, failing] {
        assert!(
            running
                .stop(tokio::time::Instant::now() + Duration::from_secs(20))
                .await
        );
    }
}

/// A schema that the registry does not have is an error of the preview, and stays one: until the connector itself has registered it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preview_finds_schemas_and_registers_none() {
    let (stage, url) = (Stage::new(), environment("DRAY_TEST_REGISTRY"));
    let topic = format!("previewed-{}", std::process::id());
    let config = source(&topic, &url);
    let preview = || async {
        let ask = Ask {
            name: "previewed".try_into().unwrap(),
            config: map(&[&config[..], &[("name", "previewed")]].concat()),
            records: Records::Given(vec![Given {
                topic: topic.as_str().into(),
                partition: None,
                offset: None,
                timestamp: None,
                key: SchemaAndValue::NULL,
                value: SchemaAndValue::new(Schema::string(), "7"),
                headers: Headers::new(),
            }]),
        };
        let mut preview = stage.worker.preview(ask).await.unwrap();
        preview.records.remove(0).pop().unwrap()
    };
    for _ in 0..2 {
        let failed = preview().await;
        assert_eq!((failed.stage.as_str(), failed.outcome), ("encoded", Outcome::Failed));
        let error = failed.error.unwrap();
        assert_eq!(error.stage, "VALUE_CONVERTER");
        let hint = "A preview registers no schema: the connector itself would register this one.";
        assert!(error.message.ends_with(hint), "{}", error.message);
    }
    stage.kafka.create_topic(&topic, 1);
    let writing = stage.task("writes", &config);
    until("all is written", || stage.offsets.position("writes") == Some(25)).await;
    let encoded = preview().await;
    assert_eq!(encoded.outcome, Outcome::Output, "{encoded:?}");
    let Part::Bytes(Some(bytes)) = encoded.value else {
        panic!("it has bytes");
    };
    assert_eq!((bytes[0], &bytes[bytes.len() - 2..]), (0, &b"\x027"[..]));
    assert!(
        writing
            .stop(tokio::time::Instant::now() + Duration::from_secs(20))
            .await
    );
}

/// A registry of one's own.
struct Own {
    script: PathBuf,
    dir: PathBuf,
    port: String,
}

impl Own {
    fn prepare() -> Self {
        let script = PathBuf::from(environment("DRAY_TEST_REGISTRY_SH"));
        let port = Command::new(script.with_file_name("kafka.sh"))
            .arg("freeport")
            .output()
            .unwrap();
        Self {
            dir: std::env::temp_dir().join(format!("dray-runtime-registry-{}", std::process::id())),
            port: String::from_utf8(port.stdout).unwrap().trim().to_owned(),
            script,
        }
    }

    fn call(&self, command: &str, more: &[&str]) {
        let mut call = Command::new(&self.script);
        let status = call.arg(command).arg(&self.dir).args(more).status().unwrap();
        assert!(status.success(), "registry.sh {command}");
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.call("kill9", &[]);
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_wait_for_a_registry_that_is_away() {
    let (stage, own) = (Stage::new(), Own::prepare());
    let url = own.url();
    let patient = [
        ("errors.retry.timeout", "-1"),
        ("errors.retry.delay.max.ms", "50"),
        ("value.converter.max.retries", "0"),
    ];
    let retries = |name: &str| Look::at(&stage).of_task("kafka_connect_task_error_total_retries_total", name);
    // Nobody listens.
    let writing = stage.task("writes", &[source("away", &url), patient.to_vec()].concat());
    stage.wait_for("writes", TaskState::Running).await;
    until("the source tries again", || retries("writes") >= 2.0).await;
    own.call("start", &[&own.port]);
    until("all is written", || stage.offsets.position("writes") == Some(25)).await;
    // It listens, and does not answer. Other waits are another client, which has no answers yet.
    own.call("pause", &[]);
    let short = [("value.converter.http.read.timeout.ms", "100")];
    let reading = stage.task(
        "reads",
        &[sink("away", &url, "away"), patient.to_vec(), short.to_vec()].concat(),
    );
    stage.wait_for("reads", TaskState::Running).await;
    until("the sink tries again", || retries("reads") >= 2.0).await;
    assert_eq!(shelf("away").len(), 0);
    own.call("resume", &[]);
    until("all is read", || shelf("away").len() >= 25).await;
    assert_eq!(shelf("away"), numbers(25));
    for running in [writing, reading] {
        assert!(
            running
                .stop(tokio::time::Instant::now() + Duration::from_secs(20))
                .await
        );
    }
}
