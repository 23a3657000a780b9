//! Messages between engines: short, from anybody, on a tag of their own, in the order in which each engine sent them. Each
//! ends with its number from one rank to the other, because MPIs may complete receives in another order.

use std::collections::VecDeque;

use super::port::{Completion, Port, Request};
use crate::error::Result;
use crate::types::LAVA_OK;
use crate::wire::remote::LETTER;

/// Tag of these messages.
pub const TAG: i32 = 0;
/// Receives that are begun at once.
const RECEIVES: usize = 32;
/// Receives that are looked at together, while messages come.
const LOOK: usize = 4;

/// Bytes of a message's number.
const NUMBER: usize = size_of::<u32>();

/// Memory of one message with its number, which stays where it is.
type Page = Box<[u8; LETTER + NUMBER]>;

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

impl Receive {
    /// Rank and number of the message that came.
    fn number(&self) -> Option<(i32, u32)> {
        let done = self.done.filter(|done| done.status == LAVA_OK)?;
        let number = self.memory.get(..done.bytes)?.last_chunk::<NUMBER>()?;
        Some((done.source, u32::from_ne_bytes(*number)))
    }
}

/// See the module. Used under the engine's lock.
pub struct Mailbox {
    /// By rank: messages that were sent to it, and that were taken from it.
    sent: Box<[u32]>,
    taken: Box<[u32]>,
    receives: VecDeque<Receive>,
    sends: Vec<Send>,
    spare: Vec<Page>,
    /// Of `receives`, those that are done.
    came: usize,
    /// Receives to look at next time, at least one.
    look: usize,
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
    /// For a job of so many ranks.
    pub fn new(ranks: i32) -> Self {
        let none: Box<[u32]> = vec![0; ranks.max(0) as usize].into();
        Self {
            sent: none.clone(),
            taken: none,
            receives: VecDeque::new(),
            sends: Vec::new(),
            spare: Vec::new(),
            came: 0,
            look: 1,
            ends: false,
        }
    }

    fn memory(&mut self) -> Page {
        self.spare.pop().unwrap_or_else(|| Box::new([0; LETTER + NUMBER]))
    }

    /// Begins the receives that are missing.
    pub fn post(&mut self, port: &mut dyn Port) -> Result<()> {
        while self.receives.len() < RECEIVES {
            let mut memory = self.memory();
            // SAFETY: the memory is kept beside the request until it is complete.
            let request =
                unsafe { port.receive(memory.as_mut_ptr(), memory.len(), None, Some(TAG)) }?;
            self.receives.push_back(Receive { request, memory, done: None });
        }
        Ok(())
    }

    /// Sends a message, at most [`LETTER`] bytes.
    pub fn send(&mut self, port: &mut dyn Port, to: i32, bytes: &[u8]) -> Result<()> {
        let mut memory = self.memory();
        let size = bytes.len().min(LETTER);
        memory[..size].copy_from_slice(&bytes[..size]);
        let number = self.sent.get(to as usize).copied().unwrap_or(0);
        memory[size..][..NUMBER].copy_from_slice(&number.to_ne_bytes());
        // SAFETY: as in `post`.
        let sent = unsafe { port.send(memory.as_ptr(), size + NUMBER, to, TAG) }?;
        if let Some(count) = self.sent.get_mut(to as usize) {
            *count = number.wrapping_add(1);
        }
        match sent {
            Some(request) => self.sends.push(Send { request, to, memory }),
            None => self.spare.push(memory),
        }
        Ok(())
    }

    /// Begins receives after [`Self::cancel`].
    pub fn begin_again(&mut self, port: &mut dyn Port) -> Result<()> {
        self.ends = false;
        self.post(port)
    }

