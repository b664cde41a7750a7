//! `JsonSchemaConverter` with the real registry, and with Confluent's Python client both ways.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_connect::logical;
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef};
use dray_connect::value::Value;
use dray_converters::{Converter, converter};
use serde_json::{Value as Json, json};

use super::client::{compatibility, register, register_as};
use super::python::client;
use super::{config, id_of, of, order, read, registry, topic, write};

const CLASS: &str = "io.confluent.connect.json.JsonSchemaConverter";
const PYTHON: &str = "json_client.py";

pub(super) fn json_schema(url: &str, more: &[(&str, &str)]) -> Box<dyn Converter> {
    converter(CLASS, &config(url, more), false).unwrap()
}

/// The message of a schema's id and a text.
fn message(id: i32, text: &str) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], text.as_bytes()].concat()
}

#[tokio::test]
async fn ids_and_versions() {
    let (url, topic) = (registry(), topic());
    let first = order(&[("id", Schema::int64())]);
    let second = order(&[("id", Schema::int64()), ("more", Schema::optional_string())]);
    let one = of(&first, &[("id", Value::Int64(1))]);
    let two = of(&second, &[("id", Value::Int64(2)), ("more", Value::from("x"))]);
    let mut writer = json_schema(&url, &[]);
    let a = write(&mut *writer, &topic, Some(&first), &one).await.unwrap().unwrap();
    let b = write(&mut *writer, &topic, Some(&second), &two).await.unwrap().unwrap();
    assert_ne!(id_of(&a), id_of(&b));
    assert_eq!(b[5..], *br#"{"id":2,"more":"x"}"#);
    let again = write(&mut *json_schema(&url, &[]), &topic, Some(&first), &one).await;
    assert_eq!(again.unwrap().unwrap(), a);
    let mut reader = json_schema(&url, &[]);
    for (bytes, version, value) in [(&a, 1, &one), (&b, 2, &two), (&a, 1, &one)] {
        let found = read(&mut *reader, &topic, bytes).await.unwrap();
        assert_eq!(found.schema.unwrap().version(), Some(version));
        assert_eq!(found.value.to_string(), value.to_string());
    }
    assert_eq!(write(&mut *writer, &topic, None, &Value::Null).await.unwrap(), None);
    let nobody = Value::Array(vec![Value::Int64(1)]);
    let error = write(&mut *writer, &topic, None, &nobody).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("a value without a schema has none to register"),
        "{error}"
    );
}

const SCHEMA: &str = r##"{"$schema":"http://json-schema.org/draft-07/schema#","title":"py.All","type":"object","properties":{
    "b":{"type":"boolean"},"i":{"type":"integer"},"n":{"type":"number"},"s":{"type":"string"},"o":{"type":["null","string"]},
    "e":{"type":"string","enum":["A","B"]},"a":{"type":"array","items":{"type":"integer"}},
    "m":{"type":"object","connect.type":"map","additionalProperties":{"type":"integer"}},
    "r":{"$ref":"#/definitions/Inner"},"u":{"oneOf":[{"type":"integer"},{"$ref":"#/definitions/Inner"}]},"absent":{"type":"string"}},
    "required":["b","i"],"definitions":{"Inner":{"type":"object","title":"py.Inner","properties":{"x":{"type":"string"}}}}}"##;

const ROW: &str = r#"{"b": true, "i": 9007199254740993, "n": -0.1, "s": "grüße 😀", "o": null, "e": "B", "a": [1, 2, 3], "m": {"k": 5}, "r": {"x": "y"}, "u": {"x": "z"}}"#;

#[tokio::test]
async fn what_python_writes_is_read() {
    let (url, topic) = (registry(), topic());
    let lines = client(PYTHON, &["write", &url, &topic, SCHEMA], &[ROW.to_owned()]);
    let bytes = STANDARD.decode(&lines[0]).unwrap();
    let found = read(&mut *json_schema(&url, &[]), &topic, &bytes).await.unwrap();
    let schema = found.schema.as_ref().unwrap();
    assert_eq!((schema.name(), schema.version()), (Some("py.All"), Some(1)));
    let record = found.value.as_struct().unwrap();
    for (name, expected) in [
        ("b", "true"),
        ("i", "9007199254740993"),
        ("n", "-0.1"),
        ("s", "grüße 😀"),
        ("o", "null"),
        ("e", "B"),
        ("a", "[1, 2, 3]"),
        ("m", "{k=5}"),
        ("r", "Struct{x=y}"),
        ("u", "Struct{io.confluent.connect.json.OneOf.field.1=Struct{x=z}}"),
        ("absent", "null"),
    ] {
        assert_eq!(record.get(name).unwrap().to_string(), expected, "{name}");
    }
    // And back: the client reads the same row in what is written of it, with a schema of our own.
    let written = write(
        &mut *json_schema(&url, &[]),
        &topic,
        found.schema.as_ref(),
        &found.value,
    )
    .await;
    let line = STANDARD.encode(written.unwrap().unwrap());
    let lines = client(PYTHON, &["read", &url, &topic], &[line]);
    let parsed = |text: &str| serde_json::from_str::<Json>(text).unwrap();
    assert_eq!(parsed(&lines[0]), parsed(ROW));
}

