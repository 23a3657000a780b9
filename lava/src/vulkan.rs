//! For programs that use Vulkan themselves. Handles are plain numbers, as `ash::vk::Handle::as_raw` gives them.

use std::ffi::c_void;
use std::fmt;

use lava_sys::*;

use crate::buffer::Buffer;
use crate::bytes::CStruct;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::loan::Loan;
use crate::outcome::Outcome;
use crate::timeout::Timeout;

/// A Vulkan device of the application, for [`ContextOptions::vulkan_device`](crate::ContextOptions::vulkan_device): the
/// context then works on it instead of making its own.
///
/// The instance and the device must have been created for Vulkan 1.2 or newer, the device with the feature
/// `timelineSemaphore` and the extension `VK_KHR_external_memory_fd`. Used where enabled: `VK_KHR_external_semaphore_fd`
/// (GPUs wait for frames of other processes; else the CPU does) and `VK_EXT_external_memory_host` (copies straight from and
/// to pinned host memory; else through a staging buffer).
#[derive(Clone, Copy)]
pub struct VulkanDevice {
    /// `VkInstance`.
    pub instance: u64,
    /// `VkPhysicalDevice`.
    pub physical_device: u64,
    /// `VkDevice`.
    pub device: u64,
    /// `VkQueue`. Lava submits copies to it, from any thread.
    pub queue: u64,
    /// Family of the queue, capable of compute or graphics.
    pub queue_family: u32,
    /// `vkGetInstanceProcAddr` of the Vulkan that made the instance, cast to this type.
    pub get_instance_proc_addr: unsafe extern "C" fn(),
    /// Locks the queue, so that the application can submit to it too. `None`: nobody but lava uses it.
    pub lock: Option<QueueLock>,
}

/// How lava takes and gives back an application's queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueLock {
    /// Passed to both functions.
    pub user: *mut c_void,
    /// Called before lava submits, from any thread; must not call lava or unwind.
    pub lock: unsafe extern "C" fn(user: *mut c_void),
    /// Called after lava has submitted, by the same thread.
    pub unlock: unsafe extern "C" fn(user: *mut c_void),
}

// SAFETY: both functions may be called from any thread, as `ContextOptions::vulkan_device` demands; `user` is only passed
// to them.
unsafe impl Send for QueueLock {}
// SAFETY: as above.
unsafe impl Sync for QueueLock {}

impl VulkanDevice {
    pub(crate) fn to_raw(self) -> lava_vulkan_device {
        let pointer = |handle: u64| handle as usize as *mut c_void;
        let mut raw = lava_vulkan_device::sized();
        raw.instance = pointer(self.instance);
        raw.physical_device = pointer(self.physical_device);
        raw.device = pointer(self.device);
        raw.queue = pointer(self.queue);
        raw.queue_family = self.queue_family;
        raw.get_instance_proc_addr = Some(self.get_instance_proc_addr);
        if let Some(lock) = self.lock {
            raw.user = lock.user;
            raw.lock = Some(lock.lock);
            raw.unlock = Some(lock.unlock);
        }
        raw
    }
}

impl fmt::Debug for VulkanDevice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, queue, queue_family, .. } = self;
        write!(formatter, "VulkanDevice({device:#x}, queue {queue:#x} of family {queue_family})")
    }
}

/// A buffer of device memory in Vulkan's terms. All handles belong to lava, and are valid as long as the [`Buffer`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct VulkanBuffer {
    /// `VkInstance`.
    pub instance: u64,
    /// `VkPhysicalDevice`.
    pub physical_device: u64,
    /// `VkDevice` to which the buffer and its memory belong: the application's own if it gave one to the context.
    pub device: u64,
    /// `VkBuffer`, bound to the memory. Usage: transfer from and to, storage, uniform, vertex, index, indirect.
    pub buffer: u64,
    /// `VkDeviceMemory`.
    pub memory: u64,
    /// First usable byte within the `VkBuffer`.
    pub offset: u64,
    /// Usable bytes.
    pub size: u64,
    /// Bytes of the memory.
    pub allocation_size: u64,
    /// Family of the queue that lava submits to. Commands of another family need an ownership transfer.
    pub queue_family: u32,
    /// Number, within the family, of a queue that lava never submits to, for the program's own commands.
    pub queue_index: Option<u32>,
}

impl Buffer {
    /// The buffer in Vulkan's terms, to use it in commands of the same `VkDevice`. Lava does not know of such commands: the
    /// caller orders them and lava's own reads, writes and copies, which are done when they return.
    ///
    /// # Errors
    /// `Unsupported`: it is not device memory. `Forked`.
    ///
    /// ```no_run
    /// # fn main() -> lava::Result<()> {
    /// use lava::{Buffer, BufferOptions, Context, Memory};
    /// let context = Context::new()?;
    /// let options = BufferOptions::new(1 << 20).memory(Memory::Device).require();
    /// let buffer = Buffer::allocate(&context, &options)?;
    /// let vulkan = buffer.vulkan()?;
    /// println!("VkBuffer {:#x} of VkDevice {:#x}", vulkan.buffer, vulkan.device);
    /// # Ok(())
    /// # }
    /// ```
    pub fn vulkan(&self) -> Result<VulkanBuffer> {
        let mut raw = lava_vulkan_buffer::sized();
        // SAFETY: the buffer is live, the struct is a place for the answer.
        Error::check(|error| unsafe {
            lava_buffer_get_vulkan(self.handle.as_ptr(), &mut raw, error)
        })?;
        Ok(VulkanBuffer {
            instance: raw.instance as usize as u64,
            physical_device: raw.physical_device as usize as u64,
            device: raw.device as usize as u64,
            buffer: raw.buffer,
            memory: raw.memory,
            offset: raw.offset,
            size: raw.size,
            allocation_size: raw.allocation_size,
            queue_family: raw.queue_family,
            queue_index: Some(raw.queue_index).filter(|index| *index != u32::MAX),
        })
    }
}

