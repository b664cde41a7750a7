//! How much has to be there before a reader is woken (`SO_RCVLOWAT`, socket(7)). A large answer comes in pieces of some 64 KB, and of
//! thousands of small ones each comes by itself: to be woken for each costs more than to copy it. tokio has no call for this, hence the
//! `unsafe` here.

use std::os::fd::{AsRawFd as _, OwnedFd};

/// Less than this is not waited for.
const LEAST: usize = 64 << 10;
/// Nor more: the sender goes on while this is read.
const MOST: usize = 256 << 10;

/// The mark of one socket.
#[derive(Debug)]
pub(super) struct LowWater {
    socket: Option<OwnedFd>,
    now: libc::c_int,
}

impl LowWater {
    /// Of a socket; without one nothing is ever set.
    pub(super) fn new(socket: Option<OwnedFd>) -> Self {
        Self { socket, now: 1 }
    }

    /// So much is missing of the answer that has begun: its reader is woken when that is there, or enough of it.
    pub(super) fn set(&mut self, missing: usize) {
        self.at(if missing < LEAST { 1 } else { missing });
    }

    /// Its reader is woken when so much is there. Whoever calls sees to it that it comes, or calls again. False without a socket.
    pub(super) fn at(&mut self, bytes: usize) -> bool {
        let at = bytes.clamp(1, MOST) as libc::c_int;
        let Some(socket) = &self.socket else { return false };
        if at == self.now {
            return true;
        }
        // SAFETY: the descriptor is open, as it is owned; the option is an int, which outlives the call. A failure changes nothing: the
        // reader is woken as before.
        let set = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVLOWAT,
                (&raw const at).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if set == 0 {
            self.now = at;
        }
        set == 0
    }
}
