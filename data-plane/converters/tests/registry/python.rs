//! Confluent's Python client: it reads what we write, and we read what it writes.

use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_connect::logical;
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef};
use dray_connect::structs::Struct;
use dray_connect::value::Value;

use super::{avro, read, registry, topic, write};

/// Lines that a script of the client makes of lines.
pub(crate) fn client(script: &str, arguments: &[&str], lines: &[String]) -> Vec<String> {
    let python = std::env::var("DRAY_TEST_REGISTRY_PYTHON");
    let python =
        python.expect("DRAY_TEST_REGISTRY_PYTHON is the python that deploy/registry-clients/fetch.sh has made");
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/registry-clients");
    let mut child = Command::new(python)
        .arg(format!("{scripts}/{script}"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = lines.join("\n");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{script} {arguments:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

const AVRO: &str = "avro_client.py";

const SCHEMA: &str = r#"{"type":"record","name":"All","namespace":"py","fields":[
    {"name":"b","type":"boolean"},{"name":"i","type":"int"},{"name":"l","type":"long"},{"name":"f","type":"float"},
    {"name":"d","type":"double"},{"name":"s","type":"string"},{"name":"n","type":["null","string"],"default":null},
    {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},
    {"name":"a","type":{"type":"array","items":"int"}},{"name":"m","type":{"type":"map","values":"long"}},
    {"name":"r","type":{"type":"record","name":"Inner","fields":[{"name":"x","type":"string"}]}},
    {"name":"u","type":["null","int","Inner"]},
    {"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}}]}"#;

const ROW: &str = r#"{"b":true,"i":-7,"l":9007199254740993,"f":1.5,"d":-0.1,"s":"grüße","n":null,"e":"B","a":[1,2,3],"m":{"k":5},"r":{"x":"y"},"u":{"x":"z"},"ts":"2026-01-02T03:04:05.678+00:00","day":"2026-01-02","amount":"-12.34"}"#;

#[tokio::test]
async fn what_it_writes_is_read() {
    let (url, topic) = (registry(), topic());
    let lines = client(AVRO, &["write", &url, &topic, SCHEMA], &[ROW.to_owned()]);
    let bytes = STANDARD.decode(&lines[0]).unwrap();
    let found = read(&mut *avro(&url, &[]), &topic, &bytes).await.unwrap();
    assert_eq!(found.schema.as_ref().unwrap().version(), Some(1));
    let record = found.value.as_struct().unwrap();
    let of = |name: &str| record.get(name).unwrap().clone();
    for (name, expected) in [
        ("b", Value::Boolean(true)),
        ("i", Value::Int32(-7)),
        ("l", Value::Int64(9_007_199_254_740_993)),
        ("f", Value::Float32(1.5)),
        ("d", Value::Float64(-0.1)),
        ("s", Value::from("grüße")),
        ("n", Value::Null),
        ("e", Value::from("B")),
        (
            "a",
            Value::Array(vec![Value::Int32(1), Value::Int32(2), Value::Int32(3)]),
        ),
        ("m", Value::map([(Value::from("k"), Value::Int64(5))])),
        ("ts", Value::Date(1_767_323_045_678)),
        ("day", Value::Date(1_767_312_000_000)),
        ("amount", Value::Decimal("-12.34".parse().unwrap())),
    ] {
        assert_eq!(of(name), expected, "{name}");
    }
    assert_eq!(of("r").to_string(), "Struct{x=y}");
    assert_eq!(of("u").to_string(), "Struct{Inner=Struct{x=z}}");
    // And back: it reads the same row in what we write of it.
    let mut writer = avro(&url, &[("enhanced.avro.schema.support", "true")]);
    let written = write(&mut *writer, &topic, found.schema.as_ref(), &found.value).await;
    let line = STANDARD.encode(written.unwrap().unwrap());
    let lines = client(AVRO, &["read", &url, &topic], &[line]);
    let (found, expected): (serde_json::Value, serde_json::Value) = (
        serde_json::from_str(&lines[0]).unwrap(),
        serde_json::from_str(ROW).unwrap(),
    );
    assert_eq!(found, expected);
}

#[tokio::test]
async fn what_we_write_it_reads() {
    let (url, topic) = (registry(), topic());
    let inner = SchemaBuilder::struct_()
        .name("my.Inner")
        .field("x", Schema::optional_int16())
        .build()
        .unwrap();
    let schema = SchemaBuilder::struct_()
        .name("my.Row")
        .field("tiny", Schema::int8())
        .field(
            "text",
            SchemaBuilder::string()
                .optional()
                .default_value(Value::from("none"))
                .build()
                .unwrap(),
        )
        .field("inner", SchemaRef::clone(&inner))
        .field("many", SchemaBuilder::array(SchemaRef::clone(&inner)).build().unwrap())
        .field(
            "pairs",
            SchemaBuilder::map(Schema::int32(), Schema::float64()).build().unwrap(),
        )
        .field("time", logical::timestamp_schema())
        .field("price", logical::decimal_schema(3))
        .build()
        .unwrap();
    let of_inner = |x: Value| {
        let mut record = Struct::new(SchemaRef::clone(&inner)).unwrap();
        record.put("x", x).unwrap();
        Value::from(record)
    };
    let mut record = Struct::new(SchemaRef::clone(&schema)).unwrap();
    for (name, value) in [
        ("tiny", Value::Int8(-1)),
        ("inner", of_inner(Value::Null)),
        (
            "many",
            Value::Array(vec![of_inner(Value::Int16(5)), of_inner(Value::Null)]),
        ),
        ("pairs", Value::map([(Value::Int32(1), Value::Float64(0.5))])),
        ("time", Value::Date(1)),
        ("price", Value::Decimal("1.500".parse().unwrap())),
    ] {
        record.put(name, value).unwrap();
    }
    let bytes = write(&mut *avro(&url, &[]), &topic, Some(&schema), &Value::from(record))
        .await
        .unwrap()
        .unwrap();
    let lines = client(AVRO, &["read", &url, &topic], &[STANDARD.encode(bytes)]);
    let found: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    let expected = r#"{"tiny":-1,"text":"none","inner":{"x":null},"many":[{"x":5},{"x":null}],"pairs":[{"key":1,"value":0.5}],"time":"1970-01-01T00:00:00.001+00:00","price":"1.500"}"#;
    assert_eq!(found, serde_json::from_str::<serde_json::Value>(expected).unwrap());
}
