//! `use.latest.with.metadata`: with Confluent's Python client, over the registry that this client has for tests of its own. The real one of the
//! other tests keeps no metadata.

use std::slice;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_connect::schema::Schema;
use dray_connect::value::Value;
use dray_converters::converter;
use serde_json::{Value as Json, json};

use super::client::post;
use super::header::Guids;
use super::python::client;
use super::stub::Stub;
use super::{avro, config, id_of, of, order, read, registry, topic, write};

const NO: (&str, &str) = ("auto.register.schemas", "false");
const FIRST: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"int"},{"name":"gone","type":"string"}]}"#;
const SECOND: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"long"},
    {"name":"currency","type":"string","default":"EUR"}]}"#;

fn with(properties: &str) -> (&str, &str) {
    ("use.latest.with.metadata", properties)
}

/// Registers a schema with properties.
fn register(kind: &str, url: &str, topic: &str, schema: &str, properties: &Json) -> i32 {
    let body = json!({ "schema": schema, "schemaType": kind, "metadata": { "properties": properties } });
    let answer = post(url, &format!("/subjects/{topic}-value/versions"), &body);
    i32::try_from(answer["id"].as_i64().unwrap()).unwrap()
}

#[tokio::test]
async fn values_are_written_and_read_as_the_schema_of_some_metadata_has_them() {
    let registry = Guids::start();
    let (url, topic) = (registry.url.as_str(), topic());
    let first = register(
        "AVRO",
        url,
        &topic,
        FIRST,
        &json!({"application.version": "v1", "stage": "prod"}),
    );
    let second = register(
        "AVRO",
        url,
        &topic,
        SECOND,
        &json!({"application.version": "v2", "stage": "prod"}),
    );
    let (old, new) = (
        with("application.version=v1,stage=prod"),
        with("application.version=v2"),
    );

    // What the newest would be does not count, and `use.latest.version` neither.
    let schema = order(&[("id", Schema::int32()), ("gone", Schema::string())]);
    let value = of(&schema, &[("id", Value::Int32(7)), ("gone", Value::from("x"))]);
    let mut writer = avro(url, &[NO, old, ("use.latest.version", "true")]);
    let bytes = write(&mut *writer, &topic, Some(&schema), &value)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((id_of(&bytes), &bytes[5..]), (first, &[14, 2, b'x'][..]));
    // As in Java it is not compared with the value's own, of which a field has no place there.
    let bytes_of_second = write(&mut *avro(url, &[NO, new]), &topic, Some(&schema), &value).await;
    let bytes_of_second = bytes_of_second.unwrap().unwrap();
    assert_eq!(
        (id_of(&bytes_of_second), &bytes_of_second[5..]),
        (second, &[14, 6, b'E', b'U', b'R'][..])
    );

    let found = read(&mut *avro(url, &[new]), &topic, &bytes).await.unwrap();
    assert_eq!(found.value.to_string(), "Struct{id=7,currency=EUR}");
    assert_eq!(found.schema.unwrap().version(), Some(1));
    let found = read(&mut *avro(url, &[old]), &topic, &bytes).await.unwrap();
    assert_eq!(found.value.to_string(), "Struct{id=7,gone=x}");
    let error = read(&mut *avro(url, &[old]), &topic, &bytes_of_second)
        .await
        .unwrap_err();
    let expected = format!("with schema {second} read as schema {first} (use.latest.with.metadata)");
    assert!(
        !error.is_retriable() && error.to_string().contains(&expected),
        "{error}"
    );

    // Who registers writes with its own, as without the key.
    let own = write(&mut *avro(url, &[new]), &topic, Some(&schema), &value)
        .await
        .unwrap()
        .unwrap();
    assert!(![first, second].contains(&id_of(&own)));
}

