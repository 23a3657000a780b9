//! All remote connections of a context, and the port that they share. Under one lock; whoever has it makes progress for
//! all. Nothing here waits.

use std::any::Any;
use std::sync::{Arc, Weak};

use super::super::shared::{ChannelShared, Event};
use super::offering::Pending;
use super::peers::{Peers, Sign};
use super::progress::{Facts, Remote};
use super::receiver::{self, Receiver};
use super::seeking::Seeker;
use super::sender::{self, Sender};
use crate::error::{Error, Result};
use crate::os::clock::now_ns;
use crate::transport::mpi::job::Job;
use crate::transport::mpi::mailbox::Mailbox;
use crate::transport::mpi::port::{Completion, Port, Request};
use crate::types::*;
use crate::wire::Message;
use crate::wire::remote::{self as letters, Address, kind};

/// Between two looks at sockets, silent peers and deadlines.
const TURN_NS: u64 = 1_000_000;
/// Rounds between two readings of the clock: it costs a good part of a round.
const ROUNDS: u32 = 32;
/// Rounds between two looks at what nobody waits for: letters, and messages that were sent.
const FEW: u32 = 4;
/// Looks at the frames that somebody waits for, in one round.
const LOOKS: u32 = 2;
/// Frames that are held back between two looks at letters.
const HELD: u32 = 8;

/// What a thread that makes progress waits for: that is looked at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Frames from other hosts.
    Frames,
    /// What consumers of other hosts give back.
    Room,
    /// Everything: rounds are few.
    All,
}

/// Whose message a request is.
#[derive(Clone, Copy)]
enum Owner {
    Mailbox,
    Sender(usize),
    Receiver(usize),
    Remains(usize),
}

/// What MPI may still use of a connection that is over.
pub(super) struct Remains {
    requests: Vec<Request>,
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
    requests: Vec<Request>,
    owners: Vec<(Owner, usize)>,
    done: Vec<Completion>,
    signs: Vec<Sign>,
    rounds: u32,
    held: u32,
    turn_at: u64,
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

    /// The producer of this connection has something to send. True if MPI has still to work for it.
    pub fn send_now(&mut self, key: u64) -> bool {
        let port = &mut *self.port;
        let Some(sender) = self.senders.iter_mut().find(|one| one.key == key) else { return false };
        if sender.detached {
            return false;
        }
        let sent = sender.outgoing.called(port);
        let (sending, holds) = (sender.outgoing.is_sending(), sender.outgoing.holds_back());
        match sent.and_then(|_| if holds { self.hold(key) } else { Ok(()) }) {
            Ok(()) => sending || holds,
            Err(error) => {
                self.fail(error);
                false
            }
        }
    }

    /// A producer sends frames that are held back until an earlier message has come: looks for that at times.
    fn hold(&mut self, key: u64) -> Result<()> {
        self.held += 1;
        if !self.held.is_multiple_of(HELD) {
            return Ok(());
        }
        self.requests.clear();
        self.owners.clear();
        self.mailbox.requests(&mut self.requests, false);
        self.owners.push((Owner::Mailbox, self.requests.len()));
        if self.test_requests()? && self.read_letters()? {
            let sender = self.senders.iter_mut().find(|one| one.key == key);
            sender.map_or(Ok(false), |one| one.outgoing.called(&mut *self.port))?;
        }
        Ok(())
    }

    /// One round for everybody. `called`: a producer called in vain while somebody else had the lock. True if something
    /// happened.
    pub fn progress(&mut self, called: bool, wanted: Wanted) -> bool {
        if self.failed.is_some() {
            return false;
        }
        match self.round(called, wanted) {
            Ok(busy) => busy,
            Err(error) => {
                self.fail(error);
                false
            }
        }
    }

    fn round(&mut self, called: bool, wanted: Wanted) -> Result<bool> {
        if called {
            self.pump()?;
        }
        self.rounds = self.rounds.wrapping_add(1);
        let all = wanted == Wanted::All || self.rounds.is_multiple_of(FEW);
        let letters = all || wanted == Wanted::Room || self.receivers.is_empty();
        let mut busy = self.test(letters, all)?;
        for _ in 0..if letters { 0 } else { LOOKS } {
            // The same requests again, before everything else that a round has to do.
            if busy {
                break;
            }
            busy = self.test_requests()?;
        }
        let came = self.take_frames()?;
        if came && wanted == Wanted::Frames && !all {
            // Whoever waits has its frame: the rest is for a moment in which there is nothing to do.
            self.settle(None, true)?;
            return Ok(true);
        }
        busy |= came | self.read_letters()? | self.pump()?;
        let now = (wanted == Wanted::All || self.rounds.is_multiple_of(ROUNDS)).then(now_ns);
        busy |= self.settle(now, false)?;
        if let Some(now) = now
            && now >= self.turn_at
        {
            self.turn_at = now + TURN_NS;
            self.turn(now)?;
        }
        Ok(busy)
    }

    /// Sends what producers have published. True if something was sent.
    fn pump(&mut self) -> Result<bool> {
        let mut busy = false;
        for sender in self.senders.iter_mut().filter(|one| !one.detached) {
            busy |= sender.outgoing.pump(&mut *self.port)?;
        }
        Ok(busy)
    }

