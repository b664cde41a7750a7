//! Versions of plugins and the ranges that a configuration asks for, such as `[1.0,2.0)`: Maven's, as Connect reads them.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The version of a plugin, ordered as Maven orders versions: `1.0-alpha` < `1.0-rc1` < `1.0-SNAPSHOT` < `1.0` = `1` < `1.0.1`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct PluginVersion {
    text: String,
    tokens: Vec<Token>,
}

/// A number or a word, with what stands before it: a hyphen (or a change between digits and letters) or a dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Token {
    /// The order among words: qualifiers of releases to come, then the release, then what follows it. Numbers come last.
    rank: u8,
    /// A number after a dot is more than one after a hyphen.
    dotted: bool,
    /// A number of more digits is larger; the digits have no leading zeros.
    digits: usize,
    text: String,
}

/// The rank of a release: no word at all, `ga`, `final` or `release`.
const RELEASE: u8 = 5;
const NUMBER: u8 = 8;

impl Token {
    fn number(dotted: bool, text: &str) -> Self {
        let text = text.trim_start_matches('0');
        Self {
            rank: NUMBER,
            dotted,
            digits: text.len(),
            text: text.into(),
        }
    }

    fn word(text: &str, before_digit: bool) -> Self {
        let rank = match text {
            "alpha" => 0,
            "a" if before_digit => 0,
            "beta" => 1,
            "b" if before_digit => 1,
            "milestone" => 2,
            "m" if before_digit => 2,
            "rc" | "cr" => 3,
            "snapshot" => 4,
            "" | "ga" | "final" | "release" => RELEASE,
            "sp" => 6,
            _ => 7,
        };
        Self {
            rank,
            dotted: false,
            digits: 0,
            text: if rank == 7 { text.into() } else { String::new() },
        }
    }

    /// Whether leaving it out at the end changes nothing.
    fn is_null(&self) -> bool {
        self.rank == RELEASE || (self.rank == NUMBER && self.digits == 0)
    }

