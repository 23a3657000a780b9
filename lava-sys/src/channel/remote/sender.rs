//! The producer's side of one remote connection.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::super::link::{exactly_one, protocol};
use super::super::peer_memory::map_buffer;
use super::super::shared::{ChannelShared, Event, Place};
use crate::error::Result;
use crate::memory::MemoryContext;
use crate::os::socket::{self, Received};
use crate::transport::mpi::outgoing::Outgoing;
use crate::wire::{self, Message, kind};

/// See the module.
pub struct Sender {
    /// This engine's number of the connection, and the peer's.
    pub key: u64,
    pub peer_key: u64,
    pub outgoing: Outgoing,
    pub channel: Arc<ChannelShared>,
    /// The connection's number in its channel.
    pub id: u64,
    /// What the producer uses as the consumer's socket has its other end here.
    pub socket: OwnedFd,
    /// The consumer's handle is gone: it gets nothing more.
    pub detached: bool,
    /// The end was told.
    pub closed: bool,
    pub _place: Place,
}

/// What the producer's socket said.
pub enum Said {
    Nothing,
    /// The producer is gone or cut this consumer off.
    End,
}

impl Sender {
    /// Takes in what the producer passed over the socket.
    pub fn look(&mut self, memory: &MemoryContext) -> Result<Said> {
        loop {
            let mut buffer = [0; wire::MESSAGE_MAX];
            match socket::receive(self.socket.as_fd(), &mut buffer)? {
                Received::Nothing => return Ok(Said::Nothing),
                Received::End => return Ok(Said::End),
                Received::Damaged(what) => return Err(protocol(what.into())),
                Received::Message { size, descriptors } => {
                    self.take_message(&buffer[..size], descriptors, memory)?;
                }
            }
        }
    }

    fn take_message(
        &mut self,
        message: &[u8],
        fds: Vec<OwnedFd>,
        memory: &MemoryContext,
    ) -> Result<()> {
        let buffer =
            wire::Buffer::decode(message, &[kind::BUFFER, kind::RETIRE]).map_err(protocol)?;
        if buffer.head.kind == kind::RETIRE {
            self.outgoing.buffers.remove(&buffer.id);
            return Ok(());
        }
        let mapped = map_buffer(&buffer, exactly_one(fds)?, memory)?;
        self.outgoing.buffers.insert(buffer.id, Arc::new(mapped));
        Ok(())
    }

    /// The consumer's handle is gone; what it holds comes back later.
    pub fn detach(&mut self) {
        if !std::mem::replace(&mut self.detached, true) {
            let consumed = self.outgoing.position();
            self.channel.post(Event::Detached { id: self.id, consumed });
        }
    }
}
