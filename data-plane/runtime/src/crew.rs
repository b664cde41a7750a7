//! The threads that connector code runs on: apart from those of the framework, and replaced while they are blocked.
//!
//! A connector that blocks its thread (a lock, a call without `await`) cannot be interrupted. On tokio's own threads, as many
//! of them as there are cores stall the whole process. Here each connector instance and task is a [`Job`] that any thread of
//! the crew polls; a watch sees a poll that does not come back and starts another thread in its place. Timers, sockets and
//! what is spawned inside a job stay with the tokio runtime that the crew was started in.

use futures::future::{AbortHandle, Abortable, BoxFuture};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A poll that takes longer counts as blocked. Polls take microseconds to a few milliseconds; a thread too many for a moment
/// costs nothing.
const BLOCKED: Duration = Duration::from_millis(100);
/// Threads at most, blocked ones included: so many plugins may hang for good before others are held up. A blocked thread
/// costs its stack, some ten kilobytes.
const MOST: usize = 1_024;

/// A crew. Dropping it ends its threads, but for those that are blocked.
pub struct Crew(Arc<Shared>);

struct Shared {
    runtime: Handle,
    /// Threads that are not blocked.
    size: usize,
    state: Mutex<State>,
    /// A job is queued, or the crew ends.
    work: Condvar,
    /// The crew ends: the watch need not sleep on.
    end: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Arc<Unit>>,
    /// By seat: what a thread does. A free seat has no thread.
    seats: Vec<Seat>,
    ended: bool,
}

enum Seat {
    Free,
    Waiting,
    Polling {
        since: Instant,
        name: Arc<str>,
    },
    /// Polling for longer than [`BLOCKED`].
    Blocked,
}

impl State {
    fn count(&self, is: impl Fn(&Seat) -> bool) -> usize {
        self.seats.iter().filter(|seat| is(seat)).count()
    }
}

/// Work on a crew. Dropping it aborts the work, which ends at its next `await`.
pub struct Job {
    abort: AbortHandle,
    ended: oneshot::Receiver<()>,
}

impl Job {
    /// Has the work dropped at its next `await`, or at once where it waits.
    pub fn abort(&self) {
        self.abort.abort();
    }

    /// Waits until the work has ended and is dropped. Cancel-safe.
    pub async fn ended(&mut self) {
        // The sender is part of the work and only ever dropped.
        drop((&mut self.ended).await);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

impl Crew {
    /// Starts `size` threads and the watch, inside the current tokio runtime.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(size: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            runtime: Handle::current(),
            size,
            state: Mutex::default(),
            work: Condvar::new(),
            end: Condvar::new(),
        });
        let crew = Self(shared.clone());
        for _ in 0..size {
            hire(&shared, &mut shared.lock())?;
        }
        let watch = std::thread::Builder::new().name("dray-crew-watch".to_owned());
        watch.spawn(move || shared.watch())?;
        Ok(crew)
    }

    /// Runs work on the crew; `name` is for the log.
    pub fn spawn(&self, name: &str, work: impl Future<Output = ()> + Send + 'static) -> Job {
        let (abort, registration) = AbortHandle::new_pair();
        let (sender, ended) = oneshot::channel::<()>();
        let work = Abortable::new(work, registration);
        let future = Box::pin(async move {
            let _aborted = work.await;
            drop(sender); // last: the work is gone by now
        });
        let unit = Arc::new(Unit {
            crew: self.0.clone(),
            name: name.into(),
            state: AtomicU8::new(QUEUED),
            future: Mutex::new(Some(future)),
        });
        self.0.push(unit);
        Job { abort, ended }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        let queue = {
            let mut state = self.0.lock();
            state.ended = true;
            std::mem::take(&mut state.queue)
        };
        self.0.work.notify_all();
        self.0.end.notify_all();
        drop(queue); // outside of the lock: this drops connector code
    }
}

