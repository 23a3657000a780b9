//! A buffer's memory in CUDA's address space, and a timeline in the order of CUDA's streams.

use std::sync::Arc;

use super::device::{Device, uuid_text};
use super::library::Library;
use super::memory::Memory;
use super::points::Points;
use super::raw::{Context, Pointer, Stream};
use super::semaphore::Semaphore;
use crate::error::{Error, Result};
use crate::memory::vulkan::{self, DeviceInfo, Timeline};
use crate::memory::{Buffer, Memory as Strategy};
use crate::types::*;

/// NVIDIA's number on the PCI bus.
const NVIDIA: u32 = 0x10de;

/// A buffer that CUDA can reach. Keeps the buffer, and so its import, alive.
#[derive(Debug)]
pub struct View {
    buffer: Arc<Buffer>,
    device: Arc<Device>,
    pointer: Pointer,
}

impl View {
    /// Imports the whole allocation with the first view of a buffer; later views of it cost a look.
    pub fn of(buffer: &Arc<Buffer>) -> Result<Self> {
        let memory = &imported(buffer)?.memory;
        Ok(Self {
            device: Arc::clone(memory.device()),
            pointer: memory.pointer() + buffer.offset(),
            buffer: Arc::clone(buffer),
        })
    }

    /// The first usable byte.
    pub fn pointer(&self) -> Pointer {
        self.pointer
    }

    /// Usable bytes.
    pub fn size(&self) -> u64 {
        self.buffer.size()
    }

    /// The GPU's place in this process's numbering.
    pub fn ordinal(&self) -> i32 {
        self.device.ordinal()
    }

    /// The GPU's primary context.
    pub fn context(&self) -> Context {
        self.device.context()
    }
}

/// What CUDA has of a buffer.
#[derive(Debug)]
pub(super) struct Imported {
    pub(super) points: Points,
    memory: Memory,
}

/// The import of a buffer, made with the first question about it.
pub(super) fn imported(buffer: &Buffer) -> Result<&Imported> {
    let import = || Ok(Imported { points: Points::default(), memory: memory_of(buffer)? });
    buffer.attached().get_or_make(import)
}

/// What is put into `stream` from now on begins when the timeline has reached `value`. Returns at once.
///
/// # Safety
/// `stream` is a stream of the primary context of the timeline's GPU, or one of CUDA's constants.
pub unsafe fn wait(timeline: &Timeline, value: u64, stream: Stream) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe { semaphore(timeline)?.wait(value, stream) }
}

/// The timeline gets `value` when all that is in `stream` now has been done. Returns at once.
///
/// # Safety
/// As [`wait`].
pub unsafe fn signal(timeline: &Timeline, value: u64, stream: Stream) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe { semaphore(timeline)?.signal(value, stream) }
}

fn semaphore(timeline: &Timeline) -> Result<&Semaphore> {
    timeline.attached().get_or_make(|| {
        let device = device_of(timeline.device())?;
        Semaphore::import(&device, timeline.export()?)
    })
}

fn memory_of(buffer: &Buffer) -> Result<Memory> {
    let Some(allocation) = buffer.gpu() else {
        let what = format!(
            "this buffer is host memory ({}) that no GPU knows of: use its data on the CPU, or allocate it as \
             LAVA_MEMORY_DEVICE, or as LAVA_MEMORY_PINNED with a device_uuid",
            buffer.memory().name()
        );
        return Err(Error::new(LAVA_ERROR_UNSUPPORTED, what));
    };
    let device = device_of(allocation.device())?;
    if buffer.memory() == Strategy::Device {
        let recipe = allocation.recipe();
        let fd = allocation.export().map_err(|error| {
            error.context("CUDA reaches memory made with LAVA_BUFFER_SHAREABLE")
        })?;
        return Memory::import(&device, fd, recipe.allocation_size, recipe.dedicated != 0);
    }
    let data = buffer.data().ok_or_else(|| {
        Error::new(LAVA_ERROR_UNSUPPORTED, "host memory without an address cannot be registered")
    })?;
    // SAFETY: the offset was checked to lie inside when the buffer was made. The mapping ends with the buffer, and what
    // is attached to a buffer ends before.
    unsafe {
        Memory::register(&device, data.sub(buffer.offset() as usize), buffer.allocated_size())
    }
}

/// The GPU, opened for CUDA with the first view of anything on it.
fn device_of(gpu: &vulkan::Device) -> Result<Arc<Device>> {
    gpu.attached().get_or_make(|| open(gpu.info()).map(Arc::new)).map(Arc::clone)
}

fn open(info: &DeviceInfo) -> Result<Device> {
    if info.vendor_id != NVIDIA {
        let what = format!(
            "{} ({}) is not a GPU of NVIDIA's: CUDA cannot reach its memory; export the buffer and import it with \
             an interface that the GPU has",
            info.name,
            uuid_text(&info.device_uuid)
        );
        return Err(Error::new(LAVA_ERROR_UNSUPPORTED, what));
    }
    Device::open(Library::system()?, info.device_uuid, &info.name)
}
