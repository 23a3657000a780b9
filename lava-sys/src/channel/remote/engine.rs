//! All remote connections of a context, and the port that they share. Under one lock; whoever has it makes progress for
//! all. Nothing here waits.

use std::any::Any;
use std::sync::{Arc, Weak};

use super::super::shared::{ChannelShared, Event};
use super::offering::Pending;
use super::peers::{Peers, Sign};
use super::progress::{Facts, Remote};
use super::receiver::{self, Receiver};
use super::round::Owner;
use super::seeking::Seeker;
use super::sender::{self, Sender};
use crate::error::{Error, Result};
use crate::os::exit;
use crate::transport::mpi::job::Job;
use crate::transport::mpi::mailbox::Mailbox;
use crate::transport::mpi::port::{Completion, Port, Request};
use crate::types::*;
use crate::wire::Message;
use crate::wire::remote::{self as letters, Address, kind};

/// What MPI may still use of a connection that is over.
pub(super) struct Remains {
    pub(super) requests: Vec<Request>,
    _keep: Box<dyn Any + Send>,
}

/// See the module. The port comes first: it ends before the memory that it uses.
pub struct Engine {
    pub(super) port: Box<dyn Port>,
    pub(super) mailbox: Mailbox,
    pub(super) senders: Vec<Sender>,
    pub(super) receivers: Vec<Receiver>,
    pub(super) remains: Vec<Remains>,
    pub(super) pending: Vec<Pending>,
    pub(super) seekers: Vec<Seeker>,
    pub(super) peers: Peers,
    pub(super) facts: Arc<Facts>,
    /// For what calls it from outside.
    pub(super) remote: Weak<Remote>,
    pub(super) job: Arc<Job>,
    next_key: u64,
    next_tag: i32,
    pub(super) requests: Vec<Request>,
    pub(super) owners: Vec<(Owner, usize)>,
    pub(super) done: Vec<Completion>,
    signs: Vec<Sign>,
    pub(super) rounds: u32,
    pub(super) held: u32,
    pub(super) turn_at: u64,
    /// No receives for letters are begun.
    pub(super) suspended: bool,
    /// MPI failed, or the application ended it: there are no remote peers any more.
    pub(super) failed: Option<Error>,
}

impl Engine {
    pub fn new(port: Box<dyn Port>, job: Arc<Job>, remote: &Arc<Remote>) -> Result<Self> {
        let facts = Arc::clone(remote.facts());
        let ranks = port.size();
        let mut engine = Self {
            peers: Peers::new(ranks),
            next_key: facts.location.context | 1,
            port,
            mailbox: Mailbox::new(ranks),
            senders: Vec::new(),
            receivers: Vec::new(),
            remains: Vec::new(),
            pending: Vec::new(),
            seekers: Vec::new(),
            facts,
            remote: Arc::downgrade(remote),
            job,
            next_tag: 2,
            requests: Vec::with_capacity(256),
            owners: Vec::with_capacity(64),
            done: Vec::with_capacity(256),
            signs: Vec::new(),
            rounds: 0,
            held: 0,
            turn_at: 0,
            suspended: false,
            failed: None,
        };
        engine.mailbox.post(&mut *engine.port)?;
        Ok(engine)
    }

    /// A number for a connection that no other of this engine ever has.
    pub(super) fn new_key(&mut self) -> u64 {
        self.next_key = self.next_key.wrapping_add(2);
        self.next_key
    }

    /// Two tags for a connection's messages to this process.
    pub(super) fn new_tag(&mut self) -> i32 {
        let tag = self.next_tag;
        let next = tag + 2;
        self.next_tag = if next + 1 >= self.port.tag_limit() { 2 } else { next };
        tag
    }

    /// True if a connection, one that begins, or a search needs progress.
    pub fn is_busy(&self) -> bool {
        !(self.senders.is_empty() && self.receivers.is_empty() && self.seekers.is_empty())
    }

    /// Receivers whose producer ended and that have everything.
    pub(super) fn end_receivers(&mut self) -> Result<()> {
        while let Some(at) = self.receivers.iter().position(Receiver::is_over) {
            let mut receiver = self.receivers.swap_remove(at);
            receiver.incoming.close();
            self.say(kind::BYE, receiver.incoming.peer(), receiver.peer_key, receiver.key)?;
            self.forget_receiver(receiver);
        }
        Ok(())
    }

    pub(super) fn forget_receiver(&mut self, receiver: Receiver) {
        self.peers.unwatch(receiver.incoming.peer());
        let (requests, keep) = receiver.incoming.remains();
        for request in &requests {
            self.port.cancel(*request);
        }
        self.keep(requests, keep);
    }

    fn keep(&mut self, requests: Vec<Request>, keep: Box<dyn Any + Send>) {
        if !requests.is_empty() {
            self.remains.push(Remains { requests, _keep: keep });
        }
    }

    /// A producer is gone, or was found to lie.
    pub(super) fn lose_receiver(&mut self, key: u64, lies: bool) {
        let Some(at) = self.receivers.iter().position(|one| one.key == key) else { return };
        let receiver = self.receivers.swap_remove(at);
        if lies {
            receiver.accuse();
            let _ = self.say(kind::BYE, receiver.incoming.peer(), receiver.peer_key, receiver.key);
        } else {
            receiver.lose();
        }
        self.forget_receiver(receiver);
    }

    /// A consumer is gone. What it had is free.
    pub(super) fn end_sender(&mut self, key: u64) {
        let Some(at) = self.senders.iter().position(|one| one.key == key) else { return };
        let sender = self.senders.swap_remove(at);
        sender.channel.post(Event::Gone { id: sender.id });
        self.facts.log.info(|| {
            format!("channel {}: remote consumer {} is gone", sender.channel.name, sender.id)
        });
        self.peers.unwatch(sender.outgoing.peer());
        let (requests, keep) = sender.outgoing.remains();
        self.keep(requests, keep);
    }

