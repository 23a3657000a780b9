//! The writing end of a channel.

use std::fmt;
use std::ops::Range;

use lava_sys::*;

use crate::batch::Loans;
use crate::buffer::Buffer;
use crate::bytes::{Bytes, CStruct, byte_count, c_string, fetch_text};
use crate::connection::{ConnectionInfo, Rejection};
use crate::context::Context;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::Handle;
use crate::loan::Loan;
use crate::outcome::{Outcome, SendError};
use crate::producer_options::ProducerOptions;
use crate::tensor::Tensor;
use crate::timeout::Timeout;

/// The writing end of a channel: a name, a pool of slots, any number of consumers.
///
/// Dropping it ends the channel: consumers receive what was sent and then the end; frames that they hold stay valid.
///
/// Threads: one at a time; it can be moved to another.
///
/// ```
/// # fn main() -> lava::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let context = lava::Context::create(&lava::ContextOptions::new().runtime_directory(directory.path()))?;
/// use std::time::Duration;
/// use lava::{Consumer, ConsumerOptions, Outcome, Policy, Producer, ProducerOptions};
/// let options = ProducerOptions::new().capacity(8).max_frame_size(1 << 20).policy(Policy::DropOldest);
/// let mut producer = Producer::create(&context, "camera/left", &options)?;
/// # let mut consumer = Consumer::open(&context, "camera/left", &ConsumerOptions::new())?;
/// if producer.wait_consumers(1, Duration::from_secs(10))? == Outcome::TimedOut {
///     eprintln!("nobody listens yet");
/// }
///
/// let mut loan = producer.loan(1 << 20)?; // a free slot, shared with the consumers
/// loan.bytes_mut()?.fill(42);             // written in place
/// producer.send(loan)?;                   // nothing is copied
/// producer.send_bytes(b"a short one")?;   // copied: best for what lies elsewhere already
/// # assert_eq!(consumer.receive()?.map(|frame| frame.len()), Some(1 << 20));
/// # Ok(())
/// # }
/// ```
pub struct Producer(Handle<lava_producer>);

impl Producer {
    /// Creates a channel. Consumers can connect at once and at any time.
    ///
    /// A name has at most 64 letters, digits, `.`, `_`, `-`, and `/` between parts, and begins with a letter or digit.
    ///
    /// # Errors
    /// `InvalidArgument` (name, options), `AlreadyExists` (a live producer has the name), `Requirement` (memory), `Limit`,
    /// `Permission`, `OutOfMemory`, `Os`.
    pub fn create(context: &Context, name: &str, options: &ProducerOptions) -> Result<Self> {
        let name = c_string(name.as_bytes(), "the channel's name")?;
        let raw = options.to_raw();
        let context = context.0.as_ptr();
        // SAFETY: the context is live; name and options outlive the call.
        unsafe {
            Handle::create(|producer, error| {
                lava_producer_create(context, name.as_ptr(), &raw, producer, error)
            })
            .map(Self)
        }
    }

    /// Waits until at least `count` consumers are connected.
    ///
    /// # Errors
    /// `InvalidArgument`: more than the channel's most consumers.
    pub fn wait_consumers(&mut self, count: u32, timeout: impl Into<Timeout>) -> Result<Outcome> {
        let timeout = timeout.into().nanoseconds();
        // SAFETY: the producer is live.
        let status = Error::positive(|error| unsafe {
            lava_producer_wait_consumers(self.0.as_ptr(), count, timeout, error)
        });
        waited(status)
    }

    /// Takes a free slot to write up to `size` bytes into, waiting for one.
    ///
    /// # Errors
    /// `TooLarge` (above `max_frame_size`), `OutOfMemory`; with a drop policy, which never waits, `WouldBlock` if consumers
    /// hold every slot.
    #[inline]
    pub fn loan(&mut self, size: usize) -> Result<Loan> {
        self.loan_raw(size as u64, Timeout::FOREVER)
    }

    /// As [`Producer::loan`], for `count` elements of `T`.
    ///
    /// # Errors
    /// As [`Producer::loan`].
    pub fn loan_slice<T>(&mut self, count: usize) -> Result<Loan> {
        self.loan_raw(byte_count::<T>(count)?, Timeout::FOREVER)
    }

