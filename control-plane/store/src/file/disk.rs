//! What is on disk: entries, leases and the revision, in one redb file. All of it is read and checked when it is opened; what does not
//! fit together is an error, and never a smaller store.

use crate::error::{BoxError, Error};
use crate::key::Key;
use crate::state::Plan;
use crate::store::LeaseKind;
use crate::types::{Change, Entry, LeaseId, Revision};
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageError, TableDefinition,
};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("dray.meta");
const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("dray.entries");
/// Seconds to live, and whether it is a process's.
const LEASES: TableDefinition<'_, u64, (u64, bool)> = TableDefinition::new("dray.leases");
const FORMAT: u64 = 1;
/// Everything is in our own memory: this is for redb's tree only.
const CACHE: usize = 4 << 20;

pub(super) struct Disk {
    database: Database,
    #[cfg(test)]
    pub(super) fault: Option<DiskFault>,
}

/// For tests: when the next commit fails.
#[cfg(test)]
#[derive(Clone, Copy)]
pub(super) enum DiskFault {
    BeforeCommit(ErrorKind),
    AfterCommit(ErrorKind),
}

/// What is known of the file before it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// Nothing: it is made when it is not there, and repaired after a crash.
    Anything,
    /// It was closed in order at this revision, and has to be as it was then.
    ClosedAt(Revision),
    /// It was open a moment ago.
    Itself,
}

pub(super) struct Loaded {
    pub(super) revision: Revision,
    pub(super) entries: BTreeMap<Key, Entry>,
    pub(super) leases: Vec<(LeaseId, Duration, LeaseKind)>,
    pub(super) next_lease: u64,
}

/// What is written in one go.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) plans: Vec<Plan>,
    pub(super) granted: Vec<(LeaseId, Duration, LeaseKind)>,
    pub(super) ended: Vec<LeaseId>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.plans.is_empty() && self.granted.is_empty() && self.ended.is_empty()
    }
}

impl Disk {
    /// Opens the file, or makes it.
    pub(super) fn open(path: PathBuf, expect: Expect) -> Result<(Self, Loaded), Error> {
        let exists = path.try_exists().map_err(|source| Error::Refused {
            doing: "open the metadata store",
            source: source.into(),
        })?;
        match expect {
            Expect::Anything if !exists => create(&path).map_err(|source| Error::Refused {
                doing: "make a metadata store",
                source,
            })?,
            Expect::ClosedAt(_) | Expect::Itself if !exists => return Err(unreadable(&path, "it is gone")),
            Expect::Anything | Expect::ClosedAt(_) | Expect::Itself => {}
        }
        // First without touching it: what is damaged stays as it is. After a crash redb has to repair it before it can be read.
        if let Expect::ClosedAt(closed_at) = expect {
            let found = guarded(&path, || load(&Database::builder().open_read_only(&path)?))?;
            if found.revision != closed_at {
                let found = found.revision;
                let reason = format!("it is at revision {found}, but the store was closed at revision {closed_at}");
                return Err(unreadable(&path, &reason));
            }
        }
        let (database, loaded) = guarded(&path, || {
            let mut builder = Database::builder();
            builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
            let database = builder.open(&path)?;
            let loaded = load(&database)?;
            Ok((database, loaded))
        })?;
        let disk = Self {
            database,
            #[cfg(test)]
            fault: None,
        };
        Ok((disk, loaded))
    }

    /// Closes the file in order.
    pub(super) fn close(self) -> Result<(), BoxError> {
        Ok(self.database.close()?)
    }

    /// Returns once it is on disk. After an error the file may be at either state, and has to be opened again.
    pub(super) fn commit(&mut self, batch: &Batch, revision: Revision, next_lease: u64) -> Result<(), BoxError> {
        #[cfg(test)]
        if let Some(DiskFault::BeforeCommit(kind)) = self.fault {
            self.fault = None;
            return Err(std::io::Error::from(kind).into());
        }
        let write = self.database.begin_write()?;
        {
            let mut entries = write.open_table(ENTRIES)?;
            for change in batch.plans.iter().flat_map(|plan| &plan.steps).map(|step| &step.change) {
                match change {
                    Change::Put(entry) => entries.insert(entry.key.as_bytes(), &*encode(entry))?,
                    Change::Delete(key) => entries.remove(key.as_bytes())?,
                };
            }
            let mut leases = write.open_table(LEASES)?;
            for (lease, ttl, kind) in &batch.granted {
                leases.insert(lease.get(), (ttl.as_secs(), *kind == LeaseKind::Process))?;
            }
            for lease in &batch.ended {
                leases.remove(lease.get())?;
            }
            let mut meta = write.open_table(META)?;
            meta.insert("revision", revision.get())?;
            meta.insert("next-lease", next_lease)?;
        }
        write.commit()?;
        #[cfg(test)]
        if let Some(DiskFault::AfterCommit(kind)) = self.fault {
            self.fault = None;
            return Err(std::io::Error::from(kind).into());
        }
        Ok(())
    }
}