/// A value of a timeline semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// `VkSemaphore`, a timeline, of the `VkDevice` that the frame's [`Buffer`] belongs to.
    pub semaphore: u64,
    /// The value to wait for or to signal.
    pub value: u64,
}

impl Timeline {
    /// `None`: there is nothing to wait for or to signal.
    fn from_raw(raw: &lava_frame_sync) -> Option<Self> {
        (raw.kind == LAVA_SYNC_TIMELINE)
            .then_some(Self { semaphore: raw.semaphore, value: raw.value })
    }
}

impl Frame {
    /// When the bytes are there: `None`: they are; else when the semaphore has reached the value, for which the caller's
    /// queue submission, or [`wait_ready`](Frame::wait_ready), waits. [`read_at`](Frame::read_at) and the copies wait
    /// themselves.
    ///
    /// A producer that dies with unfinished work never makes a queue hang: lava signals in its place, and `wait_ready` then
    /// says that the bytes are not there.
    ///
    /// # Errors
    /// None for a live frame of this process.
    ///
    /// ```no_run
    /// # fn main() -> lava::Result<()> {
    /// # let context = lava::Context::new()?;
    /// # let mut consumer = lava::Consumer::open(&context, "images", &lava::ConsumerOptions::new())?;
    /// if let Some(frame) = consumer.receive()? {
    ///     let (buffer, offset) = frame.buffer()?;
    ///     println!("VkBuffer {:#x} from byte {offset}", buffer.vulkan()?.buffer);
    ///     if let Some(ready) = frame.ready()? {
    ///         println!("once VkSemaphore {:#x} is at {}", ready.semaphore, ready.value);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn ready(&self) -> Result<Option<Timeline>> {
        let mut raw = lava_frame_sync::sized();
        // SAFETY: the frame is live, the struct is a place for the answer.
        Error::check(|error| unsafe { lava_frame_get_ready(self.as_raw(), &mut raw, error) })?;
        Ok(Timeline::from_raw(&raw))
    }

    /// Waits on the CPU until the bytes are there; at once for host memory.
    ///
    /// # Errors
    /// `PeerLost`: the producer went before its work was done: they will never be there. `Device`.
    pub fn wait_ready(&self, timeout: impl Into<Timeout>) -> Result<Outcome> {
        // SAFETY: the frame is live.
        match unsafe { lava_frame_wait_ready(self.as_raw(), timeout.into().nanoseconds()) } {
            LAVA_OK => Ok(Outcome::Done),
            LAVA_WOULD_BLOCK | LAVA_TIMED_OUT => Ok(Outcome::TimedOut),
            status => Err(Error::from_status(status, "wait for a frame's bytes")),
        }
    }

    /// Gives the frame back when the caller's GPU work, which reads it, has signalled a timeline semaphore. Does not wait.
    ///
    /// # Errors
    /// `Unsupported`: the frame is not device memory; with the frame, which is still held.
    ///
    /// # Safety
    /// The semaphore must be a timeline of the `VkDevice` of the frame's buffer, and live until it has reached the value;
    /// work that reads the frame must be done by then.
    pub unsafe fn release_after(self, done: Timeline) -> std::result::Result<(), (Self, Error)> {
        let mut raw = lava_frame_sync::sized();
        raw.kind = LAVA_SYNC_TIMELINE;
        raw.semaphore = done.semaphore;
        raw.value = done.value;
        let frame = self.as_raw();
        // SAFETY: the frame is live; the semaphore is as the caller promised.
        match Error::check(|error| unsafe { lava_frame_release_after(frame, &raw, error) }) {
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
    /// The semaphore and the value that the caller's queue submission, which writes the loan, must signal. The loan may be
    /// sent before that work is done. `None`: it is not device memory, and there is nothing to signal.
    ///
    /// Values rise with each call for any loan of the producer, and must be signalled in this order: submit in the order
    /// of these calls, to one queue. A value that is never signalled makes its consumers wait. A loan for which this was
    /// not called must be written completely before it is sent.
    ///
    /// # Errors
    /// None for a live loan of this process.
    pub fn next_ready(&mut self) -> Result<Option<Timeline>> {
        let mut raw = lava_frame_sync::sized();
        // SAFETY: the loan is live, the struct is a place for the answer.
        Error::check(|error| unsafe { lava_frame_next_ready(self.as_ptr(), &mut raw, error) })?;
        Ok(Timeline::from_raw(&raw))
    }

    /// The buffer in which the payload lies, and the payload's first byte in it: to write it by another API.
    ///
    /// # Errors
    /// `NotFound`: the payload rides in the descriptor.
    pub fn buffer(&self) -> Result<(Buffer, u64)> {
        let mut offset = 0;
        // SAFETY: the loan is live; the library gives a new buffer.
        let buffer = unsafe {
            Buffer::shared(|buffer, error| {
                lava_frame_get_buffer(self.as_ptr(), buffer, &mut offset, error)
            })?
        };
        Ok((buffer, offset))
    }
}
