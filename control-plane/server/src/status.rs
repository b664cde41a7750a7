//! Which gRPC code, reason and text a client gets. What is said here an outsider may read; what it was in full, is logged.

use crate::cache;
use dray_process::chain;
use dray_wire::agent::v1::{CallError, CallErrorKind};
use std::collections::HashMap;
use std::fmt::Display;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Whose reasons these are.
const DOMAIN: &str = "dray";

fn status(code: Code, reason: &str, text: impl Display) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    Status::with_error_details(code, text.to_string(), details)
}

/// A field of the request is not legal.
pub(crate) fn invalid(field: &str, problem: impl Display) -> Status {
    let mut details = ErrorDetails::with_error_info("INVALID", DOMAIN, HashMap::new());
    details.add_bad_request_violation(field, problem.to_string());
    Status::with_error_details(Code::InvalidArgument, format!("{field}: {problem}"), details)
}

/// Validation has found so many errors, of these keys.
pub(crate) fn invalid_config(count: u32, errors: Vec<(String, String)>) -> Status {
    let mut details = ErrorDetails::with_error_info("INVALID_CONFIG", DOMAIN, HashMap::new());
    let mut text = format!("Connector configuration is invalid and contains the following {count} error(s):");
    for (key, error) in errors {
        text.push('\n');
        text.push_str(&error);
        details.add_bad_request_violation(format!("config[{key}]"), error);
    }
    Status::with_error_details(Code::InvalidArgument, text, details)
}

/// There is no such thing.
pub(crate) fn not_found(what: &str, name: impl Display) -> Status {
    status(Code::NotFound, "NOT_FOUND", format_args!("there is no {what} `{name}`"))
}

/// It is there already.
pub(crate) fn exists(what: &str, name: impl Display) -> Status {
    status(
        Code::AlreadyExists,
        "ALREADY_EXISTS",
        format_args!("there is a {what} `{name}` already"),
    )
}

/// It is not at the revision that the caller has seen.
pub(crate) fn moved_on(what: &str, name: impl Display, expected: u64, found: u64) -> Status {
    status(
        Code::Aborted,
        "REVISION",
        format_args!("{what} `{name}` is at revision {found} and not at {expected}: read it again"),
    )
}

/// It cannot be done as things are.
pub(crate) fn precondition(reason: &str, text: impl Display) -> Status {
    status(Code::FailedPrecondition, reason, text)
}

/// Others changed the same record each time that we tried.
pub(crate) fn contended(what: &str, name: impl Display) -> Status {
    status(
        Code::Aborted,
        "CONTENDED",
        format_args!("{what} `{name}` is changed by others all the time; nothing was changed: try again"),
    )
}

/// Whether it was changed is not known.
pub(crate) fn unknown(what: &str, name: impl Display) -> Status {
    status(
        Code::DeadlineExceeded,
        "UNKNOWN_OUTCOME",
        format_args!("the metadata store did not say whether {what} `{name}` was changed: read it, then decide"),
    )
}

/// Nobody says what is asked for at the moment.
pub(crate) fn no_leader(text: impl Display) -> Status {
    status(Code::Unavailable, "NO_LEADER", text)
}

/// An agent's answer to a call: what Connect says, and the Java class that it would have thrown.
pub(crate) fn call(error: &CallError) -> Status {
    let (code, reason) = match error.kind() {
        CallErrorKind::BadRequest => (Code::InvalidArgument, "CALL_REFUSED"),
        CallErrorKind::NotFound => (Code::NotFound, "CALL_NOT_FOUND"),
        CallErrorKind::Failed => (Code::FailedPrecondition, "CALL_FAILED"),
        CallErrorKind::Unavailable | CallErrorKind::Unspecified => (Code::Unavailable, "NO_ANSWER"),
    };
    let exception = HashMap::from([("exception".to_owned(), error.exception.clone())]);
    let details = ErrorDetails::with_error_info(reason, DOMAIN, exception);
    Status::with_error_details(code, error.message.clone(), details)
}

/// No agent was there that could answer: nothing was done.
pub(crate) fn no_answer(text: impl Display) -> Status {
    status(Code::Unavailable, "NO_ANSWER", text)
}

/// An agent was asked and did not answer: whether it did anything is not known.
pub(crate) fn no_word(text: impl Display) -> Status {
    status(Code::DeadlineExceeded, "NO_WORD", text)
}

/// This replica stops.
pub(crate) fn stopping() -> Status {
    status(
        Code::Unavailable,
        "STOPPING",
        "this replica stops: go on at another one",
    )
}

/// A value in the store cannot be read.
pub(crate) fn unreadable(what: &str, name: impl Display, error: &dray_wire::Error) -> Status {
    tracing::error!(%name, error = %chain(error), "a value in the metadata store cannot be read");
    status(
        Code::Internal,
        "UNREADABLE",
        format_args!("{what} `{name}` cannot be read: was it written by a newer version?"),
    )
}

/// The store did not do it; nothing was changed.
pub(crate) fn store(error: &dray_store::Error) -> Status {
    if !error.is_retryable() {
        tracing::error!(error = %chain(error), "the metadata store failed a client's call");
    }
    let (code, reason) = match error {
        dray_store::Error::Unavailable { .. } => (Code::Unavailable, "STORE_UNAVAILABLE"),
        dray_store::Error::Unknown { .. } => (Code::DeadlineExceeded, "UNKNOWN_OUTCOME"),
        dray_store::Error::Limit { .. } => (Code::InvalidArgument, "TOO_LARGE"),
        dray_store::Error::NoSpace { .. } => (Code::ResourceExhausted, "STORE_FULL"),
        dray_store::Error::Closed => return stopping(),
        dray_store::Error::Compacted { .. }
        | dray_store::Error::Behind { .. }
        | dray_store::Error::LeaseNotFound { .. }
        | dray_store::Error::Twice { .. }
        | dray_store::Error::Denied { .. }
        | dray_store::Error::Refused { .. }
        | dray_store::Error::InUse { .. }
        | dray_store::Error::Unreadable { .. } => (Code::Internal, "STORE"),
    };
    status(code, reason, error)
}

impl From<cache::Error> for Status {
    fn from(error: cache::Error) -> Self {
        match &error {
            cache::Error::Late { .. } => status(Code::Unavailable, "REPLICA_BEHIND", &error),
            cache::Error::Store(cause) => store(cause),
        }
    }
}
