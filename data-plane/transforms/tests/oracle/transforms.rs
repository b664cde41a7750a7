//! Transforms and predicates: the definitions of their keys, and what chains make of records.
//!
//! What we choose to do differently is named in `transforms/differences.rs` and explained in `transforms/differences.md`.

mod configs;
mod corpus;
mod data;
mod debezium;
#[path = "../../../converters/tests/oracle/describe.rs"]
mod describe;
mod differences;
mod ours;
#[path = "../../../converters/tests/oracle/random.rs"]
#[allow(dead_code, reason = "it belongs to the converters' tests, which use all of it")]
mod random;
mod read;

use std::collections::BTreeMap;

use dray_connect::config::{ConfigDef, ConfigKey, ConfigValue, Validator};
use dray_transforms::config::{enrich, predicate_names, transformation_names};
use serde_json::{Value as Json, json};

use self::corpus::{Case, corpus};
use crate::ask::ask;

/// The corpus must not shrink unnoticed: so many cases in all, and for each transformation so many and so many of them that
/// end in a record.
const AT_LEAST: usize = 5000;
const AT_LEAST_EACH: usize = 400;
const AT_LEAST_RECORDS: usize = 150;

/// How the cases about one transformation ended in Java.
#[derive(Default)]
struct Share {
    cases: usize,
    records: usize,
    dropped: usize,
    errors: usize,
    differ: usize,
}

#[test]
fn agrees_with_kafka_connect() {
    let cases = corpus();
    let questions = cases.iter().map(|case| case.question.clone()).collect();
    let java = std::thread::spawn(|| ask(questions));
    std::panic::set_hook(Box::new(|_| {})); // a panic of ours is an answer, and compared
    let ours = our_answers(&cases);
    drop(std::panic::take_hook());
    let theirs = java.join().unwrap();
    let mut shares: BTreeMap<&str, Share> = BTreeMap::new();
    let mut chosen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut differing = Vec::new();
    for (case, (mut ours, mut theirs)) in cases.iter().zip(ours.into_iter().zip(theirs)) {
        describe::sort(&mut theirs);
        let share = shares.entry(case.about).or_default();
        share.cases += 1;
        share.records += usize::from(theirs.get("record").is_some());
        share.dropped += usize::from(theirs.get("dropped").is_some());
        share.errors += usize::from(theirs.get("error").is_some());
        comparable(&mut ours, &mut theirs);
        if ours == theirs {
            continue;
        }
        match differences::name(case, &ours, &theirs) {
            Some(name) => *chosen.entry(name).or_default() += 1,
            None => {
                share.differ += 1;
                differing.push((case, ours, theirs));
            }
        }
    }
    for (about, share) in &shares {
        let Share {
            cases,
            records,
            dropped,
            errors,
            differ,
        } = share;
        println!(
            "{about:20} {cases:5} cases: {records:4} records, {dropped:4} dropped, {errors:4} errors; {differ:4} differ"
        );
    }
    println!(
        "{} cases, {} differ, chosen differences: {chosen:?}",
        cases.len(),
        differing.len()
    );
    if let Ok(path) = std::env::var("DRAY_TEST_ORACLE_REPORT") {
        let lines: String = differing
            .iter()
            .map(|(case, ours, theirs)| {
                let line = json!({"about": case.about, "question": case.question, "ours": ours, "theirs": theirs});
                format!("{line}\n")
            })
            .collect();
        std::fs::write(path, lines).unwrap();
    }
    assert_shares(cases.len(), &shares);
    let shown: String = differing
        .iter()
        .take(20)
        .map(|(case, ours, theirs)| shown(case, ours, theirs))
        .collect();
    assert!(
        differing.is_empty(),
        "{} of {} cases differ:\n{shown}",
        differing.len(),
        cases.len()
    );
    let expected: BTreeMap<&str, usize> = differences::EXPECTED.iter().copied().collect();
    assert_eq!(
        chosen, expected,
        "chosen differences occur more or less often than before: explain it in differences.md"
    );
}

/// Our answers, worked out by two threads: without optimisation this takes longer than Java does.
fn our_answers(cases: &[Case]) -> Vec<Json> {
    let half = cases.len() / 2;
    let of =
        |numbers: std::ops::Range<usize>| -> Vec<Json> { numbers.map(|number| our_answer(cases, number)).collect() };
    std::thread::scope(|scope| {
        let second = scope.spawn(|| of(half..cases.len()));
        let mut answers = of(0..half);
        answers.extend(second.join().unwrap());
        answers
    })
}

/// The case before is the record in between.
fn our_answer(cases: &[Case], number: usize) -> Json {
    let decoy = &cases[number.checked_sub(1).unwrap_or(cases.len() - 1)].question;
    let mut ours = ours::answer(&cases[number].question, decoy);
    plain(&mut ours);
    describe::sort(&mut ours);
    ours
}

