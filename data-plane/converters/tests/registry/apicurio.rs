//! Apicurio's `AvroConverter` for Java, whose schemas and values go over into each other as in Confluent's, asked for Confluent's form of
//! messages: both write the same values, and each reads what either wrote, and what others write (`others`).
//!
//! Of Apicurio's other converters, `ExtJsonConverter` has a wire format of its own, and 2.6 has none of Protobuf.

#![expect(clippy::print_stdout, reason = "the test's own summary")]

#[path = "../../src/avro/tests/arbitrary.rs"]
mod arbitrary;
mod cases;
#[path = "../oracle/describe.rs"]
mod describe;
mod exceptions;
mod others;
#[path = "../oracle/random.rs"]
mod random;
mod recursive;
mod resolution;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_connect::value::SchemaAndValue;
use dray_connect::{Error, Result};
use serde_json::{Value as Json, json};

use self::cases::Case;
use self::exceptions::Step;
use self::others::Message;
use super::real::Own;
use super::{avro, id_of, read, write};

/// The corpora must not shrink unnoticed.
const AT_LEAST: usize = 3_000;

/// The settings of the mapping that Apicurio's converter has as well.
const SETTINGS: [&[(&str, &str)]; 3] = [
    &[],
    &[("enhanced.avro.schema.support", "true")],
    &[("enhanced.avro.schema.support", "true"), ("connect.meta.data", "false")],
];

