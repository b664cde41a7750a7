//! `ProtobufConverter` with the real registry and with Confluent's Python client.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_connect::logical;
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef};
use dray_connect::value::Value;
use dray_converters::{Converter, converter};
use serde_json::{Value as Json, json};

use super::client::{compatibility, register_as};
use super::{config, id_of, of, order, read, registry, topic, write};

pub(super) fn protobuf(url: &str, more: &[(&str, &str)]) -> Box<dyn Converter> {
    let class = "io.confluent.connect.protobuf.ProtobufConverter";
    converter(class, &config(url, more), false).unwrap()
}

fn register(url: &str, subject: &str, schema: &str, references: &Json) -> i32 {
    register_as("PROTOBUF", url, subject, schema, references)
}

/// A message of the schema of that id; `rest` begins with the message indexes.
fn message(id: i32, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(rest);
    bytes
}

#[tokio::test]
async fn ids_and_versions() {
    let (url, topic) = (registry(), topic());
    let first = order(&[("id", Schema::int64())]);
    let second = order(&[("id", Schema::int64()), ("more", Schema::string())]);
    let mut writer = protobuf(&url, &[]);
    let value = of(&first, &[("id", Value::Int64(1))]);
    let a = write(&mut *writer, &topic, Some(&first), &value)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(a[5..], [0, 8, 1]);
    let value = of(&second, &[("id", Value::Int64(2)), ("more", Value::from("x"))]);
    let b = write(&mut *writer, &topic, Some(&second), &value)
        .await
        .unwrap()
        .unwrap();
    assert_ne!(id_of(&a), id_of(&b));
    // The same schema has the same id, also for another converter.
    let value = of(&first, &[("id", Value::Int64(3))]);
    let again = write(&mut *protobuf(&url, &[]), &topic, Some(&first), &value).await;
    assert_eq!(id_of(&again.unwrap().unwrap()), id_of(&a));
    let mut reader = protobuf(&url, &[]);
    for (bytes, version, id) in [(&a, 1, 1), (&b, 2, 2), (&a, 1, 1)] {
        let found = read(&mut *reader, &topic, bytes).await.unwrap();
        let schema = found.schema.unwrap();
        assert_eq!((schema.name(), schema.version()), (Some("Order"), Some(version)));
        let record = found.value.as_struct().unwrap();
        assert_eq!(record.get_int64("id").unwrap(), Some(id));
    }
    // Of another topic it has no version.
    let other = read(&mut *reader, "another", &a).await.unwrap().schema;
    assert_eq!(other.unwrap().version(), None);
    assert_eq!(write(&mut *writer, &topic, None, &Value::Null).await.unwrap(), None);
}

#[tokio::test]
async fn single_values_and_all_logical_types_are_taken_by_the_registry() {
    let (url, topic) = (registry(), topic());
    let mut converter = protobuf(&url, &[]);
    for (schema, value) in [
        (Schema::string(), Value::from("x")),
        (Schema::int32(), Value::Int32(-1)),
        (Schema::boolean(), Value::Boolean(false)),
    ] {
        let bytes = write(&mut *converter, &topic, Some(&schema), &value)
            .await
            .unwrap()
            .unwrap();
        let found = read(&mut *converter, &topic, &bytes).await.unwrap();
        assert_eq!((found.schema.unwrap().type_(), found.value), (schema.type_(), value));
    }
    let schema = order(&[
        ("price", logical::decimal_schema(2)),
        ("day", logical::date_schema()),
        ("time", logical::time_schema()),
        ("at", logical::timestamp_schema()),
        ("tiny", Schema::int8()),
    ]);
    let fields = [
        ("price", Value::Decimal("-12.34".parse().unwrap())),
        ("day", Value::Date(86_400_000)),
        ("time", Value::Date(3_723_004)),
        ("at", Value::Date(-1)),
        ("tiny", Value::Int8(-3)),
    ];
    let topic = super::topic();
    let value = of(&schema, &fields);
    let bytes = write(&mut *converter, &topic, Some(&schema), &value)
        .await
        .unwrap()
        .unwrap();
    let found = read(&mut *protobuf(&url, &[]), &topic, &bytes).await.unwrap().value;
    for (name, expected) in fields {
        assert_eq!(*found.as_struct().unwrap().get(name).unwrap(), expected, "{name}");
    }
}

