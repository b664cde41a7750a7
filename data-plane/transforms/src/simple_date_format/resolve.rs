//! From the fields of a text to an instant, as a lenient `java.util.Calendar` does it.

use super::calendar::{self, CUTOVER, CUTOVER_YEAR, weekday};

/// Fields of `java.util.Calendar` that a text can set.
#[derive(Clone, Copy, Debug)]
pub(super) enum CalendarField {
    Era,
    Year,
    /// January is 0.
    Month,
    WeekOfYear,
    WeekOfMonth,
    DayOfMonth,
    DayOfYear,
    /// Sunday is 1.
    DayOfWeek,
    DayOfWeekInMonth,
    AmPm,
    Hour,
    HourOfDay,
    Minute,
    Second,
    Millisecond,
    /// Milliseconds.
    ZoneOffset,
    WeekYear,
}

use CalendarField as F;

const FIELDS: usize = F::WeekYear as usize + 1;

/// The first day of the week, as Java counts them.
const SUNDAY: i32 = 1;

/// What a text said, and in which order: where fields contradict each other, the later ones win.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    values: [i32; FIELDS],
    /// 0 is not set.
    stamps: [u32; FIELDS],
    last: u32,
}

/// What the day within the year is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    OfMonth,
    WeekOfMonth,
    WeekInMonth,
    OfYear,
    WeekOfYear,
}

impl Fields {
    pub(super) fn set(&mut self, field: CalendarField, value: i32) {
        self.last += 1;
        self.stamps[field as usize] = self.last;
        self.values[field as usize] = value;
    }

    /// A year of two digits was taken from the wrong century.
    pub(super) fn add_century(&mut self) {
        for field in [F::Year, F::WeekYear] {
            let year = &mut self.values[field as usize];
            *year = year.wrapping_add(100);
        }
    }

    /// The milliseconds since the epoch.
    pub(super) fn millis(&self) -> i64 {
        if self.stamp(F::WeekYear) > self.stamp(F::Year) {
            self.with_week_date().instant()
        } else {
            self.instant()
        }
    }

    fn value(&self, field: CalendarField) -> i32 {
        self.values[field as usize]
    }

    fn stamp(&self, field: CalendarField) -> u32 {
        self.stamps[field as usize]
    }

    fn is_set(&self, field: CalendarField) -> bool {
        self.stamp(field) > 0
    }

    fn or(&self, field: CalendarField, default: i32) -> i32 {
        if self.is_set(field) { self.value(field) } else { default }
    }

    fn instant(&self) -> i64 {
        let (days, of_day) = calendar::split(self.time_of_day());
        let day = self.day(days);
        let local = calendar::millis(day, of_day);
        local.wrapping_sub(i64::from(self.value(F::ZoneOffset)))
    }

    /// In milliseconds. Fields that are not set are 0.
    fn time_of_day(&self) -> i64 {
        let of_half = self.both(F::Hour, F::AmPm);
        let of_day = self.stamp(F::HourOfDay);
        let hours = if of_day > 0 && of_day >= of_half {
            i64::from(self.value(F::HourOfDay))
        } else {
            i64::from(self.value(F::Hour)) + 12 * i64::from(self.value(F::AmPm))
        };
        let minutes = hours * 60 + i64::from(self.value(F::Minute));
        let seconds = minutes * 60 + i64::from(self.value(F::Second));
        seconds * 1000 + i64::from(self.value(F::Millisecond))
    }

    /// The day, in the calendar that was valid then, and as many days later.
    fn day(&self, later: i64) -> i64 {
        let year = self.or(F::Year, 1970);
        let year = if self.or(F::Era, 1) == 0 {
            1_i32.wrapping_sub(year)
        } else {
            year
        };
        let source = self.day_source();
        let of_year = matches!(source, Day::OfYear | Day::WeekOfYear);
        if year > CUTOVER_YEAR || (year == CUTOVER_YEAR && !of_year) {
            let gregorian = later + self.day_in(calendar::gregorian_month, year, source);
            if gregorian >= CUTOVER {
                return gregorian;
            }
        }
        later + self.day_in(calendar::julian_month, year, source)
    }

    /// The most recently set combination of fields that makes a day. Groups with a week need its day to be set as well,
    /// unless there is nothing better.
    fn day_source(&self) -> Day {
        let week_of_month = self.stamp(F::WeekOfMonth);
        let week_in_month = self.stamp(F::DayOfWeekInMonth);
        let week_of_year = self.stamp(F::WeekOfYear);
        let of_month = self.stamp(F::DayOfMonth);
        let of_year = self.stamp(F::DayOfYear);
        let groups = [
            of_month,
            self.both(F::WeekOfMonth, F::DayOfWeek),
            self.both(F::DayOfWeekInMonth, F::DayOfWeek),
            of_year,
            self.both(F::WeekOfYear, F::DayOfWeek),
        ];
        let best = groups.into_iter().max().unwrap_or(0);
        if best == 0 {
            let week_in_month = week_in_month.max(self.stamp(F::DayOfWeek));
            let best = week_of_month.max(week_in_month).max(week_of_year);
            return if best == 0 {
                Day::OfMonth
            } else if best == week_of_month {
                Day::WeekOfMonth
            } else if best == week_in_month {
                Day::WeekInMonth
            } else {
                Day::WeekOfYear
            };
        }
        // A stamp belongs to one field, and several groups can have that of the day of the week: then it depends on the week.
        if best == of_month {
            Day::OfMonth
        } else if best == of_year {
            Day::OfYear
        } else {
            let of_week = week_of_month.max(week_in_month).max(week_of_year);
            if of_week == week_of_month {
                Day::WeekOfMonth
            } else if of_week == week_in_month {
                Day::WeekInMonth
            } else {
                Day::WeekOfYear
            }
        }
    }

