//! Locking without poison: a handler that panicked closes its own connection and must not take the others with it.
//! Every guarded section here keeps its data whole at each step, so that reading on after a panic is sound.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, whether or not an earlier holder panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
