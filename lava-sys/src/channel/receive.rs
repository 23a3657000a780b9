//! The consumer's hot path: descriptors become frames.

use std::ptr::NonNull;

use super::connect;
use super::consumer::Consumer;
use crate::error::Hot;
use crate::transport::descriptor::{self, Origin, Payload, PayloadWords, Place, Words};
use crate::transport::frame::FrameRef;
use crate::transport::{Popped, Released, Returns};
use crate::types::*;

/// Frames of a batch after which the producer is told that there is room.
const ANNOUNCE: usize = 32;

/// The rest of a line with packed frames.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Unpacked {
    words: PayloadWords,
    /// Bytes of each frame.
    size: usize,
    /// First word of the next one.
    at: usize,
    pub(super) left: usize,
    /// Of the next one.
    origin: Origin,
}

impl Consumer {
    #[inline]
    pub fn receive(&mut self, timeout_ns: u64) -> Hot<FrameRef> {
        self.enter()?;
        self.timeout_ns = timeout_ns;
        let frame = match self.take()? {
            Some(frame) => frame,
            None => self.wait(timeout_ns)?,
        };
        self.announce();
        Ok(frame)
    }

    pub fn receive_many(
        &mut self,
        frames: &mut [Option<FrameRef>],
        timeout_ns: u64,
        received: &mut usize,
    ) -> Hot<()> {
        self.enter()?;
        self.timeout_ns = timeout_ns;
        let outcome = self.fill(frames, timeout_ns, received);
        self.announce();
        if *received > 0 { Ok(()) } else { outcome }
    }

    fn fill(
        &mut self,
        frames: &mut [Option<FrameRef>],
        timeout_ns: u64,
        received: &mut usize,
    ) -> Hot<()> {
        let mut announced = 0;
        while *received < frames.len() {
            let rest = &mut frames[*received..];
            if self.pack.left > 0 {
                *received += self.unpack(rest);
            } else {
                rest[0] = match self.take()? {
                    None if *received == 0 => Some(self.wait(timeout_ns)?),
                    None => return Ok(()),
                    taken => taken,
                };
                *received += 1;
            }
            if *received - announced >= ANNOUNCE {
                announced = *received;
                self.announce();
            }
        }
        Ok(())
    }

    /// Tells the producer what was received. A line of packed frames counts when all of them were.
    #[inline(always)]
    fn announce(&self) {
        self.inlet.wake(u64::from(self.pack.left > 0));
    }

    #[inline(always)]
    fn enter(&self) -> Hot<()> {
        if self.context.fork.is_child() {
            return Err(LAVA_ERROR_FORKED);
        }
        if self.broken == LAVA_OK { Ok(()) } else { Err(self.broken) }
    }

    /// The next frame, if there is one.
    #[inline(always)]
    pub(super) fn take(&mut self) -> Hot<Option<FrameRef>> {
        if self.pack.left > 0 {
            return Ok(Some(self.unpack_one()));
        }
        if self.late.is_some() {
            return self.take_late();
        }
        let mut words = [0; 8];
        loop {
            match self.inlet.pop(&mut words) {
                Ok(Popped::Frame { position }) => {
                    return match self.accept(&words, position) {
                        Ok(frame) => Ok(Some(frame)),
                        Err(LAVA_WOULD_BLOCK) => self.keep_late(words, position),
                        Err(status) => Err(self.give_up(status)),
                    };
                }
                Ok(Popped::TakenBack { slot, position }) => self.give_slot_back(slot, position),
                Ok(Popped::Empty) => return Ok(None),
                Err(status) => return Err(self.give_up(status)),
            }
        }
    }

    #[cold]
    fn give_slot_back(&self, slot: u32, position: u64) {
        if slot < self.established.welcome.capacity {
            self.established.link.release(&[Released { slot, position }]);
        }
    }

    /// Makes a frame of a descriptor, every number of which is checked first.
    #[inline(always)]
    pub(super) fn accept(&mut self, words: &Words, position: u64) -> Hot<FrameRef> {
        let decoded = descriptor::decode(words).ok_or(LAVA_ERROR_PROTOCOL)?;
        let origin = decoded.origin;
        let (frame, size) = match decoded.payload {
            Payload::Inline { words, size } => {
                let mut frame = self.frames.take(|_| ());
                frame.cell_mut().start_inline(&words, size, origin);
                (frame, size as u64)
            }
            Payload::Elsewhere(place) => (self.accept_place(place, position, origin)?, place.size),
            Payload::Packed { words, size, count } => {
                return self.accept_pack(Unpacked { words, size, at: 0, left: count, origin });
            }
        };
        self.count(origin.sequence, 1, size);
        Ok(frame)
    }

