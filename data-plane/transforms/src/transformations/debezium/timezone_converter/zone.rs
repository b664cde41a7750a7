//! A time zone, what its offset is at some time, and times of ISO 8601 that are moved into it.

use dray_connect::{Error, Result};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// The 400 years after which the calendar, and with it each rule of a time zone, repeats.
const CYCLE: i64 = 146_097 * 86_400;
/// Later than any change of rules, and so far from the last second that jiff knows (the year 9999) that a cycle fits.
const LATE: i64 = 200_000_000_000;
/// Earlier than any change of rules.
const EARLY: i64 = -300_000_000_000;

/// A time zone of the database, or an offset.
pub(super) struct Zone(TimeZone);

impl Zone {
    pub(super) fn read(key: &str, text: Option<&str>) -> Result<Self> {
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
            let problem = format!("The '{key}' value is invalid: A value is required");
            return Err(Error::invalid_config(key, text, Some(&problem)));
        };
        let zone = match text.as_bytes() {
            [b'+' | b'-', ..] => offset(text).map(|(offset, _)| TimeZone::fixed(offset)),
            // Java knows no names in another case.
            _ => TimeZone::get(text).ok().filter(|zone| zone.iana_name() == Some(text)),
        };
        let problem = "Invalid timezone format. Please specify either a geographic timezone (e.g. America/Los_Angeles) or a \
                       UTC offset in the format of +/-hh:mm, (e.g. +08:00).";
        zone.map(Self)
            .ok_or_else(|| Error::invalid_config(key, Some(text), Some(problem)))
    }

    /// Seconds east of UTC at that second since the epoch.
    pub(super) fn offset_of_instant(&self, second: i64) -> i32 {
        let instant = Timestamp::from_second(within(second)).unwrap_or_default();
        self.0.to_offset(instant).seconds()
    }

    /// Seconds east of UTC when clocks there show that time, which is given as if it were one of UTC. While clocks are set
    /// forward or back, the offset of before.
    pub(super) fn offset_of_local(&self, second: i64) -> i32 {
        let instant = Timestamp::from_second(within(second)).unwrap_or_default();
        let local = TimeZone::UTC.to_datetime(instant);
        match self.0.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.seconds(),
            AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => before.seconds(),
        }
    }

    /// A date and time with an offset, with the zone's offset in its place.
    pub(super) fn date_time(&self, text: &str) -> Result<String> {
        let refused = || unreadable(text, "a date and time with an offset, such as 2024-02-29T12:34:56.789Z");
        let (date, rest) = text.split_once(['T', 't']).ok_or_else(refused)?;
        let (time, given) = time_with_offset(rest).ok_or_else(refused)?;
        let date = read_date(date).ok_or_else(refused)?;
        let local = DateTime::from_parts(date, time);
        let second = TimeZone::UTC.to_timestamp(local).map_err(|_| refused())?.as_second();
        let offset = self.offset_of_local(second);
        let moved = local
            .checked_add(SignedDuration::from_secs(i64::from(offset - given.seconds())))
            .map_err(|_| refused())?;
        let moved_offset = Offset::from_seconds(offset).map_err(|_| refused())?;
        let (date, time) = (moved.date(), moved.time());
        let sign = if date.year() < 0 { "-" } else { "" };
        Ok(format!(
            "{sign}{:04}-{:02}-{:02}T{}{}",
            date.year().abs(),
            date.month(),
            date.day(),
            written(time),
            iso(moved_offset)
        ))
    }

    /// A time with an offset, with the offset that the zone has now in its place.
    pub(super) fn time(&self, text: &str) -> Result<String> {
        let refused = || unreadable(text, "a time with an offset, such as 12:34:56.789Z");
        let (time, given) = time_with_offset(text).ok_or_else(refused)?;
        let now = self.0.to_offset(Timestamp::now());
        let moved = time.wrapping_add(SignedDuration::from_secs(i64::from(now.seconds() - given.seconds())));
        Ok(format!("{}{}", written(moved), iso(now)))
    }
}

fn unreadable(text: &str, expected: &str) -> Error {
    Error::data(format!("Text '{text}' could not be parsed: {expected} was expected"))
}

/// A second at which a zone has the same offset, and which jiff knows.
fn within(second: i64) -> i64 {
    if second > LATE + CYCLE {
        LATE + (second - LATE) % CYCLE
    } else {
        second.max(EARLY)
    }
}

/// `+08:00` or `-03:30:15`, and what stands behind it; Java's offsets end at 18 hours.
fn offset(text: &str) -> Option<(Offset, &str)> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, rest) = digits(rest)?;
    let (minutes, rest) = digits(rest.strip_prefix(':')?)?;
    let (seconds, rest) = match rest.strip_prefix(':') {
        None => (0, rest),
        Some(rest) => digits(rest)?,
    };
    let total = hours * 3600 + minutes * 60 + seconds;
    if !rest.is_empty() || minutes > 59 || seconds > 59 || total > 18 * 3600 {
        return None;
    }
    Some((Offset::from_seconds(sign * total).ok()?, rest))
}

/// A number of two digits, and what stands behind it.
fn digits(text: &str) -> Option<(i32, &str)> {
    let bytes = text.as_bytes();
    let &[tens, ones, ..] = bytes else { return None };
    if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return None;
    }
    Some((i32::from(tens - b'0') * 10 + i32::from(ones - b'0'), &text[2..]))
}

fn read_date(text: &str) -> Option<Date> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (year, rest) = rest.split_once('-')?;
    if year.len() != 4 || !year.bytes().all(|b| b.is_ascii_digit()) {
        return None; // Java goes further; no database of Debezium's does
    }
    let year: i16 = year.parse().ok()?;
    let (month, rest) = digits(rest)?;
    let (day, rest) = digits(rest.strip_prefix('-')?)?;
    if !rest.is_empty() {
        return None;
    }
    let year = if negative { -year } else { year };
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// `hh:mm`, `hh:mm:ss` or `hh:mm:ss.n`, then an offset or `Z`.
fn time_with_offset(text: &str) -> Option<(Time, Offset)> {
    let end = text.find(['+', '-', 'Z', 'z'])?;
    let (time, rest) = text.split_at(end);
    let given = match rest {
        "Z" | "z" => Offset::UTC,
        rest => offset(rest)?.0,
    };
    let (hour, rest) = digits(time)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?)?;
    let (second, rest) = match rest.strip_prefix(':') {
        None => (0, rest),
        Some(rest) => digits(rest)?,
    };
    let nanos = match rest.strip_prefix('.') {
        None if rest.is_empty() => 0,
        None => return None,
        Some(fraction) => {
            if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            format!("{fraction:0<9}").parse().ok()?
        }
    };
    let small = |number: i32| i8::try_from(number).ok();
    Some((
        Time::new(small(hour)?, small(minute)?, small(second)?, nanos).ok()?,
        given,
    ))
}

/// With seconds, and with as many digits behind them as are needed.
fn written(time: Time) -> String {
    let mut text = format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    if time.subsec_nanosecond() != 0 {
        let digits = format!("{:09}", time.subsec_nanosecond());
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
    text
}

fn iso(offset: Offset) -> String {
    let seconds = offset.seconds();
    if seconds == 0 {
        return "Z".to_owned();
    }
    let (sign, total) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
    let mut text = format!("{sign}{:02}:{:02}", total / 3600, total / 60 % 60);
    if total % 60 != 0 {
        text.push_str(&format!(":{:02}", total % 60));
    }
    text
}
