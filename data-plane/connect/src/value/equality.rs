//! Java's `equals` and a hash that agrees with it.

use std::hash::{DefaultHasher, Hash, Hasher};

use bigdecimal::BigDecimal;

use super::Value;

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Int8(a), Self::Int8(b)) => a == b,
            (Self::Int16(a), Self::Int16(b)) => a == b,
            (Self::Int32(a), Self::Int32(b)) => a == b,
            (Self::Int64(a), Self::Int64(b)) | (Self::Date(a), Self::Date(b)) => a == b,
            (Self::Float32(a), Self::Float32(b)) => float_bits(*a) == float_bits(*b),
            (Self::Float64(a), Self::Float64(b)) => double_bits(*a) == double_bits(*b),
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => same_entries(a, b),
            (Self::Struct(a), Self::Struct(b)) => a == b,
            (Self::Decimal(a), Self::Decimal(b)) => same_decimal(a, b),
            (_, _) => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Null => {}
            Self::Boolean(v) => v.hash(state),
            Self::Int8(v) => v.hash(state),
            Self::Int16(v) => v.hash(state),
            Self::Int32(v) => v.hash(state),
            Self::Int64(v) | Self::Date(v) => v.hash(state),
            Self::Float32(v) => float_bits(*v).hash(state),
            Self::Float64(v) => double_bits(*v).hash(state),
            Self::String(v) => v.hash(state),
            Self::Bytes(v) => v.hash(state),
            Self::Array(v) => v.hash(state),
            Self::Map(entries) => entries_hash(entries).hash(state),
            Self::Struct(v) => v.hash(state),
            Self::Decimal(v) => v.as_bigint_and_exponent().hash(state),
        }
    }
}

/// All NaNs are one, as in `Float.floatToIntBits`.
fn float_bits(value: f32) -> u32 {
    if value.is_nan() {
        f32::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

/// All NaNs are one, as in `Double.doubleToLongBits`.
fn double_bits(value: f64) -> u64 {
    if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

fn same_decimal(a: &BigDecimal, b: &BigDecimal) -> bool {
    a.fractional_digit_count() == b.fractional_digit_count() && a == b
}

/// Equal maps mostly have equal order, so that is tried first.
fn same_entries(a: &[(Value, Value)], b: &[(Value, Value)]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    a == b
        || a.iter()
            .all(|(key, value)| b.iter().any(|(other, found)| other == key && found == value))
}

/// Sums the entries' hashes, so that their order does not count.
fn entries_hash(entries: &[(Value, Value)]) -> u64 {
    let mut sum = 0_u64;
    for entry in entries {
        let mut hasher = DefaultHasher::new();
        entry.hash(&mut hasher);
        sum = sum.wrapping_add(hasher.finish());
    }
    sum
}
