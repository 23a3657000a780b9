//! The producer's end of a remote connection: takes descriptors from the ring that the producer fills, sends the frames
//! straight from their slots, and gives slots back as the consumer releases them.

use std::collections::{HashMap, VecDeque};
use std::ptr::NonNull;
use std::sync::Arc;

use super::message::{self, CHUNK, SHARED, SLACK, SMALL};
use super::port::{Port, Request};
use super::send_ring::{Batch, SendRing};
use crate::error::{Hot, Result};
use crate::memory::Buffer;
use crate::transport::descriptor::{self, Payload, Place, Words};
use crate::transport::metadata::Metadata;
use crate::transport::shm::{ShmInlet, ShmLink};
use crate::transport::{Inlet, Popped, Released, Returns};
use crate::types::*;
use crate::wire::LINE;
use crate::wire::remote::{ACK_SLOTS, Ack};

/// Descriptors on their way that the consumer has not taken, with policy drop-oldest: what is on its way cannot be
/// dropped any more.
const DROPPING_WINDOW: u64 = 2;
/// Sends that are looked at together.
const LOOK: usize = 8;
/// Small frames that are sent one after the other, without a pause in which the engine had nothing to do, until those
/// that follow wait for each other: a message costs more than a small frame.
const BURST: u32 = 16;
/// Messages on their way while small frames wait for each other.
const BURST_WINDOW: u64 = 2;

/// Messages on their way while parts of a large frame follow. MPIs move a whole message of their own memory in one call,
/// and signs of life wait for that call: some hundred megabytes are a fraction of a second.
const PARTS_WINDOW: usize = 3;

/// A large frame of which parts are still to be sent.
struct Bulk {
    from: Arc<Buffer>,
    /// Where its payload begins.
    at: u64,
    size: u64,
    /// How much of it was sent.
    sent: u64,
}

/// What a new one is made of.
pub struct Parts {
    pub inlet: ShmInlet,
    pub link: Arc<ShmLink>,
    /// Host memory with the channel's slots: the pool, or its mirror.
    pub pool: Arc<Buffer>,
    pub stride: u64,
    pub max_frame_size: u64,
    pub capacity: u32,
    pub metadata: Metadata,
    /// Policy drop-oldest.
    pub may_drop: bool,
    pub peer: i32,
    pub tag: i32,
    /// Messages that the consumer can take.
    pub granted: u64,
    /// A message may have several frames that take slots.
    pub shares: bool,
}

/// See the module. Used under the engine's lock.
pub struct Outgoing {
    parts: Parts,
    /// The application's buffers that frames may lie in, by number.
    pub buffers: HashMap<u32, Arc<Buffer>>,
    /// For each slot: position at which it was taken, plus 1; 0: the consumer does not have it.
    held: Box<[u64]>,
    /// Descriptors taken from the ring, and those of them that the consumer has taken.
    taken: u64,
    consumed: u64,
    /// Messages sent, and those of them that are known to have come.
    sent: u64,
    arrived: u64,
    /// The last message whose coming is to be told at once, as a number of messages.
    asked: u64,
    /// Small frames in a row; see [`BURST`].
    burst: u32,
    /// A descriptor that was taken and is not sent yet: its buffer is not known, or a message was full.
    waiting: Option<Words>,
    /// Comes before everything else.
    bulk: Option<Bulk>,
    ring: SendRing,
    /// Oldest first, with the place in `ring` that each uses.
    sends: VecDeque<(Request, Option<usize>)>,
    armed: bool,
    pub bytes: u64,
}

impl Outgoing {
    pub fn new(parts: Parts) -> Self {
        Self {
            held: vec![0; parts.capacity as usize].into(),
            buffers: HashMap::new(),
            taken: 0,
            consumed: 0,
            sent: 0,
            arrived: 0,
            asked: 0,
            burst: 0,
            waiting: None,
            bulk: None,
            ring: SendRing::new(),
            sends: VecDeque::with_capacity(64),
            armed: false,
            bytes: 0,
            parts,
        }
    }

    pub fn peer(&self) -> i32 {
        self.parts.peer
    }

    /// Descriptors that were sent in all.
    pub fn lines(&self) -> u64 {
        self.taken - u64::from(self.waiting.is_some())
    }

    /// True if the producer said that it ends, and all that it sent is with MPI.
    pub fn is_drained(&self) -> bool {
        self.sends.is_empty()
            && self.bulk.is_none()
            && self.waiting.is_none()
            && !self.parts.inlet.ready()
    }