#[tokio::test]
async fn references_are_followed() {
    let (url, topic) = (registry(), topic());
    let version = |subject: &str, name: &str| json!([{ "name": name, "subject": subject, "version": 1 }]);
    let (city, address) = (format!("{topic}-city"), format!("{topic}-address"));
    let text = "syntax = \"proto3\"; package geo; enum City { ULM = 0; BONN = 1; }";
    register(&url, &city, text, &json!([]));
    let text = "syntax = \"proto3\"; package geo; import \"geo/city.proto\"; message Address { City city = 1; }";
    register(&url, &address, text, &version(&city, "geo/city.proto"));
    let text =
        "syntax = \"proto3\"; package shop; import \"geo/address.proto\"; message Person { geo.Address home = 1; }";
    let id = register(
        &url,
        &format!("{topic}-value"),
        text,
        &version(&address, "geo/address.proto"),
    );
    let bytes = message(id, &[0, 0x0a, 2, 8, 1]);
    let found = read(&mut *protobuf(&url, &[]), &topic, &bytes).await.unwrap();
    assert_eq!(found.value.to_string(), "Struct{home=Struct{city=BONN}}");
    // Who writes with that schema needs no references of his own.
    let address = SchemaBuilder::struct_()
        .field("city", Schema::string())
        .build()
        .unwrap();
    let person = SchemaBuilder::struct_()
        .name("shop.Person")
        .field("home", SchemaRef::clone(&address))
        .build()
        .unwrap();
    let value = of(&person, &[("home", of(&address, &[("city", Value::from("BONN"))]))]);
    let latest = [("auto.register.schemas", "false"), ("use.latest.version", "true")];
    let written = write(&mut *protobuf(&url, &latest), &topic, Some(&person), &value).await;
    assert_eq!(written.unwrap().unwrap(), bytes);
}

#[tokio::test]
async fn messages_within_others_and_beside_them() {
    let (url, topic) = (registry(), topic());
    let text = "syntax = \"proto3\"; message A { message In { map<string, int32> m = 1; message Deep { string s = 1; } } } \
                message B { int32 n = 1; }";
    let id = register(&url, &format!("{topic}-value"), text, &json!([]));
    let mut reader = protobuf(&url, &[]);
    // [0, 0, 0] is A.In.Deep: what a map stands for does not count.
    for (rest, expected) in [
        (&[6, 0, 0, 0, 0x0a, 1, b'x'][..], "Struct{s=x}"),
        (&[2, 2, 8, 5], "Struct{n=5}"),
        (&[0], "Struct{}"),
        (&[2, 0], "Struct{}"),
    ] {
        let found = read(&mut *reader, &topic, &message(id, rest)).await.unwrap();
        assert_eq!(found.value.to_string(), expected);
    }
    let error = read(&mut *reader, &topic, &message(id, &[2, 4])).await.unwrap_err();
    assert!(error.to_string().contains("of message [2] of its schema"), "{error}");
    let schema = SchemaBuilder::struct_()
        .name("B")
        .field("n", Schema::int32())
        .build()
        .unwrap();
    let latest = [("auto.register.schemas", "false"), ("use.latest.version", "true")];
    let value = of(&schema, &[("n", Value::Int32(5))]);
    let written = write(&mut *protobuf(&url, &latest), &topic, Some(&schema), &value).await;
    assert_eq!(written.unwrap().unwrap(), message(id, &[2, 2, 8, 5]));
}

