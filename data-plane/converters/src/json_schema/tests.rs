//! Values there and back, with their schemas and without a registry.

use dray_connect::backing::Backing;
use dray_connect::datum::ValueRef;
use dray_connect::logical;
use dray_connect::schema::{Schema as Connect, SchemaBuilder, SchemaRef};
use dray_connect::structs::Struct;
use dray_connect::value::Value;
use proptest::prelude::*;

use super::*;

mod arbitrary;
mod recursive;
mod schemas;

fn settings(pairs: &[(&str, &str)]) -> Settings {
    let config: ConfigMap = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Settings::read(&config).unwrap()
}

/// The JSON of a value; none where there is nothing to write.
fn encode(schema: Option<&SchemaRef>, value: &Value, pairs: &[(&str, &str)]) -> Result<Option<String>> {
    let mut out = Vec::new();
    let is_there = write::Plan::of(schema, &settings(pairs))?.write(ValueRef::from(value), &mut out)?;
    Ok(is_there.then(|| String::from_utf8(out).unwrap()))
}

fn decode(schema: &SchemaRef, text: &[u8]) -> Result<Value> {
    let plan = read::Plan::of(schema)?;
    let (mut batch, mut reading) = (Backing::default(), Reading::default());
    let span = batch.copy(text);
    let (datum, _) = plan.read(text, Some(span), &mut batch, &mut reading)?;
    Ok(datum.view(&batch).to_value())
}

fn connect_of(text: &str, pairs: &[(&str, &str)]) -> Result<SchemaRef> {
    let settings = settings(pairs);
    let documents = Documents::parse(text, &[], &[], settings.ignore_modern)?;
    to_connect::to_connect(&documents, Some(7), &settings)
}

/// The schema by way of its text, as over a registry, and the value by way of its JSON.
fn there_and_back(schema: &SchemaRef, value: &Value, pairs: &[(&str, &str)]) -> (SchemaRef, Value) {
    let text = from_connect::from_connect(schema, &settings(pairs)).unwrap();
    let settings = settings(pairs);
    let documents = Documents::parse(&text, &[], &[], false).unwrap();
    let back = to_connect::to_connect(&documents, None, &settings).unwrap_or_else(|error| panic!("{text}: {error}"));
    let json = encode(Some(schema), value, pairs).unwrap().unwrap();
    let found = decode(&back, json.as_bytes()).unwrap_or_else(|error| panic!("{text}: {json}: {error}"));
    (back, found)
}

fn record(name: &str, fields: &[(&str, SchemaRef)]) -> SchemaRef {
    let builder = SchemaBuilder::struct_().name(name);
    let builder = fields.iter().fold(builder, |builder, (name, schema)| {
        builder.field(*name, SchemaRef::clone(schema))
    });
    builder.build().unwrap()
}

fn of(schema: &SchemaRef, fields: &[(&str, Value)]) -> Value {
    let mut record = Struct::new(SchemaRef::clone(schema)).unwrap();
    for (name, value) in fields {
        record.put(name, value.clone()).unwrap();
    }
    Value::from(record)
}

fn union(branches: &[SchemaRef]) -> SchemaBuilder {
    let builder = SchemaBuilder::struct_().name("io.confluent.connect.json.OneOf");
    branches.iter().enumerate().fold(builder, |builder, (index, branch)| {
        let branch = branch.to_builder().optional().build().unwrap();
        builder.field(format!("io.confluent.connect.json.OneOf.field.{index}"), branch)
    })
}