#[tokio::test]
async fn what_we_write_python_reads() {
    let (url, topic) = (registry(), topic());
    let inner = SchemaBuilder::struct_()
        .name("my.Inner")
        .field("x", Schema::optional_int16());
    let inner = inner.build().unwrap();
    let text = SchemaBuilder::string().optional().default_value(Value::from("none"));
    let schema = order(&[
        ("tiny", Schema::int8()),
        ("text", text.build().unwrap()),
        ("inner", inner.to_builder().optional().build().unwrap()),
        ("many", SchemaBuilder::array(SchemaRef::clone(&inner)).build().unwrap()),
        (
            "pairs",
            SchemaBuilder::map(Schema::int32(), Schema::float64()).build().unwrap(),
        ),
        ("time", logical::timestamp_schema()),
        ("price", logical::decimal_schema(3)),
        ("raw", Schema::bytes()),
    ]);
    let many = Value::Array(vec![of(&inner, &[("x", Value::Int16(5))]), of(&inner, &[])]);
    let value = of(
        &schema,
        &[
            ("tiny", Value::Int8(-1)),
            ("many", many),
            ("pairs", Value::map([(Value::Int32(1), Value::Float64(0.5))])),
            ("time", Value::Date(1)),
            ("price", Value::Decimal("1.500".parse().unwrap())),
            ("raw", Value::from(vec![1_u8, 2])),
        ],
    );
    let expected = |price: Json| json!({"tiny":-1,"text":"none","inner":null,"many":[{"x":5},{"x":null}],"pairs":[{"key":1,"value":0.5}],"time":1,"price":price,"raw":"AQI="});
    for (format, price) in [("BASE64", json!("Bdw=")), ("NUMERIC", json!(1.5))] {
        let mut converter = json_schema(&url, &[("decimal.format", format)]);
        let bytes = write(&mut *converter, &topic, Some(&schema), &value)
            .await
            .unwrap()
            .unwrap();
        let lines = client(PYTHON, &["read", &url, &topic], &[STANDARD.encode(&bytes)]);
        assert_eq!(serde_json::from_str::<Json>(&lines[0]).unwrap(), expected(price));
        let back = read(&mut *converter, &topic, &bytes).await.unwrap();
        // What null stood for is there now.
        let text = format!("{}", back.value);
        assert!(text.contains("text=none") && text.contains("price=1.500"), "{text}");
    }
}

