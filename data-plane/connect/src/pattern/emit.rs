//! Writes a pattern for fancy-regex. Nothing is left to that crate's defaults: every class is written as ranges, every
//! anchor as what it means in Java.

use std::fmt::Write as _;

use super::ast::{Kind, Node, Parsed};
use super::behind;
use super::names;
use super::sets::{self, Fold, Set};

/// Which texts the written pattern is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    /// ASCII, one character at least, no line terminator: all names of topics. Most anchors are simple there, and the
    /// pattern often needs no backtracking.
    Plain,
    Any,
}

/// The pattern for these texts. Its groups have the numbers that they have in Java.
pub(super) fn emit(parsed: &Parsed, texts: Texts) -> String {
    let mut out = String::new();
    Emitter {
        texts,
        groups: parsed.groups,
        out: &mut out,
    }
    .node(&parsed.node);
    out
}

/// The empty text. fancy-regex takes a quantifier behind this, and none behind `(?:)`.
const NOTHING: &str = "(?:|)";
/// What no text matches.
const NEVER: &str = "[a&&b]";

struct Emitter<'a> {
    texts: Texts,
    groups: usize,
    out: &'a mut String,
}

impl Emitter<'_> {
    fn node(&mut self, node: &Node) {
        match node {
            Node::Empty => self.out.push_str(NOTHING),
            Node::Set(set) => self.set(set),
            Node::Concat(parts) => parts.iter().for_each(|part| self.node(part)),
            Node::Alternation(branches) => {
                self.out.push_str("(?:");
                for (index, branch) in branches.iter().enumerate() {
                    if index > 0 {
                        self.out.push('|');
                    }
                    self.node(branch);
                }
                self.out.push(')');
            }
            Node::Capture(_, node) => self.inside("(", node),
            Node::Atomic(node) => self.inside("(?>", node),
            Node::Look {
                behind: false,
                negative,
                node,
            } => self.inside(if *negative { "(?!" } else { "(?=" }, node),
            Node::Look {
                behind: true,
                negative,
                node,
            } => self.behind(*negative, node),
            Node::Repeat { node, min, max, kind } => self.repeat(node, *min, *max, *kind),
            Node::Back { group, .. } if *group > self.groups => self.out.push_str(NEVER),
            Node::Back { group, fold, .. } => {
                let opening = if *fold == Fold::None { "(?:" } else { "(?i:" };
                // Written so that no digit that follows is taken for a part of the number.
                self.write(format_args!("{opening}\\{group})"));
            }
            Node::Start => self.out.push_str(r"\A"),
            Node::End => self.out.push_str(r"\z"),
            Node::LineStart { .. } if self.texts == Texts::Plain => self.out.push_str(r"\A"),
            Node::LineEnd { .. } | Node::LastLineEnd { .. } if self.texts == Texts::Plain => self.out.push_str(r"\z"),
            // Java has no line behind the last terminator.
            Node::LineStart { unix: true } => self.out.push_str(r"(?:(?!\z)(?:\A|(?<=\n)))"),
            Node::LineStart { unix: false } => {
                self.out
                    .push_str(r"(?:(?!\z)(?:\A|(?<=[\n\x{85}\x{2028}\x{2029}])|(?<=\r)(?!\n)))");
            }
            Node::LineEnd { unix: true } => self.out.push_str(r"(?:\z|(?=\n))"),
            Node::LineEnd { unix: false } => {
                self.out
                    .push_str(r"(?:\z|(?=[\r\x{85}\x{2028}\x{2029}])|(?<!\r)(?=\n))");
            }
            Node::LastLineEnd { unix: true } => self.out.push_str(r"(?:\z|(?=\n\z))"),
            Node::LastLineEnd { unix: false } => {
                self.out
                    .push_str(r"(?:\z|(?=\r\n\z)|(?=[\r\x{85}\x{2028}\x{2029}]\z)|(?<!\r)(?=\n\z))");
            }
            Node::Boundary { negative, wide } => self.boundary(*negative, *wide),
        }
    }

    fn inside(&mut self, opening: &str, node: &Node) {
        self.out.push_str(opening);
        self.node(node);
        self.out.push(')');
    }

    /// One look-behind for each alternative: fancy-regex is sure of those of one length.
    fn behind(&mut self, negative: bool, node: &Node) {
        let branches = behind::branches(node);
        if negative {
            branches.iter().for_each(|branch| self.inside("(?<!", branch));
        } else if let [one] = branches {
            self.inside("(?<=", one);
        } else {
            for (index, branch) in branches.iter().enumerate() {
                self.inside(if index == 0 { "(?:(?<=" } else { "|(?<=" }, branch);
            }
            self.out.push(')');
        }
    }

    fn around(&mut self, opening: &str, node: &Node, closing: &str) {
        self.out.push_str(opening);
        self.node(node);
        self.out.push_str(closing);
    }

    fn boundary(&mut self, negative: bool, wide: bool) {
        if self.texts == Texts::Plain {
            self.out.push_str(if negative { r"\B" } else { r"\b" });
            return;
        }
        let word = written(&if wide {
            names::wide_word()
        } else {
            sets::boundary_word()
        });
        if negative {
            self.write(format_args!("(?:(?<={word})(?={word})|(?<!{word})(?!{word}))"));
        } else {
            self.write(format_args!("(?:(?<={word})(?!{word})|(?<!{word})(?={word}))"));
        }
    }

    fn repeat(&mut self, node: &Node, min: u32, max: Option<u32>, kind: Kind) {
        if node.is_assertion() || matches!(node, Node::Empty) {
            // Once is as good as often, and not to be there is always possible.
            if min > 0 {
                self.node(node);
            } else {
                self.out.push_str(NOTHING);
            }
            return;
        }
        if only_looks(node) {
            // The same, but it may have groups; and fancy-regex takes no quantifier there.
            match (min, max, kind) {
                (_, Some(0), _) => self.around(&format!("(?:{NEVER}"), node, "|)"),
                (0, _, Kind::Greedy) => self.around("(?:", node, "|)"),
                (0, _, Kind::Reluctant) => self.around("(?:|", node, ")"),
                (0, _, Kind::Possessive) => self.around("(?>", node, "|)"),
                _ => self.node(node),
            }
            return;
        }
        // Java's possessive quantifier never looks back into a round that it has finished.
        let (opening, inner, closing) = match kind {
            Kind::Greedy | Kind::Reluctant => ("", "(?:", ""),
            Kind::Possessive => ("(?>", "(?>", ")"),
        };
        self.out.push_str(opening);
        let grouped = matches!(node, Node::Set(_)) || matches!(node, Node::Capture(..)) && kind != Kind::Possessive;
        if grouped {
            self.node(node);
        } else {
            self.inside(inner, node);
        }
        match (min, max) {
            (0, Some(1)) => self.out.push('?'),
            (0, None) => self.out.push('*'),
            (1, None) => self.out.push('+'),
            (min, None) => self.write(format_args!("{{{min},}}")),
            (min, Some(max)) if min == max => self.write(format_args!("{{{min}}}")),
            (min, Some(max)) => self.write(format_args!("{{{min},{max}}}")),
        }
        if kind == Kind::Reluctant {
            self.out.push('?');
        }
        self.out.push_str(closing);
    }

    fn set(&mut self, set: &Set) {
        match set.ranges() {
            [one] if one.start() == one.end() => {
                let mut text = [0; 4];
                fancy_regex::escape(one.start().encode_utf8(&mut text))
                    .chars()
                    .for_each(|c| self.out.push(c));
            }
            _ => self.out.push_str(&written(set)),
        }
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _infallible = self.out.write_fmt(text);
    }
}

/// Whether it is written as a bare look-around.
fn only_looks(node: &Node) -> bool {
    match node {
        Node::Look { .. } => true,
        Node::Repeat { node, min, .. } => *min > 0 && only_looks(node),
        Node::Empty
        | Node::Set(_)
        | Node::Concat(_)
        | Node::Alternation(_)
        | Node::Capture(..)
        | Node::Atomic(_)
        | Node::Back { .. }
        | Node::Start
        | Node::End
        | Node::LineStart { .. }
        | Node::LineEnd { .. }
        | Node::LastLineEnd { .. }
        | Node::Boundary { .. } => false,
    }
}

/// A class in brackets.
fn written(set: &Set) -> String {
    if set.ranges().is_empty() {
        return NEVER.to_owned();
    }
    let mut out = String::from("[");
    let end = |c: char, out: &mut String| {
        if c.is_ascii_alphanumeric() {
            out.push(c);
        } else {
            out.push_str(&format!("\\x{{{:x}}}", c as u32));
        }
    };
    for range in set.ranges() {
        end(range.start(), &mut out);
        if range.start() != range.end() {
            out.push('-');
            end(range.end(), &mut out);
        }
    }
    out.push(']');
    out
}
