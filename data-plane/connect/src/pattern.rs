//! Regular expressions as `java.util.regex` understands them, for all that users of Kafka Connect write themselves:
//! `topics.regex`, `RegexRouter`, `TopicNameMatches`, topic creation groups.
//!
//! A pattern is read by Java's rules, with its error texts, and written for fancy-regex so that nothing depends on that
//! crate's defaults. What cannot be given exactly is refused, with the reason, or is an error where only some texts are
//! concerned; it never matches silently otherwise. The differential test (`tests/oracle`) holds this against the real Java.

mod ast;
mod behind;
mod class;
mod emit;
mod escape;
mod groups;
mod names;
mod parse;
mod quote;
mod replacement;
mod sets;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use fancy_regex::{Regex, RegexBuilder};

pub use replacement::Replacement;

use ast::Node;
use emit::{Texts, emit};
use groups::Trust;
use sets::Fold;

/// Steps back before a search is given up, about a tenth of a second: a task must not hang in a pattern.
const BACKTRACKS: usize = 1_000_000;

/// A pattern that does not compile, in the words of Java's `PatternSyntaxException`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PatternError {
    message: String,
    refused: bool,
}

impl PatternError {
    fn syntax(description: impl Into<String>, index: isize, pattern: &str) -> Self {
        Self {
            message: described(description.into(), index, pattern),
            refused: false,
        }
    }

    /// Java's words for what Java refuses in most cases, but not in all.
    fn mostly(description: &str, index: isize, pattern: &str) -> Self {
        Self {
            message: described(description.to_owned(), index, pattern),
            refused: true,
        }
    }

    fn refused(what: &str, why: &str, index: isize, pattern: &str) -> Self {
        Self {
            message: described(format!("Not supported: {what} ({why})"), index, pattern),
            refused: true,
        }
    }

    /// Whether Java would take this pattern.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused
    }
}

/// Java's layout: the pattern below the text, and a mark below the place.
fn described(mut text: String, index: isize, pattern: &str) -> String {
    let Ok(index) = usize::try_from(index) else {
        return format!("{text}\n{pattern}");
    };
    text.push_str(&format!(" near index {index}\n{pattern}"));
    if index < pattern.encode_utf16().count() {
        text.push('\n');
        // A tab in the pattern stays one, so that the mark stands below its character.
        text.extend(
            pattern
                .chars()
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .chain(std::iter::repeat(' '))
                .take(index),
        );
        text.push('^');
    }
    text
}

/// What can go wrong while a pattern is used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The search was given up. Java would go on, perhaps for ever.
    #[error("matching `{pattern}` took more than {BACKTRACKS} steps back")]
    TooLong {
        /// The pattern.
        pattern: String,
    },
    /// Java's answer cannot be given for this text.
    #[error("`{pattern}` cannot be matched as Java does it: {reason}")]
    Unsupported {
        /// The pattern.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// The replacement is wrong (`IllegalArgumentException`).
    #[error("{0}")]
    Replacement(String),
    /// The replacement names a group that is not there (`IndexOutOfBoundsException`).
    #[error("No group {0}")]
    NoGroup(usize),
}

impl Error {
    /// The same as an error of connector code, which has no class of its own for a group that is not there.
    #[must_use]
    pub fn into_connect(self) -> crate::error::Error {
        use crate::error::Error as Connect;
        let message = self.to_string();
        match self {
            Self::TooLong { .. } | Self::Unsupported { .. } => Connect::connect(message),
            Self::Replacement(_) | Self::NoGroup(_) => Connect::illegal_argument(message),
        }
    }

    /// The class of Java's exception; where Java has none, Connect's own.
    #[must_use]
    pub fn java_class(&self) -> &'static str {
        match self {
            Self::TooLong { .. } | Self::Unsupported { .. } => "org.apache.kafka.connect.errors.ConnectException",
            Self::Replacement(_) => "java.lang.IllegalArgumentException",
            Self::NoGroup(_) => "java.lang.IndexOutOfBoundsException",
        }
    }
}

/// A compiled pattern, cheap to clone.
#[derive(Clone, Debug)]
pub struct Pattern {
    inner: Arc<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    pattern: String,
    groups: usize,
    names: Vec<(String, usize)>,
    trust: Vec<Trust>,
    /// Why texts beyond ASCII cannot be matched.
    only_ascii: Option<&'static str>,
    /// Why texts with combining marks cannot be matched.
    no_marks: Option<&'static str>,
    /// Whether it looks behind a place: Java does so in the middle of a surrogate pair, too.
    looks_behind: bool,
    plain: Engines,
    any: Engines,
}

/// The same pattern for the whole text and for a part of it.
#[derive(Clone, Debug)]
struct Engines {
    whole: Regex,
    part: Regex,
}

