use super::*;
use crate::stages::Outcome;
use serde_json::Value as Json;

fn tester(pairs: &[(&str, &str)]) -> Tester {
    let config = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Tester::new(&config).unwrap()
}

const REPLACE: [(&str, &str); 4] = [
    ("topics", "orders, more"),
    ("transforms", "replace"),
    ("transforms.replace.type", "ReplaceField$Value"),
    ("transforms.replace.renames", "a:b"),
];

#[test]
fn each_stage_is_shown_with_schemas() {
    let mut tester = tester(&REPLACE);
    let schema = r#"{"type":"struct","name":"x.Y","optional":true,"fields":[{"field":"a","type":"int32"},
        {"field":"t","type":"int64","name":"org.apache.kafka.connect.data.Timestamp","version":1,"optional":true}]}"#;
    let line = format!(
        r#"{{"value":{{"schema":{schema},"payload":{{"a":1,"t":5}}}},"key":"k","timestamp":9,"headers":{{"n":[1],"s":"x"}}}}"#
    );
    let seen = tester.run(&line).unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!((seen[0].topic.as_str(), seen[0].timestamp), ("orders", Some(9)));
    assert_eq!(seen[0].value.schema_text, "Y{a: int32, t: Timestamp?}?");
    assert_eq!(seen[1].value.schema_text, "Y{b: int32, t: Timestamp?}");
    assert_eq!(seen[1].value.value, serde_json::json!({"b": 1, "t": 5}));
    assert_eq!(seen[1].value.schema["fields"][0]["field"], "b");
    assert_eq!(seen[1].outcome, Outcome::Applied);
    assert_eq!(
        (seen[1].key.schema_text.as_str(), &seen[1].key.value),
        ("none", &Json::from("k"))
    );
    let headers: Vec<_> = seen[1]
        .headers
        .iter()
        .map(|(name, shown)| (name.as_str(), shown.schema_text.as_str()))
        .collect();
    assert_eq!(headers, [("n", "[int8]"), ("s", "string")]);
}

#[test]
fn a_failure_stands_in_its_place_and_the_next_record_is_run() {
    let mut tester = tester(&REPLACE);
    let seen = tester.run(r#"{"value":7}"#).unwrap();
    assert_eq!(seen[1].outcome, Outcome::Failed);
    let error = seen[1].error.as_ref().unwrap();
    assert_eq!(error.class, "org.apache.kafka.connect.errors.DataException");
    assert!(
        error.message.starts_with("Only Map objects supported"),
        "{}",
        error.message
    );
    assert_eq!(seen[1].value.value, Json::from(7));
    assert_eq!(tester.run(r#"{"value":{"a":1}}"#).unwrap()[1].value.value["b"], 1);
}

#[test]
fn lines_that_are_no_records_are_refused_with_the_reason() {
    let mut tester = tester(&[]);
    for (line, expected) in [
        ("{", "EOF while parsing"),
        (r#"{"valeu":1}"#, "unknown field `valeu`"),
        (r#"{"key":1}"#, "missing field `value`"),
        (r#"{"value":{"schema":{"type":"none"},"payload":1}}"#, "value: "),
    ] {
        let error = tester.run(line).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
