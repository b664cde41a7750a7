//! The real registry.

use std::path::PathBuf;
use std::process::Command;

use dray_connect::schema::{Schema, SchemaBuilder};
use dray_connect::value::Value;
use dray_converters::Converter;
use serde_json::json;

use super::client::{compatibility, register};
use super::{avro, config, id_of, of, order, read, registry, topic, write};

#[tokio::test]
async fn ids_and_versions() {
    let (url, topic) = (registry(), topic());
    let (first, second) = (
        order(&[("id", Schema::int64())]),
        order(&[("id", Schema::int64()), ("more", Schema::optional_string())]),
    );
    let mut writer = avro(&url, &[]);
    let a = write(
        &mut *writer,
        &topic,
        Some(&first),
        &of(&first, &[("id", Value::Int64(1))]),
    )
    .await
    .unwrap()
    .unwrap();
    let b = write(
        &mut *writer,
        &topic,
        Some(&second),
        &of(&second, &[("id", Value::Int64(2)), ("more", Value::from("x"))]),
    )
    .await;
    let b = b.unwrap().unwrap();
    assert_ne!(id_of(&a), id_of(&b));
    // The same schema has the same id, also for another converter.
    let again = write(
        &mut *avro(&url, &[]),
        &topic,
        Some(&first),
        &of(&first, &[("id", Value::Int64(3))]),
    )
    .await;
    assert_eq!(id_of(&again.unwrap().unwrap()), id_of(&a));
    let mut reader = avro(&url, &[]);
    for (bytes, version, id) in [(&a, 1, 1), (&b, 2, 2), (&a, 1, 1)] {
        let found = read(&mut *reader, &topic, bytes).await.unwrap();
        assert_eq!(found.schema.unwrap().version(), Some(version));
        let Value::Struct(record) = found.value else {
            panic!("no struct")
        };
        assert_eq!(record.get_int64("id").unwrap(), Some(id));
    }
    // Of another topic it has no version.
    assert_eq!(
        read(&mut *reader, "another", &a)
            .await
            .unwrap()
            .schema
            .unwrap()
            .version(),
        None
    );
    assert_eq!(write(&mut *writer, &topic, None, &Value::Null).await.unwrap(), None);
}

#[tokio::test]
async fn a_subject_that_gets_a_known_schema_later_has_a_version_of_it() {
    let (url, first, second, third) = (registry(), topic(), topic(), topic());
    let text = format!(
        r#"{{"type":"record","name":"R{}","fields":[]}}"#,
        first.replace('-', "_")
    );
    let id = register(&url, &format!("{first}-value"), &text, &json!([]));
    let bytes = [&[0], &id.to_be_bytes()[..]].concat();
    let version = async |converter: &mut dyn Converter, topic: &str| {
        let found = read(converter, topic, &bytes).await.unwrap();
        found.schema.unwrap().version()
    };
    let mut converter = avro(&url, &[]);
    assert_eq!(version(&mut *converter, &first).await, Some(1));
    // It has another version there, and the same id.
    register(&url, &format!("{second}-value"), "\"int\"", &json!([]));
    assert_eq!(register(&url, &format!("{second}-value"), &text, &json!([])), id);
    assert_eq!(version(&mut *converter, &second).await, Some(2));
    assert_eq!(version(&mut *avro(&url, &[]), &second).await, Some(2));
    // Where there is none it stays so for a converter, and the next one asks.
    assert_eq!(version(&mut *converter, &third).await, None);
    register(&url, &format!("{third}-value"), &text, &json!([]));
    assert_eq!(version(&mut *converter, &third).await, None);
    assert_eq!(version(&mut *avro(&url, &[]), &third).await, Some(1));
    // What was known before is known without anybody.
    assert_eq!(version(&mut *converter, &first).await, Some(1));
}

#[tokio::test]
async fn bytes_stand_by_themselves() {
    let (url, topic) = (registry(), topic());
    let mut converter = avro(&url, &[]);
    let value = Value::from(vec![1u8, 2, 3]);
    let bytes = write(&mut *converter, &topic, Some(&Schema::bytes()), &value)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bytes[5..], [1, 2, 3]);
    assert_eq!(read(&mut *converter, &topic, &bytes).await.unwrap().value, value);
    let value = Value::Array(vec![Value::Int64(1), Value::from("a")]);
    let bytes = write(&mut *converter, &topic, None, &value).await.unwrap().unwrap();
    let found = read(&mut *converter, &topic, &bytes).await.unwrap();
    assert_eq!((found.schema, found.value), (None, value));
}

