//! Ids of schemas in the headers of records: with Confluent's Python client both ways, over a registry that knows GUIDs. The real one of the
//! other tests knows none, so that this is the one that the client has for tests of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_connect::Error;
use dray_connect::schema::Schema;
use dray_connect::value::Value;
use dray_converters::{Converter, ReadHeaders, converter};
use serde_json::{Value as Json, json};

use super::python::client;
use super::stub::Stub;
use super::{Message, avro, config, of, order, read, read_message, registry, topic, write, write_message};

const AVRO: &str = "io.confluent.connect.avro.AvroConverter";
const JSON: &str = "io.confluent.connect.json.JsonSchemaConverter";
const PROTOBUF: &str = "io.confluent.connect.protobuf.ProtobufConverter";

const IN_HEADER: (&str, &str) = (
    "value.schema.id.serializer",
    "io.confluent.kafka.serializers.schema.id.HeaderSchemaIdSerializer",
);
const ONLY_PREFIX: (&str, &str) = (
    "value.schema.id.deserializer",
    "io.confluent.kafka.serializers.schema.id.PrefixSchemaIdDeserializer",
);
const CONFIGURED: (&str, &str) = (
    "value.schema.id.deserializer",
    "io.confluent.kafka.serializers.schema.id.ConfigSchemaIdDeserializer",
);
const LATEST: [(&str, &str); 2] = [("auto.register.schemas", "false"), ("use.latest.version", "true")];

/// A registry with GUIDs and metadata of one's own.
pub(crate) struct Guids {
    process: Child,
    pub(crate) url: String,
}

impl Guids {
    pub(crate) fn start() -> Self {
        let python = std::env::var("DRAY_TEST_REGISTRY_PYTHON").unwrap();
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../deploy/registry-clients/guid_registry.py"
        );
        let mut process = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut url)
            .unwrap();
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

/// A format, as the client and the converter name it, with a schema and a row.
struct Format {
    script: &'static str,
    class: &'static str,
    /// What the client is told of the schema, for writing and for reading.
    schema: Vec<String>,
    read: Vec<String>,
    row: &'static str,
    /// What is behind the GUID.
    part: &'static [u8],
}

fn formats() -> [Format; 3] {
    let field = |name: &str, number: i32, kind: &str| json!({"name": name, "number": number, "type": kind, "label": "LABEL_OPTIONAL", "jsonName": name});
    let files = json!([{
        "name": "h.proto", "package": "h", "syntax": "proto3",
        "messageType": [
            {"name": "First"},
            {"name": "Row", "field": [field("id", 1, "TYPE_INT32"), field("name", 2, "TYPE_STRING")]},
        ],
    }]);
    let protobuf = vec![files.to_string(), "h.Row".to_owned()];
    let json = r#"{"title":"Row","type":"object","properties":{"id":{"type":"integer","connect.index":0},"name":{"type":"string","connect.index":1}}}"#;
    let avro =
        r#"{"type":"record","name":"Row","fields":[{"name":"id","type":"int"},{"name":"name","type":"string"}]}"#;
    let row = r#"{"id": 7, "name": "grüße"}"#;
    [
        Format {
            script: "avro_client.py",
            class: AVRO,
            schema: vec![avro.to_owned()],
            read: Vec::new(),
            row,
            part: &[],
        },
        Format {
            script: "json_client.py",
            class: JSON,
            schema: vec![json.to_owned()],
            read: Vec::new(),
            row,
            part: &[],
        },
        Format {
            script: "protobuf_client.py",
            class: PROTOBUF,
            schema: protobuf.clone(),
            read: protobuf,
            row,
            // The second message of its file.
            part: &[2, 2],
        },
    ]
}

impl Format {
    fn converter(&self, url: &str, more: &[(&str, &str)]) -> Box<dyn Converter> {
        converter(self.class, &config(url, more), false).unwrap()
    }

    /// What the client writes of the row.
    fn written(&self, command: &str, url: &str, topic: &str) -> Message {
        let mut arguments = vec![command, url, topic];
        arguments.extend(self.schema.iter().map(String::as_str));
        let lines = client(self.script, &arguments, &[self.row.to_owned()]);
        let mut parts = lines[0].split(' ').map(|part| STANDARD.decode(part).unwrap());
        Message {
            bytes: parts.next().unwrap(),
            header: parts.next().map(|value| ("__value_schema_id".to_owned(), value)),
        }
    }

