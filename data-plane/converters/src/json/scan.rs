//! The tokens of JSON as Jackson reads them with Connect's settings: leading zeros are allowed, and Jackson's limits hold.
//! They keep a small message from costing much.

use std::ops::Range;

use super::node::Number;

/// Digits of a number.
const MAX_DIGITS: usize = 1000;
/// Characters of a string; counted in bytes here, in UTF-16 units by Jackson.
const MAX_STRING: usize = 20_000_000;
/// Characters of a member's name.
const MAX_NAME: usize = 50_000;

/// What is wrong with a JSON text, and where.
#[derive(Debug, thiserror::Error)]
#[error("{problem} at byte {offset}")]
pub(crate) struct Syntax {
    problem: String,
    offset: usize,
}

pub(crate) type Result<T> = std::result::Result<T, Syntax>;

/// The text of a string, which is UTF-8.
pub(crate) enum Text<'a> {
    /// It stands in the input as it is.
    Plain(Range<usize>),
    /// It had escapes.
    Unescaped(&'a str),
}

impl Text<'_> {
    /// The bytes, where `input` is what was scanned.
    #[inline]
    pub(crate) fn bytes<'s>(&'s self, input: &'s [u8]) -> &'s [u8] {
        match self {
            Self::Plain(range) => input.get(range.clone()).unwrap_or_default(),
            Self::Unescaped(text) => text.as_bytes(),
        }
    }
}