    /// Takes note of frames in sequence.
    #[inline(always)]
    fn count(&mut self, first: u64, count: u64, size: u64) {
        if first != self.next_sequence {
            // What was sent before this consumer came was not dropped.
            let expected = if self.received == 0 { first } else { self.next_sequence };
            self.dropped = self.dropped.wrapping_add(first.wrapping_sub(expected));
        }
        self.next_sequence = first.wrapping_add(count);
        self.received += count;
        self.bytes = self.bytes.wrapping_add(size);
    }

    /// Takes a line of packed frames, and gives the first.
    #[inline(always)]
    fn accept_pack(&mut self, pack: Unpacked) -> Hot<FrameRef> {
        if self.established.welcome.policy != LAVA_POLICY_BLOCK {
            return Err(LAVA_ERROR_PROTOCOL);
        }
        self.pack = pack;
        Ok(self.unpack_one())
    }

    #[inline(always)]
    fn unpack_one(&mut self) -> FrameRef {
        let mut frame = [None];
        let _ = self.unpack(&mut frame);
        // There is one.
        frame[0].unwrap_or_else(|| self.frames.take(|_| ()))
    }

    /// Hands out packed frames, as many as there are and `to` has room for. Gives their number.
    #[inline(always)]
    fn unpack(&mut self, to: &mut [Option<FrameRef>]) -> usize {
        // Copies: what changes with each frame would be read back by wider loads than it was stored.
        let Unpacked { words, size, mut at, left, mut origin } = self.pack;
        let (first, count) = (origin.sequence, left.min(to.len()));
        for to in &mut to[..count] {
            let mut frame = self.frames.take(|_| ());
            match words.get(at..) {
                Some([word, ..]) if size <= 8 => {
                    frame.cell_mut().start_inline(&[*word], size, origin);
                    at += 1;
                }
                Some([word, second, ..]) => {
                    frame.cell_mut().start_inline(&[*word, *second], size, origin);
                    at += 2;
                }
                // A line has as many words as its frames need: that is checked when it is decoded.
                _ => frame.cell_mut().start_inline(&[], 0, origin),
            }
            origin.sequence = origin.sequence.wrapping_add(1);
            *to = Some(frame);
        }
        (self.pack.at, self.pack.left, self.pack.origin) = (at, left - count, origin);
        self.count(first, count as u64, (count * size) as u64);
        count
    }

    #[inline]
    fn accept_place(&mut self, place: Place, position: u64, origin: Origin) -> Hot<FrameRef> {
        connect::check_place(&place, &self.established.welcome)?;
        let mut frame = if place.buffer == 0 {
            let at = u64::from(place.slot) * self.established.welcome.stride;
            let Some(start) = self.pool_start else {
                return self.accept_on_device(place, position, at, origin);
            };
            let data = self.at(start, at);
            let mut frame = self.frames.take(|_| ());
            frame.cell_mut().start_slot(place.slot, position, data, place.size, origin);
            frame
        } else {
            let (data, buffer) = self.in_buffer(place.buffer, place.offset, place.size)?;
            if self.established.upload.is_some() {
                return self.accept_copied(place, position, origin, &buffer);
            }
            let on_device = buffer.data().is_none();
            let mut frame = self.frames.take(|_| ());
            frame.cell_mut().start_slot(place.slot, position, data, place.size, origin);
            frame.cell_mut().set_registered(buffer);
            if on_device {
                frame.cell_mut().place_received(place.offset, 0);
            }
            frame
        };
        if place.tensor {
            frame.cell_mut().set_received_tensor(self.established.metadata.read(place.slot));
        }
        Ok(frame)
    }

    pub(super) fn at(&self, start: NonNull<u8>, offset: u64) -> NonNull<u8> {
        NonNull::new(start.as_ptr().wrapping_add(offset as usize)).unwrap_or(start)
    }
}
