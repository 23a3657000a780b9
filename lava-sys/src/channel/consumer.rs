//! The reading end of a channel.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::json;

use super::connect::{self, ConsumerShared, Established, ProducerLink};
use super::context::Context;
use super::device_end as device;
use super::name::Name;
use super::producer::check_transports;
use super::report::{ConnectionReport, policy_name};
use super::service::lock;
use super::upload::Upload;
use super::waiting::Patience;
use crate::error::{Error, Hot, Result};
use crate::memory::{Buffer, Memory};
use crate::os::clock::Deadline;
use crate::os::futex::{self, Word};
use crate::os::socket;
use crate::scope::Location;
use crate::transport::descriptor::{self, Payload, Place, Words};
use crate::transport::frame::FrameRef;
use crate::transport::shm::{ShmInlet, ShmLink};
use crate::transport::slab::{Frames, Side};
use crate::transport::{AnyInlet, Popped, Released, Returns};
use crate::types::*;
use crate::wire::{self, Message, kind};

/// What `lava_consumer_create` was told.
#[derive(Debug, Clone)]
pub struct Options {
    pub flags: u32,
    pub timeout_ns: u64,
    pub require_transports: u32,
    pub max_copies: Option<u32>,
    pub producer: Option<Location>,
    /// Device: GPU memory, or a refusal. Auto: as it comes. Others: host memory.
    pub memory: Memory,
    /// The GPU that the frames are wanted on; zeros: any.
    pub device_uuid: [u8; 16],
}

/// Frames of a batch after which the producer is told that there is room.
const ANNOUNCE: usize = 32;
/// Longest wait for a buffer whose descriptor came before it: it is in the socket already.
const BUFFER_WAIT: Duration = Duration::from_secs(1);

/// See the module. Used by one thread at a time.
pub struct Consumer {
    pub(super) context: Arc<Context>,
    pub(super) name: Name,
    pub(super) established: Established,
    inlet: AnyInlet,
    pub(super) shared: Arc<ConsumerShared>,
    pub(super) frames: Frames,
    /// Not `LAVA_OK`: the producer broke the protocol, or frames cannot be copied to the GPU any more.
    pub(super) broken: lava_status,
    event: Option<OwnedFd>,
    /// None: frames lie in GPU memory.
    pool_start: Option<NonNull<u8>>,
    next_sequence: Option<u64>,
    received: u64,
    bytes: u64,
    dropped: u64,
    sleeps: u64,
    /// The sources of the service thread.
    watch: (u64, Option<u64>),
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Consumer({})", self.name)
    }
}

impl Options {
    fn check(&self) -> Result<()> {
        let all = LAVA_CONSUMER_LIMIT_COPIES | LAVA_CONSUMER_TRUST_PRODUCER;
        if self.flags & !all != 0 {
            return Err(Error::argument(format!(
                "flags is {:#x}; see LAVA_CONSUMER_*",
                self.flags
            ))
            .with_value(self.flags.into()));
        }
        check_transports(self.require_transports)
    }
}

impl Consumer {
    pub fn create(context: &Arc<Context>, name: &str, options: &Options) -> Result<Self> {
        context.check_fork()?;
        let name = Name::new(name)?;
        options.check()?;
        let established = connect::establish(context, &name, options)?;
        let shared = Arc::new(ConsumerShared {
            lost: AtomicU32::new(0),
            buffers: Arc::new(Mutex::new(HashMap::new())),
            buffers_changed: Condvar::new(),
            imports: AtomicU64::new(0),
            event: Mutex::new(None),
        });
        let watch = ProducerLink::start(context, &established, &shared, &name)?;
        let link: &Arc<ShmLink> = &established.link;
        let side = Side::Consumer {
            transport: established.transport,
            pool: Arc::clone(device::frames_pool(&established)),
            returns: Arc::clone(link) as Arc<dyn Returns>,
            keep: Arc::clone(&established.socket) as Arc<dyn std::any::Any + Send + Sync>,
            device: device::end(context, &established)?,
        };
        let welcome = &established.welcome;
        // GPU memory is used through its buffer, also where the CPU could reach it.
        let pool_start =
            established.pool.data().filter(|_| !device::frames_pool(&established).is_device());
        context.log.info(|| {
            format!(
                "channel {name}: connected by {} to process {}",
                established.transport.name(),
                established.peer_process
            )
        });
        Ok(Self {
            inlet: AnyInlet::Shm(ShmInlet::new(
                Arc::clone(link),
                welcome.policy == LAVA_POLICY_DROP_OLDEST,
            )),
            frames: Frames::new(side, (welcome.capacity as usize + 16).min(1024)),
            context: Arc::clone(context),
            name,
            established,
            shared,
            broken: LAVA_OK,
            event: None,
            pool_start,
            next_sequence: None,
            received: 0,
            bytes: 0,
            dropped: 0,
            sleeps: 0,
            watch,
        })
    }

