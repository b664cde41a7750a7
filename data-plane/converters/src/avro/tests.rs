//! Schemas and values there and back, without a registry.

use dray_connect::backing::Backing;
use dray_connect::datum::ValueRef;
use dray_connect::schema::{Schema as Connect, SchemaBuilder, SchemaRef, Type};
use dray_connect::structs::Struct;
use dray_connect::value::Value;
use dray_connect::{ConfigMap, logical};
use proptest::prelude::*;

use super::settings::Settings;
use super::write::Planner;
use super::*;

mod arbitrary;
mod recursive;
mod resolution;
mod shared;

fn settings(pairs: &[(&str, &str)]) -> Settings {
    let config: ConfigMap = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Settings::read(&config).unwrap()
}

fn encode(schema: Option<&SchemaRef>, value: &Value, avro: &Schema, settings: &Settings) -> Result<Vec<u8>> {
    let planner = Planner {
        schema: avro,
        settings,
        strict: false,
        again: WriteCells::default(),
        planned: Cell::default(),
        known: again::KnownRecords::default(),
    };
    let mut out = Vec::new();
    planner.root(schema)?.root.write(ValueRef::from(value), &mut out)?;
    Ok(out)
}

fn decode(avro: &Schema, bytes: &[u8], settings: &Settings) -> Result<(Option<SchemaRef>, Value)> {
    let schema = if anything::is_anything(avro, avro.root()) {
        None
    } else {
        Some(to_connect::to_connect(avro, None, settings)?)
    };
    let (plan, _cells) = again::plan(avro, avro.root(), schema.as_ref())?;
    let mut batch = Backing::default();
    let span = batch.copy(bytes);
    let mut out = Out {
        batch: &mut batch,
        span,
        stack: &mut Vec::new(),
        levels: MAX_LEVELS,
    };
    let datum = plan.read(&mut Bytes::new(bytes, 0), &mut out)?;
    assert!(out.stack.is_empty(), "parts are left behind");
    Ok((schema, datum.view(&batch).to_value()))
}

/// By way of the schema's text, as over a registry.
fn there_and_back(
    schema: Option<&SchemaRef>,
    value: &Value,
    settings: &Settings,
) -> Result<(Option<SchemaRef>, Value)> {
    let own = from_connect::from_connect(schema, settings)?;
    let text = print::print(&own);
    let avro = parse::parse(&text, &[]).map_err(|error| Error::data(format!("{error}: {text}")))?;
    let bytes = encode(schema, value, &own, settings)?;
    decode(&avro, &bytes, settings)
}

fn check_schema(schema: SchemaRef, pairs: &[(&str, &str)], expected: &str) {
    let settings = settings(pairs);
    let printed = from_connect::from_connect(Some(&schema), &settings).map(|avro| print::print(&avro));
    assert_eq!(printed.unwrap_or_else(|error| format!("error: {error}")), expected);
}