#[test]
fn values_as_confluent_writes_them() {
    let check = |schema: &SchemaRef, value: Value, pairs: &[(&str, &str)], expected: &str| {
        let found = encode(Some(schema), &value, pairs).unwrap();
        assert_eq!(found.as_deref().unwrap_or("nothing"), expected);
    };
    let amount = Value::Decimal("12.34".parse().unwrap());
    check(&logical::decimal_schema(2), amount.clone(), &[], "\"BNI=\"");
    check(
        &logical::decimal_schema(2),
        amount,
        &[("decimal.format", "numeric")],
        "12.34",
    );
    check(&logical::date_schema(), Value::Date(86_400_000), &[], "1");
    check(&Connect::float64(), Value::Float64(1e10), &[], "1.0E10");
    check(&Connect::float64(), Value::Float64(f64::NAN), &[], "\"NaN\"");
    check(&Connect::optional_string(), Value::Null, &[], "null");
    check(&Connect::string(), Value::Null, &[], "nothing");
    let pairs = SchemaBuilder::map(Connect::int32(), Connect::string()).build().unwrap();
    check(
        &pairs,
        Value::map([(Value::Int32(1), Value::from("a"))]),
        &[],
        r#"[{"key":1,"value":"a"}]"#,
    );
    let default = SchemaBuilder::string()
        .optional()
        .default_value(Value::from("d"))
        .build()
        .unwrap();
    let row = record(
        "R",
        &[
            ("a", Connect::string()),
            ("b", Connect::optional_string()),
            ("c", default),
            ("d \"", Connect::int8()),
        ],
    );
    let value = of(&row, &[("d \"", Value::Int8(1))]);
    // What is required and not there is left out, as in Java; null stays null, or is the default.
    check(&row, value.clone(), &[], r#"{"b":null,"c":"d","d \"":1}"#);
    check(
        &row,
        value,
        &[("ignore.default.for.nullables", "true")],
        r#"{"b":null,"c":null,"d \"":1}"#,
    );
    let either = union(&[Connect::int64(), Connect::string()])
        .optional()
        .build()
        .unwrap();
    check(
        &either,
        of(
            &either,
            &[("io.confluent.connect.json.OneOf.field.1", Value::from("x"))],
        ),
        &[],
        "\"x\"",
    );
    check(&either, of(&either, &[]), &[], "null");
}

#[test]
fn values_without_a_schema() {
    let value = Value::Array(vec![
        Value::Int64(1),
        Value::Null,
        Value::map([(Value::from("a"), Value::Boolean(true))]),
        Value::map([(Value::Int8(1), Value::from(vec![1_u8]))]),
    ]);
    let text = encode(None, &value, &[]).unwrap().unwrap();
    assert_eq!(text, r#"[1,null,{"a":true},[{"key":1,"value":"AQ=="}]]"#);
    assert_eq!(encode(None, &Value::Null, &[]).unwrap(), None);
    let deep = (0..2_000).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    assert!(
        encode(None, &deep, &[])
            .unwrap_err()
            .to_string()
            .contains("serialization error")
    );
    let date = encode(None, &Value::Date(1), &[]).unwrap_err();
    assert!(
        date.to_string().contains("does not have corresponding schema type"),
        "{date}"
    );
}

#[test]
fn what_does_not_fit_says_where() {
    let inner = record("I", &[("x", Connect::int32())]);
    let outer = record("R", &[("i", SchemaRef::clone(&inner))]);
    let plan = write::Plan::of(Some(&outer), &settings(&[])).unwrap();
    let other = of(&record("I", &[("x", Connect::int64())]), &[("x", Value::Int64(1))]);
    let error = plan.write(ValueRef::from(&other), &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "Mismatching schema.");
    let error = encode(Some(&Connect::int32()), &Value::from("x"), &[]).unwrap_err();
    assert_eq!(error.to_string(), "Invalid type for INT32: class java.lang.String");
    for (text, expected) in [
        (
            r#"{"i":5}"#,
            "i: Structs should be encoded as JSON objects, but found NUMBER",
        ),
        (
            r#"{"i":{"x":null}}"#,
            "i: x: Invalid null value for required INT32 field",
        ),
        (
            r#"{"i":{"x":1}"#,
            "malformed JSON: expected ',' or '}', found the end of the input at byte 12",
        ),
        ("", "malformed JSON: it ends where a value should be"),
    ] {
        let error = decode(&outer, text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, expected, "{text}");
    }
}

#[test]
fn values_come_in_any_order_and_form() {
    let schema = record(
        "R",
        &[
            ("id", Connect::int64()),
            ("größe", Connect::optional_float64()),
            ("tags", SchemaBuilder::array(Connect::string()).build().unwrap()),
            (
                "d",
                SchemaBuilder::int32().default_value(Value::Int32(9)).build().unwrap(),
            ),
        ],
    );
    for (text, expected) in [
        (
            r#"{"id":1,"größe":1.5,"tags":["a"],"d":2}"#,
            "Struct{id=1,größe=1.5,tags=[a],d=2}",
        ),
        (
            "{ \"id\" : 1 ,\n\"größe\" : null , \"tags\" : [ ] , \"d\" : 2 } tail",
            "Struct{id=1,tags=[],d=2}",
        ),
        (
            r#"{"d":2,"tags":["a", "b"],"gr\u00f6\u00dfe":2,"id":1}"#,
            "Struct{id=1,größe=2.0,tags=[a, b],d=2}",
        ),
        // What is not there is the default, or null.
        (r#"{"id":1}"#, "Struct{id=1,d=9}"),
        (r#"{"tags":[],"id":1,"d":null}"#, "Struct{id=1,tags=[],d=9}"),
        ("{}", "Struct{d=9}"),
        // The last of one name counts, and others do not.
        (
            r#"{"id":1,"x":{"id":[5,{}]},"id":3,"y":"z","z":-1.5e3,"tags":["\u0061"]}"#,
            "Struct{id=3,tags=[a],d=9}",
        ),
        // Numbers of another kind, and what is none.
        (
            r#"{"id":1.9,"größe":"x","tags":{"k":"v"},"d":"5"}"#,
            "Struct{id=1,größe=0.0,tags=[v],d=0}",
        ),
    ] {
        let found = decode(&schema, text.as_bytes());
        assert_eq!(
            found.map_or_else(|error| error.to_string(), |value| value.to_string()),
            expected,
            "{text}"
        );
    }
    for text in [
        "",
        "{",
        "{\"id\"",
        "{\"id\":",
        "{\"id\":1",
        "{\"id\":1,",
        "{\"id\":1,}",
        "{\"id\":1 \"d\":2}",
        "{,}",
        "{\"id\":nul}",
        "{\"tags\":[1,]}",
        "{\"tags\":[\"a\" \"b\"]}",
        "{\"x\":[}",
        "{\"tags\":[null]}",
        "{\"tags\":[1]}",
        "[]",
        "null",
        "{\"größe\":01x}",
    ] {
        assert!(decode(&schema, text.as_bytes()).is_err(), "{text}");
    }
    let brackets = format!("{{\"x\":{}", "[".repeat(100_000));
    assert!(
        decode(&schema, brackets.as_bytes())
            .unwrap_err()
            .to_string()
            .contains("nesting depth")
    );
}

#[test]
fn messages_in_other_encodings_and_with_more_behind() {
    let read = |schema: SchemaRef, text: &[u8]| {
        let mut format = JsonSchema::configured(&ConfigMap::new()).unwrap();
        let with = Checked {
            plan: read::Plan::of(&schema).unwrap(),
            validator: None,
        };
        let bytes = [&[0, 0, 0, 0, 1], text].concat();
        let mut batch = Backing::default();
        let span = batch.copy(&bytes);
        let input = Input { bytes: &bytes, span };
        let field = format.read(&with, input, 5, &mut batch);
        field.map(|field| field.view(&batch).1.to_value())
    };
    let utf16: Vec<u8> = "\"gr\u{fc}n\"".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for text in [&b"\xef\xbb\xbf\"gr\xc3\xbcn\""[..], &utf16, b" \"gr\\u00fcn\" behind"] {
        assert_eq!(read(Connect::string(), text).unwrap(), Value::from("gr\u{fc}n"));
    }
    assert_eq!(read(Connect::int32(), b"5 6").unwrap(), Value::Int32(5));
    for text in [&b"5x"[..], b"", b"\xff\xff\xff\xff", b"\"\xff\"", b"\"x"] {
        assert!(read(Connect::int32(), text).is_err(), "{text:?}");
        assert!(read(Connect::string(), text).is_err(), "{text:?}");
    }
}

#[test]
fn unions_go_to_the_branch_that_fits() {
    let a = record("A", &[("x", Connect::int32()), ("y", Connect::int32())]);
    let b = record("B", &[("x", Connect::int32()), ("z", Connect::int32())]);
    let schema = union(&[
        Connect::int64(),
        Connect::float64(),
        Connect::bytes(),
        a,
        b,
        SchemaBuilder::array(Connect::string()).build().unwrap(),
    ])
    .build()
    .unwrap();
    for (text, index) in [
        ("5", 0),
        ("5.0", 1),
        ("\"AQ==\"", 2),
        (r#"{"x":1,"y":2}"#, 3),
        (r#"{"z":1,"x":2}"#, 4),
        (r#"{"x":1}"#, 3),
        ("{}", 3),
        ("[]", 5),
    ] {
        let Value::Struct(record) = decode(&schema, text.as_bytes()).unwrap() else {
            panic!("{text} is no struct")
        };
        let set: Vec<usize> = (0..6).filter(|place| !record.values()[*place].is_null()).collect();
        assert_eq!(set, [index], "{text}");
    }
    let error = decode(&schema, b"true").unwrap_err();
    assert_eq!(error.to_string(), "Did not find matching oneof field for data");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_schema_and_value_comes_back((schema, value) in arbitrary::schema_and_value()) {
        let (back, found) = there_and_back(&schema, &value, &[]);
        prop_assert_eq!(back, schema);
        prop_assert_eq!(found, value);
    }

    #[test]
    fn with_numbers_for_decimals_and_general_sums_as_well((schema, value) in arbitrary::schema_and_value()) {
        // Unions and enums have other names then: the second time nothing changes.
        let pairs = [("decimal.format", "NUMERIC"), ("generalized.sum.type.support", "true"), ("object.additional.properties", "false")];
        let text = from_connect::from_connect(&schema, &settings(&pairs)).unwrap();
        let documents = Documents::parse(&text, &[], &[], false).unwrap();
        let first = to_connect::to_connect(&documents, None, &settings(&pairs)).unwrap();
        let json = encode(Some(&schema), &value, &pairs).unwrap().unwrap();
        let value = decode(&first, json.as_bytes()).unwrap();
        let (second, found) = there_and_back(&first, &value, &pairs);
        prop_assert_eq!(second, first);
        prop_assert_eq!(found, value);
    }

    #[test]
    fn damaged_bytes_are_read_or_refused(
        (schema, value) in arbitrary::schema_and_value(), at: prop::sample::Index, to: u8, cut: prop::sample::Index,
    ) {
        let mut bytes = encode(Some(&schema), &value, &[]).unwrap().unwrap().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = to;
        drop(decode(&schema, &bytes));
        drop(decode(&schema, &bytes[..cut.index(bytes.len())]));
    }

    #[test]
    fn any_text_is_a_value_or_refused((schema, _) in arbitrary::schema_and_value(), text in r#"[\[\]{}:,"a0n.\\ -]{0,30}"#) {
        drop(decode(&schema, text.as_bytes()));
    }

    #[test]
    fn any_text_is_a_schema_or_refused(
        words in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"type\"", "\"object\"", "\"properties\"", "\"a\"", "\"$ref\"", "\"#\"", "\"allOf\"", "\"oneOf\"",
            "\"items\"", "\"null\"", "\"enum\"", "1", "true", "{\"type\":", "\"string\"", "\"array\"", "\"connect.type\"", "\"map\"", "\"default\"",
        ]), 0..30)
    ) {
        drop(connect_of(&words.concat(), &[]));
    }
}
