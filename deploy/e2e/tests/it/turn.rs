//! Who may run beside whom: a test that measures gaps has the machine to itself.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static TURN: RwLock<()> = RwLock::new(());

/// Held by a test that may run beside others.
pub(crate) fn shared() -> RwLockReadGuard<'static, ()> {
    // A test that failed says nothing about this one.
    TURN.read().unwrap_or_else(PoisonError::into_inner)
}

/// Held by a test that measures.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    TURN.write().unwrap_or_else(PoisonError::into_inner)
}
