//! What a caller asks for, checked; and what allocation needs of the context.

use std::sync::Arc;

use super::kind::Memory;
use super::vulkan::{GpuSettings, Gpus};
use crate::error::{Error, Result};
use crate::log::Log;
use crate::os::limits;
use crate::scope::Location;
use crate::types::*;

/// What buffers need of their context. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MemoryContext {
    pub(super) log: Log,
    gpus: Arc<Gpus>,
}

impl MemoryContext {
    pub fn new(log: Log, gpus: GpuSettings) -> Self {
        Self { gpus: Gpus::new(gpus, log.clone()), log }
    }

    /// The GPUs. Vulkan is loaded by the first question about them.
    pub fn gpus(&self) -> &Arc<Gpus> {
        &self.gpus
    }
}

/// The options of `lava_buffer_allocate`, converted.
#[derive(Debug, Clone)]
pub struct Request {
    pub memory: Memory,
    /// Usable bytes.
    pub size: u64,
    /// Power of two, or 0 for the default.
    pub alignment: u64,
    /// Set of `LAVA_BUFFER_*`.
    pub flags: u32,
    /// With `LAVA_BUFFER_ON_NODE`.
    pub numa_node: Option<u32>,
    /// What to try if `memory` cannot be had; empty: what AUTO chooses.
    pub fallback: Vec<Memory>,
    /// Whom the buffer is for.
    pub peer: Option<Location>,
    /// The GPU whose memory it is to be, or that is to copy from and to it; zero: the best.
    pub device_uuid: [u8; 16],
}

/// The largest alignment: a huge page of the usual size.
const ALIGNMENT_MAX: u64 = 2 << 20;
/// A cache line: the default of memory that is not shared.
const ALIGNMENT_DEFAULT: u64 = 64;
const CALLERS_FLAGS: u32 = LAVA_BUFFER_SHAREABLE
    | LAVA_BUFFER_REQUIRE
    | LAVA_BUFFER_ON_NODE
    | LAVA_BUFFER_COMMIT
    | LAVA_BUFFER_WRITABLE_BY_IMPORTERS
    | LAVA_BUFFER_HOST_VISIBLE
    | LAVA_BUFFER_UNINITIALIZED;
const LIBRARYS_FLAGS: u32 = LAVA_BUFFER_IMPORTED | LAVA_BUFFER_READ_ONLY;

/// What every strategy needs to know of a checked request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    pub(super) size: u64,
    pub(super) alignment: usize,
    /// The alignment that the caller named, or 1.
    pub(super) asked: usize,
    pub(super) shareable: bool,
    pub(super) writable_by_importers: bool,
    pub(super) commit: bool,
    pub(super) node: Option<u32>,
    /// Device memory that the CPU reaches too.
    pub(super) host_visible: bool,
    /// Device memory may show what was there before.
    pub(super) uninitialized: bool,
    pub(super) device_uuid: [u8; 16],
}

impl Request {
    pub(super) fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Checks all that can be wrong whatever the machine offers.
    pub(super) fn check(&self) -> Result<Need> {
        self.check_flags()?;
        if self.size == 0 {
            return Err(Error::argument("size is 0; a buffer has at least 1 byte"));
        }
        if self.size > isize::MAX as u64 {
            let (size, most) = (self.size, isize::MAX);
            return Err(Error::argument(format!(
                "size {size} overflows the address space; at most {most} bytes"
            ))
            .with_value(size));
        }
        let alignment = self.alignment;
        if alignment != 0 && (!alignment.is_power_of_two() || alignment > ALIGNMENT_MAX) {
            return Err(Error::argument(format!(
                "alignment {alignment} is not a power of two of at most {ALIGNMENT_MAX} (2 MiB), nor 0 for the default"
            ))
            .with_value(alignment));
        }
        let shareable = self.has(LAVA_BUFFER_SHAREABLE);
        let least = if shareable { limits::page_size() } else { ALIGNMENT_DEFAULT };
        let alignment = if alignment == 0 { least } else { alignment };
        Ok(Need {
            size: self.size,
            alignment: alignment as usize,
            asked: self.alignment.max(1) as usize,
            shareable,
            writable_by_importers: self.has(LAVA_BUFFER_WRITABLE_BY_IMPORTERS),
            commit: self.has(LAVA_BUFFER_COMMIT),
            node: self.numa_node,
            host_visible: self.has(LAVA_BUFFER_HOST_VISIBLE),
            uninitialized: self.has(LAVA_BUFFER_UNINITIALIZED),
            device_uuid: self.device_uuid,
        })
    }