    /// True if the producer has ended.
    pub fn is_closed(&self) -> bool {
        self.parts.inlet.closed()
    }

    /// Changes as long as the consumer takes what is sent.
    pub fn moved(&self) -> u64 {
        let part = self.bulk.as_ref().map_or(0, |bulk| bulk.sent);
        self.consumed.wrapping_add(self.sent).wrapping_add(part)
    }

    /// True if messages are under way.
    pub fn is_sending(&self) -> bool {
        !self.sends.is_empty() || self.bulk.is_some()
    }

    fn may_send(&self) -> bool {
        let on_the_way = self.lines() - self.consumed.min(self.lines());
        let window = if self.parts.may_drop { DROPPING_WINDOW } else { u64::MAX };
        self.bulk.is_none()
            && self.sent < self.parts.granted
            && self.ring.has_room()
            && on_the_way < window
    }

    /// True while small frames wait for each other, until it is told that an earlier message came.
    pub fn holds_back(&self) -> bool {
        self.burst >= BURST && self.asked > self.arrived && self.sent - self.arrived >= BURST_WINDOW
    }

    /// The producer has sent: sends what can be sent. Its next frame calls again only if it is asked to.
    pub fn called(&mut self, port: &mut dyn Port) -> Result<bool> {
        self.burst = self.burst.saturating_add(1);
        let sent = self.send_all(port)?;
        self.arm();
        Ok(sent)
    }

    /// Sends what can be sent, when there is time. True if something was. `called`: the producer has called meanwhile.
    pub fn pump(&mut self, port: &mut dyn Port, called: bool) -> Result<bool> {
        let sent = self.send_all(port)?;
        if !sent && self.asked <= self.arrived {
            self.burst = 0;
        }
        if sent || called || !self.armed {
            self.arm();
        }
        Ok(sent)
    }

    fn send_all(&mut self, port: &mut dyn Port) -> Result<bool> {
        let before = self.moved();
        self.send_parts(port)?;
        while self.may_send() && !self.holds_back() && self.send_one(port)? {}
        Ok(self.moved() != before)
    }

    /// Sends what may be sent now of the large frame that was begun, also to a consumer that takes nothing any more.
    pub fn send_parts(&mut self, port: &mut dyn Port) -> Result<()> {
        while self.sends.len() < PARTS_WINDOW
            && let Some(bulk) = &mut self.bulk
        {
            let length = (bulk.size - bulk.sent).min(CHUNK as u64);
            let Some(start) = bulk.from.data() else { return Ok(()) };
            // SAFETY: the whole range was checked to lie in the buffer, which stays as `send_in_place` says.
            let request = unsafe {
                let part = start.add((bulk.at + bulk.sent) as usize);
                port.send(part.as_ptr(), length as usize, self.parts.peer, self.parts.tag + 1)
            }?;
            self.sends.extend(request.map(|request| (request, None)));
            bulk.sent += length;
            if bulk.sent == bulk.size {
                self.bulk = None;
            }
        }
        Ok(())
    }

    /// The producer calls the engine with its next frame, if none is there now.
    fn arm(&mut self) {
        self.parts.inlet.arm_event();
        self.armed = !self.parts.inlet.ready() || !self.may_send() || self.holds_back();
    }

    /// Sends a message, if something waits: the next frame, or it and the small ones behind it. False: nothing was sent.
    fn send_one(&mut self, port: &mut dyn Port) -> Result<bool> {
        let mut batch = self.ring.open();
        let mut used = 0;
        while let Some(words) = self.next_words() {
            let more = used > 0 || self.holds_more();
            match self.add(&mut batch, used, &words, more) {
                Some(end) => used = end,
                None if used > 0 => {
                    self.waiting = Some(words);
                    break;
                }
                None => return self.send_frame(words, port),
            }
            if self.parts.may_drop {
                break;
            }
        }
        if used == 0 {
            return Ok(false);
        }
        if self.burst >= BURST {
            batch.mark(used, message::ASKS);
            self.asked = self.sent + 1;
        }
        self.send_small(used, port)?;
        Ok(true)
    }

    /// True if a frame waits behind the one that was taken last, or comes soon.
    fn holds_more(&self) -> bool {
        self.burst >= BURST || self.parts.inlet.ready()
    }

