//! Sets of characters: the algebra of classes, Java's notion of case, and the sets behind the escapes.

use std::cmp::Ordering;
use std::sync::OnceLock;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// Any set of characters. Halves of surrogate pairs are in none of them: no text has them.
pub(super) type Set = ClassUnicode;

/// How a letter finds its other case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    /// Not at all.
    None,
    /// `(?i)`: a to z only.
    Ascii,
    /// `(?iu)`: as `Character.toUpperCase` and `toLowerCase` say.
    Unicode,
}

pub(super) fn single(c: char) -> Set {
    range(c, c)
}

pub(super) fn range(first: char, last: char) -> Set {
    Set::new([ClassUnicodeRange::new(first, last)])
}

pub(super) fn ranges(of: &[(char, char)]) -> Set {
    Set::new(of.iter().map(|&(first, last)| ClassUnicodeRange::new(first, last)))
}

pub(super) fn all() -> Set {
    range('\0', char::MAX)
}

pub(super) fn empty() -> Set {
    Set::empty()
}

pub(super) fn negated(mut set: Set) -> Set {
    set.negate();
    set
}

pub(super) fn union(mut set: Set, other: &Set) -> Set {
    set.union(other);
    set
}

pub(super) fn intersection(mut set: Set, other: &Set) -> Set {
    set.intersect(other);
    set
}

/// Whether it is a nonspacing mark (`Mn`).
pub(super) fn is_mark(c: char) -> bool {
    static MARKS: OnceLock<Set> = OnceLock::new();
    let marks = MARKS.get_or_init(|| unicode(r"\p{Mn}")).ranges();
    marks
        .binary_search_by(|range| {
            if range.end() < c {
                Ordering::Less
            } else if range.start() > c {
                Ordering::Greater
            } else {
                Ordering::Equal
            }
        })
        .is_ok()
}

/// A class as regex-syntax writes it, Unicode properties among them.
pub(super) fn unicode(class: &str) -> Set {
    known(class).expect("the classes named in this module exist")
}

/// The same for a name that may not exist.
pub(super) fn known(class: &str) -> Option<Set> {
    let hir = regex_syntax::Parser::new().parse(class).ok()?;
    match hir.into_kind() {
        HirKind::Class(Class::Unicode(set)) => Some(set),
        // A class of one character.
        HirKind::Literal(literal) => {
            let c = std::str::from_utf8(&literal.0).ok()?.chars().next()?;
            Some(single(c))
        }
        HirKind::Class(Class::Bytes(_))
        | HirKind::Empty
        | HirKind::Look(_)
        | HirKind::Repetition(_)
        | HirKind::Capture(_)
        | HirKind::Concat(_)
        | HirKind::Alternation(_) => None,
    }
}

pub(super) fn digit() -> Set {
    range('0', '9')
}

pub(super) fn word() -> Set {
    ranges(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')])
}

pub(super) fn space() -> Set {
    ranges(&[('\t', '\r'), (' ', ' ')])
}

pub(super) fn horizontal() -> Set {
    ranges(&[
        ('\t', '\t'),
        (' ', ' '),
        ('\u{a0}', '\u{a0}'),
        ('\u{1680}', '\u{1680}'),
        ('\u{180e}', '\u{180e}'),
        ('\u{2000}', '\u{200a}'),
        ('\u{202f}', '\u{202f}'),
        ('\u{205f}', '\u{205f}'),
        ('\u{3000}', '\u{3000}'),
    ])
}

pub(super) fn vertical() -> Set {
    ranges(&[('\n', '\r'), ('\u{85}', '\u{85}'), ('\u{2028}', '\u{2029}')])
}

/// What ends a line; a `\r\n` is one end.
pub(super) fn line_ends() -> Set {
    ranges(&[
        ('\n', '\n'),
        ('\r', '\r'),
        ('\u{85}', '\u{85}'),
        ('\u{2028}', '\u{2029}'),
    ])
}

/// What `\b` takes for a part of a word in JDK 17, without `(?U)`.
pub(super) fn boundary_word() -> Set {
    unicode(r"[_\p{L}\p{Nd}]")
}

/// One character and its other cases.
pub(super) fn folded(c: char, fold: Fold) -> Set {
    match fold {
        Fold::None => single(c),
        Fold::Ascii => ranges(&[
            (c, c),
            (c.to_ascii_lowercase(), c.to_ascii_lowercase()),
            (c.to_ascii_uppercase(), c.to_ascii_uppercase()),
        ]),
        Fold::Unicode => {
            let key = lower(upper(c));
            // A small letter without a capital one stands for itself, as the German sharp s.
            if key == upper(c) {
                return single(c);
            }
            let same = cased().iter().filter(|&&other| lower(upper(other)) == key);
            let set = Set::new(same.map(|&other| ClassUnicodeRange::new(other, other)));
            union(union(set, &single(key)), &single(c))
        }
    }
}

/// A range, and what has another case in it.
pub(super) fn folded_range(first: char, last: char, fold: Fold) -> Set {
    let set = range(first, last);
    let inside = |c: char| (first..=last).contains(&c);
    let found: Vec<char> = match fold {
        Fold::None => return set,
        Fold::Ascii => ('\0'..='\x7f')
            .filter(|c| inside(c.to_ascii_uppercase()) || inside(c.to_ascii_lowercase()))
            .collect(),
        Fold::Unicode => cased()
            .iter()
            .copied()
            .filter(|&c| inside(upper(c)) || inside(lower(upper(c))))
            .collect(),
    };
    union(set, &Set::new(found.into_iter().map(|c| ClassUnicodeRange::new(c, c))))
}

/// All characters that upper and lower case move.
fn cased() -> &'static [char] {
    static CASED: OnceLock<Vec<char>> = OnceLock::new();
    CASED.get_or_init(|| ('\0'..=char::MAX).filter(|&c| upper(c) != c || lower(c) != c).collect())
}

/// `Character.toUpperCase`: one character for one.
fn upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        // Rust writes these as two letters; Java's mapping of single characters has the one with iota below.
        _ => match c {
            '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => {
                char::from_u32(c as u32 + 8).unwrap_or(c)
            }
            '\u{1fb3}' => '\u{1fbc}',
            '\u{1fc3}' => '\u{1fcc}',
            '\u{1ff3}' => '\u{1ffc}',
            _ => c,
        },
    }
}

/// `Character.toLowerCase`.
fn lower(c: char) -> char {
    let mut mapped = c.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        // The capital i with a dot is the only one.
        _ => 'i',
    }
}
