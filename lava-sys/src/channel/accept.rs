//! Accepting connections on the service thread.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::service::{Next, Source, Turn};
use crate::os::clock::Deadline;
use crate::os::socket;

/// How long a listener rests when this process has no file descriptor left: it stays readable all the while.
const REST_NS: u64 = 50_000_000;

/// Most connections that are accepted in one turn: peers that connect without end must not keep the service thread here,
/// and what came with one connection is looked at before the next ones push it aside.
const AT_ONCE: usize = 16;

/// Accepts every connection at a listener and hands it on.
pub struct Acceptor<F> {
    listener: OwnedFd,
    /// What listens, for the log.
    what: String,
    hand_on: F,
    rest: Deadline,
}

impl<F: FnMut(OwnedFd, &mut Turn<'_>) + Send> Acceptor<F> {
    pub fn new(listener: OwnedFd, what: String, hand_on: F) -> Self {
        Self { listener, what, hand_on, rest: Deadline::NEVER }
    }
}

impl<F: FnMut(OwnedFd, &mut Turn<'_>) + Send> Source for Acceptor<F> {
    fn fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    fn ready(&mut self, turn: &mut Turn<'_>) -> Next {
        for _ in 0..AT_ONCE {
            match socket::accept(self.listener.as_fd()) {
                Ok(None) => return Next::Keep,
                Ok(Some(socket)) => (self.hand_on)(socket, turn),
                Err(error) => {
                    turn.log.error(|| format!("{}: {error}", self.what));
                    self.rest = Deadline::after(REST_NS);
                    return Next::Pause;
                }
            }
        }
        Next::Keep
    }

    fn deadline(&self) -> Deadline {
        self.rest
    }

    fn expired(&mut self, _turn: &mut Turn<'_>) -> Next {
        self.rest = Deadline::NEVER;
        Next::Keep
    }
}
