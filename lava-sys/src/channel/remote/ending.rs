//! How an engine ends, and what a context leaves to it.

use std::any::Any;
use std::sync::Mutex;

use super::super::service::lock;
use super::engine::Engine;
use super::round::Wanted;
use super::sender::Sender;
use crate::os::clock::{Deadline, now_ns};
use crate::wire::remote::kind;

/// What MPI may still write when its engine is gone, for as long as the process lives.
static KEPT: Mutex<Vec<Box<dyn Any + Send>>> = Mutex::new(Vec::new());

/// The longest that an end waits for MPI to give memory back.
const CLOSE_NS: u64 = 500_000_000;

impl Engine {
    /// The context ends: consumers are told, and what producers sent goes out as long as somebody takes it. True when
    /// nothing is left to do.
    pub fn wind_up(&mut self) -> bool {
        if self.failed.is_some() {
            return true;
        }
        for receiver in std::mem::take(&mut self.receivers) {
            let _ = self.say(kind::BYE, receiver.incoming.peer(), receiver.peer_key, receiver.key);
            self.forget_receiver(receiver);
        }
        self.progress(false, Wanted::All);
        self.senders.is_empty() && self.mailbox.is_idle()
    }

    /// The context ends: MPI is to use none of its memory any more. What it does not give back in time stays allocated.
    pub fn dissolve(mut self) {
        for key in self.senders.iter().map(|one| one.key).collect::<Vec<_>>() {
            self.end_sender(key);
        }
        self.mailbox.cancel(&mut *self.port);
        let until = Deadline::after(CLOSE_NS);
        while !(self.mailbox.is_empty() && self.remains.is_empty()) {
            let tested = self.failed.is_none() && self.test(true, true).is_ok();
            while let Some(letter) = self.mailbox.take() {
                self.mailbox.give_back(letter);
            }
            if !tested || until.passed() {
                let Self { port, mailbox, remains, .. } = self;
                drop(port);
                lock(&KEPT).push(Box::new((mailbox, remains)));
                return;
            }
        }
    }

    /// The process has no context: no receive stays begun, because an application's `MPI_Finalize` would have to look for
    /// messages to take it back, which MPICH does not allow while other ranks are ending.
    pub fn suspend(&mut self) {
        if self.failed.is_some() || std::mem::replace(&mut self.suspended, true) {
            return;
        }
        self.mailbox.cancel(&mut *self.port);
        let until = Deadline::after(CLOSE_NS);
        while !self.mailbox.is_empty() && !until.passed() && self.test(true, true).is_ok() {
            // They are numbered: none may be missing when the next context comes.
            while let Some(letter) = self.mailbox.take() {
                let _ = self.take_letter(letter.from, letter.bytes());
                self.mailbox.give_back(letter);
            }
        }
    }

    /// There is a context again.
    pub fn resume(&mut self) {
        if std::mem::take(&mut self.suspended)
            && let Err(error) = self.mailbox.begin_again(&mut *self.port)
        {
            self.fail(error);
        }
    }

    /// What a context still has to send, as a number that changes while its consumers take it; None: nothing.
    pub fn rest_of(&mut self, context: u64) -> Option<u64> {
        if self.failed.is_some() || self.turn(now_ns()).is_err() {
            return None;
        }
        let of_context = |one: &&Sender| one.channel.location.context == context;
        let left = self.senders.iter().filter(of_context);
        let moved =
            left.map(|one| one.outgoing.moved().wrapping_add(one.key)).reduce(u64::wrapping_add);
        moved.or_else(|| (!self.mailbox.is_idle()).then_some(0))
    }

    /// Changes with every frame that is sent or comes.
    pub fn traffic(&self) -> u64 {
        let came = self.receivers.iter().map(|one| one.incoming.lines().wrapping_add(one.key));
        came.fold(self.moved(), u64::wrapping_add)
    }

    /// Changes as long as consumers take what is sent to them.
    pub fn moved(&self) -> u64 {
        let all = self.senders.iter().map(|one| one.outgoing.moved().wrapping_add(one.key));
        all.fold(0, u64::wrapping_add)
    }
}
