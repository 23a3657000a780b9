//! One allocation, and the ways to get host memory.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use lava_sys::*;

use crate::buffer_options::BufferOptions;
use crate::bytes::{CStruct, text, to_usize};
use crate::context::Context;
use crate::device::Uuid;
use crate::error::{Error, Result};
use crate::handle::Handle;

/// Where memory comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Memory {
    /// lava chooses by size, topology and peer, and says why.
    #[default]
    Auto,
    /// Ordinary pages.
    Standard,
    /// Ordinary pages bound to one NUMA node.
    Numa,
    /// Huge pages: reserved ones, else transparent ones.
    Huge,
    /// Locked pages.
    Pinned,
    /// A GPU's own memory.
    Device,
}

impl Memory {
    pub(crate) fn to_raw(self) -> u32 {
        match self {
            Self::Auto => LAVA_MEMORY_AUTO,
            Self::Standard => LAVA_MEMORY_STANDARD,
            Self::Numa => LAVA_MEMORY_NUMA,
            Self::Huge => LAVA_MEMORY_HUGE,
            Self::Pinned => LAVA_MEMORY_PINNED,
            Self::Device => LAVA_MEMORY_DEVICE,
        }
    }

    pub(crate) fn from_raw(memory: u32) -> Self {
        match memory {
            LAVA_MEMORY_STANDARD => Self::Standard,
            LAVA_MEMORY_NUMA => Self::Numa,
            LAVA_MEMORY_HUGE => Self::Huge,
            LAVA_MEMORY_PINNED => Self::Pinned,
            LAVA_MEMORY_DEVICE => Self::Device,
            _ => Self::Auto,
        }
    }

    /// The count and array of fallbacks of an options struct. The count is what was asked for, so that the library
    /// refuses too many.
    pub(crate) fn fallbacks(list: &[Self]) -> (u32, [u32; LAVA_FALLBACK_MAX]) {
        let mut array = [0; LAVA_FALLBACK_MAX];
        for (place, memory) in array.iter_mut().zip(list) {
            *place = memory.to_raw();
        }
        (u32::try_from(list.len()).unwrap_or(u32::MAX), array)
    }
}

/// The kind of pages that a buffer lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pages {
    /// The system's small pages.
    Small,
    /// Huge pages from the reserved set.
    HugeReserved,
    /// Transparent huge pages were asked for; the kernel gives them if it can.
    HugeTransparent,
    /// A kind that this version does not know.
    Other(u32),
}

/// One allocation, in host memory or a GPU's.
///
/// A buffer that this process allocated is seen as a plain slice. One that another process can write to (imported,
/// [`writable_by_importers`](BufferOptions::writable_by_importers), of a received frame) is only copied from and to, because
/// its bytes may change at any moment.
///
/// Threads: any, also several at once.
///
/// ```
/// # fn main() -> lava::Result<()> {
/// use lava::{Buffer, BufferOptions, Context};
/// let context = Context::new()?;
/// let mut buffer = Buffer::allocate(&context, &BufferOptions::new(1 << 20).shareable())?;
/// buffer.as_mut_slice()?[..5].copy_from_slice(b"hello");
///
/// // Usually in another process, to which the handle's fd and recipe were sent.
/// let imported = Buffer::import(&context, &buffer.export()?)?;
/// let mut bytes = [0; 5];
/// imported.read(0, &mut bytes)?;
/// assert_eq!(&bytes, b"hello");
/// println!("{:?}", imported.info()?);
/// # Ok(())
/// # }
/// ```
pub struct Buffer {
    pub(crate) handle: Handle<lava_buffer>,
    /// Allocated here, and nobody else can write to it.
    private: bool,
}

impl Buffer {
    /// Allocates a buffer. Its bytes are zero.
    ///
    /// # Errors
    /// `InvalidArgument`, `Unsupported` (options); `Requirement` (required memory); `Limit`, `OutOfMemory`, `Os` (no memory
    /// left to try). The message names the limit and how to raise it.
    pub fn allocate(context: &Context, options: &BufferOptions) -> Result<Self> {
        let raw = options.to_raw();
        // SAFETY: the context is live; what the options point to outlives the call.
        let handle = unsafe {
            Handle::create(|buffer, error| {
                lava_buffer_allocate(context.0.as_ptr(), &raw, buffer, error)
            })?
        };
        let mut buffer =
            Self { handle, private: raw.flags & LAVA_BUFFER_WRITABLE_BY_IMPORTERS == 0 };
        // Whoever imports device memory can write to it.
        if raw.flags & LAVA_BUFFER_SHAREABLE != 0 {
            buffer.private &= buffer.info()?.memory != Memory::Device;
        }
        Ok(buffer)
    }