/// Stands at a byte of the input and steps over tokens.
pub(crate) struct Scanner<'a> {
    pub(crate) input: &'a [u8],
    pub(crate) at: usize,
    unescaped: String,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(input: &'a [u8], at: usize) -> Self {
        Self {
            input,
            at,
            unescaped: String::new(),
        }
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    /// Steps over `bytes` where they come next.
    #[inline]
    pub(crate) fn eat(&mut self, bytes: &[u8]) -> bool {
        let found = self.rest().starts_with(bytes);
        self.at += if found { bytes.len() } else { 0 };
        found
    }

    pub(crate) fn syntax(&self, problem: impl Into<String>) -> Syntax {
        Syntax {
            problem: problem.into(),
            offset: self.at,
        }
    }

    #[cold]
    pub(crate) fn unexpected(&self, wanted: &str) -> Syntax {
        match self.peek() {
            Some(byte) => self.syntax(format!("expected {wanted}, found '{}'", byte.escape_ascii())),
            None => self.syntax(format!("expected {wanted}, found the end of the input")),
        }
    }

    #[inline]
    pub(crate) fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// A member's name in quotes.
    #[inline]
    pub(crate) fn name(&mut self) -> Result<Text<'_>> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a member's name in quotes"));
        }
        self.string(MAX_NAME)
    }

    /// The colon behind a member's name, with the blanks around it.
    #[inline]
    pub(crate) fn colon(&mut self) -> Result<()> {
        self.skip_blanks();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("':'"));
        }
        self.at += 1;
        self.skip_blanks();
        Ok(())
    }

    /// A string value; stands at its quote.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<Text<'_>> {
        self.string(MAX_STRING)
    }

    pub(crate) fn literal(&mut self, word: &str) -> Result<()> {
        if !self.eat(word.as_bytes()) {
            return Err(self.unexpected(&format!("a value such as {word}")));
        }
        // A word must not go on: `nullx` is none.
        match self.peek() {
            Some(b'_' | b'$' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | 0x7f..) => {
                Err(self.unexpected("a word's end"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Steps over digits and says how many there were.
    #[inline]
    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }

    #[inline]
    pub(crate) fn number(&mut self) -> Result<Number<'a>> {
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let start = self.at;
        let (mut low, mut count) = (0_i64, 0);
        for byte in self.rest() {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            low = low.wrapping_mul(10).wrapping_add(i64::from(digit));
            count += 1;
        }
        self.at += count;
        let ordinary = match self.input.get(start) {
            Some(b'1'..=b'9') => count <= MAX_DIGITS,
            _ => count == 1,
        };
        if !ordinary || matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return self.rare_number(negative, low, start, count);
        }
        Ok(Number {
            negative,
            start,
            text: self.input.get(start..self.at).unwrap_or_default(),
            integral: true,
            low: if negative { low.wrapping_neg() } else { low },
            decimals: Number::NOT_SHORT,
        })
    }

    /// A number of which the digits before the point were read: with a fraction, an exponent, leading zeros, too many
    /// digits, or none at all.
    #[inline(never)]
    fn rare_number(&mut self, negative: bool, low: i64, mut start: usize, mut count: usize) -> Result<Number<'a>> {
        if count == 0 {
            return Err(self.unexpected("a digit"));
        }
        let whole = self.input.get(start..self.at).unwrap_or_default();
        let zeros = whole.iter().take_while(|byte| **byte == b'0').count();
        let leading = zeros.min(count - 1);
        start += leading;
        count -= leading;
        let mut integral = true;
        let mut exponential = false;
        if self.peek() == Some(b'.') {
            integral = false;
            self.at += 1;
            let fraction = self.digits();
            if fraction == 0 {
                return Err(self.unexpected("a digit after the decimal point"));
            }
            count += fraction;
        }
        if let Some(b'e' | b'E') = self.peek() {
            integral = false;
            exponential = true;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            let exponent = self.digits();
            if exponent == 0 {
                return Err(self.unexpected("a digit of the exponent"));
            }
            count += exponent;
        }
        if count > MAX_DIGITS {
            return Err(self.syntax(format!(
                "number value length ({count}) exceeds the maximum allowed ({MAX_DIGITS})"
            )));
        }
        let number = Number {
            negative,
            start,
            text: self.input.get(start..self.at).unwrap_or_default(),
            integral,
            low: if negative { low.wrapping_neg() } else { low },
            decimals: Number::NOT_SHORT,
        };
        if exponential && number.scale().is_none() {
            return Err(self.syntax("the exponent of a number is out of range"));
        }
        Ok(number)
    }

    /// A string; stands at its quote.
    #[inline]
    fn string(&mut self, limit: usize) -> Result<Text<'_>> {
        self.at += 1;
        let start = self.at;
        self.plain()?;
        let end = self.at;
        if self.peek() != Some(b'"') {
            return self.escaped(start, limit);
        }
        self.at += 1;
        if end - start > limit {
            let text = self.input.get(start..end).unwrap_or_default();
            self.check_length(std::str::from_utf8(text).unwrap_or_default(), start, limit)?;
        }
        Ok(Text::Plain(start..end))
    }

    /// Bytes are at least as many as Jackson's units; only a text past the limit is counted exactly.
    #[cold]
    fn check_length(&mut self, text: &str, start: usize, limit: usize) -> Result<()> {
        if text.encode_utf16().count() <= limit {
            return Ok(());
        }
        self.at = start;
        Err(self.syntax(format!("string value length exceeds the maximum allowed ({limit})")))
    }

    /// Steps over text up to the next quote or backslash.
    #[inline]
    fn plain(&mut self) -> Result<()> {
        // Eight bytes at a time as long as they are plain ASCII.
        let (chunks, _) = self.rest().as_chunks::<8>();
        let mut length = 0;
        for chunk in chunks {
            let ends = ends_plain(u64::from_le_bytes(*chunk));
            if ends != 0 {
                length += ends.trailing_zeros() as usize / 8;
                break;
            }
            length += 8;
        }
        self.at += length;
        if self.peek() == Some(b'"') {
            return Ok(());
        }
        self.any_plain()
    }

    #[inline(never)]
    fn any_plain(&mut self) -> Result<()> {
        let rest = self.rest();
        let length = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
            .unwrap_or(rest.len());
        let run = rest.get(..length).unwrap_or_default();
        std::str::from_utf8(run).map_err(|cause| Syntax {
            problem: "malformed UTF-8".to_owned(),
            offset: self.at + cause.valid_up_to(),
        })?;
        self.at += length;
        match self.peek() {
            Some(b'"' | b'\\') => Ok(()),
            Some(_) | None => Err(self.unexpected("the end of a string")),
        }
    }

    /// A string with escapes, up to the first of which it was read.
    #[inline(never)]
    fn escaped(&mut self, start: usize, limit: usize) -> Result<Text<'_>> {
        let mut text = std::mem::take(&mut self.unescaped);
        text.clear();
        self.append_plain(start, &mut text);
        loop {
            let escape = self.peek() == Some(b'\\');
            self.at += 1;
            if !escape {
                break;
            }
            let c = match self.peek() {
                Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
                Some(b'b') => '\u{8}',
                Some(b't') => '\t',
                Some(b'n') => '\n',
                Some(b'f') => '\u{c}',
                Some(b'r') => '\r',
                Some(b'u') => self.unicode()?,
                Some(_) | None => return Err(self.unexpected("an escape")),
            };
            self.at += 1;
            text.push(c);
            let start = self.at;
            self.plain()?;
            self.append_plain(start, &mut text);
        }
        if text.len() > limit {
            self.check_length(&text, start, limit)?;
        }
        self.unescaped = text;
        Ok(Text::Unescaped(&self.unescaped))
    }

    fn append_plain(&self, start: usize, text: &mut String) {
        let plain = self.input.get(start..self.at).unwrap_or_default();
        text.push_str(std::str::from_utf8(plain).unwrap_or_default());
    }

    /// The character of `uXXXX`, or of two of them that are a pair; stands at the last digit after it. Half a pair, which
    /// Rust's text cannot hold, becomes U+FFFD.
    fn unicode(&mut self) -> Result<char> {
        let first = self.hex()?;
        if (0xd800..0xdc00).contains(&first) && self.input.get(self.at + 1..self.at + 3) == Some(b"\\u") {
            let before = self.at;
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// Four hexadecimal digits after the `u` we stand at; stands at the last one after it.
    fn hex(&mut self) -> Result<u32> {
        let mut code = 0;
        for _ in 0..4 {
            self.at += 1;
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.unexpected("a hexadecimal digit"))?;
        }
        Ok(code)
    }
}

