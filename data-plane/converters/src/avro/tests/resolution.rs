//! Each rule of Avro's schema resolution.

use std::sync::Arc;

use dray_connect::backing::Backing;
use serde_json::{Value as Json, json};

use super::super::{anything, default, parse, resolve, to_connect};
use super::settings;
use crate::again::MAX_LEVELS;
use crate::avro::read::Out;
use crate::avro::wire::Bytes;

/// What the reader has of that value, which is the default that stands for it in the writer's schema.
fn resolved(writer: &str, reader: &str, written: &Json) -> String {
    let parsed = |text: &str| parse::parse(text, &[]).unwrap_or_else(|error| panic!("{error}: {text}"));
    let (writer, reader) = (parsed(writer), parsed(reader));
    let mut bytes = default::encode(&writer, writer.root(), written).expect("what is written fits its schema");
    // Behind it something that must not be read.
    bytes.push(0x55);
    let connect = if anything::is_anything(&reader, reader.root()) {
        None
    } else {
        Some(to_connect::to_connect(&reader, None, &settings(&[])).unwrap())
    };
    let (plan, _cells) = resolve::resolve(&Arc::new(writer), &reader, connect.as_ref()).unwrap();
    let mut batch = Backing::default();
    let span = batch.copy(&bytes);
    let mut out = Out {
        batch: &mut batch,
        span,
        stack: &mut Vec::new(),
        levels: MAX_LEVELS,
    };
    let mut rest = Bytes::new(&bytes, 0);
    match plan.read(&mut rest, &mut out) {
        Ok(datum) => {
            assert_eq!(rest.at, bytes.len() - 1, "all of it was read");
            datum.view(&batch).to_value().to_string()
        }
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn a_list_is_read_as_one_with_other_fields_all_the_way_down() {
    let list = |value: &str, more: &str| {
        format!(
            r#"{{"type":"record","name":"Node","fields":[{{"name":"value","type":"{value}"}},{more}{{"name":"next","type":["null","Node"],"default":null}}]}}"#
        )
    };
    let reader = list("long", r#"{"name":"note","type":"string","default":"-"},"#);
    let nested = |levels: i32| (0..levels).fold(Json::Null, |next, value| json!({"value": value, "next": next}));
    check(
        &list("int", ""),
        &reader,
        &nested(3),
        "Struct{value=2,note=-,next=Struct{value=1,note=-,next=Struct{value=0,note=-}}}",
    );
    // As deep as what is written here may be.
    let deep = resolved(&list("int", ""), &reader, &nested(45));
    assert_eq!(deep.matches("note=-").count(), 45, "{deep}");
}

#[test]
fn a_default_may_be_a_list() {
    let list = r#"{"type":"record","name":"Node","fields":[{"name":"value","type":"int"},{"name":"next","type":["null","Node"]}]}"#;
    let reader = format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"list","type":{list},"default":{{"value":1,"next":{{"value":2,"next":null}}}}}}]}}"#
    );
    check(
        r#"{"type":"record","name":"R","fields":[]}"#,
        &reader,
        &json!({}),
        "Struct{list=Struct{value=1,next=Struct{value=2}}}",
    );
}

/// As one of several branches it leads to itself twice at each level.
#[test]
fn a_default_that_does_not_end_is_refused() {
    let reader = r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"record","name":"A","fields":[
        {"name":"x","type":["A",{"type":"record","name":"B","fields":[{"name":"a","type":"A","default":{}}]}],"default":{}}]},"default":{}}]}"#;
    let found = resolved(r#"{"type":"record","name":"R","fields":[]}"#, reader, &json!({}));
    assert!(found.starts_with("error: ") && found.contains("default"), "{found}");
}

fn check(writer: &str, reader: &str, written: &Json, expected: &str) {
    assert_eq!(
        resolved(writer, reader, written),
        expected,
        "{written} of {writer} as {reader}"
    );
}

