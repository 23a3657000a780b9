//! A job within one process, for unit tests: ranks that send each other messages by copying, matched as MPI does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::job::{Job, JobInfo, ThreadLevel};
use super::port::{Completion, Port, Request};
use crate::error::Result;
use crate::scope::Location;
use crate::types::*;

struct Message {
    from: i32,
    tag: i32,
    bytes: Vec<u8>,
}

struct Receive {
    request: Request,
    into: *mut u8,
    bytes: usize,
    from: Option<i32>,
    tag: Option<i32>,
}

// SAFETY: the pointer is used under the world's lock, by the promise of `Port::receive`.
unsafe impl Send for Receive {}

#[derive(Default)]
struct Rank {
    unexpected: VecDeque<Message>,
    receives: VecDeque<Receive>,
    done: Vec<Completion>,
    /// Messages that were sent to it.
    messages: usize,
    /// Nothing goes to it or comes from it any more.
    cut: bool,
}

/// What the ranks share.
pub struct World {
    ranks: Mutex<Vec<Rank>>,
}

impl World {
    pub fn new(ranks: usize) -> Arc<Self> {
        Arc::new(Self { ranks: Mutex::new((0..ranks).map(|_| Rank::default()).collect()) })
    }

    pub fn port(self: &Arc<Self>, rank: i32) -> Box<dyn Port> {
        Box::new(Double { world: Arc::clone(self), rank, next: 1 })
    }

    pub fn job(rank: i32, ranks: Vec<Location>) -> Arc<Job> {
        let info = JobInfo {
            plugin: "double".into(),
            library: "double".into(),
            standard: "0".into(),
            thread_level: ThreadLevel::Multiple,
            gpu_aware: false,
            launcher: "none".into(),
            initialised_by_lava: true,
        };
        Arc::new(Job { rank, ranks, info })
    }

    /// From now on a rank is as good as dead.
    pub fn cut(&self, rank: i32) {
        self.lock()[rank as usize].cut = true;
    }

    /// Messages that nobody has asked for yet.
    pub fn unexpected(&self, rank: i32) -> usize {
        self.lock()[rank as usize].unexpected.len()
    }

    /// Messages that were sent to a rank.
    pub fn messages(&self, rank: i32) -> usize {
        self.lock()[rank as usize].messages
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Rank>> {
        self.ranks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Double {
    world: Arc<World>,
    rank: i32,
    next: u64,
}

fn fits(receive: &Receive, message: &Message) -> bool {
    receive.from.is_none_or(|from| from == message.from)
        && receive.tag.is_none_or(|tag| tag == message.tag)
}

fn deliver(receive: &Receive, message: &Message) -> Completion {
    let fits = message.bytes.len() <= receive.bytes;
    if fits {
        // SAFETY: the memory is valid and ours until the completion, by the promise of `Port::receive`.
        unsafe {
            receive.into.copy_from_nonoverlapping(message.bytes.as_ptr(), message.bytes.len());
        }
    }
    Completion {
        request: receive.request,
        bytes: message.bytes.len().min(receive.bytes),
        source: message.from,
        tag: message.tag,
        status: if fits { LAVA_OK } else { LAVA_ERROR_TOO_LARGE },
    }
}

impl Double {
    fn request(&mut self) -> Request {
        self.next += 1;
        Request(self.next << 8 | self.rank as u64)
    }
}

impl Port for Double {
    fn rank(&self) -> i32 {
        self.rank
    }

    fn size(&self) -> i32 {
        self.world.lock().len() as i32
    }

    unsafe fn send(
        &mut self,
        from: *const u8,
        bytes: usize,
        to: i32,
        tag: i32,
    ) -> Result<Option<Request>> {
        let request = self.request();
        // SAFETY: the caller's promise.
        let bytes = unsafe { std::slice::from_raw_parts(from, bytes) }.to_vec();
        let message = Message { from: self.rank, tag, bytes };
        let mut ranks = self.world.lock();
        if ranks[self.rank as usize].cut || ranks[to as usize].cut {
            return Ok(Some(request));
        }
        let sent = Completion { request, bytes: 0, source: -1, tag: -1, status: LAVA_OK };
        let there = &mut ranks[to as usize];
        there.messages += 1;
        match there.receives.iter().position(|one| fits(one, &message)) {
            Some(at) => {
                if let Some(receive) = there.receives.remove(at) {
                    let done = deliver(&receive, &message);
                    there.done.push(done);
                }
            }
            None => there.unexpected.push_back(message),
        }
        // As MPI does, most are done at once and some later.
        if self.next.is_multiple_of(3) {
            ranks[self.rank as usize].done.push(sent);
            return Ok(Some(request));
        }
        Ok(None)
    }

    unsafe fn receive(
        &mut self,
        into: *mut u8,
        bytes: usize,
        from: Option<i32>,
        tag: Option<i32>,
    ) -> Result<Request> {
        let request = self.request();
        let receive = Receive { request, into, bytes, from, tag };
        let mut ranks = self.world.lock();
        let here = &mut ranks[self.rank as usize];
        match here.unexpected.iter().position(|message| fits(&receive, message)) {
            Some(at) => {
                if let Some(message) = here.unexpected.remove(at) {
                    here.done.push(deliver(&receive, &message));
                }
            }
            None => here.receives.push_back(receive),
        }
        Ok(request)
    }

    fn test(&mut self, requests: &[Request], done: &mut Vec<Completion>) -> Result<()> {
        let mut ranks = self.world.lock();
        let here = &mut ranks[self.rank as usize].done;
        for request in requests {
            if let Some(at) = here.iter().position(|one| one.request == *request) {
                done.push(here.remove(at));
            }
        }
        Ok(())
    }

    fn cancel(&mut self, request: Request) {
        let mut ranks = self.world.lock();
        let here = &mut ranks[self.rank as usize];
        if let Some(at) = here.receives.iter().position(|one| one.request == request) {
            here.receives.remove(at);
            let status = LAVA_CLOSED;
            here.done.push(Completion { request, bytes: 0, source: -1, tag: -1, status });
        }
    }

    fn tag_limit(&self) -> i32 {
        1000
    }

    fn gpu_aware(&self) -> bool {
        false
    }

    fn abandon(&mut self) {}
}

impl Drop for Double {
    fn drop(&mut self) {
        self.world.lock()[self.rank as usize].receives.clear();
    }
}
