//! The definitions are Kafka Connect's, and so are the texts.

use super::*;
use dray_connect::config::ConfigDef;
use std::collections::BTreeSet;

/// What Connect 4.3.1 prints about its own definitions; `deploy/oracle` says how it was made.
const CONNECT: &str = include_str!("connect.txt");

/// Lines of ours that differ from Connect's, on purpose.
const OURS: &str = "\
bootstrap.servers | LIST | localhost:9092 | HIGH | null | -1 | NONE | bootstrap.servers | null
key.converter | CLASS | (required) | HIGH | null | -1 | NONE | key.converter | A concrete subclass of org.apache.kafka.connect.storage.Converter, A class with a public, no-argument constructor
value.converter | CLASS | (required) | HIGH | null | -1 | NONE | value.converter | A concrete subclass of org.apache.kafka.connect.storage.Converter, A class with a public, no-argument constructor
header.converter | CLASS | org.apache.kafka.connect.storage.SimpleHeaderConverter | LOW | null | -1 | NONE | header.converter | A concrete subclass of org.apache.kafka.connect.storage.HeaderConverter, A class with a public, no-argument constructor
offset.flush.interval.ms | LONG | 1000 | LOW | null | -1 | NONE | offset.flush.interval.ms | [1,...]
listeners | LIST | http://:8083 | LOW | null | -1 | NONE | listeners | null
response.http.headers.config | STRING |  | LOW | null | -1 | NONE | response.http.headers.config | null
offset.storage.file.filename | STRING | null | HIGH | null | -1 | NONE | offset.storage.file.filename | null
offset.storage.topic | STRING | null | HIGH | null | -1 | NONE | offset.storage.topic | null
offset.storage.partitions | INT | 25 | LOW | null | -1 | NONE | offset.storage.partitions | Positive number, or -1 to use the broker's default
offset.storage.replication.factor | SHORT | 3 | LOW | null | -1 | NONE | offset.storage.replication.factor | Positive number not larger than the number of brokers in the Kafka cluster, or -1 to use the broker's default";

fn shown(definition: &ConfigDef) -> Vec<String> {
    let line = |key: &ConfigKey| {
        let default = match key.get_default() {
            None => "(required)".to_owned(),
            Some(default) => default.render().unwrap_or_else(|| "null".to_owned()),
        };
        [
            key.name(),
            key.type_().name(),
            &default,
            key.get_importance().name(),
            key.get_group().unwrap_or("null"),
            &key.get_order().to_string(),
            key.get_width().name(),
            key.get_display_name(),
            &key.get_validator().map_or("null".to_owned(), Validator::describe),
        ]
        .join(" | ")
    };
    definition.keys().map(line).collect()
}

fn connects(title: &str) -> Vec<String> {
    let lines = CONNECT.lines().skip_while(|line| *line != format!("# {title}")).skip(1);
    lines
        .take_while(|line| !line.starts_with("# "))
        .map(str::to_owned)
        .collect()
}

/// Without the keys that are ours alone.
fn shown_of_connect(definition: &ConfigDef) -> Vec<String> {
    let all = shown(definition).into_iter();
    all.filter(|line| !line.starts_with("dray.")).collect()
}

#[test]
fn connector_keys_are_connects_in_its_order() {
    assert_eq!(
        shown_of_connect(connector_config::source_definition()),
        connects("source")
    );
    assert_eq!(shown_of_connect(connector_config::sink_definition()), connects("sink"));
}

#[test]
fn worker_keys_are_connects_but_for_those_listed() {
    let name = |line: &str| line.split(" | ").next().unwrap_or_default().to_owned();
    let ours: BTreeSet<String> = OURS.lines().map(str::to_owned).collect();
    let own_names: BTreeSet<String> = OURS.lines().map(name).collect();
    let mut expected = ours.clone();
    expected.extend(
        connects("worker")
            .into_iter()
            .filter(|line| !own_names.contains(&name(line))),
    );
    assert_eq!(
        shown_of_connect(worker_config::definition())
            .into_iter()
            .collect::<BTreeSet<_>>(),
        expected
    );
    for line in &ours {
        assert!(!connects("worker").contains(line), "does not differ: {line}");
    }
}

#[test]
fn every_key_says_what_it_is_for() {
    for definition in [
        connector_config::source_definition(),
        connector_config::sink_definition(),
        worker_config::definition(),
    ] {
        definition.check().unwrap();
        for key in definition.keys() {
            assert!(key.get_doc().ends_with('.'), "{}: {}", key.name(), key.get_doc());
        }
    }
}

fn map(fixed: &[(&str, &str)], pairs: &[(&str, &str)]) -> ConfigMap {
    let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    fixed.iter().chain(pairs).copied().map(own).collect()
}

