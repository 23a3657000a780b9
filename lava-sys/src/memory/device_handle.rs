//! Device memory between processes: the handle of a device buffer, and the buffer of such a handle.

use std::os::fd::{BorrowedFd, IntoRawFd as _, OwnedFd};

use super::attached::Attached;
use super::buffer::{Buffer, next_id};
use super::handle::EXPORTED_FLAGS;
use super::kind::Memory;
use super::request::MemoryContext;
use super::storage::Storage;
use super::units::Bytes;
use super::vulkan::{self, Allocation, Recipe};
use crate::error::{Error, Result};
use crate::os::{limits, memfd};
use crate::types::*;

/// The handle of a device buffer. Its descriptor is a new one that the caller owns.
pub(super) fn export(buffer: &Buffer, allocation: &Allocation) -> Result<lava_buffer_handle> {
    let recipe = buffer.recipe().ok_or_else(private)?;
    Ok(lava_buffer_handle {
        struct_size: size_of::<lava_buffer_handle>() as u32,
        kind: LAVA_HANDLE_VULKAN_OPAQUE_FD,
        fd: allocation.export()?.into_raw_fd(),
        memory: LAVA_MEMORY_DEVICE,
        size: buffer.size(),
        allocation_size: recipe.allocation_size,
        offset: buffer.offset,
        pages: buffer.pages(),
        flags: buffer.flags() & EXPORTED_FLAGS,
        memory_type: recipe.memory_type,
        dedicated: recipe.dedicated,
        device_uuid: recipe.device_uuid,
        driver_uuid: recipe.driver_uuid,
    })
}

pub(super) fn private() -> Error {
    Error::new(
        LAVA_ERROR_UNSUPPORTED,
        "this buffer is private to the process; allocate it with LAVA_BUFFER_SHAREABLE",
    )
}

/// The buffer behind a handle of device memory. Borrows the handle's descriptor.
pub(super) fn import(handle: &lava_buffer_handle, context: &MemoryContext) -> Result<Buffer> {
    let refuse = |what: String, value: u64| Err(Error::argument(what).with_value(value));
    if handle.memory != LAVA_MEMORY_DEVICE {
        return refuse(
            format!("memory {} is not that of a GPU, as the kind says", handle.memory),
            handle.memory.into(),
        );
    }
    if handle.offset != 0 {
        return refuse(
            format!("offset {} is not 0, as it is in device memory", handle.offset),
            handle.offset,
        );
    }
    if handle.size == 0 || handle.size > handle.allocation_size {
        return refuse(
            format!("size {} of {} bytes is impossible", handle.size, handle.allocation_size),
            handle.size,
        );
    }
    let recipe = Recipe::of_handle(
        (handle.allocation_size, vulkan::buffer_size(handle.size)),
        handle.memory_type,
        handle.dedicated,
        handle.flags & LAVA_BUFFER_HOST_VISIBLE != 0,
        (handle.device_uuid, handle.driver_uuid),
    );
    // SAFETY: not negative, and borrowed for this call by the header's contract; a closed one gives EBADF.
    let borrowed = unsafe { BorrowedFd::borrow_raw(handle.fd) };
    let fd = memfd::duplicate(borrowed)?;
    let writable = handle.flags & LAVA_BUFFER_WRITABLE_BY_IMPORTERS != 0;
    open(fd, &recipe, handle.size, writable, context)
}

fn open(
    fd: OwnedFd,
    recipe: &Recipe,
    size: u64,
    writable: bool,
    context: &MemoryContext,
) -> Result<Buffer> {
    if size == 0 || size > recipe.buffer_size {
        let message = format!("{size} bytes are not in a buffer of {}", recipe.buffer_size);
        return Err(Error::new(LAVA_ERROR_PROTOCOL, message).with_value(size));
    }
    let device = context.gpus().open_for_import(recipe.device_uuid, recipe.driver_uuid)?;
    let allocation = Allocation::import(&device, fd, recipe)?;
    let reason = format!("imported; memory of {}", device.info().name);
    let rights = if writable { LAVA_BUFFER_WRITABLE_BY_IMPORTERS } else { LAVA_BUFFER_READ_ONLY };
    let visible = if allocation.mapped().is_some() { LAVA_BUFFER_HOST_VISIBLE } else { 0 };
    let storage = Storage::Device { allocation, single_writer: !writable };
    Ok(Buffer {
        attached: Attached::default(),
        id: next_id(),
        alignment: storage.alignment(),
        storage,
        requested: Memory::Device,
        memory: Memory::Device,
        offset: 0,
        size,
        flags: LAVA_BUFFER_SHAREABLE | LAVA_BUFFER_IMPORTED | rights | visible,
        pages: LAVA_PAGES_SMALL,
        page_size: limits::page_size(),
        node: None,
        reason,
    })
}

