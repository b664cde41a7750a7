//! `json.fail.invalid.schema` with the real registry; Confluent's Python client says what is valid.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_connect::Error;
use dray_connect::schema::Schema;
use dray_connect::value::Value;
use dray_converters::{Converter, converter};
use serde_json::json;

use super::client::register_as;
use super::python::client;
use super::{config, id_of, of, order, read, registry, topic, write};

const ON: (&str, &str) = ("json.fail.invalid.schema", "true");

fn json_schema(url: &str, more: &[(&str, &str)]) -> Box<dyn Converter> {
    let class = "io.confluent.connect.json.JsonSchemaConverter";
    converter(class, &config(url, more), false).unwrap()
}

fn message(id: i32, text: &str) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], text.as_bytes()].concat()
}

#[tokio::test]
async fn the_same_is_valid_as_for_confluents_client() {
    let (url, topic) = (registry(), topic());
    let city = format!("{topic}-city");
    let text = r#"{"title":"City","type":"object","properties":{"zip":{"type":"string","pattern":"^[0-9]{5}$"}},"required":["zip"]}"#;
    register_as("JSON", &url, &city, text, &json!([]));
    let schemas = [
        (
            "http://json-schema.org/draft-07/schema#",
            r##""properties":{"id":{"type":"integer","minimum":1,"multipleOf":3},"home":{"$ref":"city.json"},
            "tags":{"type":"array","items":{"type":"string","minLength":2},"maxItems":2,"uniqueItems":true},
            "state":{"type":"string","enum":["NEW","SENT"]},"note":{"oneOf":[{"type":"null"},{"type":"string","maxLength":3}]},
            "part":{"$ref":"#/definitions/part"}},"additionalProperties":false,
            "definitions":{"part":{"type":"object","properties":{"n":{"type":"number","exclusiveMaximum":10}}}}"##,
        ),
        (
            "https://json-schema.org/draft/2020-12/schema",
            r##""properties":{"id":{"type":"integer","minimum":1,"multipleOf":3},"home":{"$ref":"city.json"},
            "tags":{"type":"array","items":{"type":"string","minLength":2},"maxItems":2,"uniqueItems":true},
            "state":{"type":"string","enum":["NEW","SENT"]},"note":{"oneOf":[{"type":"null"},{"type":"string","maxLength":3}]},
            "part":{"$ref":"#/$defs/part"}},"unevaluatedProperties":false,
            "$defs":{"part":{"type":"object","properties":{"n":{"type":"number","exclusiveMaximum":10}}}}"##,
        ),
    ];
    let texts = [
        "{}",
        r#"{"id":3}"#,
        r#"{"id":-3}"#,
        r#"{"id":4}"#,
        r#"{"id":3.0}"#,
        r#"{"id":"3"}"#,
        r#"{"home":{"zip":"89073"}}"#,
        r#"{"home":{"zip":"8907"}}"#,
        r#"{"home":{}}"#,
        r#"{"tags":["ab","cd"]}"#,
        r#"{"tags":["ab","c"]}"#,
        r#"{"tags":["ab","ab"]}"#,
        r#"{"tags":["ab","cd","ef"]}"#,
        r#"{"state":"SENT"}"#,
        r#"{"state":"LOST"}"#,
        r#"{"note":null}"#,
        r#"{"note":"abc"}"#,
        r#"{"note":"abcd"}"#,
        r#"{"part":{"n":9.99}}"#,
        r#"{"part":{"n":10}}"#,
        r#"{"other":1}"#,
        "[]",
    ];
    for (number, (draft, rest)) in schemas.into_iter().enumerate() {
        let topic = format!("{topic}-{number}");
        let schema = format!(r#"{{"$schema":"{draft}","title":"Order","type":"object",{rest}}}"#);
        let references = json!([{ "name": "city.json", "subject": city, "version": 1 }]);
        let id = register_as("JSON", &url, &format!("{topic}-value"), &schema, &references);
        let lines: Vec<_> = texts.iter().map(|text| STANDARD.encode(message(id, text))).collect();
        let theirs = client("json_client.py", &["valid", &url, &topic], &lines);
        let mut converter = json_schema(&url, &[ON]);
        for (text, theirs) in texts.iter().zip(theirs) {
            let found = read(&mut *converter, &topic, &message(id, text)).await;
            let is_valid = match found {
                Ok(_) => true,
                Err(error) if error.to_string().contains("is not valid by its schema") => false,
                Err(error) => panic!("{error}"),
            };
            assert_eq!(is_valid.to_string(), theirs, "{text} in {schema}");
        }
    }
}

