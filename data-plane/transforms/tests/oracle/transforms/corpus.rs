//! The corpus: what both sides are asked. Every edge of every configuration with every shape of a key and value, then random
//! records with random chains, from one seed.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::configs::{Config, HEADERS, PREDICATES, SUBJECTS, Subject};
use super::data::{self, drawn, names_in, null, scalars, schemaless, shapes, tagged, text};
use super::debezium;
use super::random::Random;
use crate::ask::ask;

/// One question, and the transformation that it is about; `chain` where there are several.
pub(crate) struct Case {
    pub(crate) about: &'static str,
    pub(crate) question: Json,
}

/// Random cases for each transformation, and of chains.
const RANDOM: usize = 330;
const CHAINS: usize = 1500;

pub(crate) fn corpus() -> Vec<Case> {
    let mut random = Random::new(431);
    let mut cases = Vec::new();
    let refused = refused(&mut random);
    for (subject, refused) in SUBJECTS.iter().zip(&refused) {
        edges(&mut random, subject, refused, &mut cases);
        classes(subject, &mut cases);
        for _ in 0..RANDOM {
            let record = record(&mut random);
            let mut config = Map::new();
            stage(&mut random, &mut config, subject, "one", &record);
            list_predicates(&mut config);
            config.insert("transforms".to_owned(), json!("one"));
            cases.push(case(subject.name, config, record));
        }
    }
    predicates(&mut random, &mut cases);
    chains(&mut random, &mut cases);
    cases.extend(debezium::cases());
    cases
}

pub(crate) fn case(about: &'static str, config: Map<String, Json>, mut record: Json) -> Case {
    let kind = if record["offset"].is_null() { "source" } else { "sink" };
    if kind == "source" {
        record.as_object_mut().unwrap().remove("offset");
    }
    let question = json!({"op": "transform", "kind": kind, "config": config, "record": record});
    Case { about, question }
}

fn class(subject: &Subject, key: bool) -> String {
    let side = match (subject.sided, key) {
        (false, _) => "",
        (true, true) => "$Key",
        (true, false) => "$Value",
    };
    format!("org.apache.kafka.connect.transforms.{}{side}", subject.name)
}

/// A record with that key or value and something simple on the other side.
fn record_of(random: &mut Random, data: Json, key: bool) -> Json {
    let other = schemaless(data::map_value([("id", tagged("INT32", "3"))]));
    let (key, value) = if key { (data, other) } else { (other, data) };
    placed(random, key, value)
}

/// A record of a topic: every second one is a sink's.
pub(crate) fn placed(random: &mut Random, key: Json, value: Json) -> Json {
    const TOPICS: &[&str] = &["orders", "orders-2024", "a.b.c", "Zoë.topic", "x", "ORDERS"];
    const TIMESTAMPS: &[i64] = &[
        0,
        1_709_210_096_789,
        -1,
        253_402_300_800_000,
        -62_135_596_800_001,
        1_704_067_199_999,
    ];
    let sink = random.chance(50);
    let partition = (sink || random.chance(50)).then(|| [0, 1, 7, i32::MAX][random.below(4)]);
    let timestamp = random.chance(80).then(|| TIMESTAMPS[random.below(TIMESTAMPS.len())]);
    json!({
        "topic": random.pick(TOPICS),
        "partition": partition,
        "offset": sink.then(|| [0, 5, i64::MAX][random.below(3)]),
        "timestamp": timestamp,
        "key": key,
        "value": value,
        "headers": data::headers(random),
    })
}

fn record(random: &mut Random) -> Json {
    let (key, value) = (drawn(random), drawn(random));
    placed(random, key, value)
}

/// Whether Connect refuses an edge of a configuration, for each of each subject: it never comes to records then.
fn refused(random: &mut Random) -> Vec<Vec<bool>> {
    let record = record_of(random, schemaless(null()), false);
    let edges = SUBJECTS
        .iter()
        .flat_map(|subject| subject.edges.iter().map(move |edge| (subject, edge)));
    let asked =
        edges.map(|(subject, edge)| case(subject.name, edge_config(subject, edge, false), record.clone()).question);
    let mut answers = ask(asked.collect()).into_iter();
    let mut of = |subject: &Subject| {
        answers
            .by_ref()
            .take(subject.edges.len())
            .map(|answer| answer["at"] == "configure")
            .collect()
    };
    SUBJECTS.iter().map(&mut of).collect()
}

