//! Follows one file by its name: opens it, reads blocks, and notices truncation, deletion and replacement. Blocking: the thread of the
//! crew waits for the disk, which costs less than handing each block to another thread, and is replaced if the disk hangs.

use crate::watch::Watch;
use bytes::Bytes;
use dray_connect::{Error, Result};
use rustix::fs::OFlags;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// Bytes of one read: large enough that what a read costs beside the bytes is little, small enough that they are still in the core's own
/// cache when they are cut into lines and copied into a batch.
pub(crate) const BLOCK: usize = 128 << 10;

/// A replaced file is left only after it has not grown for so long: its writer may not have opened the new one yet.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// What a look at the file found.
#[derive(Debug)]
pub(crate) enum Look {
    /// There is no file of that name.
    Missing,
    /// What was held back and new bytes behind it.
    Block(Bytes),
    /// Nothing new.
    End,
    /// Reading goes on at position 0: the file was truncated, or another one has its name now.
    Restarted,
}

/// The file that has, or had, the name.
#[derive(Debug)]
struct Opened {
    file: File,
    identity: (u64, u64),
    /// Since when another file has had its name while this one had nothing new.
    replaced: Option<Instant>,
}

/// Follows the file.
#[derive(Debug)]
pub(crate) struct Input {
    path: PathBuf,
    opened: Option<Opened>,
    /// Where the next block starts.
    position: u64,
    /// Whether it was already said that the file is not there.
    missed: bool,
    news: Arc<Notify>,
    watch: Option<Watch>,
    /// Whether it was already said that there is no watch.
    unwatched: bool,
}

impl Input {
    /// Reads from `position` once there is a file. `news` is notified when a look is worth it.
    pub(crate) fn new(path: PathBuf, position: u64, news: Arc<Notify>) -> Self {
        Self {
            path,
            opened: None,
            position,
            missed: false,
            news,
            watch: None,
            unwatched: false,
        }
    }

    /// Looks for new bytes behind what is held back.
    pub(crate) fn look(&mut self, held: &[u8], now: Instant) -> Result<Look> {
        // Before the look: what is written after it must be news.
        self.ensure_watch();
        self.look_at_file(held, now).map_err(|error| {
            let (path, position) = (self.path.display(), self.position);
            Error::connect(format!("could not read '{path}' at position {position}")).with_source(error)
        })
    }

    fn ensure_watch(&mut self) {
        if self.watch.is_some() {
            return;
        }
        match Watch::new(&self.path, self.news.clone()) {
            Ok(watch) => self.watch = Some(watch),
            Err(error) if self.unwatched => debug!(file.path = %self.path.display(), %error, "still not watching file"),
            Err(error) => {
                self.unwatched = true;
                warn!(file.path = %self.path.display(), %error, "cannot watch file; new lines may take a second");
            }
        }
    }

    fn look_at_file(&mut self, held: &[u8], now: Instant) -> io::Result<Look> {
        let mut opened = match self.opened.take() {
            Some(opened) => opened,
            None => match self.open()? {
                Some(opened) => opened,
                None => return Ok(Look::Missing),
            },
        };
        let look = self.look_at(&mut opened, held, now);
        if !matches!(look, Ok(Look::Restarted)) || opened.replaced.is_none() {
            self.opened = Some(opened);
        }
        look
    }

    fn look_at(&mut self, opened: &mut Opened, held: &[u8], now: Instant) -> io::Result<Look> {
        let size = opened.file.metadata()?.len();
        if size < self.position {
            // What was there is gone, and what is there now was not read: only position 0 loses none of it. The same
            // holds for a stored position beyond the end, which a file has that was truncated or replaced while nobody
            // looked. Waiting until it has grown past the position would skip everything before. A file that was truncated
            // and has grown past the position between two looks cannot be told from one that has only grown.
            warn!(
                file.path = %self.path.display(), file.position = self.position, file.size = size,
                "file is shorter than the position; it is read again from its start"
            );
            self.position = 0;
            opened.replaced = None;
            return Ok(Look::Restarted);
        }
        if size > self.position {
            opened.replaced = None;
            return self.read(&opened.file, size - self.position, held);
        }
        let replaced = match std::fs::metadata(&self.path) {
            Ok(metadata) => identity(&metadata) != opened.identity,
            // Deleted: whoever writes to it may go on, so it stays open until another one has its name.
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if !replaced {
            opened.replaced = None;
            return Ok(Look::End);
        }
        if now.saturating_duration_since(*opened.replaced.get_or_insert(now)) < GRACE {
            return Ok(Look::End);
        }
        // Connect's offset is a position and names no file, so until the first record of the new file is committed, a
        // restart takes the old position for one in the new file.
        info!(file.path = %self.path.display(), file.position = self.position, "file was replaced; the new one is read");
        self.position = 0;
        Ok(Look::Restarted)
    }

    /// Reads behind what is held back. The longer that is, the more is read, so that a long line is copied a few times
    /// and not once a block.
    fn read(&mut self, file: &File, available: u64, held: &[u8]) -> io::Result<Look> {
        let wanted = usize::try_from(available)
            .unwrap_or(usize::MAX)
            .min(held.len().max(BLOCK));
        let mut block = Vec::with_capacity(held.len() + wanted);
        block.extend_from_slice(held);
        // One read may be short; the rest comes with the next look.
        let got = loop {
            match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut block), self.position) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?,
            }
        };
        if got == 0 {
            return Ok(Look::End);
        }
        self.position += got as u64;
        Ok(Look::Block(block.into()))
    }

    fn open(&mut self) -> io::Result<Option<Opened>> {
        // Without NONBLOCK the open of a named pipe would wait for its writer.
        let flags = OFlags::NONBLOCK.bits() as i32;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !self.missed {
                    warn!(file.path = %self.path.display(), "could not find file; waiting for it to be created");
                }
                self.missed = true;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other(
                "not a regular file, so it has no positions to resume at",
            ));
        }
        self.missed = false;
        info!(file.path = %self.path.display(), file.position = self.position, "opened file for reading");
        Ok(Some(Opened {
            file,
            identity: identity(&metadata),
            replaced: None,
        }))
    }
}

/// Device and inode. An inode cannot be given to another file while this one is open.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
