use dray_connect::logical::{date_builder, date_schema, time_schema, timestamp_builder, timestamp_schema};
use dray_connect::schema::Schema;
use dray_connect::value::SchemaAndValue;

use super::*;
use crate::testing::{map, refused, structure, value};

const CONVERT: &str = "TimestampConverter$Value";
/// 2023-11-14T22:13:20.123Z.
const MILLIS: i64 = 1_700_000_000_123;
/// The midnight before.
const DAY: i64 = 1_699_920_000_000;
const TEXT: &str = "2023-11-14 22:13:20.123";
const FORMAT: (&str, &str) = ("format", "yyyy-MM-dd HH:mm:ss.SSS");

fn run(keys: &[(&str, &str)], given: SchemaAndValue) -> Result<SchemaAndValue, String> {
    value(CONVERT, keys, given)
}

#[test]
fn every_kind_becomes_every_other() {
    let kinds = [
        (Schema::string(), Value::from(TEXT)),
        (Schema::int64(), MILLIS.into()),
        (timestamp_schema(), Value::Date(MILLIS)),
    ];
    for (schema, given) in kinds {
        for (target, expected) in [
            ("string", SchemaAndValue::new(Schema::string(), TEXT)),
            ("unix", SchemaAndValue::new(Schema::int64(), MILLIS)),
            (
                "Date",
                SchemaAndValue {
                    schema: Some(date_schema()),
                    value: Value::Date(DAY),
                },
            ),
            (
                "Time",
                SchemaAndValue {
                    schema: Some(time_schema()),
                    value: Value::Date(MILLIS - DAY),
                },
            ),
            (
                "Timestamp",
                SchemaAndValue {
                    schema: Some(timestamp_schema()),
                    value: Value::Date(MILLIS),
                },
            ),
        ] {
            let keys = [("target.type", target), FORMAT];
            let with_schema = SchemaAndValue::new(Arc::clone(&schema), given.clone());
            assert_eq!(run(&keys, with_schema), Ok(expected.clone()));
            let schemaless = SchemaAndValue::schemaless(given.clone());
            assert_eq!(run(&keys, schemaless).unwrap().value, expected.value);
        }
    }
}

#[test]
fn times_before_the_epoch_are_of_the_day_before() {
    let at = |target, millis| {
        run(
            &[("target.type", target)],
            SchemaAndValue::schemaless(Value::Date(millis)),
        )
    };
    assert_eq!(at("Date", -1).unwrap().value, Value::Date(-86_400_000));
    assert_eq!(at("Time", -1).unwrap().value, Value::Date(86_399_999));
}

#[test]
fn a_number_counts_what_the_precision_says() {
    let convert = |precision, target, given: Value| {
        let keys = [("unix.precision", precision), ("target.type", target)];
        run(&keys, SchemaAndValue::schemaless(given)).unwrap().value
    };
    for (precision, number, millis) in [
        ("seconds", -1, -1000),
        ("seconds", i64::MAX, i64::MAX),
        ("milliseconds", 5, 5),
        ("microseconds", -1999, -1),
        ("nanoseconds", 1_999_999, 1),
    ] {
        assert_eq!(convert(precision, "Timestamp", number.into()), Value::Date(millis));
    }
    for (precision, millis, number) in [
        ("seconds", -1999, -1),
        ("milliseconds", 5, 5),
        ("microseconds", 7, 7000),
        ("nanoseconds", i64::MIN, i64::MIN),
    ] {
        assert_eq!(convert(precision, "unix", Value::Date(millis)), number.into());
    }
}

#[test]
fn null_stays_null() {
    let keys = [("target.type", "unix")];
    assert_eq!(run(&keys, SchemaAndValue::NULL), Ok(SchemaAndValue::NULL));
    let in_field = [("target.type", "unix"), ("field", "f")];
    assert_eq!(run(&in_field, SchemaAndValue::NULL), Ok(SchemaAndValue::NULL));
    let optional = timestamp_builder().optional().build().unwrap();
    let null = |schema| SchemaAndValue {
        schema: Some(schema),
        value: Value::Null,
    };
    assert_eq!(run(&keys, null(optional)), Ok(null(Schema::optional_int64())));
}

#[test]
fn a_field_of_a_map() {
    let keys = [("target.type", "unix"), ("field", "at")];
    let given = map([("at", Value::Date(7)), ("b", 1.into())]);
    assert_eq!(run(&keys, given).unwrap().value.java_to_string(), "{at=7, b=1}");
    let without = map([("b", 1.into())]);
    assert_eq!(run(&keys, without).unwrap().value.java_to_string(), "{b=1, at=null}");
    assert_eq!(
        run(&keys, SchemaAndValue::schemaless(1)),
        Err("Only Map objects supported in absence of schema for [converting timestamp formats], found: java.lang.Integer".to_owned())
    );
}

/// A struct with a timestamp and a text, both with defaults.
fn schema() -> SchemaRef {
    let at = timestamp_builder().optional().doc("d").default_value(Value::Date(9));
    let text = SchemaBuilder::string().optional().default_value("t".into());
    SchemaBuilder::struct_()
        .name("n")
        .version(2)
        .optional()
        .field("text", text.build().unwrap())
        .field("at", at.build().unwrap())
        .build()
        .unwrap()
}

