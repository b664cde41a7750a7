//! Which groups can be trusted.
//!
//! Java forgets to take back what a group has matched when it goes back over a look-around, an atomic group or a round of
//! a loop: `(?:(.))*b` on `aab` leaves `b` in group 1. A round that matches nothing sets its group sometimes. What such a group holds at the end depends on how Java searched, so
//! it is not used: not in a back reference, not in a replacement. Matching as such is the same.

use super::PatternError;
use super::ast::{Kind, Node};

/// What Java leaves in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// What it has matched, or nothing.
    Full,
    /// What it has matched; but nothing may be a leftover.
    IfSet,
    /// Perhaps a leftover.
    None,
}

/// The trust in every group; the first is the whole match.
///
/// # Errors
/// When a back reference would read a leftover.
pub(super) fn trust(node: &Node, groups: usize, pattern: &str) -> Result<Vec<Trust>, PatternError> {
    let mut trust = vec![Trust::Full; groups + 1];
    place(node, Place::default(), &mut trust);
    let mut walk = Walk {
        trust: &trust,
        pattern,
        fresh: vec![false; groups + 1],
        open: Vec::new(),
        home: vec![0; groups + 1],
        inside: 0,
        homes: 0,
    };
    walk.node(node, false)?;
    Ok(trust)
}

/// Where a group stands.
#[derive(Clone, Copy, Default)]
struct Place {
    /// In a look-around, an atomic group or under a possessive quantifier.
    atomic: bool,
    looped: bool,
    /// The very group that is repeated, by one loop alone, and never empty: Java keeps that right.
    direct: bool,
}

fn place(node: &Node, at: Place, trust: &mut [Trust]) {
    let below = Place { direct: false, ..at };
    match node {
        Node::Concat(parts) | Node::Alternation(parts) => parts.iter().for_each(|part| place(part, below, trust)),
        Node::Capture(group, node) => {
            trust[*group] = match at {
                Place {
                    looped: true,
                    direct: false,
                    ..
                }
                | Place {
                    looped: true,
                    atomic: true,
                    ..
                } => Trust::None,
                Place { atomic: true, .. } => Trust::IfSet,
                Place { .. } => Trust::Full,
            };
            place(node, below, trust);
        }
        Node::Atomic(node) | Node::Look { node, .. } => place(node, Place { atomic: true, ..below }, trust),
        Node::Repeat { node, max, kind, .. } => {
            let loops = is_loop(*max);
            let inside = Place {
                atomic: at.atomic || *kind == Kind::Possessive,
                looped: at.looped || loops,
                direct: loops && !at.looped && !node.may_be_empty(),
            };
            place(node, inside, trust);
        }
        Node::Empty
        | Node::Set(_)
        | Node::Back { .. }
        | Node::Start
        | Node::End
        | Node::LineStart { .. }
        | Node::LineEnd { .. }
        | Node::LastLineEnd { .. }
        | Node::Boundary { .. } => {}
    }
}

fn is_loop(max: Option<u32>) -> bool {
    max.is_none_or(|max| max > 1)
}

/// Follows a pattern from its start and looks at the back references.
struct Walk<'a> {
    trust: &'a [Trust],
    pattern: &'a str,
    /// Groups that were matched on every way to here, in this round of each loop.
    fresh: Vec<bool>,
    /// The groups around the walk.
    open: Vec<usize>,
    /// For each group the atomic part around it that is repeated, 0 for none.
    home: Vec<usize>,
    /// The one where the walk is, and how many there were.
    inside: usize,
    homes: usize,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node, looped: bool) -> Result<(), PatternError> {
        match node {
            Node::Concat(parts) => parts.iter().try_for_each(|part| self.node(part, looped))?,
            Node::Alternation(branches) => {
                let before = self.fresh.clone();
                let mut after = vec![true; before.len()];
                for branch in branches {
                    self.fresh.clone_from(&before);
                    self.node(branch, looped)?;
                    after.iter_mut().zip(&self.fresh).for_each(|(all, one)| *all &= *one);
                }
                self.fresh = after;
            }
            Node::Capture(group, node) => {
                self.home[*group] = self.inside;
                self.fresh[*group] = false;
                self.open.push(*group);
                self.node(node, looped)?;
                self.open.pop();
                self.fresh[*group] = true;
            }
            Node::Atomic(node) => self.atomic(node, looped)?,
            Node::Look { negative, node, .. } => {
                let before = self.fresh.clone();
                self.atomic(node, looped)?;
                if *negative {
                    self.fresh = before;
                }
            }
            Node::Repeat { node, min, max, kind } => {
                let loops = is_loop(*max);
                let before = self.fresh.clone();
                if *kind == Kind::Possessive {
                    self.atomic(node, looped || loops)?;
                } else {
                    self.node(node, looped || loops)?;
                }
                if loops || *min == 0 {
                    // What a loop leaves behind is fresh only where nothing is left over from its last round.
                    self.fresh = before;
                }
            }
            Node::Back { group, at, .. } => {
                // A group that does not exist never matches.
                let trusted = self.trust.get(*group).is_none_or(|trust| *trust == Trust::Full);
                if self.open.contains(group) {
                    return Err(PatternError::refused(
                        &format!("the back reference to group {group}"),
                        "it stands in that group",
                        *at as isize,
                        self.pattern,
                    ));
                }
                let settled = |walk: &Self| walk.fresh[*group] && [0, walk.inside].contains(&walk.home[*group]);
                if !trusted && !settled(self) {
                    return Err(PatternError::refused(
                        &format!("the back reference to group {group}"),
                        "Java may have forgotten to take back what the group matched before",
                        *at as isize,
                        self.pattern,
                    ));
                }
            }
            Node::Empty
            | Node::Set(_)
            | Node::Start
            | Node::End
            | Node::LineStart { .. }
            | Node::LineEnd { .. }
            | Node::LastLineEnd { .. }
            | Node::Boundary { .. } => {}
        }
        Ok(())
    }

    fn atomic(&mut self, node: &Node, looped: bool) -> Result<(), PatternError> {
        let outside = self.inside;
        if looped && self.inside == 0 {
            self.homes += 1;
            self.inside = self.homes;
        }
        let done = self.node(node, looped);
        self.inside = outside;
        done
    }
}
