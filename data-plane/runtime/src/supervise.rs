//! Runs a connector or task again and again within one ownership, when it fails and `dray.restart.policy` says so.

use crate::attempt::{Attempt, TaskMaker};
use crate::breaker::is_trip;
use crate::guard::{Panicked, trace};
use crate::status::{StatusBoard, Subject};
use dray_connect::{Error, Result};
use dray_kafka::Class;
use dray_model::{ConnectorState, Millis, TaskState};
use dray_session::{FailureClass, Restart, RestartPolicy, Restarts};
use std::future::Future;
use std::hash::{BuildHasher as _, RandomState};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why a task whose breaker tripped is not started again.
const TRIPPED: &str = "not started again before the connector is resumed, or its configuration is changed";

/// Runs a task: the attempt that is made already, and those after it.
pub(crate) async fn task(maker: TaskMaker, first: Attempt, policy: RestartPolicy) {
    let subject = Subject::Task(maker.me.id.clone());
    let (board, stop) = (maker.me.board.clone(), maker.stop.clone());
    let mut first = Some(first);
    let attempt = || match first.take().map_or_else(|| maker.attempt(), Ok) {
        Ok(attempt) => attempt,
        Err(error) => Box::pin(std::future::ready(Err(error))),
    };
    supervise(&subject, &board, policy, &stop, attempt).await;
}

/// Runs attempts until one ends as it was asked to, or fails for good; between two of them it waits. Returns whether it failed for
/// good. That an attempt runs, or ended, is shown by the attempt; what follows a failure is shown here.
pub(crate) async fn supervise<F: Future<Output = Result<()>>>(
    subject: &Subject,
    board: &StatusBoard,
    policy: RestartPolicy,
    stop: &CancellationToken,
    mut attempt: impl FnMut() -> F,
) -> bool {
    let began = Instant::now();
    board.take_running(subject); // an earlier ownership's
    let since = |moment: Instant| Millis(u64::try_from(moment.duration_since(began).as_millis()).unwrap_or(u64::MAX));
    let now = || since(Instant::now());
    // Asked once for each task, so the standard library's random hash keys are enough.
    let mut restarts = Restarts::new(policy, RandomState::new().hash_one(subject));
    loop {
        board.room().starting(subject);
        let Err(error) = attempt().await else { return false };
        board.room().failed(subject);
        // Only the time from there on counts as healthy.
        if let Some(running) = board.take_running(subject) {
            restarts.running(since(running));
        }
        let failure = trace(&error);
        if stop.is_cancelled() {
            stopped(subject, board, failure);
            return false;
        }
        if let Subject::Task(id) = subject
            && is_trip(&error)
        {
            tracing::error!(error = %failure, "task failed: its breaker tripped, and its connector is to be paused");
            board.tripped(id, format!("{failure}\n{TRIPPED}"));
            return true;
        }
        let class = classify(&error);
        let (at, reason) = match judge(&mut restarts, now(), class) {
            Restart::At(at, reason) => (at, reason),
            Restart::StayFailed(reason) => {
                failed(subject, board, failure, &reason);
                return true;
            }
        };
        tracing::warn!(error = %failure, restart = reason, "failed, and is started again");
        if let Some(class) = class {
            board.room().restarting(subject, class);
        }
        board.restarting(subject, restarts.total(), format!("{reason}: {failure}"));
        let wait = tokio::time::sleep(Duration::from_millis(at.since(now())));
        if stop.run_until_cancelled(wait).await.is_none() {
            stopped(subject, board, failure);
            return false;
        }
    }
}

fn failed(subject: &Subject, board: &StatusBoard, failure: String, reason: &str) {
    match subject {
        Subject::Connector(_) => tracing::error!(error = %failure, reason, "connector failed"),
        Subject::Task(_) => tracing::error!(error = %failure, reason, "task failed"),
    }
    let trace = if reason.is_empty() {
        failure
    } else {
        format!("{failure}\n{reason}")
    };
    match subject {
        Subject::Connector(name) => board.connector(name, ConnectorState::Failed, Some(trace)),
        Subject::Task(id) => board.task(id, TaskState::Failed, Some(trace)),
    }
}

