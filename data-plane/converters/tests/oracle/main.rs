//! Compares the converters with the real Kafka Connect: one generated corpus, both sides, every answer.
//!
//! `DRAY_TEST_ORACLE` names the script that starts the Java side. What we choose to do differently is named in
//! `differences.rs` and explained in `differences.md`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of a test, which clippy does not take for tests"
)]

mod corpus;
mod describe;
mod differences;
mod edges;
mod random;
mod schemas;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_connect::backing::Backing;
use dray_connect::datum::ValueRef;
use dray_connect::value::{SchemaAndValue, Value};
use dray_connect::{ConfigMap, Error};
use dray_converters::{Input, Written, converter, header_converter};
use serde_json::{Value as Json, json};

use crate::corpus::Case;

/// The corpus must not shrink unnoticed.
const AT_LEAST: usize = 2000;

/// Comparing and printing values 1000 levels deep takes more stack than the thread of a test has, without optimisation.
#[test]
fn agrees_with_kafka_connect() {
    std::thread::Builder::new()
        .stack_size(64 << 20)
        .spawn(compare)
        .unwrap()
        .join()
        .unwrap();
}

fn compare() {
    let oracle = std::env::var("DRAY_TEST_ORACLE").expect("set DRAY_TEST_ORACLE: run `make test`");
    let cases = corpus::corpus();
    assert!(cases.len() >= AT_LEAST, "only {} cases", cases.len());
    let theirs = ask(&oracle, cases.iter().map(question).collect());
    let mut chosen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut differing = Vec::new();
    for (case, mut theirs) in cases.iter().zip(theirs) {
        let mut ours = answer(case);
        describe::sort(&mut ours);
        describe::sort(&mut theirs);
        if ours == same_parts(&theirs) {
            continue;
        }
        match differences::name(case, &ours, &theirs) {
            Some(name) => *chosen.entry(name).or_default() += 1,
            None => differing.push(format!("{}\n  ours   {ours}\n  theirs {theirs}", describe_case(case))),
        }
    }
    println!(
        "{} cases, {} differ, chosen differences: {chosen:?}",
        cases.len(),
        differing.len()
    );
    if let Ok(path) = std::env::var("DRAY_TEST_ORACLE_REPORT") {
        std::fs::write(path, differing.join("\n")).unwrap();
    }
    let shown = differing.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(
        differing.is_empty(),
        "{} of {} cases differ:\n{shown}",
        differing.len(),
        cases.len()
    );
}

/// Of an error only its class, message and step are compared; causes are Java's own affair.
fn same_parts(theirs: &Json) -> Json {
    let mut theirs = theirs.clone();
    if let Json::Object(members) = &mut theirs {
        members.remove("causes");
    }
    theirs
}

fn describe_case(case: &Case) -> String {
    match case {
        Case::Roundtrip {
            converter,
            config,
            bytes,
        } => {
            let mut text = bytes
                .as_ref()
                .map_or("null".to_owned(), |bytes| bytes.escape_ascii().to_string());
            text.truncate(3000);
            format!("{converter} {config:?} {text}")
        }
        Case::Parse { text } => format!("header {text:?}"),
    }
}

fn question(case: &Case) -> Json {
    match case {
        Case::Roundtrip {
            converter,
            config,
            bytes,
        } => {
            let config: Json = Json::Object(config.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect());
            let bytes = bytes.as_ref().map(|bytes| STANDARD.encode(bytes));
            json!({"op": "roundtrip", "converter": converter, "config": config, "bytes_b64": bytes})
        }
        Case::Parse { text } => json!({"op": "parse", "text": text}),
    }
}

/// All answers of the oracle, in order. The questions are written from a thread of their own, so that no pipe runs full.
fn ask(oracle: &str, questions: Vec<Json>) -> Vec<Json> {
    let mut process = Command::new(oracle)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    let count = questions.len();
    let writer = std::thread::spawn(move || {
        for question in questions {
            writeln!(input, "{question}").unwrap();
        }
    });
    let output = BufReader::new(process.stdout.take().unwrap());
    let answers: Vec<Json> = output.lines().map(|line| deep(&line.unwrap())).collect();
    writer.join().unwrap();
    assert!(process.wait().unwrap().success(), "the oracle failed");
    assert_eq!(answers.len(), count, "the oracle did not answer every question");
    answers
}

