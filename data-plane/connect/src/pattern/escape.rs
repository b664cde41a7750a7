//! What stands behind a backslash.

use super::PatternError;
use super::ast::Node;
use super::names;
use super::parse::Parser;
use super::sets::{self, Set};

/// One character, or more than that.
pub(super) enum Escape {
    Char(char),
    Node(Node),
}

fn set(set: Set) -> Escape {
    Escape::Node(Node::Set(set))
}

impl Parser<'_> {
    /// Reads an escape; the cursor stands on its backslash. `from` and `to` of a range read `\v` as one character.
    pub(super) fn escape(&mut self, in_class: bool, in_range: bool) -> Result<Escape, PatternError> {
        let place = self.cursor;
        if matches!(self.next_escaped(), 'p' | 'P') {
            return self.family().map(set);
        }
        self.cursor = place;
        let wide = self.flags.wide;
        let c = self.skip();
        let boundary = |negative| Escape::Node(Node::Boundary { negative, wide });
        Ok(match c {
            '0' => Escape::Char(self.octal()?),
            '1'..='9' if !in_class => self.back_reference(c, place),
            'A' | 'G' if !in_class => Escape::Node(Node::Start),
            'B' if !in_class => boundary(true),
            'b' if !in_class => {
                if self.peek() != '{' || self.at(self.cursor + 1) != 'g' {
                    return Ok(boundary(false));
                }
                self.skip();
                if self.read() == '}' {
                    return Err(self.refused("\\b{g}", "the engine does not know grapheme clusters"));
                }
                return Err(self.error("Illegal/unsupported escape sequence"));
            }
            'D' => set(sets::negated(self.digits())),
            'd' => set(self.digits()),
            'H' => set(sets::negated(sets::horizontal())),
            'h' => set(sets::horizontal()),
            'N' => return Err(self.refused("\\N{…}", "names of characters are not known here; write \\x{…}")),
            'R' if !in_class => Escape::Node(Node::Alternation(vec![
                Node::Concat(vec![Node::Set(sets::single('\r')), Node::Set(sets::single('\n'))]),
                Node::Set(sets::vertical()),
            ])),
            'S' => set(sets::negated(self.spaces())),
            's' => set(self.spaces()),
            'V' => set(sets::negated(sets::vertical())),
            'v' if in_range => Escape::Char('\u{b}'),
            'v' => set(sets::vertical()),
            'W' => set(sets::negated(self.words())),
            'w' => set(self.words()),
            'X' if !in_class => {
                return Err(self.refused("\\X", "the engine does not know grapheme clusters"));
            }
            'Z' if !in_class => Escape::Node(self.last_line_end()),
            'z' if !in_class => Escape::Node(Node::End),
            'a' => Escape::Char('\u{7}'),
            'c' => Escape::Char(self.control()?),
            'e' => Escape::Char('\u{1b}'),
            'f' => Escape::Char('\u{c}'),
            'k' if !in_class => self.named_reference(place)?,
            'n' => Escape::Char('\n'),
            'r' => Escape::Char('\r'),
            't' => Escape::Char('\t'),
            'u' => Escape::Char(self.utf16()?),
            'x' => Escape::Char(self.hexadecimal()?),
            c if c.is_ascii_alphanumeric() => return Err(self.error("Illegal/unsupported escape sequence")),
            c => Escape::Char(c),
        })
    }

    fn digits(&self) -> Set {
        if self.flags.wide {
            sets::unicode(r"\p{Nd}")
        } else {
            sets::digit()
        }
    }

    fn spaces(&self) -> Set {
        if self.flags.wide {
            sets::unicode(r"\p{White_Space}")
        } else {
            sets::space()
        }
    }

    fn words(&self) -> Set {
        if self.flags.wide {
            names::wide_word()
        } else {
            sets::word()
        }
    }

    /// `\p`; the cursor stands on the p.
    fn family(&mut self) -> Result<Set, PatternError> {
        let complement = self.at(self.cursor) == 'P';
        let blind = self.flags.blind;
        let name = if self.next() == '{' {
            self.next();
            let start = self.cursor;
            while !self.ended() && self.at(self.cursor) != '}' {
                self.cursor += 1;
            }
            if self.ended() {
                self.cursor += 1;
                return Err(self.error("Unclosed character family"));
            }
            let name: String = (start..self.cursor).map(|place| self.at(place)).collect();
            self.cursor += 1;
            if name.is_empty() {
                return Err(self.error("Empty character family"));
            }
            name
        } else {
            self.read().to_string()
        };
        let found = match name.split_once('=') {
            Some((key, value)) => {
                let key = key.to_lowercase();
                names::pair(&key, value, blind)
                    .ok_or_else(|| self.error(format!("Unknown Unicode property {{name=<{key}>, value=<{value}>}}")))?
            }
            None => names::property(&name, blind, self.flags.wide)
                .ok_or_else(|| self.error(format!("Unknown character property name {{{name}}}")))?,
        };
        Ok(if complement { sets::negated(found) } else { found })
    }

    fn octal(&mut self) -> Result<char, PatternError> {
        let digit = |c: char| c.to_digit(8);
        let first = digit(self.read()).ok_or_else(|| self.error("Illegal octal escape sequence"))?;
        let mut value = first;
        if let Some(second) = digit(self.read()) {
            value = value * 8 + second;
            match digit(self.read()) {
                Some(third) if first <= 3 => value = value * 8 + third,
                _ => self.cursor -= 1,
            }
        } else {
            self.cursor -= 1;
        }
        self.character(value)
    }

    fn control(&mut self) -> Result<char, PatternError> {
        if self.ended() {
            return Err(self.error("Illegal control escape sequence"));
        }
        let c = self.read();
        self.character(c as u32 ^ 64)
    }

    fn hexadecimal(&mut self) -> Result<char, PatternError> {
        let first = self.read();
        if let Some(high) = first.to_digit(16) {
            if let Some(low) = self.read().to_digit(16) {
                return self.character(high * 16 + low);
            }
        } else if first == '{' && self.peek().is_ascii_hexdigit() {
            let mut value = 0;
            let mut c = self.read();
            while let Some(digit) = c.to_digit(16) {
                value = value * 16 + digit;
                if value > char::MAX as u32 {
                    return Err(self.error("Hexadecimal codepoint is too big"));
                }
                c = self.read();
            }
            if c != '}' {
                return Err(self.error("Unclosed hexadecimal escape sequence"));
            }
            return self.character(value);
        }
        Err(self.error("Illegal hexadecimal escape sequence"))
    }

    /// Four digits, or two times four for a pair.
    fn utf16(&mut self) -> Result<char, PatternError> {
        let first = self.four_digits()?;
        if (0xd800..0xdc00).contains(&first) && self.at(self.cursor) == '\\' && self.at(self.cursor + 1) == 'u' {
            let saved = self.cursor;
            self.cursor += 2;
            let second = self.four_digits()?;
            if (0xdc00..0xe000).contains(&second) {
                return self.character(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00));
            }
            self.cursor = saved;
        }
        self.character(first)
    }

    fn four_digits(&mut self) -> Result<u32, PatternError> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.read().to_digit(16);
            value = value * 16 + digit.ok_or_else(|| self.error("Illegal Unicode escape sequence"))?;
        }
        Ok(value)
    }

    fn character(&self, point: u32) -> Result<char, PatternError> {
        char::from_u32(point).ok_or_else(|| self.refused("half of a surrogate pair", "text here has no halves"))
    }

    /// Java takes as many digits as give a group that was opened before, and one in any case.
    fn back_reference(&mut self, first: char, at: usize) -> Escape {
        let mut group = first as usize - '0' as usize;
        while let Some(digit) = self.peek().to_digit(10) {
            let longer = group * 10 + digit as usize;
            if longer > self.groups {
                break;
            }
            group = longer;
            self.read();
        }
        Escape::Node(self.reference(group, at))
    }

    fn named_reference(&mut self, at: usize) -> Result<Escape, PatternError> {
        if self.read() != '<' {
            return Err(self.error("\\k is not followed by '<' for named capturing group"));
        }
        let first = self.read();
        let name = self.group_name(first)?;
        let known = self.names.iter().find(|(known, _)| *known == name);
        let Some(&(_, group)) = known else {
            return Err(self.error(format!("named capturing group <{name}> does not exist")));
        };
        Ok(Escape::Node(self.reference(group, at)))
    }

    fn reference(&self, group: usize, at: usize) -> Node {
        Node::Back {
            group,
            fold: self.flags.fold(),
            at,
        }
    }
}