/// Each edge of the configuration with each shape, one in four on the key where there is a choice. Of scalars, which most
/// transformations refuse alike, one in four is enough there; and of all shapes a few where the configuration is refused or
/// the value plays no part.
fn edges(random: &mut Random, subject: &Subject, refused: &[bool], cases: &mut Vec<Case>) {
    let takes_scalars = ["Cast", "HoistField", "TimestampConverter"].contains(&subject.name);
    let indifferent = !subject.sided && subject.name != "ValueToKey";
    let shapes = shapes().into_iter().map(|shape| (1, shape));
    let scalars = scalars()
        .into_iter()
        .map(|shape| (if takes_scalars { 1 } else { 4 }, shape));
    let shapes: Vec<(usize, Json)> = shapes.chain(scalars).collect();
    for ((number, edge), refused) in subject.edges.iter().enumerate().zip(refused) {
        for (place, (step, shape)) in shapes.iter().enumerate() {
            let step = if *refused {
                25
            } else if indifferent {
                6
            } else {
                *step
            };
            if (place + number) % step != 0 {
                continue;
            }
            let key = subject.sided && (place / step + number) % 4 == 0;
            let record = record_of(random, shape.clone(), key);
            cases.push(case(subject.name, edge_config(subject, edge, key), record));
        }
    }
}

fn edge_config(subject: &Subject, edge: &[(&str, &str)], key: bool) -> Map<String, Json> {
    let mut config = Map::new();
    config.insert("transforms".to_owned(), json!("one"));
    config.insert("transforms.one.type".to_owned(), json!(class(subject, key)));
    for (name, value) in edge {
        config.insert(format!("transforms.one.{name}"), json!(value));
    }
    config
}

/// Ways to name the class, the aliases and the predicate.
fn classes(subject: &Subject, cases: &mut Vec<Case>) {
    let full = class(subject, false);
    let simple = full.rsplit('.').next().unwrap().to_owned();
    let edge = subject.edges.last().unwrap();
    let is_tombstone = ("predicates.p.type", "RecordIsTombstone");
    let variants: &[&[(&str, &str)]] = &[
        &[("transforms", " one ")],
        &[("transforms", "")],
        &[("transforms.one.predicate", "p")],
        &[("transforms.one.predicate", "p"), ("predicates", "q"), is_tombstone],
        &[("transforms.one.predicate", "p"), ("predicates", "p")],
        &[
            ("transforms.one.predicate", "p"),
            ("predicates", "p"),
            ("predicates.p.type", "Nothing"),
        ],
        &[
            ("transforms.one.predicate", "p"),
            ("predicates", "p"),
            ("predicates.p.type", &full),
        ],
        &[("transforms.one.predicate", " p "), ("predicates", " p "), is_tombstone],
        &[("transforms.one.predicate", ""), ("predicates", "p"), is_tombstone],
        &[
            ("transforms.one.predicate", "p"),
            ("predicates", "p"),
            is_tombstone,
            ("transforms.one.negate", "true"),
        ],
        &[
            ("transforms.one.predicate", "p"),
            ("predicates", "p"),
            is_tombstone,
            ("transforms.one.negate", " TRUE "),
        ],
        &[
            ("transforms.one.predicate", "p"),
            ("predicates", "p"),
            is_tombstone,
            ("transforms.one.negate", "yes"),
        ],
        &[("transforms.one.negate", "true")],
        &[("transforms.one.negate", "maybe")],
        &[("predicates", "p")],
        &[("predicates", "p"), is_tombstone],
        &[("transforms.one.type", "")],
        &[("transforms.one.type", " Filter ")],
        &[("transforms.one.type", "org.apache.kafka.connect.transforms.Nothing")],
        &[(
            "transforms.one.type",
            "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
        )],
        &[("transforms.one.type", full.trim_end_matches("$Value"))],
        &[("transforms.one.type", &simple)],
    ];
    for (number, variant) in variants.iter().enumerate() {
        for value in [schemaless(data::map_value([("id", text("1"))])), schemaless(null())] {
            let mut config = edge_config(subject, edge, false);
            for (name, value) in *variant {
                config.insert((*name).to_owned(), json!(value));
            }
            let mut random = Random::new(number as u64);
            let record = record_of(&mut random, value, false);
            cases.push(case(subject.name, config, record));
        }
    }
}

