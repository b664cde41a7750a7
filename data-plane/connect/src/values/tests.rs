//! Tests of `values`.

use proptest::prelude::*;

use super::*;
use crate::logical;
use crate::schema::{Schema, SchemaBuilder, SchemaRef, Type};
use crate::structs::Struct;
use crate::value::Value;

/// A schema in short: `INT8`, `Date`, `ARRAY<INT8>`, `MAP<STRING,?>`.
fn show(schema: Option<&SchemaRef>) -> String {
    let Some(schema) = schema else { return "?".to_owned() };
    if let Some(name) = schema.name() {
        return name.rsplit('.').next().unwrap_or(name).to_owned();
    }
    let (key, value) = (schema.key_schema_opt(), schema.value_schema_opt());
    if schema.type_() == Type::Array {
        return format!("ARRAY<{}>", show(value));
    }
    if schema.type_() == Type::Map {
        return format!("MAP<{},{}>", show(key), show(value));
    }
    schema.type_().upper().to_owned()
}

fn check_parse(text: &str, schema: &str, value: &str) {
    let found = parse_string(text);
    let shown = if let Value::Date(millis) = found.value {
        millis.to_string()
    } else {
        found.value.java_to_string()
    };
    assert_eq!(
        (show(found.schema.as_ref()).as_str(), shown.as_str()),
        (schema, value),
        "{text:?}"
    );
}

/// The text is taken as it is.
fn check_string(text: &str) {
    check_parse(text, "STRING", text);
}

#[test]
fn plain_text_is_a_string() {
    for text in [
        "",
        " ",
        "a",
        "null=",
        "true}",
        "false]",
        "nulls",
        "True",
        "+",
        "-",
        ".5",
        "1x",
        "1_000",
        "0x10",
        "\u{ffff}",
        "\\",
        "string with delimiters: <>?,./\\=+-!@#$%^&*(){}[]|;':",
        "three\"blind\\\"mice",
        "\"quoted\"",
        "a:b",
        "]",
        "}",
        " padded ",
        "1e",
        "1e99999999999",
        "--1",
    ] {
        check_string(text);
    }
}

#[test]
fn literals() {
    check_parse("null", "?", "null");
    check_parse("\n\t null \n", "?", "null");
    check_parse(" true ", "BOOLEAN", "true");
    check_parse("false", "BOOLEAN", "false");
}

#[test]
fn numbers_take_the_smallest_type() {
    for (text, schema, value) in [
        ("0", "INT8", "0"),
        ("+3", "INT8", "3"),
        ("-128", "INT8", "-128"),
        ("128", "INT16", "128"),
        ("32768", "INT32", "32768"),
        ("-2147483649", "INT64", "-2147483649"),
        ("9223372036854775807", "INT64", "9223372036854775807"),
        ("-9223372036854775808", "INT64", "-9223372036854775808"),
        ("9223372036854775808", "Decimal", "9223372036854775808"),
        (
            "123456789012345678901234567890",
            "Decimal",
            "123456789012345678901234567890",
        ),
        ("1.0", "INT8", "1"),
        ("1.", "INT8", "1"),
        ("1e2", "INT8", "100"),
        ("1e5", "INT32", "100000"),
        ("0e99999", "INT8", "0"),
        ("1.5", "FLOAT32", "1.5"),
        ("0.1234567890123", "FLOAT32", "0.12345679"),
        ("1e30", "FLOAT32", "1.0E30"),
        ("1.5e300", "FLOAT64", "1.5E300"),
        ("1e-999999999", "FLOAT32", "0.0"),
        ("1e999999999", "Decimal", "1E+999999999"),
        (" 42 ", "INT8", "42"),
    ] {
        check_parse(text, schema, value);
    }
}

