//! Tests of `config`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::error::{Error, Result};

fn map(entries: &[(&str, &str)]) -> ConfigMap {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn one(kind: ConfigType) -> ConfigDef {
    ConfigDef::new().define(ConfigKey::new("k", kind))
}

fn check_parse(kind: ConfigType, text: &str, expected: Result<ConfigValue, &str>) {
    let parsed = one(kind).parse(&map(&[("k", text)]));
    let found = parsed
        .map(|config| config.get("k").unwrap().clone())
        .map_err(|error| error.to_string());
    assert_eq!(
        found.as_ref().map_err(String::as_str).cloned(),
        expected,
        "{kind} {text:?}"
    );
}

fn check_valid(validator: impl Validator, value: impl Into<ConfigValue>, expected: Result<(), &str>) {
    let found = validator
        .ensure_valid("k", &value.into())
        .map_err(|error| error.to_string());
    assert_eq!(found.as_ref().map_err(String::as_str).copied(), expected);
}

#[test]
fn texts_are_parsed_by_type() {
    let list = |texts: &[&str]| Ok(ConfigValue::List(texts.iter().map(|text| (*text).to_owned()).collect()));
    check_parse(ConfigType::Boolean, " TRUE ", Ok(true.into()));
    check_parse(
        ConfigType::Boolean,
        "yes",
        Err("Invalid value yes for configuration k: Expected value to be either true or false"),
    );
    check_parse(ConfigType::String, "  a b ", Ok("a b".into()));
    check_parse(ConfigType::Int, "+5", Ok(5.into()));
    check_parse(
        ConfigType::Int,
        " abc ",
        Err("Invalid value  abc  for configuration k: Not a number of type INT"),
    );
    check_parse(
        ConfigType::Int,
        "2147483648",
        Err("Invalid value 2147483648 for configuration k: Not a number of type INT"),
    );
    check_parse(
        ConfigType::Short,
        "1_0",
        Err("Invalid value 1_0 for configuration k: Not a number of type SHORT"),
    );
    check_parse(ConfigType::Long, "-1", Ok((-1_i64).into()));
    check_parse(ConfigType::Double, "1e3", Ok(1000.0.into()));
    check_parse(ConfigType::Double, "-2.5f", Ok((-2.5).into()));
    check_parse(
        ConfigType::Double,
        "inf",
        Err("Invalid value inf for configuration k: Not a number of type DOUBLE"),
    );
    check_parse(ConfigType::List, "", list(&[]));
    check_parse(ConfigType::List, " a , b,,c, ", list(&["a", "b", "", "c", ""]));
    check_parse(
        ConfigType::Class,
        " org.Foo ",
        Ok(ConfigValue::Class("org.Foo".to_owned())),
    );
}

#[test]
fn passwords_are_not_shown() {
    let config = one(ConfigType::Password).parse(&map(&[("k", "secret")])).unwrap();
    assert_eq!(config.password("k").unwrap().reveal(), "secret");
    assert_eq!(format!("{:?}", config.get("k").unwrap()), "Password([hidden])");
    assert_eq!(config.get("k").unwrap().render().as_deref(), Some("[hidden]"));
}

#[test]
fn strict_parsing_fails_at_the_first_problem() {
    let error = one(ConfigType::Int).parse(&ConfigMap::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Missing required configuration \"k\" which has no default value."
    );
    assert_eq!(error.java_class(), "org.apache.kafka.common.config.ConfigException");
}

#[test]
fn defaults_and_unknown_keys() {
    let def = ConfigDef::new()
        .define(ConfigKey::new("list", ConfigType::List).default_value("a, b"))
        .define(ConfigKey::new("long", ConfigType::Long).default_value(5))
        .define(ConfigKey::new("maybe", ConfigType::Int).default_null());
    let config = def.parse(&map(&[("transforms.a.type", "x"), ("other", "y")])).unwrap();
    assert_eq!(config.list("list").unwrap(), ["a", "b"]);
    assert_eq!(config.long("long").unwrap(), 5);
    assert_eq!(config.optional_int("maybe"), None);
    assert!(config.int("maybe").is_err());
    assert_eq!(
        config.int("nope").unwrap_err().to_string(),
        "Unknown configuration 'nope'"
    );
    assert_eq!(config.originals_with_prefix("transforms.a."), map(&[("type", "x")]));
}

#[test]
fn a_mistake_in_the_definition_is_reported() {
    let twice = one(ConfigType::Int).define(ConfigKey::new("k", ConfigType::Int));
    assert_eq!(
        twice.parse(&map(&[("k", "1")])).unwrap_err().to_string(),
        "Configuration k is defined twice."
    );
    let wrong = ConfigKey::new("k", ConfigType::Int)
        .default_value(0)
        .validator(Range::at_least(1));
    assert_eq!(
        ConfigDef::new().define(wrong).check().unwrap_err().to_string(),
        "Invalid value 0 for configuration k: Value must be at least 1"
    );
}

#[test]
fn numbers_in_a_range() {
    let range = || Range::between(1, 3);
    check_valid(range(), 1, Ok(()));
    check_valid(range(), 3, Ok(()));
    check_valid(
        range(),
        0,
        Err("Invalid value 0 for configuration k: Value must be at least 1"),
    );
    check_valid(
        range(),
        4_i64,
        Err("Invalid value 4 for configuration k: Value must be no more than 3"),
    );
    check_valid(
        range(),
        ConfigValue::Null,
        Err("Invalid value null for configuration k: Value must be non-null"),
    );
    check_valid(
        Range::between(0.5, 1.0),
        0.25,
        Err("Invalid value 0.25 for configuration k: Value must be at least 0.5"),
    );
    assert_eq!(range().describe(), "[1,...,3]");
    assert_eq!(Range::at_least(0).describe(), "[0,...]");
}

#[test]
fn texts_out_of_a_set() {
    check_valid(ValidString::of(["a", "b"]), "a", Ok(()));
    check_valid(
        ValidString::of(["a", "b"]),
        "A",
        Err("Invalid value A for configuration k: String must be one of: a, b"),
    );
    check_valid(
        ValidString::of(["a"]),
        ConfigValue::Null,
        Err("Invalid value null for configuration k: String must be one of: a"),
    );
    let list = ConfigValue::List(vec!["a".to_owned(), "x".to_owned()]);
    check_valid(
        ValidList::of(["a"]),
        list,
        Err("Invalid value x for configuration k: String must be one of: a"),
    );
    let any = |texts: &[&str], expected| {
        let list = ConfigValue::List(texts.iter().map(|text| (*text).to_owned()).collect());
        check_valid(ValidList::any(), list, expected);
    };
    any(&["a", "b"], Ok(()));
    any(
        &[],
        Err("Configuration 'k' must not be empty. Valid values include: any non-empty value"),
    );
    any(&["a", "a"], Err("Configuration 'k' values must not be duplicated."));
    any(&["a", ""], Err("Configuration 'k' values must not be empty."));
    check_valid(
        ValidList::any(),
        ConfigValue::Null,
        Err("Configuration 'k' values must not be null."),
    );
    check_valid(ValidList::any_or_none(), ConfigValue::List(Vec::new()), Ok(()));
    assert_eq!(ValidList::any().describe(), "");
    let case = || CaseInsensitiveValidString::of(["requested", "required"]);
    check_valid(case(), "REQUIRED", Ok(()));
    // The order is that of a Java HashSet.
    check_valid(
        case(),
        "x",
        Err("Invalid value x for configuration k: String must be one of (case insensitive): REQUIRED, REQUESTED"),
    );
}

#[test]
fn other_validators() {
    check_valid(
        NonNull,
        ConfigValue::Null,
        Err("Invalid value null for configuration k: entry must be non null"),
    );
    check_valid(NonEmptyString, ConfigValue::Null, Ok(()));
    check_valid(
        NonEmptyString,
        "",
        Err("Invalid value  for configuration k: String must be non-empty"),
    );
    check_valid(
        NonEmptyStringWithoutControlChars,
        "",
        Err("Invalid value  for configuration k: String may not be empty"),
    );
    check_valid(
        NonEmptyStringWithoutControlChars,
        "a\n\rb",
        Err(
            "Invalid value a\n\rb for configuration k: String may not contain control sequences but had the following ASCII chars: 10, 13",
        ),
    );
    let list = |texts: &[&str]| ConfigValue::List(texts.iter().map(|text| (*text).to_owned()).collect());
    check_valid(
        ListSize::at_most(1),
        list(&["a", "b"]),
        Err("Invalid value [a, b] for configuration k: exceeds maximum list size of [1]."),
    );
    let unique = || UniqueList::new("Duplicate alias provided.");
    check_valid(unique(), list(&["a", "b"]), Ok(()));
    check_valid(
        unique(),
        list(&["a", "a"]),
        Err("Invalid value [a, a] for configuration k: Duplicate alias provided."),
    );
    check_valid(Regex, "a.*", Ok(()));
    let error = Regex.ensure_valid("k", &"(".into()).unwrap_err().to_string();
    assert!(
        error.starts_with("Invalid value ( for configuration k: Invalid regex: "),
        "{error}"
    );
    let both = Composite::of(vec![Box::new(NonNull), Box::new(NonEmptyString)]);
    assert_eq!(both.describe(), "non-null string, non-empty string");
    check_valid(
        both,
        "",
        Err("Invalid value  for configuration k: String must be non-empty"),
    );
    let lambda = Lambda::new("never", |name, _| Err(Error::config(format!("no {name}"))));
    check_valid(lambda, 1, Err("no k"));
}

#[test]
fn repetition_in_a_list_is_removed_by_parse_and_reported_by_validation() {
    let key = ConfigKey::new("k", ConfigType::List).validator(ValidList::any());
    let def = ConfigDef::new().define(key);
    let parsed = def.parse(&[("k".to_owned(), "b, a,b".to_owned())].into()).unwrap();
    assert_eq!(parsed.list("k"), Some(&["b".to_owned(), "a".to_owned()][..]));
    let duplicated = "Configuration 'k' values must not be duplicated.".to_owned();
    assert_eq!(
        errors_of(&def, &[("k", Some("b, a,b"))]),
        [("k".to_owned(), Some("b,a,b".to_owned()), vec![duplicated])]
    );
    let embedding = ConfigDef::new().embed("x.", "X", 0, &def);
    let error = embedding
        .parse(&[("x.k".to_owned(), "b,b".to_owned())].into())
        .unwrap_err();
    assert_eq!(error.to_string(), "Configuration 'k' values must not be duplicated.");
}

fn errors_of(def: &ConfigDef, config: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>, Vec<String>)> {
    let config = config
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)))
        .collect();
    def.validate_all(&config)
        .into_iter()
        .map(|info| (info.name, info.value, info.errors))
        .collect()
}

