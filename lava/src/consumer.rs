//! The reading end of a channel.

use std::fmt;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

use lava_sys::*;

use crate::batch::Frames;
use crate::buffer::Memory;
use crate::bytes::{CStruct, c_string, fetch_text};
use crate::connection::{ConnectionInfo, Rejection, Transport};
use crate::context::Context;
use crate::device::Uuid;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::handle::Handle;
use crate::location::Location;
use crate::timeout::Timeout;

/// Options of [`Consumer::open`].
#[derive(Clone, Debug, Default)]
pub struct ConsumerOptions {
    timeout: Option<Duration>,
    transports: u32,
    max_copies: Option<u32>,
    producer: Option<Location>,
    trusted: bool,
    memory: Memory,
    device: Option<Uuid>,
}

impl ConsumerOptions {
    /// The defaults: any transport, ten seconds for the producer to come.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long to wait for the producer to exist and accept. Default: ten seconds.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// This transport will do; call it again for each one that does. None of them possible: an error with the reason.
    /// Default: any.
    #[must_use]
    pub fn require_transport(mut self, transport: Transport) -> Self {
        self.transports |= transport.to_raw();
        self
    }

    /// Most copies that lava may make of a frame on its way; 0: none.
    #[must_use]
    pub fn max_copies(mut self, copies: u32) -> Self {
        self.max_copies = Some(copies);
        self
    }

    /// Where the producer is. Default: on this host, or wherever its name is found.
    #[must_use]
    pub fn producer(mut self, location: Location) -> Self {
        self.producer = Some(location);
        self
    }

    /// Where received frames are to lie: [`Memory::Device`] on a GPU, to which they are copied when they are received if the
    /// producer's pool cannot be imported; any other in host memory. Default: [`Memory::Auto`], as they come, with the
    /// fewest copies.
    #[must_use]
    pub fn memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }

    /// The GPU on which frames are wanted, with [`Memory::Device`]. Default: the producer's, else the best.
    #[must_use]
    pub fn device(mut self, device: Uuid) -> Self {
        self.device = Some(device);
        self
    }

    /// Lets [`Frame::bytes`] and [`Frame::slice`] show every payload in place.
    ///
    /// # Safety
    /// The channel's producer must not write to a frame's memory after sending it, until it is released. A lava producer
    /// that is not hostile and not broken keeps this, unless it changes a buffer that it sent.
    #[must_use]
    pub unsafe fn trust_producer(mut self) -> Self {
        self.trusted = true;
        self
    }

    /// The C options, which borrow from these.
    fn to_raw(&self) -> lava_consumer_options {
        let mut raw = lava_consumer_options::sized();
        // 0 means the default in C; one nanosecond is as good as not waiting.
        raw.timeout_ns = self.timeout.map_or(0, |time| Timeout::from(time).nanoseconds().max(1));
        raw.require_transports = self.transports;
        if let Some(copies) = self.max_copies {
            raw.flags |= LAVA_CONSUMER_LIMIT_COPIES;
            raw.max_copies = copies;
        }
        if self.trusted {
            raw.flags |= LAVA_CONSUMER_TRUST_PRODUCER;
        }
        raw.memory = self.memory.to_raw();
        raw.device_uuid = self.device.map_or([0; 16], |device| *device.as_bytes());
        raw.producer = self.producer.as_ref().map_or(std::ptr::null(), |place| place.as_raw());
        raw
    }
}

/// The answer of a receive that does not wait for ever.
#[derive(Debug)]
#[must_use = "a frame that is dropped is released unread"]
pub enum Received {
    /// The next frame.
    Frame(Frame),
    /// No frame came in time.
    Empty,
    /// The producer ended the channel, and everything is received.
    Closed,
}

