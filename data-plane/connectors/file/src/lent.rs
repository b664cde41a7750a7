//! State that is lent to calls that wait for the disk, the syncs of file sinks: they must not hold up the thread that runs other tasks.

use dray_connect::{Error, Result};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Such calls of all file tasks of the process at one time: a thread each. Hundreds of tasks that commit together share these few; calls on
/// a disk that hangs keep theirs until it answers.
static CALLS: Semaphore = Semaphore::const_new(12);

/// Owns a `T` and lends it to one blocking call at a time.
///
/// Dropping the future of [`Lent::run`] does not stop the call, which has begun: the next `run` waits for it. A call
/// therefore leaves its outcome in `T`, where it is found later, and not in a return value, which would be lost.
#[derive(Debug)]
pub(crate) struct Lent<T> {
    home: Option<T>,
    away: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> Lent<T> {
    pub(crate) fn new(state: T) -> Self {
        Self {
            home: Some(state),
            away: None,
        }
    }

    /// The state, once the last call is through. Cancel-safe.
    pub(crate) async fn settled(&mut self) -> Result<&mut T> {
        if let Some(call) = &mut self.away {
            let outcome = call.await;
            self.away = None;
            self.home =
                Some(outcome.map_err(|error| Error::connect("a blocking call did not return").with_source(error))?);
        }
        self.home
            .as_mut()
            .ok_or_else(|| Error::connect("the state was lost in a blocking call that failed"))
    }

    /// Runs `call` on a thread that may block, after the last one. Cancel-safe as described above.
    pub(crate) async fn run(&mut self, call: impl FnOnce(&mut T) + Send + 'static) -> Result<&mut T> {
        self.settled().await?;
        let turn = CALLS
            .acquire()
            .await
            .map_err(|error| Error::connect("blocking calls have ended").with_source(error))?;
        if let Some(mut state) = self.home.take() {
            self.away = Some(tokio::task::spawn_blocking(move || {
                call(&mut state);
                drop(turn);
                state
            }));
        }
        self.settled().await
    }
}
