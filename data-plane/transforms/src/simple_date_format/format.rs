//! Formatting: what each step of a pattern writes.

use super::calendar::{self, Date};
use super::names;
use super::pattern::{Name, Number, Step, Zone};
use super::weeks;

/// Java's `DecimalFormat` writes no more digits than a double may have.
const MOST_DIGITS: usize = 309;

/// All numbers of two digits.
const PAIRS: &str = "00010203040506070809101112131415161718192021222324252627282930313233343536373839\
                     40414243444546474849505152535455565758596061626364656667686970717273747576777879\
                     8081828384858687888990919293949596979899";

/// Appends what the steps make of an instant.
pub(super) fn format(steps: &[Step], millis: i64, out: &mut String) {
    let (day, of_day) = calendar::split(millis);
    let instant = Instant {
        day,
        of_day: of_day as i32,
        date: calendar::date_of(day),
    };
    for step in steps {
        match step {
            Step::Text { text, .. } => out.push_str(text),
            Step::Name { name, count } => instant.name(*name, *count, out),
            Step::Number { number, count, .. } => instant.number(*number, *count, out),
            Step::Zone(Zone::Short) => out.push_str("UTC"),
            Step::Zone(Zone::Long) => out.push_str(names::LONG_UTC),
            Step::Zone(Zone::Offset) => out.push_str("+0000"),
            Step::Zone(Zone::Iso(_)) => out.push('Z'),
        }
    }
}

struct Instant {
    day: i64,
    /// Milliseconds since midnight.
    of_day: i32,
    date: Date,
}

impl Instant {
    fn name(&self, name: Name, count: usize, out: &mut String) {
        let name = match name {
            Name::Era => return out.push_str(names::ERAS[usize::from(self.date.year > 0)]),
            Name::AmPm => return out.push_str(names::AM_PM[usize::from(self.of_day >= 43_200_000)]),
            Name::Month => names::MONTHS[usize::from(self.date.month)],
            Name::Day => names::DAYS[calendar::weekday(self.day) as usize],
        };
        out.push_str(if count < 4 { names::short(name) } else { name });
    }

    fn number(&self, number: Number, count: usize, out: &mut String) {
        let hour = self.of_day / 3_600_000;
        let value = match number {
            Number::Year => return year(calendar::year_of_era(self.date.year), count, out),
            Number::WeekYear => {
                let week_year = weeks::week_year(self.day, i64::from(self.of_day), self.date);
                return year(week_year, count, out);
            }
            Number::Month => i32::from(self.date.month) + 1,
            Number::WeekOfYear => weeks::week_of_year(self.day, self.date) as i32,
            Number::WeekOfMonth => weeks::week_of_month(self.day, self.date) as i32,
            Number::DayOfYear => weeks::day_of_year(self.day, self.date) as i32,
            Number::DayOfMonth => i32::from(self.date.day),
            Number::DayOfWeekInMonth => weeks::day_of_week_in_month(self.day, self.date) as i32,
            Number::DayOfWeek => from_1(calendar::weekday(self.day) as i32, 7),
            Number::HourOfDay => hour,
            Number::HourOfDayFrom1 => from_1(hour, 24),
            Number::Hour => hour % 12,
            Number::HourFrom1 => from_1(hour % 12, 12),
            Number::Minute => self.of_day / 60_000 % 60,
            Number::Second => self.of_day / 1000 % 60,
            Number::Millisecond => self.of_day % 1000,
        };
        padded(value, count, out);
    }
}

/// Counting does not start at 0, which is the last one instead.
fn from_1(value: i32, last: i32) -> i32 {
    if value == 0 { last } else { value }
}

/// Two letters write the last two digits. A week year may be negative, and keeps its sign.
fn year(year: i32, count: usize, out: &mut String) {
    if count != 2 {
        return padded(year, count, out);
    }
    if year < 0 {
        out.push('-');
    }
    pair(year.unsigned_abs() % 100, out);
}

/// At least so many digits.
fn padded(value: i32, digits: usize, out: &mut String) {
    match (value, digits) {
        (0..=99, 2) => pair(value as u32, out),
        (0..=9, 1) => out.push((b'0' + value as u8) as char),
        (0..=9999, 4) => {
            pair(value as u32 / 100, out);
            pair(value as u32 % 100, out);
        }
        (0..=999, 3) => {
            out.push((b'0' + (value / 100) as u8) as char);
            pair(value as u32 % 100, out);
        }
        _ => {
            if value < 0 {
                out.push('-');
            }
            let mut buffer = [0; 10];
            let mut start = buffer.len();
            let mut rest = value.unsigned_abs();
            while rest > 0 || start == buffer.len() {
                start -= 1;
                buffer[start] = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            let zeros = digits.min(MOST_DIGITS).saturating_sub(buffer.len() - start);
            out.extend(std::iter::repeat_n('0', zeros));
            out.extend(buffer[start..].iter().map(|&digit| digit as char));
        }
    }
}

/// A number below 100 as two digits.
fn pair(value: u32, out: &mut String) {
    let at = 2 * value as usize;
    out.push_str(&PAIRS[at..at + 2]);
}