/// What a comparison is about.
#[derive(Clone, Copy, Debug)]
enum What<'a> {
    Case(&'a Case),
    #[expect(dead_code, reason = "shown where something differs")]
    Message(&'a Message),
}

fn is_error(answer: &Json) -> bool {
    answer.get("error").is_some()
}

/// What differs, by the name of the exception, or none.
#[derive(Default)]
struct Differences {
    compared: usize,
    excepted: BTreeMap<&'static str, usize>,
    unnamed: Vec<String>,
}

impl Differences {
    fn compare(&mut self, step: Step, what: What<'_>, mut ours: Json, mut theirs: Json) {
        self.compared += 1;
        describe::sort(&mut ours);
        describe::sort(&mut theirs);
        // The texts of errors are each converter's own.
        if ours == theirs || is_error(&ours) && is_error(&theirs) {
            return;
        }
        let case = if let What::Case(case) = what { Some(case) } else { None };
        match exceptions::name(step, case, &ours, &theirs) {
            Some(name) => *self.excepted.entry(name).or_default() += 1,
            None => self
                .unnamed
                .push(format!("{step:?} {what:?}\n  ours   {ours}\n  theirs {theirs}")),
        }
    }

    /// Fails with what has no name, and with the name of an exception that nothing has needed.
    fn end(self) {
        let Self {
            compared,
            excepted,
            unnamed,
        } = self;
        println!(
            "{compared} comparisons, {} differ, exceptions: {excepted:?}",
            unnamed.len()
        );
        if let Ok(path) = std::env::var("DRAY_TEST_ORACLE_REPORT") {
            std::fs::write(path, unnamed.join("\n")).unwrap();
        }
        let shown = unnamed.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
        assert!(unnamed.is_empty(), "{} of {compared} differ:\n{shown}", unnamed.len());
        assert!(compared >= AT_LEAST, "only {compared} comparisons");
        // Other seeds do not come to all of them.
        if std::env::var("PROPTEST_RNG_SEED").is_ok_and(|seed| seed != "1") {
            return;
        }
        for (name, _) in exceptions::EXCEPTIONS {
            assert!(excepted.contains_key(name), "nothing differs as {name} says");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agrees_with_apicurio() {
    // It is filled with thousands of schemas: in the shared one, other tests did not find the versions of theirs beside them.
    let own = Own::new();
    let registry = || own.url();
    let mut differences = Differences::default();
    let cases = cases::cases();
    // Later than Apicurio's copy of the mapping.
    let plain = ("flatten.singleton.unions", "false");
    let ours = |settings: &&[(&str, &str)]| avro(&registry(), &[*settings, &[plain]].concat());
    let mut converters: Vec<_> = SETTINGS.iter().map(ours).collect();
    let mut written = Vec::new();
    for case in &cases {
        let converter = &mut *converters[case.settings];
        written.push(write(converter, &case.topic, case.schema.as_ref(), &case.value).await);
    }
    let others = others::messages(&registry());
    let question = |case: &Case| {
        let schema = describe::schema(case.schema.as_deref());
        let record = json!({"schema": schema, "value": describe::value(&case.value)});
        json!({"op": "registry_write", "class": CLASS, "config": theirs(case, &registry()), "topic": case.topic, "record": record})
    };
    let reading = |topic: &str, config: Json, bytes: &[u8]| json!({"op": "registry_read", "class": CLASS, "config": config, "topic": topic, "bytes_b64": STANDARD.encode(bytes)});
    let mut questions: Vec<Json> = cases.iter().map(question).collect();
    for (case, bytes) in cases.iter().zip(&written) {
        let bytes = bytes.as_ref().ok().and_then(Option::as_deref);
        questions.extend(bytes.map(|bytes| reading(&case.topic, theirs(case, &registry()), bytes)));
    }
    for message in &others {
        let config = configured(SETTINGS[message.settings], false, &registry());
        questions.push(reading(&message.topic, config, &message.bytes));
    }
    let mut answers = tokio::task::spawn_blocking(|| ask(questions))
        .await
        .unwrap()
        .into_iter();
    let written_by_them: Vec<Json> = answers.by_ref().take(cases.len()).collect();

    for ((case, ours), theirs) in cases.iter().zip(written).zip(written_by_them) {
        let converter = &mut *converters[case.settings];
        let what = What::Case(case);
        let bytes = |base64: &Json| base64.as_str().map(|text| STANDARD.decode(text).unwrap());
        let their_bytes = bytes(&theirs["bytes_b64"]);
        let our_bytes = ours.as_ref().ok().cloned().flatten();
        differences.compare(
            Step::Written,
            what,
            outcome(ours.map(|bytes| json!(bytes.map(|bytes| STANDARD.encode(&bytes[5..]))))),
            match &their_bytes {
                Some(bytes) => json!(STANDARD.encode(&bytes[5..])),
                None => failed(&theirs),
            },
        );
        if let Some(bytes) = our_bytes.as_deref() {
            let ours = outcome(read(converter, &case.topic, bytes).await.map(described));
            let theirs = failed(&answers.next().unwrap());
            differences.compare(Step::ReadOurs, what, ours, theirs);
        }
        if let Some(bytes) = their_bytes.as_deref() {
            let ours = outcome(read(converter, &case.topic, bytes).await.map(described));
            differences.compare(Step::ReadTheirs, what, ours, failed(&theirs));
        }
        if let (Some(ours), Some(theirs), false) = (our_bytes, their_bytes, case.references) {
            let (ours, theirs) = (schema(id_of(&ours), &registry()), schema(id_of(&theirs), &registry()));
            differences.compare(Step::Schema, what, ours, theirs);
        }
    }
    for (message, theirs) in others.iter().zip(answers) {
        let converter = &mut *converters[message.settings];
        let what = What::Message(message);
        let ours = outcome(read(converter, &message.topic, &message.bytes).await.map(described));
        differences.compare(Step::ReadOthers, what, ours, failed(&theirs));
    }
    println!("{} values written, {} messages of others", cases.len(), others.len());
    differences.end();
}

const CLASS: &str = "io.apicurio.registry.utils.converter.AvroConverter";

fn theirs(case: &Case, registry: &str) -> Json {
    configured(SETTINGS[case.settings], case.references, registry)
}

/// What makes Apicurio's converter write Confluent's messages: an id of four bytes, in front of the value and not in a header, and of contents,
/// as the ids of Confluent's API are. Unless asked not to, it registers each named type by itself, and refers to it.
fn configured(settings: &[(&str, &str)], references: bool, registry: &str) -> Json {
    let mut config = json!({
        "apicurio.registry.url": registry.replace("/ccompat/v7", "/registry/v2"),
        "apicurio.registry.as-confluent": "true",
        "apicurio.registry.use-id": "contentId",
        "apicurio.registry.headers.enabled": "false",
        "apicurio.registry.auto-register": "true",
        "apicurio.registry.serializer.dereference-schema": (!references).to_string(),
    });
    for (key, value) in settings {
        config[*key] = json!(value);
    }
    config
}

/// All answers of the oracle, in order. The questions are written from a thread of their own, so that no pipe runs full.
fn ask(questions: Vec<Json>) -> Vec<Json> {
    let oracle = std::env::var("DRAY_TEST_ORACLE").expect("set DRAY_TEST_ORACLE: run `make test`");
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
    let answers: Vec<Json> = output
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    writer.join().unwrap();
    assert!(process.wait().unwrap().success(), "the oracle failed");
    assert_eq!(answers.len(), count, "the oracle did not answer every question");
    answers
}

fn described(data: SchemaAndValue) -> Json {
    json!({"schema": describe::schema(data.schema.as_deref()), "value": describe::value(&data.value)})
}

fn outcome(result: Result<Json>) -> Json {
    result.unwrap_or_else(|error: Error| json!({"error": error.to_string()}))
}

/// The same of an answer.
fn failed(answer: &Json) -> Json {
    match answer.get("error") {
        None => json!({"schema": answer["schema"], "value": answer["value"]}),
        Some(error) => json!({"error": format!("{}: {}", error, answer["message"]), "step": answer["step"]}),
    }
}

/// The schema that the registry has under an id.
fn schema(id: i32, registry: &str) -> Json {
    let mut answer = ureq::get(format!("{registry}/schemas/ids/{id}")).call().unwrap();
    let answer: Json = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
    serde_json::from_str(answer["schema"].as_str().unwrap()).unwrap()
}
