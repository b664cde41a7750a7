//! The folder of a store, which one process has at a time. What the lock file says is for people, and for the next process: who has the
//! folder, or at which revision it was closed.

use super::disk::Expect;
use crate::error::Error;
use crate::types::Revision;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a process that was killed may take to end, if the next one is started at once.
const ENDING: Duration = Duration::from_secs(2);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(5);
const DOING: &str = "open the folder of the metadata store";

pub(super) struct Folder {
    path: PathBuf,
    /// Locked for as long as it is open, and released by the system when the process ends, however it ends.
    lock: File,
    closed_at: Option<Revision>,
}

impl Folder {
    /// Waits for a process that is just ending.
    pub(super) fn lock(path: &Path) -> Result<Self, Error> {
        Self::lock_within(path, ENDING, || sleep(LOOK))
    }

    /// `pause` comes between two looks whether the folder is free.
    fn lock_within(path: &Path, patience: Duration, mut pause: impl FnMut()) -> Result<Self, Error> {
        let refused = |error: io::Error| Error::Refused {
            doing: DOING,
            source: format!("{}: {error}", path.display()).into(),
        };
        std::fs::create_dir_all(path).map_err(refused)?;
        let mut options = OpenOptions::new();
        let mut lock = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("store.lock"))
            .map_err(refused)?;
        let begun = Instant::now();
        let locked = loop {
            match lock.try_lock() {
                Err(TryLockError::WouldBlock) if begun.elapsed() < patience => pause(),
                locked => break locked,
            }
        };
        let mut said = String::new();
        // Whatever is in there that is not text says nothing.
        let said = lock.read_to_string(&mut said).map_or("", |_| said.trim());
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::InUse {
                    path: path.into(),
                    pid: said.strip_prefix("pid ").and_then(|pid| pid.parse().ok()),
                });
            }
            Err(TryLockError::Error(error)) => return Err(refused(error)),
        }
        let closed_at = said
            .strip_prefix("closed at revision ")
            .and_then(|revision| revision.parse().ok())
            .map(Revision::new);
        Ok(Self {
            path: path.into(),
            lock,
            closed_at,
        })
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join("store.redb")
    }

    /// How the last process left it, if there was one.
    pub(super) fn expect(&self) -> Expect {
        self.closed_at.map_or(Expect::Anything, Expect::ClosedAt)
    }

    /// Says that this process has it now.
    pub(super) fn opened(&mut self) -> Result<(), Error> {
        let said = self.say(&format!("pid {}\n", std::process::id()));
        said.map_err(|error| Error::Refused {
            doing: DOING,
            source: format!("{}: {error}", self.path.display()).into(),
        })
    }

    /// Says that all is on disk up to a revision.
    pub(super) fn closed(&mut self, revision: Revision) {
        if let Err(error) = self.say(&format!("closed at revision {revision}\n")) {
            tracing::warn!(path = %self.path.display(), %error, "could not note that the metadata store was closed in order");
        }
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.rewind()?;
        self.lock.write_all(text.as_bytes())?;
        // On disk before the first change is: a crash after that must not look like an orderly end.
        self.lock.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_just_ending_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Some(Folder::lock(folder.path()).unwrap());
        let mut looks = 0;
        let next = Folder::lock_within(folder.path(), Duration::MAX, || {
            looks += 1;
            if looks == 3 {
                drop(first.take());
            }
        });
        assert!(next.is_ok() && looks == 3);
        let at_once = Folder::lock_within(folder.path(), Duration::ZERO, || ());
        assert!(matches!(at_once, Err(Error::InUse { .. })));
    }
}
