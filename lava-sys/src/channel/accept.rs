//! Accepting connections on the service thread.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::service::{Next, Source, Turn};
use crate::os::clock::Deadline;
use crate::os::socket;

/// How long a listener rests when this process has no file descriptor left: it stays readable all the while.
const REST_NS: u64 = 50_000_000;

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
        loop {
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
    }

    fn deadline(&self) -> Deadline {
        self.rest
    }

    fn expired(&mut self, _turn: &mut Turn<'_>) -> Next {
        self.rest = Deadline::NEVER;
        Next::Keep
    }
}