#[tokio::test]
async fn values_are_checked_before_they_are_written() {
    let (url, topic) = (registry(), topic());
    let text = r#"{"title":"shop.Order","type":"object","properties":{"id":{"type":"integer","minimum":1},"name":{"type":"string"}}}"#;
    let id = register_as("JSON", &url, &format!("{topic}-value"), text, &json!([]));
    let latest = [("auto.register.schemas", "false"), ("use.latest.version", "true")];
    let schema = order(&[("id", Schema::int64()), ("name", Schema::string())]);
    let value = |id: i64| of(&schema, &[("id", Value::Int64(id)), ("name", Value::from("secret"))]);
    let mut checks = json_schema(&url, &[ON, latest[0], latest[1]]);
    for _ in 0..2 {
        let bytes = write(&mut *checks, &topic, Some(&schema), &value(1))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(bytes, message(id, r#"{"id":1,"name":"secret"}"#));
        // `write` sees that nothing of it is left behind.
        let error = write(&mut *checks, &topic, Some(&schema), &value(0)).await.unwrap_err();
        assert!(matches!(error, Error::Data(_)), "{error}");
        let text = error.to_string();
        let expected = "/id fails minimum: value is less than the minimum of 1";
        assert!(text.contains(&topic) && text.contains(expected), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
    // Without the key it is written, and then it does not pass where it is read.
    let bytes = write(&mut *json_schema(&url, &latest), &topic, Some(&schema), &value(0)).await;
    let bytes = bytes.unwrap().unwrap();
    assert!(read(&mut *json_schema(&url, &[]), &topic, &bytes).await.is_ok());
    let error = read(&mut *json_schema(&url, &[ON]), &topic, &bytes).await.unwrap_err();
    assert!(error.to_string().contains("/id fails minimum"), "{error}");
    // With the schema that is made of the value's own, which says types only; required is what is no tombstone.
    let other = super::topic();
    let bytes = write(&mut *json_schema(&url, &[ON]), &other, Some(&schema), &value(0)).await;
    assert_ne!(id_of(&bytes.unwrap().unwrap()), id);
    let mut closed = json_schema(&url, &[ON, ("object.additional.properties", "false")]);
    let nothing = of(&schema, &[("id", Value::Int64(1)), ("name", Value::from(""))]);
    assert!(write(&mut *closed, &other, Some(&schema), &nothing).await.is_ok());
    assert_eq!(
        write(&mut *closed, &other, Some(&schema), &Value::Null).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn who_reads_with_the_newest_schema_checks_by_that_one() {
    let (url, topic) = (registry(), topic());
    let of = |most: i32| {
        format!(r#"{{"title":"R","type":"object","properties":{{"a":{{"type":"integer","maximum":{most}}}}}}}"#)
    };
    let subject = format!("{topic}-value");
    let first = register_as("JSON", &url, &subject, &of(1), &json!([]));
    register_as("JSON", &url, &subject, &of(2), &json!([]));
    let bytes = message(first, r#"{"a":2}"#);
    assert!(read(&mut *json_schema(&url, &[ON]), &topic, &bytes).await.is_err());
    let newest = [ON, ("use.latest.version", "true")];
    let found = read(&mut *json_schema(&url, &newest), &topic, &bytes).await.unwrap();
    assert_eq!(found.value.to_string(), "Struct{a=2}");
    let error = read(&mut *json_schema(&url, &newest), &topic, &message(first, r#"{"a":3}"#)).await;
    assert!(error.unwrap_err().to_string().contains("/a fails maximum"));
}
