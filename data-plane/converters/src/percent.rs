//! Escapes of URLs: `%` and two hexadecimal digits.

use std::fmt::Write as _;

/// A text as a part of a path.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'.' | b'-' | b'~' | b'_' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => write!(out, "%{byte:02X}").expect("a text takes more text"),
        }
    }
    out
}

/// A part of a URL without its escapes.
pub(crate) fn decoded(text: &str) -> String {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, behind @ ..] = rest {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped.filter(|_| *first == b'%') {
            Some(byte) => {
                out.push(byte);
                rest = &behind[2..];
            }
            None => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        assert_eq!(encoded("a b/c-value:ü"), "a%20b%2Fc-value%3A%C3%BC");
        assert_eq!(decoded("a%20b%2Fc-value%3A%C3%BC"), "a b/c-value:ü");
        assert_eq!(decoded("100%, %zz"), "100%, %zz");
    }
}