/// Puts a stage into a configuration, every third one with the predicate `is_<alias>`.
fn stage(random: &mut Random, config: &mut Map<String, Json>, subject: &Subject, alias: &str, record: &Json) {
    let key = subject.sided && random.chance(35);
    let fields = names_in(&record[if key { "key" } else { "value" }]);
    let own: Config = (subject.draw)(random, &fields);
    let mut put = |name: String, value: Json| config.insert(name, value);
    put(format!("transforms.{alias}.type"), json!(class(subject, key)));
    for (name, value) in own {
        put(format!("transforms.{alias}.{name}"), json!(value));
    }
    if random.chance(3) {
        put(format!("transforms.{alias}.unknown.key"), json!("ignored"));
    }
    let always = if subject.name == "Filter" { 85 } else { 30 };
    if !random.chance(always) {
        return;
    }
    let predicate = format!("is_{alias}");
    put(format!("transforms.{alias}.predicate"), json!(predicate));
    if random.chance(50) {
        put(
            format!("transforms.{alias}.negate"),
            json!(random.pick(&["true", "false", "TRUE"])),
        );
    }
    let (class, own) = match random.below(3) {
        0 => ("HasHeaderKey", Some(("name", random.pick(HEADERS)))),
        1 => ("RecordIsTombstone", None),
        _ => (
            "TopicNameMatches",
            Some(("pattern", random.pick(&["orders.*", "[a-z.]+", ".*-\\d+", "Zoë.*|x"]))),
        ),
    };
    put(
        format!("predicates.{predicate}.type"),
        json!(format!("org.apache.kafka.connect.transforms.predicates.{class}")),
    );
    if let Some((name, value)) = own {
        put(format!("predicates.{predicate}.{name}"), json!(value));
    }
}

/// The list of predicates is that of those which stages have.
fn list_predicates(config: &mut Map<String, Json>) {
    let aliases: BTreeSet<&str> = config
        .keys()
        .filter_map(|name| name.strip_prefix("predicates.")?.split('.').next())
        .collect();
    let list = aliases.into_iter().collect::<Vec<_>>().join(",");
    if !list.is_empty() {
        config.insert("predicates".to_owned(), json!(list));
    }
}

/// Each edge of each predicate before a transformation that can be seen.
fn predicates(random: &mut Random, cases: &mut Vec<Case>) {
    for (name, edges) in PREDICATES {
        for edge in *edges {
            for negate in [None, Some("true"), Some("false")] {
                for _ in 0..8 {
                    let record = record(random);
                    let mut config = Map::new();
                    let mut put = |name: &str, value: &str| config.insert(name.to_owned(), json!(value));
                    put("transforms", "one");
                    put("transforms.one.type", "org.apache.kafka.connect.transforms.Filter");
                    put("transforms.one.predicate", "p");
                    put("predicates", "p");
                    put(
                        "predicates.p.type",
                        &format!("org.apache.kafka.connect.transforms.predicates.{name}"),
                    );
                    if let Some(negate) = negate {
                        put("transforms.one.negate", negate);
                    }
                    for (name, value) in *edge {
                        put(&format!("predicates.p.{name}"), value);
                    }
                    cases.push(case(name, config, record));
                }
            }
        }
    }
}

/// Chains of two to four stages.
fn chains(random: &mut Random, cases: &mut Vec<Case>) {
    for _ in 0..CHAINS {
        let record = record(random);
        let mut config = Map::new();
        let aliases = &["one", "two", "three", "four"][..2 + random.below(3)];
        for alias in aliases {
            let subject = &SUBJECTS[random.below(SUBJECTS.len())];
            stage(random, &mut config, subject, alias, &record);
        }
        list_predicates(&mut config);
        config.insert("transforms".to_owned(), json!(aliases.join(",")));
        cases.push(case("chain", config, record));
    }
}
