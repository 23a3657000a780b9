//! The consumer's end of a remote connection: receives into free slots of a pool of this process, puts descriptors into
//! the ring that the consumer reads, and tells the producer what was taken and released.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::message::{self, CHUNK};
use super::port::{Completion, Port, Request};
use crate::error::{Error, Result};
use crate::memory::Buffer;
use crate::transport::Outlet;
use crate::transport::descriptor::{Place, Words};
use crate::transport::metadata::Metadata;
use crate::transport::shm::ShmOutlet;
use crate::types::*;

/// Most receives that are begun at once.
pub const WINDOW: usize = 64;
/// Bytes of frames that are told of at once when they were released: their letter costs little beside them.
const MUCH: u64 = 256 << 10;
/// How long news for the producer may wait for more: where it may soon have to wait for them, and where not.
const NEWS_NS: u64 = 50_000;
const NEWS_MAX_NS: u64 = 1_000_000;

/// Makes memory for a frame that no slot holds: what MPI writes to, and what the consumer reads.
pub type Allocate = Box<dyn Fn(u64) -> Result<(Arc<Buffer>, Arc<Buffer>)> + Send>;
/// Buffers that frames lie in apart from the pool, by number.
pub type Buffers = Arc<Mutex<HashMap<u32, Arc<Buffer>>>>;

/// What a new one is made of.
pub struct Parts {
    pub outlet: ShmOutlet,
    /// The same slots' tensors, writable.
    pub metadata: Metadata,
    /// Writable host memory: `slots` of `stride` bytes.
    pub pool: Arc<Buffer>,
    pub stride: u64,
    pub slots: u32,
    pub max_frame_size: u64,
    /// The producer's slots.
    pub capacity: u32,
    pub queue_length: u32,
    /// A message may have several frames that take slots.
    pub shares: bool,
    /// Each descriptor that is taken is told at once.
    pub hurry: bool,
    pub allocate: Allocate,
    pub buffers: Buffers,
    pub peer: i32,
    pub tag: i32,
}

struct Posted {
    request: Request,
    slot: u32,
    /// Bytes received, or why nothing was.
    done: Option<(usize, lava_status)>,
}

/// A frame in a slot, until it is released.
#[derive(Clone, Copy, Default)]
pub(super) struct Held {
    /// Position in the consumer's ring, plus 1; 0: no frame.
    pub(super) position: u64,
    /// The producer's slot.
    pub(super) origin: u32,
    /// Number of the buffer that it lies in; 0: the slot.
    pub(super) buffer: u32,
}

/// A frame whose payload is coming apart.
struct Bulk {
    words: Words,
    slot: u32,
    buffer: u32,
    keep: Option<Arc<Buffer>>,
    requests: Vec<Request>,
}

/// What the producer is to be told.
#[derive(Debug, Clone, Copy)]
pub struct News {
    pub consumed: u64,
    pub granted: u64,
    pub arrived: u64,
}

/// See the module. Used under the engine's lock.
pub struct Incoming {
    pub(super) parts: Parts,
    posted: VecDeque<Posted>,
    pub(super) free: Vec<u32>,
    pub(super) held: Box<[Held]>,
    bulk: Option<Bulk>,
    last_buffer: u32,
    granted: u64,
    arrived: u64,
    /// The producer waits for news.
    pub(super) asked: bool,
    /// Where the records of a message begin.
    pub(super) begins: Vec<usize>,
    pub(super) lines: u64,
    told: News,
    released: Vec<u32>,
    /// Of the producer's slots, those that it does not know to be released.
    pub(super) taken_slots: u64,
    /// When the oldest news came; 0: there is none.
    news_since: u64,
    /// The consumer is gone: frames are given back as they come.
    pub(super) detached: bool,
    pub frames: u64,
}

impl Incoming {
    pub fn new(parts: Parts) -> Self {
        Self {
            posted: VecDeque::with_capacity(WINDOW),
            free: (0..parts.slots).rev().collect(),
            held: vec![Held::default(); parts.slots as usize].into(),
            bulk: None,
            last_buffer: 0,
            granted: 0,
            arrived: 0,
            asked: false,
            begins: Vec::with_capacity(64),
            lines: 0,
            told: News { consumed: 0, granted: 0, arrived: 0 },
            released: Vec::with_capacity(parts.capacity.min(4096) as usize),
            taken_slots: 0,
            news_since: 0,
            detached: false,
            frames: 0,
            parts,
        }
    }

    pub fn peer(&self) -> i32 {
        self.parts.peer
    }

    /// Descriptors received.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Most receives that may be begun at once. Where messages are shared, a free slot stays for each of the producer's.
    fn window(&self) -> usize {
        let spare = self.parts.slots.saturating_sub(self.parts.capacity) as usize;
        if self.parts.shares { spare.min(WINDOW) } else { WINDOW }
    }

