//! Numbers as Java's `DecimalFormat` for whole numbers reads them: a minus, digits of any script, and even an exponent,
//! infinity and NaN.

use super::names::Unit;

/// Digits that fit 64 bits whatever they are.
const SAFE_DIGITS: usize = 18;

/// The most digits that a number of 64 bits has.
const MOST_DIGITS: i32 = 19;

/// The zeros of the scripts whose digits Java 17 knows, within the basic plane. ASCII is first.
const ZEROS: [u32; 37] = [
    0x0030, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6,
    0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40,
    0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
];

/// The number at the start of a text, cut to 32 bits as Java does it, and its length.
pub(super) fn read<U: Unit>(text: &[U]) -> Option<(i32, usize)> {
    let negative = starts_with(text, '-');
    let start = usize::from(negative);
    let mut value: i64 = 0;
    let mut at = start;
    while let Some(&unit) = text.get(at) {
        let unit: u32 = unit.into();
        let digit = unit.wrapping_sub(0x30);
        if digit > 9 {
            // An exponent, a digit of another script, or a sign instead of a number.
            if unit == u32::from('E') || unit > 0x7F || at == start {
                return read_slowly(text);
            }
            break;
        }
        if at - start == SAFE_DIGITS {
            return read_slowly(text);
        }
        value = value * 10 + i64::from(digit);
        at += 1;
    }
    if at == start {
        return None;
    }
    let value = if negative { -value } else { value };
    Some((value as i32, at))
}

/// The value of a digit of any script.
pub(super) fn digit(unit: u32) -> Option<u32> {
    let zero = ZEROS.iter().rev().find(|&&zero| zero <= unit)?;
    (unit - zero < 10).then(|| unit - zero)
}

/// Everything that [`read`] does not do at once.
fn read_slowly<U: Unit>(text: &[U]) -> Option<(i32, usize)> {
    if text.len() >= 3
        && ['N', 'a', 'N']
            .iter()
            .zip(text)
            .all(|(&c, &unit)| unit.into() == u32::from(c))
    {
        return Some((0, 3));
    }
    let negative = starts_with(text, '-');
    let start = usize::from(negative);
    if starts_with(&text[start..], '∞') {
        return Some((if negative { i32::MIN } else { i32::MAX }, start + 1));
    }
    let (digits, count) = digits(&text[start..])?;
    let mut at = start + count;
    // The number is 0.DIGITS times ten to the power of this.
    let mut point = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    if starts_with(&text[at..], 'E')
        && let Some((exponent, length)) = exponent(&text[at + 1..])
    {
        at += 1 + length;
        point = point.wrapping_add(exponent);
    }
    Some((value(digits.trim_end_matches('0'), point, negative), at))
}

/// The digits at the start of a text without leading zeros, and how many characters they were with them.
fn digits<U: Unit>(text: &[U]) -> Option<(String, usize)> {
    let mut digits = String::new();
    let mut count = 0;
    while let Some(digit) = text.get(count).and_then(|&unit| digit(unit.into())) {
        if digit > 0 || !digits.is_empty() {
            digits.extend(char::from_digit(digit, 10));
        }
        count += 1;
    }
    (count > 0).then_some((digits, count))
}

/// The number after an `E`: 64 bits must hold it, of which Java keeps the lower 32.
fn exponent<U: Unit>(text: &[U]) -> Option<(i32, usize)> {
    let negative = starts_with(text, '-');
    let (digits, count) = digits(&text[usize::from(negative)..])?;
    let value: i128 = match digits.as_str() {
        "" => 0,
        digits if digits.len() > MOST_DIGITS as usize => return None,
        digits => digits.parse().ok()?,
    };
    let value = if negative { -value } else { value };
    let value = i64::try_from(value).ok()?;
    Some((value as i32, usize::from(negative) + count))
}

/// 0.DIGITS times ten to the power of `point`: whole numbers keep their lower 32 bits, others go through a double.
fn value(digits: &str, point: i32, negative: bool) -> i32 {
    if digits.is_empty() {
        return 0;
    }
    let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    if length <= point
        && point <= MOST_DIGITS
        && let Ok(value) = format!("{digits:0<width$}", width = point as usize).parse::<i128>()
        && let Ok(value) = i64::try_from(if negative { -value } else { value })
    {
        return value as i32;
    }
    let value: f64 = format!("0.{digits}E{point}").parse().unwrap_or(0.0);
    (if negative { -value } else { value }) as i32
}

fn starts_with<U: Unit>(text: &[U], c: char) -> bool {
    text.first().is_some_and(|&unit| unit.into() == u32::from(c))
}