fn source(pairs: &[(&str, &str)]) -> Result<SourceConfig, String> {
    let config = map(&[("name", "c"), ("connector.class", "C")], pairs);
    SourceConfig::parse(&config, true).map_err(|error| error.to_string())
}

fn sink(pairs: &[(&str, &str)]) -> Result<SinkConfig, String> {
    let config = map(&[("name", "c"), ("connector.class", "C")], pairs);
    SinkConfig::parse(&config).map_err(|error| error.to_string())
}

fn worker(pairs: &[(&str, &str)]) -> Result<WorkerConfig, String> {
    let config = map(
        &[
            ("key.converter", "StringConverter"),
            ("value.converter", "JsonConverter"),
        ],
        pairs,
    );
    WorkerConfig::parse(&config).map_err(|error| error.to_string())
}

/// The texts were taken from Connect 4.3.1.
#[test]
fn what_is_wrong_is_said_in_connects_words() {
    let table: [(&[(&str, &str)], &str); 9] = [
        (
            &[("tasks.max", "0")],
            "Invalid value 0 for configuration tasks.max: Value must be at least 1",
        ),
        (
            &[("tasks.max", "abc")],
            "Invalid value abc for configuration tasks.max: Not a number of type INT",
        ),
        (
            &[("name", "a\nb")],
            "Invalid value a\nb for configuration name: String may not contain control sequences but had the following ASCII chars: 10",
        ),
        (
            &[("errors.tolerance", "some")],
            "Invalid value some for configuration errors.tolerance: String must be one of: none, all",
        ),
        (
            &[("transforms", "a,a")],
            "Invalid value [a, a] for configuration transforms: Duplicate alias provided.",
        ),
        (
            &[("transaction.boundary.interval.ms", "-1")],
            "Invalid value -1 for configuration transaction.boundary.interval.ms: Value must be at least 0",
        ),
        (
            &[("transaction.boundary", "y")],
            "Invalid value y for configuration transaction.boundary: String must be one of (case insensitive): INTERVAL, POLL, CONNECTOR",
        ),
        (
            &[("key.converter", "Nope")],
            "Invalid value Nope for configuration key.converter: Class Nope could not be found.",
        ),
        (
            &[("value.converter", "SimpleHeaderConverter")],
            "Class class org.apache.kafka.connect.storage.SimpleHeaderConverter does not implement the Converter interface",
        ),
    ];
    for (pairs, expected) in table {
        assert_eq!(source(pairs).unwrap_err(), expected);
    }
    let unnamed = SourceConfig::parse(&map(&[("connector.class", "C")], &[]), true).unwrap_err();
    assert_eq!(
        unnamed.to_string(),
        "Missing required configuration \"name\" which has no default value."
    );
    let table: [(&[(&str, &str)], &str); 3] = [
        (
            &[("offset.flush.interval.ms", "0")],
            "Invalid value 0 for configuration offset.flush.interval.ms: Value must be at least 1",
        ),
        (
            &[("task.shutdown.graceful.timeout.ms", "5s")],
            "Invalid value 5s for configuration task.shutdown.graceful.timeout.ms: Not a number of type LONG",
        ),
        (
            &[("value.converter", "Thrift")],
            "Invalid value Thrift for configuration value.converter: Class Thrift could not be found.",
        ),
    ];
    for (pairs, expected) in table {
        assert_eq!(worker(pairs).unwrap_err(), expected);
    }
}

/// The texts were taken from Connect 4.3.1.
#[test]
fn topics_and_the_dead_letter_queue_may_not_contradict_each_other() {
    let letters = "errors.deadletterqueue.topic.name";
    let table: [(&[(&str, &str)], &str); 5] = [
        (
            &[],
            "Invalid value null for configuration topics: Must configure one of topics or topics.regex",
        ),
        (
            &[("topics", "a"), ("topics.regex", "b")],
            "Invalid value a for configuration topics: topics and topics.regex are mutually exclusive options, but both are set.",
        ),
        (
            &[("topics", "b, a"), (letters, "a")],
            "Invalid value b, a for configuration topics: The DLQ topic 'a' may not be included in the list of topics ('topics=[b, a]') consumed by the connector",
        ),
        (
            &[("topics.regex", "a.*"), (letters, "abc")],
            "Invalid value a.* for configuration topics.regex: The DLQ topic 'abc' may not be matched by the regex for the topics ('topics.regex=a.*') consumed by the connector",
        ),
        (
            &[
                ("topics", "a"),
                ("errors.deadletterqueue.topic.replication.factor", "70000"),
            ],
            "Invalid value 70000 for configuration errors.deadletterqueue.topic.replication.factor: Not a number of type SHORT",
        ),
    ];
    for (pairs, expected) in table {
        assert_eq!(sink(pairs).unwrap_err(), expected);
    }
    sink(&[("topics.regex", "a"), (letters, "abc")]).expect("a pattern matches whole names");
    let config = sink(&[("topics", "b, a,,b"), (letters, "letters")]).unwrap();
    assert!(
        matches!(&config.topics, Topics::List(list) if *list == ["b", "a"]),
        "{:?}",
        config.topics
    );
    let expected = DeadLetterConfig {
        topic: "letters".to_owned(),
        replication_factor: 3,
        context_headers: false,
        bisect: true,
    };
    assert_eq!(config.dead_letters, Some(expected));
}