    /// The next descriptor to send.
    fn next_words(&mut self) -> Option<Words> {
        if let Some(words) = self.waiting.take() {
            return Some(words);
        }
        let mut words = [0; 8];
        while self.parts.inlet.ready() {
            match self.parts.inlet.pop(&mut words) {
                Ok(Popped::Frame { position }) => {
                    self.taken += 1;
                    if let Some(place) = place_of(&words) {
                        self.note(place.slot, position);
                    }
                    return Some(words);
                }
                Ok(Popped::TakenBack { slot, position }) => {
                    self.parts.link.release(&[Released { slot, position }]);
                }
                Ok(Popped::Empty) | Err(_) => break,
            }
        }
        None
    }

    /// Puts a frame into a message that others share. Gives its end; None: it has no room, or is none to share. `more`:
    /// others share it.
    fn add(&self, batch: &mut Batch, at: usize, words: &Words, more: bool) -> Option<usize> {
        let Some(place) = place_of(words) else {
            let room = at + LINE <= SMALL;
            return room.then(|| batch.add(at, &message::seal(words, false)));
        };
        let tail = message::tail(place.tensor);
        let small = self.parts.shares && more && place.buffer == 0 && place.size <= SHARED;
        if !small || at + place.size as usize + tail > SMALL {
            return None;
        }
        let start = self.payload(&place)?;
        // SAFETY: the range was checked, and nobody writes to the slot of a frame that was sent.
        let payload = unsafe { std::slice::from_raw_parts(start.as_ptr(), place.size as usize) };
        let mut end = batch.add_bytes(at, payload);
        if place.tensor {
            let tensor = self.parts.metadata.copy_out(place.slot);
            end = batch.add_bytes(end, bytemuck::bytes_of(&tensor));
        }
        Some(batch.add(end, &message::seal(words, false)))
    }

    /// Where a frame of the pool begins, if all of it lies there.
    fn payload(&self, place: &Place) -> Option<NonNull<u8>> {
        let at = u64::from(place.slot) * self.parts.stride;
        let end = at.checked_add(place.size)?;
        let start = self.parts.pool.data()?;
        // SAFETY: within the pool.
        (end <= self.parts.pool.size()).then(|| unsafe { start.add(at as usize) })
    }

    fn note(&mut self, slot: u32, position: u64) {
        if let Some(held) = self.held.get_mut(slot as usize) {
            *held = position + 1;
        }
    }

    /// Sends the open part of the ring.
    fn send_small(&mut self, used: usize, port: &mut dyn Port) -> Result<()> {
        let (at, start) = self.ring.take();
        // SAFETY: the place is this message's alone until its request is complete: see `completed`.
        match unsafe { port.send(start.as_ptr(), used, self.parts.peer, self.parts.tag) }? {
            Some(request) => self.sends.push_back((request, Some(at))),
            None => self.ring.give_back(at),
        }
        self.sent += 1;
        Ok(())
    }

    /// Sends one frame by itself. False: its buffer is not known yet, and it waits.
    fn send_frame(&mut self, words: Words, port: &mut dyn Port) -> Result<bool> {
        let Some(place) = place_of(&words) else { return Ok(false) };
        if place.size > SHARED || !self.parts.shares {
            self.burst = 0;
        }
        let from = if place.buffer == 0 {
            Arc::clone(&self.parts.pool)
        } else {
            match self.buffers.get(&place.buffer) {
                Some(buffer) => Arc::clone(buffer),
                None => {
                    self.waiting = Some(words);
                    return Ok(false);
                }
            }
        };
        let at = if place.buffer == 0 {
            u64::from(place.slot) * self.parts.stride
        } else {
            place.offset
        };
        let in_place = place.buffer == 0
            && place.size + SLACK <= self.parts.stride.max(SLACK)
            && place.size as usize + SLACK as usize <= CHUNK;
        let end = at.checked_add(place.size);
        if end.is_none_or(|end| end > from.size()) || from.data().is_none() {
            return Err(crate::error::Error::new(
                LAVA_ERROR_INTERNAL,
                "a frame outside of its memory",
            ));
        }
        self.bytes += place.size;
        if in_place {
            self.send_in_place(&words, &place, port)?;
        } else {
            self.send_bulk(&words, &place, from, at, port)?;
        }
        Ok(true)
    }

