//! Whose turn it is to write to a file that tasks of several processes append to: who has its lock (`flock`).
//!
//! A process that was stopped in the middle of a write keeps the lock for as long as it is stopped, and its successor, which writes to
//! the same file, must not wait for that. So the wait is bounded, and who has waited in vain goes on without the lock.

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// A write to the page cache takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two tries: the system has no wait for a lock that ends by itself.
const PAUSE: Duration = Duration::from_millis(1);

/// One task's turns.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Whoever has the lock has it for too long: it is tried and not waited for, until it is to be had again.
    stuck: bool,
}

impl Turn {
    /// Waits for the lock. False where it cannot be had, on a file system without locks or because its owner does not give it back.
    /// Blocks, for a second at most.
    pub(crate) fn take(&mut self, file: &File, path: &Path) -> bool {
        let until = Instant::now() + PATIENCE;
        loop {
            match flock(file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    self.stuck = false;
                    return true;
                }
                Err(Errno::WOULDBLOCK) => {}
                Err(Errno::INTR) => continue,
                Err(_) => return false,
            }
            if self.stuck {
                return false;
            }
            if Instant::now() >= until {
                tracing::warn!(file.path = %path.display(),
                    "another process has the file locked for more than {PATIENCE:?}, as one does that was stopped in the middle of a \
                     write: it is written to without the lock");
                self.stuck = true;
                return false;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Gives it to the next one.
    pub(crate) fn give(file: &File) -> io::Result<()> {
        Ok(flock(file, FlockOperation::Unlock)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Output;

    #[test]
    fn a_process_that_was_stopped_with_the_lock_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.txt");
        std::fs::write(&path, "whole\nha").unwrap();
        let stopped = File::open(&path).unwrap();
        flock(&stopped, FlockOperation::LockExclusive).unwrap();

        let mut output = Output::file(&path).unwrap();
        let since = Instant::now();
        for line in ["lf\n", "next\n"] {
            output.lines = line.into();
            output.write();
            output.outcome.as_ref().unwrap();
        }
        assert!(since.elapsed() < PATIENCE, "it has waited once, when it began");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\nha\nlf\nnext\n");

        let mut turn = Turn { stuck: true };
        let ours = File::open(&path).unwrap();
        assert!(!turn.take(&ours, &path));
        drop(stopped);
        assert!(turn.take(&ours, &path), "it is given back");
        assert!(!turn.stuck, "and waited for again");
        let other = File::open(&path).unwrap();
        assert!(!Turn { stuck: true }.take(&other, &path));
        Turn::give(&ours).unwrap();
        assert!(Turn { stuck: true }.take(&other, &path));
    }
}