#[tokio::test]
async fn an_incompatible_schema_is_an_error_of_the_record() {
    let (url, topic) = (registry(), topic());
    let mut converter = protobuf(&url, &[]);
    let first = order(&[("id", Schema::int64())]);
    let value = of(&first, &[("id", Value::Int64(1))]);
    write(&mut *converter, &topic, Some(&first), &value).await.unwrap();
    compatibility(&url, &format!("{topic}-value"), "BACKWARD");
    let second = order(&[("id", Schema::string())]);
    let other = of(&second, &[("id", Value::from("x"))]);
    let error = write(&mut *converter, &topic, Some(&second), &other).await.unwrap_err();
    assert!(!error.is_retriable());
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
    write(&mut *converter, &topic, Some(&first), &value).await.unwrap();
}

#[tokio::test]
async fn what_is_not_registered_says_so() {
    let (url, topic) = (registry(), topic());
    let mut converter = protobuf(&url, &[("auto.register.schemas", "false")]);
    let schema = order(&[("id", Schema::int64())]);
    let value = of(&schema, &[("id", Value::Int64(1))]);
    let error = write(&mut *converter, &topic, Some(&schema), &value).await.unwrap_err();
    let text = error.to_string();
    assert!(
        !error.is_retriable() && text.contains("auto.register.schemas=true"),
        "{text}"
    );
    let written = write(&mut *protobuf(&url, &[]), &topic, Some(&schema), &value)
        .await
        .unwrap()
        .unwrap();
    let bytes = write(&mut *converter, &topic, Some(&schema), &value)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bytes, written);
    let unknown = message(0x7fff_ffff, &[0]);
    let error = read(&mut *converter, &topic, &unknown).await.unwrap_err();
    assert!(
        !error.is_retriable() && error.to_string().contains("it has no such schema"),
        "{error}"
    );
    // One that is there, and none of Protobuf.
    let id = super::client::register(&url, &format!("{topic}-avro"), "\"string\"", &json!([]));
    let error = read(&mut *converter, &topic, &message(id, &[0])).await.unwrap_err();
    assert!(
        error.to_string().contains("is of type AVRO, and not PROTOBUF"),
        "{error}"
    );
}

#[tokio::test]
async fn the_latest_version_and_one_by_its_id() {
    let (url, topic) = (registry(), topic());
    let text = "syntax = \"proto3\"; package shop; message Order { string note = 1; int64 id = 7; }";
    let id = register(&url, &format!("{topic}-value"), text, &json!([]));
    let schema = order(&[("id", Schema::int32()), ("note", Schema::optional_string())]);
    let value = of(&schema, &[("id", Value::Int32(7))]);
    let by_id = id.to_string();
    for more in [("use.latest.version", "true"), ("use.schema.id", by_id.as_str())] {
        let mut converter = protobuf(&url, &[("auto.register.schemas", "false"), more]);
        let bytes = write(&mut *converter, &topic, Some(&schema), &value)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(bytes, message(id, &[0, 7 << 3, 7]));
        let wider = order(&[("id", Schema::int32()), ("extra", Schema::string())]);
        let extra = of(&wider, &[("id", Value::Int32(7)), ("extra", Value::from("x"))]);
        let error = write(&mut *converter, &topic, Some(&wider), &extra).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("Incompatible schema") && text.contains("extra: "),
            "{text}"
        );
        let lax = [
            ("auto.register.schemas", "false"),
            more,
            ("latest.compatibility.strict", "false"),
            ("id.compatibility.strict", "false"),
        ];
        let written = write(&mut *protobuf(&url, &lax), &topic, Some(&wider), &extra).await;
        assert_eq!(written.unwrap().unwrap(), bytes);
        // What cannot be written at all is refused either way.
        let text = order(&[("id", Schema::string())]);
        let value = of(&text, &[("id", Value::from("x"))]);
        let error = write(&mut *protobuf(&url, &lax), &topic, Some(&text), &value)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("Incompatible schema"), "{error}");
    }
}

