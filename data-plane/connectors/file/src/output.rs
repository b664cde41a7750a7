//! The file or stream that a sink task appends to. Blocking.

use crate::turn::Turn;
use dray_connect::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Where lines go.
#[derive(Debug)]
enum Target {
    File { file: File, path: PathBuf, turn: Turn },
    Stdout,
}

/// Appends whole batches of lines and makes them durable.
#[derive(Debug)]
pub(crate) struct Output {
    target: Target,
    /// The lines of the batch that is being written.
    pub(crate) lines: Vec<u8>,
    /// Whether something was written since the last sync.
    dirty: bool,
    /// After a failure nothing is confirmed any more: the kernel reports a lost page once and then forgets it.
    broken: bool,
    /// What became of the last call.
    pub(crate) outcome: Result<()>,
}

impl Output {
    /// Opens `path` for appending and creates it if it is not there.
    pub(crate) fn file(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        let mut turn = Turn::default();
        end_last_line(&mut file, path, &mut turn)?;
        // A new file is durable once its directory is; where directories cannot be synced there is nothing to do.
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        if let Err(error) = File::open(parent).and_then(|directory| directory.sync_all()) {
            tracing::debug!(file.path = %parent.display(), %error, "could not sync the directory");
        }
        Ok(Self::new(Target::File {
            file,
            path: path.into(),
            turn,
        }))
    }

    /// Standard output, which is never closed and never synced.
    pub(crate) fn stdout() -> Self {
        Self::new(Target::Stdout)
    }

    fn new(target: Target) -> Self {
        Self {
            target,
            lines: Vec::new(),
            dirty: false,
            broken: false,
            outcome: Ok(()),
        }
    }

    /// Writes `lines` and empties them. Fails for ever after a failure.
    pub(crate) fn write(&mut self) {
        if self.broken {
            self.outcome = Err(self.failed("write to", "", io::Error::other("an earlier write or sync failed")));
            return;
        }
        let written = match &mut self.target {
            Target::File { file, path, turn } => append(file, path, turn, &self.lines),
            Target::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout
                    .write_all(&self.lines)
                    .and_then(|()| stdout.flush())
                    .map_err(|error| (error, ""))
            }
        };
        self.lines.clear();
        self.dirty = true;
        self.outcome = written.map_err(|(error, note)| self.failed("write to", note, error));
    }

    /// Makes everything durable that was written. Fails for ever after a failure.
    pub(crate) fn sync(&mut self) {
        if self.broken {
            let error = io::Error::other("an earlier write or sync failed");
            self.outcome = Err(self.failed("sync", "", error));
            return;
        }
        if !self.dirty {
            self.outcome = Ok(());
            return;
        }
        let synced = match &self.target {
            Target::File { file, .. } => match file.sync_data() {
                // Pipes and devices have nothing to sync.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
                other => other,
            },
            Target::Stdout => Ok(()),
        };
        self.dirty = synced.is_err();
        self.outcome = synced.map_err(|error| self.failed("sync", "", error));
    }

    fn failed(&mut self, doing: &str, note: &str, cause: io::Error) -> Error {
        self.broken = true;
        let target = match &self.target {
            Target::File { path, .. } => format!("'{}'", path.display()),
            Target::Stdout => "stdout".into(),
        };
        Error::connect(format!("could not {doing} {target}{note}")).with_source(cause)
    }
}

/// A process that was killed in the middle of a write leaves the beginning of a line. Its record was not committed and
/// comes again, whole; without a line end between them both would be one wrong line. Nothing is taken away, because the
/// text may be somebody else's.
fn end_last_line(file: &mut File, path: &Path, turn: &mut Turn) -> io::Result<()> {
    if !file.metadata()?.is_file() {
        return Ok(());
    }
    // Another task of the same connector may be in the middle of a write.
    let locked = turn.take(file, path);
    let ended = end_unlocked(file, path);
    if locked {
        Turn::give(file)?;
    }
    ended
}

fn end_unlocked(file: &mut File, path: &Path) -> io::Result<()> {
    // A file that we may write but not read is left as it is.
    let (length, Ok(reader)) = (file.metadata()?.len(), File::open(path)) else {
        return Ok(());
    };
    let mut last = [b'\n'];
    if length > 0 {
        reader.read_exact_at(&mut last, length - 1)?;
    }
    if last != *b"\n" {
        tracing::warn!(file.path = %path.display(), "the file ends in the middle of a line; it is ended");
        file.write_all(b"\n")?;
    }
    Ok(())
}

/// Appends all bytes or, where that can be done, none. The file's lock keeps other tasks of the same connector, which
/// append to the same file, out between a short write and its end or its undoing.
fn append(file: &mut File, path: &Path, turn: &mut Turn, bytes: &[u8]) -> Result<(), (io::Error, &'static str)> {
    let locked = turn.take(file, path);
    let result = append_locked(file, bytes, locked);
    if locked && let Err(error) = Turn::give(file) {
        return result.and(Err((error, "")));
    }
    result
}

fn append_locked(file: &mut File, bytes: &[u8], locked: bool) -> Result<(), (io::Error, &'static str)> {
    let before = file.metadata().map_err(|error| (error, ""))?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let error = match file.write(rest) {
            Ok(0) => io::ErrorKind::WriteZero.into(),
            Ok(written) => {
                rest = &rest[written..];
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => error,
        };
        let written = (bytes.len() - rest.len()) as u64;
        if written == 0 {
            return Err((error, ""));
        }
        // Only what is ours is taken back: without the lock, or if somebody else has appended, the part stays.
        let ours = locked
            && before.is_file()
            && file.metadata().is_ok_and(|after| after.len() == before.len() + written)
            && file.set_len(before.len()).is_ok();
        return Err((
            error,
            if ours {
                "; the part that was written was taken back"
            } else {
                "; a part was written"
            },
        ));
    }
    Ok(())
}
