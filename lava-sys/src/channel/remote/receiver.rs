//! The consumer's side of one remote connection.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::super::link::{exactly_one, protocol};
use crate::error::Result;
use crate::os::socket::{self, Received};
use crate::transport::event::EventSlot;
use crate::transport::mpi::incoming::Incoming;
use crate::wire::remote::RemoteAttach;
use crate::wire::{self, Message, kind};

/// See the module.
pub struct Receiver {
    /// This engine's number of the connection, and the peer's.
    pub key: u64,
    pub peer_key: u64,
    pub incoming: Incoming,
    /// What the consumer uses as the producer's socket has its other end here.
    pub socket: OwnedFd,
    pub event: Arc<EventSlot>,
    /// What the producer is to confirm.
    pub attach: RemoteAttach,
    /// The producer confirmed the connection.
    pub ready: bool,
    /// The producer ended after as many descriptors.
    pub ends_at: Option<u64>,
}

/// What the consumer's socket said.
pub enum Said {
    Nothing,
    /// The handle is gone; frames may still be held.
    Left,
    /// The handle is gone and no frame is held.
    End,
}

impl Receiver {
    /// Takes in what the consumer said over the socket.
    pub fn look(&mut self) -> Result<Said> {
        let mut said = Said::Nothing;
        loop {
            let mut buffer = [0; 256];
            match socket::receive(self.socket.as_fd(), &mut buffer)? {
                Received::Nothing => return Ok(said),
                Received::End => return Ok(Said::End),
                Received::Damaged(what) => return Err(protocol(what.into())),
                Received::Message { size, descriptors } => {
                    if let Some(consumed) = self.take_message(&buffer[..size], descriptors)? {
                        self.incoming.detach(consumed);
                        said = Said::Left;
                    }
                }
            }
        }
    }

    fn take_message(&mut self, message: &[u8], fds: Vec<OwnedFd>) -> Result<Option<u64>> {
        if message.len() == size_of::<wire::Detach>() {
            let detach = wire::Detach::decode(message, &[kind::DETACH]).map_err(protocol)?;
            return Ok(Some(detach.consumed));
        }
        wire::Plain::decode(message, &[kind::EVENT]).map_err(protocol)?;
        self.event.fill(exactly_one(fds)?);
        Ok(None)
    }

    /// True if the producer ended and everything came.
    pub fn is_over(&self) -> bool {
        self.ends_at.is_some_and(|end| self.incoming.lines() >= end)
    }

    /// The producer is gone: the consumer's service thread sees its socket end.
    pub fn lose(&self) {
        socket::shutdown(self.socket.as_fd());
    }

    /// The producer broke the protocol: as [`Self::lose`], with that reason.
    pub fn accuse(&self) {
        let message = wire::Plain { head: wire::Plain::make_head(kind::BROKEN, 0) };
        let _ = socket::send(self.socket.as_fd(), bytemuck::bytes_of(&message), &[]);
    }
}