/// serde_json reads neither half a surrogate pair nor what nests very deep. Halves are read as U+FFFD; of a deep answer only
/// the bytes are kept.
fn deep(line: &str) -> Json {
    serde_json::from_str(line)
        .or_else(|_| serde_json::from_str(&differences::without_halves(line)))
        .unwrap_or_else(|_| {
            let bytes = line
                .split_once("\"bytes_b64\":\"")
                .and_then(|(_, rest)| rest.split_once('"'));
            bytes.map_or(Json::Null, |(bytes, _)| json!({"deep": true, "bytes_b64": bytes}))
        })
}

fn answer(case: &Case) -> Json {
    match case {
        Case::Roundtrip {
            converter,
            config,
            bytes,
        } => {
            let config: ConfigMap = config.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
            roundtrip(&class_of(converter), &config, bytes.as_deref())
        }
        Case::Parse { text } => {
            let mut simple = header_converter("SimpleHeaderConverter", &ConfigMap::new()).unwrap();
            let parsed = simple
                .to_connect_header("topic", "name", Some(text.as_bytes()))
                .unwrap();
            let mut out = Vec::new();
            let range = simple.from_connect_header("topic", "name", &parsed, &mut out).unwrap();
            let string = range.map(|range| String::from_utf8(out[range].to_vec()).unwrap());
            let mut answer = described(&parsed);
            answer["string"] = json!(string);
            answer
        }
    }
}

fn class_of(converter: &str) -> String {
    match converter {
        "bytearray" => "ByteArray".to_owned(),
        name => name[..1].to_uppercase() + &name[1..],
    }
}

fn roundtrip(class: &str, config: &ConfigMap, bytes: Option<&[u8]>) -> Json {
    let mut converter = match converter(class, config, false) {
        Ok(converter) => converter,
        Err(error) => return failed(&error, None),
    };
    let mut batch = Backing::default();
    // A block of the batch and no copy of its arena, as in a fetch.
    let input = bytes.map(|bytes| Input {
        bytes,
        span: batch.adopt(bytes.to_vec().into()),
    });
    let field = match converter.to_connect("topic", input, &mut batch) {
        Ok(field) => field,
        Err(error) => return failed(&error, Some("to_connect")),
    };
    // A second pass goes through the caches and must not differ.
    let again = converter.to_connect("topic", input, &mut batch).unwrap();
    let (schema, view) = field.view(&batch);
    assert_eq!(again.view(&batch), (schema, view));
    let mut scratch = b"before".to_vec();
    let written = match converter.from_connect("topic", schema, view, &mut scratch) {
        Ok(Written::Null) => None,
        Ok(Written::Same(bytes)) => Some(bytes.to_vec()),
        Ok(Written::Scratch(range)) => Some(scratch[range].to_vec()),
        Err(error) => {
            assert_eq!(scratch, b"before");
            return failed(&error, Some("from_connect"));
        }
    };
    let value = view.to_value();
    // An owned value is written as the one in the batch.
    scratch.clear();
    let owned = match converter.from_connect("topic", schema, ValueRef::from(&value), &mut scratch) {
        Ok(Written::Null) => None,
        Ok(Written::Same(bytes)) => Some(bytes.to_vec()),
        Ok(Written::Scratch(range)) => Some(scratch[range].to_vec()),
        Err(error) => panic!("the owned value is refused: {error}"),
    };
    assert_eq!(owned, written);
    let schema = schema.cloned();
    let mut answer = described(&SchemaAndValue { schema, value });
    answer["bytes_b64"] = json!(written.map(|bytes| STANDARD.encode(bytes)));
    answer
}

fn described(data: &SchemaAndValue) -> Json {
    // Deep values are compared by their bytes alone, see `deep`.
    if depth(&data.value) > 50 {
        return json!({ "deep": true });
    }
    json!({"schema": describe::schema(data.schema.as_deref()), "value": describe::value(&data.value)})
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
        Value::Map(entries) => 1 + entries.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
        _ => 0,
    }
}

fn failed(error: &Error, step: Option<&str>) -> Json {
    let class = error.java_class().rsplit('.').next().unwrap_or_default();
    let mut answer = json!({"error": class, "message": error.to_string()});
    if let Some(step) = step {
        answer["step"] = json!(step);
    }
    answer
}
