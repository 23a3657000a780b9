//! What engines tell each other: each message goes to the connection or the search that it is for.

use super::engine::{Engine, protocol};
use super::receiver::Receiver;
use super::sender::Sender;
use crate::error::Result;
use crate::types::LAVA_ERROR_PROTOCOL;
use crate::wire::remote::{self as letters, Address, kind};
use crate::wire::{Head, Message};

impl Engine {
    pub(super) fn take_letter(&mut self, from: i32, bytes: &[u8]) -> Result<()> {
        let head: Option<Head> = bytes
            .get(..size_of::<Head>())
            .and_then(|head| bytemuck::try_pod_read_unaligned(head).ok());
        let kind = head.map_or(0, |head| head.kind);
        let result = match kind {
            kind::HELLO => self.hello(from, bytes),
            kind::WELCOME => self.welcome(from, bytes),
            kind::ATTACH => self.attach(from, bytes),
            kind::ACK => self.ack(from, bytes),
            kind::CLOSE => self.close(from, bytes),
            _ => self.plain(from, kind, bytes),
        };
        match result {
            Err(error) if error.status == LAVA_ERROR_PROTOCOL => {
                self.facts.log.warn(|| format!("a message of rank {from}: {error}"));
                Ok(())
            }
            other => other,
        }
    }

    fn ack(&mut self, from: i32, bytes: &[u8]) -> Result<()> {
        let ack = letters::Ack::decode_short(bytes).map_err(protocol)?;
        let Some(sender) = self.sender(from, ack.address) else { return Ok(()) };
        let taken = sender.outgoing.acknowledged(&ack);
        if taken.is_err() {
            let (key, peer, peer_key) = (sender.key, sender.outgoing.peer(), sender.peer_key);
            self.end_sender(key);
            self.say(kind::BYE, peer, peer_key, key)?;
            return Err(protocol("an acknowledgement that does not fit".into()));
        }
        Ok(())
    }

    fn close(&mut self, from: i32, bytes: &[u8]) -> Result<()> {
        let close = letters::RemoteClose::decode(bytes, &[kind::CLOSE]).map_err(protocol)?;
        if let Some(receiver) = self.receiver(from, close.address) {
            receiver.ends_at = Some(close.lines);
        } else {
            self.say(kind::BYE, from, close.address.from, close.address.to)?;
        }
        Ok(())
    }

    fn plain(&mut self, from: i32, kind: u16, bytes: &[u8]) -> Result<()> {
        let kinds = [kind::READY, kind::DETACH, kind::BYE, kind::BEAT, kind::ASK];
        let plain = letters::RemotePlain::decode(bytes, &kinds).map_err(protocol)?;
        let address = plain.address;
        match kind {
            kind::READY => {
                if let Some(receiver) = self.receiver(from, address) {
                    receiver.ready = true;
                }
            }
            kind::ASK => self.say(kind::BEAT, from, 0, 0)?,
            kind::DETACH => {
                if let Some(sender) = self.sender(from, address) {
                    sender.detach();
                }
            }
            kind::BYE => {
                if self.receiver(from, address).is_some() {
                    self.lose_receiver(address.to, false);
                } else if self.sender(from, address).is_some() {
                    self.end_sender(address.to);
                } else {
                    self.pending.retain(|one| !(one.key == address.to && one.rank == from));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The connection that a message is for: it must come from the other end's rank.
    fn sender(&mut self, from: i32, address: Address) -> Option<&mut Sender> {
        let fits = |one: &&mut Sender| one.key == address.to && one.outgoing.peer() == from;
        self.senders.iter_mut().find(fits)
    }

    fn receiver(&mut self, from: i32, address: Address) -> Option<&mut Receiver> {
        let fits = |one: &&mut Receiver| one.key == address.to && one.incoming.peer() == from;
        self.receivers.iter_mut().find(fits)
    }
}
