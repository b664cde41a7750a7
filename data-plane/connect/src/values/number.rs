//! Numbers as Java reads and narrows them.

use bigdecimal::BigDecimal;
use num_bigint::BigInt;

use crate::logical;
use crate::schema::Schema;
use crate::value::{SchemaAndValue, Value};

/// Reads a text with the syntax of Java's `BigDecimal`: `1`, `+3`, `-1.50`, `.5`, `1.`, `1e5`. The scale is the text's.
#[must_use]
pub fn parse_decimal(text: &str) -> Option<BigDecimal> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (text, 0),
    };
    let unsigned = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let scale = i64::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    // Java keeps the scale in 32 bits.
    i32::try_from(scale).ok()?;
    let unscaled: BigInt = digits.parse().ok()?;
    let unscaled = if mantissa.starts_with('-') { -unscaled } else { unscaled };
    Some(BigDecimal::new(unscaled, scale))
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain {
        return None;
    }
    let value: i64 = text.parse().ok()?;
    i32::try_from(value).ok()?;
    Some(value)
}

/// `BigDecimal.longValue`: the fraction is cut off and the low 64 bits are kept.
pub(super) fn decimal_to_long(value: &BigDecimal) -> i64 {
    let (unscaled, scale) = value.as_bigint_and_exponent();
    if scale > 0 {
        let digits = unscaled.magnitude().to_string().len();
        return match u32::try_from(scale) {
            // A number below one; this also bounds the power that follows.
            Ok(power) if power as usize >= digits => 0,
            Ok(power) => low_bits(&(unscaled / BigInt::from(10).pow(power))),
            Err(_) => 0,
        };
    }
    match u32::try_from(-scale) {
        // Ten to the 64 has no bit below 2^64.
        Ok(power) if power < 64 => low_bits(&(unscaled * BigInt::from(10).pow(power))),
        Ok(_) | Err(_) => 0,
    }
}

fn low_bits(value: &BigInt) -> i64 {
    let low = value.magnitude().iter_u64_digits().next().unwrap_or(0).cast_signed();
    if value.sign() == num_bigint::Sign::Minus {
        low.wrapping_neg()
    } else {
        low
    }
}

/// `BigDecimal.doubleValue`.
pub(super) fn decimal_to_double(value: &BigDecimal) -> f64 {
    scientific(value).parse().unwrap_or(f64::NAN)
}

fn decimal_to_float(value: &BigDecimal) -> f32 {
    scientific(value).parse().unwrap_or(f32::NAN)
}

/// The number with an exponent, which stays short whatever the scale is.
fn scientific(value: &BigDecimal) -> String {
    let (unscaled, scale) = value.as_bigint_and_exponent();
    format!("{unscaled}e{}", -scale)
}

/// The number a text stands for: the smallest integer type that holds it, else a float, else a decimal. A fraction goes
/// into 32 bits whenever it is in their range, whatever precision that costs.
pub(super) fn parse_number(text: &str) -> Option<SchemaAndValue> {
    let decimal = parse_decimal(text)?;
    if let Some(integer) = exact_long(&decimal) {
        return Some(smallest_integer(integer));
    }
    let scale = i32::try_from(decimal.fractional_digit_count()).ok()?;
    let float = decimal_to_float(&decimal);
    if float.is_finite() && scale != 0 {
        return Some(SchemaAndValue::new(Schema::float32(), float));
    }
    let double = decimal_to_double(&decimal);
    if double.is_finite() && scale != 0 {
        return Some(SchemaAndValue::new(Schema::float64(), double));
    }
    Some(SchemaAndValue::new(logical::decimal_schema(scale), decimal))
}

fn smallest_integer(value: i64) -> SchemaAndValue {
    if let Ok(small) = i8::try_from(value) {
        SchemaAndValue::new(Schema::int8(), small)
    } else if let Ok(small) = i16::try_from(value) {
        SchemaAndValue::new(Schema::int16(), small)
    } else if let Ok(small) = i32::try_from(value) {
        SchemaAndValue::new(Schema::int32(), small)
    } else {
        SchemaAndValue::new(Schema::int64(), value)
    }
}

/// The value if it is whole and fits. Powers of ten are never written out: the text may say `1e999999999`.
fn exact_long(value: &BigDecimal) -> Option<i64> {
    let (unscaled, scale) = value.as_bigint_and_exponent();
    let text = unscaled.to_string();
    let stripped = text.trim_end_matches('0');
    if stripped.is_empty() {
        return Some(0);
    }
    let zeros = i64::try_from(text.len() - stripped.len()).ok()?;
    let power = zeros.checked_sub(scale)?;
    // Nineteen digits hold every 64 bit integer.
    if !(0..=19).contains(&power) {
        return None;
    }
    let whole = format!("{stripped}{}", "0".repeat(usize::try_from(power).ok()?));
    whole.parse().ok()
}

/// Java's `Number.longValue`, for values that are numbers.
pub(super) fn number_to_long(value: &Value) -> Option<i64> {
    match value {
        Value::Int8(v) => Some(i64::from(*v)),
        Value::Int16(v) => Some(i64::from(*v)),
        Value::Int32(v) => Some(i64::from(*v)),
        Value::Int64(v) => Some(*v),
        // The cast of a float saturates in Java and in Rust alike.
        Value::Float32(v) => Some(*v as i64),
        Value::Float64(v) => Some(*v as i64),
        Value::Decimal(v) => Some(decimal_to_long(v)),
        Value::Null
        | Value::Boolean(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::Array(_)
        | Value::Map(_)
        | Value::Struct(_)
        | Value::Date(_) => None,
    }
}

/// Java's `Number.doubleValue`, for values that are numbers.
pub(super) fn number_to_double(value: &Value) -> Option<f64> {
    match value {
        Value::Float32(v) => Some(f64::from(*v)),
        Value::Float64(v) => Some(*v),
        Value::Decimal(v) => Some(decimal_to_double(v)),
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => {
            number_to_long(value).map(|whole| whole as f64)
        }
        Value::Null
        | Value::Boolean(_)
        | Value::String(_)
        | Value::Bytes(_)
        | Value::Array(_)
        | Value::Map(_)
        | Value::Struct(_)
        | Value::Date(_) => None,
    }
}