#[test]
fn validation_collects_every_error() {
    let def = ConfigDef::new()
        .define(
            ConfigKey::new("tasks.max", ConfigType::Int)
                .default_value(1)
                .validator(Range::at_least(1)),
        )
        .define(ConfigKey::new("topic", ConfigType::String))
        .define(ConfigKey::new("names", ConfigType::List).default_value("a,b"));
    assert_eq!(
        errors_of(&def, &[("tasks.max", Some("abc"))]),
        [
            (
                "tasks.max".to_owned(),
                None,
                vec![
                    "Invalid value abc for configuration tasks.max: Not a number of type INT".to_owned(),
                    "Invalid value null for configuration tasks.max: Value must be non-null".to_owned(),
                ]
            ),
            (
                "topic".to_owned(),
                None,
                vec!["Missing required configuration \"topic\" which has no default value.".to_owned()]
            ),
            ("names".to_owned(), Some("a,b".to_owned()), vec![]),
        ]
    );
    // A key that is present with null is not missing.
    let infos = errors_of(&def, &[("topic", None)]);
    assert_eq!(infos[1], ("topic".to_owned(), None, vec![]));
}

#[test]
fn undefined_dependents_are_reported() {
    let def = ConfigDef::new().define(ConfigKey::new("a", ConfigType::Int).default_value(1).dependents(["b"]));
    let infos = def.validate_all(&BTreeMap::new());
    assert_eq!(infos[1].errors, ["b is referred in the dependents, but not defined."]);
    assert!(!infos[1].visible);
    assert_eq!(
        def.parse(&ConfigMap::new()).unwrap_err().to_string(),
        "Some configurations in are referred in the dependents, but not defined: b"
    );
}