#[test]
fn schemas_are_those_of_confluent() {
    check_schema(Connect::int8(), &[], r#"{"type":"int","connect.type":"int8"}"#);
    check_schema(Connect::int8(), &[("connect.meta.data", "false")], "\"int\"");
    check_schema(Connect::optional_string(), &[], r#"["null","string"]"#);
    check_schema(
        logical::decimal_schema(2),
        &[],
        r#"{"type":"bytes","scale":2,"precision":64,"connect.version":1,"connect.parameters":{"scale":"2"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}"#,
    );
    check_schema(
        logical::timestamp_schema(),
        &[],
        r#"{"type":"long","connect.version":1,"connect.name":"org.apache.kafka.connect.data.Timestamp","logicalType":"timestamp-millis"}"#,
    );
    let record = SchemaBuilder::struct_()
        .name("com.example.Order")
        .field("id", Connect::int64())
        .field("note", Connect::optional_string())
        .field(
            "count",
            SchemaBuilder::int32().default_value(Value::Int32(3)).build().unwrap(),
        )
        .field(
            "tag",
            SchemaBuilder::string()
                .optional()
                .default_value(Value::from("x"))
                .build()
                .unwrap(),
        );
    check_schema(
        record.build().unwrap(),
        &[],
        r#"{"type":"record","name":"Order","namespace":"com.example","fields":[{"name":"id","type":"long"},{"name":"note","type":["null","string"],"default":null},{"name":"count","type":{"type":"int","connect.default":3},"default":3},{"name":"tag","type":[{"type":"string","connect.default":"x"},"null"],"default":"x"}],"connect.name":"com.example.Order"}"#,
    );
    check_schema(
        SchemaBuilder::map(Connect::int32(), Connect::string()).build().unwrap(),
        &[],
        r#"{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","fields":[{"name":"key","type":"int"},{"name":"value","type":"string"}]}}"#,
    );
    let color = SchemaBuilder::string()
        .parameter("io.confluent.connect.avro.Enum", "com.Color")
        .parameter("io.confluent.connect.avro.Enum.RED", "RED")
        .parameter("io.confluent.connect.avro.Enum.BLUE", "BLUE");
    check_schema(
        color.build().unwrap(),
        &[("enhanced.avro.schema.support", "true"), ("connect.meta.data", "false")],
        r#"{"type":"enum","name":"Color","namespace":"com","symbols":["RED","BLUE"]}"#,
    );
}

#[test]
fn names_that_avro_does_not_allow() {
    let schema = SchemaBuilder::struct_()
        .name("a-b.C d")
        .field("1-x", Connect::int32())
        .build()
        .unwrap();
    check_schema(
        SchemaRef::clone(&schema),
        &[],
        "error: illegal character in: a-b: Avro does not allow that name; scrub.invalid.names=true replaces what is not \
         allowed",
    );
    let scrubbed = r#"{"type":"record","name":"C_d","namespace":"a_b","fields":[{"name":"x1_x","type":"int"}]}"#;
    check_schema(
        schema,
        &[("scrub.invalid.names", "true"), ("connect.meta.data", "false")],
        scrubbed,
    );
}

#[test]
fn what_one_name_cannot_stand_for() {
    let named = |field: &str| {
        SchemaBuilder::struct_()
            .name("N")
            .field(field, Connect::int32())
            .build()
            .unwrap()
    };
    let both = SchemaBuilder::struct_()
        .name("R")
        .field("a", named("x"))
        .field("b", named("y"));
    check_schema(
        both.build().unwrap(),
        &[],
        "error: two different schemas within one are both named N in Avro; give them names of their own",
    );
    // What is attached to a place may differ.
    let optional = named("x").to_builder().optional().build().unwrap();
    let both = SchemaBuilder::struct_()
        .name("R")
        .field("a", named("x"))
        .field("b", optional);
    let schema = both.build().unwrap();
    assert!(from_connect::from_connect(Some(&schema), &settings(&[])).is_ok());
}

fn connect_of(text: &str, pairs: &[(&str, &str)]) -> Result<SchemaRef> {
    let avro = parse::parse(text, &[]).unwrap();
    to_connect::to_connect(&avro, Some(7), &settings(pairs))
}

#[test]
fn schemas_of_others() {
    let text = r#"{"type":"record","name":"R","namespace":"n","doc":"what","fields":[
        {"name":"a","type":"int","default":5,"doc":"number"},
        {"name":"e","type":{"type":"enum","name":"E","symbols":["X","Y"]}},
        {"name":"u","type":["null","int","string"]},
        {"name":"o","type":["string","null"],"default":"lost"},
        {"name":"m","type":{"type":"long","logicalType":"timestamp-micros"}},
        {"name":"f","type":{"type":"fixed","name":"F","size":3}},
        {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}]}"#;
    let schema = connect_of(text, &[]).unwrap();
    assert_eq!((schema.name(), schema.version()), (Some("n.R"), Some(7)));
    let parameter = |of: &SchemaRef, name: &str| of.parameters().and_then(|all| all.get(name)).cloned();
    assert_eq!(
        parameter(&schema, "io.confluent.connect.avro.record.doc").as_deref(),
        Some("what")
    );
    assert_eq!(
        parameter(&schema, "io.confluent.connect.avro.field.doc.a").as_deref(),
        Some("number")
    );
    let field = |name: &str| SchemaRef::clone(&schema.field(name).unwrap().schema);
    assert_eq!(field("a").default(), Some(&Value::Int32(5)));
    assert_eq!(
        parameter(&field("a"), "io.confluent.connect.avro.field.default").as_deref(),
        Some("true")
    );
    assert_eq!(
        parameter(&field("e"), "io.confluent.connect.avro.Enum").as_deref(),
        Some("n.E")
    );
    assert_eq!(field("u").name(), Some("io.confluent.connect.avro.Union"));
    assert!(field("u").optional());
    // Java's converter does not take over such a default either.
    assert!(field("o").optional() && field("o").default().is_none());
    assert_eq!(field("m"), Connect::int64());
    assert_eq!(
        (
            field("f").name(),
            parameter(&field("f"), "connect.fixed.size").as_deref()
        ),
        (Some("n.F"), Some("3"))
    );
    assert_eq!(
        parameter(&field("d"), "connect.decimal.precision").as_deref(),
        Some("9")
    );
    assert_eq!(
        connect_of(r#"{"type":"int","logicalType":"date"}"#, &[]).unwrap(),
        logical::date_schema()
    );
    assert!(connect_of("\"null\"", &[]).is_err());
}

#[test]
fn short_texts_of_very_many_schemas_are_refused() {
    let mut text = r#"{"type":"record","name":"R0","fields":[]}"#.to_owned();
    for level in 1..60 {
        let before = level - 1;
        text = format!(
            r#"{{"type":"record","name":"R{level}","fields":[{{"name":"a","type":{text},"doc":"x"}},{{"name":"b","type":"R{before}","doc":"y"}}]}}"#
        );
        if level == 40 {
            break;
        }
    }
    let error = connect_of(&text, &[]).unwrap_err().to_string();
    assert!(
        error.contains("more than 50000") || error.contains("deeper than"),
        "{error}"
    );
}

#[test]
fn unions_of_several_types() {
    let text = r#"["null","int",{"type":"record","name":"n.R","fields":[{"name":"x","type":"string"}]},{"type":"array","items":"long"}]"#;
    for (pairs, name) in [
        (&[][..], "R"),
        (&[("enhanced.avro.schema.support", "true")], "n.R"),
        (&[("generalized.sum.type.support", "true")], "connect_union_field_2"),
    ] {
        let settings = settings(pairs);
        let avro = parse::parse(text, &[]).unwrap();
        let schema = to_connect::to_connect(&avro, None, &settings).unwrap();
        let field = &schema.field(name).unwrap().schema;
        let mut inner = Struct::new(SchemaRef::clone(field)).unwrap();
        inner.put("x", "text").unwrap();
        let mut union = Struct::new(SchemaRef::clone(&schema)).unwrap();
        union.put(name, inner).unwrap();
        let value = Value::from(union);
        let bytes = encode(Some(&schema), &value, &avro, &settings).unwrap();
        assert_eq!(bytes, b"\x04\x08text");
        assert_eq!(
            decode(&avro, &bytes, &settings).unwrap(),
            (Some(SchemaRef::clone(&schema)), value)
        );
        // Null is a branch of it.
        assert_eq!(decode(&avro, &[0], &settings).unwrap().1, Value::Null);
        let same = there_and_back(Some(&schema), &decode(&avro, &bytes, &settings).unwrap().1, &settings).unwrap();
        assert_eq!(same.0, Some(schema));
    }
}

#[test]
fn a_value_is_written_with_the_schema_of_another() {
    let own = SchemaBuilder::struct_()
        .name("R")
        .field("b", Connect::int32())
        .field("more", Connect::string())
        .field("a", Connect::optional_string())
        .build()
        .unwrap();
    let mut record = Struct::new(SchemaRef::clone(&own)).unwrap();
    record
        .put("b", 1)
        .unwrap()
        .put("more", "x")
        .unwrap()
        .put("a", "y")
        .unwrap();
    let value = Value::from(record);
    let write = |text: &str, strict: bool| {
        let (avro, settings) = (parse::parse(text, &[]).unwrap(), settings(&[]));
        let planner = Planner {
            schema: &avro,
            settings: &settings,
            strict,
            again: WriteCells::default(),
            planned: Cell::default(),
            known: again::KnownRecords::default(),
        };
        let mut out = Vec::new();
        let written = planner
            .root(Some(&own))
            .and_then(|plan| plan.root.write(ValueRef::from(&value), &mut out));
        written.map(|()| out).map_err(|error| error.to_string())
    };
    let field = |name: &str, of: &str| format!(r#"{{"name":"{name}","type":{of}}}"#);
    let record = |fields: &[String]| format!(r#"{{"type":"record","name":"Other","fields":[{}]}}"#, fields.join(","));
    let optional = field("a", r#"["null","string"]"#);
    // In its order, with longer numbers, and with a default for what is not there.
    let with_default =
        r#"{"name":"new","type":{"type":"enum","name":"E","symbols":["P","Q"]},"default":"Q"}"#.to_owned();
    let text = record(&[optional.clone(), field("b", "\"long\""), with_default]);
    assert_eq!(write(&text, true).unwrap(), b"\x02\x02y\x02\x02");
    let required = record(&[field("a", "\"string\""), field("b", "\"int\"")]);
    assert_eq!(
        write(&required, true).unwrap_err(),
        "a: it allows null, and the schema it is written with does not"
    );
    assert_eq!(write(&required, false).unwrap(), b"\x02y\x02");
    let missing = record(&[optional.clone(), field("b", "\"int\""), field("c", "\"int\"")]);
    assert!(write(&missing, false).unwrap_err().starts_with("c: "));
    let other = record(&[optional, field("b", "\"string\"")]);
    assert_eq!(
        write(&other, false).unwrap_err(),
        "b: Schema{INT32} cannot be written as Avro's string"
    );
}

#[test]
fn values_that_do_not_fit_say_where() {
    let inner = SchemaBuilder::struct_()
        .name("I")
        .field("x", Connect::int32())
        .build()
        .unwrap();
    let schema = SchemaBuilder::struct_()
        .name("R")
        .field("i", SchemaRef::clone(&inner))
        .build()
        .unwrap();
    let avro = from_connect::from_connect(Some(&schema), &settings(&[])).unwrap();
    let error = decode(&avro, &[0x80], &settings(&[])).unwrap_err().to_string();
    assert_eq!(error, "i: x: Malformed data. It ends before the record does");
    let value = Value::from(Struct::new(schema.clone()).unwrap());
    let error = encode(Some(&schema), &value, &avro, &settings(&[]))
        .unwrap_err()
        .to_string();
    assert_eq!(error, "i: Found null value for non-optional schema");
}

#[test]
fn few_bytes_do_not_make_many_values() {
    let avro = parse::parse(
        r#"{"type":"array","items":{"type":"record","name":"E","fields":[]}}"#,
        &[],
    )
    .unwrap();
    let mut bytes = Vec::new();
    wire::long(i64::MAX, &mut bytes);
    let error = decode(&avro, &bytes, &settings(&[])).unwrap_err().to_string();
    assert!(error.contains("have no bytes"), "{error}");
    let anything = anything::schema();
    let nested = b"\0\0\0\0\0\0\0\x02\x02".repeat(10_000);
    assert!(decode(&anything, &nested, &settings(&[])).is_err());
}

#[test]
fn values_without_a_schema() {
    let value = Value::map([
        (
            Value::from("a"),
            Value::Array(vec![Value::Int64(1), Value::Null, Value::from("x")]),
        ),
        (Value::Boolean(true), Value::Float64(1.5)),
        (Value::from(vec![1u8, 2]), Value::Float32(2.5)),
    ]);
    let (schema, back) = there_and_back(None, &value, &settings(&[])).unwrap();
    assert_eq!((schema, back), (None, value));
}

#[test]
fn the_default_of_a_union_is_its_first_branchs() {
    let text = r#"{"type":"record","name":"R","fields":[{"name":"u","type":["long","string"],"default":-8},{"name":"n","type":["null","long","string"],"default":null}]}"#;
    let settings = settings(&[]);
    let avro = parse::parse(text, &[]).unwrap();
    let schema = to_connect::to_connect(&avro, None, &settings).unwrap();
    let (u, n) = (&schema.field("u").unwrap().schema, &schema.field("n").unwrap().schema);
    let default = u
        .default()
        .map(|value| value.as_struct().unwrap().get("long").unwrap().clone());
    assert_eq!(default, Some(Value::Int64(-8)));
    assert_eq!((n.optional(), n.default()), (true, None));
    for of in [u, n] {
        assert_eq!(
            of.parameters().unwrap()["io.confluent.connect.avro.field.default"],
            "true"
        );
    }
    let back = print::print(&from_connect::from_connect(Some(&schema), &settings).unwrap());
    for part in [
        r#"{"name":"u","type":["long","string"],"default":-8}"#,
        r#"{"name":"n","type":["null","long","string"],"default":null}"#,
    ] {
        assert!(back.contains(part), "{back}");
    }
}

#[test]
fn entries_of_equal_maps_are_one_record() {
    let map = |key: SchemaRef| SchemaBuilder::map(key, Connect::string()).build().unwrap();
    let schema = SchemaBuilder::struct_().name("R");
    let schema = schema
        .field("a", map(Connect::int32()))
        .field("b", map(Connect::int32()));
    let schema = schema.field("c", map(Connect::int64())).build().unwrap();
    let printed = print::print(&from_connect::from_connect(Some(&schema), &settings(&[])).unwrap());
    for part in [
        r#""name":"MapEntry","namespace":"io.confluent.connect.avro","fields""#,
        r#"{"name":"b","type":{"type":"array","items":"io.confluent.connect.avro.MapEntry"}}"#,
        r#""name":"MapEntry2""#,
    ] {
        assert!(printed.contains(part), "{printed}");
    }
    assert!(!printed.contains("MapEntry3"), "{printed}");
}

#[test]
fn defaults_of_floats_have_a_point_or_an_exponent() {
    let float = |value: Value| {
        SchemaBuilder::of(if matches!(value, Value::Float32(_)) {
            Type::Float32
        } else {
            Type::Float64
        })
        .default_value(value)
        .build()
        .unwrap()
    };
    for (value, expected) in [
        (
            Value::Float32(2.779_168_4e28),
            r#"{"type":"float","connect.default":2.7791684e+28}"#,
        ),
        (Value::Float32(1.0), r#"{"type":"float","connect.default":1.0}"#),
        (Value::Float64(1e-7), r#"{"type":"double","connect.default":1.0e-7}"#),
        (Value::Float64(f64::NAN), r#""double""#),
    ] {
        check_schema(float(value), &[], expected);
    }
}

fn schema_and_value() -> impl Strategy<Value = (SchemaRef, Value)> {
    (arbitrary::schema_and_values(), 0..3_usize)
        .prop_map(|((schema, values), at)| (schema, values[at].clone()))
        // A message that is null has no bytes, and no schema.
        .prop_filter("a message", |(_, value)| !value.is_null())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_schema_and_value_comes_back((schema, value) in schema_and_value()) {
        let settings = settings(&[("enhanced.avro.schema.support", "true")]);
        let (back, found) = there_and_back(Some(&schema), &value, &settings).unwrap();
        prop_assert_eq!(back.unwrap(), schema);
        prop_assert_eq!(found, value);
    }

    #[test]
    fn without_meta_data_the_value_comes_back((schema, value) in schema_and_value()) {
        let settings = settings(&[("connect.meta.data", "false"), ("scrub.invalid.names", "true")]);
        // Its schema has no longer all that the first one had; with that it stays the same.
        let (first, value) = there_and_back(Some(&schema), &value, &settings).unwrap();
        let (second, found) = there_and_back(first.as_ref(), &value, &settings).unwrap();
        prop_assert_eq!(second, first);
        prop_assert_eq!(found, value);
    }

    #[test]
    fn any_bytes_are_read_or_refused((schema, _) in schema_and_value(), bytes: Vec<u8>) {
        let settings = settings(&[]);
        let avro = from_connect::from_connect(Some(&schema), &settings).unwrap();
        drop(decode(&avro, &bytes, &settings));
        drop(decode(&anything::schema(), &bytes, &settings));
    }

    #[test]
    fn damaged_bytes_are_read_or_refused(
        (schema, value) in schema_and_value(), at: prop::sample::Index, to: u8, cut: prop::sample::Index,
    ) {
        let settings = settings(&[]);
        let avro = from_connect::from_connect(Some(&schema), &settings).unwrap();
        let mut bytes = encode(Some(&schema), &value, &avro, &settings).unwrap();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = to;
            drop(decode(&avro, &bytes, &settings));
            drop(decode(&avro, &bytes[..cut.index(bytes.len())], &settings));
        }
    }

    #[test]
    fn any_text_is_a_schema_or_refused(text in r#"[\[\]{}:,"a-z]{0,40}"#) {
        if let Ok(schema) = parse::parse(&text, &[]) {
            drop(to_connect::to_connect(&schema, None, &settings(&[])));
        }
    }
}