/// It was asked to stop, which never becomes a failure; its error is kept beside the status.
fn stopped(subject: &Subject, board: &StatusBoard, failure: String) {
    match subject {
        Subject::Connector(name) => board.connector(name, ConnectorState::Unassigned, Some(failure)),
        Subject::Task(id) => board.task(id, TaskState::Unassigned, Some(failure)),
    }
}

fn judge(restarts: &mut Restarts, now: Millis, class: Option<FailureClass>) -> Restart {
    match class {
        Some(class) => restarts.failed(now, class),
        None => Restart::StayFailed("a newer owner has this task, so it is not started again here".to_owned()),
    }
}

/// Whether a failure says that somebody else owns the task.
pub(crate) fn is_fenced(error: &Error) -> bool {
    classify(error).is_none()
}

/// The class of a failure, by the first of its causes that tells; `None`: somebody else owns the task.
fn classify(error: &Error) -> Option<FailureClass> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<Error>() {
            match error.kind() {
                Error::Retriable { .. } => return Some(FailureClass::Transient),
                // It says only that the task cannot go on; its cause may say more.
                Error::Connect { .. } => {}
                Error::Data(_)
                | Error::SchemaBuilder(_)
                | Error::SchemaProjector(_)
                | Error::IllegalArgument(_)
                | Error::Config(_)
                | Error::Caused { .. }
                | Error::Cancelled => return Some(FailureClass::Permanent),
            }
        } else if let Some(error) = error.downcast_ref::<dray_kafka::Error>() {
            return match error.class {
                Class::Retriable => Some(FailureClass::Transient),
                Class::Fatal => Some(FailureClass::Permanent),
                Class::Fenced => None,
            };
        } else if error.is::<Panicked>() {
            return Some(FailureClass::Crashed);
        } else if error.is::<tokio::time::error::Elapsed>() {
            return Some(FailureClass::Transient);
        } else if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return Some(if passes(error.kind()) {
                FailureClass::Transient
            } else {
                FailureClass::Permanent
            });
        }
        cause = error.source();
    }
    Some(FailureClass::Permanent)
}

/// Whether the network or the other side failed, and not what was asked for.
fn passes(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::NotConnected
            | ErrorKind::BrokenPipe
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable
            | ErrorKind::TimedOut
            | ErrorKind::WouldBlock
            | ErrorKind::Interrupted
            | ErrorKind::UnexpectedEof
            | ErrorKind::ResourceBusy
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::guarded_now;
    use FailureClass::{Crashed, Permanent, Transient};

    fn kafka(class: Class) -> dray_kafka::Error {
        dray_kafka::Error {
            what: "commit".into(),
            code: "X".into(),
            message: String::new(),
            class,
        }
    }

    #[test]
    fn failures_are_classed_by_their_cause() {
        let outer = || Error::connect("Tolerance exceeded in error handler");
        let panic = guarded_now::<()>("poll", || panic!("no luck")).unwrap_err();
        let io = |kind: ErrorKind| Error::connect("disk or network").with_source(std::io::Error::from(kind));
        for (error, class) in [
            (Error::retriable("later"), Some(Transient)),
            (outer().with_source(Error::retriable("later")), Some(Transient)),
            (Error::connect("no cause"), Some(Permanent)),
            (Error::data("bad"), Some(Permanent)),
            (Error::config("bad"), Some(Permanent)),
            (outer().with_source(Error::data("bad")), Some(Permanent)),
            // The record is bad, whatever made it so.
            (
                Error::data("bad").with_source(Error::retriable("later")),
                Some(Permanent),
            ),
            (outer().with_source(kafka(Class::Retriable)), Some(Transient)),
            (outer().with_source(kafka(Class::Fatal)), Some(Permanent)),
            (outer().with_source(kafka(Class::Fenced)), None),
            (outer().with_source(panic), Some(Crashed)),
            (io(ErrorKind::ConnectionRefused), Some(Transient)),
            (io(ErrorKind::TimedOut), Some(Transient)),
            (io(ErrorKind::NotFound), Some(Permanent)),
            (io(ErrorKind::PermissionDenied), Some(Permanent)),
        ] {
            assert_eq!(classify(&error), class, "{}", trace(&error));
        }
    }
}
