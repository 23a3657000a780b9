//! A ring in host memory that two devices use in place: what one writes, the other reads, and the CPU copies nothing.

use std::sync::Arc;

use ash::vk::{self, Handle as _};

use super::super::device::Device;
use super::super::driver;
use super::super::failure::failed;
use super::super::memory_types::Kind;
use super::lane::{CHUNK, SLOTS};
use crate::error::{Error, Result};
use crate::os::mapping::Mapping;
use crate::types::LAVA_ERROR_UNSUPPORTED;

const HOST: vk::ExternalMemoryHandleTypeFlags =
    vk::ExternalMemoryHandleTypeFlags::HOST_ALLOCATION_EXT;

/// One device's import of the pages. They stay while anybody imports them, whatever device is closed first.
pub(super) struct SharedRing {
    pub(super) buffer: vk::Buffer,
    memory: vk::DeviceMemory,
    pages: Arc<Mapping>,
}

/// What the pages' address is a multiple of: drivers want 4 KiB or 64 KiB.
const ALIGNMENT: usize = 64 << 10;

/// Fresh pages.
pub(super) fn pages() -> Result<Arc<Mapping>> {
    Mapping::private_aligned(CHUNK as usize * SLOTS, ALIGNMENT).map(Arc::new)
}

impl SharedRing {
    /// Whether the device can import pages.
    pub(super) fn is_possible(device: &Device) -> bool {
        let alignment = device.info().host_import_alignment;
        device.functions.memory_host.is_some() && (1..=ALIGNMENT as u64).contains(&alignment)
    }

    /// Imports the pages, on a device that can.
    pub(super) fn new(device: &Device, pages: Arc<Mapping>) -> Result<Self> {
        let raw = &device.raw;
        let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(HOST);
        let info = vk::BufferCreateInfo::default()
            .size(pages.size() as u64)
            .usage(vk::BufferUsageFlags::TRANSFER_SRC | vk::BufferUsageFlags::TRANSFER_DST)
            .push_next(&mut external);
        let order = driver::making();
        // SAFETY: the device is alive; the buffer is destroyed below or with the value.
        let buffer = unsafe { raw.create_buffer(&info, None) }
            .map_err(|result| failed(result, "vkCreateBuffer over host memory"))?;
        drop(order);
        let mut ring = Self { buffer, memory: vk::DeviceMemory::null(), pages };
        match ring.back(device) {
            Ok(()) => Ok(ring),
            Err(error) => {
                let _order = driver::making();
                // SAFETY: nothing has used it.
                unsafe { ring.destroy(raw) };
                Err(error)
            }
        }
    }

    fn back(&mut self, device: &Device) -> Result<()> {
        let (raw, start) = (&device.raw, self.pages.start().as_ptr().cast());
        let Some(functions) = &device.functions.memory_host else { return Ok(()) };
        let mut properties = vk::MemoryHostPointerPropertiesEXT::default();
        // SAFETY: the pages are mapped while this value lives.
        unsafe {
            (functions.fp().get_memory_host_pointer_properties_ext)(
                raw.handle(),
                HOST,
                start,
                &mut properties,
            )
        }
        .result()
        .map_err(|result| failed(result, "vkGetMemoryHostPointerPropertiesEXT"))?;
        // SAFETY: the buffer is this device's.
        let needs = unsafe { raw.get_buffer_memory_requirements(self.buffer) };
        let allowed = needs.memory_type_bits & properties.memory_type_bits;
        let chosen = device.memory_type(allowed, Kind::HostVisible).ok_or_else(|| {
            let message = format!("device {} cannot use this host memory", device.info().name);
            Error::new(LAVA_ERROR_UNSUPPORTED, message)
        })?;
        let mut import =
            vk::ImportMemoryHostPointerInfoEXT::default().handle_type(HOST).host_pointer(start);
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(self.pages.size() as u64)
            .memory_type_index(chosen)
            .push_next(&mut import);
        // SAFETY: start and size are multiples of the device's alignment; the pages outlive the import.
        self.memory = unsafe { device.allocate_memory(&info) }
            .map_err(|result| failed(result, "importing host memory for a ring"))?;
        // SAFETY: fresh memory for a buffer without any.
        unsafe { raw.bind_buffer_memory(self.buffer, self.memory, 0) }
            .map_err(|result| failed(result, "vkBindBufferMemory over host memory"))
    }

    pub(super) fn pages(&self) -> Arc<Mapping> {
        Arc::clone(&self.pages)
    }

    /// Whether both are imports of the same pages.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pages, &other.pages)
    }

    /// # Safety
    /// The device has finished with it, and nobody uses it afterwards. The caller holds the driver's order.
    pub(super) unsafe fn destroy(&self, raw: &ash::Device) {
        debug_assert!(!self.buffer.is_null());
        // SAFETY: the caller's promise; the memory before the pages behind it.
        unsafe {
            raw.destroy_buffer(self.buffer, None);
            raw.free_memory(self.memory, None);
        }
    }
}
