//! A received message, to be read.

use std::fmt;

use bytemuck::{AnyBitPattern, Pod};
use lava_sys::*;

use crate::buffer::{Buffer, Memory};
use crate::bytes::{CStruct, cast, element_count};
use crate::connection::Transport;
use crate::error::{Error, Result};
use crate::handle::Handle;
use crate::tensor::Tensor;

/// A received message. Dropping it gives it back to its producer; frames may be dropped in any order, from any thread, and
/// after their consumer.
///
/// Its payload lies in memory that the producer can still write to, unless it is so short that it came inside the
/// descriptor. So it is copied out ([`copy_to_vec`](Frame::copy_to_vec), [`read_at`](Frame::read_at)) or seen in place as
/// [`bytes`](Frame::bytes) if the consumer was opened with
/// [`trust_producer`](crate::ConsumerOptions::trust_producer).
///
/// Threads: any, also several at once.
///
/// ```
/// # fn main() -> lava::Result<()> {
/// # use lava::{Consumer, ConsumerOptions, Context, Producer, ProducerOptions};
/// # let directory = tempfile::tempdir().unwrap();
/// # let context = Context::create(&lava::ContextOptions::new().runtime_directory(directory.path()))?;
/// # let mut producer = Producer::create(&context, "doc", &ProducerOptions::new())?;
/// # let mut consumer = Consumer::open(&context, "doc", &ConsumerOptions::new())?;
/// # producer.send_bytes(bytemuck::cast_slice(&[0.5f32; 100]))?;
/// if let Some(frame) = consumer.receive()? {
///     let samples: Vec<f32> = frame.copy_to_vec()?;
///     assert_eq!(samples, [0.5; 100]);
///     println!("frame {} of {} bytes", frame.info().sequence, frame.len());
/// }
/// # Ok(())
/// # }
/// ```
pub struct Frame {
    handle: Handle<lava_frame>,
    /// The consumer was opened with `trust_producer`.
    trusted: bool,
}

impl Frame {
    /// # Safety
    /// `frame` must be NULL or a live received frame that nobody else owns; `trusted` as `trust_producer` demands.
    #[inline]
    pub(crate) unsafe fn from_raw(frame: *mut lava_frame, trusted: bool) -> Result<Self> {
        // SAFETY: the caller's promise.
        Ok(Self { handle: unsafe { Handle::from_raw(frame)? }, trusted })
    }

    #[inline]
    pub(crate) fn into_raw(self) -> *mut lava_frame {
        self.handle.into_raw()
    }

    /// The pointer, for calls; it stays owned.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut lava_frame {
        self.handle.as_ptr()
    }

    /// Bytes of payload.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        // SAFETY: the frame is live.
        let size = unsafe { lava_frame_size(self.handle.as_ptr()) };
        // A payload that is mapped fits into the address space.
        size as usize
    }

    /// Whether the payload has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sequence, timestamp, tag and the rest.
    #[must_use]
    pub fn info(&self) -> FrameInfo {
        FrameInfo::of(&self.handle)
    }

    /// The first byte; NULL if the CPU cannot reach the memory. Valid until the frame is dropped. Reading it races with a
    /// producer that still writes there.
    #[must_use]
    #[inline]
    pub fn as_ptr(&self) -> *const u8 {
        // SAFETY: the frame is live.
        unsafe { lava_frame_data(self.handle.as_ptr()) }.cast()
    }

    /// The payload in place, without copying.
    ///
    /// # Errors
    /// `FrameState`: the producer can still write to the payload, and the consumer was not opened with
    /// [`trust_producer`](crate::ConsumerOptions::trust_producer).
    #[inline]
    pub fn bytes(&self) -> Result<&[u8]> {
        if !self.trusted && self.info().flags & LAVA_FRAME_INLINE == 0 {
            return Err(untrusted(self.len()));
        }
        if self.as_ptr().is_null() {
            return Err(unreachable_by_cpu());
        }
        // SAFETY: nobody writes to the bytes: they are private to this process, or `trust_producer` promised it.
        Ok(unsafe { self.as_slice_unchecked() })
    }

    /// The payload in place as elements of `T`, without copying.
    ///
    /// # Errors
    /// As [`Frame::bytes`]; `InvalidArgument`: the payload is not aligned for `T`, or not a whole number of them.
    pub fn slice<T: AnyBitPattern>(&self) -> Result<&[T]> {
        cast(self.bytes()?)
    }

    /// The payload in place, whoever can write to it.
    ///
    /// # Safety
    /// Nobody may write to the payload as long as the slice lives, and [`as_ptr`](Frame::as_ptr) must not be NULL.
    #[must_use]
    #[inline]
    pub unsafe fn as_slice_unchecked(&self) -> &[u8] {
        // SAFETY: the payload has `len` bytes while the frame lives; nobody writes to it, by the caller's promise.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.len()) }
    }

    /// Copies `data.len()` bytes at `offset` of the payload to `data`.
    ///
    /// # Errors
    /// `TooLarge`: the range is outside the payload.
    #[inline]
    pub fn read_at(&self, offset: usize, data: &mut [u8]) -> Result<()> {
        // SAFETY: `data` has that many bytes.
        unsafe { self.read_raw(offset as u64, data.as_mut_ptr(), data.len()) }
    }

    /// Copies the whole payload, as elements of `T`. The payload needs no alignment.
    ///
    /// # Errors
    /// `InvalidArgument`: the payload is not a whole number of `T`.
    pub fn copy_to_vec<T: AnyBitPattern>(&self) -> Result<Vec<T>> {
        let size = self.len();
        let count = element_count::<T>(size)?;
        let mut elements = Vec::<T>::with_capacity(count);
        // SAFETY: the capacity is `size` bytes, all of which a successful read writes; every pattern is a valid `T`.
        unsafe {
            self.read_raw(0, elements.as_mut_ptr().cast(), size)?;
            elements.set_len(count);
        }
        Ok(elements)
    }

    /// Copies the whole payload to `elements`, which must have just its size. The payload needs no alignment.
    ///
    /// # Errors
    /// `InvalidArgument`: the sizes differ.
    pub fn copy_to_slice<T: Pod>(&self, elements: &mut [T]) -> Result<()> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(elements);
        let (size, room) = (self.len(), bytes.len());
        if size != room {
            let message =
                format!("a frame of {size} bytes for a slice of {room} bytes; they must be equal");
            return Err(Error::invalid(size as u64, message));
        }
        self.read_at(0, bytes)
    }

    /// Copies a range of the payload to memory.
    ///
    /// # Safety
    /// `data` must be valid for writing `size` bytes.
    unsafe fn read_raw(&self, offset: u64, data: *mut u8, size: usize) -> Result<()> {
        // SAFETY: the frame is live; `data` is valid by the caller's promise.
        match unsafe { lava_frame_read(self.handle.as_ptr(), offset, data.cast(), size) } {
            LAVA_OK => Ok(()),
            LAVA_ERROR_TOO_LARGE => Err(outside(offset, size, self.len())),
            status => Err(Error::from_status(status, "read of a frame")),
        }
    }

    /// The description of the payload as an array, if the producer gave one; it lies within the payload.
    ///
    /// # Errors
    /// `Protocol`: the producer sent a false one.
    pub fn tensor(&self) -> Result<Option<Tensor>> {
        tensor_of(&self.handle)
    }

    /// The buffer in which the payload lies, and the payload's first byte in it: to hand the frame to another API
    /// without copying. The buffer keeps the memory, not the frame: hold the frame while reading it.
    ///
    /// # Errors
    /// `NotFound`: the payload came inside the descriptor.
    pub fn buffer(&self) -> Result<(Buffer, u64)> {
        let mut offset = 0;
        // SAFETY: the frame is live; the library gives a new buffer.
        let buffer = unsafe {
            Buffer::shared(|buffer, error| {
                lava_frame_get_buffer(self.handle.as_ptr(), buffer, &mut offset, error)
            })?
        };
        Ok((buffer, offset))
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Frame").field(&self.info()).finish()
    }
}