    /// Sends a message that says everything by its kind.
    pub(super) fn say(&mut self, kind: u16, rank: i32, to: u64, from: u64) -> Result<()> {
        let head = letters::RemotePlain::make_head(kind, 0);
        let plain = letters::RemotePlain { head, address: Address { to, from } };
        self.mailbox.send(&mut *self.port, rank, bytemuck::bytes_of(&plain))
    }

    /// What needs no hurry.
    pub(super) fn turn(&mut self, now: u64) -> Result<()> {
        self.mailbox.look_at_all();
        self.look_at_senders()?;
        self.look_at_receivers()?;
        self.pending.retain(|one| !one.deadline.passed());
        if exit::has_begun() {
            // The plug-in now waits for all ranks to end, however long they work, but not for a dead one.
            self.peers.watch_all(self.port.rank());
        }
        let mut signs = std::mem::take(&mut self.signs);
        self.peers.turn(now, &mut signs);
        for sign in signs.drain(..) {
            match sign {
                Sign::Beat(rank) => self.say(kind::BEAT, rank, 0, 0)?,
                Sign::Ask(rank) => self.say(kind::ASK, rank, 0, 0)?,
                Sign::Lost(rank) => self.lose_rank(rank),
            }
        }
        self.signs = signs;
        Ok(())
    }

    fn look_at_senders(&mut self) -> Result<()> {
        let mut over = Vec::new();
        for sender in &mut self.senders {
            let ended = match sender.look(&self.facts.memory) {
                Ok(sender::Said::Nothing) => sender.outgoing.is_closed(),
                Ok(sender::Said::End) => true,
                Err(error) => {
                    self.facts.log.error(|| format!("channel {}: {error}", sender.channel.name));
                    true
                }
            };
            if !ended || sender.closed {
                continue;
            }
            if !sender.outgoing.is_closed() {
                over.push((sender.key, sender.outgoing.peer(), sender.peer_key));
            } else if sender.outgoing.is_drained() || sender.detached {
                sender.closed = true;
                let head = letters::RemoteClose::make_head(kind::CLOSE, 0);
                let address = Address { to: sender.peer_key, from: sender.key };
                let close = letters::RemoteClose { head, address, lines: sender.outgoing.lines() };
                let bytes = bytemuck::bytes_of(&close);
                self.mailbox.send(&mut *self.port, sender.outgoing.peer(), bytes)?;
            }
        }
        for (key, rank, peer_key) in over {
            self.end_sender(key);
            self.say(kind::BYE, rank, peer_key, key)?;
        }
        Ok(())
    }

    fn look_at_receivers(&mut self) -> Result<()> {
        let mut told = Vec::new();
        for receiver in &mut self.receivers {
            let kind = match receiver.look() {
                Ok(receiver::Said::Nothing) => continue,
                Ok(receiver::Said::Left) => kind::DETACH,
                Ok(receiver::Said::End) => kind::BYE,
                Err(error) => {
                    self.facts.log.error(|| format!("a remote connection ends: {error}"));
                    kind::BYE
                }
            };
            told.push((kind, receiver.key, receiver.peer_key, receiver.incoming.peer()));
        }
        for (kind, key, peer_key, rank) in told {
            self.say(kind, rank, peer_key, key)?;
            if kind == kind::BYE
                && let Some(at) = self.receivers.iter().position(|one| one.key == key)
            {
                let receiver = self.receivers.swap_remove(at);
                self.forget_receiver(receiver);
            }
        }
        Ok(())
    }

    /// A rank is silent for too long, or dead.
    fn lose_rank(&mut self, rank: i32) {
        let what = || {
            format!(
                "rank {rank} is lost: it was silent for {} s",
                super::peers::LOST_NS / 1_000_000_000
            )
        };
        self.facts.log.warn(what);
        self.port.abandon();
        self.pending.retain(|one| one.rank != rank);
        let (requests, keep) = self.mailbox.forget(rank);
        self.keep(requests, keep);
        let all = |engine: &Self| -> Vec<(u64, bool)> {
            let senders = engine.senders.iter().filter(|one| one.outgoing.peer() == rank);
            let receivers = engine.receivers.iter().filter(|one| one.incoming.peer() == rank);
            let senders = senders.map(|one| (one.key, true));
            senders.chain(receivers.map(|one| (one.key, false))).collect()
        };
        for (key, sends) in all(self) {
            if sends { self.end_sender(key) } else { self.lose_receiver(key, false) }
        }
    }

    /// MPI cannot be used any more: every remote peer is gone.
    pub(super) fn fail(&mut self, error: Error) {
        self.facts.log.error(|| format!("MPI cannot be used any more: {error}"));
        self.failed = Some(error);
        self.pending.clear();
        for receiver in std::mem::take(&mut self.receivers) {
            receiver.lose();
            self.forget_receiver(receiver);
        }
        for key in self.senders.iter().map(|one| one.key).collect::<Vec<_>>() {
            self.end_sender(key);
        }
    }

    /// The live channel of a name.
    pub(super) fn channel(&self, name: &str) -> Option<Arc<ChannelShared>> {
        let channels = super::super::service::lock(&self.facts.channels);
        channels.iter().filter_map(std::sync::Weak::upgrade).find(|one| one.name.as_str() == name)
    }
}

pub(super) fn protocol(what: String) -> Error {
    Error::new(LAVA_ERROR_PROTOCOL, what)
}
