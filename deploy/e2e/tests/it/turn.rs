//! Who may run beside whom: a test that measures gaps has the machine to itself.

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

static TURN: RwLock<()> = RwLock::const_new(());

/// Held by a test that may run beside others.
pub(crate) async fn shared() -> RwLockReadGuard<'static, ()> {
    TURN.read().await
}

/// Held by a test that measures.
pub(crate) async fn alone() -> RwLockWriteGuard<'static, ()> {
    TURN.write().await
}
