//! How far a look-behind looks, and which of them fancy-regex gets right.

use super::ast::{Kind, Node};

/// Why a look-behind cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Java refuses most of these as well, but takes `(?<=a*)b` by mistake.
    Endless,
    /// Of more than one length, and with more inside than characters: fancy-regex then finds matches that are none.
    Mixed,
}

/// Whether we can look behind for this.
pub(super) fn check(node: &Node) -> Result<(), Refusal> {
    longest(node).ok_or(Refusal::Endless)?;
    let branches = branches(node);
    let fixed = |node: &Node| longest(node) == Some(shortest(node));
    // Java looks for the nearest start first, whatever the branch: a group would show the difference.
    let captures = branches.len() > 1 && node.any(&|node| matches!(node, Node::Capture(..)));
    let fine = fixed(node) || !captures && branches.iter().all(|branch| fixed(branch) || is_plain(branch));
    fine.then_some(()).ok_or(Refusal::Mixed)
}

/// The alternatives, each of which is written as a look-behind of its own.
pub(super) fn branches(node: &Node) -> &[Node] {
    if let Node::Alternation(branches) = node {
        branches
    } else {
        std::slice::from_ref(node)
    }
}

/// Whether it is made of characters alone.
fn is_plain(node: &Node) -> bool {
    let other = |node: &Node| {
        !matches!(
            node,
            Node::Empty | Node::Set(_) | Node::Concat(_) | Node::Alternation(_) | Node::Repeat { .. }
        ) || matches!(
            node,
            Node::Repeat {
                kind: Kind::Possessive,
                ..
            }
        )
    };
    !node.any(&other)
}

/// The least number of characters that it takes.
fn shortest(node: &Node) -> u64 {
    match node {
        Node::Set(_) => 1,
        Node::Concat(parts) => parts
            .iter()
            .fold(0, |sum: u64, part| sum.saturating_add(shortest(part))),
        Node::Alternation(branches) => branches.iter().map(shortest).min().unwrap_or(0),
        Node::Capture(_, node) | Node::Atomic(node) => shortest(node),
        Node::Repeat { node, min, .. } => shortest(node).saturating_mul(u64::from(*min)),
        Node::Empty
        | Node::Back { .. }
        | Node::Look { .. }
        | Node::Start
        | Node::End
        | Node::LineStart { .. }
        | Node::LineEnd { .. }
        | Node::LastLineEnd { .. }
        | Node::Boundary { .. } => 0,
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
