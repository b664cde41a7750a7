//! Questions about Debezium's transformations: change events of many shapes, and configurations for them.

mod configs;
mod events;

use serde_json::{Map, Value as Json, json};

use super::corpus::{Case, case, placed};
use super::random::Random;
use configs::SUBJECTS;

/// A transformation, its class below `io.debezium.transforms.`, tables of configurations and one drawn at random.
struct Subject {
    name: &'static str,
    class: &'static str,
    edges: &'static [&'static [(&'static str, &'static str)]],
    draw: fn(&mut Random) -> Vec<(&'static str, String)>,
    event: fn(&mut Random) -> Event,
}

/// The names that cases are about.
pub(crate) const NAMES: &[&str] = &[
    "ExtractNewRecordState",
    "ByLogicalTableRouter",
    "ToLogicalTopicRouter",
    "TimezoneConverter",
    "EventRouter",
];

/// Records for each edge of a configuration, and random cases for each transformation.
const EDGE: usize = 25;
const RANDOM: usize = 1200;

/// A record's key, value and headers.
struct Event {
    key: Json,
    value: Json,
    headers: Json,
}

/// All cases, from one seed.
pub(crate) fn cases() -> Vec<Case> {
    let mut random = Random::new(370);
    let mut cases = Vec::new();
    for subject in SUBJECTS {
        let mut ask = |random: &mut Random, own: &[(&str, String)]| {
            let Event { key, value, headers } = (subject.event)(random);
            let mut record = placed(random, key, value);
            record["headers"] = headers;
            let mut config = Map::new();
            config.insert("transforms".to_owned(), json!("one"));
            let class = format!("io.debezium.transforms.{}", subject.class);
            config.insert("transforms.one.type".to_owned(), json!(class));
            for (key, value) in own {
                config.insert(format!("transforms.one.{key}"), json!(value));
            }
            cases.push(case(subject.name, config, record));
        };
        for edge in subject.edges {
            let own: Vec<(&str, String)> = edge.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
            for _ in 0..EDGE {
                ask(&mut random, &own);
            }
        }
        for _ in 0..RANDOM {
            let own = (subject.draw)(&mut random);
            ask(&mut random, &own);
        }
    }
    cases
}
