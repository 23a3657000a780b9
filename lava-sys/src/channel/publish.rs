//! The producer's hot path: loan, send, the three policies, waiting.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::producer::Producer;
use super::shared::Stats;
use crate::error::{Error, Hot, Result};
use crate::memory::Buffer;
use crate::os::clock::{Deadline, now_ns};
use crate::os::futex::{self, Word};
use crate::os::membarrier;
use crate::os::socket::{self, Sent};
use crate::transport::descriptor::{Descriptor, INLINE_SIZE_WITH_TAG, Origin, Place};
use crate::transport::frame::FrameRef;
use crate::transport::tensor;
use crate::types::*;
use crate::wire::{self, Message, kind};

/// Looks of a spinning producer between two readings of the clock, and pauses between two looks.
const LOOKS: u32 = 16;
const PAUSES: u32 = 16;

/// How long a call may wait in all: the clock is read only when it has to wait at all.
pub(super) struct Patience {
    timeout_ns: u64,
    deadline: Option<Deadline>,
}

impl Patience {
    pub(super) fn new(timeout_ns: u64) -> Self {
        Self { timeout_ns, deadline: None }
    }

    /// The deadline; an error if there is no time at all.
    pub(super) fn start(&mut self) -> Hot<Deadline> {
        if self.timeout_ns == LAVA_NO_WAIT {
            return Err(LAVA_WOULD_BLOCK);
        }
        Ok(*self.deadline.get_or_insert_with(|| Deadline::after(self.timeout_ns)))
    }
}

impl Producer {
    pub fn wait_consumers(&mut self, count: u32, timeout_ns: u64) -> Result<lava_status> {
        self.enter_control()?;
        let most = self.shared.geometry.max_consumers;
        if count > most {
            return Err(Error::argument(format!(
                "count is {count}; the channel takes {most} consumers"
            ))
            .with_value(count.into()));
        }
        let waited = self.wait(&mut Patience::new(timeout_ns), |producer| {
            Ok((producer.connection_count() >= count).then_some(()))
        });
        waited_status(waited)
    }

    pub fn wait_released(
        &mut self,
        buffer: Option<&Arc<Buffer>>,
        timeout_ns: u64,
    ) -> Result<lava_status> {
        self.enter_control()?;
        let number = match buffer.map(|buffer| self.registry.find(buffer)) {
            Some(None) => return Ok(LAVA_OK),
            Some(Some(number)) => Some(number),
            None => None,
        };
        let waited = self.wait(&mut Patience::new(timeout_ns), |producer| {
            producer.collect();
            let held = match number {
                Some(number) => producer.registry.is_held(number, &producer.pool),
                None => !producer.pool.all_released() || producer.anything_queued(),
            };
            Ok((!held).then_some(()))
        });
        waited_status(waited)
    }

    /// True if a consumer has frames without a slot still to receive.
    fn anything_queued(&mut self) -> bool {
        self.connections
            .iter_mut()
            .any(|connection| connection.is_open() && connection.outlet.queued() > 0)
    }

