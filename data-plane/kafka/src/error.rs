//! What can go wrong with Kafka, in the three classes that the runtime acts on.

/// What a failure means for whoever met it. One table decides it for all error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A later try can succeed: broker away, leader moved, time-out.
    Retriable,
    /// It will not: no authorization, record too large, unknown setting.
    Fatal,
    /// A newer owner exists: stop, change nothing.
    Fenced,
}

/// A failure of a Kafka operation.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}: {code} ({message})")]
pub struct Error {
    /// What was tried, and on what.
    pub what: String,
    /// The code's name, as Kafka spells it.
    pub code: String,
    /// What the client or broker says.
    pub message: String,
    /// What it means.
    pub class: Class,
}

impl Error {
    /// Whether a record or a batch is larger than the client, the topic or the broker takes.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        // The clients' own word, and the broker's two.
        ["MSG_SIZE_TOO_LARGE", "MessageSizeTooLarge", "MessageBatchTooLarge"].contains(&self.code.as_str())
    }

    /// Whether a later try can succeed. The operation was not applied, or it is unknown after a time-out.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        self.class == Class::Retriable
    }
}

/// A result of a Kafka operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;
