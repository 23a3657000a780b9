//! A context's presence socket: whoever knows its location can prove to reach it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::context::Context;
use super::link::{check_user, probe_answer};
use super::rendezvous::{self, Claim};
use super::service::{Next, Source, Turn};
use crate::error::Result;
use crate::os::clock::Deadline;
use crate::os::socket;
use crate::scope::Location;

/// Name of the socket file of a context; no channel has such a name.
pub fn file(context: u64) -> String {
    format!(".{context:016x}")
}

/// The socket file, as long as the context lives.
#[derive(Debug)]
pub struct Presence {
    claim: Claim,
}

impl Presence {
    pub fn start(context: &Context) -> Result<Self> {
        let (claim, listener) = rendezvous::claim(&context.directory, &file(context.id))?;
        context.watch(Box::new(Answerer {
            listener,
            location: context.location(),
            rest: Deadline::NEVER,
        }))?;
        Ok(Self { claim })
    }

    /// In a forked child: the file is the parent's.
    pub fn abandon(&mut self) {
        self.claim.abandon();
    }
}

/// Answers whoever connects with the location, at once, and hangs up.
struct Answerer {
    listener: OwnedFd,
    location: Location,
    rest: Deadline,
}

impl Source for Answerer {
    fn fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    fn ready(&mut self, turn: &mut Turn<'_>) -> Next {
        loop {
            match socket::accept(self.listener.as_fd()) {
                Ok(None) => return Next::Keep,
                Ok(Some(peer)) if check_user(peer.as_fd()).is_ok() => {
                    let answer = probe_answer(&self.location);
                    let _ = socket::send(peer.as_fd(), bytemuck::bytes_of(&answer), &[]);
                }
                Ok(Some(_)) => {}
                Err(error) => {
                    turn.log.error(|| format!("presence: {error}"));
                    self.rest = Deadline::after(50_000_000);
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