/// Lines that Confluent's client makes of lines.
pub(super) fn client(command: &str, url: &str, topic: &str, files: &Json, name: &str, lines: &[String]) -> Vec<String> {
    let arguments = [command, url, topic, &files.to_string(), name];
    super::python::client("protobuf_client.py", &arguments, lines)
}

pub(super) fn field(name: &str, number: i32, kind: &str) -> Json {
    json!({ "name": name, "number": number, "type": format!("TYPE_{kind}"), "label": "LABEL_OPTIONAL" })
}

pub(super) fn message_field(name: &str, number: i32, kind: &str) -> Json {
    let mut field = field(name, number, "MESSAGE");
    field["typeName"] = json!(format!(".{kind}"));
    field
}

/// The files of the messages that Python has: one imports the other, which is registered by the name of its file. So that has to be one's own.
fn files(topic: &str) -> Json {
    let inner = format!("geo/{topic}.proto");
    let repeated = |mut field: Json| {
        field["label"] = json!("LABEL_REPEATED");
        field
    };
    let within = |mut field: Json, oneof: i32, is_optional: bool| {
        field["oneofIndex"] = json!(oneof);
        if is_optional {
            field["proto3Optional"] = json!(true);
        }
        field
    };
    let mut color = field("e", 7, "ENUM");
    color["typeName"] = json!(".py.Color");
    let entry = json!({ "name": "MEntry", "options": { "mapEntry": true },
        "field": [field("key", 1, "STRING"), field("value", 2, "INT64")] });
    let fields = json!([
        field("b", 1, "BOOL"),
        field("i", 2, "SINT32"),
        field("l", 3, "INT64"),
        field("u", 4, "UINT32"),
        field("d", 5, "DOUBLE"),
        field("s", 6, "STRING"),
        color,
        repeated(field("a", 8, "INT32")),
        repeated(message_field("m", 9, "py.All.MEntry")),
        message_field("r", 10, "geo.Inner"),
        within(field("x", 11, "INT32"), 0, false),
        within(message_field("y", 12, "geo.Inner"), 0, false),
        within(field("n", 13, "STRING"), 1, true),
        message_field("ts", 14, "google.protobuf.Timestamp"),
        message_field("day", 15, "google.type.Date"),
        message_field("w", 16, "google.protobuf.StringValue"),
        message_field("amount", 17, "confluent.type.Decimal"),
        field("raw", 200, "BYTES"),
        field("f", 201, "FIXED64"),
    ]);
    json!([
        { "name": inner, "package": "geo", "syntax": "proto3",
          "messageType": [{ "name": "Inner", "field": [field("x", 1, "STRING")] }] },
        { "name": "py/all.proto", "package": "py", "syntax": "proto3",
          "dependency": [inner, "google/protobuf/timestamp.proto", "google/protobuf/wrappers.proto",
                         "google/type/date.proto", "confluent/type/decimal.proto"],
          "enumType": [{ "name": "Color", "value": [{ "name": "RED", "number": 0 }, { "name": "BLUE", "number": 5 }] }],
          "messageType": [
              { "name": "First", "field": [field("id", 1, "INT32")] },
              { "name": "All", "field": fields, "nestedType": [entry], "oneofDecl": [{ "name": "either" }, { "name": "_n" }] },
          ] },
    ])
}

const ROW: &str = r#"{"b":true,"i":-7,"l":"9007199254740993","u":4294967295,"d":-0.1,"s":"grüße","e":"BLUE","a":[1,2,300],"m":{"k":"5"},"r":{"x":"y"},"y":{"x":"z"},"n":"here","ts":"2026-01-02T03:04:05.678Z","day":{"year":2026,"month":1,"day":2},"w":"wrapped","amount":{"value":"+y4=","precision":4,"scale":2},"raw":"AP8=","f":"12"}"#;

