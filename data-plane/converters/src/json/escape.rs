//! Writes JSON strings with Jackson's escapes.

use super::scan::ends_plain;

const PAIR: u8 = 1;
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// For each byte what follows the backslash: 0 for none, `u` for a code in hexadecimal digits, `PAIR` for the first byte of
/// a character that UTF-16 needs two units for.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 0x20 {
        table[i] = b'u';
        i += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    i = 0xf0;
    while i < 0x100 {
        table[i] = PAIR;
        i += 1;
    }
    table
};

/// Appends the string of a text, which is UTF-8, in quotes.
#[inline]
pub(crate) fn string(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    if is_plain(text) {
        out.extend_from_slice(text);
    } else {
        escaped(text, out);
    }
    out.push(b'"');
}

/// Whether a text is ASCII that stands for itself, as nearly all are. Eight bytes are looked at at once.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let (chunks, tail) = text.as_chunks::<8>();
    let mut ends = chunks
        .iter()
        .fold(0, |ends, chunk| ends | ends_plain(u64::from_le_bytes(*chunk)));
    // What is missing at the end stands for itself.
    let mut last = [b' '; 8];
    if let Some(place) = last.get_mut(..tail.len()) {
        place.copy_from_slice(tail);
        ends |= ends_plain(u64::from_le_bytes(last));
    }
    ends == 0
}

#[inline(never)]
fn escaped(text: &[u8], out: &mut Vec<u8>) {
    let mut copied = 0;
    for (i, byte) in text.iter().enumerate() {
        let escape = ESCAPES[usize::from(*byte)];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(text.get(copied..i).unwrap_or_default());
        copied = i + 1;
        match escape {
            b'u' => code(u16::from(*byte), out),
            PAIR => {
                copied = i + 4;
                pair(text.get(i..copied).unwrap_or_default(), out);
            }
            short => out.extend_from_slice(&[b'\\', short]),
        }
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
}

/// Jackson writes a character outside of the basic plane as the two escapes of its surrogates.
fn pair(character: &[u8], out: &mut Vec<u8>) {
    for unit in std::str::from_utf8(character).unwrap_or_default().encode_utf16() {
        code(unit, out);
    }
}

fn code(unit: u16, out: &mut Vec<u8>) {
    let digit = |shift: u32| HEX[usize::from(unit >> shift & 0xf)];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_itself_and_what_does_not() {
        for length in 0..20 {
            for place in 0..length {
                for (c, expected) in [
                    ('"', "\\\""),
                    ('\\', "\\\\"),
                    ('\n', "\\n"),
                    ('\u{1}', "\\u0001"),
                    ('ü', "ü"),
                    ('~', "~"),
                ] {
                    let (before, behind) = ("a".repeat(place), "b".repeat(length - place));
                    let mut out = Vec::new();
                    string(format!("{before}{c}{behind}").as_bytes(), &mut out);
                    assert_eq!(
                        String::from_utf8(out).unwrap(),
                        format!("\"{before}{expected}{behind}\"")
                    );
                }
            }
        }
        let mut out = Vec::new();
        string("😀".as_bytes(), &mut out);
        assert_eq!(out, br#""\uD83D\uDE00""#);
    }
}