#[derive(Debug)]
struct Modes;

impl Recommender for Modes {
    fn valid_values(&self, _: &str, _: &BTreeMap<String, ConfigValue>) -> Result<Vec<ConfigValue>> {
        Ok(vec!["fast".into(), "slow".into()])
    }

    fn visible(&self, _: &str, parsed: &BTreeMap<String, ConfigValue>) -> bool {
        parsed.get("expert") == Some(&true.into())
    }
}

#[test]
fn recommenders_see_the_other_values() {
    let def = ConfigDef::new()
        .define(
            ConfigKey::new("expert", ConfigType::Boolean)
                .default_value(false)
                .dependents(["mode"]),
        )
        .define(
            ConfigKey::new("mode", ConfigType::String)
                .default_value("fast")
                .recommender(Modes),
        );
    let infos = def.validate_all(&BTreeMap::new());
    assert_eq!(infos[1].recommended_values, ["fast", "slow"]);
    assert!(!infos[1].visible);
    let infos = def.validate_all(&BTreeMap::from([("expert".to_owned(), Some("true".to_owned()))]));
    assert!(infos[1].visible);
}

#[derive(Debug)]
struct OneClass;

impl ClassResolver for OneClass {
    fn resolve(&self, name_or_alias: &str) -> Option<String> {
        ["Foo", "org.Foo"]
            .contains(&name_or_alias)
            .then(|| "org.Foo".to_owned())
    }
}