/// A record of those fields.
fn record(name: &str, fields: &str) -> String {
    format!(r#"{{"type":"record","name":"{name}","fields":[{fields}]}}"#)
}

#[test]
fn primitives_are_promoted() {
    let kinds = ["boolean", "int", "long", "float", "double", "string", "bytes"];
    let values = [
        json!(true),
        json!(7),
        json!(7),
        json!(1.5),
        json!(1.5),
        json!("x"),
        json!("x"),
    ];
    // Of each row the writer's, and what each of the kinds has of it.
    for (writer, row) in [
        ("boolean", ["true", "", "", "", "", "", ""]),
        ("int", ["", "7", "7", "7.0", "7.0", "", ""]),
        ("long", ["", "", "7", "7.0", "7.0", "", ""]),
        ("float", ["", "", "", "1.5", "1.5", "", ""]),
        ("double", ["", "", "", "", "1.5", "", ""]),
        ("string", ["", "", "", "", "", "x", "bytes"]),
        ("bytes", ["", "", "", "", "", "x", "bytes"]),
    ] {
        let written = &values[kinds.iter().position(|kind| *kind == writer).unwrap()];
        for (reader, expected) in kinds.iter().zip(row) {
            let found = resolved(&format!("\"{writer}\""), &format!("\"{reader}\""), written);
            match expected {
                "" => assert_eq!(
                    found,
                    format!("error: {writer} of the writer's schema cannot be read as {reader} of the reader's")
                ),
                "bytes" => assert!(!found.starts_with("error"), "{found}"),
                expected => assert_eq!(found, expected, "{writer} as {reader}"),
            }
        }
    }
    check("\"long\"", "\"float\"", &json!(16_777_217), "1.6777216E7");
    check("\"int\"", "\"float\"", &json!(-16_777_217), "-1.6777216E7");
    check(
        "\"long\"",
        "\"double\"",
        &json!(9_007_199_254_740_993_i64),
        "9.007199254740992E15",
    );
    check("\"float\"", "\"double\"", &json!(0.1), "0.10000000149011612");
    // Of bytes that are no text Java makes one all the same.
    check("\"bytes\"", "\"string\"", &json!("\u{ff}"), "\u{fffd}");
}

#[test]
fn logical_types_are_the_readers() {
    let timestamp = r#"{"type":"long","logicalType":"timestamp-millis"}"#;
    for writer in ["\"int\"", "\"long\""] {
        let text = resolved(writer, timestamp, &json!(1000));
        assert_eq!(text, resolved(timestamp, timestamp, &json!(1000)));
        assert!(!text.starts_with("error"), "{text}");
    }
    let decimal = |scale: i32| format!(r#"{{"type":"bytes","logicalType":"decimal","precision":9,"scale":{scale}}}"#);
    check(&decimal(2), &decimal(3), &json!("\u{4}\u{d2}"), "1.234");
    check("\"string\"", &decimal(1), &json!("\u{5}"), "0.5");
    check("\"int\"", r#"{"type":"int","connect.type":"int8"}"#, &json!(-1), "-1");
}

#[test]
fn fields_go_by_their_names() {
    let writer = record("R", r#"{"name":"a","type":"int"},{"name":"b","type":"string"}"#);
    for (fields, expected) in [
        (
            r#"{"name":"a","type":"int"},{"name":"b","type":"string"}"#,
            "Struct{a=1,b=x}",
        ),
        (
            r#"{"name":"b","type":"string"},{"name":"a","type":"int"}"#,
            "Struct{b=x,a=1}",
        ),
        (r#"{"name":"b","type":"string"}"#, "Struct{b=x}"),
        (r#"{"name":"a","type":"long"}"#, "Struct{a=1}"),
        ("", "Struct{}"),
        (
            r#"{"name":"b","type":["null","string"]},{"name":"n","type":["null","int"],"default":null}"#,
            "Struct{b=x}",
        ),
        (
            r#"{"name":"c","type":"string"},{"name":"a","type":"int"}"#,
            "error: record R of the reader's schema has a field c without a default, which record R of the writer's has not",
        ),
        (
            r#"{"name":"a","type":"int"},{"name":"b","type":"int"}"#,
            "error: b: string of the writer's schema cannot be read as int of the reader's",
        ),
    ] {
        check(&writer, &record("R", fields), &json!({"a": 1, "b": "x"}), expected);
    }
    // Records need not have one name, as in Java.
    let other = record("space.Other", r#"{"name":"b","type":"string"}"#);
    check(&writer, &other, &json!({"a": 1, "b": "x"}), "Struct{b=x}");
}

#[test]
fn errors_say_where() {
    let nested = |of: &str| {
        let inner = record("space.Inner", &format!(r#"{{"name":"x","type":"{of}"}}"#));
        record(
            "R",
            &format!(r#"{{"name":"r","type":{{"type":"array","items":{inner}}}}}"#),
        )
    };
    let (writer, reader) = (nested("string"), nested("double"));
    check(
        &writer,
        &reader,
        &json!({"r": [{"x": "a"}]}),
        "error: r: x: string of the writer's schema cannot be read as double of the reader's",
    );
    // As in Java, only a value is an error.
    check(&writer, &reader, &json!({"r": []}), "Struct{r=[]}");
}

#[test]
fn what_the_writer_has_not_has_the_readers_default() {
    let writer = record("R", r#"{"name":"a","type":"int"}"#);
    for (of, default, expected) in [
        ("\"boolean\"", "true", "true"),
        ("\"int\"", "-7", "-7"),
        ("\"long\"", "8", "8"),
        ("\"float\"", "1.5", "1.5"),
        ("\"double\"", "2", "2.0"),
        ("\"string\"", "\"text\"", "text"),
        (
            r#"{"type":"int","logicalType":"date"}"#,
            "0",
            "Thu Jan 01 00:00:00 UTC 1970",
        ),
        (r#"{"type":"enum","name":"E","symbols":["A","B"]}"#, "\"B\"", "B"),
        (r#"{"type":"array","items":"int"}"#, "[1,2]", "[1, 2]"),
        (r#"{"type":"map","values":"int"}"#, r#"{"k":1}"#, "{k=1}"),
        (
            r#"{"type":"record","name":"I","fields":[{"name":"x","type":"int"},{"name":"y","type":"string","default":"z"}]}"#,
            r#"{"x":1}"#,
            "Struct{x=1,y=z}",
        ),
        (r#"["null","string"]"#, "null", ""),
        (r#"["string","null"]"#, "\"x\"", "x"),
        (r#"["int","string"]"#, "3", "Struct{int=3}"),
        // Of a union any branch counts, as in Java.
        (r#"["int","string"]"#, "\"x\"", "Struct{string=x}"),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":1}"#,
            r#""\u0005""#,
            "0.5",
        ),
    ] {
        let field = format!(r#"{{"name":"n","type":{of},"default":{default}}}"#);
        let reader = record("R", &format!(r#"{{"name":"a","type":"int"}},{field}"#));
        let expected = if expected.is_empty() {
            "Struct{a=1}".to_owned()
        } else {
            format!("Struct{{a=1,n={expected}}}")
        };
        check(&writer, &reader, &json!({"a": 1}), &expected);
        // The same before what is read.
        let reader = record("R", &format!(r#"{field},{{"name":"a","type":"int"}}"#));
        assert!(
            !resolved(&writer, &reader, &json!({"a": 1})).starts_with("error"),
            "{field}"
        );
    }
    let reader = record("R", r#"{"name":"n","type":"int","default":"x"}"#);
    check(
        &writer,
        &reader,
        &json!({"a": 1}),
        "error: n: its default \"x\" in the reader's schema is none of its type int, or does not end",
    );
}

#[test]
fn what_the_reader_has_not_is_skipped() {
    // A list of itself, and all other types.
    let list =
        r#"{"type":"record","name":"L","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","L"]}]}"#;
    for (of, written) in [
        ("\"null\"", json!(null)),
        ("\"boolean\"", json!(true)),
        ("\"int\"", json!(-1_000_000)),
        ("\"long\"", json!(i64::MIN)),
        ("\"float\"", json!(1.5)),
        ("\"double\"", json!(1.5)),
        ("\"string\"", json!("text")),
        ("\"bytes\"", json!("\u{ff}")),
        (r#"{"type":"fixed","name":"F","size":3}"#, json!("abc")),
        (r#"{"type":"enum","name":"E","symbols":["A","B"]}"#, json!("B")),
        (r#"{"type":"array","items":"string"}"#, json!(["a", "b"])),
        (r#"{"type":"map","values":"long"}"#, json!({"a": 1, "b": 2})),
        (r#"["null","string"]"#, json!("x")),
        (list, json!({"v": 1, "next": {"v": 2, "next": {"v": 3, "next": null}}})),
    ] {
        let writer = record(
            "R",
            &format!(r#"{{"name":"s","type":{of}}},{{"name":"a","type":"int"}}"#),
        );
        let reader = record("R", r#"{"name":"a","type":"int"}"#);
        check(&writer, &reader, &json!({"s": written, "a": 5}), "Struct{a=5}");
    }
}

#[test]
fn enums_have_the_readers_symbols() {
    let of = |name: &str, symbols: &str, default: &str| {
        format!(r#"{{"type":"enum","name":"{name}","symbols":[{symbols}]{default}}}"#)
    };
    let writer = of("a.E", r#""A","B","C""#, "");
    let (same, other) = (of("E", r#""C","A""#, ""), of("a.F", r#""A","B","C""#, ""));
    check(&writer, &same, &json!("C"), "C");
    check(
        &writer,
        &same,
        &json!("B"),
        "error: the symbol B is not in the enum of the reader's schema, which has no default",
    );
    check(&writer, &of("E", r#""C","A""#, r#","default":"A""#), &json!("B"), "A");
    check(
        &writer,
        &other,
        &json!("A"),
        "error: enum a.E of the writer's schema cannot be read as enum a.F of the reader's",
    );
    check(
        &writer,
        "\"string\"",
        &json!("A"),
        "error: enum a.E of the writer's schema cannot be read as string of the reader's",
    );
}

#[test]
fn fixed_have_one_name_and_size() {
    let of = |name: &str, size: usize, more: &str| format!(r#"{{"type":"fixed","name":"{name}","size":{size}{more}}}"#);
    let decimal = r#","logicalType":"decimal","precision":9,"scale":1"#;
    check(&of("a.F", 2, ""), &of("b.F", 2, decimal), &json!("\u{0}\u{5}"), "0.5");
    for reader in [of("F", 3, decimal), of("G", 2, decimal)] {
        let found = resolved(&of("F", 2, ""), &reader, &json!("\u{0}\u{5}"));
        assert!(
            found.contains("fixed F of 2 bytes of the writer's schema cannot be read as fixed"),
            "{found}"
        );
    }
}

#[test]
fn arrays_and_maps_go_by_what_is_in_them() {
    let array = |of: &str| format!(r#"{{"type":"array","items":"{of}"}}"#);
    let map = |of: &str| format!(r#"{{"type":"map","values":"{of}"}}"#);
    check(&array("int"), &array("double"), &json!([1, 2]), "[1.0, 2.0]");
    check(&map("int"), &map("long"), &json!({"a": 1}), "{a=1}");
    check(&array("string"), &array("int"), &json!([]), "[]");
    check(
        &array("int"),
        &map("int"),
        &json!([1]),
        "error: array of the writer's schema cannot be read as map of the reader's",
    );
    let entries = |of: &str| {
        let fields = format!(r#"{{"name":"key","type":"int"}},{{"name":"value","type":"{of}"}}"#);
        let entry = record("io.confluent.connect.avro.MapEntry", &fields);
        format!(r#"{{"type":"array","items":{entry}}}"#)
    };
    check(
        &entries("int"),
        &entries("double"),
        &json!([{"key": 1, "value": 2}]),
        "{1=2.0}",
    );
}

#[test]
fn unions_go_by_their_branches() {
    let (a, b) = (
        record("x.A", r#"{"name":"p","type":"int"}"#),
        record("x.B", r#"{"name":"q","type":"string"}"#),
    );
    let error = "error: ";
    for (writer, reader, written, expected) in [
        // To and from optional ones.
        ("\"int\"", r#"["null","int"]"#, json!(1), "1"),
        ("\"int\"", r#"["long","null"]"#, json!(1), "1"),
        (r#"["null","int"]"#, r#"["long","null"]"#, json!(1), "1"),
        (r#"["null","int"]"#, r#"["long","null"]"#, json!(null), "null"),
        (r#"["null","int"]"#, "\"long\"", json!(1), "1"),
        (
            r#"["null","int"]"#,
            "\"long\"",
            json!(null),
            "error: null of the writer's schema cannot be read as long of the reader's",
        ),
        (r#"["int"]"#, "\"double\"", json!(1), "1.0"),
        (r#"["int","string"]"#, "\"string\"", json!("x"), "x"),
        (
            r#"["int","string"]"#,
            "\"string\"",
            json!(1),
            "error: int of the writer's schema cannot be read as string of the reader's",
        ),
        // The same branch before one that it is promoted to, and the first of those.
        ("\"int\"", r#"["double","long","int"]"#, json!(1), "Struct{int=1}"),
        (
            "\"int\"",
            r#"["string","double","long"]"#,
            json!(1),
            "Struct{double=1.0}",
        ),
        (
            r#"["int","string"]"#,
            r#"["null","bytes","double"]"#,
            json!(1),
            "Struct{double=1.0}",
        ),
        (
            r#"["null","int","string"]"#,
            r#"["string","long","null"]"#,
            json!(1),
            "Struct{long=1}",
        ),
        (
            r#"["null","int","string"]"#,
            r#"["string","long","null"]"#,
            json!(null),
            "null",
        ),
        (
            "\"boolean\"",
            r#"["int","string"]"#,
            json!(true),
            "error: boolean of the writer's schema cannot be read as the union of int, string of the reader's",
        ),
        (
            &a,
            &format!("[\"null\",{b},{a}]"),
            json!({"p": 1}),
            "Struct{A=Struct{p=1}}",
        ),
        // One with fitting fields, where no name fits.
        (
            &record("y.C", r#"{"name":"q","type":"string"}"#),
            &format!("[\"null\",{a},{b}]"),
            json!({"q": "x"}),
            "Struct{B=Struct{q=x}}",
        ),
        (
            &record("y.B", r#"{"name":"p","type":"int"},{"name":"q","type":"string"}"#),
            &format!("[{a},{b}]"),
            json!({"p": 1, "q": "x"}),
            "Struct{B=Struct{q=x}}",
        ),
        (&record("y.C", ""), &format!("[\"null\",{a},{b}]"), json!({}), error),
        // In one union that differs in namespaces only each branch is its own.
        (
            r#"["null",{"type":"enum","name":"x.E","symbols":["S"]}]"#,
            r#"["null",{"type":"enum","name":"y.E","symbols":["S"]}]"#,
            json!("S"),
            "S",
        ),
        (
            r#"["null",{"type":"enum","name":"x.E","symbols":["S"]}]"#,
            r#"["null",{"type":"enum","name":"y.E","symbols":["S","T"]}]"#,
            json!("S"),
            error,
        ),
    ] {
        let found = resolved(writer, reader, &written);
        let is_it = if expected == error {
            found.starts_with(error)
        } else {
            found == expected
        };
        assert!(is_it, "{written} of {writer} as {reader}: {found}, not {expected}");
    }
}

#[test]
fn aliases_are_names_of_before() {
    let writer = record("R", r#"{"name":"a","type":"int"},{"name":"b","type":"string"}"#);
    let alias = |name: &str, of: &str, alias: &str, more: &str| {
        format!(r#"{{"name":"{name}","type":"{of}","aliases":["{alias}"]{more}}}"#)
    };
    for (fields, expected) in [
        (alias("c", "long", "a", ""), "Struct{c=1}"),
        // The name of before may be another field's by now.
        (
            format!(
                r#"{},{{"name":"a","type":"string","default":"z"}}"#,
                alias("c", "int", "a", "")
            ),
            "Struct{c=1,a=z}",
        ),
        // Where the writer has both, the name counts.
        (alias("b", "string", "a", ""), "Struct{b=x}"),
    ] {
        check(&writer, &record("R", &fields), &json!({"a": 1, "b": "x"}), expected);
    }
    // Of a record with another name only where that one is an alias as well.
    let other = |more: &str| {
        let field = alias("c", "int", "a", r#","default":-1"#);
        format!(r#"{{"type":"record","name":"S"{more},"fields":[{field}]}}"#)
    };
    let written = json!({"a": 1, "b": "x"});
    check(&writer, &other(""), &written, "Struct{c=-1}");
    check(&writer, &other(r#","aliases":["R"]"#), &written, "Struct{c=1}");
    let renamed = |name: &str, aliases: &str| format!(r#"{{"type":"enum","name":"{name}","symbols":["A"]{aliases}}}"#);
    let writer = renamed("x.Old", "");
    check(&writer, &renamed("x.New", r#","aliases":["Old"]"#), &json!("A"), "A");
    check(&writer, &renamed("y.New", r#","aliases":["x.Old"]"#), &json!("A"), "A");
    assert!(resolved(&writer, &renamed("y.New", r#","aliases":["Old"]"#), &json!("A")).starts_with("error"));
    let (old, new) = (
        format!("[\"null\",\"int\",{}]", record("x.Old", r#"{"name":"p","type":"int"}"#)),
        r#"["null",{"type":"record","name":"x.Another","fields":[{"name":"p","type":"int"}]},
            {"type":"record","name":"x.New","aliases":["Old"],"fields":[{"name":"p","type":"int"}]},"int"]"#,
    );
    check(&old, new, &json!({"p": 1}), "Struct{New=Struct{p=1}}");
}

#[test]
fn values_without_a_schema_are_their_own() {
    let anything = crate::avro::print::print(&anything::schema());
    let written = json!({"string": "x"});
    check(&anything, &anything, &written, "x");
    let found = resolved("\"int\"", &anything, &json!(1));
    assert_eq!(found, "error: int cannot be read as a value without a schema");
}
