//! The rows of events. What Debezium itself makes of some thousand of them is compared in `tests/oracle`.

use std::sync::Arc;

use dray_connect::backing::Backing;
use dray_connect::config::ConfigMap;
use dray_connect::datum::Field;
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef};
use dray_connect::structs::Struct;
use dray_connect::value::{SchemaAndValue, Value};

use crate::testing::{Record, apply, record, refused, structure};
use crate::{Chain, Input, Origin};

const EXTRACT: &str = "io.debezium.transforms.ExtractNewRecordState";

fn row_schema() -> SchemaRef {
    let builder = SchemaBuilder::struct_()
        .name("s.t.Value")
        .optional()
        .field("id", Schema::int32());
    builder.field("name", Schema::optional_string()).build().unwrap()
}

fn event_schema() -> SchemaRef {
    let source = SchemaBuilder::struct_()
        .field("table", Schema::string())
        .field("lsn", Schema::optional_int64());
    let builder = SchemaBuilder::struct_()
        .name("s.t.Envelope")
        .field("before", row_schema());
    let builder = builder
        .field("after", row_schema())
        .field("source", source.build().unwrap());
    builder
        .field("op", Schema::string())
        .field("ts_ms", Schema::optional_int64())
        .build()
        .unwrap()
}

fn row(id: i32, name: &str) -> Value {
    structure(&row_schema(), [id.into(), name.into()]).value
}

fn event(op: &str, before: Value, after: Value) -> Record {
    let schema = event_schema();
    let mut source = Struct::new(Arc::clone(&schema.field("source").unwrap().schema)).unwrap();
    source.put("table", "t").unwrap().put("lsn", 24_i64).unwrap();
    record(structure(
        &schema,
        [before, after, source.into(), op.into(), 5_i64.into()],
    ))
}

fn shown(keys: &[(&str, &str)], record: &Record) -> Result<String, String> {
    let result = apply(EXTRACT, keys, record)?;
    let headers = result
        .headers
        .iter()
        .map(|header| format!(" {}={}", header.key, header.value.value));
    Ok(format!(
        "{}: {}{}",
        result.topic,
        result.value.value,
        headers.collect::<String>()
    ))
}

#[test]
fn the_row_takes_the_place_of_the_event() {
    let insert = event("c", Value::Null, row(1, "a"));
    let added = [
        ("add.fields", "op,table,source.lsn:at"),
        ("add.headers", "ts_ms,lsn"),
        ("add.headers.prefix", "h."),
    ];
    assert_eq!(shown(&[], &insert).unwrap(), "t: Struct{id=1,name=a}");
    assert_eq!(
        shown(&added, &insert).unwrap(),
        "t: Struct{id=1,name=a,__op=c,__table=t,__at=24} h.ts_ms=5 h.lsn=24"
    );
    assert_eq!(
        shown(&[("route.by.field", "name")], &insert).unwrap(),
        "a: Struct{id=1,name=a}"
    );
    let schema = apply(EXTRACT, &added, &insert).unwrap().value.schema.unwrap();
    assert!(!schema.optional(), "as in Debezium");
    assert!(schema.field("__op").unwrap().schema.optional());
}

#[test]
fn deletes_become_what_the_mode_says() {
    let delete = event("d", row(1, "a"), Value::Null);
    let mode = |mode| shown(&[("delete.tombstone.handling.mode", mode)], &delete);
    assert_eq!(mode("tombstone").unwrap(), "t: null");
    assert_eq!(mode("rewrite").unwrap(), "t: Struct{id=1,name=a,__deleted=true}");
    let value = |mode| {
        apply(EXTRACT, &[("delete.tombstone.handling.mode", mode)], &delete)
            .unwrap()
            .value
    };
    assert!(value("tombstone").schema.is_some());
    assert_eq!(value("delete-to-tombstone"), SchemaAndValue::NULL);
    let tombstone = record(SchemaAndValue::NULL);
    let keys = [
        ("delete.tombstone.handling.mode", "rewrite-with-tombstone"),
        ("add.headers", "op,table"),
    ];
    assert_eq!(shown(&keys, &tombstone).unwrap(), "t: null __op=d");
}

#[test]
fn what_is_no_event_passes() {
    let heartbeat = SchemaBuilder::struct_()
        .name("Heartbeat")
        .field("ts_ms", Schema::int64())
        .build()
        .unwrap();
    let given = record(structure(&heartbeat, [5_i64.into()]));
    assert_eq!(
        apply(EXTRACT, &[("add.headers", "op")], &given).unwrap().value,
        given.value
    );
}

#[test]
fn fields_that_a_header_names_are_dropped() {
    let mut insert = event("c", Value::Null, row(1, "a"));
    let names = SchemaBuilder::array(Schema::string()).build().unwrap();
    insert
        .headers
        .add_value("drop", Value::Array(vec!["name".into(), "id".into()]), names)
        .unwrap();
    let run = |more: &[_]| {
        apply(
            EXTRACT,
            &[&[("drop.fields.header.name", "drop")], more].concat(),
            &insert,
        )
    };
    let value = |more: &[_]| run(more).unwrap().value.value.java_to_string();
    assert_eq!(value(&[]), "Struct{id=1}", "id is required");
    assert_eq!(value(&[("drop.fields.keep.schema.compatible", "false")]), "Struct{}");
}

#[test]
fn a_schema_is_made_once() {
    let config = [
        ("transforms", "x"),
        ("transforms.x.type", EXTRACT),
        ("transforms.x.add.fields", "op,table"),
    ];
    let config: ConfigMap = config.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let mut chain = Chain::read(&config).unwrap();
    let schemas: Vec<SchemaRef> = (0..3)
        .map(|id| {
            let given = event(if id == 1 { "u" } else { "c" }, Value::Null, row(id, "a"));
            let mut backing = Backing::default();
            let datum = backing.value(&given.value.value);
            let schema = given.value.schema.as_ref().map(|schema| backing.schema(schema));
            let input = Input {
                topic: backing.topic(&"t".into()),
                kafka_partition: None,
                timestamp: None,
                key: Field::default(),
                value: Field { schema, datum },
                headers: None,
                origin: Origin::Source,
            };
            let output = chain.apply(input, &mut backing).unwrap().unwrap();
            Arc::clone(output.value.view(&backing).0.unwrap())
        })
        .collect();
    assert!(Arc::ptr_eq(&schemas[0], &schemas[1]) && Arc::ptr_eq(&schemas[1], &schemas[2]));
}

#[test]
fn wrong_keys_are_refused() {
    assert_eq!(
        refused(EXTRACT, &[("delete.tombstone.handling.mode", "none")]),
        "Invalid value none for configuration delete.tombstone.handling.mode: Value must be one of drop, tombstone, rewrite, \
         rewrite-with-tombstone, delete-to-tombstone"
    );
    assert_eq!(
        refused(EXTRACT, &[("add.fields", "op,a:b:c")]),
        "Invalid value op,a:b:c for configuration add.fields: `a:b:c` is not field, struct.field, field:name or \
         struct.field:name"
    );
}
