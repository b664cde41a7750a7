//! Prints values as Java's `toString` does.

use std::fmt::{self, Display, Write as _};
use std::hash::{DefaultHasher, Hasher};

use bigdecimal::BigDecimal;

use super::Value;
use super::calendar::date_of;
use crate::logical::MILLIS_PER_DAY;

/// What Java's `toString` prints, and `null` for null.
///
/// Two things cannot be the same: a byte array prints a hash of its content where Java prints the object's identity, and
/// a date is shown in UTC where Java takes the zone of its process.
impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(v) => write!(f, "{v}"),
            Self::Int8(v) => f.write_str(itoa::Buffer::new().format(*v)),
            Self::Int16(v) => f.write_str(itoa::Buffer::new().format(*v)),
            Self::Int32(v) => f.write_str(itoa::Buffer::new().format(*v)),
            Self::Int64(v) => f.write_str(itoa::Buffer::new().format(*v)),
            Self::Float32(v) => f.write_str(&float_to_string(*v)),
            Self::Float64(v) => f.write_str(&double_to_string(*v)),
            Self::String(v) => f.write_str(v),
            Self::Bytes(v) => {
                let mut hasher = DefaultHasher::new();
                hasher.write(v);
                write!(f, "[B@{:x}", hasher.finish() & 0x7fff_ffff)
            }
            Self::Array(elements) => {
                f.write_char('[')?;
                for (i, element) in elements.iter().enumerate() {
                    let separator = if i == 0 { "" } else { ", " };
                    write!(f, "{separator}{element}")?;
                }
                f.write_char(']')
            }
            Self::Map(entries) => {
                f.write_char('{')?;
                for (i, (key, value)) in entries.iter().enumerate() {
                    let separator = if i == 0 { "" } else { ", " };
                    write!(f, "{separator}{key}={value}")?;
                }
                f.write_char('}')
            }
            Self::Struct(v) => write!(f, "{v}"),
            Self::Decimal(v) => f.write_str(&decimal_to_string(v)),
            Self::Date(v) => f.write_str(&date_to_string(*v)),
        }
    }
}

/// `Double.toString`: `1.0`, `1.0E10`, `NaN`, `Infinity`.
///
/// The digits are the shortest that read back as the same number, as since JDK 19. JDK 17 prints more digits for some
/// numbers of 10^7 and more, such as 4.2949672967000032E17 for 4.294967296700003E17 and, as a float, 7.0000304E7 for
/// 7.00003E7; usual values print the same.
#[must_use]
pub fn double_to_string(value: f64) -> String {
    if !value.is_finite() {
        return not_finite(value.is_nan(), value.is_sign_negative());
    }
    let mut text = ryu::Buffer::new().format_finite(value).to_owned();
    if digit_count(&text) == 1 {
        // Java looks for the nearest number of two digits when one would do: 4.9E-324.
        let two_digits = format!("{value:.1e}");
        if two_digits.parse() == Ok(value) {
            text = two_digits;
        }
    }
    java_notation(&text)
}

/// `Float.toString`, with the remark of [`double_to_string`].
#[must_use]
pub fn float_to_string(value: f32) -> String {
    if !value.is_finite() {
        return not_finite(value.is_nan(), value.is_sign_negative());
    }
    let mut text = ryu::Buffer::new().format_finite(value).to_owned();
    if digit_count(&text) == 1 {
        let two_digits = format!("{value:.1e}");
        if two_digits.parse() == Ok(value) {
            text = two_digits;
        }
    }
    java_notation(&text)
}

fn not_finite(nan: bool, negative: bool) -> String {
    let text = match (nan, negative) {
        (true, _) => "NaN",
        (false, false) => "Infinity",
        (false, true) => "-Infinity",
    };
    text.to_owned()
}

/// The digits of a number text without sign, point and exponent, and the place of the point counted from their start.
fn digits_of(text: &str) -> (String, i32) {
    let text = text.trim_start_matches('-');
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let point = i32::try_from(whole.len()).unwrap_or(i32::MAX) + exponent;
    let significant = all.trim_start_matches('0');
    let zeros = i32::try_from(all.len() - significant.len()).unwrap_or(0);
    (significant.trim_end_matches('0').to_owned(), point - zeros)
}

fn digit_count(text: &str) -> usize {
    digits_of(text).0.len()
}

/// Writes a number text the way Java does: plain from 10^-3 up to 10^7, with an exponent otherwise, and always with a
/// digit after the point.
fn java_notation(text: &str) -> String {
    let sign = if text.starts_with('-') { "-" } else { "" };
    let (digits, point) = digits_of(text);
    if digits.is_empty() {
        return format!("{sign}0.0");
    }
    let or_zero = |rest: &str| {
        if rest.is_empty() {
            "0".to_owned()
        } else {
            rest.to_owned()
        }
    };
    if (-2..=0).contains(&point) {
        let zeros = "0".repeat(point.unsigned_abs() as usize);
        return format!("{sign}0.{zeros}{digits}");
    }
    if (1..=7).contains(&point) {
        let point = point.unsigned_abs() as usize;
        let padded = format!("{digits:0<point$}");
        let (whole, fraction) = padded.split_at(point);
        return format!("{sign}{whole}.{}", or_zero(fraction));
    }
    let (first, rest) = digits.split_at(1);
    format!("{sign}{first}.{}E{}", or_zero(rest), point - 1)
}

/// `BigDecimal.toString`: `1.50`, `1E+3`, `1.2E-7`.
#[must_use]
pub fn decimal_to_string(value: &BigDecimal) -> String {
    let (unscaled, scale) = value.as_bigint_and_exponent();
    let text = unscaled.to_string();
    if scale == 0 {
        return text;
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let adjusted = length.saturating_sub(1).saturating_sub(scale);
    if scale > 0 && adjusted >= -6 {
        return match usize::try_from(length - scale) {
            Ok(point) if point > 0 => format!("{sign}{}.{}", &digits[..point], &digits[point..]),
            Ok(_) | Err(_) => {
                let zeros = "0".repeat(usize::try_from(scale - length).unwrap_or(0));
                format!("{sign}0.{zeros}{digits}")
            }
        };
    }
    let (first, rest) = digits.split_at(1);
    let fraction = if rest.is_empty() {
        String::new()
    } else {
        format!(".{rest}")
    };
    if adjusted == 0 {
        format!("{sign}{first}{fraction}")
    } else {
        format!("{sign}{first}{fraction}E{adjusted:+}")
    }
}

/// `java.util.Date.toString` in UTC: `Thu Jan 01 00:00:00 UTC 1970`.
fn date_to_string(millis: i64) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let day = millis.div_euclid(MILLIS_PER_DAY);
    let second = millis.rem_euclid(MILLIS_PER_DAY) / 1000;
    let (year, month, date) = date_of(day);
    // The remainders are in range: the epoch was a Thursday, and months count from 1.
    let weekday = WEEKDAYS[day.rem_euclid(7) as usize];
    let month = MONTHS[(month - 1) as usize];
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{weekday} {month} {date:02} {hour:02}:{minute:02}:{second:02} UTC {year:04}")
}
