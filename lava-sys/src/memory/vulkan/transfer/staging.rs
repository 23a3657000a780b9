//! Memory of the transfers' own, as raw handles: staging that the CPU reaches, and scratch on the device.
//!
//! Its owner is a lane, which the device owns: a handle on the device here would be a cycle. So it is destroyed by
//! [`Own::destroy`], and by nothing else.

use std::ptr::NonNull;

use ash::vk;

use super::super::device::Device;
use super::super::driver;
use super::super::failure::failed;
use super::super::memory_types::Kind;
use crate::error::{Error, Result};
use crate::types::LAVA_ERROR_DEVICE;

/// One buffer with memory of its own.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) buffer: vk::Buffer,
    memory: vk::DeviceMemory,
    start: Option<NonNull<u8>>,
    pub(super) size: u64,
}

// SAFETY: the mapping belongs to this value alone and may be used from any thread.
unsafe impl Send for Own {}

impl Own {
    pub(super) fn new(device: &Device, size: u64, kind: Kind) -> Result<Self> {
        let raw = &device.raw;
        let usage = vk::BufferUsageFlags::TRANSFER_SRC | vk::BufferUsageFlags::TRANSFER_DST;
        let info = vk::BufferCreateInfo::default().size(size).usage(usage);
        let order = driver::making();
        // SAFETY: the device is alive; the buffer is destroyed below or with the value.
        let buffer = unsafe { raw.create_buffer(&info, None) }
            .map_err(|result| failed(result, "vkCreateBuffer for staging"))?;
        drop(order);
        let mut own = Self { buffer, memory: vk::DeviceMemory::null(), start: None, size };
        match own.back(device, kind) {
            Ok(()) => Ok(own),
            Err(error) => {
                let _order = driver::making();
                // SAFETY: nothing has used it.
                unsafe { own.destroy(raw) };
                Err(error)
            }
        }
    }

    /// Gives the buffer its memory, and maps it.
    fn back(&mut self, device: &Device, kind: Kind) -> Result<()> {
        let raw = &device.raw;
        // SAFETY: the buffer is this device's.
        let needs = unsafe { raw.get_buffer_memory_requirements(self.buffer) };
        let chosen = device.memory_type(needs.memory_type_bits, kind).ok_or_else(|| {
            Error::new(LAVA_ERROR_DEVICE, "the device has no memory to stage transfers in")
        })?;
        let info =
            vk::MemoryAllocateInfo::default().allocation_size(needs.size).memory_type_index(chosen);
        // SAFETY: the type is one of the buffer's.
        self.memory = unsafe { device.allocate_memory(&info) }.map_err(|result| {
            failed(result, format!("allocating {} bytes to stage transfers in", needs.size))
        })?;
        // SAFETY: fresh memory for a buffer without any.
        unsafe { raw.bind_buffer_memory(self.buffer, self.memory, 0) }
            .map_err(|result| failed(result, "vkBindBufferMemory for staging"))?;
        if kind == Kind::HostVisible {
            // SAFETY: the type is host-visible, and nobody has mapped it.
            let start = unsafe {
                raw.map_memory(self.memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty())
            }
            .map_err(|result| failed(result, "vkMapMemory for staging"))?;
            self.start = NonNull::new(start.cast());
        }
        Ok(())
    }

    /// The mapped bytes at `at`.
    pub(super) fn bytes(&self, at: u64) -> *mut u8 {
        debug_assert!(at < self.size);
        // SAFETY: `at` is inside; a place without a mapping has no caller.
        self.start.map_or(std::ptr::null_mut(), |start| unsafe { start.as_ptr().add(at as usize) })
    }

    /// # Safety
    /// The device has finished with it, and nobody uses it afterwards. The caller holds the driver's order.
    pub(super) unsafe fn destroy(&self, raw: &ash::Device) {
        // SAFETY: the caller's promise; freeing unmaps, and null handles are allowed.
        unsafe {
            raw.destroy_buffer(self.buffer, None);
            raw.free_memory(self.memory, None);
        }
    }
}
