//! Locks that are held for a few lines.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock whose holders never panic half-way through a change.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
