//! Whether a sink task that was thrown out of its consumer group may join it again: perhaps its session was declared dead, and its
//! partitions are another's. Then the group would share them with it, for nobody but the agent's session knows. A source task whose
//! transactional id was taken asks the same.

use dray_model::{Generation, TaskId};
use futures::future::BoxFuture;
use std::fmt;
use std::sync::Arc;

/// Asks whether this ownership of a task is current. Answers as soon as that is known, however long it takes; the task does
/// nothing meanwhile.
#[derive(Clone)]
pub struct MayRejoin(Arc<dyn Fn(TaskId, Generation) -> BoxFuture<'static, bool> + Send + Sync>);

impl MayRejoin {
    /// Asks by this function.
    pub fn new(ask: impl Fn(TaskId, Generation) -> BoxFuture<'static, bool> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    pub(crate) fn ask(&self, task: &TaskId, generation: Generation) -> BoxFuture<'static, bool> {
        (self.0)(task.clone(), generation)
    }
}

impl fmt::Debug for MayRejoin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MayRejoin").finish_non_exhaustive()
    }
}