/// Seats a new thread.
fn hire(shared: &Arc<Shared>, state: &mut State) -> std::io::Result<()> {
    let free = state.seats.iter().position(|seat| matches!(seat, Seat::Free));
    let seat = free.unwrap_or(state.seats.len());
    let thread = std::thread::Builder::new().name(format!("dray-crew-{seat}"));
    let own = shared.clone();
    thread.spawn(move || own.serve(seat))?;
    if seat == state.seats.len() {
        state.seats.push(Seat::Waiting);
    } else {
        state.seats[seat] = Seat::Waiting;
    }
    Ok(())
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Held for a few lines that cannot panic; a poisoned state is still whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, unit: Arc<Unit>) {
        let mut state = self.lock();
        if state.ended {
            drop(state);
            drop(unit); // outside of the lock: this may drop connector code
            return;
        }
        state.queue.push_back(unit);
        drop(state);
        self.work.notify_one();
    }

    /// One thread's life.
    fn serve(&self, seat: usize) {
        let _context = self.runtime.enter();
        let mut state = self.lock();
        loop {
            // One that was blocked has a stand-in, and is one too many now.
            let able = state.count(|seat| matches!(seat, Seat::Waiting | Seat::Polling { .. }));
            if state.ended || able > self.size {
                state.seats[seat] = Seat::Free;
                self.work.notify_one(); // what it has put back is for another
                return;
            }
            let Some(unit) = state.queue.pop_front() else {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.seats[seat] = Seat::Polling {
                since: Instant::now(),
                name: unit.name.clone(),
            };
            drop(state);
            let again = unit.poll().then_some(unit);
            state = self.lock();
            state.seats[seat] = Seat::Waiting;
            if let Some(unit) = again {
                if state.ended {
                    drop(state);
                    drop(unit); // outside of the lock: this may drop connector code
                    return;
                }
                // Nobody is called: this thread takes it, unless another does before.
                state.queue.push_back(unit);
            }
        }
    }

    /// Finds blocked threads and puts others in their place.
    fn watch(self: Arc<Self>) {
        let mut state = self.lock();
        while !state.ended {
            let waited = self.end.wait_timeout(state, BLOCKED / 2);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            for seat in &mut state.seats {
                if let Seat::Polling { since, name } = seat
                    && since.elapsed() > BLOCKED
                {
                    tracing::warn!(job = %name, "connector code blocks its thread; another thread takes its place");
                    *seat = Seat::Blocked;
                }
            }
            let blocked = state.count(|seat| matches!(seat, Seat::Blocked));
            let able = state.count(|seat| matches!(seat, Seat::Waiting | Seat::Polling { .. }));
            for _ in able..self.size.min(MOST.saturating_sub(blocked)) {
                if let Err(error) = hire(&self, &mut state) {
                    tracing::error!(%error, blocked, "no thread can be started in place of a blocked one; tried again");
                    break;
                }
            }
        }
    }
}

/// Waits for something.
const IDLE: u8 = 0;
/// In the queue.
const QUEUED: u8 = 1;
/// A thread polls it.
const POLLED: u8 = 2;
/// A thread polls it, and it was woken meanwhile.
const WOKEN: u8 = 3;
/// It has ended.
const DONE: u8 = 4;

/// A job as the threads see it.
struct Unit {
    crew: Arc<Shared>,
    name: Arc<str>,
    state: AtomicU8,
    /// Locked only by the thread that polls it: the state lets no other come here.
    future: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl Wake for Unit {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let next = |state| match state {
            IDLE => Some(QUEUED),
            POLLED => Some(WOKEN),
            _ => None, // queued already, or done
        };
        if self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) == Ok(IDLE) {
            self.crew.push(self.clone());
        }
    }
}

impl Unit {
    /// True when it was woken meanwhile, and so is to be polled again.
    fn poll(self: &Arc<Self>) -> bool {
        self.state.store(POLLED, Ordering::Release);
        let pending = {
            let waker = Waker::from(self.clone());
            let mut place = self.future.lock().unwrap_or_else(PoisonError::into_inner);
            let polled = place.as_mut().map(|future| {
                let poll = || future.as_mut().poll(&mut Context::from_waker(&waker));
                std::panic::catch_unwind(AssertUnwindSafe(poll))
            });
            match polled {
                Some(Ok(Poll::Pending)) => true,
                Some(Ok(Poll::Ready(()))) | None => false,
                Some(Err(_)) => {
                    tracing::error!(job = %self.name, "panic outside of connector code");
                    false
                }
            }
        };
        if !pending {
            self.state.store(DONE, Ordering::Release);
            let future = self.future.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(std::panic::catch_unwind(AssertUnwindSafe(|| drop(future))));
            return false;
        }
        let idle = self
            .state
            .compare_exchange(POLLED, IDLE, Ordering::AcqRel, Ordering::Acquire);
        if idle.is_err() {
            self.state.store(QUEUED, Ordering::Release);
        }
        idle.is_err()
    }
}

#[cfg(test)]
mod tests;
