//! Ends the process when strict tasks outlive their lease: a stalled runtime cannot prolong it.

use dray_model::Millis;
use dray_runtime::gate::boottime;
use rustix::process::{Signal, getpid, kill_process};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often the clock is looked at: a quarter of a second is a sixteenth of the 4 s that it allows.
const EVERY: Duration = Duration::from_millis(250);
/// A thread of its own, outside of tokio. Dropping it ends the thread.
pub struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    deadline: AtomicU64,
    ended: AtomicBool,
    wake: (Mutex<()>, Condvar),
}

impl Watchdog {
    /// Starts the thread, with nothing to watch.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start() -> std::io::Result<Self> {
        Self::start_with(|| {
            eprintln!("dray-agent: tasks outlived their lease and cannot be stopped; the process kills itself");
            // `exit` would run the handlers of libraries, which may wait for what is stuck.
            if let Err(error) = kill_process(getpid(), Signal::KILL) {
                eprintln!("dray-agent: could not kill itself: {error}");
            }
        })
    }

    fn start_with(end: impl FnOnce() + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            deadline: AtomicU64::new(Millis::NEVER.0),
            ended: AtomicBool::new(false),
            wake: (Mutex::new(()), Condvar::new()),
        });
        let own = shared.clone();
        let thread = std::thread::Builder::new().name("dray-watchdog".to_owned());
        let thread = thread.spawn(move || {
            if own.watch() {
                end();
            }
        })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Everything that has to be dead by then must be; [`Millis::NEVER`] when there is nothing.
    pub fn expect_dead_by(&self, deadline: Millis) {
        self.shared.deadline.store(deadline.0, Ordering::Release);
    }
}

impl Shared {
    /// Returns true when the deadline has passed, false when it was told to end.
    fn watch(&self) -> bool {
        let (lock, wake) = &self.wake;
        let mut guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.ended.load(Ordering::Acquire) {
                return false;
            }
            if boottime().0 > self.deadline.load(Ordering::Acquire) {
                return true;
            }
            guard = wake
                .wait_timeout(guard, EVERY)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        drop(self.shared.wake.0.lock());
        self.shared.wake.1.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watchdog's thread panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn it_ends_what_outlives_its_lease_and_nothing_else() {
        let (sender, ended) = mpsc::channel();
        let watchdog = Watchdog::start_with(move || sender.send(boottime()).unwrap()).unwrap();
        // Not yet over, and then put off.
        watchdog.expect_dead_by(boottime().plus(60_000));
        assert!(ended.recv_timeout(2 * EVERY).is_err());
        let deadline = boottime().plus(50);
        watchdog.expect_dead_by(deadline);
        assert!(ended.recv_timeout(Duration::from_secs(10)).unwrap() >= deadline);
    }

    #[test]
    fn it_ends_with_its_owner() {
        let (sender, ended) = mpsc::channel();
        let watchdog = Watchdog::start_with(move || sender.send(()).unwrap()).unwrap();
        drop(watchdog);
        assert!(
            matches!(ended.recv(), Err(mpsc::RecvError)),
            "the closure was dropped, not called"
        );
    }
}
