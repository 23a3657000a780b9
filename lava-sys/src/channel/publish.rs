//! The producer's hot path: loan, send, the three policies. It waits as [`super::waiting`] says.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use super::producer::Producer;
use super::shared::Stats;
use super::waiting::Patience;
use crate::error::Hot;
use crate::os::clock::now_ns;
use crate::transport::descriptor::{Descriptor, INLINE_SIZE_WITH_TAG, Origin, Pack, Place};
use crate::transport::frame::FrameRef;
use crate::types::*;

/// Apart, so that calls without a timestamp have less to save and restore.
#[inline(never)]
fn read_clock() -> u64 {
    now_ns()
}

impl Producer {
    /// Lets the lines that the next send writes come while everything else is done: a consumer that polls has them.
    #[inline(always)]
    fn prepare(&self) {
        for connection in &self.connections {
            connection.outlet.prepare();
        }
    }

    #[inline]
    pub fn loan(&mut self, size: u64, timeout_ns: u64) -> Hot<FrameRef> {
        self.prepare();
        self.enter()?;
        self.loan_one(size, &mut Patience::new(timeout_ns))
    }

    #[inline]
    fn loan_one(&mut self, size: u64, patience: &mut Patience) -> Hot<FrameRef> {
        if size <= LAVA_FRAME_INLINE_SIZE as u64 {
            let mut frame = self.take_cell();
            frame.cell_mut().start_loan(None, size, LAVA_FRAME_INLINE_SIZE as u64);
            return Ok(frame);
        }
        if size > self.shared.geometry.max_frame_size {
            return Err(LAVA_ERROR_TOO_LARGE);
        }
        let slot = self.acquire_slot(patience)?;
        let data = self.slot_data(slot);
        let capacity = self.shared.geometry.max_frame_size;
        let mut frame = self.take_cell();
        frame.cell_mut().start_loan(Some((slot, data)), size, capacity);
        if self.device.is_some() {
            self.place_loan(&mut frame, slot);
        }
        Ok(frame)
    }

    pub fn loan_many(
        &mut self,
        size: u64,
        frames: &mut [Option<FrameRef>],
        timeout_ns: u64,
        loaned: &mut usize,
    ) -> Hot<()> {
        self.enter()?;
        let mut patience = Patience::new(timeout_ns);
        for frame in frames {
            match self.loan_one(size, &mut patience) {
                Ok(loan) => *frame = Some(loan),
                Err(status) if *loaned == 0 => return Err(status),
                Err(_) => return Ok(()),
            }
            *loaned += 1;
            patience = Patience::new(LAVA_NO_WAIT);
        }
        Ok(())
    }

    #[inline]
    pub fn send(&mut self, frame: FrameRef, timeout_ns: u64) -> Hot<()> {
        self.enter()?;
        let timestamp = self.timestamp();
        let sent = self.send_loan(frame, timestamp, &mut Patience::new(timeout_ns));
        self.wake_all();
        sent
    }

    pub fn send_many(&mut self, frames: &[FrameRef], timeout_ns: u64, sent: &mut usize) -> Hot<()> {
        self.enter()?;
        let timestamp = self.timestamp();
        let mut patience = Patience::new(timeout_ns);
        let mut result = Ok(());
        for frame in frames {
            result = self.send_loan(*frame, timestamp, &mut patience);
            if result.is_err() {
                break;
            }
            *sent += 1;
        }
        self.wake_all();
        result
    }

    fn send_loan(
        &mut self,
        mut frame: FrameRef,
        timestamp: u64,
        patience: &mut Patience,
    ) -> Hot<()> {
        if !frame.cell().is_loan_of(self.frames.slab()) {
            // One that was released is no frame at all, as for every other call.
            let live = frame.cell().is_live();
            return Err(if live { LAVA_ERROR_FRAME_STATE } else { LAVA_ERROR_INVALID_HANDLE });
        }
        let tensor = frame.cell().loan_tensor().transpose()?;
        let cell = frame.cell();
        let too_large_inline = cell.tag() != 0 && cell.size() > INLINE_SIZE_WITH_TAG as u64;
        if cell.slot().is_none() && (tensor.is_some() || too_large_inline) {
            self.move_to_slot(&mut frame, patience)?;
        }
        self.finish_work(&frame, patience)?;
        let targets = self.wait_targets(patience)?;
        let cell = frame.cell();
        let own_timestamp = cell.timestamp_ns();
        let origin = Origin {
            sequence: self.sequence,
            timestamp_ns: if own_timestamp == 0 { timestamp } else { own_timestamp },
            tag: cell.tag(),
        };
        match cell.slot() {
            None => {
                let bytes = cell.inline_bytes();
                self.publish(&Descriptor::Inline { bytes, origin }, targets);
            }
            Some(slot) => {
                if let Some(tensor) = &tensor {
                    self.metadata.write(slot, tensor);
                }
                self.registry.note(slot, 0);
                let size = cell.size();
                let tensor = tensor.is_some();
                let ready = self.ready_value(cell.ready_value());
                let place = Place { slot, buffer: 0, offset: 0, size, tensor, ready };
                self.publish(&Descriptor::Slot { place, origin }, targets);
            }
        }
        self.frames.put_back(frame);
        Ok(())
    }

