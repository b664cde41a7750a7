//! JSON may come in UTF-8, UTF-16 or UTF-32; which one is guessed from the first four bytes, as Jackson does.

use std::borrow::Cow;

use crate::charset;

/// The text in UTF-8, without a byte order mark. UTF-8 is passed on unchecked; text that no encoding fits is none.
pub(crate) fn to_utf8(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    let owned = |text: String| Some(Cow::Owned(text.into_bytes()));
    match bytes {
        // Nearly all there is.
        [1..=0x7f, 1..=0x7f, ..] => Some(Cow::Borrowed(bytes)),
        // Marks first: that of little-endian UTF-32 starts with that of UTF-16.
        [0, 0, 0xfe, 0xff, rest @ ..] => owned(utf32(rest, u32::from_be_bytes)?),
        [0xff, 0xfe, 0, 0, rest @ ..] => owned(utf32(rest, u32::from_le_bytes)?),
        // Byte orders that nobody uses.
        [0, 0, 0xff, 0xfe, ..] | [0xfe, 0xff, 0, 0, ..] => None,
        [0xfe, 0xff, rest @ ..] if bytes.len() >= 4 => owned(charset::utf16(rest, u16::from_be_bytes)),
        [0xff, 0xfe, rest @ ..] if bytes.len() >= 4 => owned(charset::utf16(rest, u16::from_le_bytes)),
        [0xef, 0xbb, 0xbf, rest @ ..] if bytes.len() >= 4 => Some(Cow::Borrowed(rest)),
        // Without a mark the zeros of an ASCII character tell.
        [0, 0, 0, _, ..] => owned(utf32(bytes, u32::from_be_bytes)?),
        [_, 0, 0, 0, ..] => owned(utf32(bytes, u32::from_le_bytes)?),
        [0, _, 0, 0, ..] | [0, 0, _, 0, ..] => None,
        [0, _, ..] => owned(charset::utf16(bytes, u16::from_be_bytes)),
        [_, 0, ..] => owned(charset::utf16(bytes, u16::from_le_bytes)),
        utf8 => Some(Cow::Borrowed(utf8)),
    }
}

fn utf32(bytes: &[u8], unit: fn([u8; 4]) -> u32) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    units.iter().map(|bytes| char::from_u32(unit(*bytes))).collect()
}
