//! Messages of Protobuf and JSON that contain themselves: the real registry takes their schemas, and Confluent's Python client reads and writes
//! them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use super::client::{compatibility, register_as};
use super::json_schema::json_schema;
use super::protobuf::{client as protobuf_client, field, message_field, protobuf};
use super::python::client;
use super::{id_of, read, registry, topic, write};

fn parsed(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

/// A tree, by way of a list, a map, a `oneof` and another message.
fn tree() -> Json {
    let repeated = |mut field: Json| {
        field["label"] = json!("LABEL_REPEATED");
        field
    };
    let mut either = message_field("other", 4, "py.Tree");
    either["oneofIndex"] = json!(0);
    let mut number = field("number", 5, "INT32");
    number["oneofIndex"] = json!(0);
    let entry = json!({ "name": "ByNameEntry", "options": { "mapEntry": true },
        "field": [field("key", 1, "STRING"), message_field("value", 2, "py.Tree")] });
    let fields = json!([
        field("text", 1, "STRING"),
        repeated(message_field("children", 2, "py.Tree")),
        repeated(message_field("by_name", 3, "py.Tree.ByNameEntry")),
        either,
        number,
        message_field("leaf", 6, "py.Leaf"),
    ]);
    json!([{ "name": "py/tree.proto", "package": "py", "syntax": "proto3", "messageType": [
        { "name": "Tree", "field": fields, "nestedType": [entry], "oneofDecl": [{ "name": "either" }] },
        { "name": "Leaf", "field": [message_field("back", 1, "py.Tree"), field("x", 2, "INT32")] },
    ] }])
}

const TREE: &str = r#"{"text":"root","children":[{"text":"a","children":[{"text":"b"}]},{"number":7}],"by_name":{"k":{"other":{"text":"c"}}},"leaf":{"back":{"text":"d","leaf":{"x":1}}}}"#;

#[tokio::test]
async fn a_message_of_protobuf_goes_both_ways() {
    let (url, topic, files) = (registry(), topic(), tree());
    let lines = protobuf_client("write", &url, &topic, &files, "py.Tree", &[TREE.to_owned()]);
    let bytes = STANDARD.decode(&lines[0]).unwrap();
    let found = read(&mut *protobuf(&url, &[]), &topic, &bytes).await.unwrap();
    let schema = found.schema.as_ref().unwrap();
    assert_eq!((schema.name(), schema.version()), (Some("Tree"), Some(1)));
    let text = found.value.to_string();
    let (children, by_name) = (
        "children=[Struct{text=a,children=[Struct{text=b,children=[],by_name={}}],by_name={}}",
        "by_name={k=Struct{either_0=Struct{other=Struct{text=c",
    );
    assert!(text.contains(children) && text.contains(by_name), "{text}");
    // With a schema of our own, under which the registry finds it again, and with the one that is there.
    let own = super::topic();
    let more = [("wrapper.for.nullables", "false")];
    let latest = [
        ("auto.register.schemas", "false"),
        ("use.latest.version", "true"),
        more[0],
    ];
    let mut ids = Vec::new();
    for (topic, more) in [(&own, &more[..]), (&own, &more), (&topic, &latest)] {
        let written = write(&mut *protobuf(&url, more), topic, Some(schema), &found.value).await;
        let written = written.unwrap().unwrap();
        let row = protobuf_client("read", &url, topic, &files, "py.Tree", &[STANDARD.encode(&written)]);
        assert_eq!(parsed(&row[0]), parsed(TREE));
        ids.push(id_of(&written));
        let again = read(&mut *protobuf(&url, &[]), topic, &written).await.unwrap();
        assert_eq!(again.value.to_string(), text);
        assert_eq!(again.schema.unwrap(), *schema);
        compatibility(&url, &format!("{own}-value"), "FULL_TRANSITIVE");
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[2], id_of(&bytes));
    // Values that were written with it, as a newer schema has them.
    let newer = r#"syntax = "proto3"; package py; message Leaf { int32 y = 7; }
        message Tree { Leaf leaf = 6; map<string, Tree> by_name = 3; string text = 1; string more = 8; }"#;
    register_as("PROTOBUF", &url, &format!("{topic}-value"), newer, &json!([]));
    let latest = [("use.latest.version", "true")];
    let found = read(&mut *protobuf(&url, &latest), &topic, &bytes).await.unwrap();
    let expected = "Struct{leaf=Struct{y=0},by_name={k=Struct{by_name={},text=,more=}},text=root,more=}";
    assert_eq!(found.value.to_string(), expected);
    assert_eq!(found.schema.unwrap().version(), Some(2));
}

const SCHEMA: &str = r##"{"$schema":"http://json-schema.org/draft-07/schema#","title":"py.Tree","type":"object","properties":{
    "text":{"type":"string"},"children":{"type":"array","items":{"$ref":"#"}},
    "byName":{"type":"object","connect.type":"map","additionalProperties":{"$ref":"#/definitions/Leaf"}},
    "maybe":{"oneOf":[{"type":"null"},{"$ref":"#"}]},"sum":{"oneOf":[{"type":"integer"},{"$ref":"#/definitions/Leaf"}]}},
    "required":["text"],"definitions":{"Leaf":{"type":"object","title":"py.Leaf","properties":{"back":{"$ref":"#"},"x":{"type":"integer"}}}}}"##;

