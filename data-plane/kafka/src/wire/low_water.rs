//! How much of an answer has to be there before its reader is woken (`SO_RCVLOWAT`, socket(7)). A large answer comes in pieces of some
//! 64 KB, and to be woken for each costs more than to copy it. tokio has no call for this, hence the `unsafe` here.

use std::os::fd::{AsRawFd as _, OwnedFd};

/// Less than this is not waited for.
const LEAST: usize = 64 << 10;
/// Nor more: the sender goes on while this is read.
const MOST: usize = 256 << 10;

/// The mark of one socket.
#[derive(Debug)]
pub(super) struct LowWater {
    socket: Option<OwnedFd>,
    at: libc::c_int,
}

impl LowWater {
    /// Of a socket; without one nothing is ever set.
    pub(super) fn new(socket: Option<OwnedFd>) -> Self {
        Self { socket, at: 1 }
    }

    /// So much is missing of the answer that has begun: its reader is woken when that is there, or enough of it.
    pub(super) fn set(&mut self, missing: usize) {
        let at = if missing < LEAST {
            1
        } else {
            missing.min(MOST) as libc::c_int
        };
        let Some(socket) = self.socket.as_ref().filter(|_| at != self.at) else {
            return;
        };
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
            self.at = at;
        }
    }
}
