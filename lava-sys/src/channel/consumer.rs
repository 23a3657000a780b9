//! The reading end of a channel. How frames are taken is in [`super::receive`].

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::json;

use super::connect::{self, ConsumerShared, Established, ProducerLink};
use super::context::Context;
use super::device_end as device;
use super::late::Late;
use super::name::Name;
use super::producer::check_transports;
use super::receive::Unpacked;
use super::remote::progress::{Remote, Wanted};
use super::rendezvous;
use super::report::{ConnectionReport, policy_name};
use super::service::lock;
use super::upload::Upload;
use super::waiting::Patience;
use crate::error::{Error, Hot, Result};
use crate::memory::Memory;
use crate::os::clock::Deadline;
use crate::os::futex::{self, Word};
use crate::os::socket;
use crate::scope::Location;
use crate::transport::frame::FrameRef;
use crate::transport::shm::{ShmInlet, ShmLink};
use crate::transport::slab::{Frames, Side};
use crate::transport::{AnyInlet, Returns};
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

/// Looks of a spinning consumer between two looks at the channel's state and at the clock.
const LOOKS: u32 = 64;
/// Pauses between two looks at the next line: a look that comes while the producer fetches the line takes it away again.
const PAUSES: u32 = 2;
/// The same for a producer in another host, where each look asks MPI; then it yields for some more times as long.
const REMOTE_LOOKS: u32 = 16;
pub(super) const REMOTE_SPINS: u64 = 20;
/// See the module. Used by one thread at a time.
pub struct Consumer {
    pub(super) context: Arc<Context>,
    pub(super) name: Name,
    pub(super) established: Established,
    pub(super) inlet: AnyInlet,
    pub(super) shared: Arc<ConsumerShared>,
    pub(super) frames: Frames,
    /// Not `LAVA_OK`: the producer broke the protocol, or frames cannot be copied to the GPU any more.
    pub(super) broken: lava_status,
    event: Option<OwnedFd>,
    /// None: frames lie in GPU memory.
    pub(super) pool_start: Option<NonNull<u8>>,
    /// How long the call that is under way may wait.
    pub(super) timeout_ns: u64,
    pub(super) late: Option<Late>,
    /// Packed frames of a line that are still to be handed out.
    pub(super) pack: Unpacked,
    pub(super) next_sequence: u64,
    pub(super) received: u64,
    pub(super) bytes: u64,
    pub(super) dropped: u64,
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
            buffers: Arc::clone(&established.buffers),
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
            timeout_ns: 0,
            late: None,
            pack: Unpacked::default(),
            next_sequence: 0,
            received: 0,
            bytes: 0,
            dropped: 0,
            sleeps: 0,
            watch,
        })
    }

    /// The producer lied: nothing that it says is believed any more. Frames that are held stay valid.
    #[cold]
    pub(super) fn give_up(&mut self, status: lava_status) -> lava_status {
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
    #[inline(always)]
    fn ended(&mut self) -> Hot<Option<FrameRef>> {
        let lost = self.lost();
        let closed = self.inlet.closed();
        if !closed && lost.is_none() {
            return Ok(None);
        }
        self.take_the_last(closed, lost)
    }

    #[cold]
    #[inline(never)]
    fn take_the_last(&mut self, closed: bool, lost: Option<lava_status>) -> Hot<Option<FrameRef>> {
        // What was published before the end is visible now.
        match self.take()? {
            Some(frame) => Ok(Some(frame)),
            None if closed => Err(LAVA_CLOSED),
            None => Err(lost.unwrap_or(LAVA_ERROR_PEER_LOST)),
        }
    }

    /// The status that tells of the producer's end, if it ended without closing.
    pub(super) fn lost(&self) -> Option<lava_status> {
        let lost = self.shared.lost.load(Ordering::Acquire).cast_signed();
        (lost != 0).then_some(lost)
    }

    /// Nothing was there: spins, then sleeps. Not cold: a frame that is polled for comes this way.
    #[inline(never)]
    pub(super) fn wait(&mut self, timeout_ns: u64) -> Hot<FrameRef> {
        if let Some(frame) = self.ended().inspect_err(|_| self.keep_event_readable())? {
            return Ok(frame);
        }
        // The producer may wait for the room that earlier frames of this call left.
        self.inlet.wake(0);
        let mut patience = Patience::new(timeout_ns);
        let Ok(deadline) = patience.start() else { return self.rearm() };
        if let Some(remote) = &self.established.remote {
            let remote = Arc::clone(remote);
            return match self.drive_until(&remote, deadline)? {
                Some(frame) => Ok(frame),
                None => {
                    remote.hand_over();
                    self.sleep_until(deadline)
                }
            };
        }
        let spin_until = Deadline::after(self.context.spin_ns).min(deadline);
        loop {
            for _ in 0..LOOKS {
                if self.inlet.ready()
                    && let Some(frame) = self.take()?
                {
                    return Ok(frame);
                }
                for _ in 0..PAUSES {
                    std::hint::spin_loop();
                }
            }
            if let Some(frame) = self.ended()? {
                return Ok(frame);
            }
            if spin_until.passed() {
                return self.sleep_until(deadline);
            }
        }
    }

    /// As the spinning of [`Self::wait`], for a producer in another host: whoever waits for its frame brings it.
    fn drive_until(&mut self, remote: &Remote, deadline: Deadline) -> Hot<Option<FrameRef>> {
        let spin_ns = self.context.remote_spin_ns;
        // Where that is less there is one processor, which others of this process need, too.
        let poll_until = Deadline::after(self.context.spin_ns).min(deadline);
        let yield_until = Deadline::after(spin_ns.saturating_mul(REMOTE_SPINS)).min(deadline);
        let mut polls = true;
        loop {
            for _ in 0..REMOTE_LOOKS {
                remote.drive(Wanted::Frames);
                if self.inlet.ready()
                    && let Some(frame) = self.take()?
                {
                    return Ok(Some(frame));
                }
            }
            if let Some(frame) = self.ended()? {
                return Ok(Some(frame));
            }
            if yield_until.passed() {
                return Ok(None);
            }
            polls = polls && !poll_until.passed();
            if !polls {
                std::thread::yield_now();
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn sleep_until(&mut self, deadline: Deadline) -> Hot<FrameRef> {
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
            self.timeout_ns = deadline.left_ns().max(1);
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
    pub(super) fn keep_event_readable(&self) {
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

    pub fn check_fork(&self) -> Result<()> {
        self.context.check_fork()
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
            queued: self.inlet.queued() + self.pack.left as u64,
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
            "capacity": self.established.capacity,
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
        // Unmapping takes time: here, and not on the service thread when it lets go of the last reference.
        drop(std::mem::take(&mut *lock(&self.shared.buffers)));
        if self.lost().is_some() {
            rendezvous::remove_if_stale(&self.context.directory, &self.name, &self.context.log);
        }
    }
}