    /// Makes a buffer of a handle, usually from another process. Everything in it is checked against the descriptor itself:
    /// type, seals, size. The bytes are shared, not copied.
    ///
    /// # Errors
    /// `InvalidArgument` (the descriptor is not what the recipe says), `Unsupported`, `Limit`, `OutOfMemory`, `Os`.
    pub fn import(context: &Context, handle: &BufferHandle) -> Result<Self> {
        let mut raw = handle.recipe.0;
        raw.fd = handle.fd.as_raw_fd();
        // SAFETY: the context is live; the handle and its fd outlive the call.
        unsafe {
            Self::shared(|buffer, error| {
                lava_buffer_import(context.0.as_ptr(), &raw, buffer, error)
            })
        }
    }

    /// A buffer whose memory another process can write to.
    ///
    /// # Safety
    /// As [`Handle::create`].
    pub(crate) unsafe fn shared(
        create: impl FnOnce(*mut *mut lava_buffer, *mut lava_error) -> lava_status,
    ) -> Result<Self> {
        // SAFETY: the caller's promise.
        Ok(Self { handle: unsafe { Handle::create(create)? }, private: false })
    }

    /// Makes a handle with which another process can import the buffer. May be called any number of times.
    ///
    /// # Errors
    /// `Unsupported` (allocated without [`BufferOptions::shareable`]), `Limit` (files).
    pub fn export(&self) -> Result<BufferHandle> {
        let mut raw = lava_buffer_handle::sized();
        // SAFETY: the buffer is live, the handle is a place for the answer.
        Error::check(|error| unsafe { lava_buffer_export(self.handle.as_ptr(), &mut raw, error) })?;
        // SAFETY: on success the fd is open and ours.
        let fd = unsafe { OwnedFd::from_raw_fd(raw.fd) };
        Ok(BufferHandle { fd, recipe: BufferRecipe(raw) })
    }

    /// What the buffer is, and why.
    ///
    /// # Errors
    /// `Forked`.
    pub fn info(&self) -> Result<BufferInfo> {
        let mut raw = lava_buffer_info::sized();
        // SAFETY: the buffer is live, the info is a place for the answer.
        Error::check(|error| unsafe {
            lava_buffer_get_info(self.handle.as_ptr(), &mut raw, error)
        })?;
        Ok(BufferInfo {
            memory: Memory::from_raw(raw.memory),
            requested_memory: Memory::from_raw(raw.requested_memory),
            size: raw.size,
            allocated_size: raw.allocated_size,
            alignment: raw.alignment,
            pages: match raw.pages {
                LAVA_PAGES_SMALL => Pages::Small,
                LAVA_PAGES_HUGE_RESERVED => Pages::HugeReserved,
                LAVA_PAGES_HUGE_TRANSPARENT => Pages::HugeTransparent,
                other => Pages::Other(other),
            },
            page_size: raw.page_size,
            numa_node: Some(raw.numa_node).filter(|node| *node != u32::MAX),
            shareable: raw.flags & LAVA_BUFFER_SHAREABLE != 0,
            imported: raw.flags & LAVA_BUFFER_IMPORTED != 0,
            read_only: raw.flags & LAVA_BUFFER_READ_ONLY != 0,
            device: Uuid::from_raw(raw.device_uuid),
            driver: Uuid::from_raw(raw.driver_uuid),
            host_visible: raw.memory != LAVA_MEMORY_DEVICE
                || raw.flags & LAVA_BUFFER_HOST_VISIBLE != 0,
            reason: text(&raw.reason),
        })
    }