    /// A small frame that needs metadata takes a slot after all.
    #[cold]
    fn move_to_slot(&mut self, frame: &mut FrameRef, patience: &mut Patience) -> Hot<()> {
        let slot = self.acquire_slot(patience)?;
        let data = self.slot_data(slot);
        let capacity = self.shared.geometry.max_frame_size;
        if frame.cell().size() > capacity {
            self.pool.discard(slot);
            return Err(LAVA_ERROR_TOO_LARGE);
        }
        self.memory
            .write_bytes(u64::from(slot) * self.shared.geometry.stride, frame.cell().inline_bytes())
            .inspect_err(|_| self.pool.discard(slot))
            .map_err(|error| error.status)?;
        frame.cell_mut().move_to_slot(slot, data, capacity);
        if self.device.is_some() {
            self.place_loan(frame, slot);
        }
        Ok(())
    }

    #[inline(always)]
    pub fn send_bytes(&mut self, bytes: &[u8], timeout_ns: u64) -> Hot<()> {
        self.prepare();
        self.enter()?;
        let timestamp = self.timestamp();
        if bytes.len() > LAVA_FRAME_INLINE_SIZE || self.ready_targets().is_none() {
            return self.send_bytes_slowly(bytes, timestamp, timeout_ns);
        }
        let origin = Origin { sequence: self.sequence, timestamp_ns: timestamp, tag: 0 };
        self.publish_to_all(&Descriptor::Inline { bytes, origin });
        self.wake_all();
        Ok(())
    }

    /// What takes a slot, or may have to wait.
    #[inline(never)]
    fn send_bytes_slowly(&mut self, bytes: &[u8], timestamp: u64, timeout_ns: u64) -> Hot<()> {
        let sent = self.send_copy(bytes, timestamp, &mut Patience::new(timeout_ns));
        self.wake_all();
        sent
    }

