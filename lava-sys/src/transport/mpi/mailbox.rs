//! Messages between engines: short, from anybody, on a tag of their own, in the order in which each engine sent them.

use std::collections::VecDeque;

use super::port::{Completion, Port, Request};
use crate::error::Result;
use crate::types::LAVA_OK;
use crate::wire::remote::LETTER;

/// Tag of these messages.
pub const TAG: i32 = 0;
/// Receives that are begun at once.
const RECEIVES: usize = 32;

/// Memory of one message, which stays where it is.
type Page = Box<[u8; LETTER]>;

struct Send {
    request: Request,
    to: i32,
    memory: Page,
}

struct Receive {
    request: Request,
    memory: Page,
    done: Option<Completion>,
}

/// See the module. Used under the engine's lock.
#[derive(Default)]
pub struct Mailbox {
    receives: VecDeque<Receive>,
    sends: Vec<Send>,
    spare: Vec<Page>,
    /// Messages came at the last look.
    hot: bool,
    /// The receives were taken back.
    ends: bool,
}

/// A message that came.
pub struct Letter {
    pub from: i32,
    pub size: usize,
    memory: Page,
}

impl Letter {
    pub fn bytes(&self) -> &[u8] {
        &self.memory[..self.size.min(LETTER)]
    }
}

impl Mailbox {
    fn memory(&mut self) -> Page {
        self.spare.pop().unwrap_or_else(|| Box::new([0; LETTER]))
    }

    /// Begins the receives that are missing.
    pub fn post(&mut self, port: &mut dyn Port) -> Result<()> {
        while self.receives.len() < RECEIVES {
            let mut memory = self.memory();
            // SAFETY: the memory is kept beside the request until it is complete.
            let request = unsafe { port.receive(memory.as_mut_ptr(), LETTER, None, Some(TAG)) }?;
            self.receives.push_back(Receive { request, memory, done: None });
        }
        Ok(())
    }

    /// Sends a message, at most [`LETTER`] bytes.
    pub fn send(&mut self, port: &mut dyn Port, to: i32, bytes: &[u8]) -> Result<()> {
        let mut memory = self.memory();
        let size = bytes.len().min(LETTER);
        memory[..size].copy_from_slice(&bytes[..size]);
        // SAFETY: as in `post`.
        let request = unsafe { port.send(memory.as_ptr(), size, to, TAG) }?;
        self.sends.push(Send { request, to, memory });
        Ok(())
    }

    /// Takes the receives back, at the end.
    pub fn cancel(&mut self, port: &mut dyn Port) {
        for one in self.receives.iter().filter(|one| one.done.is_none()) {
            port.cancel(one.request);
        }
        self.ends = true;
    }

    /// True if MPI uses no memory of this.
    pub fn is_empty(&self) -> bool {
        self.receives.is_empty() && self.sends.is_empty()
    }

    /// True if no message of this engine is under way.
    pub fn is_idle(&self) -> bool {
        self.sends.is_empty()
    }

    /// The next look is at all receives.
    pub fn look_at_all(&mut self) {
        self.hot = true;
    }

    /// Adds the requests to look at.
    pub fn requests(&self, to: &mut Vec<Request>) {
        let count = if self.hot || self.ends { RECEIVES } else { 1 };
        let waiting = self.receives.iter().take(count).filter(|one| one.done.is_none());
        to.extend(waiting.map(|one| one.request));
        to.extend(self.sends.iter().map(|one| one.request));
    }

    /// A message was sent or has come.
    pub fn completed(&mut self, done: &Completion) {
        if let Some(one) = self.receives.iter_mut().find(|one| one.request == done.request) {
            one.done = Some(*done);
        } else if let Some(at) = self.sends.iter().position(|one| one.request == done.request) {
            self.spare.push(self.sends.swap_remove(at).memory);
        }
    }

    /// The next message, in order of arrival. Give its memory back with [`Self::give_back`].
    pub fn take(&mut self) -> Option<Letter> {
        loop {
            // Not always the first: MPICH may match receives from any rank in another order.
            let first = self.receives.iter().position(|one| one.done.is_some());
            self.hot = first.is_some();
            let Receive { memory, done, .. } = self.receives.remove(first?)?;
            let done = done?;
            if done.status == LAVA_OK {
                return Some(Letter { from: done.source, size: done.bytes, memory });
            }
            self.spare.push(memory);
        }
    }

    pub fn give_back(&mut self, letter: Letter) {
        self.spare.push(letter.memory);
    }

    /// Messages to a rank that is lost, which may never be done: their requests, and the memory to keep for them.
    pub fn forget(
        &mut self,
        rank: i32,
    ) -> (Vec<Request>, Box<dyn std::any::Any + std::marker::Send>) {
        let sends: Vec<Send> = self.sends.extract_if(.., |one| one.to == rank).collect();
        (sends.iter().map(|one| one.request).collect(), Box::new(sends))
    }
}

impl std::fmt::Debug for Receive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Receive({:?})", self.request)
    }
}
