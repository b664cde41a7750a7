//! Patterns put together by Java's grammar, and texts that have a chance to match them. Small alphabets: what matters is
//! how the constructs meet.

use crate::Case;
use crate::random::Random;

/// Parts of a pattern that stand for one character, each with flags and without.
const ONE: &[&str] = &[
    "a",
    "b",
    "c",
    "a",
    "b",
    ".",
    "\\w",
    "\\W",
    "\\d",
    "\\D",
    "\\s",
    "\\S",
    "\\h",
    "\\H",
    "\\v",
    "\\V",
    "[ab]",
    "[^ab]",
    "[a-c]",
    "[a-c&&[^b]]",
    "[^a-c&&[bc]]",
    "[a-c&&b-d&&c-e]",
    "[[ab][cd]]",
    "[\\w&&[^\\d]]",
    "\\p{Lower}",
    "\\p{Upper}",
    "\\P{Lu}",
    "\\pL",
    "\\p{IsAlphabetic}",
    "\\p{InGreek}",
    "\\p{IsLatin}",
    "\\p{javaLowerCase}",
    "\\p{Punct}",
    "\\x41",
    "\\u0062",
    "\\x{63}",
    "\\0141",
    "\\n",
    "\\r",
    "\\t",
    "\\cA",
    "é",
    "É",
    "ß",
    "[à-ü]",
    "\\Qa.\\E",
    "\\Q\\E",
    "-",
    "_",
    "1",
    "[.]",
    "\\.",
    "[a\\-z]",
    "[]a]",
    "[^\\s]",
    "A",
    "B",
    "[A-C]",
    "k",
    "ſ",
    "[é]",
    "😀",
    "[😀-😂]",
    "#",
    " ",
];

const ASSERTIONS: &[&str] = &["^", "$", "\\b", "\\B", "\\A", "\\G", "\\Z", "\\z", "\\R", "{0}", "{2}"];

const QUANTIFIERS: &[&str] = &["?", "*", "+", "{2}", "{1,2}", "{0,1}", "{1,}", "{0}", "{0,2}", "{2,3}"];

const FLAGS: &[&str] = &[
    "(?i)", "(?s)", "(?m)", "(?d)", "(?x)", "(?u)", "(?U)", "(?iu)", "(?md)", "(?ms)", "(?-i)", "(?i-s)", "(?-x)",
    "(?iU)",
];

const TEXT: &[&str] = &[
    "a", "b", "c", "a", "b", "a", "b", "A", "B", "1", "_", "-", " ", ".", "\n", "\r\n", "\r", "\u{85}", "\u{2028}",
    "é", "É", "ß", "α", "K", "ſ", "😀", "\t", "\u{b}", "\u{1}", "#", "k", "S", "s",
];

const REPLACEMENTS: &[&str] = &[
    "X", "[$0]", "[$1]", "[$1$2]", "<$2>", "[$3]", "$12", "${n}", "\\$", "", "$", "a$1b${m}",
];

/// So many cases, the same on every machine.
pub(crate) fn cases(count: usize) -> Vec<Case> {
    let mut random = Random::new(0x6a61_7661);
    let mut cases = Vec::with_capacity(count);
    while cases.len() < count {
        let mut pattern = Writer {
            random: &mut random,
            out: String::new(),
            groups: 0,
            simple: false,
        };
        pattern.simple = pattern.random.chance(50);
        if pattern.random.chance(25) {
            let flags = pattern.random.pick(FLAGS);
            pattern.out.push_str(flags);
        }
        pattern.alternatives(3);
        let regex = pattern.out;
        for _ in 0..3 {
            cases.push(Case {
                regex: regex.clone(),
                text: text(&mut random),
                replacement: random.pick(REPLACEMENTS).to_owned(),
            });
        }
    }
    cases
}

fn text(random: &mut Random) -> String {
    let letters = if random.chance(60) { &TEXT[..7] } else { TEXT };
    let length = random.below(7);
    (0..length).map(|_| random.pick(letters)).collect()
}

struct Writer<'a> {
    random: &'a mut Random,
    out: String,
    groups: usize,
    /// Only the letters of most texts.
    simple: bool,
}

impl Writer<'_> {
    fn alternatives(&mut self, depth: usize) {
        self.sequence(depth);
        while self.random.chance(25) {
            self.out.push('|');
            self.sequence(depth);
        }
    }

    fn sequence(&mut self, depth: usize) {
        let length = self.random.below(4);
        for _ in 0..length {
            self.piece(depth);
        }
    }

    fn piece(&mut self, depth: usize) {
        match self.random.below(100) {
            0..45 => {
                let one = if self.simple {
                    self.random.pick(&["a", "b", "c", ".", "[ab]", "[^a]", "\\w", "\\d"])
                } else {
                    self.random.pick(ONE)
                };
                self.out.push_str(one);
                self.quantifier();
            }
            45..55 => {
                let assertion = self.random.pick(ASSERTIONS);
                self.out.push_str(assertion);
                if self.random.chance(10) {
                    self.quantifier();
                }
            }
            55..60 if !self.simple => {
                let flags = self.random.pick(FLAGS);
                self.out.push_str(flags);
            }
            60..66 if self.groups > 0 => {
                let group = 1 + self.random.below(self.groups);
                self.out.push_str(&format!("\\{group}"));
                self.quantifier();
            }
            _ if depth == 0 => self.out.push('a'),
            _ => {
                let opening = self.random.pick(&[
                    "(", "(", "(", "(", "(?:", "(?:", "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?<n>",
                    "(?<m>",
                ]);
                if self.out.contains(opening) && opening.ends_with('>') && opening.len() > 3 {
                    return;
                }
                self.out.push_str(opening);
                if opening == "(" || opening.ends_with("n>") || opening.ends_with("m>") {
                    self.groups += 1;
                }
                self.alternatives(depth - 1);
                self.out.push(')');
                self.quantifier();
            }
        }
    }

    fn quantifier(&mut self) {
        if self.random.chance(35) {
            let quantifier = self.random.pick(QUANTIFIERS);
            self.out.push_str(quantifier);
            match self.random.below(10) {
                0 | 1 => self.out.push('?'),
                2 => self.out.push('+'),
                _ => {}
            }
        }
    }
}
