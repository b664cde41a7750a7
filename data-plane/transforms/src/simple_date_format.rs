//! Java's `java.text.SimpleDateFormat` in UTC, with the names of the locale en-US: patterns, formatting, lenient parsing.
//!
//! What is done follows the documentation of that class and of `java.util.Calendar`, and where that is silent, what JDK 17
//! does: `tests/oracle/dates` asks it. What differs on purpose is in `tests/oracle/dates/differences.md`.

mod calendar;
mod format;
mod names;
mod number;
mod parse;
mod pattern;
mod resolve;
mod template;
#[cfg(test)]
mod tests;
mod weeks;
mod zone;

use self::pattern::Step;
use self::template::Template;

/// A compiled pattern. It formats and parses in UTC, leniently; what it keeps between calls makes them cheaper, and nothing else.
///
/// ```
/// use dray_transforms::simple_date_format::SimpleDateFormat;
///
/// let mut format = SimpleDateFormat::compile("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", 0).unwrap();
/// let mut text = String::new();
/// format.format(1_700_000_000_000, &mut text);
/// assert_eq!(text, "2023-11-14T22:13:20.000Z");
/// assert_eq!(format.parse(&text), Ok(1_700_000_000_000));
/// ```
#[derive(Clone, Debug)]
pub struct SimpleDateFormat {
    pattern: String,
    steps: Box<[Step]>,
    template: Option<Template>,
    century: Century,
}

/// The hundred years in which a year of two digits lies.
#[derive(Clone, Copy, Debug)]
struct Century {
    /// Milliseconds since the epoch.
    start: i64,
    /// The year of that instant.
    start_year: i32,
}

/// Why a pattern is refused. The texts are those of Java's `IllegalArgumentException`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A letter that has no meaning. All of `A` to `Z` and `a` to `z` are reserved.
    #[error("Illegal pattern character '{0}'")]
    IllegalCharacter(char),
    /// A quote was opened and not closed.
    #[error("Unterminated quote")]
    UnterminatedQuote,
    /// More than three letters `X`.
    #[error("invalid ISO 8601 format: length={0}")]
    InvalidIsoZone(usize),
}

/// A text that does not match the pattern. The text shown is that of Java's `ParseException`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Unparseable date: \"{text}\"")]
pub struct ParseError {
    /// What was to be parsed.
    pub text: String,
    /// Where it stopped to match, in UTF-16 code units as in Java. None with the empty pattern, which matches nothing.
    pub offset: Option<usize>,
}

impl SimpleDateFormat {
    /// Compiles a pattern of the letters `G y Y M L w W D d F E u a H k K h m s S z Z X`.
    ///
    /// `now_millis` are the milliseconds since the epoch at which the format is made: a year of two digits that is parsed by
    /// at most two letters is taken to be within 80 years before and 20 years after it.
    ///
    /// # Errors
    /// For a pattern that Java refuses. There is none that Java knows and this does not.
    pub fn compile(pattern: &str, now_millis: i64) -> Result<Self, PatternError> {
        let steps = pattern::compile(pattern)?;
        Ok(Self {
            pattern: pattern.to_owned(),
            template: Template::of(&steps),
            steps,
            century: Century::before(now_millis),
        })
    }

    /// The pattern as it was given.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Appends the text of an instant, given in milliseconds since the epoch. Every instant has one: years go from
    /// 292269055 BC to 292278994.
    pub fn format(&mut self, millis: i64, out: &mut String) {
        let written = self
            .template
            .as_mut()
            .is_some_and(|template| template.format(millis, out));
        if !written {
            format::format(&self.steps, millis, out);
        }
    }

    /// The milliseconds since the epoch of a text that starts as the pattern says; what follows is ignored.
    ///
    /// Fields roll over (the 32nd of January is the first of February), missing ones are those of 1970-01-01T00:00, and of
    /// those that contradict each other the later ones in the text win. As in Java an instant beyond 64 bits wraps around,
    /// silently. Of time zones given by name only UTC and GMT are known.
    ///
    /// # Errors
    /// When the text does not match.
    pub fn parse(&self, text: &str) -> Result<i64, ParseError> {
        let parsed = if text.is_ascii() {
            parse::parse(&self.steps, self.century, text.as_bytes())
        } else {
            let units: Vec<u16> = text.encode_utf16().collect();
            parse::parse(&self.steps, self.century, &units)
        };
        parsed.map_err(|offset| ParseError {
            text: text.to_owned(),
            offset,
        })
    }
}

impl Century {
    /// It starts 80 years before an instant; in a year that has no 29th of February, on the 28th.
    fn before(now_millis: i64) -> Self {
        let (day, of_day) = calendar::split(now_millis);
        let mut date = calendar::date_of(day);
        date.year -= 80;
        date.day = date.day.min(calendar::month_length(date.year, date.month));
        let start = calendar::millis(calendar::day_of(date), of_day);
        // Java keeps the year of the era.
        let year = calendar::date_of(calendar::split(start).0).year;
        Self {
            start,
            start_year: calendar::year_of_era(year),
        }
    }
}
