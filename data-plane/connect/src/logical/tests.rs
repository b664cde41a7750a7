//! Tests of `logical`.

use super::*;
use crate::schema::Type;
use crate::values::parse_decimal;

#[test]
fn schemas_have_name_version_and_base_type() {
    for (schema, name, kind) in [
        (decimal_schema(2), DECIMAL, Type::Bytes),
        (date_schema(), DATE, Type::Int32),
        (time_schema(), TIME, Type::Int32),
        (timestamp_schema(), TIMESTAMP, Type::Int64),
    ] {
        assert_eq!(
            (schema.name(), schema.version(), schema.type_()),
            (Some(name), Some(1), kind)
        );
    }
    assert_eq!(decimal_schema(-2).parameters().unwrap()[SCALE], "-2");
}

#[test]
fn decimals_are_twos_complement() {
    for (text, bytes) in [
        ("0.00", vec![0]),
        ("1.56", vec![0, 156]),
        ("-1.56", vec![0xff, 0x64]),
        ("1.27", vec![127]),
        ("-1.28", vec![128]),
        ("655.36", vec![1, 0, 0]),
    ] {
        let value = parse_decimal(text).unwrap();
        assert_eq!(decimal_to_bytes(&decimal_schema(2), &value).unwrap(), bytes, "{text}");
        let back = decimal_from_bytes(&decimal_schema(2), &bytes).unwrap();
        assert_eq!(crate::value::decimal_to_string(&back), text);
    }
}

#[test]
fn decimal_errors() {
    let value = parse_decimal("1.5").unwrap();
    assert_eq!(
        decimal_to_bytes(&decimal_schema(2), &value).unwrap_err().to_string(),
        "Decimal value has mismatching scale for given Decimal schema. Schema has scale 2, value has scale 1."
    );
    assert_eq!(
        decimal_scale(&Schema::bytes()).unwrap_err().to_string(),
        "Invalid Decimal schema: scale parameter not found."
    );
    let schema = SchemaBuilder::bytes()
        .name(DECIMAL)
        .parameter(SCALE, "x")
        .build()
        .unwrap();
    assert_eq!(
        decimal_scale(&schema).unwrap_err().to_string(),
        "Invalid scale parameter found in Decimal schema: "
    );
    assert!(decimal_from_bytes(&decimal_schema(0), &[]).is_err());
}

#[test]
fn dates_are_whole_days() {
    assert_eq!(date_to_days(&date_schema(), 10_000 * MILLIS_PER_DAY).unwrap(), 10_000);
    assert_eq!(date_to_days(&date_schema(), -MILLIS_PER_DAY).unwrap(), -1);
    assert_eq!(date_from_days(&date_schema(), -1).unwrap(), -MILLIS_PER_DAY);
    assert_eq!(
        date_to_days(&date_schema(), 1).unwrap_err().to_string(),
        "Kafka Connect Date type should not have any time fields set to non-zero values."
    );
    assert_eq!(
        date_to_days(&time_schema(), 0).unwrap_err().to_string(),
        "Requested conversion of Date object but the schema does not match."
    );
}

#[test]
fn times_are_within_a_day_and_midnight_at_its_end() {
    assert_eq!(time_to_millis(&time_schema(), MILLIS_PER_DAY).unwrap(), 86_400_000);
    for millis in [-1, MILLIS_PER_DAY + 1] {
        assert_eq!(
            time_to_millis(&time_schema(), millis).unwrap_err().to_string(),
            "Kafka Connect Time type should not have any date fields set to non-zero values."
        );
        assert_eq!(
            time_from_millis(&time_schema(), millis as i32).unwrap_err().to_string(),
            "Time values must use number of milliseconds greater than 0 and less than 86400000"
        );
    }
    assert_eq!(
        time_from_millis(&date_schema(), 0).unwrap_err().to_string(),
        "Requested conversion of Date object but the schema does not match."
    );
}