#[test]
fn dates_and_times() {
    const MORNING: &str = "1566570894346";
    for (text, schema, value) in [
        ("2019-08-23", "Date", "1566518400000"),
        ("2019-08-23T14:34:54.346Z", "Timestamp", MORNING),
        ("2019-08-23T14\\:34\\:54.346Z", "Timestamp", MORNING),
        ("14:34:54.346Z", "Time", "52494346"),
        ("14\\:34\\:54.346Z", "Time", "52494346"),
        ("2019-13-01", "Date", "1577836800000"),
        ("2019-8-23x", "Date", "1566518400000"),
        ("25:00:00.000Z", "Time", "90000000"),
        ("14:34:54.3E6Z", "Time", "55494000"),
        ("2-1E-08-23", "Date", "-62105011200000"),
        ("2E19-08-23", "Date", "-6019000072623806464"),
        ("1500-01-01", "Date", "-14830992000000"),
    ] {
        check_parse(text, schema, value);
    }
    check_string("2019-08-23T14:34:54.346X");
    check_string("2019/08/23");
}

#[test]
fn blanks_before_a_broken_container_are_all_that_is_left() {
    // Connect loses the rest here, and so do we.
    check_parse(" {0", "STRING", " ");
    check_parse("\t[x]", "STRING", "\t");
}

#[test]
fn what_follows_a_number_or_container_is_ignored() {
    check_parse("1,2,3", "INT8", "1");
    check_parse("123:abc", "INT8", "123");
    check_parse("2019-08-23:x", "Date", "1566518400000");
    check_parse("[1]x", "ARRAY<INT8>", "[1]");
    check_parse("{}x", "MAP<?,?>", "{}");
}

#[test]
fn arrays() {
    for (text, schema, value) in [
        ("[]", "ARRAY<?>", "[]"),
        ("[null]", "ARRAY<?>", "[null]"),
        ("[[]]", "ARRAY<ARRAY<?>>", "[[]]"),
        ("[{}]", "ARRAY<MAP<?,?>>", "[{}]"),
        ("[1, 2, 32768]", "ARRAY<INT32>", "[1, 2, 32768]"),
        ("[1, 2,]", "ARRAY<INT8>", "[1, 2]"),
        ("[true, false]", "ARRAY<BOOLEAN>", "[true, false]"),
        ("[\"a\", \"b c\"]", "ARRAY<STRING>", "[a, b c]"),
        ("[9223372036854775807, 1.5]", "ARRAY<FLOAT32>", "[9.223372E18, 1.5]"),
        ("[1, 2, 3.4028235E38]", "ARRAY<FLOAT32>", "[1.0, 2.0, 3.4028235E38]"),
        (
            "[1, 2, 1.7976931348623157E308]",
            "ARRAY<FLOAT64>",
            "[1.0, 2.0, 1.7976931348623157E308]",
        ),
        ("[1, 300, \"four\"]", "ARRAY<?>", "[1, 300, four]"),
        ("[\"four\", 1, 300]", "ARRAY<?>", "[four, 1, 300]"),
        ("[2019-08-23]", "ARRAY<Date>", "[Fri Aug 23 00:00:00 UTC 2019]"),
        ("[\"14:34:54.346Z\"]", "ARRAY<Time>", "[Thu Jan 01 14:34:54 UTC 1970]"),
        (
            "[14:34:54.346Z,  15:00:00.000Z]",
            "ARRAY<Time>",
            "[Thu Jan 01 14:34:54 UTC 1970, Thu Jan 01 15:00:00 UTC 1970]",
        ),
        (
            "[70000, 1970-01-02]",
            "ARRAY<Date>",
            "[Thu Aug 27 00:00:00 UTC 2161, Fri Jan 02 00:00:00 UTC 1970]",
        ),
    ] {
        check_parse(text, schema, value);
    }
    for text in [
        "[foo]",
        "[0 1 2]",
        "[1, null]",
        "[null, 1]",
        "[1, 2, 3,,,]",
        "[,1]",
        "[",
        "[1",
        "[1,",
        "[[1]",
        "[1970-01-02, 70000]",
    ] {
        check_string(text);
    }
}

