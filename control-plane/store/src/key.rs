//! Keys and prefixes: segments after slashes, percent-encoded, so that a name may hold any byte.

use bytes::Bytes;
use std::fmt;

/// A key: `/` and an encoded segment, once or several times. A store may also hold keys that others wrote; those are carried as
/// they are, and [`Key::segments`] says that they are none of ours.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Bytes);

/// Which keys are meant.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum KeyRange {
    /// One key.
    Only(Key),
    /// All keys below one, and not that key itself. What is kept here is the prefix that they share, with `/` at its end.
    Below(Bytes),
}

impl Key {
    /// The key of one segment.
    #[must_use]
    pub fn root(segment: impl AsRef<[u8]>) -> Self {
        let mut key = Vec::new();
        push(&mut key, segment.as_ref());
        Self(key.into())
    }

    /// The key below this one. The segment may hold any byte, `/` too, and may be empty.
    #[must_use]
    pub fn child(&self, segment: impl AsRef<[u8]>) -> Self {
        let mut key = Vec::with_capacity(self.0.len() + 1 + segment.as_ref().len());
        key.extend_from_slice(&self.0);
        push(&mut key, segment.as_ref());
        Self(key.into())
    }

    /// This key.
    #[must_use]
    pub fn only(&self) -> KeyRange {
        KeyRange::Only(self.clone())
    }

    /// All keys below this one; not the key itself.
    #[must_use]
    pub fn below(&self) -> KeyRange {
        let mut prefix = Vec::with_capacity(self.0.len() + 1);
        prefix.extend_from_slice(&self.0);
        prefix.push(b'/');
        KeyRange::Below(prefix.into())
    }

    /// A key as a store returned it.
    #[must_use]
    pub fn from_stored(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The decoded segments; `None` when the key is not one that [`Key::root`] and [`Key::child`] make.
    #[must_use]
    pub fn segments(&self) -> Option<Vec<Vec<u8>>> {
        self.0
            .strip_prefix(b"/")?
            .split(|byte| *byte == b'/')
            .map(decode)
            .collect()
    }

    /// The key as it is stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl KeyRange {
    /// Whether the key is meant.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        match self {
            Self::Only(only) => only == key,
            Self::Below(prefix) => key.0.starts_with(prefix),
        }
    }

    /// The first key that could be in it.
    pub(crate) fn start(&self) -> Key {
        match self {
            Self::Only(key) => key.clone(),
            Self::Below(prefix) => Key(prefix.clone()),
        }
    }

    /// The key, or the prefix.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Only(key) => key.as_bytes(),
            Self::Below(prefix) => prefix,
        }
    }
}

/// What needs no encoding (RFC 3986).
fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn push(key: &mut Vec<u8>, segment: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    key.push(b'/');
    for &byte in segment {
        if plain(byte) {
            key.push(byte);
        } else {
            key.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// The reverse. Only what `push` writes is taken, so that two keys never mean the same.
fn decode(segment: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment.iter().copied();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'%' => {
                let byte = digit(rest.next()?)? << 4 | digit(rest.next()?)?;
                if plain(byte) {
                    return None;
                }
                byte
            }
            byte if plain(byte) => byte,
            _ => return None,
        });
    }
    Some(decoded)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}",
            self.as_bytes().escape_ascii(),
            if matches!(self, Self::Below(_)) { "*" } else { "" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_with_a_slash_stays_one_segment() {
        let key = Key::root("dray").child("a/b c%").child("");
        assert_eq!(key.to_string(), "/dray/a%2Fb%20c%25/");
        assert_eq!(
            key.segments().unwrap(),
            [b"dray".to_vec(), b"a/b c%".to_vec(), Vec::new()]
        );
    }

    #[test]
    fn what_is_not_ours_has_no_segments() {
        for foreign in ["", "x", "/a%2f", "/a%4", "/a%41", "/a b", "/\u{e4}"] {
            assert_eq!(
                Key::from_stored(foreign.as_bytes().to_vec()).segments(),
                None,
                "{foreign}"
            );
        }
    }

    #[test]
    fn a_prefix_holds_neither_its_key_nor_a_longer_name() {
        let key = Key::root("c").child("a");
        assert!(key.below().contains(&key.child("")));
        assert!(!key.below().contains(&key));
        assert!(!key.below().contains(&Key::root("c").child("ab")));
    }

    proptest! {
        #[test]
        fn segments_come_back(segments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..6)) {
            let mut key = Key::root(&segments[0]);
            for segment in &segments[1..] {
                key = key.child(segment);
            }
            prop_assert_eq!(key.segments().unwrap(), segments);
        }
    }
}
