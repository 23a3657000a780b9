//! A message that is being written.

use std::fmt;

use bytemuck::{NoUninit, Pod};
use lava_sys::*;

use crate::bytes::{cast_mut, to_usize};
use crate::error::{Error, Result};
use crate::frame::{FrameInfo, outside, tensor_of, unreachable_by_cpu};
use crate::handle::Handle;
use crate::tensor::Tensor;

/// A message that is being written in place. [`Producer::send`](crate::Producer::send) sends it; dropping it gives its slot
/// back, unsent. Its bytes are at first whatever an earlier frame left there.
///
/// Threads: any; one at a time for writing. It may be written in another thread than the producer's.
///
/// ```
/// # fn main() -> lava::Result<()> {
/// # use lava::{Consumer, ConsumerOptions, Context, Producer, ProducerOptions};
/// # let directory = tempfile::tempdir().unwrap();
/// # let context = Context::create(&lava::ContextOptions::new().runtime_directory(directory.path()))?;
/// # let mut producer = Producer::create(&context, "doc", &ProducerOptions::new().max_frame_size(1 << 21))?;
/// # let _consumer = Consumer::open(&context, "doc", &ConsumerOptions::new())?;
/// use lava::Tensor;
/// let mut loan = producer.loan_slice::<f32>(480 * 640)?;
/// for pixel in loan.slice_mut::<f32>()? {
///     *pixel = 0.5;
/// }
/// loan.set_tensor(Some(&Tensor::of::<f32>(&[480, 640])?))?;
/// loan.set_tag(7)?;
/// producer.send(loan)?;
/// # Ok(())
/// # }
/// ```
#[repr(transparent)]
pub struct Loan {
    handle: Handle<lava_frame>,
}

impl Loan {
    /// # Safety
    /// `frame` must be NULL or a live loan that nobody else owns.
    #[inline]
    pub(crate) unsafe fn from_raw(frame: *mut lava_frame) -> Result<Self> {
        // SAFETY: the caller's promise.
        Ok(Self { handle: unsafe { Handle::from_raw(frame)? } })
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut lava_frame {
        self.handle.as_ptr()
    }

    #[inline]
    pub(crate) fn into_raw(self) -> *mut lava_frame {
        self.handle.into_raw()
    }

    /// Bytes that will be sent.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        // SAFETY: the loan is live.
        let size = unsafe { lava_frame_size(self.handle.as_ptr()) };
        // A payload that is mapped fits into the address space.
        size as usize
    }

    /// Whether no bytes will be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size, capacity, tag and the rest.
    #[must_use]
    pub fn info(&self) -> FrameInfo {
        FrameInfo::of(&self.handle)
    }

    /// The bytes that will be sent.
    ///
    /// # Errors
    /// `Unsupported`: the memory is a GPU's.
    #[inline]
    pub fn bytes(&self) -> Result<&[u8]> {
        // SAFETY: the loan is live.
        let start = unsafe { lava_frame_data(self.handle.as_ptr()) };
        if start.is_null() {
            return Err(unreachable_by_cpu());
        }
        // SAFETY: the slot is this loan's alone until it is sent, only this process can write to it, and it has `len` bytes.
        Ok(unsafe { std::slice::from_raw_parts(start.cast(), self.len()) })
    }

    /// The bytes that will be sent, for writing.
    ///
    /// # Errors
    /// `Unsupported`: the memory is a GPU's.
    #[inline]
    pub fn bytes_mut(&mut self) -> Result<&mut [u8]> {
        // SAFETY: the loan is live.
        let start = unsafe { lava_frame_data_mut(self.handle.as_ptr()) };
        if start.is_null() {
            return Err(unreachable_by_cpu());
        }
        // SAFETY: as in `bytes`, and the borrow is exclusive.
        Ok(unsafe { std::slice::from_raw_parts_mut(start.cast(), self.len()) })
    }

    /// The payload as elements of `T`, for writing.
    ///
    /// # Errors
    /// As [`Loan::bytes_mut`]; `InvalidArgument`: not aligned for `T`, or not a whole number of them.
    pub fn slice_mut<T: Pod>(&mut self) -> Result<&mut [T]> {
        cast_mut(self.bytes_mut()?)
    }

    /// Copies `data` to `offset` of the payload.
    ///
    /// # Errors
    /// `TooLarge`: the range is outside the payload.
    pub fn write_at<T: NoUninit>(&mut self, offset: usize, data: &[T]) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let (start, size) = (bytes.as_ptr().cast(), bytes.len());
        // SAFETY: the loan is live; `data` has `size` bytes.
        match unsafe { lava_frame_write(self.handle.as_ptr(), offset as u64, start, size) } {
            LAVA_OK => Ok(()),
            LAVA_ERROR_TOO_LARGE => Err(outside(offset as u64, size, self.len())),
            status => Err(Error::from_status(status, "write to a loan")),
        }
    }

    /// Sets how many bytes will be sent: at most the info's `capacity`.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn set_len(&mut self, size: usize) -> Result<()> {
        // SAFETY: the loan is live.
        match unsafe { lava_frame_set_size(self.handle.as_ptr(), size as u64) } {
            LAVA_OK => Ok(()),
            LAVA_ERROR_TOO_LARGE => {
                let capacity = to_usize(self.info().capacity)?;
                let message =
                    format!("a size of {size} bytes for a loan of at most {capacity} bytes");
                Err(Error::with_status(LAVA_ERROR_TOO_LARGE, size as u64, message))
            }
            status => Err(Error::from_status(status, "set the size of a loan")),
        }
    }

    /// Sets the number that travels with the frame.
    ///
    /// # Errors
    /// None for a live loan of this process; `Forked` in a child.
    pub fn set_tag(&mut self, tag: u64) -> Result<()> {
        // SAFETY: the loan is live.
        done(unsafe { lava_frame_set_tag(self.handle.as_ptr(), tag) }, "set the tag of a loan")
    }

    /// Sets the timestamp, such as the time of a camera's exposure, in nanoseconds of `CLOCK_MONOTONIC`; 0: the time
    /// of the send.
    ///
    /// # Errors
    /// As [`Loan::set_tag`].
    pub fn set_timestamp(&mut self, timestamp_ns: u64) -> Result<()> {
        // SAFETY: the loan is live.
        let status = unsafe { lava_frame_set_timestamp(self.handle.as_ptr(), timestamp_ns) };
        done(status, "set the timestamp of a loan")
    }

    /// Describes the payload as an array; `None` removes the description.
    ///
    /// # Errors
    /// `InvalidArgument` (the message names the field), `TooLarge` (an element outside the payload).
    pub fn set_tensor(&mut self, tensor: Option<&Tensor>) -> Result<()> {
        let raw = tensor.map(|tensor| tensor.to_raw()).transpose()?;
        let pointer = raw.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the loan is live; the tensor is NULL or valid.
        Error::check(|error| unsafe { lava_frame_set_tensor(self.handle.as_ptr(), pointer, error) })
    }

    /// The description that was set.
    ///
    /// # Errors
    /// None for a live loan of this process.
    pub fn tensor(&self) -> Result<Option<Tensor>> {
        tensor_of(&self.handle)
    }
}

impl fmt::Debug for Loan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Loan").field(&self.info()).finish()
    }
}

fn done(status: lava_status, what: &str) -> Result<()> {
    if status == LAVA_OK { Ok(()) } else { Err(Error::from_status(status, what)) }
}