const ROW: &str = r#"{"text":"root","children":[{"text":"a","children":[{"text":"b","maybe":null}],"maybe":null},{"text":"c","sum":7,"maybe":null}],
    "byName":{"k":{"x":1,"back":{"text":"d","maybe":{"text":"e","maybe":null}}}},"maybe":{"text":"f","sum":{"x":2},"maybe":null}}"#;

#[tokio::test]
async fn an_object_of_json_goes_both_ways() {
    let (url, topic) = (registry(), topic());
    let python = "json_client.py";
    let row = ROW.replace('\n', "");
    let lines = client(python, &["write", &url, &topic, SCHEMA], std::slice::from_ref(&row));
    let bytes = STANDARD.decode(&lines[0]).unwrap();
    let found = read(&mut *json_schema(&url, &[]), &topic, &bytes).await.unwrap();
    let schema = found.schema.as_ref().unwrap();
    assert_eq!((schema.name(), schema.version()), (Some("py.Tree"), Some(1)));
    let text = found.value.to_string();
    assert!(
        text.contains("sum=Struct{io.confluent.connect.json.OneOf.field.1=Struct{x=2"),
        "{text}"
    );
    let own = super::topic();
    let latest = [("auto.register.schemas", "false"), ("use.latest.version", "true")];
    let mut ids = Vec::new();
    for (topic, more) in [(&own, &[][..]), (&own, &[]), (&topic, &latest)] {
        let written = write(&mut *json_schema(&url, more), topic, Some(schema), &found.value).await;
        let written = written.unwrap().unwrap();
        // The client checks it against the schema.
        let back = client(python, &["read", &url, topic], &[STANDARD.encode(&written)]);
        assert_eq!(parsed(&back[0]), parsed(&row));
        ids.push(id_of(&written));
        let again = read(&mut *json_schema(&url, &[]), topic, &written).await.unwrap();
        assert_eq!(again.value.to_string(), text);
        assert_eq!(again.schema.unwrap(), *schema);
        compatibility(&url, &format!("{own}-value"), "FULL_TRANSITIVE");
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[2], id_of(&bytes));
    let newer = r##"{"title":"py.Tree","type":"object","properties":{"text":{"type":"string","connect.index":0},
        "maybe":{"connect.index":1,"oneOf":[{"type":"null"},{"$ref":"#"}]},"more":{"type":"integer","default":5,"connect.index":2}}}"##;
    register_as("JSON", &url, &format!("{topic}-value"), newer, &json!([]));
    let found = read(
        &mut *json_schema(&url, &[("use.latest.version", "true")]),
        &topic,
        &bytes,
    )
    .await
    .unwrap();
    assert_eq!(
        found.value.to_string(),
        "Struct{text=root,maybe=Struct{text=f,more=5},more=5}"
    );
    assert_eq!(found.schema.unwrap().version(), Some(2));
}