    /// Takes in what other engines wrote. True if there was something.
    fn read_letters(&mut self) -> Result<bool> {
        let mut busy = false;
        while let Some(letter) = self.mailbox.take() {
            self.peers.heard(letter.from);
            self.take_letter(letter.from, letter.bytes())?;
            self.mailbox.give_back(letter);
            self.mailbox.post(&mut *self.port)?;
            busy = true;
        }
        Ok(busy)
    }

    /// Asks MPI what is done: of receives, with `letters` those of letters too, with `all` of what was sent, too.
    pub(super) fn test(&mut self, letters: bool, all: bool) -> Result<bool> {
        let Self { requests, owners, mailbox, senders, receivers, remains, .. } = self;
        requests.clear();
        owners.clear();
        for (at, receiver) in receivers.iter().enumerate() {
            receiver.incoming.requests(requests);
            owners.push((Owner::Receiver(at), requests.len()));
        }
        if letters {
            mailbox.requests(requests, all);
            owners.push((Owner::Mailbox, requests.len()));
        }
        for (at, sender) in senders.iter().enumerate() {
            if all || sender.outgoing.is_full() {
                sender.outgoing.requests(requests);
                owners.push((Owner::Sender(at), requests.len()));
            }
        }
        if all {
            for (at, one) in remains.iter().enumerate() {
                requests.extend(one.requests.iter().take(8));
                owners.push((Owner::Remains(at), requests.len()));
            }
        }
        self.test_requests()
    }

    fn test_requests(&mut self) -> Result<bool> {
        self.done.clear();
        self.port.test(&self.requests, &mut self.done)?;
        if self.done.is_empty() {
            return Ok(false);
        }
        let done = std::mem::take(&mut self.done);
        let mut lost = None;
        for one in &done {
            lost = lost.or(self.completed(one));
        }
        self.done = done;
        self.remains.retain(|one| !one.requests.is_empty());
        if let Some(key) = lost {
            self.lose_receiver(key, true);
        }
        Ok(true)
    }

    /// Gives the receiver that cannot go on, if there is one.
    fn completed(&mut self, done: &Completion) -> Option<u64> {
        let at = self.requests.iter().position(|one| *one == done.request)?;
        let owner = self.owners.iter().find(|(_, end)| at < *end)?.0;
        match owner {
            Owner::Mailbox => self.mailbox.completed(done),
            Owner::Sender(index) => {
                let sender = self.senders.get_mut(index)?;
                sender.outgoing.completed(done.request);
            }
            Owner::Receiver(index) => {
                let receiver = self.receivers.get_mut(index)?;
                self.peers.heard(receiver.incoming.peer());
                return receiver.incoming.completed(done).err().map(|_| receiver.key);
            }
            Owner::Remains(index) => {
                let one = self.remains.get_mut(index)?;
                one.requests.retain(|request| *request != done.request);
            }
        }
        None
    }

    /// Hands on the frames that came. True if there were any.
    fn take_frames(&mut self) -> Result<bool> {
        self.for_receivers(|receiver, port| receiver.incoming.take(port))
    }

    /// Takes in what consumers gave back, begins receives, and tells producers what was taken. `pressed`: only where it
    /// cannot wait.
    fn settle(&mut self, now: Option<u64>, pressed: bool) -> Result<bool> {
        let due = |receiver: &Receiver| !pressed || receiver.incoming.is_pressed();
        let busy = self.for_receivers(|receiver, port| {
            if due(receiver) { receiver.incoming.settle(port) } else { Ok(false) }
        })?;
        for receiver in self.receivers.iter_mut().filter(|one| one.ready && due(one)) {
            while let Some(news) = receiver.incoming.news(now) {
                let mut ack = letters::Ack {
                    consumed: news.consumed,
                    granted: news.granted,
                    arrived: news.arrived,
                    ..bytemuck::Zeroable::zeroed()
                };
                let count = receiver.incoming.releases(&mut ack.slots);
                let address = Address { to: receiver.peer_key, from: receiver.key };
                let bytes = ack.encode(address, count);
                self.mailbox.send(&mut *self.port, receiver.incoming.peer(), bytes)?;
            }
        }
        if !pressed {
            self.end_receivers()?;
        }
        Ok(busy)
    }

    /// Does something with each receiver. True if one of them did something; one that cannot go on ends.
    fn for_receivers(
        &mut self,
        mut act: impl FnMut(&mut Receiver, &mut dyn Port) -> Result<bool>,
    ) -> Result<bool> {
        let mut busy = false;
        let mut broken = None;
        for receiver in &mut self.receivers {
            match act(receiver, &mut *self.port) {
                Ok(any) => busy |= any,
                Err(error) if error.status == LAVA_CLOSED => return Err(error),
                Err(error) => {
                    self.facts.log.error(|| format!("a remote connection ends: {error}"));
                    broken = Some(receiver.key);
                }
            }
        }
        if let Some(key) = broken {
            self.lose_receiver(key, true);
        }
        Ok(busy)
    }

    /// Receivers whose producer ended and that have everything.
    fn end_receivers(&mut self) -> Result<()> {
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
        let mut signs = std::mem::take(&mut self.signs);
        self.peers.turn(now, &mut signs);
        for sign in signs.drain(..) {
            match sign {
                Sign::Beat(rank) => self.say(kind::BEAT, rank, 0, 0)?,
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
    fn fail(&mut self, error: Error) {
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
