//! Java properties files, as `java.util.Properties` reads them.

use encoding_rs::UTF_8;
use java_properties::PropertiesIter;
use std::collections::BTreeMap;

/// Reads a file's bytes. Java takes these files for ISO-8859-1; files in UTF-8 are what people write, so those are read as such.
///
/// # Errors
/// Which line is wrong, and why.
pub fn read(bytes: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let text =
        String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| bytes.iter().map(|byte| char::from(*byte)).collect());
    let mut properties = BTreeMap::new();
    PropertiesIter::new_with_encoding(join_surrogates(&text).as_bytes(), UTF_8)
        .read_into(|key, value| drop(properties.insert(key, value)))
        .map_err(|error| error.to_string())?;
    Ok(properties)
}

/// Java writes a character outside the basic plane as two escapes, each of which `java_properties` refuses.
fn join_surrogates(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        joined.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match pair(rest) {
            Some(character) => {
                joined.push(character);
                PAIR
            }
            None => {
                // With what it escapes: that may be a backslash.
                let length = rest.chars().take(2).map(char::len_utf8).sum();
                joined.push_str(&rest[..length]);
                length
            }
        };
        rest = &rest[length..];
    }
    joined + rest
}

/// The length of two escapes.
const PAIR: usize = 12;

fn pair(text: &str) -> Option<char> {
    let unit = |at: usize| {
        let digits = text.get(at..at + PAIR / 2)?.strip_prefix("\\u")?;
        let digits = digits
            .bytes()
            .all(|digit| digit.is_ascii_hexdigit())
            .then_some(digits)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let units = [unit(0)?, unit(PAIR / 2)?];
    // Two ordinary escapes are two characters.
    let mut decoded = char::decode_utf16(units);
    let first = decoded.next()?.ok()?;
    decoded.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &[u8]) -> String {
        read(&[b"key=", text, b"\n"].concat()).unwrap().remove("key").unwrap()
    }

    #[test]
    fn escapes_umlauts_and_long_lines() {
        for (text, expected) in [
            ("t\\u00fc-\u{fc}", "t\u{fc}-\u{fc}"),
            ("one,\\\n  two", "one,two"),
            ("\\uD83D\\uDE00!", "\u{1f600}!"),
            ("\u{fc}\\ud83d\\ude00\u{1f600}", "\u{fc}\u{1f600}\u{1f600}"),
            ("\\u0041\\u0042", "AB"),
            ("\\\\uD83D\\\\uDE00", "\\uD83D\\uDE00"),
            ("\\\\\\uD83D\\uDE00", "\\\u{1f600}"),
            ("C:\\\\data", "C:\\data"),
        ] {
            assert_eq!(value(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_file_that_is_not_utf_8_is_latin_1() {
        assert_eq!(value(b"gr\xfc\xdfe"), "gr\u{fc}\u{df}e");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for text in ["a=b\nc=\\uD83D\n", "a=b\nc=\\uD83D\\u+E00\n", "a=b\nc=\\uDE00\\uD83D\n"] {
            let problem = read(text.as_bytes()).unwrap_err();
            assert!(problem.contains("line_number = 2"), "{text}: {problem}");
        }
    }

    #[test]
    fn of_a_key_that_is_there_twice_the_last_counts() {
        assert_eq!(read(b"a=1\na=2\n").unwrap()["a"], "2");
    }
}