impl Buffer {
    /// The device memory that a peer sent for a pool or a buffer of `size` usable bytes: read-only here by lava's own
    /// rule; a GPU has no such rule, so a peer that breaks it cannot be stopped.
    pub fn from_peer_device(
        fd: OwnedFd,
        recipe: &Recipe,
        size: u64,
        context: &MemoryContext,
    ) -> Result<Self> {
        let buffer = open(fd, recipe, size, false, context)
            .map_err(|error| error.context("a peer's device memory"))?;
        context
            .log
            .info(|| format!("buffer {}: a peer's, {} of device memory", buffer.id(), Bytes(size)));
        Ok(buffer)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::super::request::tests::request;
    use super::super::vulkan::{Allowed, GpuSettings, testing};
    use super::*;
    use crate::log::Log;

    const WRITABLE: u32 = LAVA_BUFFER_SHAREABLE | LAVA_BUFFER_WRITABLE_BY_IMPORTERS;

    fn context(allowed: Allowed) -> MemoryContext {
        MemoryContext::new(Log::none(), GpuSettings { allowed, application: None })
    }

    /// Two contexts, as two processes have them, and a device buffer of the first.
    fn exported(flags: u32) -> Option<(MemoryContext, Buffer, lava_buffer_handle)> {
        testing::device()?;
        let asked = request(Memory::Device, 5001, flags | LAVA_BUFFER_REQUIRE);
        let buffer = Buffer::allocate(&asked, &context(Allowed::All)).unwrap();
        let handle = buffer.export().unwrap();
        Some((context(Allowed::All), buffer, handle))
    }

    fn first_bytes(buffer: &Buffer) -> [u8; 4] {
        let mut bytes = [0; 4];
        // SAFETY: four bytes.
        unsafe { buffer.read(0, bytes.as_mut_ptr(), 4) }.unwrap();
        bytes
    }

    #[test]
    fn an_importer_sees_the_bytes_and_outlives_the_exporter() {
        let Some((context, buffer, handle)) = exported(LAVA_BUFFER_SHAREABLE) else { return };
        let imported = Buffer::import(&handle, &context).unwrap();
        Buffer::discard_export(&handle);
        buffer.fill(0, 5001, 7).unwrap();
        assert_eq!((first_bytes(&imported), imported.size()), ([7; 4], 5001));
        assert_eq!(imported.fill(0, 1, 0).unwrap_err().status, LAVA_ERROR_PERMISSION);
        let flags = LAVA_BUFFER_SHAREABLE | LAVA_BUFFER_IMPORTED | LAVA_BUFFER_READ_ONLY;
        assert_eq!((imported.flags(), imported.data()), (flags, None));
        assert_eq!(imported.device_uuid(), buffer.device_uuid());
        drop(buffer);
        let again = imported.export().unwrap();
        let third = Buffer::import(&again, &context).unwrap();
        Buffer::discard_export(&again);
        drop(imported);
        assert_eq!(first_bytes(&third), [7; 4]);
    }

    #[test]
    fn importers_write_and_reach_it_where_that_was_allowed() {
        let Some((context, buffer, handle)) = exported(WRITABLE | LAVA_BUFFER_HOST_VISIBLE) else {
            return;
        };
        let imported = Buffer::import(&handle, &context).unwrap();
        Buffer::discard_export(&handle);
        imported.fill(0, 5001, 9).unwrap();
        assert_eq!(first_bytes(&buffer), [9; 4]);
        assert!(imported.data().is_some() && !imported.is_single_writer());
    }

    #[test]
    fn a_peers_pool_is_read_only_and_its_claims_are_checked() {
        let Some((context, buffer, handle)) = exported(LAVA_BUFFER_SHAREABLE) else { return };
        Buffer::discard_export(&handle);
        let open = |size| {
            let fd = buffer.export_fd().unwrap();
            Buffer::from_peer_device(fd, &buffer.recipe().unwrap(), size, &context)
        };
        assert!(open(5001).unwrap().is_read_only());
        for size in [0, 6000, u64::MAX] {
            assert_eq!(open(size).unwrap_err().status, LAVA_ERROR_PROTOCOL);
        }
    }

    #[test]
    fn false_claims_are_refused() {
        let Some((context, _buffer, handle)) = exported(LAVA_BUFFER_SHAREABLE) else { return };
        let refused = |change: fn(&mut lava_buffer_handle), words: &str| {
            let mut changed = handle;
            change(&mut changed);
            let error = Buffer::import(&changed, &context).unwrap_err();
            let expected = [LAVA_ERROR_INVALID_ARGUMENT, LAVA_ERROR_DEVICE];
            assert!(expected.contains(&error.status) && error.vk == 0, "{error}");
            assert!(error.message.contains(words), "{error}");
        };
        refused(|handle| handle.fd = -1, "fd is -1");
        refused(|handle| handle.fd = 987_654, "descriptor 987654");
        refused(|handle| handle.memory = LAVA_MEMORY_HUGE, "memory 3");
        refused(|handle| handle.size = 0, "size 0");
        refused(|handle| handle.size = u64::MAX, "impossible");
        refused(|handle| handle.size = 100, "an allocation of");
        refused(|handle| handle.offset = 16, "offset 16");
        refused(|handle| handle.allocation_size *= 2, "an allocation of");
        refused(|handle| handle.allocation_size = u64::MAX, "an allocation of");
        refused(|handle| handle.memory_type = 31, "memory type 31");
        refused(|handle| handle.dedicated = 1, "dedicated");
        refused(|handle| handle.flags = 0, "flags 0x0");
        refused(|handle| handle.flags |= LAVA_BUFFER_READ_ONLY, "flags 0x41");
        refused(|handle| handle.device_uuid[0] ^= 1, "not here");
        refused(|handle| handle.driver_uuid[0] ^= 1, "same driver version");
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let hostile = lava_buffer_handle { fd: socket.as_raw_fd(), ..handle };
        let error = Buffer::import(&hostile, &context).unwrap_err();
        assert_eq!((error.status, error.vk), (LAVA_ERROR_INVALID_ARGUMENT, 0));
        assert!(error.message.contains("is a socket"), "{error}");
        let off = Buffer::import(&handle, &self::context(Allowed::Off)).unwrap_err();
        assert_eq!(off.status, LAVA_ERROR_DEVICE);
        Buffer::discard_export(&handle);
    }

    /// Pinned host memory is used in place by the GPUs of all processes that may write to it, and of no other.
    #[test]
    fn pinned_memory_is_used_in_place_where_it_may_be_written() {
        let Some(device) = testing::device() else { return };
        let (one, two) = (context(Allowed::All), context(Allowed::All));
        for context in [&one, &two] {
            context.gpus().open(super::vulkan::Which::Best).unwrap();
        }
        for flags in [LAVA_BUFFER_SHAREABLE, WRITABLE] {
            let asked = request(Memory::Pinned, 1 << 16, flags | LAVA_BUFFER_REQUIRE);
            let pinned = Buffer::allocate(&asked, &one).unwrap();
            let handle = pinned.export().unwrap();
            let imported = Buffer::import(&handle, &two).unwrap();
            Buffer::discard_export(&handle);
            let possible = device.info().host_import;
            assert_eq!(pinned.gpu().is_some(), possible, "{}", pinned.reason());
            assert_eq!(imported.gpu().is_some(), possible && flags == WRITABLE);
            let asked = request(Memory::Device, 1 << 16, LAVA_BUFFER_REQUIRE);
            let on_device = Buffer::allocate(&asked, &two).unwrap();
            pinned.fill(0, 1 << 16, 5).unwrap();
            Buffer::copy(&on_device, 0, &imported, 0, 1 << 16).unwrap();
            assert_eq!(first_bytes(&on_device), [5; 4]);
        }
    }

    #[test]
    fn a_private_buffer_has_no_handle() {
        if testing::device().is_none() {
            return;
        }
        let asked = request(Memory::Device, 5000, LAVA_BUFFER_REQUIRE);
        let private = Buffer::allocate(&asked, &context(Allowed::All)).unwrap();
        assert_eq!(private.export().unwrap_err().status, LAVA_ERROR_UNSUPPORTED);
        assert_eq!(private.export_fd().unwrap_err().status, LAVA_ERROR_UNSUPPORTED);
    }
}