    /// What a version that ends before this token has in its place.
    fn missing(&self) -> Self {
        if self.rank == NUMBER && self.dotted {
            Self::number(true, "")
        } else {
            Self::word("", false)
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let text = text.to_lowercase();
    let mut tokens: Vec<Token> = Vec::new();
    let mut rest = text.as_str();
    let mut dotted = true;
    loop {
        let is_number = rest.starts_with(|c: char| c.is_ascii_digit());
        let end = rest
            .find(|c: char| c == '.' || c == '-' || c.is_ascii_digit() != is_number)
            .unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        let before_digit = after.starts_with(|c: char| c.is_ascii_digit());
        let token = if is_number || part.is_empty() {
            Token::number(dotted, part)
        } else {
            Token::word(part, before_digit)
        };
        // What is nothing just before a hyphen may be left out: 1.0-rc1 is 1-rc1.
        if !token.dotted || token.rank != NUMBER {
            while tokens.last().is_some_and(Token::is_null) {
                tokens.pop();
            }
        }
        tokens.push(token);
        let Some(next) = after.chars().next() else { break };
        dotted = next == '.';
        rest = if next == '.' || next == '-' { &after[1..] } else { after };
    }
    while tokens.last().is_some_and(Token::is_null) {
        tokens.pop();
    }
    tokens
}

impl PluginVersion {
    /// The version as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<&str> for PluginVersion {
    fn from(text: &str) -> Self {
        Self {
            tokens: tokens(text),
            text: text.into(),
        }
    }
}

impl From<String> for PluginVersion {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<PluginVersion> for String {
    fn from(version: PluginVersion) -> Self {
        version.text
    }
}

impl Ord for PluginVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        for at in 0..self.tokens.len().max(other.tokens.len()) {
            let order = match (self.tokens.get(at), other.tokens.get(at)) {
                (Some(mine), Some(theirs)) => mine.cmp(theirs),
                (Some(mine), None) => mine.cmp(&mine.missing()),
                (None, Some(theirs)) => theirs.missing().cmp(theirs),
                (None, None) => Ordering::Equal,
            };
            if order.is_ne() {
                return order;
            }
        }
        Ordering::Equal
    }
}

impl PartialOrd for PluginVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PluginVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for PluginVersion {}

impl fmt::Display for PluginVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Which versions of a plugin will do: `[1.0,2.0)`, `(,1.0],[1.2,)`. A version alone means exactly that one, as in Connect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionRange(Vec<Interval>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Interval {
    /// The least version, and whether it belongs to the interval.
    from: Option<(PluginVersion, bool)>,
    to: Option<(PluginVersion, bool)>,
}

/// A text that is no range of versions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version or a range of versions such as `[1.0,2.0)`")]
pub struct InvalidVersionRange(pub String);

impl VersionRange {
    /// Whether this version will do.
    #[must_use]
    pub fn contains(&self, version: &PluginVersion) -> bool {
        self.0.iter().any(|interval| {
            let above = interval
                .from
                .as_ref()
                .is_none_or(|(from, inside)| version > from || (*inside && version == from));
            let below = interval
                .to
                .as_ref()
                .is_none_or(|(to, inside)| version < to || (*inside && version == to));
            above && below
        })
    }
}

impl FromStr for VersionRange {
    type Err = InvalidVersionRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidVersionRange(text.into());
        let bound = |text: &str, inside: bool| (!text.trim().is_empty()).then(|| (text.trim().into(), inside));
        let mut rest = text.trim();
        if !rest.starts_with(['[', '(']) {
            if rest.is_empty() || rest.contains(['[', '(', ']', ')', ',']) {
                return Err(invalid());
            }
            return Ok(Self(vec![Interval {
                from: bound(rest, true),
                to: bound(rest, true),
            }]));
        }
        let mut intervals: Vec<Interval> = Vec::new();
        while !rest.is_empty() {
            let open = rest.starts_with('[');
            if !open && !rest.starts_with('(') {
                return Err(invalid());
            }
            let end = rest.find([']', ')']).ok_or_else(invalid)?;
            let (inner, closed) = (&rest[1..end], rest[end..].starts_with(']'));
            if inner.contains(['[', '(']) || inner.matches(',').count() > 1 {
                return Err(invalid());
            }
            let interval = match inner.split_once(',') {
                Some((from, to)) => Interval {
                    from: bound(from, open),
                    to: bound(to, closed),
                },
                // [1.0] is exactly 1.0; (1.0) would be nothing.
                None if open && closed && !inner.trim().is_empty() => Interval {
                    from: bound(inner, true),
                    to: bound(inner, true),
                },
                None => return Err(invalid()),
            };
            if let (Some((from, _)), Some((to, _))) = (&interval.from, &interval.to)
                && (from > to || (from == to && inner.contains(',')))
            {
                return Err(invalid());
            }
            // Intervals come in order and do not overlap.
            if let Some(last) = intervals.last()
                && !matches!((&last.to, &interval.from), (Some((to, _)), Some((from, _))) if to <= from)
            {
                return Err(invalid());
            }
            intervals.push(interval);
            rest = rest[end + 1..].trim_start();
            rest = rest.strip_prefix(',').map_or(rest, str::trim_start);
        }
        Ok(Self(intervals))
    }
}

impl TryFrom<String> for VersionRange {
    type Error = InvalidVersionRange;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<VersionRange> for String {
    fn from(range: VersionRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Interval { from, to }) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            match (from, to) {
                (Some((from, _)), Some((to, _))) if from == to => write!(f, "[{from}]")?,
                (from, to) => {
                    f.write_str(if matches!(from, Some((_, true))) { "[" } else { "(" })?;
                    from.iter().try_for_each(|(version, _)| version.fmt(f))?;
                    f.write_str(",")?;
                    to.iter().try_for_each(|(version, _)| version.fmt(f))?;
                    f.write_str(if matches!(to, Some((_, true))) { "]" } else { ")" })?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `org.apache.maven.artifact.versioning.ComparableVersion` of Kafka 4.3.1's libraries orders them.
    #[test]
    fn versions_are_ordered_as_by_maven() {
        let rising = [
            "0.9",
            "1-a1",
            "1-alpha2",
            "1-beta",
            "1.0-m3",
            "1.0-rc1",
            "1-cr2",
            "1.0-SNAPSHOT",
            "1",
            "1-sp",
            "1-abc",
            "1-foo",
            "1-1",
            "1.0.1",
            "1.2",
            "1.10",
            "2.0.0-rc1",
            "2.0.0",
            "2.0.0.1",
            "10",
            "99999999999999999999999",
            "100000000000000000000000",
        ];
        for (at, low) in rising.iter().enumerate() {
            for high in &rising[at + 1..] {
                assert!(PluginVersion::from(*low) < PluginVersion::from(*high), "{low} < {high}");
                assert!(PluginVersion::from(*high) > PluginVersion::from(*low), "{high} > {low}");
            }
        }
        for (one, same) in [
            ("1", "1.0.0"),
            ("1.0-rc1", "1-RC1"),
            ("1-ga", "1.0"),
            ("1.Final", "1"),
            ("01.2", "1.2"),
            ("1a1", "1-alpha-1"),
        ] {
            assert_eq!(PluginVersion::from(one), PluginVersion::from(same), "{one} = {same}");
        }
    }

    #[test]
    fn ranges_are_read_as_by_connect() {
        for (range, version, inside) in [
            ("1.0", "1.0.0", true),
            ("1.0", "1.0.1", false),
            ("[1.0]", "1", true),
            ("[1.0,2.0)", "1", true),
            ("[1.0,2.0)", "2.0", false),
            ("[1.0,2.0)", "2.0-rc1", true),
            ("(1.0,2.0]", "1.0", false),
            ("[1.5,)", "99", true),
            ("(,1.0],[1.2,)", "1.1", false),
            ("(,1.0], [1.2,)", "1.2", true),
            ("(,)", "anything", true),
        ] {
            let range: VersionRange = range.parse().unwrap();
            assert_eq!(range.contains(&version.into()), inside, "{version} in {range}");
            assert_eq!(range.to_string().parse(), Ok(range));
        }
        for bad in [
            "",
            "[1.0",
            "(1.0)",
            "[1,2,3]",
            "[2,1]",
            "[1,1)",
            "1,2",
            "[1,2]x",
            "[1,3],[2,4]",
            "[(1,2]",
            "[1,],[2,3]",
        ] {
            assert_eq!(bad.parse::<VersionRange>(), Err(InvalidVersionRange(bad.into())));
        }
    }
}
