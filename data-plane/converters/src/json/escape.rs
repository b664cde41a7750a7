//! Writes JSON strings with Jackson's escapes.

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
pub(super) fn string(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
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
    out.push(b'"');
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
