//! `use.latest.version` for who reads: values of the newest schema of the subject, whatever they were written with.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_connect::value::SchemaAndValue;
use dray_converters::converter;
use serde_json::json;

use super::client::{register, register_as};
use super::python::client;
use super::stub::{Answer, Stub};
use super::{avro, config, read, registry, topic};

const LATEST: (&str, &str) = ("use.latest.version", "true");

const FIRST: &str = r#"{"type":"record","name":"shop.Order","fields":[{"name":"id","type":"int"},{"name":"gone","type":"string"},
    {"name":"amount","type":"int"},{"name":"state","type":{"type":"enum","name":"State","symbols":["NEW","LOST"]}}]}"#;
const SECOND: &str = r#"{"type":"record","name":"shop.Order","fields":[{"name":"added","type":["null","string"],"default":null},
    {"name":"price","type":"double","aliases":["amount"]},{"name":"id","type":"long"},{"name":"currency","type":"string","default":"EUR"},
    {"name":"state","type":{"type":"enum","name":"State","symbols":["NEW","UNKNOWN"],"default":"UNKNOWN"}}]}"#;

fn message(id: i32, rest: &[u8]) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], rest].concat()
}

fn version(found: &SchemaAndValue) -> Option<i32> {
    found.schema.as_ref().unwrap().version()
}

#[tokio::test]
async fn what_the_first_wrote_is_read_as_the_second_has_it() {
    let (url, topic) = (registry(), topic());
    let subject = format!("{topic}-value");
    let first = register(&url, &subject, FIRST, &json!([]));
    let bytes = message(first, &[14, 2, b'x', 10, 2]);
    let mut keeps = avro(&url, &[LATEST]);
    let mut asks = avro(&url, &[LATEST, ("latest.cache.ttl.sec", "0")]);
    let own = "Struct{id=7,gone=x,amount=5,state=LOST}";
    for converter in [&mut keeps, &mut asks] {
        let found = read(&mut **converter, &topic, &bytes).await.unwrap();
        assert_eq!((found.value.to_string().as_str(), version(&found)), (own, Some(1)));
    }
    let second = register(&url, &subject, SECOND, &json!([]));
    // -1 is for ever; a converter that is made now has never seen another.
    assert_eq!(read(&mut *keeps, &topic, &bytes).await.unwrap().value.to_string(), own);
    let resolved = "Struct{price=5.0,id=7,currency=EUR,state=UNKNOWN}";
    for converter in [&mut asks, &mut avro(&url, &[LATEST])] {
        let found = read(&mut **converter, &topic, &bytes).await.unwrap();
        // The version is that of the message's own schema, as in Java.
        assert_eq!((found.value.to_string().as_str(), version(&found)), (resolved, Some(1)));
    }
    // As long as the newest is the same, so is the schema that comes out.
    let schema = read(&mut *asks, &topic, &bytes).await.unwrap().schema.unwrap();
    let again = read(&mut *asks, &topic, &bytes).await.unwrap().schema.unwrap();
    assert!(Arc::ptr_eq(&schema, &again));
    // Without the key it is the writer's.
    assert_eq!(
        read(&mut *avro(&url, &[]), &topic, &bytes)
            .await
            .unwrap()
            .value
            .to_string(),
        own
    );
    let bytes = message(second, &[0, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 16, 4, b'c', b'd', 0]);
    let found = read(&mut *asks, &topic, &bytes).await.unwrap();
    assert_eq!(
        (found.value.to_string().as_str(), version(&found)),
        ("Struct{price=1.0,id=8,currency=cd,state=NEW}", Some(2))
    );
}

#[tokio::test]
async fn confluents_client_reads_the_same() {
    let (url, topic) = (registry(), topic());
    let subject = format!("{topic}-value");
    let rows = [
        r#"{"id":1,"gone":"a","amount":3,"state":"NEW"}"#,
        r#"{"id":-2,"gone":"","amount":-4,"state":"LOST"}"#,
    ];
    let written = client(
        "avro_client.py",
        &["write", &url, &topic, FIRST],
        &rows.map(str::to_owned),
    );
    register(&url, &subject, SECOND, &json!([]));
    let theirs = client("avro_client.py", &["read-latest", &url, &topic], &written);
    let mut ours = avro(&url, &[LATEST]);
    for (line, theirs) in written.iter().zip(theirs) {
        let bytes = STANDARD.decode(line).unwrap();
        let found = read(&mut *ours, &topic, &bytes).await.unwrap().value;
        let theirs: serde_json::Value = serde_json::from_str(&theirs).unwrap();
        let record = found.as_struct().unwrap();
        assert_eq!(record.get_int64("id").unwrap(), theirs["id"].as_i64());
        assert_eq!(record.get_float64("price").unwrap(), theirs["price"].as_f64());
        for name in ["added", "currency", "state"] {
            assert_eq!(
                record.get(name).unwrap().as_str(),
                theirs[name].as_str(),
                "{name} of {line}"
            );
        }
    }
}