    #[inline]
    pub fn loan(&mut self, size: u64, timeout_ns: u64) -> Hot<FrameRef> {
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
            return Err(LAVA_ERROR_FRAME_STATE);
        }
        let tensor = frame.cell().loan_tensor().transpose()?;
        let cell = frame.cell();
        let too_large_inline = cell.tag() != 0 && cell.size() > INLINE_SIZE_WITH_TAG as u64;
        if cell.slot().is_none() && (tensor.is_some() || too_large_inline) {
            self.move_to_slot(&mut frame, patience)?;
        }
        let targets = self.wait_targets(patience)?;
        let cell = frame.cell();
        let own_timestamp = cell.timestamp_ns();
        let origin = Origin {
            sequence: self.sequence,
            timestamp_ns: if own_timestamp == 0 { timestamp } else { own_timestamp },
            tag: cell.tag(),
        };
        let mut descriptor = Descriptor::default();
        match cell.slot() {
            None => descriptor.set_inline(cell.inline_bytes(), origin),
            Some(slot) => {
                if let Some(tensor) = &tensor {
                    self.metadata.write(slot, tensor);
                }
                self.registry.note(slot, 0);
                let size = cell.size();
                let tensor = tensor.is_some();
                descriptor.set_place(Place { slot, buffer: 0, offset: 0, size, tensor }, origin);
            }
        }
        self.publish(&descriptor, targets);
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
            .map_err(|error| error.status)?;
        frame.cell_mut().move_to_slot(slot, data, capacity);
        Ok(())
    }

    #[inline]
    pub fn send_bytes(&mut self, bytes: &[u8], timeout_ns: u64) -> Hot<()> {
        self.enter()?;
        let timestamp = self.timestamp();
        let sent = self.send_copy(bytes, timestamp, &mut Patience::new(timeout_ns));
        self.wake_all();
        sent
    }

    pub fn send_bytes_many<'a>(
        &mut self,
        parts: impl Iterator<Item = Hot<&'a [u8]>>,
        timeout_ns: u64,
        sent: &mut usize,
    ) -> Hot<()> {
        self.enter()?;
        let timestamp = self.timestamp();
        let mut patience = Patience::new(timeout_ns);
        let mut result = Ok(());
        for part in parts {
            result = part.and_then(|bytes| self.send_copy(bytes, timestamp, &mut patience));
            if result.is_err() {
                break;
            }
            *sent += 1;
        }
        self.wake_all();
        result
    }

    #[inline(always)]
    fn send_copy(&mut self, bytes: &[u8], timestamp: u64, patience: &mut Patience) -> Hot<()> {
        if bytes.len() > LAVA_FRAME_INLINE_SIZE {
            return self.send_copy_in_slot(bytes, timestamp, patience);
        }
        let targets = self.wait_targets(patience)?;
        let mut descriptor = Descriptor::default();
        let origin = Origin { sequence: self.sequence, timestamp_ns: timestamp, tag: 0 };
        descriptor.set_inline(bytes, origin);
        self.publish(&descriptor, targets);
        Ok(())
    }

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
        self.memory.write_bytes(at, bytes).map_err(|error| error.status)?;
        self.registry.note(slot, 0);
        let mut descriptor = Descriptor::default();
        let origin = Origin { sequence: self.sequence, timestamp_ns: timestamp, tag: 0 };
        descriptor.set_place(Place { slot, buffer: 0, offset: 0, size, tensor: false }, origin);
        self.publish(&descriptor, targets);
        Ok(())
    }

    pub fn send_buffer(
        &mut self,
        buffer: &Arc<Buffer>,
        offset: u64,
        size: u64,
        tag: u64,
        tensor: Option<&lava_tensor>,
        timeout_ns: u64,
    ) -> Result<lava_status> {
        self.enter_control()?;
        check_sendable(buffer, offset, size)?;
        let tensor = tensor.map(|tensor| tensor::check(tensor, size)).transpose()?;
        let (number, retired) = self.registry.number(buffer, &self.pool)?;
        for number in retired {
            self.retire(number);
        }
        let mut patience = Patience::new(timeout_ns);
        let waited = self.acquire_slot(&mut patience).and_then(|slot| {
            let targets =
                self.wait_targets(&mut patience).inspect_err(|_| self.pool.discard(slot))?;
            Ok((slot, targets))
        });
        let (slot, targets) = match waited {
            Ok(waited) => waited,
            Err(LAVA_WOULD_BLOCK) if self.shared.geometry.policy != LAVA_POLICY_BLOCK => {
                return Ok(LAVA_OK);
            }
            Err(status) => return waited_status(Err(status)),
        };
        if let Err(error) = self.pass_buffer(number, buffer, targets, &mut patience) {
            self.pool.discard(slot);
            return if error.status > 0 { Ok(error.status) } else { Err(error) };
        }
        if let Some(tensor) = &tensor {
            self.metadata.write(slot, tensor);
        }
        self.registry.note(slot, number);
        let origin = Origin { sequence: self.sequence, timestamp_ns: self.timestamp(), tag };
        let place = Place { slot, buffer: number, offset, size, tensor: tensor.is_some() };
        let mut descriptor = Descriptor::default();
        descriptor.set_place(place, origin);
        self.publish(&descriptor, targets);
        self.wake_all();
        Ok(LAVA_OK)
    }

    /// Passes a buffer to the consumers that do not have it yet.
    fn pass_buffer(
        &mut self,
        number: u32,
        buffer: &Buffer,
        targets: u64,
        patience: &mut Patience,
    ) -> Result<()> {
        let index = number as usize - 1;
        for connection in &mut self.connections {
            if connection.buffers.get(index) == Some(&true) || targets & connection.bit == 0 {
                continue;
            }
            let fd = buffer.shared_fd().ok_or_else(|| {
                Error::new(LAVA_ERROR_INTERNAL, "a shareable buffer without a descriptor")
            })?;
            let message = wire::Buffer {
                head: wire::Buffer::make_head(kind::BUFFER, 1),
                id: number,
                memory: buffer.memory().number(),
                pages: buffer.pages(),
                reserved: 0,
                size: buffer.size(),
                file_size: buffer.allocated_size(),
            };
            loop {
                match socket::send(
                    std::os::fd::AsFd::as_fd(&connection.socket),
                    bytemuck::bytes_of(&message),
                    &[fd],
                )? {
                    Sent::Yes | Sent::Gone => break,
                    Sent::Full => {
                        // Only a consumer whose service thread is stopped lets its socket fill up.
                        let deadline = patience.start().map_err(|status| {
                            Error::new(status, "a consumer does not read its socket")
                        })?;
                        if deadline.passed() {
                            return Err(Error::new(
                                LAVA_TIMED_OUT,
                                "a consumer does not read its socket",
                            ));
                        }
                        std::thread::sleep(std::time::Duration::from_millis(1));
                    }
                }
            }
            connection.buffers.resize(connection.buffers.len().max(index + 1), false);
            connection.buffers[index] = true;
        }
        Ok(())
    }

    /// Tells the consumers that a buffer will not be sent any more.
    fn retire(&mut self, number: u32) {
        let message = wire::Buffer {
            head: wire::Buffer::make_head(kind::RETIRE, 0),
            id: number,
            ..bytemuck::Zeroable::zeroed()
        };
        for connection in &mut self.connections {
            if let Some(has) = connection.buffers.get_mut(number as usize - 1)
                && std::mem::take(has)
            {
                // A consumer that does not read keeps the mapping until it ends.
                let _ = socket::send(
                    std::os::fd::AsFd::as_fd(&connection.socket),
                    bytemuck::bytes_of(&message),
                    &[],
                );
            }
        }
    }

    #[inline(always)]
    fn timestamp(&self) -> u64 {
        if self.timestamps { now_ns() } else { 0 }
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
    fn acquire_slot(&mut self, patience: &mut Patience) -> Hot<u32> {
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
    fn wait_targets(&mut self, patience: &mut Patience) -> Hot<u64> {
        if let Some(targets) = self.targets()? {
            return Ok(targets);
        }
        self.wake_all();
        self.wait(patience, Self::targets)
    }

    #[inline(always)]
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

    /// Puts a descriptor into the queues of `targets`. They are woken later.
    #[inline(always)]
    fn publish(&mut self, descriptor: &Descriptor, targets: u64) {
        let mut open = 0_u64;
        for connection in &mut self.connections {
            if targets & connection.bit != 0 {
                connection.push(descriptor);
                open += 1;
            } else if connection.is_open() {
                Stats::add(&connection.stats.dropped, 1);
                open += 1;
            }
        }
        if let Some(slot) = descriptor.slot() {
            self.pool.publish(slot, targets);
        }
        if open == 0 {
            Stats::add(&self.shared.dropped_unheard, 1);
        }
        self.sequence += 1;
        self.shared.frames.store(self.sequence, Ordering::Relaxed);
    }

    /// Wakes the consumers that sleep.
    #[inline(always)]
    fn wake_all(&mut self) {
        for connection in &mut self.connections {
            connection.outlet.wake();
        }
        // In the shadow of the frame's flight, not when the next loan is waited for; and only when it is needed, because
        // a look takes the line away from the consumer that is about to write the next release.
        if !self.pool.has_free() {
            self.collect();
        }
    }

    /// Waits until `ready` gives something: spins, then sleeps until a consumer claims or releases, or the service
    /// thread has news.
    pub(super) fn wait<T>(
        &mut self,
        patience: &mut Patience,
        mut ready: impl FnMut(&mut Self) -> Hot<Option<T>>,
    ) -> Hot<T> {
        if let Some(found) = ready(self)? {
            return Ok(found);
        }
        let deadline = patience.start()?;
        let spin_until = Deadline::after(self.context.spin_ns).min(deadline);
        loop {
            for _ in 0..LOOKS {
                // Each look takes a line away from the consumer that is being waited for: not too often.
                for _ in 0..PAUSES {
                    std::hint::spin_loop();
                }
                self.enter()?;
                if let Some(found) = ready(self)? {
                    return Ok(found);
                }
            }
            if spin_until.passed() {
                break;
            }
        }
        while !deadline.passed() {
            if let Some(found) = self.sleep(deadline, &mut ready)? {
                return Ok(found);
            }
        }
        Err(LAVA_TIMED_OUT)
    }

    /// One sleep, with a look before and after it.
    #[cold]
    fn sleep<T>(
        &mut self,
        deadline: Deadline,
        ready: &mut impl FnMut(&mut Self) -> Hot<Option<T>>,
    ) -> Hot<Option<T>> {
        self.enter()?;
        let seen = self.seen;
        let mut expected = [0_u32; LAVA_CONSUMERS_MAX as usize];
        for (value, connection) in expected.iter_mut().zip(&mut self.connections) {
            *value = connection.outlet.set_alarm();
        }
        if self.connections.iter().any(|connection| connection.outlet.needs_barrier()) {
            membarrier::barrier();
        }
        let count = self.connections.len();
        let found = ready(self);
        // With other connections than before, the words below would not be those that were looked at.
        if matches!(found, Ok(None)) && self.seen == seen && self.connections.len() == count {
            let shared = Arc::clone(&self.shared);
            let mut words =
                [Word { word: shared.events(), expected: seen }; LAVA_CONSUMERS_MAX as usize + 1];
            let mut used = 1;
            for (connection, expected) in self.connections.iter().zip(expected) {
                if let Some(word) = connection.outlet.wake_word() {
                    words[used] = Word { word, expected };
                    used += 1;
                }
            }
            futex::wait_any(&words[..used], deadline);
            self.sleeps += 1;
        }
        for connection in &mut self.connections {
            connection.outlet.clear_alarm();
        }
        if found.is_err() || matches!(found, Ok(Some(_))) {
            return found;
        }
        self.enter()?;
        ready(self)
    }
}

fn check_sendable(buffer: &Buffer, offset: u64, size: u64) -> Result<()> {
    let unsupported =
        |what: &str| Err(Error::new(LAVA_ERROR_UNSUPPORTED, format!("this buffer {what}")));
    if buffer.flags() & LAVA_BUFFER_IMPORTED != 0 {
        return unsupported("was imported: only the process that allocated a buffer can send it");
    }
    if buffer.shared_fd().is_none() {
        return unsupported("cannot be shared: allocate it with LAVA_BUFFER_SHAREABLE");
    }
    if !buffer.is_single_writer() {
        return unsupported(
            "can be written to by importers: allocate it without LAVA_BUFFER_WRITABLE_BY_IMPORTERS",
        );
    }
    if offset.checked_add(size).is_none_or(|end| end > buffer.size()) {
        return Err(Error::new(
            LAVA_ERROR_TOO_LARGE,
            format!("{size} bytes at {offset} lie outside the buffer of {} bytes", buffer.size()),
        )
        .with_value(size));
    }
    Ok(())
}

/// A wait's outcome for a control function: positive statuses are answers, not errors.
fn waited_status(waited: Hot<()>) -> Result<lava_status> {
    match waited {
        Ok(()) => Ok(LAVA_OK),
        Err(status) if status > 0 => Ok(status),
        Err(status) => Err(Error::new(status, "waiting on the channel")),
    }
}