    /// Begins receives into free slots. Gives how many were begun in all.
    pub fn post(&mut self, port: &mut dyn Port) -> Result<u64> {
        let Some(start) = self.parts.pool.data() else { return Ok(self.granted) };
        let bytes = (self.parts.stride as usize).min(CHUNK);
        let window = self.window();
        while self.posted.len() < window
            && let Some(slot) = self.free.pop()
        {
            let (peer, tag) = (Some(self.parts.peer), Some(self.parts.tag));
            // SAFETY: a slot of the pool that holds no frame; the memory stays as long as this value and `remains`.
            let request = unsafe {
                let at = start.add((u64::from(slot) * self.parts.stride) as usize);
                port.receive(at.as_ptr(), bytes, peer, tag)
            }?;
            self.posted.push_back(Posted { request, slot, done: None });
            self.granted += 1;
        }
        Ok(self.granted)
    }

    /// Adds the requests to look at.
    pub fn requests(&self, to: &mut Vec<Request>) {
        match &self.bulk {
            Some(bulk) => to.extend(&bulk.requests),
            // They come in order, and what has come is found at once.
            None => to.extend(self.posted.front().map(|one| one.request)),
        }
    }

    /// A receive has ended.
    pub fn completed(&mut self, done: &Completion) -> Result<()> {
        if let Some(bulk) = &mut self.bulk
            && let Some(at) = bulk.requests.iter().position(|one| *one == done.request)
        {
            bulk.requests.swap_remove(at);
            return match done.status {
                LAVA_OK => Ok(()),
                status => Err(Error::new(status, "receiving a part of a large frame")),
            };
        }
        // Only the oldest is looked at.
        if let Some(one) = self.posted.front_mut().filter(|one| one.request == done.request) {
            one.done = Some((done.bytes, done.status));
        }
        Ok(())
    }

    /// Hands on what has come. True if there was something. An error ends the connection: the producer broke the
    /// protocol, or memory is missing.
    pub fn take(&mut self, port: &mut dyn Port) -> Result<bool> {
        let before = self.lines;
        while self.finish_bulk()? {
            let Some(front) = self.posted.front() else { break };
            let Some((bytes, status)) = front.done else { break };
            let slot = front.slot;
            self.posted.pop_front();
            self.arrived += 1;
            if status != LAVA_OK {
                self.free.push(slot);
                return Err(Error::new(status, "receiving a frame"));
            }
            self.accept(slot, bytes, port)?;
        }
        let came = self.lines != before;
        if came {
            self.parts.outlet.wake();
        }
        Ok(came)
    }

    /// True if [`Self::settle`] is due although there is other work.
    pub fn is_pressed(&self) -> bool {
        self.asked || self.posted.len() * 2 <= self.window()
    }

    /// Takes in what the consumer gave back, and begins receives. True if there was something; errors as [`Self::take`].
    pub fn settle(&mut self, port: &mut dyn Port) -> Result<bool> {
        let returned = self.take_releases()?;
        self.post(port)?;
        Ok(returned)
    }

    /// Begins to receive the payload of a large frame: into its slot if it fits, else into memory of its own.
    pub(super) fn begin_bulk(
        &mut self,
        slot: u32,
        words: Words,
        place: Place,
        port: &mut dyn Port,
    ) -> Result<()> {
        let fits = place.size <= self.parts.max_frame_size;
        let (into, at, buffer, keep) = if fits {
            let at = u64::from(slot) * self.parts.stride;
            (Arc::clone(&self.parts.pool), at, 0, None)
        } else {
            let (ours, theirs) = (self.parts.allocate)(place.size)?;
            self.last_buffer = self.last_buffer.checked_add(1).unwrap_or(1);
            lock(&self.parts.buffers).insert(self.last_buffer, theirs);
            (Arc::clone(&ours), 0, self.last_buffer, Some(ours))
        };
        let start = into.data().ok_or_else(|| broken("no memory"))?;
        let (peer, tag) = (Some(self.parts.peer), Some(self.parts.tag + 1));
        let mut bulk = Bulk { words, slot, buffer, keep, requests: Vec::new() };
        for (offset, length) in message::chunks(place.size) {
            // SAFETY: the slot or the buffer has `size` bytes, and nobody else uses them; they stay, as in `post`.
            let request = unsafe {
                let part = start.add((at + offset) as usize);
                port.receive(part.as_ptr(), length, peer, tag)
            }?;
            bulk.requests.push(request);
        }
        self.bulk = Some(bulk);
        Ok(())
    }

