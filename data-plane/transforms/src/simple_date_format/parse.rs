//! Parsing: the steps of a pattern along a text.

use super::Century;
use super::names::{self, Unit};
use super::number;
use super::pattern::{Name, Number, Step, Zone};
use super::resolve::{CalendarField, Fields, calendar_day};
use super::zone;

/// The instant, or where the text does not match.
pub(super) fn parse<U: Unit>(steps: &[Step], century: Century, text: &[U]) -> Result<i64, Option<usize>> {
    if steps.is_empty() {
        return Err(None);
    }
    let mut parser = Parser {
        text,
        century,
        fields: Fields::default(),
        ambiguous: false,
    };
    let mut at = 0;
    for step in steps {
        at = match step {
            Step::Text { units, .. } => parser.literal(at, units)?,
            Step::Name { name, .. } => parser.name(at, *name)?,
            Step::Number {
                number,
                count,
                adjacent,
            } => parser.number(at, *number, *count, *adjacent)?,
            Step::Zone(zone) => parser.zone(at, *zone)?,
        };
    }
    let millis = parser.fields.millis();
    if parser.ambiguous && millis < century.start {
        parser.fields.add_century();
        return Ok(parser.fields.millis());
    }
    Ok(millis)
}

struct Parser<'a, U> {
    text: &'a [U],
    century: Century,
    fields: Fields,
    /// The last year of two digits is the one in which the century starts.
    ambiguous: bool,
}

impl<U: Unit> Parser<'_, U> {
    fn literal(&self, start: usize, units: &[u16]) -> Result<usize, usize> {
        for (at, &unit) in (start..).zip(units) {
            match self.text.get(at) {
                Some(&found) if found.into() == u32::from(unit) => {}
                _ => return Err(at),
            }
        }
        Ok(start + units.len())
    }

    /// Where a field starts after blanks. It must not be missing.
    fn skip_blanks(&self, start: usize) -> Result<usize, usize> {
        let blanks = self.text[start..]
            .iter()
            .take_while(|&&unit| matches!(unit.into(), 0x20 | 0x09));
        match start + blanks.count() {
            at if at < self.text.len() => Ok(at),
            _ => Err(start),
        }
    }

    fn name(&mut self, start: usize, name: Name) -> Result<usize, usize> {
        let at = self.skip_blanks(start)?;
        // Java skips blanks, and then looks for the name where the blanks start.
        let text = &self.text[start..];
        let (field, first, found) = match name {
            Name::Era => {
                let found = names::find(text, &names::ERAS).or_else(|| names::find(text, &names::LONG_ERAS));
                (CalendarField::Era, 0, found)
            }
            Name::Month => (CalendarField::Month, 0, names::find_or_short(text, &names::MONTHS)),
            Name::Day => (CalendarField::DayOfWeek, 1, names::find_or_short(text, &names::DAYS)),
            Name::AmPm => (CalendarField::AmPm, 0, names::find(text, &names::AM_PM)),
        };
        let (index, length) = found.ok_or(at)?;
        self.fields.set(field, first + index as i32);
        Ok(start + length)
    }

    fn number(&mut self, start: usize, number: Number, count: usize, adjacent: bool) -> Result<usize, usize> {
        let at = self.skip_blanks(start)?;
        let end = if adjacent {
            // The blanks count as well.
            let end = start.checked_add(count).filter(|&end| end <= self.text.len());
            end.ok_or(at)?
        } else {
            self.text.len()
        };
        let found = self.text.get(at..end).and_then(number::read);
        let (value, length) = found.ok_or(at)?;
        let (field, value) = match number {
            Number::Year => (CalendarField::Year, self.year(at, value, count, length)),
            Number::WeekYear => (CalendarField::WeekYear, self.year(at, value, count, length)),
            Number::Month => (CalendarField::Month, value.wrapping_sub(1)),
            Number::WeekOfYear => (CalendarField::WeekOfYear, value),
            Number::WeekOfMonth => (CalendarField::WeekOfMonth, value),
            Number::DayOfYear => (CalendarField::DayOfYear, value),
            Number::DayOfMonth => (CalendarField::DayOfMonth, value),
            Number::DayOfWeekInMonth => (CalendarField::DayOfWeekInMonth, value),
            Number::DayOfWeek => (CalendarField::DayOfWeek, calendar_day(value)),
            Number::HourOfDay => (CalendarField::HourOfDay, value),
            Number::HourOfDayFrom1 => (CalendarField::HourOfDay, from_0(value, 24)),
            Number::Hour => (CalendarField::Hour, value),
            Number::HourFrom1 => (CalendarField::Hour, from_0(value, 12)),
            Number::Minute => (CalendarField::Minute, value),
            Number::Second => (CalendarField::Second, value),
            Number::Millisecond => (CalendarField::Millisecond, value),
        };
        self.fields.set(field, value);
        Ok(at + length)
    }

    fn zone(&mut self, start: usize, zone: Zone) -> Result<usize, usize> {
        let at = self.skip_blanks(start)?;
        let (offset, end) = match zone {
            Zone::Short | Zone::Long | Zone::Offset => zone::general(self.text, start, at)?,
            Zone::Iso(count) => zone::iso(self.text, at, count)?,
        };
        if let Some(offset) = offset {
            self.fields.set(CalendarField::ZoneOffset, offset);
        }
        Ok(end)
    }

    /// By one or two letters, two digits stand for a year of the century.
    fn year(&mut self, at: usize, value: i32, count: usize, length: usize) -> i32 {
        let text = &self.text[at..at + length];
        if count > 2 || length != 2 || !text.iter().all(|&unit| number::digit(unit.into()).is_some()) {
            return value;
        }
        let first = self.century.start_year % 100;
        self.ambiguous = value == first;
        let century = self.century.start_year / 100 + i32::from(value < first);
        century * 100 + value
    }
}

/// Counting does not start at 0: the last one is.
fn from_0(value: i32, last: i32) -> i32 {
    if value == last { 0 } else { value }
}