#[tokio::test]
async fn references_are_followed() {
    let (url, topic) = (registry(), topic());
    let version = |subject: &str, name: &str| json!([{ "name": name, "subject": subject, "version": 1 }]);
    let (city, address) = (format!("{topic}-city"), format!("{topic}-address"));
    let none = json!([]);
    register(
        &url,
        &city,
        r#"{"type":"enum","name":"geo.City","symbols":["ULM","BONN"]}"#,
        &none,
    );
    let text = r#"{"type":"record","name":"geo.Address","fields":[{"name":"city","type":"geo.City"}]}"#;
    register(&url, &address, text, &version(&city, "geo.City"));
    let text = r#"{"type":"record","name":"shop.Person","fields":[{"name":"home","type":"geo.Address"}]}"#;
    let id = register(&url, &format!("{topic}-value"), text, &version(&address, "geo.Address"));
    let mut bytes = vec![0];
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.push(2);
    let found = read(&mut *avro(&url, &[]), &topic, &bytes).await.unwrap();
    assert_eq!(found.value.to_string(), "Struct{home=Struct{city=BONN}}");
}

#[tokio::test]
async fn an_incompatible_schema_is_an_error_of_the_record() {
    let (url, topic) = (registry(), topic());
    let mut converter = avro(&url, &[]);
    let first = order(&[("id", Schema::int64())]);
    write(
        &mut *converter,
        &topic,
        Some(&first),
        &of(&first, &[("id", Value::Int64(1))]),
    )
    .await
    .unwrap();
    compatibility(&url, &format!("{topic}-value"), "BACKWARD");
    let second = order(&[("id", Schema::string())]);
    let value = of(&second, &[("id", Value::from("x"))]);
    let error = write(&mut *converter, &topic, Some(&second), &value).await.unwrap_err();
    assert!(!error.is_retriable());
    assert_eq!(error.java_class(), "org.apache.kafka.connect.errors.DataException");
    let text = error.to_string();
    for part in [
        &format!("cannot register the schema under subject {topic}-value")[..],
        "incompatible",
        "409",
        "reader type: STRING not compatible with writer type: LONG",
    ] {
        assert!(text.contains(part), "{text}");
    }
    // What is compatible goes on.
    write(
        &mut *converter,
        &topic,
        Some(&first),
        &of(&first, &[("id", Value::Int64(2))]),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn subjects_are_named_after_topics_and_records() {
    let (url, topic) = (registry(), topic());
    let record = format!("space.R{}", topic.replace('-', "_"));
    let schema = SchemaBuilder::struct_()
        .name(record.as_str())
        .field("x", Schema::int32())
        .build()
        .unwrap();
    let value = of(&schema, &[("x", Value::Int32(1))]);
    for (strategy, subject) in [
        ("TopicNameStrategy", format!("{topic}-value")),
        (
            "io.confluent.kafka.serializers.subject.RecordNameStrategy",
            record.clone(),
        ),
        (
            "io.confluent.kafka.serializers.subject.TopicRecordNameStrategy",
            format!("{topic}-{record}"),
        ),
    ] {
        let mut converter = avro(&url, &[("value.subject.name.strategy", strategy)]);
        let bytes = write(&mut *converter, &topic, Some(&schema), &value)
            .await
            .unwrap()
            .unwrap();
        let answer = ureq::get(format!("{url}/subjects/{subject}/versions")).call();
        assert!(answer.is_ok(), "{subject}");
        let found = read(
            &mut *avro(&url, &[("value.subject.name.strategy", strategy)]),
            &topic,
            &bytes,
        )
        .await
        .unwrap();
        assert_eq!(found.schema.unwrap().version(), Some(1));
        if strategy != "TopicNameStrategy" {
            let error = write(&mut *converter, &topic, Some(&Schema::int32()), &Value::Int32(1))
                .await
                .unwrap_err();
            assert!(error.to_string().contains("is none"), "{error}");
        }
    }
}

#[tokio::test]
async fn what_is_not_registered_says_so() {
    let (url, topic) = (registry(), topic());
    let mut converter = avro(&url, &[("auto.register.schemas", "false")]);
    let schema = order(&[("id", Schema::int64())]);
    let value = of(&schema, &[("id", Value::Int64(1))]);
    let error = write(&mut *converter, &topic, Some(&schema), &value).await.unwrap_err();
    assert!(!error.is_retriable());
    let text = error.to_string();
    assert!(
        text.contains("404") && text.contains("auto.register.schemas=true"),
        "{text}"
    );
    // Once it is there it is found, by the same converter.
    let id = id_of(
        &write(&mut *avro(&url, &[]), &topic, Some(&schema), &value)
            .await
            .unwrap()
            .unwrap(),
    );
    let bytes = write(&mut *converter, &topic, Some(&schema), &value)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(id_of(&bytes), id);
    let error = read(&mut *converter, &topic, &[0, 0x7f, 0xff, 0xff, 0xff, 1])
        .await
        .unwrap_err();
    assert!(
        !error.is_retriable() && error.to_string().contains("it has no such schema"),
        "{error}"
    );
}

#[tokio::test]
async fn the_latest_version_and_one_by_its_id() {
    let (url, topic) = (registry(), topic());
    let text = r#"{"type":"record","name":"shop.Order","fields":[{"name":"note","type":["null","string"],"default":null},{"name":"id","type":"long"}]}"#;
    let id = register(&url, &format!("{topic}-value"), text, &json!([]));
    let schema = order(&[("id", Schema::int32()), ("extra", Schema::string())]);
    let value = of(&schema, &[("id", Value::Int32(7)), ("extra", Value::from("x"))]);
    let by_id = id.to_string();
    for more in [("use.latest.version", "true"), ("use.schema.id", by_id.as_str())] {
        let mut converter = avro(&url, &[("auto.register.schemas", "false"), more]);
        let bytes = write(&mut *converter, &topic, Some(&schema), &value)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((id_of(&bytes), &bytes[5..]), (id, &[0, 14][..]));
        let other = order(&[("id", Schema::string())]);
        let error = write(
            &mut *converter,
            &topic,
            Some(&other),
            &of(&other, &[("id", Value::from("x"))]),
        )
        .await
        .unwrap_err();
        assert!(
            error.to_string().contains("Incompatible schema") && !error.is_retriable(),
            "{error}"
        );
    }
}

#[tokio::test]
async fn another_server_is_asked_when_one_is_dead() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = dead.local_addr().unwrap();
    drop(dead);
    let urls = format!("http://{address},{}", registry());
    let (mut converter, topic) = (avro(&urls, &[]), topic());
    let bytes = write(&mut *converter, &topic, Some(&Schema::string()), &Value::from("x"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        read(&mut *avro(&urls, &[]), &topic, &bytes).await.unwrap().value,
        Value::from("x")
    );
}

/// A registry of one's own, to be stopped, or to be filled.
pub(crate) struct Own {
    dir: PathBuf,
    port: String,
}

impl Own {
    /// On a port of its own.
    pub(crate) fn new() -> Self {
        let script = PathBuf::from(std::env::var("DRAY_TEST_REGISTRY_SH").unwrap());
        let port = Command::new(script.with_file_name("kafka.sh"))
            .arg("freeport")
            .output()
            .unwrap();
        let own = Self {
            dir: std::env::temp_dir().join(topic()),
            port: String::from_utf8(port.stdout).unwrap().trim().to_owned(),
        };
        std::fs::create_dir_all(&own.dir).unwrap();
        own.start();
        own
    }

    /// Where it speaks Confluent's API.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }

    fn call(&self, arguments: &[&str]) {
        let script = std::env::var("DRAY_TEST_REGISTRY_SH").unwrap();
        let status = Command::new(script).args(arguments).status().unwrap();
        assert!(status.success(), "registry.sh {arguments:?}");
    }

    fn start(&self) {
        self.call(&["start", self.dir.to_str().unwrap(), &self.port]);
    }

    fn kill(&self) {
        self.call(&["kill9", self.dir.to_str().unwrap()]);
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.kill();
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

#[tokio::test]
async fn a_registry_that_is_away_is_tried_again() {
    let own = Own::new();
    let url = own.url();
    let (topic, quick) = (topic(), [("max.retries", "1"), ("retries.wait.ms", "10")]);
    let mut converter = avro(&url, &quick);
    let bytes = write(&mut *converter, &topic, Some(&Schema::string()), &Value::from("x"))
        .await
        .unwrap()
        .unwrap();
    own.kill();
    // What is known needs nobody.
    let known = write(&mut *converter, &topic, Some(&Schema::string()), &Value::from("y"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(id_of(&known), id_of(&bytes));
    let mut reader = avro(&url, &quick);
    let error = read(&mut *reader, &topic, &bytes).await.unwrap_err();
    assert!(error.is_retriable(), "{error}");
    assert!(error.to_string().contains(&url), "{error}");
    own.start();
    // Its memory is gone with it: another registers the schema again.
    register(&url, &format!("{topic}-value"), "\"string\"", &json!([]));
    assert_eq!(
        read(&mut *reader, &topic, &bytes).await.unwrap().value,
        Value::from("x")
    );
}

#[test]
fn headers_have_no_schemas_of_a_registry() {
    let class = "io.confluent.connect.avro.AvroConverter";
    let made = dray_converters::header_converter(class, &config("http://localhost", &[]));
    assert!(
        made.err()
            .unwrap()
            .to_string()
            .contains("does not implement the HeaderConverter interface")
    );
}
