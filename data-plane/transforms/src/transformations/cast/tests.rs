use dray_connect::logical::{date_schema, decimal_schema, time_schema, timestamp_builder, timestamp_schema};
use dray_connect::value::SchemaAndValue;
use dray_connect::values::parse_decimal;

use super::*;
use crate::testing::{map, refused, structure, value};

const CLASS: &str = "Cast$Value";
const TYPES: &str = "[INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING]";
const INPUTS: &str = "[INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]";

fn cast_to(spec: &str, of: SchemaAndValue) -> Result<SchemaAndValue, String> {
    value(CLASS, &[("spec", spec)], of)
}

/// Casts a value without a schema.
fn whole(target: &str, of: impl Into<Value>) -> Result<Value, String> {
    cast_to(target, SchemaAndValue::schemaless(of)).map(|after| {
        assert!(after.schema.is_none());
        after.value
    })
}

fn decimal(text: &str) -> Value {
    Value::Decimal(parse_decimal(text).unwrap())
}

#[test]
fn numbers_are_narrowed_as_in_java() {
    for (target, before, after) in [
        ("int8", Value::from(300), Value::from(44_i8)),
        ("INT8", (-129_i64).into(), 127_i8.into()),
        ("Int16", 70_000.into(), 4464_i16.into()),
        ("int32", (1_i64 << 32 | 5).into(), 5.into()),
        ("int8", 1e10.into(), (-1_i8).into()),
        ("int32", 1e10.into(), i32::MAX.into()),
        ("int64", (-1e30).into(), i64::MIN.into()),
        ("int64", f64::NAN.into(), 0_i64.into()),
        ("int32", (-1.9_f32).into(), (-1).into()),
        ("float32", (i64::MAX - 1).into(), 9.223_372e18_f32.into()),
        ("float32", 16_777_217.into(), 16_777_216_f32.into()),
        ("float64", 0.1_f32.into(), f64::from(0.1_f32).into()),
        ("boolean", 0.9.into(), false.into()),
        ("boolean", (-2_i8).into(), true.into()),
        ("int16", true.into(), 1_i16.into()),
        ("float64", false.into(), 0.0.into()),
        ("boolean", true.into(), true.into()),
    ] {
        assert_eq!(whole(target, before.clone()), Ok(after), "{before} to {target}");
    }
}

#[test]
fn texts_are_read_as_in_java() {
    for (target, before, after) in [
        ("int8", "-128", Value::from(-128_i8)),
        ("int32", "+7", 7.into()),
        ("int64", "\u{0664}2", 42_i64.into()),
        ("float32", " 1.5f ", 1.5_f32.into()),
        ("float64", "0x1p-2", 0.25.into()),
        ("float64", "-Infinity", f64::NEG_INFINITY.into()),
        ("boolean", "TrUe", true.into()),
        ("boolean", "yes", false.into()),
        ("string", "x", "x".into()),
    ] {
        assert_eq!(whole(target, before), Ok(after), "{before} to {target}");
    }
    for (target, text) in [
        ("int8", "128"),
        ("int32", " 1"),
        ("int64", "1.0"),
        ("float32", "inf"),
        ("float64", ""),
    ] {
        let problem = format!("Value ({text}) was out of range for requested data type");
        assert_eq!(whole(target, text), Err(problem));
    }
}

#[test]
fn values_are_printed_as_in_java() {
    for (before, after) in [
        (Value::from(-5_i8), "-5"),
        (i64::MIN.into(), "-9223372036854775808"),
        (1.0.into(), "1.0"),
        (1e10_f32.into(), "1.0E10"),
        (false.into(), "false"),
        (Value::bytes(*b"ab\xff"), "YWL/"),
    ] {
        assert_eq!(whole("string", before), Ok(after.into()));
    }
}