#[test]
fn maps() {
    for (text, schema, value) in [
        ("{}", "MAP<?,?>", "{}"),
        ("{3: null}", "MAP<INT8,?>", "{3=null}"),
        ("{\"a\":{}}", "MAP<STRING,MAP<?,?>>", "{a={}}"),
        ("{\"a\":[]}", "MAP<STRING,ARRAY<?>>", "{a=[]}"),
        (
            "{true: false, false: true}",
            "MAP<BOOLEAN,BOOLEAN>",
            "{true=false, false=true}",
        ),
        (
            " { \"foo\" :  12345 , \"bar\" : 0,  \"baz\" : -4321 }  ",
            "MAP<STRING,INT16>",
            "{foo=12345, bar=0, baz=-4321}",
        ),
        ("{1:1 , 300:300, \"four\":1}", "MAP<?,?>", "{1=1, 300=300, four=1}"),
        ("{1:1, 300:\"four\"}", "MAP<INT16,?>", "{1=1, 300=four}"),
        ("{\"a\":1\"b\":2}", "MAP<STRING,INT8>", "{a=1, b=2}"),
        ("{\"a\":1,\"a\":2}", "MAP<STRING,INT8>", "{a=2}"),
        (
            "{\"k\":14:34:54.346Z}",
            "MAP<STRING,Time>",
            "{k=Thu Jan 01 14:34:54 UTC 1970}",
        ),
    ] {
        check_parse(text, schema, value);
    }
    for text in [
        "{foo: 3}",
        "{3: foo}",
        "{6:9 4:20}",
        "{null: 3}",
        "{1}",
        "{1:2",
        "{,}",
        "{\"a\":1,,\"b\":2}",
        "{1:null,2:3}",
    ] {
        check_string(text);
    }
}

