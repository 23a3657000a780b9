//! When a producer's process dies, its GPU work may never signal what others wait for. A consumer of it signals instead,
//! for as long as any frame of the connection is held: also when the consumer itself is gone.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Weak};

use super::context::Context;
use super::service::{Next, Source, Turn};
use crate::error::Result;
use crate::os::clock::Deadline;
use crate::os::socket;
use crate::transport::ready::Watch;

/// How often to look whether anybody still holds a frame.
const LOOK_NS: u64 = 1_000_000_000;

struct Survivor {
    pidfd: OwnedFd,
    watch: Weak<Watch>,
    next: Deadline,
}

/// Signals for the process at the other end of `socket` when it is dead. A process that cannot be watched (of another PID
/// namespace) is only known by its socket: waits for its GPU work end by their own limit then.
pub fn look_after(context: &Context, socket: &OwnedFd, watch: &Arc<Watch>) -> Result<()> {
    let Some(pidfd) = socket::peer_pidfd(socket.as_fd()) else { return Ok(()) };
    let watch = Arc::downgrade(watch);
    let next = Deadline::after(LOOK_NS);
    context.watch(Box::new(Survivor { pidfd, watch, next }))?;
    Ok(())
}

impl Source for Survivor {
    fn fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    fn ready(&mut self, _turn: &mut Turn<'_>) -> Next {
        if let Some(watch) = self.watch.upgrade() {
            watch.release();
        }
        Next::Remove
    }

    fn deadline(&self) -> Deadline {
        self.next
    }

    fn expired(&mut self, _turn: &mut Turn<'_>) -> Next {
        self.next = Deadline::after(LOOK_NS);
        if self.watch.strong_count() == 0 { Next::Remove } else { Next::Keep }
    }
}