    /// As [`Producer::loan`]; `None` if no slot became free in time.
    ///
    /// # Errors
    /// As [`Producer::loan`], but not `WouldBlock`.
    pub fn loan_timeout(
        &mut self,
        size: usize,
        timeout: impl Into<Timeout>,
    ) -> Result<Option<Loan>> {
        match self.loan_raw(size as u64, timeout.into()) {
            Ok(loan) => Ok(Some(loan)),
            Err(error) if error.status() > 0 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As [`Producer::loan`]; `None` if no slot is free.
    ///
    /// # Errors
    /// As [`Producer::loan_timeout`].
    #[inline]
    pub fn try_loan(&mut self, size: usize) -> Result<Option<Loan>> {
        self.loan_timeout(size, Timeout::NONE)
    }

    #[inline]
    fn loan_raw(&mut self, size: u64, timeout: Timeout) -> Result<Loan> {
        let mut loan = std::ptr::null_mut();
        // SAFETY: the producer is live; on success the loan is new and ours.
        unsafe {
            match lava_producer_loan(self.0.as_ptr(), size, timeout.nanoseconds(), &mut loan) {
                LAVA_OK => Loan::from_raw(loan),
                status => Err(loan_error(status, size)),
            }
        }
    }

    /// Sends a loan to every consumer, without copying. With policy block it waits until a consumer is connected and every
    /// queue has room.
    ///
    /// # Errors
    /// The loan comes back in the error. `FrameState`: it is not a loan of this producer.
    #[inline]
    pub fn send(&mut self, loan: Loan) -> std::result::Result<(), SendError> {
        self.send_timeout(loan, Timeout::FOREVER)
    }

    /// As [`Producer::send`], waiting no longer than told.
    ///
    /// # Errors
    /// As [`Producer::send`]; `WouldBlock`, `TimedOut`: the channel is full.
    pub fn send_timeout(
        &mut self,
        loan: Loan,
        timeout: impl Into<Timeout>,
    ) -> std::result::Result<(), SendError> {
        let timeout = timeout.into().nanoseconds();
        // SAFETY: producer and loan are live; the loan's ownership passes on success only.
        match unsafe { lava_producer_send(self.0.as_ptr(), loan.as_ptr(), timeout) } {
            LAVA_OK => {
                loan.into_raw();
                Ok(())
            }
            status => Err(SendError { loan, error: Error::from_status(status, "send") }),
        }
    }

    /// As [`Producer::send`], without waiting.
    ///
    /// # Errors
    /// As [`Producer::send`]; `WouldBlock`: the channel is full.
    #[inline]
    pub fn try_send(&mut self, loan: Loan) -> std::result::Result<(), SendError> {
        self.send_timeout(loan, Timeout::NONE)
    }

    /// Copies bytes into a frame and sends it. With a drop policy a frame that is dropped counts as sent.
    ///
    /// # Errors
    /// `TooLarge` (above `max_frame_size`), `OutOfMemory`.
    #[inline]
    pub fn send_bytes(&mut self, data: &[u8]) -> Result<()> {
        match self.send_bytes_timeout(data, Timeout::FOREVER)? {
            Outcome::Done => Ok(()),
            Outcome::TimedOut => Err(Error::from_status(LAVA_TIMED_OUT, "send")),
        }
    }

    /// As [`Producer::send_bytes`], waiting no longer than told.
    ///
    /// # Errors
    /// As [`Producer::send_bytes`].
    pub fn send_bytes_timeout(
        &mut self,
        data: &[u8],
        timeout: impl Into<Timeout>,
    ) -> Result<Outcome> {
        let (start, size, timeout) =
            (data.as_ptr().cast(), data.len(), timeout.into().nanoseconds());
        // SAFETY: the producer is live; `data` has `size` bytes.
        match unsafe { lava_producer_send_bytes(self.0.as_ptr(), start, size, timeout) } {
            LAVA_OK => Ok(Outcome::Done),
            LAVA_WOULD_BLOCK | LAVA_TIMED_OUT => Ok(Outcome::TimedOut),
            status => Err(loan_error(status, size as u64)),
        }
    }

    /// As [`Producer::send_bytes`], without waiting.
    ///
    /// # Errors
    /// As [`Producer::send_bytes`].
    #[inline]
    pub fn try_send_bytes(&mut self, data: &[u8]) -> Result<Outcome> {
        self.send_bytes_timeout(data, Timeout::NONE)
    }

    /// Sends several frames, each a copy of one piece of memory, in order and with one wake-up: the fastest way to stream
    /// small messages. Returns how many were sent; if less than all, the time was over, or the next one fails.
    ///
    /// # Errors
    /// As [`Producer::send_bytes`], if the first one fails.
    pub fn send_bytes_many(
        &mut self,
        parts: &[Bytes<'_>],
        timeout: impl Into<Timeout>,
    ) -> Result<usize> {
        let (start, count) = (parts.as_ptr().cast(), parts.len());
        let (timeout, mut sent) = (timeout.into().nanoseconds(), 0);
        // SAFETY: the producer is live; `Bytes` is transparent over the C struct and borrows its memory.
        let status = unsafe {
            lava_producer_send_bytes_many(self.0.as_ptr(), start, count, timeout, &mut sent)
        };
        moved(status, sent, "send of many")
    }

    /// Takes as many loans of `size` bytes as `loans` has room for and slots are free, waiting for the first only. Returns how
    /// many; 0: none in time.
    ///
    /// # Errors
    /// As [`Producer::loan_timeout`].
    pub fn loan_many(
        &mut self,
        loans: &mut Loans,
        size: usize,
        timeout: impl Into<Timeout>,
    ) -> Result<usize> {
        let (size, timeout) = (size as u64, timeout.into().nanoseconds());
        let mut status = LAVA_OK;
        let fill = |place, room| {
            let mut loaned = 0;
            // SAFETY: the producer is live; there is room for so many pointers.
            status = unsafe {
                lava_producer_loan_many(self.0.as_ptr(), size, place, room, timeout, &mut loaned)
            };
            loaned
        };
        // SAFETY: the library writes `loaned` new loans.
        let count = unsafe { loans.fill(fill) };
        match status {
            LAVA_ERROR_TOO_LARGE => Err(loan_error(status, size)),
            status => moved(status, count, "loan of many"),
        }
    }

    /// Sends all loans in order, with one wake-up and one timestamp. Returns how many were sent, which `loans` has no more; the
    /// others stay in it. If less than all, the time was over, or the next one fails.
    ///
    /// # Errors
    /// As [`Producer::send`], if the first one fails.
    pub fn send_many(&mut self, loans: &mut Loans, timeout: impl Into<Timeout>) -> Result<usize> {
        let timeout = timeout.into().nanoseconds();
        let mut status = LAVA_OK;
        let send = |start, count| {
            let mut sent = 0;
            // SAFETY: the producer and the loans are live.
            status = unsafe {
                lava_producer_send_many(self.0.as_ptr(), start, count, timeout, &mut sent)
            };
            sent
        };
        // SAFETY: the first `sent` loans are the library's now.
        let count = unsafe { loans.empty(send) };
        moved(status, count, "send of many")
    }

    /// Sends a range of a buffer without copying. The first time, the buffer is passed to each consumer (system calls); from
    /// then on it costs as much as any frame. Do not change the bytes before every consumer has released the frame:
    /// [`Producer::wait_released`] waits for that.
    ///
    /// # Errors
    /// `TooLarge` (range outside the buffer), `Unsupported` (buffer not shareable, writable by importers, or imported),
    /// `InvalidArgument` (tensor, range), `Limit`.
    pub fn send_buffer(
        &mut self,
        buffer: &Buffer,
        range: Range<u64>,
        tag: u64,
        tensor: Option<&Tensor>,
        timeout: impl Into<Timeout>,
    ) -> Result<Outcome> {
        let Range { start, end } = range;
        let Some(size) = end.checked_sub(start) else {
            return Err(Error::invalid(
                start,
                format!("the range {start}..{end} ends before it begins"),
            ));
        };
        let tensor = tensor.map(|tensor| tensor.to_raw()).transpose()?;
        let tensor = tensor.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let (producer, buffer) = (self.0.as_ptr(), buffer.handle.as_ptr());
        let timeout = timeout.into().nanoseconds();
        // SAFETY: producer and buffer are live; the tensor is NULL or valid.
        let status = Error::positive(|error| unsafe {
            lava_producer_send_buffer(producer, buffer, start, size, tag, tensor, timeout, error)
        });
        waited(status)
    }

    /// Waits until no consumer has, or is still to receive, a frame of `buffer`; `None`: any frame of this channel.
    ///
    /// # Errors
    /// `Forked`.
    pub fn wait_released(
        &mut self,
        buffer: Option<&Buffer>,
        timeout: impl Into<Timeout>,
    ) -> Result<Outcome> {
        let buffer = buffer.map_or(std::ptr::null_mut(), |buffer| buffer.handle.as_ptr());
        let timeout = timeout.into().nanoseconds();
        // SAFETY: the producer is live; the buffer is NULL or live.
        let status = Error::positive(|error| unsafe {
            lava_producer_wait_released(self.0.as_ptr(), buffer, timeout, error)
        });
        waited(status)
    }

    /// The number of connected consumers.
    #[must_use]
    pub fn consumer_count(&self) -> usize {
        // SAFETY: the producer is live, and in use by this thread only.
        unsafe { lava_producer_connection_count(self.0.as_ptr()) as usize }
    }

    /// Every connection's transport, why it has it, and its counters.
    ///
    /// # Errors
    /// `Forked`.
    pub fn connections(&self) -> Result<Vec<ConnectionInfo>> {
        let mut connections = Vec::new();
        for index in 0..self.consumer_count() as u32 {
            match self.connection(index) {
                Ok(connection) => connections.push(connection),
                // A consumer went meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        Ok(connections)
    }

    fn connection(&self, index: u32) -> Result<ConnectionInfo> {
        let mut info = lava_connection_info::sized();
        let mut peer = lava_location::sized();
        // SAFETY: the producer is live, the structs are places for the answer.
        Error::check(|error| unsafe {
            lava_producer_get_connection(self.0.as_ptr(), index, &mut info, &mut peer, error)
        })?;
        let rejections = (0..info.rejection_count).map(|number| {
            let mut raw = lava_rejection::sized();
            // SAFETY: as above.
            Error::check(|error| unsafe {
                lava_producer_get_rejection(self.0.as_ptr(), index, number, &mut raw, error)
            })
            .map(|()| Rejection::from_raw(&raw))
        });
        Ok(ConnectionInfo::from_raw(&info, peer, rejections.collect::<Result<_>>()?))
    }

    /// Describes the channel and all its connections as JSON: pool, policy, transports, reasons, rejections, counters.
    ///
    /// # Errors
    /// `OutOfMemory`, `Forked`.
    pub fn describe(&self) -> Result<String> {
        fetch_text(|buffer, capacity, needed, error| {
            // SAFETY: the producer is live; `buffer` has `capacity` bytes.
            unsafe { lava_producer_describe(self.0.as_ptr(), buffer, capacity, needed, error) }
        })
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Producer").field(&self.0.as_ptr()).finish()
    }
}

/// The outcome of a wait whose status may be positive.
fn waited(status: Result<lava_status>) -> Result<Outcome> {
    match status {
        Ok(status) => Outcome::of(status, "wait"),
        Err(error) if error.status() > 0 => Ok(Outcome::TimedOut),
        Err(error) => Err(error),
    }
}

/// How many were moved. A failure after the first is told by the next call.
fn moved(status: lava_status, count: usize, what: &str) -> Result<usize> {
    if count > 0 || status >= 0 { Ok(count) } else { Err(Error::from_status(status, what)) }
}

/// Why a loan of `size` bytes could not be had.
#[cold]
fn loan_error(status: lava_status, size: u64) -> Error {
    if status == LAVA_ERROR_TOO_LARGE {
        let message = format!(
            "a frame of {size} bytes is larger than the channel's max_frame_size; raise it"
        );
        return Error::with_status(status, size, message);
    }
    Error::from_status(status, "loan")
}