    /// The first byte in this process; NULL if the CPU cannot reach the memory. For calls to other libraries: another
    /// process may write to it unless this one allocated it, and none may write to it if the info says `read_only`.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        // SAFETY: the buffer is live.
        unsafe { lava_buffer_data(self.handle.as_ptr()) }.cast()
    }

    /// The bytes of a buffer that this process allocated and nobody else can write to.
    ///
    /// # Errors
    /// `Permission`: another process can write to it; use [`Buffer::read`].
    pub fn as_slice(&self) -> Result<&[u8]> {
        let (start, size) = self.private_range()?;
        // SAFETY: `private_range`; writes need `&mut self`.
        Ok(unsafe { std::slice::from_raw_parts(start, size) })
    }

    /// The bytes of a buffer that this process allocated and nobody else can write to, for writing. Consumers to whom the
    /// buffer was sent see the change: wait for them with [`Producer::wait_released`](crate::Producer::wait_released).
    ///
    /// # Errors
    /// `Permission`: another process can write to it; use [`Buffer::write`].
    pub fn as_mut_slice(&mut self) -> Result<&mut [u8]> {
        let (start, size) = self.private_range()?;
        // SAFETY: `private_range`; the borrow is exclusive.
        Ok(unsafe { std::slice::from_raw_parts_mut(start, size) })
    }

    /// Start and size of memory that only this handle leads to for writing, in this process and all others.
    fn private_range(&self) -> Result<(*mut u8, usize)> {
        let start = self.as_ptr();
        if !self.private || start.is_null() {
            let message = "another process can write to this buffer, or the CPU cannot reach it: use read and write";
            return Err(Error::with_status(LAVA_ERROR_PERMISSION, 0, message.to_owned()));
        }
        Ok((start, to_usize(self.info()?.size)?))
    }

    /// Copies bytes at `offset` of the buffer to `data`.
    ///
    /// # Errors
    /// `TooLarge`: the range is outside the buffer.
    pub fn read(&self, offset: u64, data: &mut [u8]) -> Result<()> {
        let (start, size) = (data.as_mut_ptr().cast(), data.len());
        // SAFETY: the buffer is live; `data` has `size` bytes.
        Error::check(|error| unsafe {
            lava_buffer_read(self.handle.as_ptr(), offset, start, size, error)
        })
    }

    /// Copies `data` to `offset` of the buffer.
    ///
    /// # Errors
    /// `TooLarge` (the range is outside the buffer), `Permission` (read-only).
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let (start, size) = (data.as_ptr().cast(), data.len());
        // SAFETY: the buffer is live; `data` has `size` bytes.
        Error::check(|error| unsafe {
            lava_buffer_write(self.handle.as_ptr(), offset, start, size, error)
        })
    }

    /// Copies `size` bytes from another buffer.
    ///
    /// # Errors
    /// `TooLarge` (a range is outside its buffer), `Permission` (read-only).
    pub fn copy_from(&mut self, to: u64, source: &Buffer, from: u64, size: u64) -> Result<()> {
        let (target, source) = (self.handle.as_ptr(), source.handle.as_ptr());
        // SAFETY: both buffers are live.
        Error::check(|error| unsafe { lava_buffer_copy(target, to, source, from, size, error) })
    }

    /// Copies `size` bytes within the buffer; the ranges may overlap.
    ///
    /// # Errors
    /// As [`Buffer::copy_from`].
    pub fn copy_within(&mut self, to: u64, from: u64, size: u64) -> Result<()> {
        let buffer = self.handle.as_ptr();
        // SAFETY: the buffer is live; the function allows both to be one.
        Error::check(|error| unsafe { lava_buffer_copy(buffer, to, buffer, from, size, error) })
    }

    /// Sets `size` bytes at `offset` to `value`.
    ///
    /// # Errors
    /// `TooLarge` (the range is outside the buffer), `Permission` (read-only).
    pub fn fill(&mut self, offset: u64, size: u64, value: u8) -> Result<()> {
        // SAFETY: the buffer is live.
        Error::check(|error| unsafe {
            lava_buffer_fill(self.handle.as_ptr(), offset, size, value, error)
        })
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Buffer").field(&self.info()).finish()
    }
}

/// What a buffer is, and why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BufferInfo {
    /// What it is, never `Auto`.
    pub memory: Memory,
    /// What was asked for.
    pub requested_memory: Memory,
    /// Usable bytes.
    pub size: u64,
    /// Bytes that the allocation really takes.
    pub allocated_size: u64,
    /// Alignment of the first byte.
    pub alignment: u64,
    /// The kind of its pages.
    pub pages: Pages,
    /// Bytes of a page.
    pub page_size: u64,
    /// The NUMA node that it is bound to.
    pub numa_node: Option<u32>,
    /// Other processes can import it.
    pub shareable: bool,
    /// It was imported.
    pub imported: bool,
    /// This process may not write to it.
    pub read_only: bool,
    /// The GPU whose memory it is.
    pub device: Option<Uuid>,
    /// The GPU's driver.
    pub driver: Option<Uuid>,
    /// The CPU can reach it.
    pub host_visible: bool,
    /// Why it is what it is, and what was tried before and failed.
    pub reason: String,
}

/// What an importer must know besides the descriptor; plain bytes, to be sent with it.
#[derive(Clone, Copy, Debug)]
pub struct BufferRecipe(lava_buffer_handle);

impl BufferRecipe {
    /// Bytes of a recipe.
    pub const SIZE: usize = size_of::<lava_buffer_handle>();

    /// The recipe as bytes, for a program that has the same version of lava.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        // SAFETY: plain numbers without padding; the size is the type's.
        unsafe { std::mem::transmute(self.0) }
    }

    /// The recipe of such bytes. They need not be trusted: [`Buffer::import`] checks them.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        // SAFETY: any bytes are valid numbers; the size is the type's.
        Self(unsafe { std::mem::transmute::<[u8; Self::SIZE], lava_buffer_handle>(bytes) })
    }
}

/// An exported buffer: a descriptor and a recipe. Send the descriptor over a Unix socket (`SCM_RIGHTS`) with the recipe's
/// bytes, and put both together again there.
#[derive(Debug)]
pub struct BufferHandle {
    fd: OwnedFd,
    recipe: BufferRecipe,
}

impl BufferHandle {
    /// A handle of its two parts.
    #[must_use]
    pub fn new(fd: OwnedFd, recipe: BufferRecipe) -> Self {
        Self { fd, recipe }
    }

    /// What an importer must know besides the descriptor.
    #[must_use]
    pub fn recipe(&self) -> &BufferRecipe {
        &self.recipe
    }
}

impl AsFd for BufferHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
