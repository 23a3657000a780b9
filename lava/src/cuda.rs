//! Device memory as CUDA sees it. CUDA's handles are plain pointers and numbers here.

use std::ffi::c_void;

use lava_sys::*;

use crate::buffer::Buffer;
use crate::bytes::CStruct;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::loan::Loan;

/// Device memory in CUDA's terms, in the primary context of its GPU, which the CUDA runtime uses too.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CudaView {
    /// `CUdeviceptr` of the first byte.
    pub device_pointer: u64,
    /// Bytes from there.
    pub size: u64,
    /// CUDA's number of the device in this process.
    pub device_ordinal: i32,
    /// `CUcontext`.
    pub context: u64,
}

/// Asks for a view.
fn view(get: impl FnOnce(*mut lava_cuda_view, *mut lava_error) -> lava_status) -> Result<CudaView> {
    let mut raw = lava_cuda_view::sized();
    Error::check(|error| get(&mut raw, error))?;
    Ok(CudaView {
        device_pointer: raw.device_pointer,
        size: raw.size,
        device_ordinal: raw.device_ordinal,
        context: raw.context as usize as u64,
    })
}

impl Buffer {
    /// The buffer in CUDA: device memory, or pinned memory that a GPU knows of. Loads CUDA if nothing has yet; the first
    /// view of a buffer imports it. The pointer is valid as long as the buffer, which must not be dropped before CUDA's
    /// work with it is done. Lava's own reads, writes and copies are done when they return; CUDA's are ordered by the
    /// caller.
    ///
    /// # Errors
    /// `Unsupported` (no CUDA here, memory of another maker's GPU, host memory, or not
    /// [`shareable`](crate::BufferOptions::shareable): the message says which, and the fix); `Device` (CUDA does not see the
    /// GPU, or failed); `Forked`.
    ///
    /// ```no_run
    /// # fn main() -> lava::Result<()> {
    /// use lava::{Buffer, BufferOptions, Context, Memory};
    /// let context = Context::new()?;
    /// let options = BufferOptions::new(1 << 20).memory(Memory::Device).require().shareable();
    /// let buffer = Buffer::allocate(&context, &options)?;
    /// println!("CUdeviceptr {:#x}", buffer.cuda()?.device_pointer);
    /// # Ok(())
    /// # }
    /// ```
    pub fn cuda(&self) -> Result<CudaView> {
        // SAFETY: the buffer is live; the view is a place for the answer.
        view(|view, error| unsafe { lava_buffer_get_cuda(self.handle.as_ptr(), view, error) })
    }
}

impl Frame {
    /// The payload in CUDA: one import for the whole channel. The pointer is valid as long as the frame. It must not be
    /// written to, and not be read before the bytes are there: [`wait_cuda`](Frame::wait_cuda).
    ///
    /// # Errors
    /// `NotFound` (the payload came inside the descriptor, in host memory); else as [`Buffer::cuda`].
    pub fn cuda(&self) -> Result<CudaView> {
        // SAFETY: the frame is live; the view is a place for the answer.
        view(|view, error| unsafe { lava_frame_get_cuda(self.as_raw(), view, error) })
    }

    /// Makes a CUDA stream wait until the bytes are there. Does not wait itself.
    ///
    /// # Errors
    /// `Unsupported`, `Device` (as [`Buffer::cuda`]).
    ///
    /// # Safety
    /// `stream` must be a live `CUstream` of the primary context of the frame's GPU, or one of CUDA's constants.
    pub unsafe fn wait_cuda(&self, stream: *mut c_void) -> Result<()> {
        // SAFETY: the frame is live; the stream is as the caller promised.
        Error::check(|error| unsafe { lava_frame_wait_cuda(self.as_raw(), stream, error) })
    }

    /// Gives the frame back when all that is in a CUDA stream now has been done. Does not wait itself.
    ///
    /// # Errors
    /// `Unsupported`, `Device` (as [`Buffer::cuda`]), with the frame, which is still held.
    ///
    /// # Safety
    /// As [`wait_cuda`](Frame::wait_cuda); CUDA's work with the frame must be in the stream, or waited for by it.
    pub unsafe fn release_cuda(
        self,
        stream: *mut c_void,
    ) -> std::result::Result<(), (Self, Error)> {
        let frame = self.as_raw();
        // SAFETY: the frame is live; the stream is as the caller promised.
        match Error::check(|error| unsafe { lava_frame_release_cuda(frame, stream, error) }) {
            Ok(()) => {
                // The library has it now.
                self.into_raw();
                Ok(())
            }
            Err(error) => Err((self, error)),
        }
    }
}

impl Loan {
    /// The payload in CUDA, to write it. The pointer is valid until the loan is sent or dropped.
    ///
    /// # Errors
    /// As [`Frame::cuda`].
    pub fn cuda(&mut self) -> Result<CudaView> {
        // SAFETY: the loan is live; the view is a place for the answer.
        view(|view, error| unsafe { lava_frame_get_cuda(self.as_ptr(), view, error) })
    }

    /// The loan is written when all that is in a CUDA stream now has been done: it may be sent at once, and consumers
    /// wait. To be called in the order in which the work was put into one stream.
    ///
    /// # Errors
    /// `Unsupported`, `Device` (as [`Buffer::cuda`]).
    ///
    /// # Safety
    /// As [`Frame::wait_cuda`].
    pub unsafe fn set_ready_cuda(&mut self, stream: *mut c_void) -> Result<()> {
        // SAFETY: the loan is live; the stream is as the caller promised.
        Error::check(|error| unsafe { lava_frame_set_ready_cuda(self.as_ptr(), stream, error) })
    }
}
