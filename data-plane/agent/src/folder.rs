//! The agent's data folder: one process at a time, which can prove that the one before it is dead.

use dray_model::Instance;
use rustix::fs::{FlockOperation, flock, fstatfs};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant as Moment};

/// How long a process that was killed may take to end, if the next one is started at once: it has memory to give back.
const ENDING: Duration = Duration::from_secs(2);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(5);
/// Of statfs: locks there are another machine's word.
const NFS: i64 = 0x6969;

/// The folder, locked until this is dropped or the process ends.
#[derive(Debug)]
pub struct DataFolder {
    /// Held for its lock.
    _lock: File,
    /// This process.
    pub instance: Instance,
    /// The process that had the folder before; it is dead, or we would not have the lock.
    pub previous: Option<Instance>,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("{} is in use by another process: stop it, or use another folder", .0.display())]
    InUse(PathBuf),
    /// Its locks prove nothing.
    #[error("{} is on NFS, whose locks do not prove that another process is dead: use a local disk", .0.display())]
    Network(PathBuf),
    /// A file in it is not one of ours.
    #[error("{} does not hold the number of a process: is this another program's folder? Remove the file to start anew", .0.display())]
    Unreadable(PathBuf),
    /// It cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl DataFolder {
    /// Makes the folder if there is none, locks it, and notes this process in it. Waits for a process that is just ending.
    ///
    /// # Errors
    /// When it is in use, on NFS, or cannot be read and written.
    pub fn open(folder: &Path, instance: Instance) -> Result<Self, Error> {
        Self::open_within(folder, instance, ENDING, || sleep(LOOK))
    }

    /// `pause` comes between two looks whether the folder is free.
    fn open_within(
        folder: &Path,
        instance: Instance,
        patience: Duration,
        mut pause: impl FnMut(),
    ) -> Result<Self, Error> {
        let path = folder.join("instance");
        let io = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { doing, path, source }
        };
        std::fs::create_dir_all(folder).map_err(io("make the folder", folder))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io("open", &path))?;
        let system = fstatfs(&file).map_err(|error| io("look at", &path)(error.into()))?;
        if system.f_type == NFS {
            return Err(Error::Network(folder.to_owned()));
        }
        let begun = Moment::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) if begun.elapsed() < patience => pause(),
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::InUse(folder.to_owned())),
                Err(error) => return Err(io("lock", &path)(error.into())),
            }
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(io("read", &path))?;
        let previous = match text.trim() {
            // New, or a process that ended before it had written itself down: it had told nobody its number either.
            "" => None,
            text => Some(
                u128::from_str_radix(text, 16)
                    .map(Instance)
                    .map_err(|_| Error::Unreadable(path.clone()))?,
            ),
        };
        // Always as long as before, so that a write that is cut short is found out.
        file.rewind().map_err(io("write", &path))?;
        writeln!(file, "{instance}").map_err(io("write", &path))?;
        file.sync_all().map_err(io("write", &path))?;
        Ok(Self {
            _lock: file,
            instance,
            previous,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_process_knows_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("new");
        let first = DataFolder::open(&inner, Instance(1)).unwrap();
        assert_eq!(first.previous, None);
        // A second open of the file is another lock holder, as another process would be.
        let at_once = DataFolder::open_within(&inner, Instance(2), Duration::ZERO, || ());
        assert!(matches!(at_once, Err(Error::InUse(_))));
        drop(first);
        assert_eq!(
            DataFolder::open(&inner, Instance(2)).unwrap().previous,
            Some(Instance(1))
        );
    }

    #[test]
    fn a_process_that_is_just_ending_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Some(DataFolder::open(folder.path(), Instance(1)).unwrap());
        let mut looks = 0;
        let next = DataFolder::open_within(folder.path(), Instance(2), Duration::MAX, || {
            looks += 1;
            if looks == 3 {
                drop(first.take());
            }
        });
        assert_eq!((next.unwrap().previous, looks), (Some(Instance(1)), 3));
    }

    #[test]
    fn a_foreign_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("instance"), "hello").unwrap();
        assert!(matches!(
            DataFolder::open(folder.path(), Instance(2)),
            Err(Error::Unreadable(_))
        ));
        assert_eq!(
            std::fs::read_to_string(folder.path().join("instance")).unwrap(),
            "hello"
        );
    }
}
