//! What a message that came has in it: frames, which go to the consumer's ring.

use super::incoming::{Held, Incoming, broken};
use super::message;
use super::port::Port;
use crate::error::{Error, Result};
use crate::transport::Outlet;
use crate::transport::descriptor::{Decoded, Payload, Place, Words};

impl Incoming {
    /// A message lies in a slot.
    pub(super) fn accept(&mut self, slot: u32, bytes: usize, port: &mut dyn Port) -> Result<()> {
        let start = self.parts.pool.data().ok_or_else(|| broken("no memory"))?;
        // SAFETY: the message was received into this slot, which nobody else uses now.
        let message = unsafe {
            let at = start.add((u64::from(slot) * self.parts.stride) as usize);
            std::slice::from_raw_parts(at.as_ptr(), bytes.min(self.parts.stride as usize))
        };
        let last = message::last_line(message).ok_or_else(|| broken("a message without a line"))?;
        let opened = message::open(last).ok_or_else(|| broken("a line that makes no sense"))?;
        self.asked |= message::marks(&last) & message::ASKS != 0;
        if let (words, Decoded { payload: Payload::Elsewhere(place), .. }, bulk) = opened
            && (bulk || is_alone(&place, message.len()))
        {
            return self.accept_frame(slot, message, (words, place), bulk, port);
        }
        if message.len() == size_of_val(&last) {
            self.free.push(slot);
            return self.push(&opened.0).map(|_| ());
        }
        let mut begins = std::mem::take(&mut self.begins);
        let accepted = self.accept_several(message, &mut begins);
        self.begins = begins;
        self.free.push(slot);
        accepted
    }

    /// Frames that share a message.
    fn accept_several(&mut self, message: &[u8], begins: &mut Vec<usize>) -> Result<()> {
        if !message::records(message, begins) {
            return Err(broken("a message of several frames whose numbers do not fit"));
        }
        for record in begins.array_windows().map(|[begin, end]| &message[*begin..*end]) {
            let opened = message::last_line(record).and_then(message::open);
            let Some((words, Decoded { payload, .. }, _)) = opened else {
                return Err(broken("a line that makes no sense"));
            };
            match payload {
                Payload::Elsewhere(place) => self.accept_copy(record, &words, &place)?,
                _ => {
                    self.push(&words)?;
                }
            }
        }
        Ok(())
    }

    /// A frame that shared a message gets a slot of its own.
    fn accept_copy(&mut self, record: &[u8], words: &Words, place: &Place) -> Result<()> {
        let start = self.parts.pool.data().ok_or_else(|| broken("no memory"))?;
        if place.slot >= self.parts.capacity || place.size > self.parts.max_frame_size {
            return Err(broken("a frame whose numbers do not fit"));
        }
        let slot = self.free.pop().ok_or_else(|| broken("more frames than slots"))?;
        let (payload, tail) = record.split_at(place.size as usize);
        // SAFETY: the slot is free, and has room for the largest frame; the record lies in another one.
        unsafe {
            let to = start.add((u64::from(slot) * self.parts.stride) as usize);
            to.as_ptr().copy_from_nonoverlapping(payload.as_ptr(), payload.len());
        }
        self.take_tensor(slot, place, tail);
        self.held[slot as usize] = Held { position: 0, origin: place.slot, buffer: 0 };
        self.taken_slots += 1;
        self.publish(slot, words, 0)
    }

    /// Keeps the tensor that follows a frame's payload, if there is one.
    fn take_tensor(&self, slot: u32, place: &Place, tail: &[u8]) {
        if place.tensor
            && let Some(tensor) = tail.first_chunk::<{ message::TENSOR }>()
        {
            self.parts.metadata.copy_in(slot, &bytemuck::pod_read_unaligned(tensor));
        }
    }

    fn accept_frame(
        &mut self,
        slot: u32,
        message: &[u8],
        (words, place): (Words, Place),
        bulk: bool,
        port: &mut dyn Port,
    ) -> Result<()> {
        let tail = message::tail(place.tensor);
        let body = message.len().checked_sub(tail);
        let expected = if bulk { Some(0) } else { usize::try_from(place.size).ok() };
        if body.is_none() || body != expected || place.slot >= self.parts.capacity {
            return Err(broken("a frame whose numbers do not fit"));
        }
        if !bulk && place.size > self.parts.max_frame_size {
            return Err(broken("a frame that is too large"));
        }
        self.take_tensor(slot, &place, &message[message.len() - tail..]);
        self.held[slot as usize] = Held { position: 0, origin: place.slot, buffer: 0 };
        self.taken_slots += 1;
        if bulk {
            return self.begin_bulk(slot, words, place, port);
        }
        self.publish(slot, &words, 0)
    }

    /// Puts a whole frame into the consumer's ring.
    pub(super) fn publish(&mut self, slot: u32, words: &Words, buffer: u32) -> Result<()> {
        let position = self.push(&message::place(*words, slot, buffer))?;
        let held = &mut self.held[slot as usize];
        (held.position, held.buffer) = (position + 1, buffer);
        if self.detached {
            self.give_back(slot);
        }
        Ok(())
    }

    fn push(&mut self, words: &Words) -> Result<u64> {
        self.lines += 1;
        self.frames += 1;
        if self.detached {
            return Ok(self.lines - 1);
        }
        match self.parts.outlet.room(1) {
            Ok(0) => Err(broken("more frames than the queue has places")),
            Ok(_) => Ok(self.parts.outlet.push_words(words)),
            Err(status) => Err(Error::new(status, "the consumer's ring")),
        }
    }
}

/// Whether a message has this frame only, by its length.
fn is_alone(place: &Place, length: usize) -> bool {
    let tail = message::tail(place.tensor) as u64;
    place.size.checked_add(tail) == Some(length as u64)
}