    fn check_flags(&self) -> Result<()> {
        let refuse = |what: String, flags: u32| Err(Error::argument(what).with_value(flags.into()));
        let foreign = self.flags & LIBRARYS_FLAGS;
        if foreign != 0 {
            return refuse(
                format!("flags {foreign:#x} are only set by the library; leave them out"),
                foreign,
            );
        }
        let unknown = self.flags & !CALLERS_FLAGS;
        if unknown != 0 {
            return refuse(format!("flags {unknown:#x} are not known to this library"), unknown);
        }
        if self.has(LAVA_BUFFER_WRITABLE_BY_IMPORTERS) && !self.has(LAVA_BUFFER_SHAREABLE) {
            return refuse(
                "LAVA_BUFFER_WRITABLE_BY_IMPORTERS needs LAVA_BUFFER_SHAREABLE".into(),
                self.flags,
            );
        }
        if self.has(LAVA_BUFFER_REQUIRE) && !self.fallback.is_empty() {
            return refuse(
                "LAVA_BUFFER_REQUIRE allows no fallback; set fallback_count to 0".into(),
                self.flags,
            );
        }
        if self.has(LAVA_BUFFER_ON_NODE) && self.memory == Memory::Standard {
            return refuse(
                "standard memory is not bound to a node; with LAVA_BUFFER_ON_NODE ask for LAVA_MEMORY_NUMA".into(),
                self.flags,
            );
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn request(memory: Memory, size: u64, flags: u32) -> Request {
        Request {
            memory,
            size,
            alignment: 0,
            flags,
            numa_node: None,
            fallback: Vec::new(),
            peer: None,
            device_uuid: [0; 16],
        }
    }

    pub(in super::super) fn context() -> MemoryContext {
        MemoryContext::new(Log::none(), GpuSettings::default())
    }

    fn refused(request: &Request, value: u64, words: &str) {
        let error = request.check().unwrap_err();
        assert_eq!((error.status, error.value), (LAVA_ERROR_INVALID_ARGUMENT, value), "{error}");
        assert!(error.message.contains(words), "{error}");
    }

    #[test]
    fn impossible_sizes_and_alignments_are_refused() {
        refused(&request(Memory::Auto, 0, 0), 0, "at least 1");
        refused(&request(Memory::Auto, u64::MAX, 0), u64::MAX, "overflows");
        for alignment in [3, 96, 4 << 20, 1 << 63] {
            let request = Request { alignment, ..request(Memory::Auto, 1, 0) };
            refused(&request, alignment, "power of two");
        }
    }

    #[test]
    fn impossible_flags_are_refused() {
        refused(&request(Memory::Auto, 1, LAVA_BUFFER_IMPORTED), 32, "only set by the library");
        refused(
            &request(Memory::Auto, 1, LAVA_BUFFER_READ_ONLY | 1),
            64,
            "only set by the library",
        );
        refused(&request(Memory::Auto, 1, 1 << 31), 1 << 31, "not known");
        refused(&request(Memory::Auto, 1, LAVA_BUFFER_WRITABLE_BY_IMPORTERS), 16, "SHAREABLE");
        refused(&request(Memory::Standard, 1, LAVA_BUFFER_ON_NODE), 4, "LAVA_MEMORY_NUMA");
        let listed = Request {
            fallback: vec![Memory::Standard],
            ..request(Memory::Huge, 1, LAVA_BUFFER_REQUIRE)
        };
        refused(&listed, 2, "fallback_count");
    }

    #[test]
    fn the_default_alignment_is_a_line_or_a_page() {
        assert_eq!(request(Memory::Auto, 1, 0).check().unwrap().alignment, 64);
        let shared = request(Memory::Auto, 1, LAVA_BUFFER_SHAREABLE).check().unwrap();
        assert_eq!(shared.alignment as u64, limits::page_size());
    }
}
