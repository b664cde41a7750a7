//! Weeks and days within a year or a month. Weeks start on Sunday, and the first one may have a single day, as in the USA.

use super::calendar::{self, CUTOVER, CUTOVER_MONTH, CUTOVER_YEAR, Date, weekday};

/// From 1.
pub(super) fn day_of_year(day: i64, date: Date) -> i64 {
    day - calendar::year_start(date.year) + 1
}

/// From 1; the days of the last week are in week 1 when the next year starts within it.
pub(super) fn week_of_year(day: i64, date: Date) -> i64 {
    let next = calendar::year_start(date.year + 1);
    if day >= next - weekday(next) {
        1
    } else {
        week(calendar::year_start(date.year), day)
    }
}

/// From 1.
pub(super) fn week_of_month(day: i64, date: Date) -> i64 {
    week(month_start(day, date), day)
}

/// The how-manieth Monday (or whatever the day is) of the month, from 1.
pub(super) fn day_of_week_in_month(day: i64, date: Date) -> i64 {
    (day - month_start(day, date)) / 7 + 1
}

/// The year to which the week belongs. `of_day` are the milliseconds since midnight.
pub(super) fn week_year(day: i64, of_day: i64, date: Date) -> i32 {
    if date.year > CUTOVER_YEAR + 1 {
        let next = date.month != 0 && week_of_year(day, date) == 1;
        return date.year + i32::from(next);
    }
    early_week_year(day, of_day, date)
}

/// Java steps through the year to find the week year of old dates. It gets the year after one BC wrong, and so do we: it
/// takes that year for one AD.
fn early_week_year(day: i64, of_day: i64, date: Date) -> i32 {
    let of_year = day_of_year(day, date);
    let length = match date.year {
        CUTOVER_YEAR => 355,
        year => 365 + i64::from(calendar::is_leap(year)),
    };
    if of_year > 1 && of_year < length - 6 {
        return date.year;
    }
    let sunday = first_sunday(date.year, of_day);
    let sunday_date = calendar::date_of(sunday);
    if of_year < day_of_year(sunday, sunday_date) {
        return date.year;
    }
    let next = if sunday_date.year > 0 {
        date.year + 1
    } else {
        -date.year
    };
    let sunday = first_sunday(next, of_day);
    let before_sunday = match day_of_year(sunday, calendar::date_of(sunday)) - 1 {
        0 => 7,
        days => days,
    };
    let left = length - of_year + 1;
    date.year + i32::from(left <= 7 - before_sunday)
}

/// The first Sunday of a year. The first day of the earliest year is no instant any more: there Java wraps around.
fn first_sunday(year: i32, of_day: i64) -> i64 {
    let (first, _) = calendar::split(calendar::millis(calendar::year_start(year), of_day));
    first + (7 - weekday(first)) % 7
}

/// The number of the week in a period that starts with a day.
fn week(first: i64, day: i64) -> i64 {
    (day - first + weekday(first)) / 7 + 1
}

fn month_start(day: i64, date: Date) -> i64 {
    if date.year == CUTOVER_YEAR && date.month == CUTOVER_MONTH && day >= CUTOVER {
        calendar::julian_month(date.year, date.month)
    } else {
        day - i64::from(date.day) + 1
    }
}