#[tokio::test]
async fn what_does_not_go_together_is_an_error_of_the_record() {
    let (url, topic) = (registry(), topic());
    let subject = format!("{topic}-value");
    let first = register(
        &url,
        &subject,
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"string"}]}"#,
        &json!([]),
    );
    let reader =
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","string"]},{"name":"b","type":"int"}]}"#;
    let second = register(&url, &subject, reader, &json!([]));
    let mut converter = avro(&url, &[LATEST]);
    let error = read(&mut *converter, &topic, &message(first, &[2, b'x']))
        .await
        .unwrap_err();
    assert_eq!(error.java_class(), "org.apache.kafka.connect.errors.DataException");
    let text = error.to_string();
    for part in [
        &format!("topic {topic}")[..],
        &format!("with schema {first} read as schema {second} (use.latest.version)"),
        "record R of the reader's schema has a field b without a default",
    ] {
        assert!(text.contains(part), "{text}");
    }
    // What was written with the newest is read.
    let found = read(&mut *converter, &topic, &message(second, &[2, 2, b'x', 6]))
        .await
        .unwrap();
    assert_eq!(found.value.to_string(), "Struct{a=x,b=3}");
}

#[tokio::test]
async fn subjects_are_those_of_the_writers_record() {
    let (url, topic) = (registry(), topic());
    let record = format!("space.R{}", topic.replace('-', "_"));
    let of = |kind: &str| format!(r#"{{"type":"record","name":"{record}","fields":[{{"name":"x","type":"{kind}"}}]}}"#);
    let first = register(&url, &record, &of("int"), &json!([]));
    register(&url, &record, &of("double"), &json!([]));
    let strategy = ("value.subject.name.strategy", "RecordNameStrategy");
    let found = read(&mut *avro(&url, &[LATEST, strategy]), &topic, &message(first, &[6])).await;
    assert_eq!(found.unwrap().value.to_string(), "Struct{x=3.0}");
    // There is no subject of the topic.
    let error = read(&mut *avro(&url, &[LATEST]), &topic, &message(first, &[6]))
        .await
        .unwrap_err();
    let expected = format!("cannot read the latest schema of subject {topic}-value from the schema registry");
    assert!(
        !error.is_retriable() && error.to_string().contains(&expected),
        "{error}"
    );
}

#[tokio::test]
async fn json_and_protobuf_are_read_with_the_newest() {
    let (url, topic) = (registry(), topic());
    let subject = format!("{topic}-value");
    let none = json!([]);
    let of = |properties: &str| format!(r#"{{"type":"object","title":"R","properties":{{{properties}}}}}"#);
    let first = register_as(
        "JSON",
        &url,
        &subject,
        &of(r#""a":{"type":"integer"},"b":{"type":"string"}"#),
        &none,
    );
    register_as(
        "JSON",
        &url,
        &subject,
        &of(r#""a":{"type":"number"},"c":{"type":"string"}"#),
        &none,
    );
    let class = "io.confluent.connect.json.JsonSchemaConverter";
    let mut json = converter(class, &config(&url, &[LATEST]), false).unwrap();
    let bytes = message(first, br#"{"a":1,"b":"x"}"#);
    let found = read(&mut *json, &topic, &bytes).await.unwrap();
    assert_eq!(
        (found.value.to_string().as_str(), version(&found)),
        ("Struct{a=1.0}", Some(2))
    );

    let topic = self::topic();
    let subject = format!("{topic}-value");
    let other = "message Other { string o = 1; }";
    let (first, second) = (
        "syntax = \"proto3\"; package p; message R { int32 a = 1; string b = 2; }".to_owned(),
        format!("syntax = \"proto3\"; package p; {other} message R {{ string c = 3; int32 renamed = 1; }}"),
    );
    let first = register_as("PROTOBUF", &url, &subject, &first, &none);
    register_as("PROTOBUF", &url, &subject, &second, &none);
    let class = "io.confluent.connect.protobuf.ProtobufConverter";
    let mut protobuf = converter(class, &config(&url, &[LATEST]), false).unwrap();
    // The message of that name, though it is not the first any more.
    let bytes = message(first, &[0, 8, 7, 18, 1, b'x']);
    let found = read(&mut *protobuf, &topic, &bytes).await.unwrap();
    assert_eq!(
        (found.value.to_string().as_str(), version(&found)),
        ("Struct{c=,renamed=7}", Some(2))
    );
}

#[tokio::test]
async fn a_newest_schema_that_cannot_be_had_is_no_endless_question() {
    let (found, versions): (Answer, Answer) = (
        Some((200, r#"{"schema":"\"int\""}"#)),
        Some((200, r#"[{"subject":"t-value","version":1}]"#)),
    );
    let (gone, newest): (Answer, Answer) = (
        Some((404, r#"{"error_code":40401,"message":"Subject not found"}"#)),
        Some((200, r#"{"id":9,"version":4,"schema":"\"long\""}"#)),
    );
    let quick = [LATEST, ("latest.cache.ttl.sec", "0"), ("max.retries", "0")];
    for (answer, is_retriable, asked) in [(None, true, 3), (gone, false, 3)] {
        let stub = Stub::start(vec![found, versions, answer]);
        let error = read(&mut *avro(&stub.url(), &quick), "t", &message(5, &[2]))
            .await
            .unwrap_err();
        assert_eq!(error.is_retriable(), is_retriable, "{error}");
        assert!(
            error.to_string().contains("latest schema of subject t-value"),
            "{error}"
        );
        assert_eq!(stub.asked().len(), asked);
    }
    // It is asked for again for each record, as it is kept for no time, and the writer's once.
    let stub = Stub::start(vec![found, versions, newest]);
    let mut converter = avro(&stub.url(), &quick);
    for _ in 0..3 {
        let found = read(&mut *converter, "t", &message(5, &[2])).await.unwrap();
        assert_eq!(found.value.to_string(), "1");
    }
    assert_eq!(stub.asked().len(), 5);
}
