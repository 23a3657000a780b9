//! Buffers: one allocation each, in host or device memory.

use super::location::lava_location;

/// One allocation. Functions: `lava_buffer_*`.
pub struct lava_buffer {
    _private: [u8; 0],
}

/// Memory: lava chooses by size, topology and peer, and says why.
pub const LAVA_MEMORY_AUTO: u32 = 0;
/// Memory: ordinary pages (from the heap if small and not to be shared, else a memfd).
pub const LAVA_MEMORY_STANDARD: u32 = 1;
/// Memory: ordinary pages bound to one NUMA node.
pub const LAVA_MEMORY_NUMA: u32 = 2;
/// Memory: huge pages (reserved ones, else transparent ones; the info says which).
pub const LAVA_MEMORY_HUGE: u32 = 3;
/// Memory: locked pages, which the kernel never moves to disk and a GPU can copy from at full speed.
pub const LAVA_MEMORY_PINNED: u32 = 4;
/// Memory: a GPU's own.
pub const LAVA_MEMORY_DEVICE: u32 = 5;

/// Page kind of a buffer: the system's small pages.
pub const LAVA_PAGES_SMALL: u32 = 1;
/// Page kind of a buffer: huge pages from the reserved set (hugetlbfs).
pub const LAVA_PAGES_HUGE_RESERVED: u32 = 2;
/// Page kind of a buffer: transparent huge pages were asked for; the kernel gives them if it can.
pub const LAVA_PAGES_HUGE_TRANSPARENT: u32 = 3;

/// Buffer flag: other processes can import it, and channels can send it without copying.
pub const LAVA_BUFFER_SHAREABLE: u32 = 1;
/// Buffer flag: no fallback; the memory asked for, or `LAVA_ERROR_REQUIREMENT`.
pub const LAVA_BUFFER_REQUIRE: u32 = 2;
/// Buffer flag: `numa_node` is valid (else: the node of the calling thread).
pub const LAVA_BUFFER_ON_NODE: u32 = 4;
/// Buffer flag: commit all pages now, so that a machine without memory fails here and not later by SIGBUS.
pub const LAVA_BUFFER_COMMIT: u32 = 8;
/// Buffer flag: importers may write too. Such a buffer cannot be sent through a channel (one writer per buffer).
pub const LAVA_BUFFER_WRITABLE_BY_IMPORTERS: u32 = 16;
/// Buffer flag, only set by the library: this buffer was imported.
pub const LAVA_BUFFER_IMPORTED: u32 = 32;
/// Buffer flag, only set by the library: this process may not write to it.
pub const LAVA_BUFFER_READ_ONLY: u32 = 64;
/// Buffer flag: device memory that the CPU can reach too (`lava_buffer_data`). Slower for the GPU, and often very slow for
/// the CPU to read. Other memory always can be reached.
pub const LAVA_BUFFER_HOST_VISIBLE: u32 = 128;
/// Buffer flag: device memory is not zeroed first; it may show what another process left there. Other memory is always
/// zero.
pub const LAVA_BUFFER_UNINITIALIZED: u32 = 256;

/// Most fallbacks that a buffer or producer can list.
pub const LAVA_FALLBACK_MAX: usize = 5;
/// Bytes of a `reason`, with its NUL.
pub const LAVA_REASON_SIZE: usize = 256;

/// Options of `lava_buffer_allocate`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_buffer_options {
    /// `sizeof(lava_buffer_options)` of the caller.
    pub struct_size: u32,
    /// `LAVA_MEMORY_*`.
    pub memory: u32,
    /// Bytes; at least 1.
    pub size: u64,
    /// Alignment of the first byte: a power of two, at most 2 MiB; 0: 64, or a page if shareable.
    pub alignment: u64,
    /// Set of `LAVA_BUFFER_*` flags.
    pub flags: u32,
    /// NUMA node, with `LAVA_BUFFER_ON_NODE`.
    pub numa_node: u32,
    /// What to try, in this order, if `memory` cannot be had. 0 entries: `AUTO` chooses (always ends with standard);
    /// with `LAVA_BUFFER_REQUIRE` it must be 0.
    pub fallback_count: u32,
    /// `LAVA_MEMORY_*`, `fallback_count` of them.
    pub fallback: [u32; LAVA_FALLBACK_MAX],
    /// Whom the buffer is for, a hint for `AUTO`; borrowed for the call; NULL: this process.
    pub peer: *const lava_location,
    /// UUID of the GPU whose memory it is to be, or that will copy from and to it if it is pinned; zero: the best.
    pub device_uuid: [u8; 16],
}

/// What a buffer is. Filled by `lava_buffer_get_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_buffer_info {
    /// `sizeof(lava_buffer_info)` of the caller.
    pub struct_size: u32,
    /// `LAVA_MEMORY_*`: what it is, never `AUTO`.
    pub memory: u32,
    /// Usable bytes.
    pub size: u64,
    /// Bytes that the allocation really takes (rounded up to its pages).
    pub allocated_size: u64,
    /// Alignment of the first byte.
    pub alignment: u64,
    /// Set of `LAVA_BUFFER_*` flags.
    pub flags: u32,
    /// `LAVA_PAGES_*`.
    pub pages: u32,
    /// Bytes of a page.
    pub page_size: u64,
    /// NUMA node that it is bound to, or `UINT32_MAX` if it is not.
    pub numa_node: u32,
    /// What was asked for: `LAVA_MEMORY_*`.
    pub requested_memory: u32,
    /// Why it is what it is, and what was tried before and failed. UTF-8, NUL-terminated.
    pub reason: [core::ffi::c_char; LAVA_REASON_SIZE],
    /// UUID of the GPU whose memory it is (zero for host memory).
    pub device_uuid: [u8; 16],
    /// UUID of the GPU's driver (zero for host memory).
    pub driver_uuid: [u8; 16],
}

/// Kind of an exported handle: a sealed memfd.
pub const LAVA_HANDLE_MEMFD: u32 = 1;
/// Kind of an exported handle: a Vulkan opaque fd.
pub const LAVA_HANDLE_VULKAN_OPAQUE_FD: u32 = 2;

/// An exported buffer: a file descriptor and the recipe that an importer needs. Send `fd` over a Unix socket
/// (`SCM_RIGHTS`) and the rest as bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_buffer_handle {
    /// `sizeof(lava_buffer_handle)` of the caller.
    pub struct_size: u32,
    /// `LAVA_HANDLE_*`.
    pub kind: u32,
    /// The descriptor. From export: owned by the caller, close it. To import: borrowed for the call.
    pub fd: i32,
    /// `LAVA_MEMORY_*`.
    pub memory: u32,
    /// Usable bytes.
    pub size: u64,
    /// Bytes of the whole allocation.
    pub allocation_size: u64,
    /// First usable byte within the allocation.
    pub offset: u64,
    /// `LAVA_PAGES_*`.
    pub pages: u32,
    /// Set of `LAVA_BUFFER_*` flags.
    pub flags: u32,
    /// Vulkan memory type index (0 for host memory).
    pub memory_type: u32,
    /// 1 if the Vulkan allocation is dedicated.
    pub dedicated: u32,
    /// UUID of the GPU (zero for host memory).
    pub device_uuid: [u8; 16],
    /// UUID of the GPU's driver (zero for host memory).
    pub driver_uuid: [u8; 16],
}