    #[inline]
    pub fn receive(&mut self, timeout_ns: u64) -> Hot<FrameRef> {
        self.enter()?;
        match self.take()? {
            Some(frame) => {
                self.inlet.wake();
                Ok(frame)
            }
            None => {
                let frame = self.wait(timeout_ns)?;
                self.inlet.wake();
                Ok(frame)
            }
        }
    }

    pub fn receive_many(
        &mut self,
        frames: &mut [Option<FrameRef>],
        timeout_ns: u64,
        received: &mut usize,
    ) -> Hot<()> {
        self.enter()?;
        let outcome = self.fill(frames, timeout_ns, received);
        self.inlet.wake();
        if *received > 0 { Ok(()) } else { outcome }
    }

    fn fill(
        &mut self,
        frames: &mut [Option<FrameRef>],
        timeout_ns: u64,
        received: &mut usize,
    ) -> Hot<()> {
        for frame in frames {
            let taken = match self.take()? {
                None if *received == 0 => Some(self.wait(timeout_ns)?),
                taken => taken,
            };
            match taken {
                Some(taken) => *frame = Some(taken),
                None => return Ok(()),
            }
            *received += 1;
            if received.is_multiple_of(ANNOUNCE) {
                self.inlet.wake();
            }
        }
        Ok(())
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
    fn take(&mut self) -> Hot<Option<FrameRef>> {
        let mut words = [0; 8];
        loop {
            match self.inlet.pop(&mut words) {
                Ok(Popped::Frame { position }) => {
                    return match self.accept(&words, position) {
                        Ok(frame) => Ok(Some(frame)),
                        Err(status) => Err(self.give_up(status)),
                    };
                }
                Ok(Popped::TakenBack { slot, position }) => {
                    if slot < self.established.welcome.capacity {
                        self.established.link.release(&[Released { slot, position }]);
                    }
                }
                Ok(Popped::Empty) => return Ok(None),
                Err(status) => return Err(self.give_up(status)),
            }
        }
    }

    /// Makes a frame of a descriptor, every number of which is checked first.
    #[inline(always)]
    fn accept(&mut self, words: &Words, position: u64) -> Hot<FrameRef> {
        let decoded = descriptor::decode(words).ok_or(LAVA_ERROR_PROTOCOL)?;
        let (mut frame, size) = match decoded.payload {
            Payload::Inline { first, size } => {
                let mut frame = self.frames.take(|_| ());
                frame.cell_mut().start_inline(words, first, size);
                (frame, size as u64)
            }
            Payload::Elsewhere(place) => (self.accept_place(place, position, words)?, place.size),
        };
        let origin = decoded.origin;
        frame.cell_mut().set_origin(origin.sequence, origin.timestamp_ns, origin.tag);
        let expected = self.next_sequence.unwrap_or(origin.sequence);
        self.dropped = self.dropped.wrapping_add(origin.sequence.wrapping_sub(expected));
        self.next_sequence = Some(origin.sequence.wrapping_add(1));
        self.received += 1;
        self.bytes = self.bytes.wrapping_add(size);
        Ok(frame)
    }

    #[inline]
    fn accept_place(&mut self, place: Place, position: u64, words: &Words) -> Hot<FrameRef> {
        connect::check_place(&place, &self.established.welcome)?;
        let mut frame = if place.buffer == 0 {
            let at = u64::from(place.slot) * self.established.welcome.stride;
            let Some(start) = self.pool_start else {
                return self.accept_on_device(place, position, at, words);
            };
            let data = self.at(start, at);
            let mut frame = self.frames.take(|_| ());
            frame.cell_mut().start_slot(place.slot, position, data, place.size);
            frame
        } else {
            let (data, buffer) = self.in_buffer(place.buffer, place.offset, place.size)?;
            if self.established.upload.is_some() {
                return self.accept_copied(place, position, &buffer);
            }
            let on_device = buffer.data().is_none();
            let mut frame = self.frames.take(|_| ());
            frame.cell_mut().start_registered(place.slot, position, data, place.size, buffer);
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

    fn at(&self, start: NonNull<u8>, offset: u64) -> NonNull<u8> {
        NonNull::new(start.as_ptr().wrapping_add(offset as usize)).unwrap_or(start)
    }

    /// First byte of a range in a buffer that the producer passed, and that buffer. It came over the socket before the
    /// frame was published; the service thread may still be busy with it.
    #[cold]
    fn in_buffer(
        &mut self,
        number: u32,
        offset: u64,
        size: u64,
    ) -> Hot<(NonNull<u8>, Arc<Buffer>)> {
        let deadline = Deadline::after(BUFFER_WAIT.as_nanos() as u64);
        let mut buffers = lock(&self.shared.buffers);
        while !buffers.contains_key(&number) {
            if let Some(status) = self.lost()
                && !buffers.contains_key(&number)
            {
                return Err(status);
            }
            let left = Duration::from_nanos(deadline.left_ns());
            if left.is_zero() {
                return Err(LAVA_ERROR_PROTOCOL);
            }
            buffers = self
                .shared
                .buffers_changed
                .wait_timeout(buffers, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |waited| waited.0);
        }
        let buffer = Arc::clone(buffers.get(&number).ok_or(LAVA_ERROR_PROTOCOL)?);
        if offset.checked_add(size).is_none_or(|end| end > buffer.size()) {
            return Err(LAVA_ERROR_PROTOCOL);
        }
        // GPU memory has no address here.
        let start = buffer.data().unwrap_or(NonNull::dangling());
        drop(buffers);
        Ok((self.at(start, offset), buffer))
    }

    /// The producer lied: nothing that it says is believed any more. Frames that are held stay valid.
    #[cold]
    fn give_up(&mut self, status: lava_status) -> lava_status {
        if status == LAVA_ERROR_PROTOCOL {
            self.broken = status;
            self.context
                .log
                .warn(|| format!("channel {}: the producer broke the protocol", self.name));
            socket::shutdown(self.established.socket.as_fd());
        }
        status
    }

    /// The end of the channel, if it has ended and everything is received.
    fn ended(&mut self) -> Hot<Option<FrameRef>> {
        let lost = self.lost();
        let closed = self.inlet.closed();
        if !closed && lost.is_none() {
            return Ok(None);
        }
        // What was published before the end is visible now.
        match self.take()? {
            Some(frame) => Ok(Some(frame)),
            None if closed => Err(LAVA_CLOSED),
            None => Err(lost.unwrap_or(LAVA_ERROR_PEER_LOST)),
        }
    }

    /// The status that tells of the producer's end, if it ended without closing.
    fn lost(&self) -> Option<lava_status> {
        match self.shared.lost.load(Ordering::Acquire) {
            0 => None,
            connect::BROKE => Some(LAVA_ERROR_PROTOCOL),
            _ => Some(LAVA_ERROR_PEER_LOST),
        }
    }

    /// Nothing was there: spins, then sleeps.
    #[cold]
    fn wait(&mut self, timeout_ns: u64) -> Hot<FrameRef> {
        if let Some(frame) = self.ended().inspect_err(|_| self.keep_event_readable())? {
            return Ok(frame);
        }
        // The producer may wait for the room that earlier frames of this call left.
        self.inlet.wake();
        let mut patience = Patience::new(timeout_ns);
        let Ok(deadline) = patience.start() else { return self.rearm() };
        let spin_until = Deadline::after(self.context.spin_ns).min(deadline);
        loop {
            for _ in 0..64 {
                if self.inlet.ready()
                    && let Some(frame) = self.take()?
                {
                    return Ok(frame);
                }
                std::hint::spin_loop();
            }
            if let Some(frame) = self.ended()? {
                return Ok(frame);
            }
            if spin_until.passed() {
                break;
            }
        }
        while !deadline.passed() {
            if let Some(frame) = self.sleep(deadline)? {
                return Ok(frame);
            }
        }
        Err(LAVA_TIMED_OUT)
    }

    /// One sleep, with a look before and after it.
    fn sleep(&mut self, deadline: Deadline) -> Hot<Option<FrameRef>> {
        let expected = self.inlet.set_alarm();
        let found = match self.take()? {
            Some(frame) => Some(frame),
            None => self.ended()?,
        };
        if found.is_none() {
            let words = [
                Word { word: self.inlet.wake_word(), expected },
                Word { word: &self.shared.lost, expected: 0 },
            ];
            futex::wait_any(&words, deadline);
            self.sleeps += 1;
        }
        self.inlet.clear_alarm();
        match found {
            Some(frame) => Ok(Some(frame)),
            None => match self.take()? {
                Some(frame) => Ok(Some(frame)),
                None => self.ended(),
            },
        }
    }

    /// Before a caller is told that there is nothing: its event, if it has one, must fire for the next frame.
    fn rearm(&mut self) -> Hot<FrameRef> {
        let Some(event) = &self.event else { return Err(LAVA_WOULD_BLOCK) };
        socket::drain_signals(event);
        self.inlet.arm_event();
        if let Some(frame) = self.take()? {
            self.keep_event_readable();
            return Ok(frame);
        }
        match self.ended() {
            Ok(Some(frame)) => {
                self.keep_event_readable();
                Ok(frame)
            }
            Ok(None) => Err(LAVA_WOULD_BLOCK),
            Err(status) => {
                self.keep_event_readable();
                Err(status)
            }
        }
    }

    /// A frame was taken between the arming and the look, or the channel has ended: whoever waits must look again.
    fn keep_event_readable(&self) {
        if let Some(event) = lock(&self.shared.event).as_ref() {
            socket::signal(event);
        }
    }

    /// The event descriptor, made when it is first asked for.
    pub fn event_fd(&mut self) -> Result<i32> {
        self.context.check_fork()?;
        if let Some(event) = &self.event {
            return Ok(event.as_raw_fd());
        }
        let (ours, theirs) = socket::pair()?;
        let message = wire::Plain { head: wire::Plain::make_head(kind::EVENT, 1) };
        // A producer that is gone already is found out by the signal below.
        socket::send(
            self.established.socket.as_fd(),
            bytemuck::bytes_of(&message),
            &[theirs.as_fd()],
        )?;
        *lock(&self.shared.event) = Some(theirs);
        self.inlet.arm_event();
        self.keep_event_readable();
        let raw = ours.as_raw_fd();
        self.event = Some(ours);
        Ok(raw)
    }

    pub fn connection(&mut self) -> ConnectionReport {
        self.frames.collect(|_| ());
        let established = &self.established;
        let lost = self.lost().is_some();
        ConnectionReport {
            transport: established.transport,
            copies: established.copies,
            state: if self.inlet.closed() {
                LAVA_CONNECTION_CLOSED
            } else if lost || self.broken != LAVA_OK {
                LAVA_CONNECTION_LOST
            } else {
                LAVA_CONNECTION_OPEN
            },
            peer_process: established.peer_process,
            peer: established.peer.clone(),
            reason: wire::get_text(&established.welcome.reason),
            rejections: established.rejections.clone(),
            frames: self.received,
            bytes: self.bytes,
            dropped: self.dropped,
            queued: self.inlet.queued(),
            held: self.frames.held(),
            sleeps: self.sleeps,
            wakes: established.link.wakes(),
            imports: self.imports(),
        }
    }

    pub fn describe(&mut self) -> String {
        let report = self.connection();
        let welcome = &self.established.welcome;
        json!({
            "name": self.name.as_str(),
            "policy": policy_name(welcome.policy),
            "capacity": welcome.capacity,
            "queue_length": welcome.queue_length,
            "max_frame_size": welcome.max_frame_size,
            "memory": device::frames_pool(&self.established).memory().name(),
            "sync": device::sync_name(&self.established),
            "upload": self.established.upload.as_ref().map(Upload::to_json),
            "evidence": self.established.scope.text,
            "connection": report.to_json(),
        })
        .to_string()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if self.context.fork.is_child() {
            return;
        }
        let detach = wire::Detach {
            head: wire::Detach::make_head(kind::DETACH, 0),
            consumed: self.inlet.consumed(),
        };
        // Frames that are still held keep the socket, and with it their slots.
        let _ = socket::send(self.established.socket.as_fd(), bytemuck::bytes_of(&detach), &[]);
        self.context.unwatch(self.watch.0);
        if let Some(death) = self.watch.1 {
            self.context.unwatch(death);
        }
    }
}