#[test]
fn what_cannot_be_cast() {
    let unsupported = |class: &str| {
        Err(format!(
            "Cast transformation was passed a value of type class {class} which is not supported by Connect's data API"
        ))
    };
    assert_eq!(whole("string", Value::Date(0)), unsupported("java.util.Date"));
    assert_eq!(whole("int8", decimal("1")), unsupported("java.math.BigDecimal"));
    assert_eq!(
        whole("string", Vec::<Value>::new()),
        Err(format!(
            "Cast transformation does not support casting from ARRAY; supported types are {INPUTS}"
        ))
    );
    assert_eq!(
        whole("int8", Value::bytes(*b"a")),
        Err("Unexpected type in Cast transformation: class [B".to_owned())
    );
    assert_eq!(cast_to("int8", SchemaAndValue::NULL), Ok(SchemaAndValue::NULL));
}

#[test]
fn fields_of_a_map() {
    let of = map([("a", "5".into()), ("b", 2.into()), ("c", Value::Null)]);
    assert_eq!(
        cast_to("a:int64, c : string,none:int8", of),
        Ok(map([
            ("a", 5_i64.into()),
            ("b", 2.into()),
            ("c", Value::Null),
            ("none", Value::Null)
        ]))
    );
    assert_eq!(
        cast_to("a:int8", SchemaAndValue::schemaless(1)),
        Err("Only Map objects supported in absence of schema for [cast types], found: java.lang.Integer".to_owned())
    );
}

fn seven(builder: SchemaBuilder, seven: impl Into<Value>) -> SchemaRef {
    builder.default_value(seven.into()).build().unwrap()
}

#[test]
fn fields_of_a_struct() {
    let named = SchemaBuilder::string().name("named").doc("doc").optional();
    let before = SchemaBuilder::struct_()
        .name("s")
        .version(3)
        .optional()
        .field("n", seven(SchemaBuilder::int32().doc("doc"), 7))
        .field("t", named.build().unwrap())
        .field("u", seven(SchemaBuilder::string().optional(), "u"))
        .build()
        .unwrap();
    let after = SchemaBuilder::struct_()
        .name("s")
        .version(3)
        .optional()
        .field("n", seven(SchemaBuilder::string(), "7"))
        .field("t", Schema::optional_int64())
        .field("u", seven(SchemaBuilder::string().optional(), "u"))
        .build()
        .unwrap();
    let of = |values: [Value; 3]| structure(&before, values);
    let spec = ("spec", "t:int64,n:string,none:int8");
    let run = |replace: &str, values| value(CLASS, &[spec, (REPLACE_NULL, replace)], of(values));
    assert_eq!(
        run("true", [5.into(), "6".into(), "v".into()]),
        Ok(structure(&after, ["5".into(), 6_i64.into(), "v".into()]))
    );
    assert_eq!(
        run("true", [Value::Null, Value::Null, Value::Null]),
        Ok(structure(&after, ["7".into(), Value::Null, "u".into()]))
    );
    assert_eq!(
        run("false", [5.into(), Value::Null, Value::Null]),
        Ok(structure(&after, ["5".into(), Value::Null, Value::Null]))
    );
    assert_eq!(
        run("false", [Value::Null, Value::Null, Value::Null]),
        Err("Invalid value: null used for required field: \"n\", schema type: STRING".to_owned())
    );
}

#[test]
fn structs_that_cannot_be_cast() {
    let plain = || SchemaBuilder::struct_().field("n", Schema::int32());
    let default = structure(&plain().build().unwrap(), [1.into()]).value;
    let with_default = plain().default_value(default).build().unwrap();
    let from_struct = format!("Cast transformation does not support casting from STRUCT; supported types are {INPUTS}");
    assert_eq!(
        cast_to("n:int8", structure(&with_default, [1.into()])),
        Err(from_struct.clone())
    );
    assert_eq!(
        cast_to("int8", structure(&plain().build().unwrap(), [1.into()])),
        Err(from_struct)
    );
    for (of, problem) in [
        (
            SchemaAndValue::new(plain().build().unwrap(), "x"),
            "Only Struct objects supported for [cast types], found: java.lang.String",
        ),
        (
            SchemaAndValue::new(Schema::string(), "x"),
            "Cannot list fields on non-struct type",
        ),
    ] {
        assert_eq!(cast_to("n:int8", of), Err(problem.to_owned()));
    }
}