    /// Publishes a large frame that has come whole. False: one is still coming.
    fn finish_bulk(&mut self) -> Result<bool> {
        match self.bulk.take_if(|bulk| bulk.requests.is_empty()) {
            Some(Bulk { words, slot, buffer, .. }) => {
                self.publish(slot, &words, buffer).map(|()| true)
            }
            None => Ok(self.bulk.is_none()),
        }
    }

    /// Slots that the consumer gave back. True if there were any.
    fn take_releases(&mut self) -> Result<bool> {
        let mut any = false;
        while let Some(released) = self.parts.outlet.released() {
            let held = self.held.get(released.slot as usize).copied().unwrap_or_default();
            if held.position != released.position + 1 {
                return Err(Error::new(LAVA_ERROR_INTERNAL, "a release that fits no frame"));
            }
            self.give_back(released.slot);
            any = true;
        }
        Ok(any)
    }

    pub(super) fn give_back(&mut self, slot: u32) {
        let held = std::mem::take(&mut self.held[slot as usize]);
        if held.buffer != 0 {
            lock(&self.parts.buffers).remove(&held.buffer);
        }
        self.free.push(slot);
        self.released.push(held.origin);
    }

    /// The consumer's handle is gone: what it did not take below `consumed` goes back, and all that comes.
    pub fn detach(&mut self, consumed: u64) {
        self.detached = true;
        let next = self.parts.outlet.next();
        for position in consumed..next {
            let slot = self.parts.outlet.published_slot(position);
            if let Some(slot) = slot
                && self.held.get(slot as usize).is_some_and(|held| held.position == position + 1)
            {
                self.give_back(slot);
            }
        }
    }

    pub fn is_detached(&self) -> bool {
        self.detached
    }

    /// What the producer should know by now; `slots` of [`Self::releases`] go with it. `now`: the time, when it was read.
    pub fn news(&mut self, now: Option<u64>) -> Option<News> {
        let consumed = match self.parts.outlet.consumed() {
            Ok(_) if self.detached => self.lines,
            Ok(consumed) => consumed,
            Err(_) => return None,
        };
        let taken = consumed - self.told.consumed;
        let granted = self.granted - self.told.granted;
        let released = self.released.len() as u64;
        if taken == 0 && granted == 0 && released == 0 && !self.asked {
            self.news_since = 0;
            return None;
        }
        let capacity = u64::from(self.parts.capacity);
        let queue = u64::from(self.parts.queue_length);
        let much = self.asked
            || taken * 2 >= queue
            || granted * 2 >= u64::from(self.parts.slots).min(self.window() as u64)
            || released * 4 >= capacity * 3
            // Most of its slots are taken: it may have to wait.
            || (self.taken_slots * 4 >= capacity * 3 && released * 4 >= capacity)
            || released * self.parts.stride >= MUCH
            || (self.parts.hurry && taken > 0);
        if !much {
            let now = now?;
            if self.news_since == 0 {
                self.news_since = now;
            }
            let soon =
                self.taken_slots * 2 >= capacity || (self.lines - self.told.consumed) * 2 >= queue;
            let patience = if soon { NEWS_NS } else { NEWS_MAX_NS };
            if now.saturating_sub(self.news_since) < patience {
                return None;
            }
        }
        let (granted, arrived) = (self.granted, self.arrived);
        (self.news_since, self.asked) = (0, false);
        self.told = News { consumed, granted, arrived };
        Some(self.told)
    }

    /// The producer's slots to give back with the news; at most as many as `to` takes.
    pub fn releases(&mut self, to: &mut [u32]) -> usize {
        let count = self.released.len().min(to.len());
        self.taken_slots = self.taken_slots.saturating_sub(count as u64);
        for (to, from) in to.iter_mut().zip(self.released.drain(..count)) {
            *to = from;
        }
        count
    }

    /// The producer has ended, and everything came.
    pub fn close(&mut self) {
        self.parts.outlet.close();
    }

    /// What MPI may still write to when this connection is gone: the requests, and the memory to keep for them.
    pub fn remains(self) -> (Vec<Request>, Box<dyn std::any::Any + Send>) {
        let posted = self.posted.iter().filter(|one| one.done.is_none()).map(|one| one.request);
        let parts = self.bulk.iter().flat_map(|bulk| bulk.requests.iter().copied());
        let requests = posted.chain(parts).collect();
        let keep = self.bulk.and_then(|bulk| bulk.keep);
        (requests, Box::new((self.parts.pool, keep)))
    }
}

pub(super) fn broken(what: &str) -> Error {
    Error::new(LAVA_ERROR_PROTOCOL, what)
}

fn lock(buffers: &Buffers) -> std::sync::MutexGuard<'_, HashMap<u32, Arc<Buffer>>> {
    buffers.lock().unwrap_or_else(PoisonError::into_inner)
}
