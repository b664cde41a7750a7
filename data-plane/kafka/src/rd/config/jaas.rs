//! `sasl.jaas.config`: the login module and its options, `Class required name="value" other=value;`. No class is loaded: only three are known,
//! and what their options mean.

use super::{Translated, invalid};
use crate::error::Result;
use crate::wire::oauth::JAAS;
use std::collections::BTreeMap;

/// Reads the options into settings.
pub(super) fn read(key: &str, text: &str, out: &mut Translated) -> Result<()> {
    let module = text.split_whitespace().next().unwrap_or_default();
    let class = module.rsplit('.').next().unwrap_or_default();
    let options = options(text).ok_or_else(|| invalid(key, "a quote is not closed"))?;
    match class {
        "PlainLoginModule" | "ScramLoginModule" => {
            for (java, name) in [("username", "sasl.username"), ("password", "sasl.password")] {
                let value = options.get(java);
                out.set(name, value.ok_or_else(|| invalid(key, format!("`{java}` is missing")))?);
            }
        }
        "OAuthBearerLoginModule" => {
            for (name, value) in &options {
                out.set(&format!("{JAAS}{name}"), value);
            }
        }
        _ => {
            let known = "PlainLoginModule, ScramLoginModule, OAuthBearerLoginModule";
            return Err(invalid(
                key,
                format!("the login module `{class}` is not supported: {known}"),
            ));
        }
    }
    Ok(())
}

/// All options; quoted values may hold anything, and escaped quotes. None when a quote has no end.
fn options(text: &str) -> Option<BTreeMap<String, String>> {
    let mut options = BTreeMap::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
        if rest.is_empty() {
            return Some(options);
        }
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | ';'));
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        let Some(value) = after.trim_start().strip_prefix('=') else {
            // The class, or its flag.
            rest = after;
            continue;
        };
        let (value, after) = value_of(value.trim_start())?;
        options.insert(name.to_owned(), value);
        rest = after;
    }
}

/// The value at the beginning, and what is behind it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let end = text.find(|c: char| c.is_whitespace() || c == ';').unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut found = String::new();
    let mut chars = text[1..].chars();
    loop {
        match chars.next()? {
            '\\' => found.push(chars.next()?),
            c if c == quote => return Some((found, chars.as_str())),
            c => found.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_every_form() {
        let text = r#"a.b.C required
            plain=abc== quoted="a; b=\"c\" \\" single='it "is"'  spaced = x;"#;
        let options = options(text).expect("closed");
        let expected = [
            ("plain", "abc=="),
            ("quoted", r#"a; b="c" \"#),
            ("single", r#"it "is""#),
            ("spaced", "x"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(options, BTreeMap::from(expected));
        assert_eq!(super::options(r#"C required a="b;"#), None);
    }
}