#[test]
fn a_connectors_converter_has_only_its_own_keys() {
    let config = source(&[("value.converter", "Json"), ("value.converter.schemas.enable", "false")]).unwrap();
    let own = PluginConfig {
        class: "org.apache.kafka.connect.json.JsonConverter".to_owned(),
        settings: map(&[("schemas.enable", "false")], &[]),
    };
    assert_eq!(
        (config.connector.value_converter, config.connector.key_converter),
        (Some(own), None)
    );
}

#[test]
fn a_worker_commits_every_second_unless_it_says_otherwise() {
    let interval = |pairs: &[(&str, &str)]| worker(pairs).unwrap().flush_interval.as_millis();
    assert_eq!(interval(&[]), 1_000);
    assert_eq!(interval(&[("offset.flush.interval.ms", "60000")]), 60_000);
}

#[test]
fn groups_of_topics_inherit_from_the_default() {
    let default = [
        ("topic.creation.default.partitions", "3"),
        ("topic.creation.default.replication.factor", "-1"),
        ("topic.creation.groups", "logs"),
    ];
    let with = |more: &[(&'static str, &'static str)]| source(&[&default, more].concat());
    let groups = with(&[
        ("topic.creation.logs.include", "log-.*,l"),
        ("topic.creation.logs.exclude", "log-x"),
        ("topic.creation.logs.partitions", "1"),
        ("topic.creation.logs.cleanup.policy", "compact"),
    ])
    .unwrap()
    .topic_groups;
    let [logs, rest] = groups.as_slice() else {
        panic!("{groups:?}")
    };
    assert_eq!((logs.partitions, logs.replication_factor, rest.partitions), (1, -1, 3));
    assert_eq!(logs.configs, map(&[("cleanup.policy", "compact")], &[]));
    for (name, included, excluded) in [
        ("log-a", true, false),
        ("log-x", true, true),
        ("l", true, false),
        ("xl", false, false),
    ] {
        assert_eq!(logs.include.matches(name).unwrap(), included, "{name}");
        assert_eq!(logs.exclude.matches(name).unwrap(), excluded, "{name}");
        assert!(
            rest.include.matches(name).unwrap() && !rest.exclude.matches(name).unwrap(),
            "{name}"
        );
    }
    assert!(source(&[]).unwrap().topic_groups.is_empty(), "nobody asks for creation");
    for (key, value, expected) in [
        (
            "topic.creation.logs.partitions",
            "0",
            "Invalid value 0 for configuration partitions: Number of partitions must be positive, or -1 to use the broker's default",
        ),
        (
            "topic.creation.default.partitions",
            "x",
            "Invalid value x for configuration topic.creation.default.partitions: Not a number of type INT",
        ),
    ] {
        assert_eq!(with(&[(key, value)]).unwrap_err(), expected);
    }
    let text = with(&[("topic.creation.logs.include", "[")]).unwrap_err();
    assert!(
        text.starts_with("Invalid value [[] for configuration include: Syntax error in regular expression: "),
        "{text}"
    );
    assert_eq!(
        source(&[("topic.creation.default.partitions", "3")]).unwrap_err(),
        "Missing required configuration \"topic.creation.default.replication.factor\" which has no default value."
    );
}

#[test]
fn what_becomes_of_large_records_needs_what_it_needs() {
    let text = "org.apache.kafka.connect.storage.StringConverter";
    let json = "org.apache.kafka.connect.json.JsonConverter";
    let letters = ("dray.errors.deadletterqueue.topic.name", "letters");
    for (pairs, converter, problem) in [
        (&[("dray.errors.oversize", "truncate")][..], text, None),
        (
            &[("dray.errors.oversize", "truncate")],
            json,
            Some("only what StringConverter"),
        ),
        (
            &[("dray.errors.oversize", "dead-letter")],
            text,
            Some("dray.errors.deadletterqueue.topic.name"),
        ),
        (&[("dray.errors.oversize", "dead-letter"), letters], json, None),
        (&[("dray.errors.oversize", "fail")], json, None),
        (&[], json, None),
    ] {
        let conflict = source_config::conflict(&map(&[], pairs), converter);
        let found = conflict.map(|conflict| (conflict.key, conflict.problem));
        match problem {
            None => assert_eq!(found, None, "{pairs:?}"),
            Some(problem) => {
                let (key, text) = found.unwrap();
                assert!(key == "dray.errors.oversize" && text.starts_with(problem), "{text}");
            }
        }
    }
}
