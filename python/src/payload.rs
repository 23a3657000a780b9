//! What views and capsules keep alive: the memory of a frame, of a loan's slot, of a buffer.

use std::cell::UnsafeCell;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::cuda;
use crate::failure::Failure;
use crate::tensor::Array;

/// Memory with everything that depends on it; freed with the last view, by any thread, attached to Python or not.
#[derive(Debug)]
pub(crate) struct Payload {
    memory: Option<Memory>,
    /// CUDA streams that views were made for: their work may go on when the last view has gone.
    streams: Mutex<Vec<cuda::Stream>>,
}

#[derive(Debug)]
pub(crate) enum Memory {
    /// A received frame. It goes back to its producer.
    Frame(lava::Frame),
    /// The pool of a loan, which may be sent while there are views of it.
    #[expect(dead_code, reason = "held, not looked at")]
    Slot(lava::Buffer),
    Buffer(Arc<RwLock<lava::Buffer>>),
    Own(OwnBytes),
}

impl Payload {
    pub(crate) fn new(memory: Memory) -> Arc<Self> {
        Arc::new(Self { memory: Some(memory), streams: Mutex::new(Vec::new()) })
    }

    #[inline]
    pub(crate) fn frame(&self) -> Option<&lava::Frame> {
        match &self.memory {
            Some(Memory::Frame(frame)) => Some(frame),
            _ => None,
        }
    }

    /// The bytes of a loan that has no slot.
    pub(crate) fn own(&self) -> Option<&OwnBytes> {
        match &self.memory {
            Some(Memory::Own(own)) => Some(own),
            _ => None,
        }
    }

    /// Copies bytes at `offset` of a frame or buffer, also out of a GPU's memory.
    pub(crate) fn read(&self, offset: usize, data: &mut [u8]) -> Result<(), Failure> {
        match &self.memory {
            Some(Memory::Frame(frame)) => Ok(frame.read_at(offset, data)?),
            Some(Memory::Buffer(buffer)) => Ok(buffer.read().read(offset as u64, data)?),
            _ => Err(Failure::new(
                lava_sys::LAVA_ERROR_UNSUPPORTED,
                "this memory of a GPU cannot be read while it is loaned",
            )),
        }
    }

    /// A view was made for this stream.
    pub(crate) fn note(&self, stream: cuda::Stream) {
        let mut streams = self.streams.lock();
        if !streams.contains(&stream) {
            streams.push(stream);
        }
    }

    /// The streams that views were made for, which are now the caller's to look after.
    pub(crate) fn take_streams(&self) -> Vec<cuda::Stream> {
        std::mem::take(&mut self.streams.lock())
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        let streams = std::mem::take(self.streams.get_mut());
        if !streams.is_empty()
            && let Some(Memory::Frame(frame)) = self.memory.take()
        {
            cuda::release(frame, &streams);
        }
    }
}

/// Bytes of this process, aligned to 8, to which views write.
#[derive(Debug)]
pub(crate) struct OwnBytes(Box<[UnsafeCell<u64>]>);

// SAFETY: only the address is shared; who reads and writes there is up to the users of the views, as with any array.
unsafe impl Sync for OwnBytes {}

impl OwnBytes {
    pub(crate) fn new(size: usize) -> Self {
        Self((0..size.div_ceil(8).max(1)).map(|_| UnsafeCell::new(0)).collect())
    }

    pub(crate) fn start(&self) -> *mut u8 {
        // `UnsafeCell<u64>` has the layout of a `u64` that may be written through a shared reference.
        self.0.as_ptr().cast::<u8>().cast_mut()
    }
}

/// Where the bytes are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Host(*mut u8),
    Cuda { pointer: u64, ordinal: i32, context: u64 },
}

// SAFETY: addresses, which are not followed here.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

/// An array that can be shown to others.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) payload: Arc<Payload>,
    pub(crate) place: Place,
    pub(crate) read_only: bool,
    pub(crate) array: Array,
}

impl Shown {
    /// The first byte of the first element on the host.
    pub(crate) fn host(&self) -> Option<*mut u8> {
        match self.place {
            // It lies within the payload.
            Place::Host(start) => Some(start.wrapping_add(self.array.byte_offset)),
            Place::Cuda { .. } => None,
        }
    }
}
