//! Java's syntax: alternatives, groups, flags and quantifiers. Classes are in `class.rs`, escapes in `escape.rs`.
//!
//! Java reads a pattern character by character with one cursor, and its errors name the place of that cursor; so does
//! this. Under `(?x)` blanks and comments are skipped wherever Java skips them, which is also in odd places.

use super::PatternError;
use super::ast::{Kind, Node, Parsed};
use super::behind;
use super::quote;
use super::sets::{self, Fold};

/// fancy-regex parses no deeper, and a pattern that a person wrote does not come near.
const DEEPEST: usize = 50;

/// The letters of `(?…)`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    /// `i`
    pub(super) blind: bool,
    /// `u`
    pub(super) unicode_case: bool,
    /// `U`
    pub(super) wide: bool,
    /// `x`
    comments: bool,
    /// `m`
    multiline: bool,
    /// `s`
    dot_all: bool,
    /// `d`
    unix: bool,
}

impl Flags {
    pub(super) fn fold(self) -> Fold {
        match (self.blind, self.unicode_case) {
            (false, _) => Fold::None,
            (true, false) => Fold::Ascii,
            (true, true) => Fold::Unicode,
        }
    }
}

pub(super) struct Parser<'a> {
    pattern: &'a str,
    /// With `\Q…\E` written out, and two zeros at its end.
    text: Vec<char>,
    end: usize,
    pub(super) cursor: usize,
    pub(super) flags: Flags,
    pub(super) groups: usize,
    pub(super) names: Vec<(String, usize)>,
    pub(super) depth: usize,
}

/// Reads a whole pattern.
pub(super) fn parse(pattern: &str) -> Result<Parsed, PatternError> {
    let mut text = quote::written_out(pattern);
    let end = text.len();
    text.extend(['\0', '\0']);
    let mut parser = Parser {
        pattern,
        text,
        end,
        cursor: 0,
        flags: Flags::default(),
        groups: 0,
        names: Vec::new(),
        depth: 0,
    };
    let node = parser.alternatives()?;
    if parser.cursor != parser.end {
        let open = parser.peek() == ')';
        return Err(parser.error(if open {
            "Unmatched closing ')'"
        } else {
            "Unexpected internal error"
        }));
    }
    Ok(Parsed {
        node,
        groups: parser.groups,
        names: parser.names,
    })
}

