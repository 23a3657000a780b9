//! One round of an engine: what it asks MPI, and what it does with the answers. The order is that of who waits.

use super::engine::Engine;
use super::receiver::Receiver;
use crate::error::Result;
use crate::os::clock::now_ns;
use crate::transport::mpi::port::{Completion, Port};
use crate::types::*;
use crate::wire::remote::{self as letters, Address};

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
pub(super) enum Owner {
    Mailbox,
    Sender(usize),
    Receiver(usize),
    Remains(usize),
}

impl Engine {
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
        let mut busy = called && self.pump(true)?;
        self.rounds = self.rounds.wrapping_add(1);
        let all = wanted == Wanted::All || self.rounds.is_multiple_of(FEW);
        let letters = all || wanted == Wanted::Room || self.receivers.is_empty();
        busy |= self.test(letters, all)?;
        for _ in 0..if letters { 0 } else { LOOKS } {
            // The same requests again, before everything else that a round has to do.
            if busy {
                break;
            }
            busy = self.test_requests()?;
        }
        let came = self.take_frames()?;
        if came && wanted == Wanted::Frames && !self.rounds.is_multiple_of(ROUNDS) {
            // Whoever waits has its frame: the rest is for a moment in which there is nothing to do.
            self.settle(None, true)?;
            return Ok(true);
        }
        busy |= came | self.read_letters()? | self.pump(false)?;
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

    /// Sends what producers have published. `called`: one of them called and was not heard. True if something was sent.
    fn pump(&mut self, called: bool) -> Result<bool> {
        let mut busy = false;
        for sender in &mut self.senders {
            if sender.detached {
                // What was begun is waited for at the other end.
                sender.outgoing.send_parts(&mut *self.port)?;
            } else {
                busy |= sender.outgoing.pump(&mut *self.port, called)?;
            }
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
}
