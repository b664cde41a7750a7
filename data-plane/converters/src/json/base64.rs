//! Base64 as Jackson reads it: blanks may stand before each group of four, a padded group may be followed by more.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Appends the base64 of `bytes` with padding and without line feeds.
pub(crate) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // The room is exact, so there is nothing that could fail.
    let written = out
        .get_mut(start..)
        .and_then(|room| STANDARD.encode_slice(bytes, room).ok());
    out.truncate(start + written.unwrap_or(0));
}

/// The bytes of a base64 text, which must be padded; none when it is malformed.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    // Nearly every text is regular, and the crate is much faster than the loop below.
    if let Ok(bytes) = STANDARD.decode(text) {
        return Some(bytes);
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut rest = text.as_bytes();
    loop {
        let blanks = rest.iter().take_while(|byte| **byte <= b' ').count();
        rest = rest.get(blanks..)?;
        if rest.is_empty() {
            return Some(bytes);
        }
        let (group, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        let [a, b, c, d] = group.map(digit);
        let high = a? << 18 | b? << 12;
        let (value, length) = match (group, c, d) {
            ([_, _, b'=', b'='], _, _) => (high, 1),
            ([_, _, _, b'='], Some(c), _) => (high | c << 6, 2),
            (_, Some(c), Some(d)) => (high | c << 6 | d, 3),
            (_, _, _) => return None,
        };
        let [_, value @ ..] = u32::to_be_bytes(value);
        bytes.extend_from_slice(value.get(..length)?);
    }
}

fn digit(byte: u8) -> Option<u32> {
    let digit = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(digit))
}