impl Parser<'_> {
    /// What Java says, at the place before the cursor.
    pub(super) fn error(&self, description: impl Into<String>) -> PatternError {
        PatternError::syntax(description, self.cursor as isize - 1, self.pattern)
    }

    /// What Java takes and we do not.
    pub(super) fn refused(&self, what: &str, why: &str) -> PatternError {
        PatternError::refused(what, why, self.cursor as isize - 1, self.pattern)
    }

    pub(super) fn at(&self, place: usize) -> char {
        self.text.get(place).copied().unwrap_or('\0')
    }

    /// What `\Z` means here, and `$` without `(?m)`.
    pub(super) fn last_line_end(&self) -> Node {
        Node::LastLineEnd { unix: self.flags.unix }
    }

    pub(super) fn ended(&self) -> bool {
        self.cursor >= self.end
    }

    /// The next character, without taking it.
    pub(super) fn peek(&mut self) -> char {
        if self.flags.comments {
            self.skip_blanks();
        }
        self.at(self.cursor)
    }

    /// Takes the next character.
    pub(super) fn read(&mut self) -> char {
        let mut c = self.at(self.cursor);
        self.cursor += 1;
        if self.flags.comments && self.skippable(c) {
            self.cursor -= 1;
            self.skip_blanks();
            c = self.at(self.cursor);
            self.cursor += 1;
        }
        c
    }

    /// Goes on by one, and shows what is there.
    pub(super) fn next(&mut self) -> char {
        self.cursor += 1;
        self.peek()
    }

    /// Goes on by one, and shows what is there, be it a blank.
    pub(super) fn next_escaped(&mut self) -> char {
        self.cursor += 1;
        self.at(self.cursor)
    }

    /// Leaves one out and takes the one behind it, be it a blank.
    pub(super) fn skip(&mut self) -> char {
        let c = self.at(self.cursor + 1);
        self.cursor += 2;
        c
    }

    fn skippable(&self, c: char) -> bool {
        matches!(c, '\t'..='\r' | ' ' | '#')
    }

    fn skip_blanks(&mut self) {
        while self.cursor < self.end {
            match self.at(self.cursor) {
                '\t'..='\r' | ' ' => self.cursor += 1,
                '#' => {
                    while self.cursor < self.end && !self.ends_line(self.at(self.cursor)) {
                        self.cursor += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn ends_line(&self, c: char) -> bool {
        c == '\n' || !self.flags.unix && matches!(c, '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
    }

    fn alternatives(&mut self) -> Result<Node, PatternError> {
        let mut all = vec![self.sequence()?];
        while self.peek() == '|' {
            self.next();
            all.push(self.sequence()?);
        }
        Ok(if all.len() == 1 {
            all.swap_remove(0)
        } else {
            Node::Alternation(all)
        })
    }

    fn sequence(&mut self) -> Result<Node, PatternError> {
        let mut parts = Vec::new();
        loop {
            let flags = self.flags;
            match self.peek() {
                '|' | ')' => break,
                '\0' if self.ended() => break,
                '(' => {
                    if let Some(group) = self.group()? {
                        parts.push(group);
                    }
                    continue;
                }
                '[' => {
                    let set = self.class(true)?;
                    parts.push(Node::Set(set));
                }
                '^' => {
                    self.next();
                    parts.push(if flags.multiline {
                        Node::LineStart { unix: flags.unix }
                    } else {
                        Node::Start
                    });
                }
                '$' => {
                    self.next();
                    parts.push(if flags.multiline {
                        Node::LineEnd { unix: flags.unix }
                    } else {
                        self.last_line_end()
                    });
                }
                '.' => {
                    self.next();
                    parts.push(Node::Set(if flags.dot_all {
                        sets::all()
                    } else if flags.unix {
                        sets::negated(sets::single('\n'))
                    } else {
                        sets::negated(sets::line_ends())
                    }));
                }
                c @ ('?' | '*' | '+') => {
                    self.next();
                    return Err(self.error(format!("Dangling meta character '{c}'")));
                }
                _ => parts.extend(self.atom()?),
            }
            let last = parts.pop().unwrap_or(Node::Empty);
            let repeated = self.quantified(last)?;
            parts.push(repeated);
        }
        Ok(Node::concat(parts))
    }

    /// Literals up to the next thing that is none; a quantifier behind them is for the last one only. Or one escape that
    /// stands for more than a character. Nothing where a brace comes first: Java then repeats nothing.
    fn atom(&mut self) -> Result<Vec<Node>, PatternError> {
        let mut literals: Vec<Node> = Vec::new();
        let mut before_last = self.cursor;
        let mut c = self.peek();
        loop {
            match c {
                '*' | '+' | '?' | '{' => {
                    if literals.len() > 1 {
                        literals.pop();
                        self.cursor = before_last;
                    }
                    break;
                }
                '$' | '.' | '^' | '(' | '[' | '|' | ')' => break,
                '\\' => {
                    let place = self.cursor;
                    match self.escape(false, false)? {
                        super::escape::Escape::Char(one) => {
                            before_last = place;
                            literals.push(self.literal(one));
                            c = self.peek();
                        }
                        super::escape::Escape::Node(node) if literals.is_empty() => return Ok(vec![node]),
                        super::escape::Escape::Node(_) => {
                            self.cursor = place;
                            break;
                        }
                    }
                }
                '\0' if self.ended() => break,
                _ => {
                    before_last = self.cursor;
                    literals.push(self.literal(c));
                    c = self.next();
                }
            }
        }
        if literals.is_empty() {
            literals.push(Node::Empty);
        }
        Ok(literals)
    }

    fn literal(&self, c: char) -> Node {
        Node::Set(sets::folded(c, self.flags.fold()))
    }

    /// A group and its quantifier, or nothing for `(?i)`.
    fn group(&mut self) -> Result<Option<Node>, PatternError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.refused("nesting deeper than 50 groups", "the engine stops there"));
        }
        let saved = self.flags;
        let group = if self.next() == '?' {
            match self.skip() {
                ':' => plain(self.alternatives()?),
                '=' => self.look(false, false)?,
                '!' => self.look(false, true)?,
                '>' => Node::Atomic(Box::new(self.alternatives()?)),
                '<' => match self.read() {
                    '=' => self.look(true, false)?,
                    '!' => self.look(true, true)?,
                    first => {
                        let name = self.group_name(first)?;
                        if self.names.iter().any(|(known, _)| *known == name) {
                            return Err(self.error(format!("Named capturing group <{name}> is already defined")));
                        }
                        self.groups += 1;
                        let number = self.groups;
                        self.names.push((name, number));
                        Node::Capture(number, Box::new(self.alternatives()?))
                    }
                },
                '$' | '@' => return Err(self.error("Unknown group type")),
                _ => {
                    self.cursor -= 1;
                    self.read_flags()?;
                    match self.read() {
                        ')' => {
                            self.depth -= 1;
                            return Ok(None);
                        }
                        ':' => plain(self.alternatives()?),
                        _ => return Err(self.error("Unknown inline modifier")),
                    }
                }
            }
        } else {
            self.groups += 1;
            let number = self.groups;
            Node::Capture(number, Box::new(self.alternatives()?))
        };
        if self.read() != ')' {
            return Err(self.error("Unclosed group"));
        }
        self.flags = saved;
        self.depth -= 1;
        self.quantified(group).map(Some)
    }

    fn look(&mut self, behind: bool, negative: bool) -> Result<Node, PatternError> {
        let node = self.alternatives()?;
        if behind {
            behind::check(&node).map_err(|refusal| match refusal {
                behind::Refusal::Endless => PatternError::mostly(
                    "Look-behind group does not have an obvious maximum length",
                    self.cursor as isize - 1,
                    self.pattern,
                ),
                behind::Refusal::Mixed => self.refused(
                    "a look-behind of more than one length with groups or assertions inside",
                    "the engine finds too much",
                ),
            })?;
        }
        Ok(Node::Look {
            behind,
            negative,
            node: Box::new(node),
        })
    }

    /// A name whose first character was read, and what closes it.
    pub(super) fn group_name(&mut self, first: char) -> Result<String, PatternError> {
        if !first.is_ascii_alphabetic() {
            return Err(self.error("capturing group name does not start with a Latin letter"));
        }
        let mut name = String::from(first);
        loop {
            match self.read() {
                '>' => return Ok(name),
                c if c.is_ascii_alphanumeric() => name.push(c),
                _ => return Err(self.error("named capturing group is missing trailing '>'")),
            }
        }
    }

    fn read_flags(&mut self) -> Result<(), PatternError> {
        let mut on = true;
        loop {
            match self.peek() {
                'i' => self.flags.blind = on,
                'm' => self.flags.multiline = on,
                's' => self.flags.dot_all = on,
                'd' => self.flags.unix = on,
                'u' => self.flags.unicode_case = on,
                'x' => self.flags.comments = on,
                'c' => {
                    return Err(self.refused(
                        "the flag c (canonical equivalence)",
                        "characters are compared as they are",
                    ));
                }
                'U' => {
                    self.flags.wide = on;
                    self.flags.unicode_case = on;
                }
                '-' if on => on = false,
                _ => return Ok(()),
            }
            self.next();
        }
    }

    /// What was read, with the quantifier that follows.
    fn quantified(&mut self, node: Node) -> Result<Node, PatternError> {
        let (min, max) = match self.peek() {
            '?' => (0, Some(1)),
            '*' => (0, None),
            '+' => (1, None),
            '{' => return self.counted(node),
            _ => return Ok(node),
        };
        let sign = self.next();
        Ok(self.repeat(node, min, max, sign))
    }

    fn counted(&mut self, node: Node) -> Result<Node, PatternError> {
        // A blank after the brace is none of those that `(?x)` skips.
        let mut c = self.skip();
        if !c.is_ascii_digit() {
            return Err(self.error("Illegal repetition"));
        }
        let min = self.number(&mut c)?;
        let mut max = Some(min);
        if c == ',' {
            c = self.read();
            max = if c == '}' { None } else { Some(self.number(&mut c)?) };
        }
        if c != '}' {
            return Err(self.error("Unclosed counted closure"));
        }
        if max.is_some_and(|max| max < min) {
            return Err(self.error("Illegal repetition range"));
        }
        let sign = self.peek();
        Ok(self.repeat(node, min, max, sign))
    }

    fn number(&mut self, c: &mut char) -> Result<u32, PatternError> {
        let mut number: u32 = 0;
        while let Some(digit) = c.to_digit(10) {
            number = number
                .checked_mul(10)
                .and_then(|tens| tens.checked_add(digit))
                .filter(|&number| number <= i32::MAX as u32)
                .ok_or_else(|| self.error("Illegal repetition range"))?;
            *c = self.read();
        }
        Ok(number)
    }

    fn repeat(&mut self, node: Node, min: u32, max: Option<u32>, sign: char) -> Node {
        let kind = match sign {
            '?' => Kind::Reluctant,
            '+' => Kind::Possessive,
            _ => Kind::Greedy,
        };
        if kind != Kind::Greedy {
            self.next();
        }
        Node::Repeat {
            node: Box::new(node),
            min,
            max,
            kind,
        }
    }
}

/// A group without a number. Around one with a number it is kept: a loop then is not the loop of that group.
fn plain(inside: Node) -> Node {
    if matches!(inside, Node::Capture(..)) {
        Node::Concat(vec![inside])
    } else {
        inside
    }
}
