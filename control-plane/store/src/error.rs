//! What can go wrong, and what is guaranteed then. A compare that does not hold is not here: it is an outcome of a transaction.

use crate::key::Key;
use crate::types::{LeaseId, Revision};
use std::path::PathBuf;

/// A cause of any type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a call to the store failed.
///
/// | | applied? | the same call again may succeed by itself |
/// |---|---|---|
/// | [`Unavailable`](Self::Unavailable) | no, and it never will be | yes |
/// | [`Unknown`](Self::Unknown) | perhaps, perhaps later | read again first |
/// | all others | no, and it never will be | no |
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store could not be reached, or is busy or without a leader. Nothing was changed.
    #[error("could not {doing}: the metadata store is unavailable")]
    Unavailable {
        /// What was tried, as "write a transaction".
        doing: &'static str,
        /// What the transport said.
        #[source]
        source: BoxError,
    },
    /// The transaction was sent and nothing came back. It may have been applied, and it may still be applied later. Read the keys, look
    /// for the operation id that the values carry, and write again only with compares that the first attempt would break.
    #[error("could not {doing} with a known outcome: it may have been applied, or may yet be")]
    Unknown {
        /// What was tried.
        doing: &'static str,
        /// What the transport said.
        #[source]
        source: BoxError,
    },
    /// The history that was asked for is gone: list again, at the newest revision.
    #[error("revision {asked} is no longer kept, the oldest is {oldest}: list again")]
    Compacted {
        /// What was asked for.
        asked: Revision,
        /// The oldest revision that can be read.
        oldest: Revision,
    },
    /// The store is behind a revision that somebody has seen: it was restored from a backup, or it is another store.
    #[error(
        "the metadata store is at revision {current}, before the revision {asked} that was seen already: was it restored from a backup?"
    )]
    Behind {
        /// What was asked for.
        asked: Revision,
        /// The store's revision; 0 when the store did not say.
        current: Revision,
    },
    /// The lease has ended or was never there.
    #[error("lease {lease} has ended")]
    LeaseNotFound {
        /// The lease.
        lease: LeaseId,
    },
    /// Refused before it was sent: over a limit of the store.
    #[error("a transaction has {found} {what}, and the metadata store takes at most {limit}: split it")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Refused before it was sent: which of the two would win?
    #[error("a transaction changes `{key}` twice")]
    Twice {
        /// The key.
        key: Key,
    },
    /// The store takes no writes because its disk or its quota is full. Reads work.
    #[error(
        "could not {doing}: the metadata store is out of space; make room (etcd: compact, defragment, disarm the alarm)"
    )]
    NoSpace {
        /// What was tried.
        doing: &'static str,
        /// What the store said.
        #[source]
        source: BoxError,
    },
    /// The store does not know the user, or the user may not do this.
    #[error("could not {doing}: the metadata store refuses the user; check user, password, certificate and role")]
    Denied {
        /// What was tried.
        doing: &'static str,
        /// What the store said.
        #[source]
        source: BoxError,
    },
    /// The store cannot do this, or does not understand it: a wrong setting, or an unsupported version.
    #[error("could not {doing}: the metadata store refuses it")]
    Refused {
        /// What was tried.
        doing: &'static str,
        /// What the store said.
        #[source]
        source: BoxError,
    },
    /// Another process uses the folder.
    #[error("{} is in use by another process{}; stop it, or use another folder", path.display(), pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Who holds it, when it said so.
        pid: Option<u32>,
    },
    /// The file is damaged, or something else's, or of a newer version. It was left as it is.
    #[error("{} cannot be used as a metadata store: {reason}; the file was left as it is", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The store was closed.
    #[error("the metadata store is closed")]
    Closed,
}

impl Error {
    /// Whether the same call may succeed later by itself. Then nothing was applied, so that it may be sent again as it is.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Unknown { .. }
            | Self::Compacted { .. }
            | Self::Behind { .. }
            | Self::LeaseNotFound { .. }
            | Self::Limit { .. }
            | Self::Twice { .. }
            | Self::NoSpace { .. }
            | Self::Denied { .. }
            | Self::Refused { .. }
            | Self::InUse { .. }
            | Self::Unreadable { .. }
            | Self::Closed => false,
        }
    }

    /// Whether the change may have been made, or may yet be made, although the call failed.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }
}
