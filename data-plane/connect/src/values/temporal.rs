//! Dates and times as text, in UTC.
//!
//! Reading follows Java's lenient `SimpleDateFormat`: numbers may have any count of digits and even an exponent, parts out
//! of range roll over, and what follows the pattern is ignored. Left out are digits that are not ASCII.

use crate::logical::{self, MILLIS_PER_DAY};
use crate::value::calendar::{date_of, day_of};
use crate::value::{SchemaAndValue, Value};

/// A text that is a Time, a Timestamp or a Date; its length alone decides which one is tried.
pub(super) fn parse_temporal(text: &str) -> Option<SchemaAndValue> {
    // Colons may come escaped.
    let text = text.replace("\\:", ":");
    let (schema, millis) = match text.encode_utf16().count() {
        13 => (logical::time_schema(), Reader::new(&text).time()?),
        24 => (logical::timestamp_schema(), Reader::new(&text).timestamp()?),
        10 => (logical::date_schema(), Reader::new(&text).date()?),
        _ => return None,
    };
    Some(SchemaAndValue::new(schema, Value::Date(millis)))
}

/// The text of a `java.util.Date`. Its milliseconds alone decide what it shows: all before 1970-01-02 is a time of day.
pub(super) fn format_date(millis: i64) -> String {
    let of_day = millis.rem_euclid(MILLIS_PER_DAY);
    let (second, milli) = (of_day / 1000, of_day % 1000);
    let time = format!(
        "{:02}:{:02}:{:02}.{milli:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    );
    if millis < MILLIS_PER_DAY {
        return time;
    }
    let (year, month, day) = date_of(millis.div_euclid(MILLIS_PER_DAY));
    let date = format!("{year:04}-{month:02}-{day:02}");
    if of_day == 0 { date } else { format!("{date}T{time}") }
}

/// Reads the parts of a pattern one after the other.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    fn date(&mut self) -> Option<i64> {
        let year = self.number()?;
        self.literal('-')?;
        let month = self.number()?;
        self.literal('-')?;
        let day = self.number()?;
        Some(day_of(year, month, day).wrapping_mul(MILLIS_PER_DAY))
    }

    fn time(&mut self) -> Option<i64> {
        let hour = self.number()?;
        self.literal(':')?;
        let minute = self.number()?;
        self.literal(':')?;
        let second = self.number()?;
        self.literal('.')?;
        let milli = self.number()?;
        self.literal('Z')?;
        Some(((hour * 60 + minute) * 60 + second) * 1000 + milli)
    }

    fn timestamp(&mut self) -> Option<i64> {
        let date = self.date()?;
        self.literal('T')?;
        let time = self.time()?;
        Some(date.wrapping_add(time))
    }

    /// A whole number, perhaps negative, after blanks. Java keeps the low 32 bits.
    fn number(&mut self) -> Option<i64> {
        let text = self.rest.trim_start_matches([' ', '\t']);
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let end = digits.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = digits.split_at(end);
        // The text is too short for more digits than 64 bits hold.
        let value: i64 = digits.parse().ok()?;
        let value = if negative { -value } else { value };
        let (value, rest) = match exponent(rest) {
            Some((exponent, rest)) => (shifted(value, exponent), rest),
            None => (value, rest),
        };
        self.rest = rest;
        Some(i64::from(value as i32))
    }

    fn literal(&mut self, expected: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }
}

/// An exponent and the text after it.
fn exponent(text: &str) -> Option<(i64, &str)> {
    let text = text.strip_prefix('E')?;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let end = digits.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = digits.split_at(end);
    let exponent: i64 = digits.parse().ok()?;
    Some((if negative { -exponent } else { exponent }, rest))
}

/// The number times a power of ten. Past 64 bits Java goes on with a double, whose cast to 32 bits stops at the limits.
fn shifted(value: i64, exponent: i64) -> i64 {
    let power = u32::try_from(exponent.unsigned_abs())
        .ok()
        .and_then(|exponent| 10_i64.checked_pow(exponent));
    let limit = if value < 0 {
        i64::from(i32::MIN)
    } else {
        i64::from(i32::MAX)
    };
    match power {
        _ if value == 0 => 0,
        Some(power) if exponent < 0 => value / power,
        None if exponent < 0 => 0,
        Some(power) => value.checked_mul(power).unwrap_or(limit),
        None => limit,
    }
}