#[tokio::test]
async fn confluents_client_does_the_same() {
    let registry = Guids::start();
    let (url, topic) = (registry.url.as_str(), topic());
    register("AVRO", url, &topic, FIRST, &json!({"version": "v1"}));
    register("AVRO", url, &topic, SECOND, &json!({"version": "v2"}));
    let (old, new) = (r#"{"version":"v1"}"#, r#"{"version":"v2"}"#);
    let row = r#"{"id": 5, "gone": "y"}"#;
    let theirs = client("avro_client.py", &["write-with", url, &topic, old], &[row.to_owned()]);
    let schema = order(&[("id", Schema::int32()), ("gone", Schema::string())]);
    let value = of(&schema, &[("id", Value::Int32(5)), ("gone", Value::from("y"))]);
    let ours = write(
        &mut *avro(url, &[NO, with("version=v1")]),
        &topic,
        Some(&schema),
        &value,
    )
    .await;
    let ours = STANDARD.encode(ours.unwrap().unwrap());
    assert_eq!(theirs, slice::from_ref(&ours));
    let rows = client(
        "avro_client.py",
        &["read-with", url, &topic, new],
        slice::from_ref(&ours),
    );
    let row: Json = serde_json::from_str(&rows[0]).unwrap();
    assert_eq!(row, json!({"id": 5, "currency": "EUR"}));
    let bytes = STANDARD.decode(ours).unwrap();
    let found = read(&mut *avro(url, &[with("version=v2")]), &topic, &bytes)
        .await
        .unwrap();
    assert_eq!(found.value.to_string(), "Struct{id=5,currency=EUR}");
}

#[tokio::test]
async fn all_formats_have_it() {
    let registry = Guids::start();
    let url = registry.url.as_str();
    for (kind, class, schema, part) in [
        (
            "JSON",
            "io.confluent.connect.json.JsonSchemaConverter",
            r#"{"type":"object","title":"R","properties":{"a":{"type":"number"}}}"#,
            &b"{\"a\":1.0}"[..],
        ),
        (
            "PROTOBUF",
            "io.confluent.connect.protobuf.ProtobufConverter",
            "syntax = \"proto3\"; message R { double a = 1; }",
            &[0, 9, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        ),
    ] {
        let topic = topic();
        let id = register(kind, url, &topic, schema, &json!({"v": "1"}));
        let mut converter = converter(class, &config(url, &[NO, with("v=1")]), false).unwrap();
        let own = dray_connect::schema::SchemaBuilder::struct_()
            .name("R")
            .field("a", Schema::float64());
        let own = own.build().unwrap();
        let value = of(&own, &[("a", Value::Float64(1.0))]);
        let bytes = write(&mut *converter, &topic, Some(&own), &value)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((id_of(&bytes), &bytes[5..]), (id, part), "{kind}");
        let found = read(&mut *converter, &topic, &bytes).await.unwrap();
        assert_eq!(found.value.to_string(), "Struct{a=1.0}", "{kind}");
    }
}

#[tokio::test]
async fn a_registry_without_such_metadata_says_so() {
    let own = Guids::start();
    let topic = topic();
    for url in [own.url.as_str(), &registry()] {
        register("AVRO", url, &topic, "\"int\"", &json!({"v": "1"}));
        let mut converter = avro(url, &[NO, with("v=2")]);
        let error = write(&mut *converter, &topic, Some(&Schema::int32()), &Value::Int32(1)).await;
        let error = error.unwrap_err();
        assert!(!error.is_retriable());
        let text = error.to_string();
        for part in [
            &format!("the latest schema of subject {topic}-value with metadata v=2")[..],
            "404",
            "no version of it with such metadata",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}

/// What is asked for is seen by a stub, as neither registry says what it was asked.
#[tokio::test]
async fn it_is_asked_for_as_the_api_has_it() {
    let stub = Stub::start(vec![Some((200, r#"{"id":3,"version":1,"schema":"\"int\""}"#))]);
    let mut converter = avro(&stub.url(), &[NO, with("application.version=v1,'b=x,&y'")]);
    for _ in 0..3 {
        write(&mut *converter, "t", Some(&Schema::int32()), &Value::Int32(1))
            .await
            .unwrap();
    }
    let asked = stub.asked();
    let expected = "GET /subjects/t-value/metadata?key=application.version&value=v1&key=b&value=x%2C%26y&deleted=true ";
    assert!(asked.len() == 1 && asked[0].starts_with(expected), "{asked:?}");
}