/// The end of a string that starts there, behind its quote, when it is short and plain ASCII: nearly all are. Others are
/// left to the [`Scanner`]. A function of places and not of a scanner, so that the place stays in a register.
#[inline(always)]
pub(crate) fn plain_end(input: &[u8], start: usize) -> Option<usize> {
    let (chunks, tail) = input.get(start..)?.as_chunks::<16>();
    let mut end = start;
    for chunk in chunks {
        if let Some(length) = first_end(chunk, 0) {
            end += length;
            let is_end = input.get(end) == Some(&b'"') && end - start <= MAX_NAME;
            return is_end.then_some(end);
        }
        end += 16;
    }
    // The last bytes of the input, together with those before them.
    end += first_end(input.last_chunk()?, 16 - tail.len())?;
    let is_end = input.get(end) == Some(&b'"') && end - start <= MAX_NAME;
    is_end.then_some(end)
}

/// How far behind the first `skipped` bytes there is one that is a quote, a backslash, a control character or not ASCII.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
fn first_end(bytes: &[u8; 16], skipped: usize) -> Option<usize> {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    // The compiler finds no such instructions by itself. SAFETY: every x86-64 processor has them, and what is loaded is as long as that.
    let ends = unsafe {
        let bytes = _mm_loadu_si128(bytes.as_ptr().cast::<__m128i>());
        let is_quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"'.cast_signed()));
        let is_backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\'.cast_signed()));
        // What is not ASCII is negative.
        let is_low = _mm_cmplt_epi8(bytes, _mm_set1_epi8(b' '.cast_signed()));
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(is_quote, is_backslash), is_low))
    };
    let ends = ends.cast_unsigned() >> skipped;
    (ends != 0).then_some(ends.trailing_zeros() as usize)
}