#[test]
fn a_whole_keeps_everything_but_its_type() {
    let before = timestamp_builder().doc("doc").optional().build().unwrap();
    let after = SchemaBuilder::string()
        .name(before.name().unwrap())
        .version(1)
        .doc("doc")
        .optional()
        .build()
        .unwrap();
    let date = SchemaAndValue::new(before, Value::Date(1));
    assert_eq!(cast_to("string", date), Ok(SchemaAndValue::new(after, "00:00:00.001Z")));
    let before = seven(SchemaBuilder::int64(), 7_i64);
    let after = seven(SchemaBuilder::string(), "7");
    assert_eq!(
        cast_to("string", SchemaAndValue::new(before, 5_i64)),
        Ok(SchemaAndValue::new(after, "5"))
    );
    // The name does not allow what the default becomes.
    let epoch = seven(timestamp_builder(), Value::Date(0));
    assert_eq!(
        cast_to("int64", SchemaAndValue::new(epoch, Value::Date(1))),
        Err("Invalid default value".to_owned())
    );
}

#[test]
fn logical_types_are_numbers() {
    let day = 86_400_000;
    for (schema, before, target, after) in [
        (date_schema(), Value::Date(3 * day), "int8", Value::from(3_i8)),
        (time_schema(), Value::Date(5000), "int16", 5000_i16.into()),
        (timestamp_schema(), Value::Date(1 << 40), "int64", (1_i64 << 40).into()),
        (timestamp_schema(), Value::Date(3), "float32", 3_f32.into()),
        (decimal_schema(2), decimal("1.99"), "int32", 1.into()),
        (decimal_schema(2), decimal("-1.05"), "float32", (-1.05_f32).into()),
        (decimal_schema(2), decimal("0.99"), "boolean", false.into()),
        (decimal_schema(2), decimal("1.50"), "string", "1.50".into()),
        (
            decimal_schema(0),
            decimal("18446744073709551617"),
            "int64",
            1_i64.into(),
        ),
    ] {
        let result = cast_to(target, SchemaAndValue::new(schema, before.clone()));
        assert_eq!(result.map(|result| result.value), Ok(after), "{before} to {target}");
    }
    assert_eq!(
        cast_to("int8", SchemaAndValue::new(date_schema(), Value::Date(1))),
        Err("Kafka Connect Date type should not have any time fields set to non-zero values.".to_owned())
    );
    assert_eq!(
        cast_to("int8", SchemaAndValue::new(timestamp_schema(), "x")),
        Err("the schema Schema{org.apache.kafka.connect.data.Timestamp:INT64} is one of dates, but the value to cast is \
             of class java.lang.String"
            .to_owned())
    );
}

#[test]
fn wrong_specs() {
    let unknown = |name: &str, upper: &str| {
        format!(
            "Invalid value java.lang.IllegalArgumentException: No enum constant \
             org.apache.kafka.connect.data.Schema.Type.{upper} for configuration Invalid type found in casting spec: {name}"
        )
    };
    for (spec, problem) in [
        ("", "Must specify at least one field to cast.".to_owned()),
        ("foo:", unknown("foo", "FOO")),
        ("a:int8,b: Number ", unknown("Number", "NUMBER")),
        ("a:int8,,b:int8", unknown("", "")),
        (
            "a:bytes",
            format!("Cast transformation does not support casting to BYTES; supported types are {TYPES}"),
        ),
        (
            "a:b:c,d:int8",
            "Invalid value [a:b:c, d:int8] for configuration renames: Invalid rename mapping: a:b:c".to_owned(),
        ),
        (
            "int8,a:int8",
            "Cast transformations that specify a type to cast the entire value to may only specify a single cast in \
             their spec"
                .to_owned(),
        ),
        (
            ":",
            "Invalid value [:] for configuration spec: A field and its type, or a type, is missing: :".to_owned(),
        ),
    ] {
        assert_eq!(refused(CLASS, &[("spec", spec)]), problem, "{spec}");
    }
}
