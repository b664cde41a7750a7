//! How far a look-behind looks.

use super::PatternError;
use super::ast::{Kind, Node};

/// Refuses a look-behind whose length has no end, or depends on what a group has matched.
///
/// Java takes some endless ones by mistake (`(?<=a*)b`) and refuses most (`(?<=(a)*)b`): here none is taken.
pub(super) fn check(node: &Node, pattern: &str) -> Result<(), PatternError> {
    match node {
        Node::Look { behind, node, at, .. } => {
            if *behind && longest(node).is_none() {
                return Err(PatternError::refused(
                    "this look-behind",
                    "Look-behind group does not have an obvious maximum length",
                    *at as isize,
                    pattern,
                ));
            }
            check(node, pattern)
        }
        Node::Concat(parts) | Node::Alternation(parts) => parts.iter().try_for_each(|part| check(part, pattern)),
        Node::Capture(_, node) | Node::Atomic(node) | Node::Repeat { node, .. } => check(node, pattern),
        Node::Empty
        | Node::Set(_)
        | Node::Back { .. }
        | Node::Start
        | Node::End
        | Node::LineStart { .. }
        | Node::LineEnd { .. }
        | Node::LastLineEnd { .. }
        | Node::Boundary { .. } => Ok(()),
    }
}

/// The most characters that it takes; None where there is no such number.
fn longest(node: &Node) -> Option<u64> {
    match node {
        Node::Set(_) => Some(1),
        Node::Concat(parts) => parts
            .iter()
            .try_fold(0_u64, |sum, part| sum.checked_add(longest(part)?)),
        Node::Alternation(branches) => branches
            .iter()
            .try_fold(0, |most, branch| Some(longest(branch)?.max(most))),
        Node::Capture(_, node) | Node::Atomic(node) => longest(node),
        Node::Repeat { node, min, max, kind } => {
            // Java counts the rounds of a group only where each is of one kind.
            let counted = *kind == Kind::Possessive || (*min, *max) == (0, Some(1)) || is_straight(node);
            counted.then_some(())?;
            longest(node)?.checked_mul(u64::from((*max)?))
        }
        Node::Back { .. } => None,
        Node::Empty
        | Node::Look { .. }
        | Node::Start
        | Node::End
        | Node::LineStart { .. }
        | Node::LineEnd { .. }
        | Node::LastLineEnd { .. }
        | Node::Boundary { .. } => Some(0),
    }
}

/// Whether it matches in one way only.
fn is_straight(node: &Node) -> bool {
    match node {
        Node::Alternation(_) | Node::Back { .. } => false,
        Node::Concat(parts) => parts.iter().all(is_straight),
        Node::Capture(_, node) | Node::Atomic(node) => is_straight(node),
        Node::Repeat { node, min, max, .. } => *max == Some(*min) && is_straight(node),
        Node::Empty
        | Node::Set(_)
        | Node::Look { .. }
        | Node::Start
        | Node::End
        | Node::LineStart { .. }
        | Node::LineEnd { .. }
        | Node::LastLineEnd { .. }
        | Node::Boundary { .. } => true,
    }
}
