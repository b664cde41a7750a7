//! Numbers in texts, as Java's `parseInt`, `parseFloat` and their like read them.

use std::borrow::Cow;
use std::str::FromStr;

/// The zeros of the digits that `Character.digit` knows besides the ASCII ones, as of Java 17; nine more follow each.
/// Digits outside the basic plane are not read as such, since Java asks for one UTF-16 unit after the other.
const ZEROS: [char; 36] = [
    '\u{0660}', '\u{06F0}', '\u{07C0}', '\u{0966}', '\u{09E6}', '\u{0A66}', '\u{0AE6}', '\u{0B66}', '\u{0BE6}',
    '\u{0C66}', '\u{0CE6}', '\u{0D66}', '\u{0DE6}', '\u{0E50}', '\u{0ED0}', '\u{0F20}', '\u{1040}', '\u{1090}',
    '\u{17E0}', '\u{1810}', '\u{1946}', '\u{19D0}', '\u{1A80}', '\u{1A90}', '\u{1B50}', '\u{1BB0}', '\u{1C40}',
    '\u{1C50}', '\u{A620}', '\u{A8D0}', '\u{A900}', '\u{A9D0}', '\u{A9F0}', '\u{AA50}', '\u{ABF0}', '\u{FF10}',
];

/// `Byte.parseByte`, `Short.parseShort`, `Integer.parseInt`, `Long.parseLong`: a sign perhaps, then digits of any script.
pub(crate) fn parse_integer<T: FromStr>(text: &str) -> Option<T> {
    let text = if text.is_ascii() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().map(ascii_digit).collect::<Option<String>>()?)
    };
    text.parse().ok()
}

fn ascii_digit(c: char) -> Option<char> {
    if c.is_ascii() {
        return Some(c);
    }
    // The last zero that does not come after it.
    let zero = ZEROS[..ZEROS.partition_point(|zero| *zero <= c)].last()?;
    char::from_digit(u32::from(c) - u32::from(*zero), 10)
}

/// `Float.parseFloat`.
pub(crate) fn parse_float(text: &str) -> Option<f32> {
    match read(text)? {
        Read::Decimal(text) => text.parse().ok(),
        // Rounding has left no bit that 32 bits do not hold.
        Read::Hexadecimal(number) => Some(number.round(24, -149) as f32),
        Read::Special(value) => Some(value as f32),
    }
}

/// `Double.parseDouble`.
pub(crate) fn parse_double(text: &str) -> Option<f64> {
    match read(text)? {
        Read::Decimal(text) => text.parse().ok(),
        Read::Hexadecimal(number) => Some(number.round(53, -1074)),
        Read::Special(value) => Some(value),
    }
}

enum Read<'t> {
    /// What Rust reads the same way.
    Decimal(&'t str),
    Hexadecimal(Hexadecimal),
    Special(f64),
}

fn read(text: &str) -> Option<Read<'_>> {
    let text = super::trim(text);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    let special = match unsigned {
        "NaN" => Some(f64::NAN),
        "Infinity" if negative => Some(f64::NEG_INFINITY),
        "Infinity" => Some(f64::INFINITY),
        _ => None,
    };
    if let Some(value) = special {
        return Some(Read::Special(value));
    }
    if let Some(rest) = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        return Hexadecimal::read(rest, negative).map(Read::Hexadecimal);
    }
    // Rust knows names for what is no number, and Java would not have them.
    let is_number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    is_number.then(|| Read::Decimal(without_suffix(text)))
}

fn without_suffix(text: &str) -> &str {
    text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text)
}

/// A number times a power of two, as `0x1.8p3` says it.
struct Hexadecimal {
    negative: bool,
    /// The first 64 bits that count; the last one is set as well when one after them is.
    bits: u64,
    exponent: i64,
}

impl Hexadecimal {
    /// Reads what follows `0x`. The exponent must be there.
    fn read(text: &str, negative: bool) -> Option<Self> {
        let (digits, exponent) = text.split_once(['p', 'P'])?;
        let exponent = without_suffix(exponent);
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        if all().next().is_none() || !all().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        // Far beyond every number in both directions, and far from overflow.
        let limit = i64::from(i32::MAX);
        let written = unsigned.parse().map_or(limit, |exponent: i64| exponent.min(limit));
        let mut exponent = if exponent.starts_with('-') { -written } else { written };
        exponent -= 4 * i64::try_from(fraction.len()).ok()?;
        let mut bits = 0_u64;
        for digit in all().filter_map(|byte| char::from(byte).to_digit(16)) {
            if bits >> 60 == 0 {
                bits = bits << 4 | u64::from(digit);
            } else {
                bits |= u64::from(digit != 0);
                exponent += 4;
            }
        }
        Some(Self {
            negative,
            bits,
            exponent,
        })
    }

