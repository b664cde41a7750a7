//! Records that contain themselves: what either converter writes the other reads. Values are compared, and not schemas: Java's have no end.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use super::{CLASS, Own, SETTINGS, ask, configured, describe};
use crate::client::register;
use crate::{avro, id_of, read, topic, write};

const SCHEMAS: [(&str, &[u8]); 3] = [
    (
        r#"{"type":"record","name":"j.Node","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","j.Node"],"default":null}]}"#,
        &[2, 2, 4, 2, 6, 0],
    ),
    (
        r#"{"type":"record","name":"j.Tree","fields":[{"name":"t","type":"string"},{"name":"kids","type":{"type":"array","items":"j.Tree"}}]}"#,
        b"\x02a\x04\x02b\x00\x02c\x02\x02d\x00\x00\x00",
    ),
    (
        r#"{"type":"record","name":"j.A","fields":[{"name":"b","type":["null",{"type":"record","name":"B","fields":[{"name":"x","type":"long"},{"name":"a","type":["null","j.A"],"default":null}]}],"default":null}]}"#,
        &[2, 2, 2, 2, 4, 0],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn both_read_what_either_writes() {
    let own = Own::new();
    let url = own.url();
    let mut converter = avro(&url, &[]);
    let (mut questions, mut expected) = (Vec::new(), Vec::new());
    for (schema, bytes) in SCHEMAS {
        let topic = topic();
        let id = register(&url, &format!("{topic}-value"), schema, &json!([]));
        let message = [&[0], &id.to_be_bytes()[..], bytes].concat();
        let found = read(&mut *converter, &topic, &message).await.unwrap();
        let ours = write(&mut *converter, &topic, found.schema.as_ref(), &found.value).await;
        let ours = ours.unwrap().unwrap();
        assert_ne!(id_of(&ours), id);
        for bytes in [message, ours] {
            let config = configured(SETTINGS[0], false, &url);
            questions.push(json!({"op": "registry_again", "class": CLASS, "config": config, "topic": topic, "bytes_b64": STANDARD.encode(bytes)}));
            expected.push((topic.clone(), describe::value(&found.value)));
        }
    }
    let answers: Vec<Json> = tokio::task::spawn_blocking(|| ask(questions)).await.unwrap();
    assert_eq!(answers.len(), expected.len());
    for (answer, (topic, mut value)) in answers.into_iter().zip(expected) {
        let mut theirs = answer["value"].clone();
        describe::sort(&mut theirs);
        describe::sort(&mut value);
        assert_eq!(theirs, value, "{answer}");
        let written = STANDARD.decode(answer["bytes_b64"].as_str().unwrap()).unwrap();
        let mut again = describe::value(&read(&mut *converter, &topic, &written).await.unwrap().value);
        describe::sort(&mut again);
        assert_eq!(again, value, "{answer}");
    }
}
