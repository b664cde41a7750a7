//! From a pattern to the steps that formatting and parsing take one after the other.

use super::PatternError;

/// One piece of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Text that stands for itself, and the same in UTF-16 for parsing.
    Text { text: Box<str>, units: Box<[u16]> },
    /// A field that is written as a word, by `count` letters.
    Name { name: Name, count: usize },
    /// A field that is written as a number, by `count` letters.
    Number {
        number: Number,
        count: usize,
        /// Another number follows at once, so that this one ends after `count` characters.
        adjacent: bool,
    },
    /// A time zone.
    Zone(Zone),
}

/// What is written as a word.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name {
    /// `G`
    Era,
    /// `MMM` and `LLL`: English writes the name of a month in the same way within a date and alone.
    Month,
    /// `E`
    Day,
    /// `a`
    AmPm,
}

/// What is written as a number.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    /// `y`
    Year,
    /// `Y`
    WeekYear,
    /// `M`, `MM`, `L` and `LL`, from 1
    Month,
    /// `w`
    WeekOfYear,
    /// `W`
    WeekOfMonth,
    /// `D`
    DayOfYear,
    /// `d`
    DayOfMonth,
    /// `F`
    DayOfWeekInMonth,
    /// `u`, Monday is 1
    DayOfWeek,
    /// `H`, from 0 to 23
    HourOfDay,
    /// `k`, from 1 to 24
    HourOfDayFrom1,
    /// `K`, from 0 to 11
    Hour,
    /// `h`, from 1 to 12
    HourFrom1,
    /// `m`
    Minute,
    /// `s`
    Second,
    /// `S`
    Millisecond,
}

/// How a time zone is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Zone {
    /// `z`
    Short,
    /// `zzzz`
    Long,
    /// `Z`
    Offset,
    /// `X`, `XX` and `XXX`
    Iso(usize),
}

/// The step of a letter that is there `count` times.
fn step(letter: char, count: usize) -> Result<Step, PatternError> {
    let number = match letter {
        'G' => return Ok(Step::Name { name: Name::Era, count }),
        'E' => return Ok(Step::Name { name: Name::Day, count }),
        'a' => {
            return Ok(Step::Name {
                name: Name::AmPm,
                count,
            });
        }
        'M' | 'L' if count > 2 => {
            return Ok(Step::Name {
                name: Name::Month,
                count,
            });
        }
        'z' => return Ok(Step::Zone(if count < 4 { Zone::Short } else { Zone::Long })),
        'Z' => return Ok(Step::Zone(Zone::Offset)),
        'X' if count > 3 => return Err(PatternError::InvalidIsoZone(count)),
        'X' => return Ok(Step::Zone(Zone::Iso(count))),
        'y' => Number::Year,
        'Y' => Number::WeekYear,
        'M' | 'L' => Number::Month,
        'w' => Number::WeekOfYear,
        'W' => Number::WeekOfMonth,
        'D' => Number::DayOfYear,
        'd' => Number::DayOfMonth,
        'F' => Number::DayOfWeekInMonth,
        'u' => Number::DayOfWeek,
        'H' => Number::HourOfDay,
        'k' => Number::HourOfDayFrom1,
        'K' => Number::Hour,
        'h' => Number::HourFrom1,
        'm' => Number::Minute,
        's' => Number::Second,
        'S' => Number::Millisecond,
        _ => return Err(PatternError::IllegalCharacter(letter)),
    };
    Ok(Step::Number {
        number,
        count,
        adjacent: false,
    })
}

/// The steps of a pattern.
pub(super) fn compile(pattern: &str) -> Result<Box<[Step]>, PatternError> {
    let mut compiler = Compiler::default();
    let mut chars = pattern.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        if c == '\'' {
            // Two of them are one that stands for itself, within quotes and outside of them.
            if chars.next_if_eq(&'\'').is_some() {
                compiler.text(c)?;
            } else {
                compiler.end_run()?;
                quoted = !quoted;
            }
        } else if quoted || !c.is_ascii_alphabetic() {
            compiler.text(c)?;
        } else {
            compiler.letter(c)?;
        }
    }
    if quoted {
        return Err(PatternError::UnterminatedQuote);
    }
    compiler.finish()
}

#[derive(Default)]
struct Compiler {
    steps: Vec<Step>,
    text: String,
    /// The letter that is repeated, and how often so far.
    run: Option<(char, usize)>,
}

impl Compiler {
    fn letter(&mut self, letter: char) -> Result<(), PatternError> {
        match &mut self.run {
            Some((repeated, count)) if *repeated == letter => *count += 1,
            _ => {
                // Java looks at a letter before it ends the run of the one before.
                step(letter, 1)?;
                self.end_run()?;
                self.end_text();
                self.run = Some((letter, 1));
            }
        }
        Ok(())
    }

    fn text(&mut self, c: char) -> Result<(), PatternError> {
        self.end_run()?;
        self.text.push(c);
        Ok(())
    }

    fn end_run(&mut self) -> Result<(), PatternError> {
        let Some((letter, count)) = self.run.take() else {
            return Ok(());
        };
        let step = step(letter, count)?;
        if let Some(Step::Number { adjacent, .. }) = self.steps.last_mut() {
            *adjacent = matches!(step, Step::Number { .. });
        }
        self.steps.push(step);
        Ok(())
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            self.steps.push(Step::Text {
                units: text.encode_utf16().collect(),
                text: text.into_boxed_str(),
            });
        }
    }

    fn finish(mut self) -> Result<Box<[Step]>, PatternError> {
        self.end_run()?;
        self.end_text();
        Ok(self.steps.into_boxed_slice())
    }
}
