//! Time zones in a text: offsets from UTC, and the names of UTC and GMT.
//!
//! Java knows all its zones by name here. Such a name needs the history of that zone, and after it has been read Java's
//! format stays in that zone for good. Both is left out: such a text does not match.

use super::names::{self, Unit};

/// What stands for an offset of hours and minutes after its sign.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Digits {
    /// `hh`
    Hours,
    /// `hhmm`
    Minutes,
    /// `hh:mm`
    Colon,
    /// `h:mm` or `hh:mm`
    ShortColon,
}

/// The offset from UTC in milliseconds, or none where UTC was named; and where the text goes on. If there is none, where it
/// stopped to be one.
pub(super) type Found = Result<(Option<i32>, usize), usize>;

/// Names of zones that always have the time of UTC, in the order in which Java finds them.
const NAMES: [&str; 4] = [names::LONG_UTC, "UTC", "Greenwich Mean Time", "GMT"];

/// `z` and `Z`: `GMT`, `GMT+1:00`, `+0100`, `UTC`. Blanks lie between `start` and `at`; after them `GMT` is the name of a
/// zone, which has no offset.
pub(super) fn general<U: Unit>(text: &[U], start: usize, at: usize) -> Found {
    if let Some(sign) = sign(text, at) {
        return offset(text, at + 1, sign, Digits::Minutes);
    }
    if names::starts_with(&text[start..], "GMT") {
        let end = start + 3;
        return match sign(text, end) {
            Some(sign) => offset(text, end + 1, sign, Digits::ShortColon),
            None => Ok((Some(0), end)),
        };
    }
    match names::find(&text[at..], &NAMES) {
        Some((_, length)) => Ok((None, at + length)),
        None => Err(at),
    }
}

/// `X`, `XX` and `XXX`: `Z`, or `+01`, `+0100` and `+01:00`.
pub(super) fn iso<U: Unit>(text: &[U], at: usize, count: usize) -> Found {
    if text[at].into() == u32::from('Z') {
        return Ok((Some(0), at + 1));
    }
    let Some(sign) = sign(text, at) else {
        return Err(at + 1);
    };
    let digits = match count {
        1 => Digits::Hours,
        2 => Digits::Minutes,
        _ => Digits::Colon,
    };
    offset(text, at + 1, sign, digits)
}

fn sign<U: Unit>(text: &[U], at: usize) -> Option<i32> {
    let unit: u32 = (*text.get(at)?).into();
    match char::from_u32(unit)? {
        '+' => Some(1),
        '-' => Some(-1),
        _ => None,
    }
}

fn offset<U: Unit>(text: &[U], mut at: usize, sign: i32, digits: Digits) -> Found {
    let digit = |at: usize| -> Result<i32, usize> {
        let unit: u32 = (*text.get(at).ok_or(at)?).into();
        match unit.wrapping_sub(0x30) {
            digit @ 0..=9 => Ok(digit as i32),
            _ => Err(at),
        }
    };
    let mut hours = digit(at)?;
    at += 1;
    match digit(at) {
        Ok(digit) => {
            hours = 10 * hours + digit;
            at += 1;
        }
        Err(stopped) if digits != Digits::ShortColon => return Err(stopped),
        Err(_) => {}
    }
    if hours > 23 {
        return Err(at - 1);
    }
    let mut minutes = 0;
    if digits != Digits::Hours {
        if digits != Digits::Minutes {
            if text.get(at).is_none_or(|&unit| unit.into() != u32::from(':')) {
                return Err(at);
            }
            at += 1;
        }
        minutes = 10 * digit(at)? + digit(at + 1)?;
        at += 2;
        if minutes > 59 {
            return Err(at - 1);
        }
    }
    Ok((Some(sign * (60 * hours + minutes) * 60_000), at))
}