    /// The later stamp of two fields if both are set.
    fn both(&self, one: CalendarField, other: CalendarField) -> u32 {
        match (self.stamp(one), self.stamp(other)) {
            (0, _) | (_, 0) => 0,
            (one, other) => one.max(other),
        }
    }

    /// The day in one of the calendars, given by the first days of its months. Sums of 32 bits wrap around as Java's do.
    fn day_in(&self, month_start: fn(i32, u8) -> i64, year: i32, source: Day) -> i64 {
        let (year, month) = match source {
            Day::OfYear | Day::WeekOfYear => (year, 0),
            Day::OfMonth | Day::WeekOfMonth | Day::WeekInMonth => {
                let month = self.value(F::Month);
                (year.wrapping_add(month.div_euclid(12)), month.rem_euclid(12) as u8)
            }
        };
        let first = month_start(year, month);
        match source {
            Day::OfMonth => first + i64::from(self.or(F::DayOfMonth, 1)) - 1,
            Day::OfYear => first + i64::from(self.value(F::DayOfYear)) - 1,
            Day::WeekOfMonth => {
                let weeks = self.value(F::WeekOfMonth).wrapping_sub(1).wrapping_mul(7);
                self.in_first_week(first) + i64::from(weeks)
            }
            Day::WeekOfYear => self.in_first_week(first) + 7 * (i64::from(self.value(F::WeekOfYear)) - 1),
            Day::WeekInMonth => {
                let day_of_week = self.or(F::DayOfWeek, SUNDAY);
                let weeks = self.or(F::DayOfWeekInMonth, 1);
                let last = if weeks >= 0 {
                    weeks.wrapping_mul(7)
                } else {
                    let length = i32::from(calendar::month_length(year, month));
                    weeks.wrapping_add(1).wrapping_mul(7).wrapping_add(length)
                };
                on_or_before(first + i64::from(last) - 1, day_of_week)
            }
        }
    }

    /// The day of the week in the week of a day.
    fn in_first_week(&self, first: i64) -> i64 {
        let sunday = first - weekday(first);
        on_or_before(sunday + 6, self.or(F::DayOfWeek, SUNDAY))
    }

    /// The fields with the date of a week of a week year, set last.
    fn with_week_date(&self) -> Self {
        let mut week = self.or(F::WeekOfYear, 1);
        let mut day_of_week = self.or(F::DayOfWeek, SUNDAY);
        if day_of_week >= 8 {
            day_of_week -= 1;
            week = week.wrapping_add(day_of_week / 7);
            day_of_week = calendar_day(day_of_week % 7 + 1);
        } else if day_of_week <= 0 {
            week = week.wrapping_add((day_of_week - 1).div_euclid(7));
            day_of_week = calendar_day((day_of_week - 1).rem_euclid(7) + 1);
        }
        let mut first = Self::default();
        first.set(F::Era, self.era());
        first.set(F::Year, self.value(F::WeekYear));
        first.set(F::WeekOfYear, 1);
        let later = week.wrapping_sub(1).wrapping_mul(7).wrapping_add(day_of_week - SUNDAY);
        let (day, of_day) = calendar::split(first.instant());
        let instant = calendar::millis(day + i64::from(later), of_day);
        let date = calendar::date_of(calendar::split(instant).0);
        let mut fields = self.clone();
        fields.set(F::Era, i32::from(date.year > 0));
        fields.set(F::Year, calendar::year_of_era(date.year));
        fields.set(F::Month, i32::from(date.month));
        fields.set(F::DayOfMonth, i32::from(date.day));
        fields
    }

    /// The era of what all fields but the week year make, in local time: 1 is AD. Java takes it for that of the week year.
    fn era(&self) -> i32 {
        let (day, of_day) = calendar::split(self.instant());
        let local = of_day + i64::from(self.value(F::ZoneOffset));
        i32::from(calendar::date_of(day + local.div_euclid(calendar::DAY)).year > 0)
    }
}

/// From Monday as 1 to Sunday as 1; other numbers stay.
pub(super) fn calendar_day(iso: i32) -> i32 {
    match iso {
        1..=6 => iso + 1,
        7 => SUNDAY,
        _ => iso,
    }
}

/// The last day up to this one that is that day of the week. Any number is one.
fn on_or_before(day: i64, day_of_week: i32) -> i64 {
    // Day 0 is a Thursday.
    day - (day + 4 - i64::from(day_of_week.wrapping_sub(1))).rem_euclid(7)
}