/// Under another name first: a file of this name is always a whole store.
fn create(path: &Path) -> Result<(), BoxError> {
    let new = path.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        Err(_) | Ok(()) => {}
    }
    let database = Database::create(&new)?;
    let write = database.begin_write()?;
    {
        let mut meta = write.open_table(META)?;
        meta.insert("format", FORMAT)?;
        // As etcd's: its first write has revision 2.
        meta.insert("revision", 1)?;
        meta.insert("next-lease", 1)?;
        write.open_table(ENTRIES)?;
        write.open_table(LEASES)?;
    }
    write.commit()?;
    database.close()?;
    std::fs::rename(&new, path)?;
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// A file that was changed behind redb's back can make it panic.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, BoxError>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|error| refused(path, error)),
        Err(_) => Err(unreadable(path, "it is damaged")),
    }
}

fn load(database: &impl ReadableDatabase) -> Result<Loaded, BoxError> {
    let read = database.begin_read()?;
    // Somebody else's database has no such table.
    let meta = read
        .open_table(META)
        .map_err(|error| format!("it is not a metadata store of Dray ({error})"))?;
    let number = |name: &str| -> Result<u64, BoxError> {
        Ok(meta
            .get(name)?
            .ok_or_else(|| format!("`{name}` is missing in it"))?
            .value())
    };
    let format = number("format")?;
    if format != FORMAT {
        return Err(format!("it has format {format}, and this version of Dray reads format {FORMAT}").into());
    }
    let revision = Revision::new(number("revision")?);
    let mut entries = BTreeMap::new();
    let stored = read.open_table(ENTRIES)?;
    for item in stored.iter()? {
        let (key, value) = item?;
        let entry = decode(key.value(), value.value())?;
        if entry.mod_revision > revision {
            return Err(format!("`{}` is newer than the store", entry.key).into());
        }
        entries.insert(entry.key.clone(), entry);
    }
    if entries.len() as u64 != stored.len()? {
        return Err("some of its entries are missing".into());
    }
    let mut leases = Vec::new();
    for item in read.open_table(LEASES)?.iter()? {
        let (id, value) = item?;
        let (seconds, process) = value.value();
        let kind = if process { LeaseKind::Process } else { LeaseKind::Expiry };
        leases.push((LeaseId::new(id.value()), Duration::from_secs(seconds), kind));
    }
    Ok(Loaded {
        revision,
        entries,
        leases,
        next_lease: number("next-lease")?,
    })
}

/// create_revision, mod_revision, lease (0 is none), then the value. Checksums are redb's, of every page.
fn encode(entry: &Entry) -> Vec<u8> {
    let lease = entry.lease.map_or(0, LeaseId::get);
    let numbers = [entry.create_revision.get(), entry.mod_revision.get(), lease]
        .map(u64::to_be_bytes)
        .concat();
    [&numbers, &entry.value[..]].concat()
}

fn decode(key: &[u8], stored: &[u8]) -> Result<Entry, BoxError> {
    let damaged = || format!("`{}` is damaged", key.escape_ascii());
    let (numbers, value) = stored.split_at_checked(24).ok_or_else(damaged)?;
    let number = |index: usize| {
        numbers[8 * index..8 * index + 8]
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    Ok(Entry {
        key: Key::from_stored(key.to_vec()),
        value: value.to_vec().into(),
        create_revision: Revision::new(number(0)),
        mod_revision: Revision::new(number(1)),
        lease: Some(number(2)).filter(|lease| *lease != 0).map(LeaseId::new),
    })
}

fn unreadable(path: &Path, reason: &str) -> Error {
    Error::Unreadable {
        path: path.into(),
        reason: reason.into(),
    }
}

/// What an error of opening means for the user.
fn refused(path: &Path, error: BoxError) -> Error {
    let io = match error.downcast_ref::<DatabaseError>() {
        Some(DatabaseError::Storage(StorageError::Io(error))) => Some(error.kind()),
        _ => None,
    };
    match io {
        // Not a database, or one that was cut off.
        None | Some(ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => unreadable(path, &error.to_string()),
        Some(_) => Error::Refused {
            doing: "open the metadata store",
            source: format!("{}: {error}", path.display()).into(),
        },
    }
}

/// Whether the disk is full, somewhere in the chain of causes.
pub(super) fn is_full(error: &BoxError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&**error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if matches!(
            io,
            Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
        ) {
            return true;
        }
        cause = error.source();
    }
    false
}