#[test]
fn classes_are_resolved() {
    let def = one(ConfigType::Class).with_classes(Arc::new(OneClass));
    assert_eq!(def.parse(&map(&[("k", " Foo ")])).unwrap().class("k"), Some("org.Foo"));
    assert_eq!(
        def.parse(&map(&[("k", "Bar")])).unwrap_err().to_string(),
        "Invalid value Bar for configuration k: Class Bar could not be found."
    );
}

#[test]
fn an_embedded_definition_is_sorted_and_renumbered() {
    let own = ConfigDef::new()
        .define(
            ConfigKey::new("z", ConfigType::Int)
                .default_value(1)
                .importance(Importance::High)
                .validator(Range::at_least(1)),
        )
        .define(ConfigKey::new("y", ConfigType::Int).importance(Importance::Low))
        .define(ConfigKey::new("x", ConfigType::Int).group("Inner", 0))
        .define(
            ConfigKey::new("w", ConfigType::Int)
                .default_value(1)
                .importance(Importance::High),
        );
    let def = ConfigDef::new().embed("transforms.a.", "Transforms: a", 1, &own);
    let shown: Vec<_> = def
        .keys()
        .map(|key| (key.name(), key.get_group().unwrap(), key.get_order()))
        .collect();
    assert_eq!(
        shown,
        [
            ("transforms.a.y", "Transforms: a", 1),
            ("transforms.a.w", "Transforms: a", 2),
            ("transforms.a.z", "Transforms: a", 3),
            ("transforms.a.x", "Transforms: a: Inner", 4),
        ]
    );
    assert_eq!(def.key("transforms.a.x").unwrap().get_display_name(), "x");
    // The message leaves the prefix out.
    assert_eq!(
        errors_of(&def, &[("transforms.a.z", Some("0"))])[2].2,
        ["Invalid value 0 for configuration z: Value must be at least 1"]
    );
}

#[test]
fn values_render_as_the_rest_api_shows_them() {
    for (value, expected) in [
        (ConfigValue::Null, None),
        (0.05.into(), Some("0.05")),
        (10.0.into(), Some("10.0")),
        (ConfigValue::List(vec!["a".to_owned(), "b".to_owned()]), Some("a,b")),
        (ConfigValue::Class("org.Foo".to_owned()), Some("org.Foo")),
    ] {
        assert_eq!(value.render().as_deref(), expected);
    }
}