    pub fn send_bytes_many<'a>(
        &mut self,
        mut parts: impl Iterator<Item = Hot<&'a [u8]>>,
        timeout_ns: u64,
        sent: &mut usize,
    ) -> Hot<()> {
        self.enter()?;
        let timestamp = self.timestamp();
        let mut patience = Patience::new(timeout_ns);
        let mut pack = Pack::new(self.shared.geometry.policy == LAVA_POLICY_BLOCK);
        let result = loop {
            let next = pack.fill(&mut parts);
            let packed = self.send_pack(&mut pack, timestamp, &mut patience, sent);
            let bytes = match next {
                None => break packed,
                Some(part) => packed.and(part),
            };
            match bytes {
                Ok(bytes) if pack.add(bytes) => {}
                Ok(bytes) => match self.send_copy(bytes, timestamp, &mut patience) {
                    Ok(()) => *sent += 1,
                    failed => break failed,
                },
                Err(status) => break Err(status),
            }
        };
        self.wake_all();
        result
    }

    /// Sends what is in a pack, and empties it. `sent` counts its frames.
    #[inline(always)]
    fn send_pack(
        &mut self,
        pack: &mut Pack,
        timestamp_ns: u64,
        patience: &mut Patience,
        sent: &mut usize,
    ) -> Hot<()> {
        if pack.is_empty() {
            return Ok(());
        }
        let targets = self.wait_targets(patience)?;
        let origin = Origin { sequence: self.sequence, timestamp_ns, tag: 0 };
        self.publish(&Descriptor::Packed { pack, origin }, targets);
        *sent += pack.count();
        pack.clear();
        Ok(())
    }

    fn send_copy(&mut self, bytes: &[u8], timestamp: u64, patience: &mut Patience) -> Hot<()> {
        if bytes.len() > LAVA_FRAME_INLINE_SIZE {
            return self.send_copy_in_slot(bytes, timestamp, patience);
        }
        let targets = self.wait_targets(patience)?;
        let origin = Origin { sequence: self.sequence, timestamp_ns: timestamp, tag: 0 };
        self.publish(&Descriptor::Inline { bytes, origin }, targets);
        Ok(())
    }

    #[inline(never)]
    fn send_copy_in_slot(
        &mut self,
        bytes: &[u8],
        timestamp: u64,
        patience: &mut Patience,
    ) -> Hot<()> {
        let size = bytes.len() as u64;
        if size > self.shared.geometry.max_frame_size {
            return Err(LAVA_ERROR_TOO_LARGE);
        }
        let slot = match self.acquire_slot(patience) {
            Err(LAVA_WOULD_BLOCK) if self.shared.geometry.policy != LAVA_POLICY_BLOCK => {
                return Ok(());
            }
            slot => slot?,
        };
        // The room is waited for first: a frame that cannot be sent is not copied.
        let targets = self.wait_targets(patience).inspect_err(|_| self.pool.discard(slot))?;
        let at = u64::from(slot) * self.shared.geometry.stride;
        self.memory
            .write_bytes(at, bytes)
            .inspect_err(|_| self.pool.discard(slot))
            .map_err(|error| error.status)?;
        self.registry.note(slot, 0);
        let origin = Origin { sequence: self.sequence, timestamp_ns: timestamp, tag: 0 };
        let place = Place { slot, buffer: 0, offset: 0, size, tensor: false, ready: 0 };
        self.publish(&Descriptor::Slot { place, origin }, targets);
        Ok(())
    }

    #[inline(always)]
    pub(super) fn timestamp(&self) -> u64 {
        if self.timestamps { read_clock() } else { 0 }
    }

    #[inline]
    fn take_cell(&mut self) -> FrameRef {
        let pool = &mut self.pool;
        self.frames.take(|slot| pool.discard(slot))
    }

    fn slot_data(&self, slot: u32) -> NonNull<u8> {
        let start = self.memory.data().unwrap_or(NonNull::dangling());
        let address =
            start.as_ptr().wrapping_add((u64::from(slot) * self.shared.geometry.stride) as usize);
        NonNull::new(address).unwrap_or(start)
    }

    /// Takes in all releases, and the slots of loans that were given back unsent.
    #[inline(never)]
    pub(super) fn collect(&mut self) {
        let pool = &mut self.pool;
        self.frames.collect(|slot| pool.discard(slot));
        let mut broken = false;
        for connection in &mut self.connections {
            connection.collect(pool);
            broken |= connection.broken;
        }
        if broken {
            self.cut_broken();
        }
    }

    /// A free slot. With a drop policy it never waits: `LAVA_WOULD_BLOCK` counts as a dropped frame.
    #[inline]
    pub(super) fn acquire_slot(&mut self, patience: &mut Patience) -> Hot<u32> {
        if !self.pool.has_free() {
            self.collect();
        }
        if let Some(slot) = self.pool.take() {
            return Ok(slot);
        }
        match self.shared.geometry.policy {
            LAVA_POLICY_BLOCK => {
                self.wake_all();
                self.wait(patience, |producer| {
                    producer.collect();
                    Ok(producer.pool.take())
                })
            }
            policy => {
                if policy == LAVA_POLICY_DROP_OLDEST {
                    self.drop_until_free();
                }
                self.pool.take().ok_or_else(|| {
                    self.count_dropped();
                    LAVA_WOULD_BLOCK
                })
            }
        }
    }

    /// Drops the oldest waiting frames, of the longest queue first, until a slot is free or nothing waits.
    #[cold]
    fn drop_until_free(&mut self) {
        let most = self.connections.len() * self.shared.geometry.queue_length as usize;
        for _ in 0..most {
            if self.pool.has_free() {
                return;
            }
            let pool = &mut self.pool;
            let longest = self
                .connections
                .iter_mut()
                .filter(|connection| connection.is_open())
                .map(|connection| (connection.outlet.queued(), connection))
                .max_by_key(|(queued, _)| *queued);
            if !longest.is_some_and(|(_, connection)| connection.drop_oldest(pool)) {
                return;
            }
            self.collect();
        }
    }

    /// A frame that nobody will get: its number is used up, so that consumers see the gap.
    #[cold]
    fn count_dropped(&mut self) {
        self.sequence += 1;
        for connection in self.connections.iter().filter(|connection| connection.is_open()) {
            Stats::add(&connection.stats.dropped, 1);
        }
    }

    /// The consumers that get the next frame. Policy block waits until that is all of them, and at least one.
    #[inline(always)]
    pub(super) fn wait_targets(&mut self, patience: &mut Patience) -> Hot<u64> {
        match self.ready_targets() {
            Some(targets) => Ok(targets),
            None => self.wait_for_targets(patience),
        }
    }

    /// All consumers, if there is one, and each of them is seen at once to have room.
    #[inline(always)]
    fn ready_targets(&self) -> Option<u64> {
        let mut targets = 0;
        for connection in &self.connections {
            if !connection.is_ready() {
                return None;
            }
            targets |= connection.bit;
        }
        (targets != 0).then_some(targets)
    }

    #[cold]
    #[inline(never)]
    fn wait_for_targets(&mut self, patience: &mut Patience) -> Hot<u64> {
        if let Some(targets) = self.targets()? {
            return Ok(targets);
        }
        self.wake_all();
        self.wait(patience, Self::targets)
    }

    fn targets(&mut self) -> Hot<Option<u64>> {
        let policy = self.shared.geometry.policy;
        let (mut targets, mut full, mut broken) = (0, false, false);
        let pool = &mut self.pool;
        for connection in &mut self.connections {
            if !connection.is_open() {
                continue;
            }
            let room = connection.room(1) > 0
                || (policy == LAVA_POLICY_DROP_OLDEST && connection.drop_oldest(pool));
            if room {
                targets |= connection.bit;
            } else {
                full = true;
            }
            broken |= connection.broken;
        }
        if broken {
            self.cut_broken();
            return self.targets_again();
        }
        if policy == LAVA_POLICY_BLOCK && (full || targets == 0) {
            return Ok(None);
        }
        Ok(Some(targets))
    }

    #[cold]
    fn targets_again(&mut self) -> Hot<Option<u64>> {
        self.targets()
    }

    /// Puts a descriptor without a slot into every queue. Consumers are woken later.
    #[inline(always)]
    fn publish_to_all(&mut self, descriptor: &Descriptor<'_>) {
        for connection in &mut self.connections {
            connection.push(descriptor);
        }
        self.advance(descriptor.count());
    }

    #[inline(always)]
    pub(super) fn advance(&mut self, count: u64) {
        self.sequence += count;
        self.shared.frames.store(self.sequence, Ordering::Relaxed);
    }

    /// Puts a descriptor into the queues of `targets`. They are woken later.
    #[inline(always)]
    pub(super) fn publish(&mut self, descriptor: &Descriptor<'_>, targets: u64) {
        if self.device.is_some()
            && self.staged_among(targets) != 0
            && let Descriptor::Slot { place, origin } = descriptor
        {
            return self.publish_staged(*place, *origin, targets);
        }
        self.publish_direct(descriptor, targets);
    }

    /// As [`Self::publish`], the same memory for all.
    #[inline(always)]
    pub(super) fn publish_direct(&mut self, descriptor: &Descriptor<'_>, targets: u64) {
        let mut missed = targets == 0;
        for connection in &mut self.connections {
            if targets & connection.bit != 0 {
                connection.push(descriptor);
            } else {
                missed = true;
            }
        }
        if let Some(slot) = descriptor.slot() {
            self.pool.publish(slot, targets);
        }
        if missed {
            self.count_missed(targets);
        }
        self.advance(descriptor.count());
    }

    /// A frame that not every consumer got. Policy block, where frames may be packed, has none.
    #[cold]
    #[inline(never)]
    fn count_missed(&mut self, targets: u64) {
        let mut open = self.connections.iter().filter(|connection| connection.is_open()).peekable();
        if open.peek().is_none() {
            Stats::add(&self.shared.dropped_unheard, 1);
        }
        for connection in open.filter(|connection| targets & connection.bit == 0) {
            Stats::add(&connection.stats.dropped, 1);
        }
    }

    /// Wakes the consumers that sleep.
    #[inline(always)]
    pub(super) fn wake_all(&mut self) {
        for connection in &mut self.connections {
            connection.outlet.wake();
        }
        // In the shadow of the frame's flight, not when the next loan is waited for; and only when it is needed, because
        // a look takes the line away from the consumer that is about to write the next release.
        if !self.pool.has_free() {
            self.collect();
        }
    }
}
