//! Tables that share a topic. What Debezium itself does with some thousand events is compared in `tests/oracle`.

use dray_connect::schema::{Schema, SchemaBuilder};
use dray_connect::value::{SchemaAndValue, Value};

use crate::testing::{Record, apply, record, refused, structure};

const ROUTER: &str = "io.debezium.transforms.ByLogicalTableRouter";
const SHARDS: [(&str, &str); 2] = [("topic.regex", "(.*)_shard_.*"), ("topic.replacement", "$1-all")];

fn event() -> Record {
    let key = SchemaBuilder::struct_()
        .name("db.a_shard_1.Key")
        .field("id", Schema::int32())
        .build()
        .unwrap();
    let row = SchemaBuilder::struct_()
        .optional()
        .field("id", Schema::int32())
        .build()
        .unwrap();
    let schema = SchemaBuilder::struct_()
        .name("db.a_shard_1.Envelope")
        .field("before", row.clone());
    let schema = schema.field("after", row.clone()).build().unwrap();
    let row = structure(&row, [7.into()]).value;
    Record {
        topic: "a_shard_1",
        key: structure(&key, [7.into()]),
        ..record(structure(&schema, [Value::Null, row]))
    }
}

#[test]
fn key_and_value_get_the_names_of_the_new_topic() {
    let result = apply(ROUTER, &SHARDS, &event()).unwrap();
    assert_eq!(result.topic, "a-all");
    assert_eq!(
        result.key.value.java_to_string(),
        "Struct{id=7,__dbz__physicalTableIdentifier=a_shard_1}"
    );
    assert_eq!(result.key.schema.unwrap().name(), Some("a-all.Key"));
    let schema = result.value.schema.unwrap();
    assert_eq!(schema.name(), Some("a-all.Envelope"));
    assert_eq!(schema.field("after").unwrap().schema.name(), Some("a-all.Value"));
    assert_eq!(result.value.value.java_to_string(), "Struct{after=Struct{id=7}}");
}

#[test]
fn the_table_is_told_by_an_expression_or_not_at_all() {
    let key = |more: &[(&str, &str)]| {
        let result = apply(ROUTER, &[&SHARDS, more].concat(), &event()).unwrap();
        result.key.value.java_to_string()
    };
    let by_number = [
        ("key.field.regex", ".*_(.*)"),
        ("key.field.replacement", "$1"),
        ("key.field.name", "shard"),
    ];
    assert_eq!(key(&by_number), "Struct{id=7,shard=1}");
    assert_eq!(key(&[("key.enforce.uniqueness", "false")]), "Struct{id=7}");
    let newer = apply("ToLogicalTopicRouter", &SHARDS, &event()).unwrap();
    assert_eq!(
        newer.key.value.java_to_string(),
        "Struct{id=7,__dbz__sourceIdentifier=a_shard_1}"
    );
}

#[test]
fn other_topics_and_tombstones() {
    let other = Record { topic: "b", ..event() };
    assert_eq!(apply(ROUTER, &SHARDS, &other).unwrap().topic, "b");
    let tombstone = Record {
        value: SchemaAndValue::NULL,
        ..event()
    };
    let result = apply(ROUTER, &SHARDS, &tombstone).unwrap();
    assert_eq!((&*result.topic, result.value), ("a-all", SchemaAndValue::NULL));
}

#[test]
fn wrong_keys_are_refused() {
    assert_eq!(
        refused(ROUTER, &[("topic.regex", "a")]),
        "Invalid value null for configuration topic.replacement: The 'topic.replacement' value is invalid: A value is required"
    );
    assert_eq!(
        refused(ROUTER, &[("topic.regex", "("), ("topic.replacement", "x")]),
        "Invalid value ( for configuration topic.regex: The 'topic.regex' value is invalid: A valid regular expressions is \
         expected, but Unclosed group near index 1\n("
    );
}
