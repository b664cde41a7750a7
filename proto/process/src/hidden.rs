//! Texts that nobody is to see: values of config providers. Whatever leaves a process – log lines, statuses, answers, dead letters – goes
//! through [`Hidden::hide`], which shows where the value stands instead.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{Arc, PoisonError, RwLock};
use tracing_subscriber::fmt::MakeWriter;

/// Shorter values are in half of all texts: `1`, `no`. What is that short is no secret.
pub const SHORTEST: usize = 4;
/// The most that are remembered, the latest: an agent has some hundreds, and each is looked for in each line.
const MOST: usize = 4096;

/// Texts that nobody is to see. Cheap to clone; a clone knows the same texts.
#[derive(Clone, Debug, Default)]
pub struct Hidden(Arc<RwLock<Texts>>);

#[derive(Debug, Default)]
struct Texts {
    /// The longest first: it may contain another.
    sorted: Vec<Text>,
    added: u64,
}

struct Text {
    text: String,
    shown: String,
    /// The place among all that were ever added.
    number: u64,
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Hidden {
    /// Hides a text from now on, also where it stands escaped in JSON or in Rust's own debug output; `shown` is shown instead.
    pub fn add(&self, text: &str, shown: &str) {
        // Many values end with a line's end that messages leave out.
        let trimmed = text.trim();
        let quoted = serde_json::Value::from(trimmed).to_string();
        let json = quoted.trim_start_matches('"').strip_suffix('"').unwrap_or_default();
        let rust = trimmed.escape_debug().to_string();
        for variant in [trimmed, json, &rust] {
            self.one(variant, shown);
        }
    }

    fn one(&self, text: &str, shown: &str) {
        if text.len() < SHORTEST {
            return;
        }
        let is_known = |texts: &Texts| texts.sorted.iter().any(|known| known.text == text);
        if is_known(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut texts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if is_known(&texts) {
            return;
        }
        if texts.sorted.len() == MOST {
            let oldest = texts.sorted.iter().map(|text| text.number).min();
            texts.sorted.retain(|text| Some(text.number) != oldest);
        }
        texts.added += 1;
        let number = texts.added;
        let at = texts.sorted.partition_point(|other| other.text.len() > text.len());
        let (text, shown) = (text.to_owned(), shown.to_owned());
        texts.sorted.insert(at, Text { text, shown, number });
    }

    /// The text as it may be shown.
    #[must_use]
    pub fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let texts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut shown = Cow::Borrowed(text);
        for hidden in &texts.sorted {
            if shown.contains(&hidden.text) {
                shown = Cow::Owned(shown.replace(&hidden.text, &hidden.shown));
            }
        }
        shown
    }

    /// Bytes as they may be shown. Where a hidden text is among bytes that are no text, those are replaced by `U+FFFD`.
    #[must_use]
    pub fn hide_bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        let shown = match self.hide(&String::from_utf8_lossy(&bytes)) {
            Cow::Owned(shown) => Some(shown.into_bytes()),
            Cow::Borrowed(_) => None,
        };
        shown.unwrap_or(bytes)
    }
}

/// Standard error, without what is hidden.
impl<'a> MakeWriter<'a> for Hidden {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

/// Writes a log line, which comes as a whole.
#[derive(Debug)]
pub struct Line<'a>(&'a Hidden);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        io::stderr().write_all(self.0.hide(&line).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_seen_nowhere() {
        let hidden = Hidden::default();
        hidden.add("s3same", "${f:short}");
        hidden.add("open s3same", "${f:long}");
        hidden.add("with \"quotes\"\tand tabs\n", "${f:odd}");
        for (text, expected) in [
            ("nothing", "nothing"),
            ("s3same, s3same", "${f:short}, ${f:short}"),
            ("say open s3same!", "say ${f:long}!"),
            ("a: with \"quotes\"\tand tabs", "a: ${f:odd}"),
            (r#"{"a":"with \"quotes\"\tand tabs"}"#, r#"{"a":"${f:odd}"}"#),
        ] {
            assert_eq!(hidden.hide(text), expected);
        }
        assert!(!format!("{hidden:?}").contains("s3same"));
    }

    #[test]
    fn nor_among_bytes() {
        let hidden = Hidden::default();
        hidden.add("s3same", "*");
        for (bytes, expected) in [
            (&b"say s3same"[..], &b"say *"[..]),
            (b"\xff s3same", "\u{fffd} *".as_bytes()),
            (b"\xff s4same", b"\xff s4same"),
            (b"", b""),
        ] {
            assert_eq!(hidden.hide_bytes(bytes.to_vec()), expected);
        }
    }

    #[test]
    fn what_is_short_is_no_secret() {
        let hidden = Hidden::default();
        hidden.add("1", "${f:one}");
        hidden.add("", "${f:none}");
        assert_eq!(hidden.hide("11"), "11");
    }

    #[test]
    fn the_latest_are_remembered() {
        let hidden = Hidden::default();
        for number in 0..=MOST {
            hidden.add(&format!("secret-{number:05}"), "*");
        }
        assert_eq!(hidden.hide("secret-00000 secret-00001"), "secret-00000 *");
        assert_eq!(hidden.hide(&format!("secret-{MOST:05}")), "*");
    }
}
