//! What etcd and gRPC say when a call fails, and what that guarantees.

use dray_store::{BoxError, Error, LeaseId, Revision};
use std::error::Error as _;
use tonic::{Code, Status};

/// Why one attempt failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It never left this process, or etcd refused it before it did anything: it is safe to send it again.
    NotDone(BoxError),
    /// Nobody knows.
    Silent(BoxError),
    /// The token is an old one: authenticate, then send it again. Nothing was done.
    OldToken(BoxError),
    /// The answer is larger than this client takes. A write was done.
    TooLarge(BoxError),
    /// The history is gone.
    Compacted,
    /// The revision is still to come.
    Future,
    /// The lease has ended.
    NoLease,
    /// The disk or the quota is full.
    NoSpace(BoxError),
    /// Not for this user.
    Denied(BoxError),
    /// Not ever.
    Refused(BoxError),
}

/// What was asked of etcd, for errors that name it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) revision: Revision,
    pub(crate) lease: Option<LeaseId>,
}

impl Failure {
    pub(crate) fn timed_out() -> Self {
        Self::Silent("no answer came in time".into())
    }

    pub(crate) fn of(error: etcd_client::Error) -> Self {
        use etcd_client::Error as E;
        match error {
            E::GRpcStatus(status) => Self::of_status(status),
            // The only words for it that etcd-client has.
            E::LeaseKeepAliveError(reason) if reason == "lease not found" => Self::NoLease,
            E::IoError(_) | E::TransportError(_) | E::LeaseKeepAliveError(_) | E::WatchError(_) | E::Internal(_) => {
                Self::Silent(error.into())
            }
            E::InvalidArgs(_)
            | E::InvalidUri(_)
            | E::Utf8Error(_)
            | E::ElectError(_)
            | E::InvalidMetadataValue(_)
            | E::EndpointError(_)
            | E::EndpointsNotManaged => Self::Refused(error.into()),
        }
    }

    fn of_status(status: Status) -> Self {
        let says = |text: &str| status.message().contains(text);
        // A connection that was not there yet carried nothing.
        if connecting(&status) {
            return Self::NotDone(status.into());
        }
        match status.code() {
            Code::OutOfRange if says("has been compacted") => Self::Compacted,
            Code::OutOfRange if says("is a future revision") => Self::Future,
            Code::OutOfRange if says("decoded message length too large") => Self::TooLarge(status.into()),
            Code::NotFound if says("requested lease not found") => Self::NoLease,
            Code::ResourceExhausted if says("database space exceeded") => Self::NoSpace(status.into()),
            // Refused at the door: a queue is full, or (with require-leader) the member knows no leader.
            Code::ResourceExhausted if says("too many requests") => Self::NotDone(status.into()),
            Code::Unavailable if status.message() == "etcdserver: no leader" => Self::NotDone(status.into()),
            Code::Unauthenticated => Self::Denied(status.into()),
            Code::InvalidArgument if says("revision of auth store is old") => Self::OldToken(status.into()),
            Code::InvalidArgument if says("authentication failed") || says("user name is empty") => {
                Self::Denied(status.into())
            }
            Code::PermissionDenied => Self::Denied(status.into()),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable => Self::Silent(status.into()),
            Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::DataLoss => Self::Refused(status.into()),
        }
    }

    /// Whether the same attempt can be made again without asking anybody; `repeatable` when it does not matter that it was made before.
    pub(crate) fn try_again(&self, repeatable: bool) -> bool {
        match self {
            Self::NotDone(_) | Self::OldToken(_) => true,
            Self::Silent(_) => repeatable,
            Self::TooLarge(_)
            | Self::Compacted
            | Self::Future
            | Self::NoLease
            | Self::NoSpace(_)
            | Self::Denied(_)
            | Self::Refused(_) => false,
        }
    }

    /// The error that a caller sees after the last attempt.
    pub(crate) fn into_error(self, doing: &'static str, asked: Asked, repeatable: bool) -> Error {
        match self {
            Self::NotDone(source) | Self::OldToken(source) => Error::Unavailable { doing, source },
            Self::Silent(source) if repeatable => Error::Unavailable { doing, source },
            Self::TooLarge(source) if repeatable => Error::Refused { doing, source },
            Self::Silent(source) | Self::TooLarge(source) => Error::Unknown { doing, source },
            Self::Compacted => Error::Compacted {
                asked: asked.revision,
                oldest: Revision::NEVER,
            },
            Self::Future => Error::Behind {
                asked: asked.revision,
                current: Revision::NEVER,
            },
            Self::NoLease => Error::LeaseNotFound {
                lease: asked.lease.unwrap_or(LeaseId::new(0)),
            },
            Self::NoSpace(source) => Error::NoSpace { doing, source },
            Self::Denied(source) => Error::Denied { doing, source },
            Self::Refused(source) => Error::Refused { doing, source },
        }
    }
}

/// Whether the cause is that no connection could be opened.
fn connecting(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a caller is told, of a transaction and of a read.
    fn told(code: Code, message: &str) -> (String, String) {
        let error = |repeatable| {
            let failure = Failure::of_status(Status::new(code, message));
            let error = failure.into_error("x", Asked::default(), repeatable);
            let name = format!("{error:?}");
            name.split([' ', '{']).next().unwrap_or_default().to_owned()
        };
        (error(false), error(true))
    }

    #[test]
    fn only_what_was_surely_not_done_is_unavailable_for_a_write() {
        let cases = [
            (
                Code::Unavailable,
                "etcdserver: request timed out",
                ["Unknown", "Unavailable"],
            ),
            (
                Code::Unavailable,
                "etcdserver: request timed out, possibly due to previous leader failure",
                ["Unknown", "Unavailable"],
            ),
            (
                Code::Unavailable,
                "etcdserver: leader changed",
                ["Unknown", "Unavailable"],
            ),
            (
                Code::Unavailable,
                "etcdserver: server stopped",
                ["Unknown", "Unavailable"],
            ),
            (
                Code::Unavailable,
                "etcdserver: no leader",
                ["Unavailable", "Unavailable"],
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: too many requests",
                ["Unavailable", "Unavailable"],
            ),
            (
                Code::Unknown,
                "h2 protocol error: error reading a body from connection",
                ["Unknown", "Unavailable"],
            ),
            (
                Code::DeadlineExceeded,
                "context deadline exceeded",
                ["Unknown", "Unavailable"],
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
                ["NoSpace", "NoSpace"],
            ),
            (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision has been compacted",
                ["Compacted", "Compacted"],
            ),
            (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision is a future revision",
                ["Behind", "Behind"],
            ),
            (
                Code::NotFound,
                "etcdserver: requested lease not found",
                ["LeaseNotFound", "LeaseNotFound"],
            ),
            (
                Code::PermissionDenied,
                "etcdserver: permission denied",
                ["Denied", "Denied"],
            ),
            (
                Code::Unauthenticated,
                "etcdserver: invalid auth token",
                ["Denied", "Denied"],
            ),
            (
                Code::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password",
                ["Denied", "Denied"],
            ),
            (
                Code::InvalidArgument,
                "etcdserver: request is too large",
                ["Refused", "Refused"],
            ),
            (
                Code::OutOfRange,
                "Error, decoded message length too large: found 5, the limit is: 4",
                ["Unknown", "Refused"],
            ),
            (Code::Unimplemented, "unknown service", ["Refused", "Refused"]),
        ];
        for (code, message, [write, read]) in cases {
            assert_eq!(told(code, message), (write.into(), read.into()), "{message}");
        }
    }
}