    /// The row that the client reads in a message.
    fn row_of(&self, url: &str, topic: &str, message: &Message) -> Json {
        let mut arguments = vec!["read", url, topic];
        arguments.extend(self.read.iter().map(String::as_str));
        let mut line = STANDARD.encode(&message.bytes);
        if let Some((name, value)) = &message.header {
            assert_eq!(name, "__value_schema_id");
            line.push(' ');
            line.push_str(&STANDARD.encode(value));
        }
        serde_json::from_str(&client(self.script, &arguments, &[line])[0]).unwrap()
    }
}

#[tokio::test]
async fn python_writes_what_is_read_and_reads_what_is_written() {
    let registry = Guids::start();
    let url = registry.url.as_str();
    for format in formats() {
        let topic = topic();
        let theirs = format.written("write-header", url, &topic);
        let (_, header) = theirs.header.as_ref().unwrap();
        assert_eq!((header[0], &header[17..]), (1, format.part), "{}", format.class);
        // By default ids are looked for in headers, too.
        let found = read_message(&mut *format.converter(url, &[]), &topic, &theirs)
            .await
            .unwrap();
        assert_eq!(found.schema.as_ref().unwrap().version(), Some(1), "{}", format.class);
        assert_eq!(found.value.to_string(), "Struct{id=7,name=grüße}");
        // With the same schema what is written is the same to the byte.
        let mut writer = format.converter(url, &[IN_HEADER, LATEST[0], LATEST[1]]);
        let ours = write_message(&mut *writer, &topic, found.schema.as_ref(), &found.value).await;
        let ours = ours.unwrap().unwrap();
        assert_eq!(ours.header, theirs.header, "{}", format.class);
        let expected: Json = serde_json::from_str(format.row).unwrap();
        assert_eq!(format.row_of(url, &topic, &ours), expected);
        // And with one of our own, which is registered.
        let other = super::topic();
        let more = [
            IN_HEADER,
            ("optional.for.proto2", "false"),
            ("wrapper.for.nullables", "false"),
        ];
        let mut writer = format.converter(url, &more);
        let ours = write_message(&mut *writer, &other, found.schema.as_ref(), &found.value).await;
        let ours = ours.unwrap().unwrap();
        assert_ne!(ours.header, theirs.header);
        assert_eq!(format.row_of(url, &other, &ours), expected, "{}", format.class);
        let again = read_message(&mut *format.converter(url, &[]), &other, &ours).await;
        assert_eq!(again.unwrap().value.to_string(), found.value.to_string());
    }
}