/// What a frame or a loan is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FrameInfo {
    /// Bytes of payload.
    pub size: u64,
    /// Number of the frame in its channel, from 0; a gap tells of dropped frames. 0 for a loan.
    pub sequence: u64,
    /// Nanoseconds of `CLOCK_MONOTONIC` at the send, or what the producer set; 0 if it asked for none.
    pub timestamp_ns: u64,
    /// The producer's own number.
    pub tag: u64,
    /// Bytes that the payload of a loan may grow to; else `size`.
    pub capacity: u64,
    /// The memory of the payload.
    pub memory: Memory,
    /// What brought it; `None` for a loan.
    pub transport: Option<Transport>,
    /// The payload lies in a buffer that the producer sent with [`send_buffer`](crate::Producer::send_buffer).
    pub in_buffer: bool,
    flags: u32,
}

impl FrameInfo {
    pub(crate) fn of(frame: &Handle<lava_frame>) -> Self {
        let mut raw = lava_frame_info::sized();
        // SAFETY: the frame is live, the info is a place for the answer. With both it cannot fail.
        unsafe { lava_frame_get_info(frame.as_ptr(), &mut raw) };
        Self {
            size: raw.size,
            sequence: raw.sequence,
            timestamp_ns: raw.timestamp_ns,
            tag: raw.tag,
            capacity: raw.capacity,
            memory: Memory::from_raw(raw.memory),
            transport: Transport::from_raw(raw.transport),
            in_buffer: raw.flags & LAVA_FRAME_BUFFER != 0,
            flags: raw.flags,
        }
    }

    /// The payload came inside the descriptor, and is private to this process.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        self.flags & LAVA_FRAME_INLINE != 0
    }
}

/// The tensor of a frame or loan, if it has one.
pub(crate) fn tensor_of(frame: &Handle<lava_frame>) -> Result<Option<Tensor>> {
    // Most have none, and an error with its message costs more than this look.
    if FrameInfo::of(frame).flags & LAVA_FRAME_HAS_TENSOR == 0 {
        return Ok(None);
    }
    let mut raw = lava_tensor::sized();
    // SAFETY: the frame is live, the tensor is a place for the answer.
    match Error::check(|error| unsafe { lava_frame_get_tensor(frame.as_ptr(), &mut raw, error) }) {
        Ok(()) => Tensor::from_raw(&raw).map(Some),
        Err(error) if error.status() == LAVA_ERROR_NOT_FOUND => Ok(None),
        Err(error) => Err(error),
    }
}

#[cold]
fn untrusted(size: usize) -> Error {
    let message = format!(
        "the producer can still write to this frame of {size} bytes, so it cannot be seen in place: copy it, or open the \
         consumer with ConsumerOptions::trust_producer"
    );
    Error::with_status(LAVA_ERROR_FRAME_STATE, size as u64, message)
}

#[cold]
pub(crate) fn unreachable_by_cpu() -> Error {
    let message =
        "the payload lies in memory that the CPU cannot reach; copy it with read_at".to_owned();
    Error::with_status(LAVA_ERROR_UNSUPPORTED, 0, message)
}

/// The error of a range outside a payload.
#[cold]
pub(crate) fn outside(offset: u64, size: usize, payload: usize) -> Error {
    let message =
        format!("{size} bytes at offset {offset} are outside the payload of {payload} bytes");
    Error::with_status(LAVA_ERROR_TOO_LARGE, offset, message)
}
