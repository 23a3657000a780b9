//! A context's presence socket: whoever knows its location can prove to reach it.

use std::os::fd::{AsFd, OwnedFd};

use super::accept::Acceptor;
use super::context::Context;
use super::link::{check_user, probe_answer};
use super::rendezvous::{self, Claim};
use super::service::Source;
use crate::error::Result;
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
        context.watch(answerer(listener, context.location()))?;
        Ok(Self { claim })
    }

    /// In a forked child: the file is the parent's.
    pub fn abandon(&mut self) {
        self.claim.abandon();
    }
}

/// Answers whoever connects with the location, at once, and hangs up.
fn answerer(listener: OwnedFd, location: Location) -> Box<dyn Source> {
    Box::new(Acceptor::new(listener, "presence".into(), move |peer, _turn| {
        if check_user(peer.as_fd()).is_ok() {
            let answer = probe_answer(&location);
            let _ = socket::send(peer.as_fd(), bytemuck::bytes_of(&answer), &[]);
        }
    }))
}