    /// Takes the receives back.
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
        self.look = RECEIVES;
    }

    /// Adds the requests to look at; `sends` too.
    pub fn requests(&mut self, to: &mut Vec<Request>, sends: bool) {
        let look = std::mem::replace(&mut self.look, 1);
        let count = if self.ends { RECEIVES } else { look.max(1) };
        let waiting = self.receives.iter().take(count).filter(|one| one.done.is_none());
        to.extend(waiting.map(|one| one.request));
        if sends {
            to.extend(self.sends.iter().map(|one| one.request));
        }
    }

    /// A message was sent or has come.
    pub fn completed(&mut self, done: &Completion) {
        if let Some(one) = self.receives.iter_mut().find(|one| one.request == done.request) {
            one.done = Some(*done);
            self.came += 1;
        } else if let Some(at) = self.sends.iter().position(|one| one.request == done.request) {
            self.spare.push(self.sends.swap_remove(at).memory);
        }
    }

    /// The next message of some rank. Give its memory back with [`Self::give_back`].
    pub fn take(&mut self) -> Option<Letter> {
        while self.came > 0 {
            let next = |one: &Receive| match one.number() {
                Some((from, number)) => self.taken.get(from as usize) == Some(&number),
                // Taken back, or from nobody.
                None => one.done.is_some(),
            };
            let Some(at) = self.receives.iter().position(next) else {
                // One that was sent earlier has come, or is coming, into another receive.
                self.look = RECEIVES;
                return None;
            };
            self.look = self.look.max(LOOK);
            let one = self.receives.remove(at)?;
            self.came -= 1;
            let (number, done) = (one.number(), one.done?);
            let Some(taken) = number.and_then(|(from, _)| self.taken.get_mut(from as usize)) else {
                self.spare.push(one.memory);
                continue;
            };
            *taken = taken.wrapping_add(1);
            return Some(Letter {
                from: done.source,
                size: done.bytes - NUMBER,
                memory: one.memory,
            });
        }
        None
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Receives that get their messages in an order that a test chooses.
    #[derive(Default)]
    struct Disorder {
        receives: Vec<*mut u8>,
        sent: Vec<Vec<u8>>,
    }

    // SAFETY: the pointers are used in one thread.
    unsafe impl std::marker::Send for Disorder {}

    impl Port for Disorder {
        fn rank(&self) -> i32 {
            0
        }
        fn size(&self) -> i32 {
            2
        }
        unsafe fn send(
            &mut self,
            from: *const u8,
            bytes: usize,
            _: i32,
            _: i32,
        ) -> Result<Option<Request>> {
            // SAFETY: the caller's promise.
            self.sent.push(unsafe { std::slice::from_raw_parts(from, bytes) }.to_vec());
            Ok(None)
        }
        unsafe fn receive(
            &mut self,
            into: *mut u8,
            _: usize,
            _: Option<i32>,
            _: Option<i32>,
        ) -> Result<Request> {
            self.receives.push(into);
            Ok(Request(self.receives.len() as u64 - 1))
        }
        fn test(&mut self, _: &[Request], _: &mut Vec<Completion>) -> Result<()> {
            Ok(())
        }
        fn cancel(&mut self, _: Request) {}
        fn tag_limit(&self) -> i32 {
            9
        }
        fn gpu_aware(&self) -> bool {
            false
        }
        fn abandon(&mut self) {}
    }

    #[test]
    fn messages_are_taken_in_the_order_in_which_they_were_sent() {
        let mut port = Disorder::default();
        let mut mailbox = Mailbox::new(2);
        mailbox.post(&mut port).unwrap();
        for number in 0..4_u8 {
            mailbox.send(&mut port, 1, &[number; 5]).unwrap();
        }
        let (mut taken, mut counts) = (Vec::new(), Vec::new());
        for (receive, message) in [(3, 2), (0, 1), (1, 0), (2, 3)] {
            let bytes = port.sent[message].clone();
            // SAFETY: a receive of the mailbox's, which has that much room.
            unsafe { port.receives[receive].copy_from(bytes.as_ptr(), bytes.len()) };
            let request = Request(receive as u64);
            let status = LAVA_OK;
            mailbox.completed(&Completion {
                request,
                bytes: bytes.len(),
                source: 1,
                tag: TAG,
                status,
            });
            while let Some(letter) = mailbox.take() {
                taken.push(letter.bytes()[..letter.size].to_vec());
                mailbox.give_back(letter);
            }
            counts.push(taken.len());
        }
        assert_eq!(counts, [0, 0, 3, 4]);
        assert_eq!(taken, [[0; 5], [1; 5], [2; 5], [3; 5]]);
    }
}
