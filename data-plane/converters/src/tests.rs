//! Tests of the converters against the reference's tables. What the real Kafka Connect does is compared in `tests/oracle`.

use std::sync::Arc;

use dray_connect::ConfigMap;
use dray_connect::backing::Backing;
use dray_connect::datum::{Datum, Utf8Span, ValueRef};
use dray_connect::logical;
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef};
use dray_connect::structs::Struct;
use dray_connect::value::{SchemaAndValue, Value};

use crate::{
    CLASSES, Converter, Input, WITH_REGISTRY, Written, class_name, converter, header_converter, to_connect_owned,
};

fn config(pairs: &[(&str, &str)]) -> ConfigMap {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn json(pairs: &[(&str, &str)]) -> Box<dyn Converter> {
    converter("JsonConverter", &config(pairs), false).unwrap()
}

/// The text written for a value, `<null>` for no bytes, or the error.
fn written(converter: &mut dyn Converter, schema: Option<&SchemaRef>, value: &Value) -> String {
    let mut scratch = b"kept".to_vec();
    let text = match converter.from_connect("topic", schema, ValueRef::from(value), &mut scratch) {
        Ok(Written::Null) => "<null>".to_owned(),
        Ok(Written::Same(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Ok(Written::Scratch(range)) => String::from_utf8_lossy(&scratch[range]).into_owned(),
        Err(error) => {
            assert_eq!(scratch, b"kept", "an error must leave the scratch buffer as it was");
            error.to_string()
        }
    };
    assert!(scratch.starts_with(b"kept"));
    // The same value in a batch is written the same.
    let mut batch = Backing::default();
    let datum = batch.value(value);
    scratch.clear();
    match converter.from_connect("topic", schema, datum.view(&batch), &mut scratch) {
        Ok(Written::Null) => assert_eq!(text, "<null>"),
        Ok(Written::Same(bytes)) => assert_eq!(text, String::from_utf8_lossy(bytes)),
        Ok(Written::Scratch(range)) => assert_eq!(text, String::from_utf8_lossy(&scratch[range])),
        Err(error) => assert_eq!(text, error.to_string()),
    }
    text
}

fn read(converter: &mut dyn Converter, text: &str) -> Result<Value, String> {
    let read = to_connect_owned(converter, "topic", Some(text.as_bytes()), &mut Backing::default());
    read.map(|read| read.value).map_err(|error| error.to_string())
}

#[test]
fn classes_answer_to_their_names_and_aliases() {
    let config = config(&[("schema.registry.url", "http://localhost:1")]);
    for class in CLASSES {
        let simple = class.rsplit('.').next().unwrap();
        for name in [class, simple, simple.strip_suffix("Converter").unwrap()] {
            assert_eq!(converter(name, &config, true).unwrap().class(), *class);
            let header = header_converter(name, &config).map(|header| header.class());
            assert_eq!(header.ok(), Some(*class).filter(|class| !WITH_REGISTRY.contains(class)));
        }
    }
    let apicurio = "io.apicurio.registry.utils.converter.AvroConverter";
    assert_eq!(
        converter(apicurio, &config, true).unwrap().class(),
        class_name("Avro").unwrap()
    );
    let error = converter("Nope", &ConfigMap::new(), true).err().unwrap();
    let text = "Invalid value Nope for configuration key.converter: Class Nope could not be found.";
    assert_eq!(error.to_string(), text);
    assert!(header_converter("Simple", &ConfigMap::new()).is_ok());
}

#[test]
fn text_and_bytes_are_not_copied() {
    let mut string = converter("String", &ConfigMap::new(), false).unwrap();
    let mut scratch = Vec::new();
    let text = "Zoë".as_bytes();
    let written = string
        .from_connect("t", None, ValueRef::Str(text), &mut scratch)
        .unwrap();
    assert!(matches!(written, Written::Same(same) if std::ptr::eq(same, text)));
    let mut batch = Backing::default();
    let span = batch.adopt(text.to_vec().into());
    let input = Some(Input { bytes: text, span });
    let read = string.to_connect("t", input, &mut batch).unwrap().datum;
    assert_eq!(read, Datum::Str(Utf8Span::new(&batch, span).unwrap()));
    let mut bytes = converter("ByteArray", &ConfigMap::new(), false).unwrap();
    let written = bytes
        .from_connect("t", None, ValueRef::Bytes(text), &mut scratch)
        .unwrap();
    assert!(matches!(written, Written::Same(same) if std::ptr::eq(same, text)));
    let read = bytes.to_connect("t", input, &mut batch).unwrap().datum;
    assert_eq!(read, Datum::Bytes(span));
    assert!(scratch.is_empty());
}

#[test]
fn strings_print_as_in_java() {
    let mut string = converter("String", &ConfigMap::new(), false).unwrap();
    let map = Value::map([(Value::from("k"), Value::Array(vec![Value::Int32(1), Value::Null]))]);
    assert_eq!(written(&mut *string, None, &map), "{k=[1, null]}");
    assert_eq!(written(&mut *string, None, &Value::Null), "<null>");
    assert_eq!(written(&mut *string, None, &Value::Float64(1e10)), "1.0E10");
    let broken = to_connect_owned(&mut *string, "t", Some(b"a\xff"), &mut Backing::default());
    assert_eq!(broken.unwrap().value, Value::from("a\u{fffd}"));
    let error = converter("String", &config(&[("converter.encoding", "KOI8-R")]), false)
        .err()
        .unwrap();
    assert!(
        error
            .to_string()
            .starts_with("Invalid value KOI8-R for configuration converter.encoding: "),
        "{error}"
    );
}

#[test]
fn wrong_classes_are_refused_by_the_plain_converters() {
    let text = Value::from("x");
    for (class, expected) in [
        ("Long", "Failed to serialize to long (was class java.lang.String): "),
        (
            "Boolean",
            "BooleanConverter is not compatible with objects of type class java.lang.String",
        ),
        (
            "ByteArray",
            "ByteArrayConverter is not compatible with objects of type class java.lang.String",
        ),
    ] {
        assert_eq!(
            written(&mut *converter(class, &ConfigMap::new(), false).unwrap(), None, &text),
            expected
        );
    }
    for class in ["Boolean", "ByteArray"] {
        let mut converter = converter(class, &ConfigMap::new(), false).unwrap();
        let expected = format!("Invalid schema type for {class}Converter: STRING");
        assert_eq!(written(&mut *converter, Some(&Schema::string()), &text), expected);
    }
}

#[test]
fn json_with_schemas_writes_the_example_of_the_reference() {
    let schema = SchemaBuilder::struct_()
        .name("R")
        .field("ts", logical::timestamp_schema())
        .field("s", Schema::optional_string())
        .build()
        .unwrap();
    let mut record = Struct::new(Arc::clone(&schema)).unwrap();
    record.put("ts", Value::Date(1)).unwrap();
    let expected = concat!(
        r#"{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"name":"org.apache.kafka.connect.data.Timestamp","#,
        r#""version":1,"field":"ts"},{"type":"string","optional":true,"field":"s"}],"optional":false,"name":"R"},"#,
        r#""payload":{"ts":1,"s":null}}"#
    );
    let mut converter = json(&[]);
    assert_eq!(
        written(&mut *converter, Some(&schema), &record.clone().into()),
        expected
    );
    let bytes = Some(expected.as_bytes());
    let found = to_connect_owned(&mut *converter, "t", bytes, &mut Backing::default()).unwrap();
    assert_eq!(found, SchemaAndValue::new(schema, record));
    assert_eq!(
        written(&mut *converter, None, &Value::Int8(1)),
        r#"{"schema":null,"payload":1}"#
    );
    assert_eq!(written(&mut *converter, None, &Value::Null), "<null>");
}

#[test]
fn json_values_without_schemas() {
    let mut converter = json(&[("schemas.enable", "false")]);
    for (value, expected) in [
        (Value::Int64(-7), "-7"),
        (Value::Float32(f32::NAN), "\"NaN\""),
        (Value::Float64(f64::NEG_INFINITY), "\"-Infinity\""),
        (Value::Float64(1e10), "1.0E10"),
        (
            Value::from("\u{1f}\u{8}\"\\/é€\u{7f}😀"),
            "\"\\u001F\\b\\\"\\\\/é€\u{7f}\\uD83D\\uDE00\"",
        ),
        (Value::bytes(vec![1_u8, 2]), "\"AQI=\""),
        (Value::Map(Vec::new()), "{}"),
        (Value::Map(vec![(Value::Int8(1), Value::Null)]), "[[1,null]]"),
        (
            Value::Map(vec![(Value::from("a"), Value::Array(Vec::new()))]),
            "{\"a\":[]}",
        ),
        (
            Value::Date(0),
            "Java class java.util.Date does not have corresponding schema type.",
        ),
    ] {
        assert_eq!(written(&mut *converter, None, &value), expected);
    }
}

#[test]
fn json_values_that_do_not_fit_their_schema() {
    let mut converter = json(&[("schemas.enable", "false")]);
    let date = logical::date_schema();
    let required_default = SchemaBuilder::int32().default_value(Value::Int32(7)).build().unwrap();
    for (schema, value, expected) in [
        (
            Schema::int32(),
            Value::from("x"),
            "Invalid type for INT32: class java.lang.String",
        ),
        (
            Schema::bytes(),
            Value::from("x"),
            "Invalid type for bytes type: class java.lang.String",
        ),
        (
            Schema::int32(),
            Value::Null,
            "Conversion error: null value for field that is required and has no default value",
        ),
        (
            date,
            Value::Int32(1),
            "Invalid type for Date, expected Date but was class java.lang.Integer",
        ),
        (required_default, Value::Null, "7"),
        (Schema::optional_int32(), Value::Null, "null"),
    ] {
        assert_eq!(written(&mut *converter, Some(&schema), &value), expected);
    }
}

#[test]
fn json_decimals() {
    let decimal = Value::Decimal("1.50".parse().unwrap());
    let schema = logical::decimal_schema(2);
    let mut base64 = json(&[("schemas.enable", "false")]);
    let mut numeric = json(&[("schemas.enable", "false"), ("decimal.format", "numeric")]);
    assert_eq!(written(&mut *base64, Some(&schema), &decimal), "\"AJY=\"");
    assert_eq!(written(&mut *numeric, Some(&schema), &decimal), "1.50");
    let error = crate::JsonConverter::new(&config(&[("decimal.format", "hex")])).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("Invalid value hex for configuration decimal.format: ")
    );
}

#[test]
fn a_known_schema_is_shared_and_a_changed_one_noticed() {
    let mut converter = json(&[]);
    let mut schema_of = |text: &str| {
        let bytes = Some(text.as_bytes());
        let read = to_connect_owned(&mut *converter, "t", bytes, &mut Backing::default());
        read.unwrap().schema.unwrap()
    };
    let first = schema_of(r#"{"schema":{"type":"int32"},"payload":1}"#);
    let second = schema_of(r#"{"schema":{"type":"int32"},"payload":2}"#);
    assert!(Arc::ptr_eq(&first, &second));
    let other = schema_of(r#"{"schema":{"type":"int64"},"payload":2}"#);
    assert_eq!(other, Schema::int64());
    let last_wins = schema_of(r#"{"schema":{"type":"int64"},"schema":{"type":"string"},"payload":"x"}"#);
    assert_eq!(last_wins, Schema::string());
    let again = schema_of(r#"{"payload":3,"schema":{"type":"int32"}}"#);
    assert!(Arc::ptr_eq(&first, &again));
}

#[test]
fn a_fixed_schema_reads_the_bare_payload() {
    let mut converter = json(&[("schema.content", r#"{"type":"int16","optional":true}"#)]);
    assert_eq!(read(&mut *converter, "5"), Ok(Value::Int16(5)));
    let broken = crate::JsonConverter::new(&config(&[("schema.content", "{")])).unwrap_err();
    assert_eq!(
        broken.to_string(),
        "Failed to parse schema in converter config due to serialization error: "
    );
}

#[test]
fn nesting_to_the_limit_fits_the_stack_of_a_thread() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let value = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        let mut converter = json(&[("schemas.enable", "false")]);
        let deepest = read(&mut *converter, &value(1000)).unwrap();
        assert_eq!(written(&mut *converter, None, &deepest), value(1000));
        assert!(read(&mut *converter, &value(1001)).is_err());
        let too_deep = Value::Array(vec![deepest]);
        let text = "Converting Kafka Connect data to byte[] failed due to serialization error: ";
        assert_eq!(written(&mut *converter, None, &too_deep), text);
    }
}

#[test]
fn headers_go_through_text_or_through_a_converter() {
    let mut simple = header_converter("SimpleHeaderConverter", &ConfigMap::new()).unwrap();
    let mut out = b"x".to_vec();
    let value = SchemaAndValue::new(Schema::int32(), Value::Int32(300));
    let range = simple.from_connect_header("t", "h", &value, &mut out).unwrap().unwrap();
    assert_eq!(&out[range], b"300");
    assert_eq!(
        simple
            .from_connect_header("t", "h", &SchemaAndValue::NULL, &mut out)
            .unwrap(),
        None
    );
    let read = simple.to_connect_header("t", "h", Some(b"300")).unwrap();
    assert_eq!(read, SchemaAndValue::new(Schema::int16(), Value::Int16(300)));
    assert_eq!(simple.to_connect_header("t", "h", None).unwrap(), SchemaAndValue::NULL);
    let mut string = header_converter("StringConverter", &ConfigMap::new()).unwrap();
    let read = string.to_connect_header("t", "h", Some(b"300")).unwrap();
    assert_eq!(read, SchemaAndValue::new(Schema::optional_string(), Value::from("300")));
}

#[test]
fn a_schema_may_nest_a_hundred_levels() {
    let message = |levels: usize| {
        let open = r#"{"type":"struct","fields":[{"field":"a","type":"array","items":"#;
        let pairs = levels / 2;
        let (schema, payload) = (open.repeat(pairs), r#"{"a":["#.repeat(pairs));
        let (schema_end, payload_end) = ("}]}".repeat(pairs), "]}".repeat(pairs));
        format!(r#"{{"schema":{schema}{{"type":"int8"}}{schema_end},"payload":{payload}1{payload_end}}}"#)
    };
    let mut converter = json(&[]);
    let text = message(98);
    let read_98 = to_connect_owned(&mut *converter, "t", Some(text.as_bytes()), &mut Backing::default()).unwrap();
    assert!(written(&mut *converter, read_98.schema.as_ref(), &read_98.value).ends_with("}"));
    assert_eq!(
        read(&mut *converter, &message(100)).unwrap_err(),
        "Schema nests deeper than 100 levels"
    );
}
