//! Transformations of Dray's own.

mod cel;
mod hash;
mod nested;
mod redact;

use crate::registry::TransformationKind;

/// All of them.
pub(super) const KINDS: &[TransformationKind] = &[cel::KIND, hash::KIND, redact::KIND];