#[tokio::test]
async fn what_python_writes_is_read() {
    let (url, topic) = (registry(), topic());
    let files = files(&topic);
    let lines = client("write", &url, &topic, &files, "py.All", &[ROW.to_owned()]);
    let bytes = STANDARD.decode(&lines[0]).unwrap();
    // The second message of its file.
    assert_eq!(bytes[5..7], [2, 2]);
    let found = read(&mut *protobuf(&url, &[]), &topic, &bytes).await.unwrap();
    let schema = found.schema.unwrap();
    assert_eq!((schema.name(), schema.version()), (Some("All"), Some(1)));
    let record = found.value.as_struct().unwrap();
    for (name, expected) in [
        ("b", Value::Boolean(true)),
        ("i", Value::Int32(-7)),
        ("l", Value::Int64(9_007_199_254_740_993)),
        ("u", Value::Int64(4_294_967_295)),
        ("d", Value::Float64(-0.1)),
        ("s", Value::from("grüße")),
        ("e", Value::from("BLUE")),
        (
            "a",
            Value::Array(vec![Value::Int32(1), Value::Int32(2), Value::Int32(300)]),
        ),
        ("m", Value::map([(Value::from("k"), Value::Int64(5))])),
        ("n", Value::from("here")),
        ("ts", Value::Date(1_767_323_045_678)),
        ("day", Value::Date(1_767_312_000_000)),
        ("w", Value::from("wrapped")),
        ("amount", Value::Decimal("-12.34".parse().unwrap())),
        ("raw", Value::from(vec![0u8, 0xff])),
        ("f", Value::Int64(12)),
    ] {
        assert_eq!(*record.get(name).unwrap(), expected, "{name}");
    }
    assert_eq!(record.get("r").unwrap().to_string(), "Struct{x=y}");
    assert_eq!(record.get("either_0").unwrap().to_string(), "Struct{y=Struct{x=z}}");
    // The same schema without a message.
    let lines = client(
        "write",
        &url,
        &super::topic(),
        &files,
        "py.First",
        &["{\"id\":3}".to_owned()],
    );
    let bytes = STANDARD.decode(&lines[0]).unwrap();
    let found = read(&mut *protobuf(&url, &[]), &topic, &bytes).await.unwrap();
    assert_eq!(found.value.to_string(), "Struct{id=3}");
}

#[tokio::test]
async fn what_we_write_python_reads() {
    let (url, topic) = (registry(), topic());
    let files = files(&topic);
    let lines = client("write", &url, &topic, &files, "py.All", &[ROW.to_owned()]);
    let bytes = STANDARD.decode(&lines[0]).unwrap();
    let more = [
        ("wrapper.for.nullables", "false"),
        ("wrapper.for.raw.primitives", "false"),
    ];
    let found = read(&mut *protobuf(&url, &more), &topic, &bytes).await.unwrap();
    // Of its own schema the first time, then of the one that is there: the same fields under the same numbers.
    let latest = [("auto.register.schemas", "false"), ("use.latest.version", "true")];
    for config in [&[][..], &latest] {
        let config: Vec<_> = config.iter().copied().chain(more).collect();
        // What is registered now would be the latest of that topic.
        let other = if config.len() == 2 {
            super::topic()
        } else {
            topic.clone()
        };
        let mut writer = protobuf(&url, &config);
        let written = write(&mut *writer, &other, found.schema.as_ref(), &found.value)
            .await
            .unwrap()
            .unwrap();
        let lines = client("read", &url, &other, &files, "py.All", &[STANDARD.encode(&written)]);
        let (row, expected): (Json, Json) = (
            serde_json::from_str(&lines[0]).unwrap(),
            serde_json::from_str(ROW).unwrap(),
        );
        assert_eq!(row, expected);
    }
}

#[test]
fn headers_have_no_schemas_of_a_registry() {
    let class = "io.confluent.connect.protobuf.ProtobufConverter";
    let made = dray_converters::header_converter(class, &config("http://localhost", &[]));
    let text = made.err().unwrap().to_string();
    assert!(
        text.contains("does not implement the HeaderConverter interface"),
        "{text}"
    );
}
