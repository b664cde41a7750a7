use dray_connect::backing::Backing;
use dray_connect::config::ConfigMap;
use dray_connect::datum::{Datum, Field};
use dray_connect::header::Headers;

use super::*;
use crate::Origin;

fn config(pairs: &[(&str, &str)]) -> ConfigMap {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn input<'r>(backing: &mut Backing, headers: Option<&'r Headers>) -> Input<'r> {
    let (name, age) = (backing.text("name"), backing.text("age"));
    let zoe = backing.text("Zoë");
    let value = backing.map([(name, zoe), (age, Datum::Int64(7))]);
    Input {
        topic: backing.topic(&"t".into()),
        kafka_partition: None,
        timestamp: None,
        key: Field::default(),
        value: Field::schemaless(value),
        headers,
        origin: Origin::Source,
    }
}

/// What comes out as text; none when it was dropped.
fn run(pairs: &[(&str, &str)], headers: Option<&Headers>) -> Option<String> {
    let mut backing = Backing::default();
    let input = input(&mut backing, headers);
    let before = input.value.datum.view(&backing).to_value();
    let mut chain = Chain::read(&config(pairs)).unwrap();
    // A second time as well: caches and the workspace must not show, and what was given must be as it was.
    let mut results = Vec::new();
    for _ in 0..2 {
        let output = chain.apply(input, &mut backing).unwrap();
        results.push(output.map(|output| output.value.datum.view(&backing).to_value().java_to_string()));
        assert_eq!(input.value.datum.view(&backing).to_value(), before);
    }
    assert_eq!(results[0], results[1]);
    results.pop().flatten()
}

#[test]
fn stages_apply_in_the_order_of_their_aliases() {
    let chain = [
        ("transforms", "first, second"),
        ("transforms.first.type", "ReplaceField$Value"),
        ("transforms.first.renames", "name:age2"),
        ("transforms.second.type", "ReplaceField$Value"),
        ("transforms.second.exclude", "age2"),
    ];
    assert_eq!(run(&chain, None).as_deref(), Some("{age=7}"));
}

#[test]
fn a_predicate_chooses_the_records() {
    let mut headers = Headers::default();
    headers.add_string("internal", Some("yes"));
    let chain = |negate| {
        [
            ("transforms", "drop"),
            ("transforms.drop.type", "org.apache.kafka.connect.transforms.Filter"),
            ("transforms.drop.predicate", "internal"),
            ("transforms.drop.negate", negate),
            ("predicates", "internal"),
            ("predicates.internal.type", "HasHeaderKey"),
            ("predicates.internal.name", "internal"),
        ]
    };
    assert_eq!(run(&chain("false"), Some(&headers)), None);
    assert!(run(&chain("false"), None).is_some());
    assert!(run(&chain("TRUE"), Some(&headers)).is_some());
    assert_eq!(run(&chain("true"), None), None);
}

#[test]
fn what_is_wrong_is_said_when_the_chain_is_read() {
    for (pairs, expected) in [
        (
            vec![("transforms", "a")],
            "Missing required configuration \"transforms.a.type\" which has no default value.",
        ),
        (
            vec![("transforms", "a"), ("transforms.a.type", "Nothing")],
            "Invalid value Nothing for configuration transforms.a.type: Class Nothing could not be found.",
        ),
        (
            vec![
                ("transforms", "a"),
                ("transforms.a.type", "Filter"),
                ("transforms.a.predicate", "p"),
            ],
            "a transform names the predicate p, which is not listed in predicates",
        ),
        (
            vec![
                ("transforms", "a"),
                ("transforms.a.type", "ReplaceField$Key"),
                ("transforms.a.predicate", "p"),
                ("transforms.a.renames", "one"),
            ],
            "Invalid value [one] for configuration renames: Invalid rename mapping: one",
        ),
    ] {
        let error = Chain::read(&config(&pairs)).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some(expected));
    }
}
