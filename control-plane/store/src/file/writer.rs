//! The thread that writes: it takes what waits, works it out, writes it in one go, and only then shows it and answers.

use super::disk::{Batch, Disk, Expect, is_full};
use super::folder::Folder;
use crate::error::{BoxError, Error};
use crate::local::Local;
use crate::state::{Pending, Planned};
use crate::store::{Lease, LeaseKind};
use crate::txn::{Txn, TxnOutcome};
use crate::types::{LeaseId, Revision};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

const DOING: &str = "write to disk";
/// As many commands share one sync of the disk.
const TOGETHER: usize = 64;

type Reply<T> = oneshot::Sender<Result<T, Error>>;

pub(super) enum Command {
    Txn(Txn, Reply<TxnOutcome>),
    Grant(Duration, LeaseKind, Reply<Lease>),
    KeepAlive(LeaseId, Reply<()>),
    Revoke(LeaseId, Reply<()>),
    #[cfg(test)]
    Fault(super::disk::DiskFault),
    #[cfg(test)]
    Compact(Revision, oneshot::Sender<()>),
}

/// Who waits for a batch to be on disk.
enum Waiting {
    Txn(Reply<TxnOutcome>, Revision),
    Grant(Reply<Lease>, Lease),
    Revoke(Reply<()>),
}

pub(super) struct Writer {
    folder: Folder,
    /// `None` after a write that failed, while the file cannot be opened again.
    disk: Option<Disk>,
    /// What that write was: nobody knows yet whether it is on disk.
    undecided: Option<Batch>,
    local: Arc<Local>,
    next_lease: u64,
    /// For its clock.
    runtime: tokio::runtime::Runtime,
}

impl Writer {
    pub(super) fn new(mut folder: Folder, disk: Disk, local: Arc<Local>, next_lease: u64) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| Error::Refused {
            doing: "start the store's thread",
            source: error.into(),
        })?;
        folder.opened()?;
        Ok(Self {
            folder,
            disk: Some(disk),
            undecided: None,
            local,
            next_lease,
            runtime,
        })
    }

    /// Leases of the last process end now: it is gone, we hold its lock. The others live for their whole time again.
    pub(super) fn take_over(&mut self, leases: Vec<(LeaseId, Duration, LeaseKind)>) -> Result<(), Error> {
        let mut ended = Vec::new();
        for (lease, ttl, kind) in leases {
            self.local.lock().grant(lease, ttl, Instant::now());
            match kind {
                LeaseKind::Process => ended.push(lease),
                LeaseKind::Expiry => {}
            }
        }
        let mut round = Round::default();
        for lease in ended {
            self.end(lease, &mut round);
        }
        self.write(round)
    }

    /// Until every sender of the queue is gone.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        loop {
            let next = self.local.lock().first_end().map(|(end, _)| end);
            let command = self.runtime.block_on(async {
                match next {
                    // `None`: a lease is due.
                    Some(end) => tokio::time::timeout_at(end, queue.recv()).await.ok(),
                    None => Some(queue.recv().await),
                }
            });
            if let Err(failed) = self.open_again() {
                tracing::error!(error = failed.cause, "could not open the metadata store again");
            }
            let mut round = Round::default();
            self.end_due(&mut round);
            match command {
                Some(None) => break,
                Some(Some(command)) => self.take(command, &mut round),
                None => {}
            }
            while round.waiting.len() < TOGETHER
                && let Ok(command) = queue.try_recv()
            {
                self.take(command, &mut round);
            }
            if let Err(error) = self.write(round) {
                tracing::error!(%error, "could not write the metadata store");
            }
        }
        let revision = self.local.lock().revision();
        match self.disk.take().map(Disk::close) {
            Some(Ok(())) => self.folder.closed(revision),
            Some(Err(error)) => tracing::warn!(%error, "could not close the metadata store; the next start repairs it"),
            None => {}
        }
    }

    fn end_due(&mut self, round: &mut Round) {
        let now = Instant::now();
        let due: Vec<LeaseId> = self.local.lock().due(now);
        for lease in due {
            self.end(lease, round);
        }
    }

    fn end(&mut self, lease: LeaseId, round: &mut Round) {
        if let Some(plan) = self.local.lock().plan_end(lease, &round.pending) {
            round.push(plan);
        }
        round.ended.insert(lease);
        round.batch.ended.push(lease);
    }

    fn take(&mut self, command: Command, round: &mut Round) {
        match command {
            Command::Txn(txn, reply) => {
                // One that ends in this very round.
                let ended = txn.leases().find(|lease| round.ended.contains(lease));
                let planned = self.local.lock().plan(txn, &round.pending);
                match planned {
                    Ok(Planned::Write(_)) if let Some(lease) = ended => {
                        answer(reply, Err(Error::LeaseNotFound { lease }))
                    }
                    // What it saw may not be on disk yet: it waits as well.
                    Ok(Planned::Answer(outcome)) => round.answers.push((reply, outcome)),
                    Ok(Planned::Write(plan)) => {
                        round.waiting.push(Waiting::Txn(reply, plan.revision));
                        round.push(plan);
                    }
                    Err(error) => answer(reply, Err(error)),
                }
            }
            Command::Grant(ttl, kind, reply) => {
                let lease = Lease {
                    id: LeaseId::new(self.next_lease),
                    ttl,
                };
                self.next_lease += 1;
                round.batch.granted.push((lease.id, ttl, kind));
                round.waiting.push(Waiting::Grant(reply, lease));
            }
            Command::KeepAlive(lease, reply) => {
                let gone = round.ended.contains(&lease);
                let kept = if gone {
                    Err(Error::LeaseNotFound { lease })
                } else {
                    self.local.lock().keep_alive(lease, Instant::now())
                };
                answer(reply, kept);
            }
            Command::Revoke(lease, reply) => {
                if self.local.lock().leases().contains_key(&lease) && !round.ended.contains(&lease) {
                    self.end(lease, round);
                }
                round.waiting.push(Waiting::Revoke(reply));
            }
            #[cfg(test)]
            Command::Fault(fault) => {
                if let Some(disk) = &mut self.disk {
                    disk.fault = Some(fault);
                }
            }
            #[cfg(test)]
            Command::Compact(revision, reply) => {
                self.local.lock().compact(revision);
                self.local.publish();
                answer(reply, ());
            }
        }
    }

    /// Writes a round, shows it, and answers.
    fn write(&mut self, mut round: Round) -> Result<(), Error> {
        let batch = std::mem::take(&mut round.batch);
        match self.commit(batch) {
            Ok(batch) => {
                self.show(batch);
                round.answer();
                Ok(())
            }
            Err(failed) => {
                round.fail(&failed);
                Err(failed.error())
            }
        }
    }

    /// The batch again when it is on disk. A write that failed may be there all the same: the file, opened again, tells.
    fn commit(&mut self, batch: Batch) -> Result<Batch, Failed> {
        if batch.is_empty() {
            return Ok(batch);
        }
        let Some(disk) = &mut self.disk else {
            return Err(Failed {
                unknown: false,
                full: false,
                cause: "the file could not be opened again after an error".into(),
            });
        };
        let after = batch
            .plans
            .last()
            .map_or_else(|| self.local.lock().revision(), |plan| plan.revision);
        let Err(error) = disk.commit(&batch, after, self.next_lease) else {
            return Ok(batch);
        };
        let mut failed = Failed {
            unknown: false,
            full: is_full(&error),
            cause: error.to_string(),
        };
        // Closed before it is opened again.
        self.disk = None;
        self.undecided = Some(batch);
        match self.open_again() {
            // On disk, and shown already.
            Ok(true) => Ok(Batch::default()),
            Ok(false) => Err(failed),
            Err(_) => {
                failed.unknown = true;
                Err(failed)
            }
        }
    }

    /// Opens the file after a write that failed, and shows that write if it turns out to be on disk.
    fn open_again(&mut self) -> Result<bool, Failed> {
        if self.disk.is_some() {
            return Ok(false);
        }
        let failed = |cause: String| Failed {
            unknown: false,
            full: false,
            cause,
        };
        let (disk, loaded) =
            Disk::open(self.folder.database(), Expect::Itself).map_err(|error| failed(error.to_string()))?;
        let before = self.local.lock().revision();
        let after = self
            .undecided
            .as_ref()
            .and_then(|batch| batch.plans.last())
            .map(|plan| plan.revision);
        let landed = after == Some(loaded.revision);
        if !landed && loaded.revision != before {
            return Err(failed(format!(
                "the file is at revision {}, not {before}",
                loaded.revision
            )));
        }
        self.disk = Some(disk);
        match self.undecided.take() {
            Some(batch) if landed => self.show(batch),
            Some(_) | None => {}
        }
        Ok(landed)
    }

    /// Makes what is on disk visible.
    fn show(&self, batch: Batch) {
        let mut core = self.local.lock();
        for plan in batch.plans {
            core.apply(plan);
        }
        for (lease, ttl, _) in batch.granted {
            core.grant(lease, ttl, Instant::now());
        }
        for lease in batch.ended {
            core.end(lease);
        }
        drop(core);
        self.local.publish();
    }
}