    /// The nearest number of so many bits whose last bit is not below two to the power of `lowest`; of two equally near
    /// ones that whose last bit is 0.
    fn round(&self, precision: i64, lowest: i64) -> f64 {
        let sign = if self.negative { -1.0 } else { 1.0 };
        if self.bits == 0 {
            return sign * 0.0;
        }
        let length = i64::from(64 - self.bits.leading_zeros());
        let last = (self.exponent + length - precision).max(lowest);
        let bits = match u32::try_from(last - self.exponent) {
            // None is dropped; those that are added leave the number below two to the power of `precision`.
            Err(_) => self.bits << (self.exponent - last),
            Ok(dropped) if dropped > 64 => 0,
            Ok(dropped) => {
                let (bits, unit) = (u128::from(self.bits), 1_u128 << dropped);
                let (kept, rest) = (bits >> dropped, bits & (unit - 1));
                let up = 2 * rest > unit || (2 * rest == unit && kept & 1 == 1);
                (kept + u128::from(up)) as u64
            }
        };
        sign * bits as f64 * power_of_two(last)
    }
}

/// Two to that power, which is -1074 or more; infinite where it is too large.
fn power_of_two(exponent: i64) -> f64 {
    match exponent {
        1024.. => f64::INFINITY,
        -1022..1024 => f64::from_bits(((exponent + 1023) as u64) << 52),
        _ => f64::from_bits(1 << (exponent + 1074)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (text, expected) in [
            ("5", Some(5)),
            ("+127", Some(127)),
            ("-128", Some(-128)),
            ("128", None),
            ("", None),
            ("-", None),
            ("+-1", None),
            (" 1", None),
            ("1.0", None),
            ("\u{0665}\u{FF11}", Some(51)),
            ("-\u{0E59}", Some(-9)),
            // A letter of Arabic, and a digit outside the basic plane.
            ("\u{066A}", None),
            ("\u{1D7D9}", None),
            ("\u{20AC}5", None),
        ] {
            assert_eq!(parse_integer::<i8>(text), expected, "{text:?}");
        }
        assert_eq!(parse_integer::<i64>("9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse_integer::<i64>("9223372036854775808"), None);
    }

    #[test]
    fn zeros_are_in_order() {
        assert!(ZEROS.is_sorted());
    }

    #[test]
    fn fractions() {
        for (text, expected) in [
            ("1", 1.0),
            ("+1.", 1.0),
            ("-.5e1", -5.0),
            ("1e-2", 0.01),
            (" \t1.5d\n", 1.5),
            ("1F", 1.0),
            ("1e400", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("0x1.8p1", 3.0),
            ("-0X.8P-1f", -0.25),
            ("0x1.p0", 1.0),
            ("0x10p99999999999999999999", f64::INFINITY),
            ("0x10p-99999999999999999999", 0.0),
            ("0x0.0p99999999999999999999", 0.0),
            // Ties go to the even one, and any bit after a tie decides.
            ("0x1.00000000000008p0", 1.0),
            ("0x1.00000000000018p0", 1.0 + 2.0 * f64::EPSILON),
            ("0x1.000000000000080000000000001p0", 1.0 + f64::EPSILON),
            ("0x0.8p-1074", 0.0),
            ("0x0.80000000000000000000001p-1074", f64::from_bits(1)),
            ("0x1.fffffffffffff8p1023", f64::INFINITY),
            ("0x1.fffffffffffff7p1023", f64::MAX),
        ] {
            assert_eq!(parse_double(text), Some(expected), "{text:?}");
        }
        assert!(parse_double("-NaN").is_some_and(f64::is_nan));
        assert!(parse_double("-0x0p0").is_some_and(|zero| zero == 0.0 && zero.is_sign_negative()));
        for text in [
            "",
            ".",
            "e5",
            "1e",
            "1e+",
            "1_0",
            "nan",
            "inf",
            "infinity",
            "Infinityf",
            "0x1",
            "0x.p1",
            "0xp1",
            "0x1p",
            "0x1p+",
            "0x1.2.3p1",
            "1ff",
            "--1",
            "\u{0665}",
            "1 2",
            "1\u{a0}",
        ] {
            assert_eq!(parse_double(text), None, "{text:?}");
            assert_eq!(parse_float(text), None, "{text:?}");
        }
    }

    #[test]
    fn floats_are_rounded_once() {
        for (text, expected) in [
            // Halfway between two floats but for a bit that a double loses.
            ("1.00000005960464477540", 1.000_000_1_f32),
            ("0x1.00000100000000000001p0", 1.000_000_1),
            ("0x1.000001p0", 1.0),
            ("0x1p-150", 0.0),
            ("0x1.8p-150", f32::from_bits(1)),
            ("0x1.ffffffp127", f32::INFINITY),
            ("1e39", f32::INFINITY),
        ] {
            assert_eq!(parse_float(text), Some(expected), "{text:?}");
        }
    }
}
