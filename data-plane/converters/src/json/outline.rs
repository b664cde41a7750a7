//! The names of the text that was parsed before, in their order. Most texts of a topic have the same members, and a name
//! that is expected need not be looked for, hashed and compared with those before it: it is enough that its bytes are the
//! same and that it stands at the same place.

/// Names that are kept; what a text has beyond them is read without being expected.
const MAX_NAMES: usize = 512;
/// Bytes of a name that is kept, with its quotes and its colon.
const MAX_LENGTH: usize = 256;

/// Where a name stands. A sequence of them tells which names belong to the same object: at each depth one object at most is
/// open, and its first name has another place than those that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// How many arrays and objects are open.
    pub(super) depth: usize,
    /// Names and values before it in its object.
    pub(super) parts: usize,
}

#[derive(Debug)]
struct Name {
    place: Place,
    /// Where its text ends; it starts where that of the name before ends.
    end: usize,
    /// Its text, where that is short, and the bits of a word that it takes: so it is compared without a call.
    short: Option<(u128, u128)>,
    seen: u128,
    is_schema: bool,
}

/// A name that came as expected.
pub(super) struct Expected {
    /// Its place among all names.
    pub(super) number: usize,
    /// Its length, with its quotes and its colon.
    pub(super) len: usize,
    /// Its bit among those of its object's names.
    pub(super) seen: u128,
    pub(super) is_schema: bool,
}

/// Holds the first names of one text, each of them the only one of its name in its object. So where a text starts with all
/// of them, none of them is there twice.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// The names, in quotes and with the colon.
    text: Vec<u8>,
    names: Vec<Name>,
    /// The name that comes next; past the end of the names where they are not those of this text.
    next: usize,
    /// Where its text starts.
    start: usize,
    /// Whether this text has other names.
    differs: bool,
    /// Texts in a row that had other names.
    others: u32,
}

impl Outline {
    /// A new text begins.
    #[inline]
    pub(super) fn rewind(&mut self) {
        if !self.differs {
            self.others = 0;
        }
        self.differs = false;
        self.next = 0;
        self.start = 0;
    }

    /// The name that starts there, where it is the one that was there before.
    #[inline(always)]
    pub(super) fn expect(&mut self, input: &[u8], at: usize, place: Place) -> Option<Expected> {
        let name = self.names.get(self.next)?;
        let text = self.text.get(self.start..name.end)?;
        let rest = input.get(at..)?;
        let same = match (name.short, rest.first_chunk()) {
            (Some((word, bits)), Some(chunk)) => (u128::from_le_bytes(*chunk) ^ word) & bits == 0,
            (_, _) => rest.starts_with(text),
        };
        if name.place != place || !same {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.start = name.end;
        Some(Expected {
            number,
            len: text.len(),
            seen: name.seen,
            is_schema: name.is_schema,
        })
    }

    /// Takes a name that was not expected. `text` has its quotes and its colon, and there is none where the name may not
    /// be expected: it had escapes, or blanks behind it, or its object has it already. How many names, the first ones, are still those that
    /// were there before.
    pub(super) fn learn(&mut self, text: Option<&[u8]>, place: Place, seen: u128, is_schema: bool) -> usize {
        if !self.differs {
            self.differs = true;
            self.others = self.others.saturating_add(1);
            // One other text among many changes nothing, and where texts differ all the time most are left alone.
            let learns = self.names.is_empty() || self.others > 1 && self.others.is_power_of_two();
            self.next = if learns { self.next } else { usize::MAX };
        }
        if self.next > self.names.len() {
            return self.names.len();
        }
        let kept = self.next;
        self.names.truncate(kept);
        self.text.truncate(self.start);
        self.next += 1;
        let fits = |text: &&[u8]| text.len() <= MAX_LENGTH && self.names.len() < MAX_NAMES;
        if let Some(text) = text.filter(fits) {
            self.text.extend_from_slice(text);
            self.start = self.text.len();
            let end = self.start;
            self.names.push(Name {
                place,
                end,
                short: short(text),
                seen,
                is_schema,
            });
        }
        kept
    }
}

fn short(text: &[u8]) -> Option<(u128, u128)> {
    let mut word = [0; 16];
    word.get_mut(..text.len())?.copy_from_slice(text);
    let bits = u128::MAX.checked_shr(128 - 8 * text.len() as u32)?;
    Some((u128::from_le_bytes(word), bits))
}

#[cfg(test)]
mod tests {
    use super::{Outline, Place};

    #[test]
    fn names_of_every_length_are_told_apart() {
        let place = Place { depth: 1, parts: 0 };
        for length in 0..20 {
            let name = format!("\"{}\":", "abcdefghijklmnopqrstuvwxyz".get(..length).unwrap());
            let mut outline = Outline::default();
            outline.learn(Some(name.as_bytes()), place, 0, false);
            for behind in ["", "1", "1,\"another name\":2}"] {
                let text = format!("{name}{behind}");
                outline.rewind();
                let expected = outline.expect(text.as_bytes(), 0, place);
                assert_eq!(expected.map(|name| name.len), Some(name.len()), "{text}");
                for other in 0..name.len() {
                    let mut text = text.clone().into_bytes();
                    text[other] ^= 1;
                    outline.rewind();
                    assert!(outline.expect(&text, 0, place).is_none(), "{text:?}");
                }
            }
            outline.rewind();
            assert!(outline.expect(&name.as_bytes()[..name.len() - 1], 0, place).is_none());
        }
    }

    /// Reads a text of names, those in capitals with escapes, and tells which of them were expected.
    fn expected(outline: &mut Outline, names: &str) -> String {
        outline.rewind();
        let mut expected = String::new();
        for (number, name) in names.chars().enumerate() {
            let text = format!("\"{name}\":");
            let place = Place {
                depth: 1,
                parts: 2 * number,
            };
            if outline.expect(text.as_bytes(), 0, place).is_some() {
                expected.push(name);
            } else {
                let text = name.is_lowercase().then_some(text.as_bytes());
                outline.learn(text, place, 0, false);
            }
        }
        expected
    }

    #[test]
    fn the_names_of_the_text_before_are_expected() {
        let mut outline = Outline::default();
        for (names, found) in [
            ("abc", ""),
            ("abc", "abc"),
            // A shorter text takes nothing away, and one other text neither.
            ("ab", "ab"),
            ("abcd", "abc"),
            ("abc", "abc"),
            ("abxy", "ab"),
            ("abc", "abc"),
            // From the first other name on the second other text counts.
            ("abxyz", "ab"),
            ("abxyz", "ab"),
            ("abxyz", "abxyz"),
            // After that the fourth, the eighth and so on.
            ("k", ""),
            ("l", ""),
            ("m", ""),
            ("n", ""),
            ("o", ""),
            ("n", "n"),
            ("abcd", ""),
            ("abcd", ""),
            ("abcd", "abcd"),
            // What follows a name that cannot be expected is not expected either.
            ("aBcd", "a"),
            ("aBcd", "a"),
            ("aBcd", "a"),
            ("aBcd", "a"),
            ("abcd", "a"),
        ] {
            assert_eq!(expected(&mut outline, names), found, "{names}");
        }
    }
}