#[test]
fn quoted_strings_keep_escapes_and_lose_some_blanks() {
    check_parse(r#"["a\"b"]"#, "ARRAY<STRING>", r#"[a\"b]"#);
    check_parse(r#"["  "]"#, "ARRAY<STRING>", "[]");
    check_parse(r#"["a, ,b"]"#, "ARRAY<STRING>", "[a,,b]");
    check_parse(r#"["a: b"]"#, "ARRAY<STRING>", "[a: b]");
    check_string(r#"["a"#);
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(parse_string(&nested(100)).schema.unwrap().type_(), Type::Array);
    check_string(&nested(100_000));
    check_string(&"{1:".repeat(100_000));
}

#[test]
fn values_print_as_header_text() {
    let schema = SchemaBuilder::struct_()
        .field("a", SchemaBuilder::int32().default_value(5.into()).build().unwrap())
        .field("b", Schema::optional_string())
        .build()
        .unwrap();
    let map = Value::map([("k\"\\".into(), 1.into()), (2.into(), Value::bytes([1]))]);
    for (value, expected) in [
        (true.into(), "true"),
        (1.0.into(), "1.0"),
        (1e10.into(), "1.0E10"),
        ("as \"is\"".into(), "as \"is\""),
        (Value::bytes([1, 2, 3]), "AQID"),
        (
            Value::Array(vec!["a".into(), Value::Null, Value::bytes([1])]),
            "[\"a\",null,\"AQ==\"]",
        ),
        (map, r#"{"k\"\\":1,2:"AQ=="}"#),
        (Struct::new(schema).unwrap().into(), r#"{"a":5,"b":null}"#),
        (Value::Decimal(parse_decimal("1.50").unwrap()), "1.50"),
        (Value::Date(0), "00:00:00.000Z"),
        (Value::Date(-1), "23:59:59.999Z"),
        (Value::Date(86_400_000), "1970-01-02"),
        (Value::Date(1_566_570_894_346), "2019-08-23T14:34:54.346Z"),
    ] {
        assert_eq!(convert_to_string(&value).as_deref(), Some(expected));
    }
    assert_eq!(convert_to_string(&Value::Null), None);
}

#[test]
fn numbers_are_cut_like_java_casts() {
    let decimal = |text: &str| Value::Decimal(parse_decimal(text).unwrap());
    let long = |value: Value| convert_to_long(None, &value).unwrap();
    assert_eq!(convert_to_byte(None, &"300".into()).unwrap(), Some(44));
    assert_eq!(convert_to_short(None, &70_000.into()).unwrap(), Some(4464));
    assert_eq!(convert_to_integer(None, &(1_i64 << 32).into()).unwrap(), Some(0));
    assert_eq!(long("3.99".into()), Some(3));
    assert_eq!(long("-3.99".into()), Some(-3));
    assert_eq!(long(f64::NAN.into()), Some(0));
    assert_eq!(long(1e300.into()), Some(i64::MAX));
    assert_eq!(long(decimal("18446744073709551617")), Some(1));
    assert_eq!(long(decimal("-18446744073709551617")), Some(-1));
    assert_eq!(long(decimal("9223372036854775808")), Some(i64::MIN));
    assert_eq!(long(decimal("1e999999999")), Some(0));
    assert_eq!(long(decimal("1e-999999999")), Some(0));
    assert_eq!(long(decimal("2.5e1")), Some(25));
    assert_eq!(long(Value::Null), None);
    assert_eq!(convert_to_float(None, &"0.1".into()).unwrap(), Some(0.1));
    assert_eq!(
        convert_to_double(None, &0.1_f32.into()).unwrap(),
        Some(f64::from(0.1_f32))
    );
    assert_eq!(
        convert_to_long(None, &"abc".into()).unwrap_err().to_string(),
        "Unable to convert abc (class java.lang.String) to a number"
    );
    assert_eq!(
        convert_to_long(Some(&Schema::string()), &"abc".into())
            .unwrap_err()
            .to_string(),
        "Unable to convert abc (class java.lang.String) to Schema{STRING}"
    );
}

#[test]
fn booleans() {
    let convert = |value: Value| convert_to_boolean(None, &value).map_err(|error| error.to_string());
    assert_eq!(convert(true.into()), Ok(Some(true)));
    assert_eq!(convert(" false ".into()), Ok(Some(false)));
    assert_eq!(convert("0".into()), Ok(Some(false)));
    assert_eq!(convert(2.into()), Ok(Some(true)));
    assert_eq!(convert(Value::Null), Ok(None));
    assert!(convert("\"green\"".into()).is_err());
}

#[test]
fn dates_convert_by_what_they_were() {
    const MILLIS: i64 = 1_566_570_894_346;
    let (date, time, timestamp) = (
        logical::date_schema(),
        logical::time_schema(),
        logical::timestamp_schema(),
    );
    let value = Value::Date(MILLIS);
    assert_eq!(convert_to_date(Some(&timestamp), &value).unwrap(), 1_566_518_400_000);
    assert_eq!(convert_to_time(Some(&timestamp), &value).unwrap(), 52_494_346);
    assert_eq!(convert_to_timestamp(Some(&timestamp), &value).unwrap(), MILLIS);
    assert_eq!(
        convert_to_timestamp(Some(&date), &Value::Date(86_400_000)).unwrap(),
        86_400_000
    );
    assert_eq!(convert_to_timestamp(Some(&time), &Value::Date(5)).unwrap(), 5);
    assert_eq!(convert_to_date(None, &value).unwrap(), MILLIS);
    assert_eq!(convert_to_date(None, &"2019-08-23".into()).unwrap(), 1_566_518_400_000);
    assert_eq!(convert_to_date(None, &2.into()).unwrap(), 172_800_000);
    assert_eq!(convert_to_timestamp(None, &"12".into()).unwrap(), 12);
    assert_eq!(
        convert_to_long(Some(&date), &Value::Date(172_800_000)).unwrap(),
        Some(2)
    );
    assert_eq!(
        convert_to_time(None, &Value::Null).unwrap_err().to_string(),
        "Unable to convert a null value to a schema that requires a value"
    );
    assert!(convert_to_long(None, &value).is_err());
}

#[test]
fn decimals() {
    let show = |value: Value, scale| {
        convert_to_decimal(&value, scale)
            .map(|found| crate::value::decimal_to_string(&found))
            .map_err(|e| e.to_string())
    };
    assert_eq!(show("1.500".into(), 1).unwrap(), "1.500");
    assert_eq!(show(1.into(), 0).unwrap(), "1.0");
    assert_eq!(show(0.1.into(), 9).unwrap(), "0.1");
    assert_eq!(show(Value::bytes([0, 156]), 2).unwrap(), "1.56");
    assert_eq!(
        show(true.into(), 0).unwrap_err(),
        "Unable to convert true (class java.lang.Boolean) to Schema{org.apache.kafka.connect.data.Decimal:BYTES}"
    );
    assert!(show(Value::Null, 0).is_err());
}

#[test]
fn containers_pass_or_are_parsed() {
    assert_eq!(
        convert_to_list(&"[1, 2]".into()).unwrap(),
        vec![1_i8.into(), 2_i8.into()]
    );
    assert_eq!(
        convert_to_map(&"{1:2}".into()).unwrap(),
        vec![(1_i8.into(), 2_i8.into())]
    );
    assert!(convert_to_list(&"[1, 2, 3,,,]".into()).is_err());
    assert_eq!(
        convert_to_map(&"x".into()).unwrap_err().to_string(),
        "Unable to convert x (class java.lang.String) to Schema{MAP}"
    );
    assert!(convert_to_struct(&"".into()).is_err());
    assert!(convert_to_struct(&Value::Null).is_err());
}

#[test]
fn schemas_are_inferred() {
    let check = |value: Value, expected: &str| {
        let found = infer_schema(&value).unwrap();
        assert_eq!(show(found.as_ref()), expected, "{value}");
    };
    check(1_i16.into(), "INT16");
    check(Value::bytes([1]), "BYTES");
    check(Value::Null, "?");
    check(Value::Date(0), "?");
    check(Value::Array(vec![]), "?");
    check(Value::Array(vec![1.into(), Value::Null]), "ARRAY<INT32>");
    check(Value::Array(vec![1.into(), "x".into()]), "?");
    check(Value::Array(vec![Value::Array(vec![1.into()])]), "ARRAY<ARRAY<?>>");
    check(Value::map([("a".into(), 1.into())]), "MAP<STRING,INT32>");
    check(Value::map([("a".into(), Value::Date(0))]), "?");
    let with_null = infer_schema(&Value::Array(vec![1.into(), Value::Null]))
        .unwrap()
        .unwrap();
    assert!(with_null.value_schema().unwrap().optional());
    let error = infer_schema(&Value::Array(vec![Value::Null])).unwrap_err();
    assert_eq!(error.to_string(), "type cannot be null");
}

#[test]
fn decimal_syntax_is_javas() {
    for text in [
        "",
        "+",
        ".",
        "e1",
        "1e",
        "1e+",
        "1.2.3",
        "1 ",
        "+-1",
        "1e99999999999",
        "Infinity",
        "1f",
    ] {
        assert_eq!(parse_decimal(text), None, "{text:?}");
    }
    for text in ["1", "+1", "-.5", "1.", "1E+5", "1e-5", "00"] {
        assert!(parse_decimal(text).is_some(), "{text:?}");
    }
}

/// Values whose text means them again.
fn plain_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Int64),
        any::<f32>()
            .prop_filter("finite", |v| v.is_finite())
            .prop_map(Value::Float32),
        "[a-z]{1,8}".prop_map(|text| Value::String(text.into())),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec(("[a-z]{1,4}", inner), 0..4)
                .prop_map(|entries| Value::map(entries.into_iter().map(|(key, value)| (key.into(), value)))),
        ]
    })
}

proptest! {
    #[test]
    fn parsing_never_panics(text: String) {
        let found = parse_string(&text);
        prop_assert!(found.schema.is_some() || found.value.is_null());
    }

    #[test]
    fn parsing_tokens_never_panics(tokens in proptest::collection::vec(
        prop_oneof!["[:,{}\\[\\]\"\\\\ ]", "[0-9]{1,4}", "(null|true|false|-|\\+|Z|T|e|\\.|é)"], 0..40)) {
        let text = tokens.concat();
        let found = parse_string(&text);
        if found.schema == Some(Schema::string()) {
            let found = found.value.as_str().unwrap();
            prop_assert!(found == text || found.trim().is_empty(), "{found:?}");
        }
    }

    #[test]
    fn printing_what_was_parsed_is_stable(value in plain_value()) {
        let text = convert_to_string(&value).unwrap();
        let parsed = parse_string(&text).value;
        let again = convert_to_string(&parsed).unwrap_or_default();
        prop_assert_eq!(convert_to_string(&parse_string(&again).value).unwrap_or_default(), again);
    }

    #[test]
    fn integers_read_back(number: i64) {
        let text = number.to_string();
        let value = parse_string(&text).value;
        // Ten digits and more can be read as a date, but only with its dashes.
        prop_assert_eq!(convert_to_long(None, &value).unwrap(), Some(number));
    }
}
