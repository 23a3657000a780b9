//! What an importer must repeat: OPAQUE_FD memory cannot be asked what it is.

use ash::vk;
use bytemuck::{Pod, Zeroable};

/// What every buffer of lava may be used for: all that works on plain bytes, so that a renderer can draw from one too.
/// Part of the recipe: both sides make the same buffer.
pub(super) const USAGE: vk::BufferUsageFlags = vk::BufferUsageFlags::from_raw(
    vk::BufferUsageFlags::TRANSFER_SRC.as_raw()
        | vk::BufferUsageFlags::TRANSFER_DST.as_raw()
        | vk::BufferUsageFlags::UNIFORM_BUFFER.as_raw()
        | vk::BufferUsageFlags::STORAGE_BUFFER.as_raw()
        | vk::BufferUsageFlags::INDEX_BUFFER.as_raw()
        | vk::BufferUsageFlags::VERTEX_BUFFER.as_raw()
        | vk::BufferUsageFlags::INDIRECT_BUFFER.as_raw(),
);

/// The buffer's bytes are mapped into the process, in the importer's as in the exporter's.
pub(super) const MAPPED: u32 = 1;

/// Plain numbers that travel with the descriptor, in native byte order: both ends are on one host.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Recipe {
    /// Bytes of the VkDeviceMemory.
    pub allocation_size: u64,
    /// Bytes of the VkBuffer at its offset 0.
    pub buffer_size: u64,
    /// Index of the memory type.
    pub memory_type: u32,
    /// 1 if the allocation is dedicated to the buffer.
    pub dedicated: u32,
    /// VkBufferUsageFlags.
    pub usage: u32,
    /// Set of `MAPPED`; unknown ones are refused.
    pub flags: u32,
    pub device_uuid: [u8; 16],
    pub driver_uuid: [u8; 16],
}

const _: () = assert!(size_of::<Recipe>() == 64);

impl Recipe {
    /// The recipe of a buffer that came with fewer words than a recipe has: the rest is what this version of lava makes.
    pub fn of_handle(
        sizes: (u64, u64),
        memory_type: u32,
        dedicated: u32,
        mapped: bool,
        uuids: ([u8; 16], [u8; 16]),
    ) -> Self {
        Self {
            allocation_size: sizes.0,
            buffer_size: sizes.1,
            memory_type,
            dedicated,
            usage: USAGE.as_raw(),
            flags: if mapped { MAPPED } else { 0 },
            device_uuid: uuids.0,
            driver_uuid: uuids.1,
        }
    }

    pub(super) fn is_mapped(&self) -> bool {
        self.flags & MAPPED != 0
    }
}