#[tokio::test]
async fn references_are_followed() {
    let (url, topic) = (registry(), topic());
    let refers = |name: &str, subject: &str| json!([{ "name": name, "subject": subject, "version": 1 }]);
    let (city, address) = (format!("{topic}-city"), format!("{topic}-address"));
    let text = r##"{"$id":"http://shop/city.json","type":"object","title":"City","properties":{"zip":{"$ref":"#/definitions/zip"}},"definitions":{"zip":{"type":"integer"}}}"##;
    register_as("JSON", &url, &city, text, &json!([]));
    let text = r#"{"$id":"http://shop/address.json","type":"object","title":"Address","properties":{"city":{"$ref":"city.json"},"zip":{"$ref":"city.json#/definitions/zip"}}}"#;
    register_as("JSON", &url, &address, text, &refers("http://shop/city.json", &city));
    let text = r#"{"$id":"http://shop/person.json","type":"object","title":"Person","properties":{"home":{"$ref":"address.json"}}}"#;
    let references = refers("http://shop/address.json", &address);
    let row = r#"{"home":{"city":{"zip":7},"zip":8}}"#;
    let arguments = ["write", &url, &topic, text, &references.to_string()];
    let lines = client(PYTHON, &arguments, &[row.to_owned()]);
    let bytes = STANDARD.decode(&lines[0]).unwrap();
    let found = read(&mut *json_schema(&url, &[]), &topic, &bytes).await.unwrap();
    let text = found.value.to_string();
    assert!(text.contains("city=Struct{zip=7}") && text.contains("zip=8"), "{text}");
    // Written again the schema stands by itself.
    let again = write(
        &mut *json_schema(&url, &[]),
        &topic,
        found.schema.as_ref(),
        &found.value,
    )
    .await;
    let lines = client(
        PYTHON,
        &["read", &url, &topic],
        &[STANDARD.encode(again.unwrap().unwrap())],
    );
    assert_eq!(lines[0].replace(' ', ""), r#"{"home":{"zip":8,"city":{"zip":7}}}"#);
}

#[tokio::test]
async fn what_the_registry_refuses_is_an_error_of_the_record() {
    let (url, topic) = (registry(), topic());
    let mut converter = json_schema(&url, &[]);
    let first = order(&[("id", Schema::int64())]);
    let one = of(&first, &[("id", Value::Int64(1))]);
    write(&mut *converter, &topic, Some(&first), &one).await.unwrap();
    compatibility(&url, &format!("{topic}-value"), "BACKWARD");
    let second = order(&[("id", Schema::string())]);
    let two = of(&second, &[("id", Value::from("x"))]);
    let error = write(&mut *converter, &topic, Some(&second), &two).await.unwrap_err();
    assert_eq!(error.java_class(), "org.apache.kafka.connect.errors.DataException");
    let text = error.to_string();
    for part in [
        &format!("cannot register the schema under subject {topic}-value")[..],
        "incompatible",
        "409",
    ] {
        assert!(text.contains(part), "{text}");
    }
    // What is compatible goes on.
    write(&mut *converter, &topic, Some(&first), &one).await.unwrap();
    let unknown = read(&mut *converter, &topic, &message(0x7fff_ffff, "1"))
        .await
        .unwrap_err();
    assert!(
        !unknown.is_retriable() && unknown.to_string().contains("it has no such schema"),
        "{unknown}"
    );
    let avro = register(&url, &format!("{topic}-avro"), "\"string\"", &json!([]));
    let error = read(&mut *converter, &topic, &message(avro, "1")).await.unwrap_err();
    assert!(error.to_string().contains("of type AVRO, and not JSON"), "{error}");
    let mut finder = json_schema(&url, &[("auto.register.schemas", "false")]);
    let error = write(&mut *finder, &topic, Some(&second), &two).await.unwrap_err();
    assert!(error.to_string().contains("auto.register.schemas=true"), "{error}");
    let bytes = write(&mut *finder, &topic, Some(&first), &one).await.unwrap().unwrap();
    for (text, part) in [
        ("{\"id\":", "malformed JSON"),
        ("{\"id\":null}", "id: Invalid null value"),
        ("", "it ends"),
    ] {
        let error = read(&mut *converter, &topic, &message(id_of(&bytes), text))
            .await
            .unwrap_err();
        assert!(!error.is_retriable() && error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn the_latest_version_and_one_by_its_id() {
    let (url, topic) = (registry(), topic());
    let text = r#"{"type":"object","properties":{"id":{"type":"number"},"note":{"type":"string"}},"required":["id"]}"#;
    let id = register_as("JSON", &url, &format!("{topic}-value"), text, &json!([]));
    let schema = order(&[("id", Schema::int32()), ("extra", Schema::string())]);
    let value = of(&schema, &[("id", Value::Int32(7)), ("extra", Value::from("x"))]);
    let other = order(&[("id", Schema::string())]);
    let by_id = id.to_string();
    let ways = [
        ("use.latest.version", "true", "latest.compatibility.strict"),
        ("use.schema.id", by_id.as_str(), "id.compatibility.strict"),
    ];
    for (key, how, strict) in ways {
        let no = ("auto.register.schemas", "false");
        let mut converter = json_schema(&url, &[no, (key, how)]);
        let bytes = write(&mut *converter, &topic, Some(&schema), &value)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(bytes, message(id, r#"{"id":7,"extra":"x"}"#));
        let text = of(&other, &[("id", Value::from("x"))]);
        let error = write(&mut *converter, &topic, Some(&other), &text).await.unwrap_err();
        assert!(
            error.to_string().contains(&format!("{strict}=false")) && !error.is_retriable(),
            "{error}"
        );
        let mut lenient = json_schema(&url, &[no, (key, how), (strict, "false")]);
        let bytes = write(&mut *lenient, &topic, Some(&other), &text)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(bytes, message(id, r#"{"id":"x"}"#));
        // Also what has no schema of its own.
        let map = Value::map([(Value::from("id"), Value::Int64(1))]);
        let bytes = write(&mut *lenient, &topic, None, &map).await.unwrap().unwrap();
        assert_eq!(bytes, message(id, r#"{"id":1}"#));
    }
}

#[tokio::test]
async fn subjects_are_named_after_titles() {
    let (url, topic) = (registry(), topic());
    let title = format!("space.R{topic}");
    let schema = SchemaBuilder::struct_()
        .name(title.as_str())
        .field("x", Schema::int32());
    let schema = schema.build().unwrap();
    let value = of(&schema, &[("x", Value::Int32(1))]);
    for (strategy, subject) in [
        ("RecordNameStrategy", title.clone()),
        ("TopicRecordNameStrategy", format!("{topic}-{title}")),
    ] {
        let more = [("value.subject.name.strategy", strategy)];
        let bytes = write(&mut *json_schema(&url, &more), &topic, Some(&schema), &value).await;
        assert!(
            ureq::get(format!("{url}/subjects/{subject}/versions")).call().is_ok(),
            "{subject}"
        );
        let found = read(&mut *json_schema(&url, &more), &topic, &bytes.unwrap().unwrap())
            .await
            .unwrap();
        assert_eq!(found.schema.unwrap().version(), Some(1));
    }
}

#[test]
fn headers_have_no_schemas_of_a_registry() {
    let made = dray_converters::header_converter("JsonSchemaConverter", &config("http://localhost", &[]));
    let error = made.err().unwrap().to_string();
    assert!(
        error.contains("does not implement the HeaderConverter interface"),
        "{error}"
    );
}