#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
fn first_end(bytes: &[u8; 16], skipped: usize) -> Option<usize> {
    let whole = u128::from_le_bytes(*bytes);
    let ends = u128::from(ends_plain(whole as u64)) | u128::from(ends_plain((whole >> 64) as u64)) << 64;
    let ends = ends.checked_shr(8 * skipped as u32)?;
    (ends != 0).then_some(ends.trailing_zeros() as usize / 8)
}

/// The word that starts there and the place behind it, where what follows leaves no doubt that it ends there. None stands for null.
#[inline(always)]
pub(crate) fn short_word(input: &[u8], at: usize) -> Option<(Option<bool>, usize)> {
    let rest = input.get(at..)?;
    let (word, length) = match rest.first_chunk()? {
        b"true" => (Some(true), 4),
        b"null" => (None, 4),
        b"fals" if rest.get(4) == Some(&b'e') => (Some(false), 5),
        _ => return None,
    };
    matches!(rest.get(length), Some(b',' | b'}' | b']')).then_some((word, at + length))
}

/// The number that starts there and the place behind it, when it is of at most 18 digits, without leading zeros and without
/// an exponent.
#[inline(always)]
pub(crate) fn short_number(input: &[u8], at: usize) -> Option<(Number<'_>, usize)> {
    let negative = input.get(at) == Some(&b'-');
    let start = at + usize::from(negative);
    let (mut low, mut end) = more_digits(input, start, 0);
    let whole = end - start;
    let integral = input.get(end) != Some(&b'.');
    if !integral {
        let fraction = end + 1;
        (low, end) = more_digits(input, fraction, low);
        if end == fraction {
            return None;
        }
    }
    let decimals = if integral { 0 } else { end - start - whole - 1 };
    let leads_with_zero = input.get(start) == Some(&b'0') && whole > 1;
    let goes_on = matches!(input.get(end), Some(b'e' | b'E'));
    if whole == 0 || whole + decimals > 18 || leads_with_zero || goes_on {
        return None;
    }
    let number = Number {
        negative,
        start,
        text: input.get(start..end)?,
        integral,
        low: if negative { -low } else { low },
        decimals: decimals as u8,
    };
    Some((number, end))
}

/// The digits that start there, appended to `low`, and the place behind them. Past 18 digits in all the number is wrong, and
/// refused by the caller.
#[inline(always)]
fn more_digits(input: &[u8], mut at: usize, mut low: i64) -> (i64, usize) {
    while let Some(byte) = input.get(at) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        low = low.wrapping_mul(10).wrapping_add(i64::from(digit));
        at += 1;
    }
    (low, at)
}

#[inline(always)]
pub(crate) fn after_blanks(input: &[u8], mut at: usize) -> usize {
    // One comparison for most: only blanks and what may stand nowhere are not above a blank.
    while let Some(byte) = input.get(at)
        && *byte <= b' '
        && matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
    {
        at += 1;
    }
    at
}

/// A word whose lowest bit set stands in the first of eight bytes, counted from the lowest, that is a quote, a backslash, a
/// control character or not ASCII; zero when there is none.
#[inline]
pub(crate) fn ends_plain(bytes: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The quote stands right behind the control characters once their second bit is turned over.
    let low = bytes ^ (ONES * 2);
    let backslash = bytes ^ (ONES * b'\\' as u64);
    // A byte of `x - ONES & !x` has its high bit where that of x is zero; a borrow reaches only the bytes above it.
    let is_low = low.wrapping_sub(ONES * 0x21) & !low;
    let is_backslash = backslash.wrapping_sub(ONES) & !backslash;
    (is_low | is_backslash | bytes) & HIGH
}

#[cfg(test)]
mod tests;