#[test]
fn a_field_of_a_struct() {
    let schema = schema();
    let keys = [("target.type", "unix"), ("field", "at")];
    let result = run(&keys, structure(&schema, ["x".into(), Value::Date(7)])).unwrap();
    let expected = SchemaBuilder::struct_().name("n").version(2).optional();
    let expected = expected.field("text", Arc::clone(&schema.fields().unwrap()[0].schema));
    let expected = expected.field("at", Schema::optional_int64()).build().unwrap();
    assert_eq!(result.schema.as_ref(), Some(&expected));
    assert_eq!(result.value.java_to_string(), "Struct{text=x,at=7}");

    let nulls = || structure(&schema, [Value::Null, Value::Null]);
    assert_eq!(
        run(&keys, nulls()).unwrap().value.java_to_string(),
        "Struct{text=t,at=9}"
    );
    let keep = [&keys[..], &[("replace.null.with.default", "false")]].concat();
    assert_eq!(run(&keep, nulls()).unwrap().value.java_to_string(), "Struct{}");

    let tombstone = SchemaAndValue::new(Arc::clone(&schema), Value::Null);
    let result = run(&keys, tombstone).unwrap();
    assert_eq!((result.schema, result.value), (Some(expected), Value::Null));

    let missing = [("target.type", "unix"), ("field", "none")];
    assert_eq!(run(&missing, nulls()).unwrap().schema, Some(schema.clone()));
}

#[test]
fn the_default_of_a_struct_is_converted_too() {
    let schema = schema();
    let mut default = Struct::new(Arc::clone(&schema)).unwrap();
    default.put("at", Value::Date(7)).unwrap();
    let with_default = schema.to_builder().default_value(default.into()).build().unwrap();
    let keys = [("target.type", "Date"), ("field", "at")];
    let result = run(&keys, SchemaAndValue::new(with_default, Value::Null)).unwrap();
    let converted = result.schema.unwrap();
    assert_eq!(
        converted.field("at").unwrap().schema,
        date_builder().optional().build().unwrap()
    );
    let shown = converted.default().map(Value::java_to_string);
    assert_eq!(shown.as_deref(), Some("Struct{text=t,at=Thu Jan 01 00:00:00 UTC 1970}"));
}

#[test]
fn what_is_no_timestamp_is_refused() {
    let keys = [("target.type", "unix"), ("field", "f")];
    let failed = |keys: &[_], given| run(keys, given).unwrap_err();
    let of_int = SchemaBuilder::struct_().field("f", Schema::int32()).build().unwrap();
    assert_eq!(
        failed(&keys, structure(&of_int, [1.into()])),
        "Schema Schema{INT32} does not correspond to a known timestamp type format"
    );
    assert_eq!(
        failed(
            &[("target.type", "unix")],
            SchemaAndValue::new(Schema::int32(), Value::Null)
        ),
        "Schema Schema{INT32} does not correspond to a known timestamp type format"
    );
    assert_eq!(
        failed(&keys, map([("f", 1.into())])),
        "TimestampConverter does not support class java.lang.Integer objects as timestamps"
    );
    for (schema, expected) in [
        (Schema::string(), "string timestamp to be a String"),
        (Schema::int64(), "Unix timestamp to be a Long"),
        (timestamp_schema(), "Timestamp to be a java.util.Date"),
        (date_schema(), "Date to be a java.util.Date"),
        (time_schema(), "Time to be a java.util.Date"),
    ] {
        assert_eq!(
            failed(&[("target.type", "unix")], SchemaAndValue::new(schema, 1.5)),
            format!("Expected {expected}, but found class java.lang.Double")
        );
    }
    let text = || SchemaAndValue::schemaless("x");
    assert_eq!(
        failed(&[("target.type", "unix"), ("format", "yyyy")], text()),
        "Could not parse timestamp: value (x) does not match pattern (yyyy)"
    );
    assert!(failed(&[("target.type", "unix")], text()).contains("set format"));
    let two = SchemaBuilder::struct_().field("a", Schema::int8());
    let two = two.field("f", Schema::int32()).build().unwrap();
    assert_eq!(
        failed(&keys, structure(&two, [Value::Null, 1.into()])),
        "Invalid value: null used for required field: \"a\", schema type: INT8",
        "fields are copied in their order"
    );
    let required = SchemaBuilder::struct_().field("f", Schema::int64()).build().unwrap();
    assert_eq!(
        failed(
            &[("target.type", "string"), FORMAT, ("field", "f")],
            structure(&required, [Value::Null])
        ),
        "Invalid value: null used for required field: \"f\", schema type: STRING"
    );
    assert_eq!(
        failed(&keys, SchemaAndValue::new(required, 1)),
        "Only Struct objects supported for [converting timestamp formats], found: java.lang.Integer"
    );
    assert_eq!(
        failed(&keys, SchemaAndValue::new(Schema::string(), Value::Null)),
        "Cannot list fields on non-struct type"
    );
}

#[test]
fn wrong_keys_are_refused() {
    let missing = "TimestampConverter requires format option to be specified when using string timestamps";
    assert_eq!(
        refused(CONVERT, &[("target.type", "string"), ("format", "  ")]),
        missing
    );
    assert_eq!(
        refused(CONVERT, &[("target.type", "unix"), ("format", "bogus")]),
        "Invalid value java.lang.IllegalArgumentException: Illegal pattern character 'b' for configuration \
         TimestampConverter requires a SimpleDateFormat-compatible pattern for string timestamps: bogus"
    );
    assert_eq!(
        refused(CONVERT, &[("target.type", "date")]),
        "Invalid value date for configuration target.type: String must be one of: string, unix, Date, Time, Timestamp"
    );
    assert_eq!(
        refused(CONVERT, &[("target.type", "Date"), ("unix.precision", "millis")]),
        "Invalid value millis for configuration unix.precision: \
         String must be one of: nanoseconds, microseconds, milliseconds, seconds"
    );
}