/// What one write to disk is made of, and who waits for it.
#[derive(Default)]
struct Round {
    batch: Batch,
    pending: Pending,
    ended: BTreeSet<LeaseId>,
    waiting: Vec<Waiting>,
    answers: Vec<(Reply<TxnOutcome>, TxnOutcome)>,
}

impl Round {
    fn push(&mut self, plan: crate::state::Plan) {
        self.pending.push(&plan);
        self.batch.plans.push(plan);
    }

    fn answer(self) {
        for waiting in self.waiting {
            match waiting {
                Waiting::Txn(reply, revision) => answer(reply, Ok(TxnOutcome::Committed(revision))),
                Waiting::Grant(reply, lease) => answer(reply, Ok(lease)),
                Waiting::Revoke(reply) => answer(reply, Ok(())),
            }
        }
        for (reply, outcome) in self.answers {
            answer(reply, Ok(outcome));
        }
    }

    fn fail(self, failed: &Failed) {
        for waiting in self.waiting {
            match waiting {
                Waiting::Txn(reply, _) => answer(reply, Err(failed.error())),
                Waiting::Grant(reply, _) => answer(reply, Err(failed.error())),
                Waiting::Revoke(reply) => answer(reply, Err(failed.error())),
            }
        }
        // They wrote nothing, and may have seen what is not there.
        for (reply, _) in self.answers {
            answer(
                reply,
                Err(Error::Unavailable {
                    doing: DOING,
                    source: failed.cause.clone().into(),
                }),
            );
        }
    }
}

/// Why a batch is not on disk, or perhaps is.
struct Failed {
    unknown: bool,
    full: bool,
    cause: String,
}

impl Failed {
    fn error(&self) -> Error {
        let source: BoxError = self.cause.clone().into();
        match (self.unknown, self.full) {
            (true, _) => Error::Unknown { doing: DOING, source },
            (false, true) => Error::NoSpace { doing: DOING, source },
            (false, false) => Error::Unavailable { doing: DOING, source },
        }
    }
}

/// A caller that has given up does not need its answer.
fn answer<T>(reply: oneshot::Sender<T>, with: T) {
    drop(reply.send(with));
}
