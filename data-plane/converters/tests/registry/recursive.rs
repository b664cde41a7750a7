//! Avro records that contain themselves, with Confluent's Python client both ways: over the real registry, but for those by way of a map, which
//! that one answers with 500 (its canonicalizer goes round in them until its stack ends): they go over the one that the client has for tests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_connect::schema::{RecursiveBuilder, Schema, SchemaBuilder, SchemaRef};
use dray_connect::structs::Struct;
use dray_connect::value::Value;
use serde_json::{Value as Json, json};

use super::header::Guids;
use super::python::client;
use super::{avro, id_of, read, registry, topic, write};

const PYTHON: &str = "avro_client.py";

/// What the client writes of a row is read, and it reads the row in what is written of that.
async fn there_and_back(url: &str, schema: &str, row: &Json, expected: &str) {
    let topic = topic();
    let lines = client(PYTHON, &["write", url, &topic, schema], &[row.to_string()]);
    let theirs = STANDARD.decode(&lines[0]).unwrap();
    let found = read(&mut *avro(url, &[]), &topic, &theirs).await.unwrap();
    assert_eq!(found.value.to_string(), expected);
    assert_eq!(found.schema.as_ref().unwrap().version(), Some(1));
    // With their schema, to the byte, and with the one that is made of Connect's, here and under a subject of its own.
    let latest = [("auto.register.schemas", "false"), ("use.latest.version", "true")];
    let same = write(&mut *avro(url, &latest), &topic, found.schema.as_ref(), &found.value).await;
    assert_eq!(same.unwrap().unwrap(), theirs);
    for topic in [topic, super::topic()] {
        let ours = write(&mut *avro(url, &[]), &topic, found.schema.as_ref(), &found.value).await;
        let ours = ours.unwrap().unwrap();
        assert_ne!(id_of(&ours), id_of(&theirs));
        let lines = client(PYTHON, &["read", url, &topic], &[STANDARD.encode(ours)]);
        assert_eq!(serde_json::from_str::<Json>(&lines[0]).unwrap(), *row);
    }
}

#[tokio::test]
async fn lists_and_trees() {
    let url = registry();
    let list = r#"{"type":"record","name":"Node","namespace":"py","fields":[{"name":"v","type":"int"},
        {"name":"next","type":["null","Node"],"default":null}]}"#;
    let row = json!({"v": 1, "next": {"v": 2, "next": {"v": 3, "next": null}}});
    there_and_back(&url, list, &row, "Struct{v=1,next=Struct{v=2,next=Struct{v=3}}}").await;
    let tree = r#"{"type":"record","name":"Tree","namespace":"py","fields":[{"name":"t","type":"string"},
        {"name":"kids","type":{"type":"array","items":"Tree"}}]}"#;
    let leaf = |text: &str| json!({"t": text, "kids": []});
    let row = json!({"t": "a", "kids": [leaf("b"), {"t": "c", "kids": [leaf("d")]}]});
    let expected = "Struct{t=a,kids=[Struct{t=b,kids=[]}, Struct{t=c,kids=[Struct{t=d,kids=[]}]}]}";
    there_and_back(&url, tree, &row, expected).await;
}

#[tokio::test]
async fn one_by_way_of_another() {
    let mutual = r#"{"type":"record","name":"A","namespace":"py","fields":[{"name":"b","type":["null",
        {"type":"record","name":"B","fields":[{"name":"x","type":"long"},{"name":"a","type":["null","A"],"default":null}]}],"default":null}]}"#;
    let row = json!({"b": {"x": 1, "a": {"b": {"x": 2, "a": {"b": null}}}}});
    let expected = "Struct{b=Struct{x=1,a=Struct{b=Struct{x=2,a=Struct{}}}}}";
    there_and_back(&registry(), mutual, &row, expected).await;
}

#[tokio::test]
async fn by_way_of_a_map() {
    let map = r#"{"type":"record","name":"M","namespace":"py","fields":[{"name":"v","type":"int"},
        {"name":"by_name","type":{"type":"map","values":"M"}}]}"#;
    let row = json!({"v": 1, "by_name": {"k": {"v": 2, "by_name": {}}}});
    let own = Guids::start();
    there_and_back(&own.url, map, &row, "Struct{v=1,by_name={k=Struct{v=2,by_name={}}}}").await;
}

/// A schema that never was Avro's.
#[tokio::test]
async fn what_a_connector_makes_is_read_by_the_client() {
    let (url, topic) = (registry(), topic());
    let mut builder = RecursiveBuilder::new(1);
    let next = RecursiveBuilder::reference(0).optional().build().unwrap();
    let node = SchemaBuilder::struct_().name("my.Node").field("text", Schema::string());
    let node = node.field("next", next).build().unwrap();
    builder.define(0, node).unwrap();
    let schema: SchemaRef = builder.build().unwrap().schema(0);
    let record = |schema: &SchemaRef, text: &str, next: Value| {
        let mut record = Struct::new(SchemaRef::clone(schema)).unwrap();
        record.put("text", text).unwrap().put("next", next).unwrap();
        Value::from(record)
    };
    let inner = Schema::resolved(&schema.field("next").unwrap().schema);
    let value = record(&schema, "a", record(&inner, "b", Value::Null));
    let bytes = write(&mut *avro(&url, &[]), &topic, Some(&schema), &value)
        .await
        .unwrap()
        .unwrap();
    let lines = client(PYTHON, &["read", &url, &topic], &[STANDARD.encode(&bytes)]);
    let row = json!({"text": "a", "next": {"text": "b", "next": null}});
    assert_eq!(serde_json::from_str::<Json>(&lines[0]).unwrap(), row);
    let found = read(&mut *avro(&url, &[]), &topic, &bytes).await.unwrap();
    assert_eq!(found.value.to_string(), "Struct{text=a,next=Struct{text=b}}");
}
