//! Where settings come from, and what is said about wrong ones.

use super::*;
use serde::Deserialize;
use std::time::Duration;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Config {
    cluster: String,
    #[serde(default)]
    endpoints: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(with = "duration")]
    pause: Duration,
    slots: u32,
    strict: bool,
    log: crate::log::Format,
}

const PROGRAM: Program = Program {
    name: "dray-test",
    about: "For tests",
    version: "1.2.3",
    env: "DRAY_TEST_PROGRAM",
};

const fn setting(name: &'static str, kind: Kind, default: Given) -> Setting {
    Setting {
        name,
        help: "What it is for",
        kind,
        default,
    }
}

const SETTINGS: [Setting; 7] = [
    setting("cluster", Kind::Text, Given::Required),
    setting("endpoints", Kind::List, Given::Optional),
    setting("labels", Kind::Map, Given::Optional),
    setting("pause", Kind::Duration, Given::Default("5s")),
    setting("slots", Kind::Number, Given::Default("100")),
    setting("strict", Kind::Flag, Given::Default("false")),
    setting("log", Kind::Choice(&["text", "json"]), Given::Default("text")),
];

fn read(file: Option<&str>, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Loaded<Config>, Stop> {
    let folder = std::env::temp_dir().join(format!("dray-settings-{:?}", std::thread::current().id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("config.yaml");
    let mut all: Vec<OsString> = vec!["dray-test".into()];
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
        all.extend(["--config".into(), path.clone().into()]);
    }
    all.extend(arguments.iter().map(OsString::from));
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).into(), value.into()))
        .collect();
    let loaded = load_from(&PROGRAM, &SETTINGS, all, environment);
    std::fs::remove_dir_all(&folder).unwrap();
    loaded
}

fn usage(file: Option<&str>, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    match read(file, arguments, environment) {
        Err(Stop::Usage(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file =
        "cluster: from-file\npause: 1m\nslots: 7\nendpoints:\n  - a:1\n  - 2\nlabels:\n  disk: ssd\n  gpu: true\n";
    let loaded = read(
        Some(file),
        &["--slots", "9", "--check-config"],
        &[
            ("DRAY_TEST_PROGRAM_SLOTS", "8"),
            ("DRAY_TEST_PROGRAM_PAUSE", "20ms"),
            ("DRAY_LOG", "debug"),
        ],
    )
    .unwrap();
    let expected = Config {
        cluster: "from-file".into(),
        endpoints: vec!["a:1".into(), "2".into()],
        labels: [("disk".into(), "ssd".into()), ("gpu".into(), "true".into())].into(),
        pause: Duration::from_millis(20),
        slots: 9,
        strict: false,
        log: crate::log::Format::Text,
    };
    assert_eq!((loaded.config, loaded.check_only), (expected, true));
    let loaded = read(
        None,
        &[
            "--cluster=c",
            "--endpoints",
            "a, b",
            "--labels",
            "x=1,y=a=b",
            "--strict",
            "true",
            "--log",
            "json",
        ],
        &[],
    )
    .unwrap();
    assert_eq!(loaded.config.endpoints, ["a", "b"]);
    assert_eq!(loaded.config.labels["y"], "a=b");
    assert!(loaded.config.strict && !loaded.check_only);
}

#[test]
fn wrong_names_are_told_with_the_right_one() {
    assert!(
        usage(Some("endpoint: [a]"), &["--cluster=c"], &[])
            .ends_with("`endpoint` is not a setting of dray-test; did you mean endpoints?")
    );
    assert_eq!(
        usage(None, &["--cluster=c"], &[("DRAY_TEST_PROGRAM_LABEL", "a=b")]),
        "environment: DRAY_TEST_PROGRAM_LABEL is not a setting; did you mean DRAY_TEST_PROGRAM_LABELS?"
    );
    let flag = usage(None, &["--cluser=c"], &[]);
    assert!(flag.contains("--cluser") && flag.contains("'--cluster'"), "{flag}");
    assert!(usage(Some("zzz: 1"), &[], &[]).ends_with("--help lists all"));
}

#[test]
fn wrong_values_are_told_with_what_is_right() {
    for (arguments, expected) in [
        (
            ["--pause", "5"],
            "--pause \"5\" is not a time such as 500ms, 5s, 10m or 1h",
        ),
        (["--slots", "-"], "--slots \"-\" is not a whole number from 0"),
        (["--log", "xml"], "--log \"xml\" is not one of text, json"),
        (["--cluster", " "], "--cluster \" \" is not a text that is not empty"),
        (
            ["--labels", "a"],
            "--labels \"a\" is not keys with texts (key=value,key=value)",
        ),
    ] {
        assert_eq!(usage(None, &arguments, &[]), expected);
    }
    assert!(usage(Some("cluster: c\nslots: many"), &[], &[]).ends_with("`slots: many` is not a whole number from 0"));
    assert!(usage(Some("cluster: [c]"), &[], &[]).contains("`cluster: [\"c\"]` is not a text"));
    assert!(
        usage(Some("cluster: c\ncluster: d"), &[], &[]).contains("duplicate"),
        "a key twice"
    );
    assert!(usage(Some("- a"), &[], &[]).contains("config.yaml"));
    assert!(usage(None, &["--config", "/no/such/file"], &[]).starts_with("/no/such/file: No such file"));
}

#[test]
fn what_is_missing_is_told() {
    assert_eq!(
        usage(Some("# nothing yet\n"), &[], &[]),
        "not set: `cluster` (--cluster, DRAY_TEST_PROGRAM_CLUSTER); give it in the file of --config, in the environment or as a flag"
    );
}

#[test]
fn the_help_has_everything() {
    let Err(Stop::Said(help)) = read(None, &["--help"], &[]) else {
        panic!("no help")
    };
    for setting in &SETTINGS {
        assert!(
            help.contains(&format!("--{}", setting.name)) && help.contains(&setting.variable(&PROGRAM)),
            "{help}"
        );
    }
    assert!(
        help.contains("--config") && help.contains("--check-config") && help.contains("[default: 5s]"),
        "{help}"
    );
    assert_eq!(
        read(None, &["--version"], &[]).unwrap_err(),
        Stop::Said("dray-test 1.2.3\n".into())
    );
}
