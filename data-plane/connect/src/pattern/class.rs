//! Character classes: ranges, unions and intersections.

use super::PatternError;
use super::ast::Node;
use super::escape::Escape;
use super::parse::Parser;
use super::sets::{self, Set};

const DEEPEST: usize = 50;

impl Parser<'_> {
    /// Reads a class from its bracket on. The right side of `&&` has no bracket of its own and leaves the closing one
    /// (`own` is false).
    pub(super) fn class(&mut self, own: bool) -> Result<Set, PatternError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.refused("nesting deeper than 50", "the engine stops there"));
        }
        let mut set: Option<Set> = None;
        let mut negative = false;
        // Behind `&&` Java takes nothing more than another `&&` seriously: see below.
        let mut intersected = false;
        let mut c = self.next();
        if own && c == '^' && self.at(self.cursor - 1) == '[' {
            negative = true;
            c = self.next();
        }
        loop {
            match c {
                '&' if self.next() == '&' => {
                    let right = self.right_side()?;
                    set = Some(match (set, right) {
                        (None, None) => return Err(self.error("Bad class syntax")),
                        (None, Some(right)) => right,
                        (Some(left), Some(right)) => sets::intersection(left, &right),
                        // Java takes what came last in the class, or fails when it matches.
                        (Some(_), None) => {
                            return Err(
                                self.refused("&& without a right side", "what it means in Java depends on order")
                            );
                        }
                    });
                    intersected = true;
                    c = self.peek();
                    continue;
                }
                // One alone is a character like any other.
                '&' => self.cursor -= 1,
                '\0' if self.ended() => return Err(self.error("Unclosed character class")),
                _ => {}
            }
            if c == ']'
                && let Some(set) = set.take()
            {
                if own {
                    self.next();
                }
                self.depth -= 1;
                return Ok(if negative { sets::negated(set) } else { set });
            }
            if intersected {
                // What stands here goes in Java into the left side as well, if it is below U+0100.
                return Err(self.refused(
                    "a character after &&[…]",
                    "put it into brackets of its own, before the &&",
                ));
            }
            let more = if c == '[' { self.class(true)? } else { self.range()? };
            set = Some(match set {
                None => more,
                Some(set) => sets::union(set, &more),
            });
            c = self.peek();
        }
    }

    /// All that follows `&&`; the cursor stands on its second character.
    fn right_side(&mut self) -> Result<Option<Set>, PatternError> {
        let mut right: Option<Set> = None;
        let mut c = self.next();
        while c != ']' && c != '&' {
            let more = if c == '[' {
                self.class(true)?
            } else {
                self.cursor -= 1;
                self.class(false)?
            };
            right = Some(match right {
                None => more,
                Some(right) => sets::union(right, &more),
            });
            c = self.peek();
        }
        Ok(right)
    }

    /// One character, one escape, or a range.
    fn range(&mut self) -> Result<Set, PatternError> {
        let fold = self.flags.fold();
        let first = if self.peek() == '\\' {
            let in_range = self.at(self.cursor + 2) == '-';
            match self.escape(true, in_range)? {
                Escape::Char(c) => c,
                Escape::Node(Node::Set(set)) => return Ok(set),
                Escape::Node(_) => return Err(self.error("Illegal/unsupported escape sequence")),
            }
        } else {
            let c = self.at(self.cursor);
            self.next();
            c
        };
        if self.peek() != '-' {
            return Ok(sets::folded(first, fold));
        }
        match self.at(self.cursor + 1) {
            '[' | ']' => return Ok(sets::folded(first, fold)),
            _ => {}
        }
        self.next();
        let last = if self.peek() == '\\' {
            match self.escape(true, true)? {
                Escape::Char(c) => Some(c),
                Escape::Node(_) => None,
            }
        } else {
            let c = self.at(self.cursor);
            self.next();
            Some(c)
        };
        match last {
            Some(last) if last >= first => Ok(sets::folded_range(first, last, fold)),
            _ => Err(self.error("Illegal character range")),
        }
    }
}
