//! Kafka's own clients beside ours: each reads what the other has written. They run in the oracle (`deploy/oracle`).

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_kafka::port::HeaderRef;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
/// Several batches of each codec.
const RECORDS: usize = 2_000;
/// Their timestamps are of years ago.
const KEPT: &[(&str, &str)] = &[("retention.ms", "-1")];

/// The oracle.
pub(crate) struct Java {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Java {
    pub(crate) fn start() -> Self {
        let oracle = std::env::var("DRAY_TEST_ORACLE").expect("set DRAY_TEST_ORACLE: run `make test`");
        let mut child = Command::new(oracle)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the oracle starts");
        Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().expect("piped")),
            child,
        }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.input.as_ref().expect("open"), "{question}").expect("asked");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("answered");
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert!(answer.get("error").is_none(), "{answer}");
        answer
    }

    /// Sends records with Java's producer: their partitions, as the broker has them.
    pub(crate) fn send(&mut self, topic: &str, settings: &[(&str, &str)], records: Vec<Value>) -> Vec<i64> {
        let question = json!({"op": "send", "config": config(settings), "topic": topic, "records": records});
        let answer = self.ask(&question);
        let partitions = answer["partitions"].as_array().unwrap_or_else(|| panic!("{answer}"));
        partitions
            .iter()
            .map(|partition| partition.as_i64().expect("a number"))
            .collect()
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        self.input = None; // its end
        self.child.wait().ok();
    }
}

/// A record's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    timestamp: i64,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

/// With and without keys, values and headers; empty ones; lengths around those where a number needs another byte.
fn corpus() -> Vec<Parts> {
    let bytes = |length: usize, salt: usize| (0..length).map(|at| (at * 7 + salt) as u8).collect::<Vec<u8>>();
    let lengths = [0, 1, 62, 63, 64, 65, 200, 8_190, 8_192];
    (0..RECORDS)
        .map(|number| Parts {
            key: (number % 3 != 0).then(|| bytes(lengths[number % 7], number)),
            value: (number % 11 != 0).then(|| bytes(lengths[number % lengths.len()], number)),
            // Not in order: what stands in a batch is how far each is from the first.
            timestamp: 1_700_000_000_000 + (number as i64 * 7_919) % 100_000 - 50_000,
            headers: (0..number % 4)
                .map(|header| {
                    let value = (header != 1).then(|| bytes(header * 40, number));
                    (format!("ключ-{header}"), value)
                })
                .collect(),
        })
        .collect()
}

fn header_refs(parts: &Parts) -> Vec<HeaderRef<'_>> {
    let headers = parts.headers.iter();
    headers
        .map(|(key, value)| HeaderRef {
            key,
            value: value.as_deref(),
        })
        .collect()
}

fn described(parts: &Parts) -> Value {
    let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| STANDARD.encode(bytes));
    let headers = parts.headers.iter().map(|(name, value)| json!([name, text(value)]));
    json!({
        "key_b64": text(&parts.key), "value_b64": text(&parts.value), "timestamp": parts.timestamp,
        "headers": headers.collect::<Vec<_>>(),
    })
}

/// Java checks each batch's checksum, and refuses what is not canonical.
#[tokio::test(flavor = "multi_thread")]
async fn javas_consumer_reads_what_we_write() {
    let port = Kafka::new();
    let corpus = corpus();
    let mut written = Vec::new();
    for codec in CODECS {
        let topic = topic(&port, codec, 1, KEPT).await;
        let client = config(&[("compression.type", codec), ("batch.size", "100000")]);
        let mut lane = port.producer_lane(&client, 64 << 20, None).expect("lane");
        let headers: Vec<Vec<HeaderRef<'_>>> = corpus.iter().map(header_refs).collect();
        let records: Vec<ProduceRecord<'_>> = corpus
            .iter()
            .zip(&headers)
            .zip(0..)
            .map(|((parts, headers), sequence)| ProduceRecord {
                topic: &topic,
                partition: Some(0),
                timestamp: Some(parts.timestamp),
                key: parts.key.as_deref(),
                value: parts.value.as_deref(),
                headers,
                sequence,
            })
            .collect();
        for ack in send_all(&mut *lane, &records).await {
            ack.outcome.expect("stored");
        }
        written.push(topic);
    }
    let read = tokio::task::spawn_blocking(move || {
        let mut java = Java::start();
        let mut receive = |topic: &String| {
            java.ask(&json!({"op": "receive", "config": config(&[]), "topic": topic, "count": RECORDS}))
        };
        written.iter().map(&mut receive).collect::<Vec<Value>>()
    });
    let expected: Vec<Value> = corpus.iter().map(described).collect();
    for (answer, codec) in read.await.expect("read").iter().zip(CODECS) {
        let found = answer["records"].as_array().expect("records");
        assert_eq!(found.len(), expected.len(), "{codec}");
        for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "{codec}, record {number}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn we_read_what_javas_producer_writes() {
    let port = Kafka::new();
    let corpus = corpus();
    let mut topics = Vec::new();
    for codec in CODECS {
        topics.push(topic(&port, &format!("java-{codec}"), 1, KEPT).await);
    }
    let (records, names) = (corpus.iter().map(described).collect::<Vec<Value>>(), topics.clone());
    let sent = tokio::task::spawn_blocking(move || {
        let mut java = Java::start();
        for (topic, codec) in names.iter().zip(CODECS) {
            let settings = [
                ("compression.type", codec),
                ("linger.ms", "50"),
                ("batch.size", "100000"),
            ];
            assert_eq!(java.send(topic, &settings, records.clone()), vec![0; RECORDS]);
        }
    });
    sent.await.expect("sent");
    for (topic, codec) in topics.iter().zip(CODECS) {
        let group = config(&[("group.id", &unique(codec)), ("auto.offset.reset", "earliest")]);
        let mut consumer = port
            .consumer(&group, std::slice::from_ref(topic), 8 << 20)
            .expect("consumer");
        let mut number = 0;
        while number < corpus.len() {
            let ConsumerEvent::Records(batch) = event(&mut *consumer).await else {
                continue;
            };
            for found in &batch.records {
                let bytes = |slice: &Option<_>| slice.as_ref().map(|slice| batch.bytes(slice).to_vec());
                let headers = &batch.headers[found.headers.start as usize..found.headers.end as usize];
                let name = |slice| String::from_utf8(batch.bytes(slice).to_vec()).expect("UTF-8");
                let headers = headers.iter().map(|(key, value)| (name(key), bytes(value)));
                let parts = Parts {
                    key: bytes(&found.key),
                    value: bytes(&found.value),
                    timestamp: found.timestamp.expect("stamped"),
                    headers: headers.collect(),
                };
                assert_eq!(parts, corpus[number], "{codec}, record {number}");
                number += 1;
            }
        }
        consumer.close().await;
    }
}
