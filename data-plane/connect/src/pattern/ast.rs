//! What a pattern says, with flags and classes already resolved.

use super::sets::{Fold, Set};

/// A part of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Empty,
    /// One character of these.
    Set(Set),
    Concat(Vec<Node>),
    Alternation(Vec<Node>),
    /// A capturing group and its number.
    Capture(usize, Box<Node>),
    /// `(?>X)`.
    Atomic(Box<Node>),
    Look {
        behind: bool,
        negative: bool,
        node: Box<Node>,
    },
    Repeat {
        node: Box<Node>,
        min: u32,
        /// None: no end.
        max: Option<u32>,
        kind: Kind,
    },
    /// What a group has matched, again.
    Back {
        group: usize,
        fold: Fold,
        /// Where it stands in the pattern.
        at: usize,
    },
    /// `\A`, `\G` and `^`.
    Start,
    /// `\z`.
    End,
    /// `^` under `(?m)`.
    LineStart {
        unix: bool,
    },
    /// `$` under `(?m)`.
    LineEnd {
        unix: bool,
    },
    /// `\Z`, and `$` without `(?m)`: at the end or before the last line terminator.
    LastLineEnd {
        unix: bool,
    },
    /// `\b` and `\B`.
    Boundary {
        negative: bool,
        wide: bool,
    },
}

/// How a quantifier takes its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Greedy,
    Reluctant,
    Possessive,
}

/// A whole pattern.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) node: Node,
    /// How many capturing groups there are.
    pub(super) groups: usize,
    /// The named ones.
    pub(super) names: Vec<(String, usize)>,
}

impl Node {
    /// The parts in a row, without needless nesting.
    pub(super) fn concat(mut parts: Vec<Node>) -> Node {
        match parts.len() {
            0 => Node::Empty,
            1 => parts.swap_remove(0),
            _ => Node::Concat(parts),
        }
    }

    /// Whether it only looks at its place: without a group, without length.
    pub(super) fn is_assertion(&self) -> bool {
        match self {
            Node::Start
            | Node::End
            | Node::LineStart { .. }
            | Node::LineEnd { .. }
            | Node::LastLineEnd { .. }
            | Node::Boundary { .. } => true,
            Node::Empty
            | Node::Set(_)
            | Node::Concat(_)
            | Node::Alternation(_)
            | Node::Capture(..)
            | Node::Atomic(_)
            | Node::Look { .. }
            | Node::Repeat { .. }
            | Node::Back { .. } => false,
        }
    }

    /// Whether it can match nothing at all.
    pub(super) fn may_be_empty(&self) -> bool {
        match self {
            Node::Set(_) => false,
            Node::Concat(parts) => parts.iter().all(Node::may_be_empty),
            Node::Alternation(branches) => branches.iter().any(Node::may_be_empty),
            Node::Capture(_, node) | Node::Atomic(node) => node.may_be_empty(),
            Node::Repeat { node, min, .. } => *min == 0 || node.may_be_empty(),
            Node::Empty
            | Node::Look { .. }
            | Node::Back { .. }
            | Node::Start
            | Node::End
            | Node::LineStart { .. }
            | Node::LineEnd { .. }
            | Node::LastLineEnd { .. }
            | Node::Boundary { .. } => true,
        }
    }

    /// Whether this or something inside is like that.
    pub(super) fn any(&self, like: &dyn Fn(&Node) -> bool) -> bool {
        like(self)
            || match self {
                Node::Concat(parts) | Node::Alternation(parts) => parts.iter().any(|part| part.any(like)),
                Node::Capture(_, node) | Node::Atomic(node) | Node::Look { node, .. } | Node::Repeat { node, .. } => {
                    node.any(like)
                }
                Node::Empty
                | Node::Set(_)
                | Node::Back { .. }
                | Node::Start
                | Node::End
                | Node::LineStart { .. }
                | Node::LineEnd { .. }
                | Node::LastLineEnd { .. }
                | Node::Boundary { .. } => false,
            }
    }
}
