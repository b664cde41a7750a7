//! Dates of `java.util.GregorianCalendar`: Gregorian since 1582-10-15, Julian before. Days count from 1970-01-01.

/// Milliseconds of a day.
pub(super) const DAY: i64 = 86_400_000;

/// The first day of the Gregorian calendar, 1582-10-15.
pub(super) const CUTOVER: i64 = -141_427;

/// The year in which the calendars change.
pub(super) const CUTOVER_YEAR: i32 = 1582;

/// October: the month in which the calendars change.
pub(super) const CUTOVER_MONTH: u8 = 9;

/// The days of a year without a leap day before each month.
const BEFORE: [u16; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];

/// A day of the calendar that was valid then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    /// 0 is the year 1 BC, -1 the year 2 BC.
    pub(super) year: i32,
    /// January is 0.
    pub(super) month: u8,
    /// The first is 1.
    pub(super) day: u8,
}

/// The day of an instant, and the milliseconds since that midnight.
pub(super) fn split(millis: i64) -> (i64, i64) {
    (millis.div_euclid(DAY), millis.rem_euclid(DAY))
}

/// An instant from its day and the milliseconds since that midnight. Java does not notice when it does not fit.
pub(super) fn millis(day: i64, of_day: i64) -> i64 {
    day.wrapping_mul(DAY).wrapping_add(of_day)
}

/// What Java counts as the year within its era: 0 is 1 (BC).
pub(super) fn year_of_era(year: i32) -> i32 {
    if year > 0 { year } else { 1_i32.wrapping_sub(year) }
}

/// The date of a day whose year fits 32 bits, as that of every instant in milliseconds does.
pub(super) fn date_of(day: i64) -> Date {
    // Counted from the first of March, so that the leap day is the last one of its year.
    let (year, of_year) = if day >= CUTOVER {
        let day = day + 719_468;
        let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097) as u32);
        let of_four_centuries = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let before = 365 * of_four_centuries + of_four_centuries / 4 - of_four_centuries / 100;
        (era * 400 + i64::from(of_four_centuries), of_era - before)
    } else {
        let day = day + 719_470;
        let (era, of_era) = (day.div_euclid(1461), day.rem_euclid(1461) as u32);
        let of_four_years = (of_era - of_era / 1460) / 365;
        (era * 4 + i64::from(of_four_years), of_era - 365 * of_four_years)
    };
    // The months since March have 31, 30, 31, 30, 31 days, over and over: 153 days for five of them.
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (year, month + 2)
    } else {
        (year + 1, month - 10)
    };
    Date {
        year: year as i32,
        month: month as u8,
        day: day as u8,
    }
}

/// The day of a date. In the gap of October 1582 the Julian calendar goes on.
pub(super) fn day_of(date: Date) -> i64 {
    let of_month = i64::from(date.day) - 1;
    let gregorian = gregorian_month(date.year, date.month) + of_month;
    if gregorian >= CUTOVER {
        gregorian
    } else {
        julian_month(date.year, date.month) + of_month
    }
}

/// The first day of a month of the Gregorian calendar, before 1582 as well. January is 0.
pub(super) fn gregorian_month(year: i32, month: u8) -> i64 {
    let before = i64::from(year) - 1;
    let leaps = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
    365 * before + leaps - 719_162 + days_before(month, is_gregorian_leap(year))
}

/// The first day of a month of the Julian calendar, after 1582 as well. January is 0.
pub(super) fn julian_month(year: i32, month: u8) -> i64 {
    let before = i64::from(year) - 1;
    365 * before + before.div_euclid(4) - 719_164 + days_before(month, year % 4 == 0)
}

fn days_before(month: u8, leap: bool) -> i64 {
    i64::from(BEFORE[usize::from(month)]) + i64::from(leap && month > 1)
}

fn is_gregorian_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Whether a year has a leap day in the calendar that was valid then.
pub(super) fn is_leap(year: i32) -> bool {
    if year > CUTOVER_YEAR {
        is_gregorian_leap(year)
    } else {
        year % 4 == 0
    }
}

/// The days of a month. October 1582, which has gaps, has its 31st.
pub(super) fn month_length(year: i32, month: u8) -> u8 {
    let month = usize::from(month);
    (BEFORE[month + 1] - BEFORE[month]) as u8 + u8::from(month == 1 && is_leap(year))
}

/// The first day of a year.
pub(super) fn year_start(year: i32) -> i64 {
    if year > CUTOVER_YEAR {
        gregorian_month(year, 0)
    } else {
        julian_month(year, 0)
    }
}

/// 0 is a Sunday.
pub(super) fn weekday(day: i64) -> i64 {
    (day + 4).rem_euclid(7)
}