#[tokio::test]
async fn the_header_comes_first_and_then_what_is_before_the_value() {
    let registry = Guids::start();
    let url = registry.url.as_str();
    for format in formats() {
        let topic = topic();
        let beside = format.written("write-header", url, &topic);
        let before = format.written("write", url, &topic);
        assert_eq!((before.header.as_ref(), before.bytes[0]), (None, 0));
        assert_eq!(before.bytes[5 + format.part.len()..], beside.bytes);
        let (_, guid) = beside.header.clone().unwrap();
        let headed = |bytes: &[&[u8]], name: &str, value: &[u8]| Message {
            bytes: bytes.concat(),
            header: Some((name.to_owned(), value.to_vec())),
        };
        let mut dual = format.converter(url, &[]);
        let mut prefix = format.converter(url, &[ONLY_PREFIX]);
        // The header of a key says nothing of a value.
        let of_key = headed(&[&before.bytes], "__key_schema_id", &guid);
        // A number may be in a header, and a GUID before a value, though nobody writes them so.
        let number = headed(
            &[&beside.bytes],
            "__value_schema_id",
            &before.bytes[..5 + format.part.len()],
        );
        let guid_before = Message {
            bytes: [&guid[..], &beside.bytes].concat(),
            header: None,
        };
        for message in [&before, &beside, &of_key, &number, &guid_before] {
            let found = read_message(&mut *dual, &topic, message).await;
            assert_eq!(
                found.unwrap().value.to_string(),
                "Struct{id=7,name=grüße}",
                "{message:?}"
            );
        }
        for message in [&before, &of_key, &guid_before] {
            let found = read_message(&mut *prefix, &topic, message).await;
            assert_eq!(
                found.unwrap().value.to_string(),
                "Struct{id=7,name=grüße}",
                "{message:?}"
            );
        }
        // Who looks before the value only does not find the id, and who looks into the header first does not look there.
        let error = read_message(&mut *prefix, &topic, &beside).await.unwrap_err();
        assert!(matches!(error, Error::Data(_)), "{error}");
        let broken = headed(&[&before.bytes], "__value_schema_id", &[9]);
        let error = read_message(&mut *dual, &topic, &broken).await.unwrap_err();
        assert!(
            error.to_string().contains("__value_schema_id begins with 0x09"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn schemas_that_are_configured() {
    let registry = Guids::start();
    let url = registry.url.as_str();
    for format in formats() {
        let topic = topic();
        let beside = format.written("write-header", url, &topic);
        let before = format.written("write", url, &topic);
        let (_, guid) = beside.header.clone().unwrap();
        let digits: String = guid[1..17].iter().map(|byte| format!("{byte:02x}")).collect();
        let number = super::id_of(&before.bytes).to_string();
        // Messages that say nothing of themselves.
        let bare = Message {
            bytes: beside.bytes.clone(),
            header: None,
        };
        for (key, value) in [("use.schema.guid", digits.as_str()), ("use.schema.id", number.as_str())] {
            let mut reader = format.converter(url, &[CONFIGURED, (key, value), ("use.message.indexes", "1")]);
            let found = read_message(&mut *reader, &topic, &bare).await.unwrap();
            assert_eq!(found.value.to_string(), "Struct{id=7,name=grüße}");
            for (writing, expected) in [(IN_HEADER, &beside), (("key.ignored", ""), &before)] {
                let more = [writing, (key, value), LATEST[0]];
                let mut writer = format.converter(url, &more);
                let written = write_message(&mut *writer, &topic, found.schema.as_ref(), &found.value).await;
                let written = written.unwrap().unwrap();
                assert_eq!(written.header, expected.header, "{} {more:?}", format.class);
                if format.class != JSON {
                    assert_eq!(written.bytes, expected.bytes, "{} {more:?}", format.class);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_key_has_a_header_of_its_own_and_null_has_none() {
    let answer = r#"{"id":9,"guid":"6da336d8-f1d3-0f98-4c47-7d03ee8a14a1"}"#;
    let stub = Stub::start(vec![Some((200, answer))]);
    let header = ("key.schema.id.serializer", "HeaderSchemaIdSerializer");
    let mut key = converter(AVRO, &config(&stub.url(), &[header]), true).unwrap();
    let schema = Schema::optional_int32();
    let written = write_message(&mut *key, "t", Some(&schema), &Value::Int32(1)).await;
    let written = written.unwrap().unwrap();
    // The second type of ["null", "int"], and no prefix.
    assert_eq!(written.bytes, [2, 2]);
    let guid = [
        1, 0x6d, 0xa3, 0x36, 0xd8, 0xf1, 0xd3, 0x0f, 0x98, 0x4c, 0x47, 0x7d, 0x03, 0xee, 0x8a, 0x14, 0xa1,
    ];
    assert_eq!(written.header, Some(("__key_schema_id".to_owned(), guid.to_vec())));
    let null = write_message(&mut *key, "t", Some(&schema), &Value::Null).await;
    assert_eq!(null.unwrap(), None);
    // A value that fails leaves no header behind.
    let text = Value::from("no number");
    assert!(write_message(&mut *key, "t", Some(&schema), &text).await.is_err());
    // What has no headers at all cannot be written.
    let mut out = Vec::new();
    let value = Value::Int32(1);
    let error = key
        .from_connect("t", Some(&schema), (&value).into(), &mut out)
        .unwrap_err();
    assert!(error.to_string().contains("Missing headers"), "{error}");
    assert!(out.is_empty());
    // A tombstone is one, whatever its headers say.
    let mut batch = dray_connect::backing::Backing::default();
    let field = key.to_connect_with_headers("t", ReadHeaders::default(), None, &mut batch);
    assert!(field.unwrap().view(&batch).1.is_null());
}

#[tokio::test]
async fn a_registry_without_guids_says_what_to_do() {
    let (url, topic) = (registry(), topic());
    let schema = order(&[("id", Schema::int64())]);
    let value = of(&schema, &[("id", Value::Int64(1))]);
    let error = write_message(&mut *avro(&url, &[IN_HEADER]), &topic, Some(&schema), &value).await;
    let error = error.unwrap_err();
    assert!(
        error.to_string().contains("says no GUID of schema") && matches!(error, Error::Data(_)),
        "{error}"
    );
    let mut guid = vec![1];
    guid.extend([7; 16]);
    let error = read(&mut *avro(&url, &[]), &topic, &guid).await.unwrap_err();
    assert!(
        error.to_string().contains("or knows no GUIDs") && matches!(error, Error::Data(_)),
        "{error}"
    );
    // The other form goes on.
    write(&mut *avro(&url, &[]), &topic, Some(&schema), &value)
        .await
        .unwrap();
}
