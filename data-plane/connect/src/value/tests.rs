//! Tests of `value`.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use proptest::prelude::*;

use super::{Value, decimal_to_string, double_to_string, float_to_string};
use crate::values::parse_decimal;

#[test]
fn doubles_print_like_java() {
    for (value, expected) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (-1.5, "-1.5"),
        (100.0, "100.0"),
        (123_456.789, "123456.789"),
        (9_999_999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (1.234_567_8e7, "1.2345678E7"),
        (1e10, "1.0E10"),
        (1e23, "1.0E23"),
        (0.001, "0.001"),
        (0.01, "0.01"),
        (0.1, "0.1"),
        (0.0009, "9.0E-4"),
        (0.000_123, "1.23E-4"),
        (f64::MAX, "1.7976931348623157E308"),
        (f64::from_bits(1), "4.9E-324"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
    ] {
        assert_eq!(double_to_string(value), expected);
    }
}

#[test]
fn floats_print_like_java() {
    for (value, expected) in [
        (1.0_f32, "1.0"),
        (0.1, "0.1"),
        (3.4e38, "3.4E38"),
        (f32::MAX, "3.4028235E38"),
        (f32::from_bits(1), "1.4E-45"),
        (1.6e7, "1.6E7"),
        (f32::NAN, "NaN"),
    ] {
        assert_eq!(float_to_string(value), expected);
    }
}

#[test]
fn decimals_print_like_java() {
    for text in [
        "0", "1", "-1", "1.50", "0.001", "-0.10", "1E+3", "1.2E+4", "1E-7", "0.000001", "1.23E-8", "0E-8", "0E+3",
        "123.456",
    ] {
        assert_eq!(decimal_to_string(&parse_decimal(text).unwrap()), text);
    }
}

#[test]
fn values_print_like_java() {
    let map = Value::map([("k".into(), 1.into()), ("l".into(), Value::Null)]);
    for (value, expected) in [
        (Value::Null, "null"),
        (true.into(), "true"),
        (1_i8.into(), "1"),
        (1.0_f32.into(), "1.0"),
        ("a b".into(), "a b"),
        (Value::Array(vec![1.into(), "x".into()]), "[1, x]"),
        (map, "{k=1, l=null}"),
        (Value::Date(0), "Thu Jan 01 00:00:00 UTC 1970"),
        (Value::Date(1_566_576_000_123), "Fri Aug 23 16:00:00 UTC 2019"),
        (Value::Date(-1), "Wed Dec 31 23:59:59 UTC 1969"),
    ] {
        assert_eq!(value.java_to_string(), expected);
    }
    assert!(Value::bytes([1, 2]).java_to_string().starts_with("[B@"));
}

#[test]
fn equality_is_javas() {
    let decimal = |text: &str| Value::Decimal(parse_decimal(text).unwrap());
    assert_eq!(Value::Float64(f64::NAN), Value::Float64(-f64::NAN));
    assert_ne!(Value::Float64(0.0), Value::Float64(-0.0));
    assert_ne!(decimal("1.0"), decimal("1.00"));
    assert_ne!(Value::Int32(1), Value::Int64(1));
    let (a, b) = (("a".into(), 1.into()), ("b".into(), 2.into()));
    assert_eq!(Value::map([a.clone(), b.clone()]), Value::map([b, a]));
}

#[test]
fn the_last_of_equal_keys_wins() {
    let map = Value::map([("a".into(), 1.into()), ("b".into(), 2.into()), ("a".into(), 3.into())]);
    assert_eq!(map.java_to_string(), "{a=3, b=2}");
    assert_eq!(map.entry("a"), Some(&3.into()));
}

fn hash_of(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

proptest! {
    #[test]
    fn printed_doubles_read_back(bits: u64) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        prop_assert_eq!(double_to_string(value).parse::<f64>().unwrap().to_bits(), bits);
    }

    #[test]
    fn printed_floats_read_back(bits: u32) {
        let value = f32::from_bits(bits);
        prop_assume!(value.is_finite());
        prop_assert_eq!(float_to_string(value).parse::<f32>().unwrap().to_bits(), bits);
    }

    #[test]
    fn printed_decimals_read_back(unscaled: i64, scale in -30_i64..30) {
        let value = bigdecimal::BigDecimal::new(unscaled.into(), scale);
        let again = parse_decimal(&decimal_to_string(&value)).unwrap();
        prop_assert_eq!(Value::Decimal(again), Value::Decimal(value));
    }

    #[test]
    fn equal_maps_have_equal_hashes(keys in proptest::collection::vec(any::<i32>(), 0..20)) {
        let entries = || keys.iter().map(|key| (Value::Int32(*key), Value::Int32(0)));
        let (forward, backward) = (Value::map(entries()), Value::map(entries().rev()));
        prop_assert_eq!(&forward, &backward);
        prop_assert_eq!(hash_of(&forward), hash_of(&backward));
    }
}
