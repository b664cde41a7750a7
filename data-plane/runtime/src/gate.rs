//! The fence gate: whether tasks may cause effects now. It stands in front of every poll, produce, put and commit of a task, and is looked
//! at once a batch.
//!
//! What opens and shuts it is the agent's session with the control plane (`dray-session`). It cannot catch a process that is stopped
//! between the look and the effect; that is what Kafka's epochs are for.

use dray_model::Millis;
use dray_model::message::Recovery;
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use tokio::sync::watch;

/// The moment on `CLOCK_BOOTTIME`, which goes on while the machine sleeps: leases are counted on it.
#[must_use]
pub fn boottime() -> Millis {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Millis(seconds * 1_000 + nanos / 1_000_000)
}

/// What tasks may do, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Until when tasks of class `strict` may act.
    pub strict_until: Millis,
    /// Until when tasks of class `fenced` may act.
    pub fenced_until: Millis,
    /// Nothing may act, whatever the time.
    pub shut: bool,
    /// Tasks of class `strict` begin nothing new; what they have begun they may finish.
    pub suspect: bool,
}

/// The gate of all tasks of a session.
#[derive(Debug)]
pub struct FenceGate(watch::Sender<Allowed>);

impl Default for FenceGate {
    /// Shut, until somebody says otherwise.
    fn default() -> Self {
        Self(watch::Sender::new(Allowed {
            strict_until: Millis::default(),
            fenced_until: Millis::default(),
            shut: true,
            suspect: false,
        }))
    }
}

impl FenceGate {
    /// What holds now.
    #[must_use]
    pub fn allowed(&self) -> Allowed {
        *self.0.borrow()
    }

    /// What holds from now on.
    pub fn set(&self, allowed: Allowed) {
        self.0.send_replace(allowed);
    }
}

/// The gate as one task sees it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct TaskGate(Option<(Arc<FenceGate>, Recovery)>);

impl TaskGate {
    /// Of a task that nobody could take over: always open.
    #[must_use]
    pub fn open() -> Self {
        Self(None)
    }

    /// Of a task of this class.
    #[must_use]
    pub fn new(gate: Arc<FenceGate>, recovery: Recovery) -> Self {
        Self(Some((gate, recovery)))
    }

    /// Whether the task may finish what it has begun: produce, put, commit.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let Some((gate, recovery)) = &self.0 else { return true };
        may_finish(&gate.0.borrow(), *recovery)
    }

    /// Waits until the task may finish what it has begun. Cancel-safe.
    pub async fn to_finish(&self) {
        self.wait(may_finish).await;
    }

    /// Waits until the task may begin something new: poll. Cancel-safe.
    pub async fn to_begin(&self) {
        self.wait(|allowed, recovery| {
            may_finish(allowed, recovery) && !(allowed.suspect && recovery == Recovery::Strict)
        })
        .await;
    }

    async fn wait(&self, may: impl Fn(&Allowed, Recovery) -> bool) {
        let Some((gate, recovery)) = &self.0 else { return };
        // Time only ever closes the gate: it opens by a word.
        if gate
            .0
            .subscribe()
            .wait_for(|allowed| may(allowed, *recovery))
            .await
            .is_err()
        {
            std::future::pending::<()>().await; // we hold the sender, so this cannot be reached
        }
    }
}

fn may_finish(allowed: &Allowed, recovery: Recovery) -> bool {
    let until = match recovery {
        Recovery::Strict => allowed.strict_until,
        Recovery::Fenced => allowed.fenced_until,
    };
    !allowed.shut && boottime() < until
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_class_has_its_time() {
        let gate = Arc::new(FenceGate::default());
        let [strict, fenced] = [Recovery::Strict, Recovery::Fenced].map(|class| TaskGate::new(gate.clone(), class));
        assert!(!strict.is_open() && !fenced.is_open(), "shut until a session has begun");
        let far = boottime().plus(60_000);
        let allowed = Allowed {
            strict_until: boottime(),
            fenced_until: far,
            shut: false,
            suspect: true,
        };
        gate.set(allowed);
        assert!(!strict.is_open() && fenced.is_open());
        fenced.to_begin().await;
        gate.set(Allowed {
            strict_until: far,
            ..allowed
        });
        strict.to_finish().await;
        // Suspect: what is begun may be finished, nothing new begins until that is over.
        let mut begins = std::pin::pin!(strict.to_begin());
        assert!(
            tokio::time::timeout(std::time::Duration::ZERO, &mut begins)
                .await
                .is_err()
        );
        gate.set(Allowed {
            strict_until: far,
            suspect: false,
            ..allowed
        });
        begins.await;
        gate.set(Allowed { shut: true, ..allowed });
        assert!(!fenced.is_open());
        assert!(TaskGate::open().is_open());
    }
}
