//! The calendar of `java.util.GregorianCalendar` in UTC: Gregorian since 1582-10-15, Julian before.

/// The first day of the Gregorian calendar, 1582-10-15, in days since the epoch.
const CUTOVER: i64 = -141_427;

/// The day of a date since the epoch. Months and days out of range roll over, as in a lenient calendar; months count from 1.
///
/// A date that is given in a year before 1582 stays in the Julian calendar, even when its months roll past that year.
#[must_use]
pub fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let rolled = year + (month - 1).div_euclid(12);
    let month = (month - 1).rem_euclid(12) + 1;
    let gregorian = gregorian_month_start(rolled, month) + day - 1;
    if year >= 1582 && gregorian >= CUTOVER {
        gregorian
    } else {
        julian_month_start(rolled, month) + day - 1
    }
}

/// The days of a year that starts in March, before a month.
fn days_before(month: i64) -> i64 {
    let from_march = (month + 9) % 12;
    (153 * from_march + 2) / 5
}

fn gregorian_month_start(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leaps + days_before(month) - 719_468
}

fn julian_month_start(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    365 * year + year.div_euclid(4) + days_before(month) - 719_470
}

/// Year, month from 1 and day from 1 of a day since the epoch.
#[must_use]
pub fn date_of(day: i64) -> (i64, i64, i64) {
    // The year counted from March, and the day in it.
    let (year, day_of_year) = if day >= CUTOVER {
        gregorian_year(day + 719_468)
    } else {
        julian_year(day + 719_470)
    };
    let from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (year + i64::from(month <= 2), month, day_of_month)
}

/// Day 0 is the first of March of the year 0.
fn gregorian_year(day: i64) -> (i64, i64) {
    let era = day.div_euclid(146_097);
    let day_of_era = day.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    (year_of_era + era * 400, day_of_year)
}

/// Day 0 is the first of March of the Julian year 0.
fn julian_year(day: i64) -> (i64, i64) {
    let day_of_era = day.rem_euclid(1_461);
    let year_of_era = (day_of_era - day_of_era / 1_460) / 365;
    (year_of_era + day.div_euclid(1_461) * 4, day_of_era - 365 * year_of_era)
}

#[cfg(test)]
mod tests {
    use super::{date_of, day_of};

    #[test]
    fn days_and_dates() {
        for (date, day) in [
            ((1970, 1, 1), 0),
            ((1969, 12, 31), -1),
            ((2000, 2, 29), 11_016),
            ((2019, 8, 23), 18_131),
            ((1582, 10, 15), -141_427),
            ((1582, 10, 4), -141_428),
            ((12_000, 1, 1), 3_663_382),
        ] {
            assert_eq!(day_of(date.0, date.1, date.2), day, "{date:?}");
            assert_eq!(date_of(day), date, "{day}");
        }
    }

    #[test]
    fn out_of_range_rolls_over() {
        assert_eq!(day_of(2019, 13, 1), day_of(2020, 1, 1));
        assert_eq!(day_of(2019, 0, 1), day_of(2018, 12, 1));
        assert_eq!(day_of(2019, 2, 30), day_of(2019, 3, 2));
    }

    #[test]
    fn there_and_back() {
        for day in (-900_000..900_000).step_by(37) {
            let (year, month, date) = date_of(day);
            assert_eq!(day_of(year, month, date), day);
        }
    }
}
