//! The encodings that `converter.encoding` may name, with Java's ways for what cannot be decoded or encoded.

use std::borrow::Cow;

/// A Java charset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    Utf8,
    Latin1,
    Ascii,
    /// Big-endian with a mark when written; when read the mark decides.
    Utf16,
    Utf16Be,
    Utf16Le,
}

const REPLACEMENT: char = '\u{fffd}';

impl Charset {
    /// The charset with that name or alias; case does not count.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" | "unicode-1-1-utf-8" => Some(Self::Utf8),
            "iso-8859-1" | "iso8859-1" | "iso8859_1" | "iso_8859-1" | "iso_8859_1" | "iso_8859-1:1987"
            | "iso-ir-100" | "latin1" | "l1" | "ibm819" | "ibm-819" | "cp819" | "819" | "csisolatin1" | "8859_1" => {
                Some(Self::Latin1)
            }
            "us-ascii" | "ascii" | "ascii7" | "iso646-us" | "iso_646.irv:1991" | "iso_646.irv:1983"
            | "ansi_x3.4-1968" | "ansi_x3.4-1986" | "iso-ir-6" | "us" | "ibm367" | "cp367" | "646" | "csascii"
            | "default" => Some(Self::Ascii),
            "utf-16" | "utf16" | "utf_16" | "unicode" | "unicodebig" => Some(Self::Utf16),
            "utf-16be" | "utf_16be" | "iso-10646-ucs-2" | "x-utf-16be" | "unicodebigunmarked" => Some(Self::Utf16Be),
            "utf-16le" | "utf_16le" | "x-utf-16le" | "unicodelittleunmarked" => Some(Self::Utf16Le),
            _ => None,
        }
    }

    /// The text of bytes; what is malformed becomes U+FFFD.
    pub(crate) fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Utf8 => match std::str::from_utf8(bytes) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => Cow::Owned(utf8_as_java(bytes)),
            },
            Self::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
            Self::Ascii => bytes
                .iter()
                .map(|byte| {
                    if byte.is_ascii() {
                        char::from(*byte)
                    } else {
                        REPLACEMENT
                    }
                })
                .collect(),
            Self::Utf16 => match bytes {
                [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes).into(),
                [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes).into(),
                unmarked => utf16(unmarked, u16::from_be_bytes).into(),
            },
            Self::Utf16Be => utf16(bytes, u16::from_be_bytes).into(),
            Self::Utf16Le => utf16(bytes, u16::from_le_bytes).into(),
        }
    }

    /// Appends the bytes of a text; a character that the charset lacks becomes `?`.
    pub(crate) fn encode(self, text: &str, out: &mut Vec<u8>) {
        match self {
            Self::Utf8 => out.extend_from_slice(text.as_bytes()),
            Self::Latin1 => out.extend(text.chars().map(|c| u8::try_from(c).unwrap_or(b'?'))),
            Self::Ascii => {
                out.extend(
                    text.chars()
                        .map(|c| u8::try_from(c).ok().filter(u8::is_ascii).unwrap_or(b'?')),
                );
            }
            Self::Utf16 => {
                // Java marks the byte order, but not of nothing.
                if !text.is_empty() {
                    out.extend_from_slice(&[0xfe, 0xff]);
                }
                out.extend(text.encode_utf16().flat_map(u16::to_be_bytes));
            }
            Self::Utf16Be => out.extend(text.encode_utf16().flat_map(u16::to_be_bytes)),
            Self::Utf16Le => out.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
        }
    }
}

/// Decodes UTF-16 as Java does: a unit that follows the first half of a pair without being the second is lost with it, and
/// whatever is left at the end becomes one U+FFFD.
pub(crate) fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut units = pairs.iter().map(|pair| unit(*pair));
    let mut text = String::with_capacity(pairs.len());
    while let Some(first) = units.next() {
        let decoded = match first {
            0xd800..=0xdbff => match units.next() {
                Some(second) => char::decode_utf16([first, second]).next().and_then(Result::ok),
                None => {
                    text.push(REPLACEMENT);
                    return text;
                }
            },
            single => char::from_u32(u32::from(single)),
        };
        text.push(decoded.unwrap_or(REPLACEMENT));
    }
    if !rest.is_empty() {
        text.push(REPLACEMENT);
    }
    text
}

/// Decodes malformed UTF-8 as `new String(bytes, UTF_8)` does. It differs from `from_utf8_lossy` in how many U+FFFD stand
/// for a malformed sequence: one for an encoded surrogate, for instance, where Rust has three.
fn utf8_as_java(mut bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    while !bytes.is_empty() {
        let error = match std::str::from_utf8(bytes) {
            Ok(rest) => {
                text.push_str(rest);
                break;
            }
            Err(error) => error,
        };
        let (valid, rest) = bytes.split_at(error.valid_up_to());
        text.push_str(std::str::from_utf8(valid).unwrap_or_default());
        text.push(REPLACEMENT);
        bytes = rest.get(malformed_length(rest)..).unwrap_or_default();
    }
    text
}

/// How many bytes at the start of `bytes`, which is malformed, Java replaces by one U+FFFD.
fn malformed_length(bytes: &[u8]) -> usize {
    let continues = |i: usize| bytes.get(i).is_some_and(|byte| byte & 0xc0 == 0x80);
    match *bytes {
        [0xe0, 0x80..=0x9f, ..] => 1,
        // An encoded surrogate is read whole before it is refused.
        [0xed, 0xa0..=0xbf, ..] if continues(2) => 3,
        [0xe0..=0xef, ..] if continues(1) => 2,
        [0xf0, 0x80..=0x8f, ..] | [0xf4, 0x90..=0xbf, ..] => 1,
        [0xf0..=0xf4, ..] if continues(1) && continues(2) => 3,
        [0xf0..=0xf4, ..] if continues(1) => 2,
        _ => 1,
    }
}
