//! Calls into connector code: a panic there becomes an error of that connector alone.

use crate::breaker::Tripped;
use dray_connect::{Error, Result};
use futures::FutureExt as _;
use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// Runs a call into connector code; a panic becomes [`Error::Connect`] that names the call.
///
/// The state behind an unwound call may be half-changed, so the caller must not call that task again, except `stop`.
pub async fn guarded<T>(call: &str, future: impl Future<Output = Result<T>>) -> Result<T> {
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => Err(panicked(call, panic.as_ref())),
    }
}

/// [`guarded`] for a call that everything else of its task waits for: one that hangs is dropped after a while. Its state is as that of one
/// that panicked.
pub(crate) async fn guarded_within<T>(
    call: &str,
    limit: Duration,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    let late = |elapsed| Error::connect(format!("{call}() takes longer than {limit:?}")).with_source(elapsed);
    tokio::time::timeout(limit, guarded(call, future))
        .await
        .unwrap_or_else(|elapsed| Err(late(elapsed)))
}

/// Whether an error leaves connector code half-way: it panicked, or was dropped in the middle of a call.
pub(crate) fn is_half_way(error: &Error) -> bool {
    use std::error::Error as _;
    error
        .source()
        .is_some_and(|cause| cause.is::<Panicked>() || cause.is::<tokio::time::error::Elapsed>())
}

/// [`guarded`] for calls that do not wait.
pub fn guarded_now<T>(call: &str, f: impl FnOnce() -> Result<T>) -> Result<T> {
    match std::panic::catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result,
        Err(panic) => Err(panicked(call, panic.as_ref())),
    }
}

/// Marks an error that was a panic, as its cause. The error itself says all there is to say.
#[derive(Debug, thiserror::Error)]
#[error("panicked")]
pub(crate) struct Panicked;

fn panicked(call: &str, panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Error::connect(format!("panic in {call}: {text}")).with_source(Panicked)
}

/// An error with all its causes, as status traces and logs show it.
#[must_use]
pub fn trace(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // What only marks the error above it says nothing.
        if !error.is::<Panicked>() && !error.is::<Tripped>() {
            text.push_str("\nCaused by: ");
            text.push_str(&error.to_string());
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_of_the_call() {
        let result: Result<()> = guarded("poll", async { panic!("no {}", "luck") }).await;
        assert_eq!(trace(&result.unwrap_err()), "panic in poll: no luck");
    }
}
