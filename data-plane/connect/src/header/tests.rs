//! Tests of `header`.

use super::{Header, Headers};
use crate::logical;
use crate::schema::{Schema, SchemaBuilder};
use crate::structs::Struct;
use crate::value::{SchemaAndValue, Value};
use crate::values::parse_decimal;

fn numbered(keys: &[&str]) -> Headers {
    let mut headers = Headers::new();
    for (key, number) in keys.iter().zip(0..) {
        headers.add_int(*key, number);
    }
    headers
}

fn show(headers: &Headers) -> String {
    let shown: Vec<String> = headers
        .iter()
        .map(|header| format!("{}={}", header.key, header.value.value))
        .collect();
    shown.join(" ")
}

#[test]
fn keys_may_repeat() {
    let mut headers = numbered(&["a", "b", "a", "c"]);
    assert_eq!(headers.last_with_name("a").unwrap().value.value, Value::Int32(2));
    assert_eq!(headers.all_with_name("a").count(), 2);
    headers.remove("a");
    assert_eq!(show(&headers), "b=1 c=3");
    assert!(headers.last_with_name("a").is_none());
}

#[test]
fn the_latest_can_be_kept() {
    let mut headers = numbered(&["a", "b", "a", "b"]);
    headers.retain_latest_of("a");
    assert_eq!(show(&headers), "b=1 a=2 b=3");
    headers.retain_latest();
    assert_eq!(show(&headers), "a=2 b=3");
}

#[test]
fn apply_replaces_in_place() {
    let mut headers = numbered(&["a", "b", "c"]);
    let result = headers.apply(|header| match &*header.key {
        "a" => None,
        "b" => Some(Header {
            key: "x".into(),
            ..header
        }),
        _ => Some(header),
    });
    result.unwrap();
    assert_eq!(show(&headers), "x=1 c=2");
}

#[test]
fn values_must_fit_their_schema() {
    let mut headers = Headers::new();
    let mut check = |schema, value: Value, expected: Result<(), &str>| {
        let added = headers
            .add("k", SchemaAndValue { schema, value })
            .map_err(|error| error.to_string());
        assert_eq!(added.as_ref().map_err(String::as_str).copied(), expected);
    };
    check(None, 1.into(), Ok(()));
    check(Some(Schema::int32()), 1.into(), Ok(()));
    check(Some(logical::date_schema()), 1.into(), Ok(()));
    check(Some(logical::date_schema()), Value::Date(1), Ok(()));
    check(Some(Schema::optional_int32()), Value::Null, Ok(()));
    check(
        Some(Schema::int32()),
        Value::Null,
        Err("A null value requires an optional schema but was Schema{INT32}"),
    );
    check(
        Some(Schema::int32()),
        "x".into(),
        Err("The value x is not compatible with the schema Schema{INT32}"),
    );
    check(
        Some(logical::timestamp_schema()),
        1.into(),
        Err("The value 1 is not compatible with the schema Schema{org.apache.kafka.connect.data.Timestamp:INT64}"),
    );
}

#[test]
fn typed_adders_choose_the_schema() {
    let mut headers = Headers::new();
    headers.add_string("s", None);
    assert_eq!(
        headers.last_with_name("s").unwrap().schema(),
        Some(&Schema::optional_string())
    );
    headers.add_bytes("b", Some(b"x"));
    assert_eq!(headers.last_with_name("b").unwrap().schema(), Some(&Schema::bytes()));
    headers.add_decimal("d", parse_decimal("1.25").unwrap());
    assert_eq!(
        headers.last_with_name("d").unwrap().schema(),
        Some(&logical::decimal_schema(2))
    );
    headers.add_time("t", None).unwrap();
    assert!(headers.add_time("t", Some(-1)).is_err());
    assert!(headers.add_date("t", Some(1)).is_err());
    assert_eq!(headers.len(), 4);
}

#[test]
fn a_struct_brings_its_schema() {
    let schema = SchemaBuilder::struct_().build().unwrap();
    let mut headers = Headers::new();
    headers
        .add("k", SchemaAndValue::schemaless(Struct::new(schema.clone()).unwrap()))
        .unwrap();
    assert_eq!(headers.last_with_name("k").unwrap().schema(), Some(&schema));
}