impl Pattern {
    /// Compiles a pattern, as `Pattern.compile` without flags.
    ///
    /// # Errors
    /// With Java's text where Java refuses the pattern, and with the reason where we do.
    pub fn compile(regex: &str) -> Result<Self, PatternError> {
        let parsed = parse::parse(regex)?;
        let trust = groups::trust(&parsed.node, parsed.groups, regex)?;
        let plain = Engines::new(&emit(&parsed, Texts::Plain), regex)?;
        let any = emit(&parsed, Texts::Any);
        let any = if any == plain.part.as_str() {
            plain.clone()
        } else {
            Engines::new(&any, regex)?
        };
        let blind_reference = |node: &Node| matches!(node, Node::Back { fold, .. } if *fold != Fold::None);
        let narrow_boundary = |node: &Node| matches!(node, Node::Boundary { wide: false, .. });
        Ok(Self {
            inner: Arc::new(Compiled {
                pattern: regex.to_owned(),
                groups: parsed.groups,
                names: parsed.names,
                trust,
                only_ascii: parsed
                    .node
                    .any(&blind_reference)
                    .then_some("a back reference under (?i) compares ASCII text only"),
                no_marks: parsed
                    .node
                    .any(&narrow_boundary)
                    .then_some(r"\b and \B beside combining marks are not known"),
                looks_behind: parsed
                    .node
                    .any(&|node| matches!(node, Node::Boundary { .. } | Node::Look { behind: true, .. })),
                plain,
                any,
            }),
        })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.inner.pattern
    }

    /// Whether the whole text matches, as `Matcher.matches`.
    ///
    /// # Errors
    /// When the search takes too long, or Java's answer for this text is not known. Never a wrong answer.
    pub fn matches(&self, text: &str) -> Result<bool, Error> {
        let engines = self.engines(text)?;
        engines.whole.is_match(text).map_err(|error| self.gave_up(&error))
    }

    /// The text with the first match replaced, as `Matcher.replaceFirst`: the match is searched from the start and may be a
    /// part of the text. The text itself where nothing matches.
    ///
    /// # Errors
    /// When the replacement is wrong, with Java's text; when the search takes too long; when Java's answer is not known.
    pub fn replace_first<'t>(&self, text: &'t str, replacement: &Replacement) -> Result<Cow<'t, str>, Error> {
        let engines = self.engines(text)?;
        if self.inner.looks_behind && text.chars().any(|c| c > '\u{ffff}') {
            return Err(self.unsupported("Java would search in the middle of a surrogate pair".to_owned()));
        }
        let found = engines.part.captures(text).map_err(|error| self.gave_up(&error))?;
        let Some(captures) = found else {
            return Ok(Cow::Borrowed(text));
        };
        let whole = captures.get(0).map_or(0..0, |whole| whole.range());
        let mut out = String::with_capacity(text.len() + 16);
        out.push_str(&text[..whole.start]);
        let Compiled {
            groups, names, trust, ..
        } = &*self.inner;
        replacement.append(&mut out, *groups, names, |number, out| {
            let group = captures.get(number);
            match (trust[number], &group) {
                (Trust::Full, _) | (Trust::IfSet, Some(_)) => {}
                (Trust::IfSet, None) | (Trust::None, _) => {
                    return Err(self.unsupported(format!(
                        "group {number} stands in a loop, a look-around or an atomic group, where Java may leave in it what \
                         it has matched before; put a group around the whole"
                    )));
                }
            }
            out.push_str(group.map_or("", |group| group.as_str()));
            Ok(())
        })?;
        out.push_str(&text[whole.end..]);
        Ok(Cow::Owned(out))
    }

    fn engines(&self, text: &str) -> Result<&Engines, Error> {
        let inner = &*self.inner;
        if text.is_ascii() {
            let plain = !text.is_empty() && memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_none();
            return Ok(if plain { &inner.plain } else { &inner.any });
        }
        if let Some(reason) = inner.only_ascii {
            return Err(self.unsupported(reason.to_owned()));
        }
        if let Some(reason) = inner.no_marks
            && text.chars().any(sets::is_mark)
        {
            return Err(self.unsupported(reason.to_owned()));
        }
        Ok(&inner.any)
    }

    fn unsupported(&self, reason: String) -> Error {
        Error::Unsupported {
            pattern: self.inner.pattern.clone(),
            reason,
        }
    }

    fn gave_up(&self, error: &fancy_regex::Error) -> Error {
        use fancy_regex::RuntimeError::BacktrackLimitExceeded;
        if matches!(error, fancy_regex::Error::RuntimeError(BacktrackLimitExceeded)) {
            let pattern = self.inner.pattern.clone();
            return Error::TooLong { pattern };
        }
        self.unsupported(error.to_string())
    }
}

impl Engines {
    fn new(written: &str, pattern: &str) -> Result<Self, PatternError> {
        let build = |text: String| {
            RegexBuilder::new(&text)
                .backtrack_limit(BACKTRACKS)
                .build()
                .map_err(|error| PatternError::refused("this pattern", &error.to_string(), -1, pattern))
        };
        Ok(Self {
            whole: build(format!(r"\A(?:{written})\z"))?,
            part: build(written.to_owned())?,
        })
    }
}
