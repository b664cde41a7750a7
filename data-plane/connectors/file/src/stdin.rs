//! Standard input as a queue of blocks: one thread of the process reads it, because a read cannot be called off.

use bytes::Bytes;
use std::io::{self, Read};
use std::sync::Arc;
use tokio::sync::{Mutex, OnceCell, mpsc};

/// Bytes of one read; a terminal or pipe rarely gives more.
const BLOCK: usize = 64 << 10;

/// Blocks read ahead. One is enough to keep the reader busy while its predecessor is sent.
const READ_AHEAD: usize = 1;

/// A stream that is read once, by one task at a time.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// Closed at the end of the stream.
    pub(crate) blocks: mpsc::Receiver<io::Result<Bytes>>,
    /// Read by a task that was stopped before it sent it.
    pub(crate) held: Bytes,
}

impl Pipe {
    /// Reads `stream` on a thread of its own. The thread ends with the stream, or when the pipe is dropped and the read
    /// that it is in returns: nobody joins it, since on a terminal that may be never.
    pub(crate) fn new(mut stream: impl Read + Send + 'static) -> io::Result<Self> {
        let (sender, blocks) = mpsc::channel(READ_AHEAD);
        std::thread::Builder::new().name("dray-stdin".into()).spawn(move || {
            loop {
                let mut block = vec![0; BLOCK];
                let read = match stream.read(&mut block) {
                    Ok(0) => return,
                    Ok(length) => {
                        block.truncate(length);
                        Ok(Bytes::from(block))
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let failed = read.is_err();
                if sender.blocking_send(read).is_err() || failed {
                    return;
                }
            }
        })?;
        Ok(Self {
            blocks,
            held: Bytes::new(),
        })
    }
}

/// Global as standard input itself is: what a stopped task has read of it cannot be read again.
static STDIN: OnceCell<Arc<Mutex<Pipe>>> = OnceCell::const_new();

/// The pipe of the process's standard input.
pub(crate) async fn pipe() -> io::Result<Arc<Mutex<Pipe>>> {
    STDIN
        .get_or_try_init(|| async { Ok(Arc::new(Mutex::new(Pipe::new(io::stdin())?))) })
        .await
        .cloned()
}