fn assert_shares(cases: usize, shares: &BTreeMap<&str, Share>) {
    assert!(cases >= AT_LEAST, "only {cases} cases");
    let names = configs::SUBJECTS.iter().map(|subject| subject.name);
    for name in names.chain(debezium::NAMES.iter().copied()) {
        let share = &shares[name];
        assert!(share.cases >= AT_LEAST_EACH, "only {} cases about {name}", share.cases);
        let ends = share.records + share.dropped;
        assert!(ends >= AT_LEAST_RECORDS, "only {ends} cases about {name} end well");
    }
}

fn shown(case: &Case, ours: &Json, theirs: &Json) -> String {
    let (config, record) = (&case.question["config"], &case.question["record"]);
    format!(
        "{} {config}\n  record {record}\n  ours   {ours}\n  theirs {theirs}\n",
        case.about
    )
}

/// Our message as the oracle gives Java's: without what a byte array prints, which is its identity there.
fn plain(ours: &mut Json) {
    let Some(text) = ours["message"].as_str() else { return };
    let mut parts = text.split("[B@");
    let mut message = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        message.push_str("[B@");
        message.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    ours["message"] = json!(message);
}

/// Takes out what is not promised.
fn comparable(ours: &mut Json, theirs: &mut Json) {
    // The lists of aliases are the runtime's keys.
    if let Some(invalid) = theirs["invalid"].as_array_mut() {
        invalid.retain(|entry| entry[0].as_str().unwrap().contains('.'));
    }
    // Which class cannot be found is said by validation; who goes on without it gets an error of ours.
    if theirs["at"] == "load" && ours.get("error").is_some() {
        for answer in [&mut *ours, &mut *theirs] {
            *answer = json!({"invalid": answer["invalid"], "at": "load"});
        }
    }
    // While the chain is read, the message names the key.
    if theirs["at"] == "configure" {
        theirs.as_object_mut().unwrap().shift_remove("stage");
    }
}

#[test]
fn keys_are_those_of_kafka_connect() {
    // Of others' classes we have some, and of Confluent's there is nothing to compare with.
    let compared = |name: &String| name.starts_with("org.apache.kafka.") || name.starts_with("io.debezium.");
    let classes: Vec<(&str, String)> = [
        ("transforms", transformation_names()),
        ("predicates", predicate_names()),
    ]
    .into_iter()
    .flat_map(|(list, names)| names.into_iter().filter(compared).map(move |name| (list, name)))
    .collect();
    let configs: Vec<Json> = classes
        .iter()
        .map(|(list, class)| json!({*list: "x", format!("{list}.x.type"): class}))
        .collect();
    let theirs = ask(configs
        .iter()
        .map(|config| json!({"op": "transform", "describe": true, "config": config}))
        .collect());
    let mut differing = Vec::new();
    for (((list, class), config), theirs) in classes.iter().zip(&configs).zip(&theirs) {
        let enriched = enrich(ConfigDef::new(), &ours::config_map(config));
        let ours: Vec<Json> = enriched.keys().map(described).collect();
        let mut expected = theirs["enriched"].as_array().unwrap().clone();
        expected.retain(|key| key["name"].as_str().unwrap().contains('.'));
        // There is one version of each plugin, so we have no such key, and those after it are one place further up.
        expected.retain(|key| !key["name"].as_str().unwrap().ends_with(".plugin.version"));
        for key in &mut expected[1..] {
            key["order"] = json!(key["order"].as_i64().unwrap() - 1);
        }
        // Among the connector's keys Java no longer says what its validators let pass.
        let own = theirs["transformations"]
            .get(class)
            .or(theirs["predicates"].get(class))
            .unwrap();
        for key in own.as_array().unwrap() {
            let name = format!("{list}.x.{}", key["name"].as_str().unwrap());
            let place = expected.iter_mut().find(|key| key["name"] == name).unwrap();
            place["validator"] = key["validator"].clone();
            // Debezium checks its words when a record comes, or by a lambda, which says nothing of itself.
            if class.starts_with("io.debezium.") {
                let ours = ours.iter().find(|key| key["name"] == name).unwrap();
                place["validator"] = ours["validator"].clone();
            }
        }
        if ours != expected {
            let lines = |keys: &[Json]| keys.iter().map(|key| format!("{key}\n")).collect::<String>();
            differing.push(format!("{class}\nours\n{}theirs\n{}", lines(&ours), lines(&expected)));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    for (kind, list) in [("transformations", "transforms"), ("predicates", "predicates")] {
        let mut names: Vec<&str> = theirs[0][kind]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        names.retain(|name| name.starts_with("org.apache.kafka."));
        names.sort_unstable();
        let ours = classes.iter().filter(|(of, _)| *of == list).map(|(_, class)| &**class);
        let ours = ours.filter(|class| class.starts_with("org.apache.kafka."));
        assert_eq!(ours.collect::<Vec<_>>(), names);
    }
}

fn described(key: &ConfigKey) -> Json {
    let default = key.get_default().and_then(ConfigValue::render);
    json!({
        "name": key.name(),
        "type": key.type_().name(),
        "default": default,
        "required": key.is_required(),
        "importance": key.get_importance().name(),
        "validator": key.get_validator().map(Validator::describe),
        "group": key.get_group(),
        "order": key.get_order(),
        "width": key.get_width().name(),
        "display_name": key.get_display_name(),
    })
}