/// The reading end of a channel. It gets every frame that is sent after it was opened.
///
/// As an iterator it waits for each frame and ends when the producer ends the channel; an error is given once, as the last
/// item.
///
/// Threads: one at a time; it can be moved to another.
///
/// ```
/// # fn main() -> lava::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let context = lava::Context::create(&lava::ContextOptions::new().runtime_directory(directory.path()))?;
/// # let mut producer = lava::Producer::create(&context, "temperature", &lava::ProducerOptions::new())?;
/// use lava::{Consumer, ConsumerOptions};
/// let mut consumer = Consumer::open(&context, "temperature", &ConsumerOptions::new())?;
/// # producer.send_bytes(&20.5f64.to_ne_bytes())?;
/// # drop(producer);
/// for frame in &mut consumer {
///     let values: Vec<f64> = frame?.copy_to_vec()?;
///     println!("{values:?}");
/// }
/// println!("{}", consumer.connection()?.reason);
/// # Ok(())
/// # }
/// ```
pub struct Consumer {
    // Before the handle, which owns the fd that it watches.
    #[cfg(feature = "tokio")]
    pub(crate) readiness: Option<crate::asynchronous::Readiness>,
    handle: Handle<lava_consumer>,
    trusted: bool,
    /// An error ended the iterator.
    ended: bool,
}

impl Consumer {
    /// Opens a channel by name and connects to its producer, waiting for one that does not exist yet.
    ///
    /// # Errors
    /// `TimedOut` (no producer of this name; the message says where it was looked for), `InvalidArgument` (name, options),
    /// `Requirement` (transport, copies), `Refused` (by the producer), `Unreachable`, `Permission`, `Protocol`, `Limit`,
    /// `OutOfMemory`, `Os`.
    pub fn open(context: &Context, name: &str, options: &ConsumerOptions) -> Result<Self> {
        let name = c_string(name.as_bytes(), "the channel's name")?;
        let raw = options.to_raw();
        let context = context.0.as_ptr();
        // SAFETY: the context is live; name and options outlive the call.
        let handle = unsafe {
            Handle::create(|consumer, error| {
                lava_consumer_create(context, name.as_ptr(), &raw, consumer, error)
            })?
        };
        Ok(Self {
            #[cfg(feature = "tokio")]
            readiness: None,
            handle,
            trusted: options.trusted,
            ended: false,
        })
    }

    /// Takes the next frame, waiting for it; `None`: the producer ended the channel, and everything is received.
    ///
    /// # Errors
    /// `PeerLost` (the producer died; all it sent is received), `Protocol`, `OutOfMemory`.
    #[inline]
    pub fn receive(&mut self) -> Result<Option<Frame>> {
        let mut frame = std::ptr::null_mut();
        let timeout = Timeout::FOREVER.nanoseconds();
        // SAFETY: as in `receive_timeout`.
        unsafe {
            match lava_consumer_receive(self.handle.as_ptr(), timeout, &mut frame) {
                LAVA_OK => Frame::from_raw(frame, self.trusted).map(Some),
                LAVA_CLOSED => Ok(None),
                status => Err(Error::from_status(status, "receive")),
            }
        }
    }

    /// Takes the next frame, waiting no longer than told.
    ///
    /// # Errors
    /// As [`Consumer::receive`].
    #[inline]
    pub fn receive_timeout(&mut self, timeout: impl Into<Timeout>) -> Result<Received> {
        let mut frame = std::ptr::null_mut();
        let timeout = timeout.into().nanoseconds();
        // SAFETY: the consumer is live; on success the frame is new and ours; `open` has passed the promise on.
        unsafe {
            match lava_consumer_receive(self.handle.as_ptr(), timeout, &mut frame) {
                LAVA_OK => Frame::from_raw(frame, self.trusted).map(Received::Frame),
                LAVA_WOULD_BLOCK | LAVA_TIMED_OUT => Ok(Received::Empty),
                LAVA_CLOSED => Ok(Received::Closed),
                status => Err(Error::from_status(status, "receive")),
            }
        }
    }

    /// Takes the next frame if it is there.
    ///
    /// # Errors
    /// As [`Consumer::receive`].
    #[inline]
    pub fn try_receive(&mut self) -> Result<Received> {
        self.receive_timeout(Timeout::NONE)
    }

