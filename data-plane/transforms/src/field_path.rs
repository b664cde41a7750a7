//! Paths to fields below the top: KIP-821.

use dray_connect::{Error, Result};

/// How a path is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// The whole text is the name of a field at the top.
    V1,
    /// Names with dots between them; a name that has dots itself stands between backticks.
    V2,
}

/// The names on the way to a field, from the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath(Vec<Box<str>>);

impl FieldPath {
    /// Reads a path. In V2 only the empty text has no steps.
    ///
    /// # Errors
    /// When a name begins with a backtick and no later one ends it.
    pub fn parse(path: &str, syntax: Syntax) -> Result<Self> {
        match syntax {
            Syntax::V1 => Ok(Self(vec![path.into()])),
            Syntax::V2 => Ok(Self(steps(path)?)),
        }
    }

    /// The names in their order.
    #[must_use]
    pub fn steps(&self) -> &[Box<str>] {
        &self.0
    }
}

fn steps(path: &str) -> Result<Vec<Box<str>>> {
    let mut steps: Vec<Box<str>> = Vec::new();
    let mut at = 0;
    while at < path.len() {
        if path[at..].starts_with('`') {
            let (step, end) = quoted(path, at)?;
            steps.push(step.into());
            at = end + 1;
        } else {
            let end = path[at..].find('.').map_or(path.len(), |dot| at + dot);
            steps.push(path[at..end].into());
            at = end + 1;
        }
    }
    // The dot at the end was taken as that of the step before it.
    if path.ends_with('.') {
        steps.push("".into());
    }
    Ok(steps)
}

/// The name whose opening backtick is at `open`, and where the dot after it is or would be. A backtick ends the name only
/// before a dot or the end; with a backslash before it, it is one of the name.
fn quoted(path: &str, open: usize) -> Result<(String, usize)> {
    let mut step = String::new();
    // What is to be copied begins at `from`; the next backtick is looked for from `at`.
    let (mut from, mut at) = (open + 1, open + 1);
    while let Some(tick) = path[at..].find('`').map(|tick| at + tick) {
        let escaped = path[..tick].ends_with('\\');
        let rest = &path[tick + 1..];
        if rest.is_empty() && escaped {
            break;
        }
        at = tick + 1;
        if rest.is_empty() || (rest.starts_with('.') && !escaped) {
            step.push_str(&path[from..tick]);
            return Ok((step, at));
        }
        if rest.starts_with('.') {
            step.push_str(&path[from..tick - 1]);
            step.push('`');
            from = at;
        }
    }
    // Java counts in UTF-16.
    let position = path[..open].encode_utf16().count();
    Err(Error::config(format!(
        "Incomplete backtick pair in path: [{path}], consider adding a backslash before backtick at position {position} to escape it"
    )))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(path: &str) -> Result<Vec<Box<str>>, String> {
        FieldPath::parse(path, Syntax::V2)
            .map(|path| path.0)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn version_1_is_one_name() {
        assert_eq!(FieldPath::parse("`a`.b", Syntax::V1).unwrap().steps(), ["`a`.b".into()]);
        assert_eq!(FieldPath::parse("", Syntax::V1).unwrap().steps(), ["".into()]);
    }

    #[test]
    fn version_2_has_steps() {
        for (path, expected) in [
            ("", &[][..]),
            ("a", &["a"]),
            ("a.b.c", &["a", "b", "c"]),
            ("a..b.", &["a", "", "b", ""]),
            (".", &["", ""]),
            ("`a.b`.c", &["a.b", "c"]),
            ("a.`b.c`", &["a", "b.c"]),
            ("`a`.", &["a", ""]),
            ("``", &[""]),
            ("``.b", &["", "b"]),
            // A backtick within a name, and one that is no end.
            ("a`b.c", &["a`b", "c"]),
            ("`a`b`.c", &["a`b", "c"]),
            ("`a\\`b`.c", &["a\\`b", "c"]),
            // One that would be an end.
            ("`a\\`.b`.c", &["a`.b", "c"]),
            ("`a\\`.\\`.b`", &["a`.`.b"]),
        ] {
            let expected: Vec<Box<str>> = expected.iter().map(|&step| step.into()).collect();
            assert_eq!(read(path), Ok(expected), "{path}");
        }
    }

    #[test]
    fn a_pair_of_backticks_must_be_complete() {
        for (path, position) in [("`", 0), ("`a", 0), ("a.`b.c", 2), ("ä.😀.`b\\`", 5), ("`a\\`.b", 0)] {
            let text = format!(
                "Incomplete backtick pair in path: [{path}], consider adding a backslash before backtick at position \
                 {position} to escape it"
            );
            assert_eq!(read(path), Err(text));
        }
    }

    proptest! {
        #[test]
        fn any_names_can_be_written(names in prop::collection::vec("[a-z.`ä]{0,5}", 1..5)) {
            let quote = |name: &String| format!("`{}`", name.replace("`.", "\\`."));
            let path: Vec<String> = names.iter().map(quote).collect();
            let path = path.join(".");
            // A backtick at the end of a name cannot be written.
            prop_assume!(!names.iter().any(|name| name.ends_with('`')));
            let names: Vec<Box<str>> = names.into_iter().map(Into::into).collect();
            prop_assert_eq!(read(&path), Ok(names));
        }
    }
}
