//! The store in a file, for one process: `dray standalone`. Everything is in memory as well, and every change is on disk before anybody
//! sees it: what was answered or watched survives a crash.
//!
//! The folder holds `store.redb` and `store.lock`. The lock is the proof that there is one process; a leader's lease of an earlier
//! process therefore ends when the folder is opened.

mod disk;
mod folder;
mod writer;

use crate::error::Error;
use crate::key::{Key, KeyRange};
use crate::local::{Ends, Local};
use crate::state::{Core, History};
use crate::store::{Lease, LeaseKind, MetadataStore, whole_seconds};
use crate::txn::{Txn, TxnOutcome};
use crate::types::{Entry, LeaseId, ListPage, Page, Read, Revision, Versioned};
use crate::watch::Watch;
use async_trait::async_trait;
use disk::Disk;
use folder::Folder;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use writer::{Command, Writer};

/// Writes that wait for the one before them. A caller that finds the queue full waits.
const QUEUE: usize = 256;

/// A store in a folder. Dropping it waits until the writes that were begun are on disk.
pub struct FileStore {
    local: Arc<Local>,
    /// Closed first, so that the writer ends.
    commands: Option<mpsc::Sender<Command>>,
    writer: Option<JoinHandle<()>>,
    /// Its watches end with it.
    ends: watch::Sender<Ends>,
}

impl FileStore {
    /// Opens the store of a folder, which is made if it is not there. Reads all of it: not for an async task.
    pub fn open(folder: &Path, history: History) -> Result<Self, Error> {
        let folder = Folder::lock(folder)?;
        let (disk, loaded) = Disk::open(folder.database(), folder.expect())?;
        let local = Arc::new(Local::new(Core::new(loaded.revision, loaded.entries, history)));
        let (commands, queue) = mpsc::channel(QUEUE);
        let mut writer = Writer::new(folder, disk, local.clone(), loaded.next_lease)?;
        writer.take_over(loaded.leases)?;
        let spawned = std::thread::Builder::new()
            .name("dray-store".into())
            .spawn(move || writer.run(queue));
        let writer = spawned.map_err(|error| Error::Refused {
            doing: "start the store's thread",
            source: error.into(),
        })?;
        Ok(Self {
            local,
            commands: Some(commands),
            writer: Some(writer),
            ends: watch::Sender::new(Ends::default()),
        })
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let commands = self.commands.as_ref().ok_or(Error::Closed)?;
        commands.send(command(reply)).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)
    }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the thread of the metadata store panicked");
        }
    }
}

#[async_trait]
impl MetadataStore for FileStore {
    async fn get(&self, key: &Key, read: Read) -> Result<Versioned<Option<Entry>>, Error> {
        self.local.lock().get(key, read)
    }

    async fn list(&self, range: &KeyRange, page: Page) -> Result<ListPage, Error> {
        self.local.lock().list(range, &page)
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome, Error> {
        txn.validate()?;
        self.ask(|reply| Command::Txn(txn, reply)).await?
    }

    async fn watch(&self, range: &KeyRange, after: Revision) -> Result<Watch, Error> {
        // Leases are ended by the writer, which needs no watcher for it.
        Ok(self
            .local
            .watch(range, after, self.ends.subscribe(), Arc::new(|_| None)))
    }

    async fn grant(&self, ttl: Duration, kind: LeaseKind) -> Result<Lease, Error> {
        self.ask(|reply| Command::Grant(whole_seconds(ttl), kind, reply))
            .await?
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), Error> {
        self.ask(|reply| Command::KeepAlive(lease, reply)).await?
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), Error> {
        self.ask(|reply| Command::Revoke(lease, reply)).await?
    }
}

#[cfg(test)]
mod tests;