    /// Gives back what `frames` has, and takes as many frames as are there and it has room for, waiting for the first only.
    /// `Some(0)`: none came in time; `None`: the producer ended the channel, and everything is received.
    ///
    /// # Errors
    /// As [`Consumer::receive`].
    pub fn receive_many(
        &mut self,
        frames: &mut Frames,
        timeout: impl Into<Timeout>,
    ) -> Result<Option<usize>> {
        let timeout = timeout.into().nanoseconds();
        let mut status = LAVA_OK;
        let receive = |place, room| {
            let mut received = 0;
            // SAFETY: the consumer is live; there is room for so many pointers.
            status = unsafe {
                lava_consumer_receive_many(
                    self.handle.as_ptr(),
                    place,
                    room,
                    timeout,
                    &mut received,
                )
            };
            received
        };
        // SAFETY: the library writes `received` new frames; `open` has passed the promise on.
        let count = unsafe { frames.fill(self.trusted, receive)? };
        match status {
            LAVA_OK | LAVA_WOULD_BLOCK | LAVA_TIMED_OUT => Ok(Some(count)),
            LAVA_CLOSED => Ok(None),
            status => Err(Error::from_status(status, "receive")),
        }
    }

    /// A descriptor for epoll, poll or an event loop: readable when a frame may be there, or the channel has ended. When it
    /// is, call [`Consumer::try_receive`] until it says [`Received::Empty`]; that arms it again. Never read from it.
    ///
    /// # Errors
    /// `Limit` (files), `Os`.
    pub fn event_fd(&self) -> Result<BorrowedFd<'_>> {
        // SAFETY: the fd is open until the consumer is destroyed, which the borrow outlives.
        Ok(unsafe { BorrowedFd::borrow_raw(self.raw_event_fd()?) })
    }

    pub(crate) fn raw_event_fd(&self) -> Result<RawFd> {
        let mut fd = -1;
        // SAFETY: the consumer is live and used by this thread only; `fd` is a place for the answer.
        Error::check(|error| unsafe {
            lava_consumer_get_event_fd(self.handle.as_ptr(), &mut fd, error)
        })?;
        Ok(fd)
    }

    /// The connection's transport, why it has it, and its counters.
    ///
    /// # Errors
    /// `Forked`.
    pub fn connection(&self) -> Result<ConnectionInfo> {
        let mut info = lava_connection_info::sized();
        let mut peer = lava_location::sized();
        // SAFETY: the consumer is live, the structs are places for the answer.
        Error::check(|error| unsafe {
            lava_consumer_get_connection(self.handle.as_ptr(), &mut info, &mut peer, error)
        })?;
        let rejections = (0..info.rejection_count).map(|number| {
            let mut raw = lava_rejection::sized();
            // SAFETY: as above.
            Error::check(|error| unsafe {
                lava_consumer_get_rejection(self.handle.as_ptr(), number, &mut raw, error)
            })
            .map(|()| Rejection::from_raw(&raw))
        });
        Ok(ConnectionInfo::from_raw(&info, peer, rejections.collect::<Result<_>>()?))
    }

    /// Describes the connection as JSON: transport, copies, reason, evidence of scope, rejections, geometry, counters.
    ///
    /// # Errors
    /// `OutOfMemory`, `Forked`.
    pub fn describe(&self) -> Result<String> {
        fetch_text(|buffer, capacity, needed, error| {
            let consumer = self.handle.as_ptr();
            // SAFETY: the consumer is live; `buffer` has `capacity` bytes.
            unsafe { lava_consumer_describe(consumer, buffer, capacity, needed, error) }
        })
    }
}

impl Iterator for Consumer {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Result<Frame>> {
        if self.ended {
            return None;
        }
        let next = self.receive().transpose();
        self.ended = matches!(next, Some(Err(_)));
        next
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Consumer").field(&self.handle.as_ptr()).finish()
    }
}