    /// The slot's payload and what belongs to it, in one message.
    fn send_in_place(&mut self, words: &Words, place: &Place, port: &mut dyn Port) -> Result<()> {
        let Some(pool) = self.parts.pool.data() else { return Ok(()) };
        let at = (u64::from(place.slot) * self.parts.stride) as usize;
        let size = place.size as usize;
        // SAFETY: the range of the payload is checked, and the slot's slack lies behind it.
        let (start, mut tail) = unsafe { (pool.add(at), pool.add(at + size)) };
        let mut length = size;
        if place.tensor {
            let tensor = self.parts.metadata.copy_out(place.slot);
            put(tail, bytemuck::bytes_of(&tensor));
            // SAFETY: within the slack.
            tail = unsafe { tail.add(message::TENSOR) };
            length += message::TENSOR;
        }
        put(tail, bytemuck::bytes_of(&message::seal(words, false)));
        length += LINE;
        // SAFETY: the slot is not written again before the consumer has released the frame; the memory stays as long as
        // this value and what is left of it (see `remains`).
        let request =
            unsafe { port.send(start.as_ptr(), length, self.parts.peer, self.parts.tag) }?;
        self.sends.extend(request.map(|request| (request, None)));
        self.sent += 1;
        Ok(())
    }

    /// What belongs to a frame, and then its payload in parts.
    fn send_bulk(
        &mut self,
        words: &Words,
        place: &Place,
        from: Arc<Buffer>,
        at: u64,
        port: &mut dyn Port,
    ) -> Result<()> {
        let mut batch = self.ring.open();
        let mut used = 0;
        if place.tensor {
            used = batch
                .add_bytes(used, bytemuck::bytes_of(&self.parts.metadata.copy_out(place.slot)));
        }
        used = batch.add(used, &message::seal(words, true));
        self.send_small(used, port)?;
        self.bulk = (place.size > 0).then_some(Bulk { from, at, size: place.size, sent: 0 });
        self.send_parts(port)
    }

    /// True if it can go on only when MPI has done with a message.
    pub fn is_full(&self) -> bool {
        !self.ring.has_room()
    }

    /// Adds the requests to look at.
    pub fn requests(&self, to: &mut Vec<Request>) {
        to.extend(self.sends.iter().take(LOOK).map(|(request, _)| *request));
    }

    /// A message is sent.
    pub fn completed(&mut self, request: Request) {
        if let Some(at) = self.sends.iter().position(|(one, _)| *one == request)
            && let Some((_, Some(place))) = self.sends.remove(at)
        {
            self.ring.give_back(place);
        }
    }

    /// What the consumer said of its progress.
    pub fn acknowledged(&mut self, ack: &Ack) -> Hot<()> {
        let fits = (self.consumed..=self.lines()).contains(&ack.consumed)
            && (self.arrived..=self.sent).contains(&ack.arrived)
            && ack.granted >= self.parts.granted;
        if !fits {
            return Err(LAVA_ERROR_PROTOCOL);
        }
        (self.consumed, self.arrived, self.parts.granted) =
            (ack.consumed, ack.arrived, ack.granted);
        let mut released = [Released { slot: 0, position: 0 }; ACK_SLOTS];
        let slots = ack.slots();
        for (released, slot) in released.iter_mut().zip(slots) {
            let held = self.held.get_mut(*slot as usize).ok_or(LAVA_ERROR_PROTOCOL)?;
            let position = std::mem::take(held).checked_sub(1).ok_or(LAVA_ERROR_PROTOCOL)?;
            *released = Released { slot: *slot, position };
        }
        if !slots.is_empty() {
            self.parts.link.release(&released[..slots.len()]);
        }
        // With drop-oldest everything taken counts as claimed at once.
        let kept = if self.parts.may_drop { 0 } else { self.taken - self.consumed };
        self.parts.inlet.wake(kept);
        Ok(())
    }

    /// Position of the first frame that was not taken: the consumer takes no more.
    pub fn position(&self) -> u64 {
        self.parts.inlet.consumed()
    }

    /// What MPI may still read when this connection is gone: the requests, and the memory to keep for them.
    pub fn remains(self) -> (Vec<Request>, Box<dyn std::any::Any + Send>) {
        let requests = self.sends.iter().map(|(request, _)| *request).collect();
        (requests, Box::new((self.ring, self.parts.pool, self.buffers)))
    }
}

/// Where a frame lies whose payload is not in its descriptor.
fn place_of(words: &Words) -> Option<Place> {
    if !descriptor::is_elsewhere(words) {
        return None;
    }
    match descriptor::decode(words)?.payload {
        Payload::Elsewhere(place) => Some(place),
        _ => None,
    }
}

/// Writes into the slack of a slot; not where it has these bytes already, because they may be on their way to another
/// consumer.
fn put(to: NonNull<u8>, bytes: &[u8]) {
    // SAFETY: the callers' ranges lie in the slack of a slot, which only the engine writes, under its lock.
    let there = unsafe { std::slice::from_raw_parts_mut(to.as_ptr(), bytes.len()) };
    if there != bytes {
        there.copy_from_slice(bytes);
    }
}
