//! `${provider:path:key}` and `${provider:key}` in the values of a configuration.

use std::ops::Range;

/// A reference in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Variable<'a> {
    /// As it is written, with dollar and braces.
    pub(crate) text: &'a str,
    pub(crate) provider: &'a str,
    /// May be empty.
    pub(crate) path: &'a str,
    pub(crate) key: &'a str,
}

/// What Kafka's `ConfigTransformer` finds with `\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}`: the path ends at the second colon, and the key has the
/// rest. There are no escapes.
pub(crate) fn variables(text: &str) -> impl Iterator<Item = (Range<usize>, Variable<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let begin = at + text[at..].find("${")?;
            let end = begin + text[begin..].find('}')?;
            let Some((provider, rest)) = text[begin + 2..end].split_once(':') else {
                at = begin + 1;
                continue;
            };
            at = end + 1;
            let (path, key) = rest.split_once(':').unwrap_or(("", rest));
            let text = &text[begin..at];
            return Some((
                begin..at,
                Variable {
                    text,
                    provider,
                    path,
                    key,
                },
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_kafkas_pattern_finds_them() {
        type Found = [(&'static str, &'static str, &'static str)];
        let cases: &[(&str, &Found)] = &[
            ("", &[]),
            ("plain $ { }", &[]),
            ("${name}", &[]),
            ("${env:A}", &[("env", "", "A")]),
            ("${file:/etc/x:a}", &[("file", "/etc/x", "a")]),
            ("${p:a:b:c}", &[("p", "a", "b:c")]),
            ("${p::k}", &[("p", "", "k")]),
            ("${:}", &[("", "", "")]),
            ("u=${env:U};p=${env:P};", &[("env", "", "U"), ("env", "", "P")]),
            ("${topic} ${env:A}", &[("env", "", "A")]),
            ("${a${env:A}", &[("a${env", "", "A")]),
            ("${a ${b} ${env:A}", &[("env", "", "A")]),
            ("${env:A", &[]),
            ("gr\u{fc}\u{df}e ${env:\u{fc}}", &[("env", "", "\u{fc}")]),
        ];
        for (text, expected) in cases {
            let found: Vec<_> = variables(text).collect();
            for (range, variable) in &found {
                assert_eq!(&text[range.clone()], variable.text);
            }
            let found: Vec<_> = found.iter().map(|(_, v)| (v.provider, v.path, v.key)).collect();
            assert_eq!(found, *expected, "{text}");
        }
    }
}
