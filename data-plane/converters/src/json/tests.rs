//! The short cut of `expected` against the long way: what it takes it reads alike, and what is unusual it leaves alone.

use dray_connect::ConfigMap;
use dray_connect::backing::Backing;
use dray_connect::value::SchemaAndValue;

use super::out::Out;
use super::{JsonConverter, expected_envelope};
use crate::{Input, to_connect_owned};

const FIELDS: &str = concat!(
    r#"{"type":"int64","optional":false,"field":"id"},"#,
    r#"{"type":"string","optional":true,"field":"größe"},"#,
    r#"{"type":"double","optional":false,"field":"price"},"#,
    r#"{"type":"boolean","optional":false,"field":"ok"},"#,
    r#"{"type":"int8","optional":false,"default":7,"field":"n"},"#,
    r#"{"type":"int64","optional":false,"name":"org.apache.kafka.connect.data.Timestamp","version":1,"field":"at"},"#,
    r#"{"type":"int32","optional":true,"name":"org.apache.kafka.connect.data.Date","version":1,"field":"on"},"#,
    r#"{"type":"struct","fields":[{"type":"float","optional":true,"field":"f"}],"optional":true,"field":"in"}"#,
);

fn message(payload: &str) -> String {
    format!(r#"{{"schema":{{"type":"struct","fields":[{FIELDS}],"optional":false,"name":"R"}},"payload":{payload}}}"#)
}

/// A payload with one of its values replaced.
fn payload(name: &str, value: &str) -> String {
    let values = [
        ("id", "-5"),
        ("größe", r#""a\n\u00fc""#),
        ("price", "1.50"),
        ("ok", "true"),
        ("n", "300"),
        ("at", "1700000000000"),
        ("on", "12"),
        ("in", r#"{"f":1e3}"#),
    ];
    let members: Vec<String> = values
        .iter()
        .map(|(found, usual)| format!("{found:?}:{}", if *found == name { value } else { usual }))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn read(converter: &mut JsonConverter, text: &str) -> Result<SchemaAndValue, String> {
    read_into(&mut Backing::default(), converter, text)
}

fn read_into(batch: &mut Backing, converter: &mut JsonConverter, text: &str) -> Result<SchemaAndValue, String> {
    to_connect_owned(converter, "t", Some(text.as_bytes()), batch).map_err(|error| error.to_string())
}

fn is_taken(converter: &JsonConverter, text: &str) -> bool {
    let mut batch = Backing::default();
    let span = Some(batch.adopt(text.as_bytes().to_vec().into()));
    let mut out = Out {
        batch: &mut batch,
        span,
        stack: &mut Vec::new(),
        levels: 0,
    };
    let last = converter.last_parsed.as_ref().unwrap();
    expected_envelope(last, text.as_bytes(), &mut out).is_some()
}

#[test]
fn the_short_cut_reads_what_the_long_way_reads() {
    let usual = payload("", "");
    let after = |text: &str| message(&usual).replace("\"payload\":", text);
    for (text, taken) in [
        (message(&usual), true),
        (format!("{} and more", message(&usual)), true),
        (message(&payload("größe", "null")), true),
        (message(&payload("in", "null")), true),
        (message(&payload("in", r#"{"f":null}"#)), true),
        (message(&payload("id", "-0012")), true),
        (message(&payload("on", "00000000000012")), true),
        (message(&payload("id", "123456789012345678901234567890")), true),
        (message(&payload("id", "1e2")), true),
        (message(&payload("price", "1")), true),
        (message(&payload("price", "-0.0")), true),
        // From here on something is unusual, wrong, or not as the fields stand.
        (message(&payload("n", "null")), false),
        (message(&payload("id", "null")), false),
        (message(&payload("id", "\"5\"")), false),
        (message(&payload("id", "01x")), false),
        (message(&payload("id", "1,\"id\":2")), false),
        (message(&payload("id", "1,\"more\":2")), false),
        (message(&payload("id", " 1")), false),
        (message(&payload("ok", "truex")), false),
        (message(&payload("größe", "\"\u{1}\"")), false),
        (message(&payload("größe", "5")), false),
        (message(&payload("at", "1.5")), false),
        (message(&payload("on", "3000000000")), false),
        (message(&payload("in", "{}")), false),
        (message(&payload("in", r#"{"f":1,"g":2}"#)), false),
        (message(&payload("in", "[1]")), false),
        (message(&usual.replacen("\"id\":-5,", "", 1)), false),
        (message("{}"), false),
        (message("null"), false),
        (
            message(&usual).replace("\"größe\":\"a", "\"gr\\u00f6\\u00dfe\":\"a"),
            false,
        ),
        (after("\"payload\" :"), false),
        (after("\"x\":1,\"payload\":"), false),
        (after("\"schema\":null,\"payload\":"), false),
        (message(&format!("{usual},\"payload\":{usual}")), false),
        (message(&format!("{usual},\"more\":1")), false),
        (message(&usual[..usual.len() - 1]), false),
    ] {
        let expected = read(&mut JsonConverter::new(&ConfigMap::new()).unwrap(), &text);
        let mut converter = JsonConverter::new(&ConfigMap::new()).unwrap();
        read(&mut converter, &message(&usual)).unwrap();
        assert_eq!(is_taken(&converter, &text), taken, "{text}");
        assert_eq!(read(&mut converter, &text), expected, "{text}");
    }
}

#[test]
fn names_that_json_escapes_are_left_to_the_parser() {
    for (name, plain) in [("a", true), ("a b", true), ("a\\\"", false), ("a\\\\", false)] {
        let text = format!(
            r#"{{"schema":{{"type":"struct","fields":[{{"type":"int8","field":"{name}"}}]}},"payload":{{"{name}":1}}}}"#
        );
        let mut converter = JsonConverter::new(&ConfigMap::new()).unwrap();
        let first = read(&mut converter, &text).unwrap();
        assert_eq!(is_taken(&converter, &text), plain);
        assert_eq!(read(&mut converter, &text), Ok(first));
        // The name without its escapes is no JSON.
        let broken = text.replace(
            &format!("{{\"{name}\":1}}"),
            &format!("{{\"{}\":1}}", name.replacen('\\', "", 1)),
        );
        assert_eq!(read(&mut converter, &broken).is_ok(), plain, "{broken}");
    }
}

#[test]
fn texts_stay_where_they_are() {
    let mut converter = JsonConverter::new(&ConfigMap::new()).unwrap();
    let mut batch = Backing::default();
    // The first goes the long way, the second the short one.
    for _ in 0..2 {
        let text = message(&payload("größe", "\"plain\""));
        let span = batch.adopt(text.clone().into_bytes().into());
        let input = Input {
            bytes: text.as_bytes(),
            span,
        };
        let before = batch.size();
        let field = crate::Converter::to_connect(&mut converter, "t", Some(input), &mut batch).unwrap();
        let record = field.view(&batch).1.as_struct().unwrap();
        assert_eq!(record.get("größe").unwrap().as_str(), Some("plain"));
        // Nine nodes: eight fields and one of the struct inside.
        assert_eq!(batch.size() - before, 9 * 16);
    }
}

#[test]
fn the_last_of_equal_names_wins_and_keeps_the_place_of_the_first() {
    let schemaless: ConfigMap = [("schemas.enable".to_owned(), "false".to_owned())].into();
    let mut converter = JsonConverter::new(&schemaless).unwrap();
    let printed = |converter: &mut JsonConverter, text: &str| read(converter, text).unwrap().value.java_to_string();
    assert_eq!(printed(&mut converter, r#"{"a":1,"b":2,"\u0061":3}"#), "{a=3, b=2}");
    assert_eq!(
        printed(&mut converter, r#"[{"a":1},{"a":2,"a":{"a":3,"a":4}}]"#),
        "[{a=1}, {a={a=4}}]"
    );
    // So many that names are hashed; the first comes again at the end.
    let members: Vec<String> = (0..500).chain([0]).map(|n| format!("\"k{n}\":{n}")).collect();
    let text = format!("{{{}}}", members.join(","));
    let value = read(&mut converter, &text.replace("\"k0\":0}", "\"k0\":\"last\"}"))
        .unwrap()
        .value;
    let entries = value.as_map().unwrap();
    assert_eq!(entries.len(), 500);
    assert_eq!(entries[0].1.as_str(), Some("last"));
    assert_eq!(entries[499].0.as_str(), Some("k499"));
}

#[test]
fn a_text_reads_alike_whatever_came_before() {
    let many: Vec<String> = (0..600).map(|place| format!("\"n{place}\":{place}")).collect();
    let long = "l".repeat(300);
    let texts = [
        r#"{"a":1,"b":2,"c":3}"#.to_owned(),
        // The same names in other objects, and so once twice.
        r#"{"a":1,"a":2,"c":3}"#.to_owned(),
        r#"{"a":1,"b":2,"a":3,"c":4}"#.to_owned(),
        r#"{"a":{"x":1},"x":2,"y":3}"#.to_owned(),
        r#"{"a":{"x":1,"x":2},"y":3}"#.to_owned(),
        r#"{"a":{"x":1},"x":2,"x":3}"#.to_owned(),
        r#"[{"x":1},{"x":2},{"y":3}]"#.to_owned(),
        r#"[{"x":1,"x":2},{"y":3}]"#.to_owned(),
        r#"[{"x":1},5,{"x":2}]"#.to_owned(),
        r#"[{"x":1},{"\u0061":1,"x":2}]"#.to_owned(),
        r#"[[{"x":1}],{"x":2}]"#.to_owned(),
        r#"{"x":{"x":{"x":1}}}"#.to_owned(),
        r#"{"x":{"x":1},"x":2}"#.to_owned(),
        // Names that cannot be expected, and such that end or start alike.
        r#"{"a" :1,"b":2,"c": 3}"#.to_owned(),
        r#"{"\u0061":1,"b":2}"#.to_owned(),
        r#"{"\u0061":1,"a":2}"#.to_owned(),
        r#"{"größe":1,"b":2}"#.to_owned(),
        r#"{"größe":1,"größe":2}"#.to_owned(),
        r#"{"":1,"b":2}"#.to_owned(),
        r#"{"ab":1,"b":2}"#.to_owned(),
        // Shorter, longer, none, and wrong.
        r#"{"a":1}"#.to_owned(),
        r#"{"a":1,"b":2,"c":3,"d":4}"#.to_owned(),
        "{}".to_owned(),
        "5".to_owned(),
        r#"{"a":1,"b""#.to_owned(),
        r#"{"a":1,"b":"#.to_owned(),
        r#"{"a":1,b:2}"#.to_owned(),
        r#"{"schema":null,"payload":{"schema":1}}"#.to_owned(),
        format!("{{\"{long}\":1,\"b\":2}}"),
        format!("{{{}}}", many.join(",")),
        format!("{{{},\"n0\":7}}", many.join(",")),
    ];
    for enable in ["true", "false"] {
        let config: ConfigMap = [("schemas.enable".to_owned(), enable.to_owned())].into();
        for before in &texts {
            for text in &texts {
                let alone = read(&mut JsonConverter::new(&config).unwrap(), text);
                let (mut converter, mut batch) = (JsonConverter::new(&config).unwrap(), Backing::default());
                // The names of the second text in a row are expected, and of one batch they are shared.
                for (before, begins) in [(before, false), (before, false), (text, true), (before, false)] {
                    if begins {
                        batch.clear();
                    }
                    drop(read_into(&mut batch, &mut converter, before));
                    let after = read_into(&mut batch, &mut converter, text);
                    assert_eq!(format!("{after:?}"), format!("{alone:?}"), "{text} after {before}");
                }
            }
        }
    }
}

#[test]
fn a_schema_is_known_again_where_its_name_was_expected() {
    let mut converter = JsonConverter::new(&ConfigMap::new()).unwrap();
    let mut schema = None;
    for number in 0..4 {
        // An array, which the short cut does not take.
        let array = r#"{"schema":{"type":"array","items":{"type":"int32"}},"payload":[1]}"#;
        let text = array.replace('1', &number.to_string());
        let found = read(&mut converter, &text).unwrap().schema.unwrap();
        let first = schema.get_or_insert_with(|| found.clone());
        assert!(std::sync::Arc::ptr_eq(first, &found), "{text} has a schema of its own");
    }
}
