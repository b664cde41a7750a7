//! What goes wrong, as Connect says it: a status, and a body with the same number and a text.

use crate::shape;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// An answer that is an error.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) status: StatusCode,
    pub(crate) message: Option<String>,
    /// Nothing was changed, and it may go better in a moment.
    retry: bool,
}

impl Error {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: Some(message.into()),
            retry: false,
        }
    }

    /// As it is told by a validation: with the Java class that Connect would have thrown, and never but with 500.
    pub(crate) fn thrown(status: &Status) -> Self {
        if status.code() == Code::Unavailable {
            return status.clone().into();
        }
        let info = status.get_details_error_info();
        let exception = info.and_then(|info| info.metadata.get("exception").cloned());
        match exception {
            Some(exception) => Self::internal(format!("{exception}: {}", status.message())),
            None => Self::internal(status.message()),
        }
    }

    /// As Jersey words what it finds out before any code of Connect runs: `HTTP 404 Not Found`.
    pub(crate) fn http(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or_default();
        Self::new(status, format!("HTTP {} {reason}", status.as_u16()))
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}

/// What a service says, where Connect has no word of its own for it.
impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let (code, retry) = match status.code() {
            Code::InvalidArgument | Code::OutOfRange => (StatusCode::BAD_REQUEST, false),
            Code::NotFound => (StatusCode::NOT_FOUND, false),
            Code::AlreadyExists | Code::FailedPrecondition => (StatusCode::CONFLICT, false),
            // There is no leader, or no agent, or no store: Connect's clients know that they may try this again.
            Code::Unavailable | Code::Aborted => (StatusCode::SERVICE_UNAVAILABLE, true),
            Code::PermissionDenied => (StatusCode::FORBIDDEN, false),
            Code::Unauthenticated => (StatusCode::UNAUTHORIZED, false),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss => (StatusCode::INTERNAL_SERVER_ERROR, false),
        };
        Self {
            retry,
            ..Self::new(code, status.message())
        }
    }
}

impl From<Error> for Response<Body> {
    fn from(error: Error) -> Self {
        let told = shape::Error {
            error_code: error.status.as_u16(),
            message: error.message.as_deref(),
        };
        let body = serde_json::to_vec(&told).expect("a number and a text are JSON");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = error.status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        if error.retry {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
