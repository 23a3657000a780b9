//! Buffers between processes: export to a descriptor with a recipe, import with every claim checked.

use std::os::fd::{AsFd as _, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd};

use super::attached::Attached;
use super::buffer::{Buffer, next_id};
use super::device_handle;
use super::kind::Memory;
use super::pinned::show_to_gpu;
use super::request::MemoryContext;
use super::standard::describe;
use super::storage::{Storage, length};
use super::units::Bytes;
use crate::error::{Error, Result};
use crate::os::huge;
use crate::os::mapping::{Access, Mapping};
use crate::os::memfd;
use crate::types::*;

/// The flags that mean something to an importer.
pub(super) const EXPORTED_FLAGS: u32 =
    LAVA_BUFFER_SHAREABLE | LAVA_BUFFER_WRITABLE_BY_IMPORTERS | LAVA_BUFFER_HOST_VISIBLE;

/// What an importer believes of a descriptor until it is checked.
#[derive(Debug, Clone, Copy)]
struct Claim {
    memory: Memory,
    size: u64,
    allocation_size: u64,
    offset: u64,
    pages: u32,
    single_writer: bool,
}

impl Buffer {
    /// A handle for another process. Its descriptor is a new one that the caller owns.
    pub fn export(&self) -> Result<lava_buffer_handle> {
        if let Storage::Device { allocation, .. } = &self.storage {
            return device_handle::export(self, allocation);
        }
        let fd = self.shared_fd().ok_or_else(device_handle::private)?;
        Ok(lava_buffer_handle {
            struct_size: size_of::<lava_buffer_handle>() as u32,
            kind: LAVA_HANDLE_MEMFD,
            fd: memfd::duplicate(fd)?.into_raw_fd(),
            memory: self.memory().number(),
            size: self.size(),
            allocation_size: self.allocated_size(),
            offset: self.offset,
            pages: self.pages(),
            flags: self.flags() & EXPORTED_FLAGS,
            memory_type: 0,
            dedicated: 0,
            device_uuid: [0; 16],
            driver_uuid: [0; 16],
        })
    }

    /// Closes the descriptor of a handle from [`Buffer::export`] that could not be handed to the caller.
    pub fn discard_export(handle: &lava_buffer_handle) {
        if handle.fd >= 0 {
            // SAFETY: `export` made this descriptor for the handle, and nobody else got it.
            drop(unsafe { OwnedFd::from_raw_fd(handle.fd) });
        }
    }

    /// The buffer behind a handle from [`Buffer::export`], in this process or another. Borrows the handle's descriptor.
    pub fn import(handle: &lava_buffer_handle, context: &MemoryContext) -> Result<Self> {
        check_common(handle).map_err(|error| error.context("lava_buffer_handle"))?;
        let buffer = if handle.kind == LAVA_HANDLE_VULKAN_OPAQUE_FD {
            device_handle::import(handle, context)
        } else {
            import_file(handle, context)
        }
        .map_err(|error| not_as_claimed(handle.fd, error))?;
        context.log.info(|| {
            format!(
                "buffer {}: imported, {} of {} memory",
                buffer.id(),
                Bytes(buffer.size()),
                buffer.memory().name()
            )
        });
        Ok(buffer)
    }

    /// The memory file that a peer sent for a pool or a buffer: read-only here, and nobody but the peer can write to it.
    /// `size` is the file's ([`Buffer::allocated_size`] at the peer's end), `pages` is `LAVA_PAGES_*`.
    pub fn from_peer(fd: OwnedFd, size: u64, memory: Memory, pages: u32) -> Result<Self> {
        let claim =
            Claim { memory, size, allocation_size: size, offset: 0, pages, single_writer: true };
        check_claim(&claim)
            .and_then(|()| open(fd, claim))
            .map_err(|error| protocol(error).context("a peer's memory"))
    }
}

/// The buffer behind a memory file.
fn import_file(handle: &lava_buffer_handle, context: &MemoryContext) -> Result<Buffer> {
    let claim = check_handle(handle).map_err(|error| error.context("lava_buffer_handle"))?;
    // SAFETY: not negative, and borrowed for this call by the header's contract; a closed one gives EBADF.
    let borrowed = unsafe { BorrowedFd::borrow_raw(handle.fd) };
    let mut buffer = open(memfd::duplicate(borrowed)?, claim)?;
    if claim.memory == Memory::Pinned && !claim.single_writer {
        let told = show_to_gpu(&mut buffer.storage, [0; 16], context);
        buffer.reason += &told.unwrap_or_default();
    }
    Ok(buffer)
}

/// What can be wrong in a handle of either kind without a look at the descriptor.
fn check_common(handle: &lava_buffer_handle) -> Result<()> {
    let refuse = |what: String, value: u64| Err(Error::argument(what).with_value(value));
    if !matches!(handle.kind, LAVA_HANDLE_MEMFD | LAVA_HANDLE_VULKAN_OPAQUE_FD) {
        let kind = handle.kind;
        let what = format!("kind {kind} is not one of LAVA_HANDLE_* of this version");
        return Err(Error::new(LAVA_ERROR_UNSUPPORTED, what).with_value(kind.into()));
    }
    if handle.fd < 0 {
        return refuse(format!("fd is {}", handle.fd), 0);
    }
    let unknown = handle.flags & !EXPORTED_FLAGS;
    if unknown != 0 || handle.flags & LAVA_BUFFER_SHAREABLE == 0 {
        return refuse(
            format!("flags {:#x} are not those of an export", handle.flags),
            handle.flags.into(),
        );
    }
    Ok(())
}

/// What can be wrong in a handle of host memory without a look at the descriptor.
fn check_handle(handle: &lava_buffer_handle) -> Result<Claim> {
    let refuse = |what: String, value: u64| Err(Error::argument(what).with_value(value));
    let for_device = handle.memory_type != 0
        || handle.dedicated != 0
        || handle.device_uuid != [0; 16]
        || handle.driver_uuid != [0; 16];
    if for_device {
        return refuse(
            "the fields of GPU memory are not zero in a handle of host memory".into(),
            0,
        );
    }
    let claim = Claim {
        memory: Memory::requested(handle.memory)?,
        size: handle.size,
        allocation_size: handle.allocation_size,
        offset: handle.offset,
        pages: handle.pages,
        single_writer: handle.flags & LAVA_BUFFER_WRITABLE_BY_IMPORTERS == 0,
    };
    check_claim(&claim)?;
    Ok(claim)
}

fn check_claim(claim: &Claim) -> Result<()> {
    let refuse = |what: String, value: u64| Err(Error::argument(what).with_value(value));
    let Claim { memory, size, allocation_size, offset, pages, .. } = *claim;
    if matches!(memory, Memory::Auto | Memory::Device) {
        return refuse(
            format!("memory {} is not host memory", memory.name()),
            memory.number().into(),
        );
    }
    if !(LAVA_PAGES_SMALL..=LAVA_PAGES_HUGE_TRANSPARENT).contains(&pages) {
        return refuse(format!("pages {pages} is not one of LAVA_PAGES_*"), pages.into());
    }
    if size == 0 || allocation_size > isize::MAX as u64 {
        return refuse(
            format!("size {size} of {allocation_size} bytes is impossible"),
            allocation_size,
        );
    }
    if offset.checked_add(size).is_none_or(|end| end > allocation_size) {
        return refuse(
            format!("{size} bytes at offset {offset} reach beyond the {allocation_size} allocated"),
            offset,
        );
    }
    Ok(())
}

/// Checks the descriptor against the claim, then maps it.
fn open(fd: OwnedFd, claim: Claim) -> Result<Buffer> {
    let Claim { memory, size, allocation_size, offset, pages, single_writer } = claim;
    memfd::verify(fd.as_fd(), allocation_size, single_writer)?;
    let (page_size, reserved) = huge::pages_of_file(fd.as_fd())?;
    if reserved != (pages == LAVA_PAGES_HUGE_RESERVED) {
        return Err(Error::new(
            LAVA_ERROR_PROTOCOL,
            format!(
                "pages {pages} were announced, the memory file has pages of {}",
                Bytes(page_size)
            ),
        ));
    }
    let access = if single_writer { Access::ReadOnly } else { Access::ReadWrite };
    let mapping = Mapping::shared(fd.as_fd(), length(allocation_size)?, access)?;
    let read_only =
        if single_writer { LAVA_BUFFER_READ_ONLY } else { LAVA_BUFFER_WRITABLE_BY_IMPORTERS };
    let storage = Storage::Shared { gpu: None, mapping, fd, single_writer };
    let reason = format!("imported; {}", describe(&storage));
    let alignment =
        if offset == 0 { page_size } else { page_size.min(1 << offset.trailing_zeros()) };
    Ok(Buffer {
        attached: Attached::default(),
        id: next_id(),
        storage,
        requested: memory,
        memory,
        offset,
        size,
        alignment,
        flags: LAVA_BUFFER_SHAREABLE | LAVA_BUFFER_IMPORTED | read_only,
        pages,
        page_size,
        node: None,
        reason,
    })
}

/// A descriptor that is not what the handle says is the caller's argument at fault, here.
fn not_as_claimed(fd: i32, error: Error) -> Error {
    const EBADF: i32 = 9;
    let error = if error.status == LAVA_ERROR_PROTOCOL || error.os == EBADF {
        Error { status: LAVA_ERROR_INVALID_ARGUMENT, ..error }
    } else {
        error
    };
    error.context(format!("importing descriptor {fd}"))
}

/// A false claim in a message of a peer breaks the protocol; a lack of resources here does not.
fn protocol(error: Error) -> Error {
    if error.status == LAVA_ERROR_INVALID_ARGUMENT {
        Error { status: LAVA_ERROR_PROTOCOL, ..error }
    } else {
        error
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use proptest::prelude::*;

    use super::super::request::tests::{context, request};
    use super::*;

    const WRITABLE: u32 = LAVA_BUFFER_SHAREABLE | LAVA_BUFFER_WRITABLE_BY_IMPORTERS;

    /// An exported buffer and its handle, whose descriptor is closed at the end.
    struct Exported {
        buffer: Buffer,
        handle: lava_buffer_handle,
    }

    impl Exported {
        fn new(size: u64, flags: u32) -> Self {
            let buffer = Buffer::allocate(&request(Memory::Auto, size, flags), &context()).unwrap();
            let handle = buffer.export().unwrap();
            Self { buffer, handle }
        }

        fn import(&self) -> Result<Buffer> {
            Buffer::import(&self.handle, &context())
        }
    }

    impl Drop for Exported {
        fn drop(&mut self) {
            Buffer::discard_export(&self.handle);
        }
    }

    fn first_bytes(buffer: &Buffer) -> [u8; 4] {
        let mut bytes = [0; 4];
        // SAFETY: four bytes.
        unsafe { buffer.read(0, bytes.as_mut_ptr(), 4) }.unwrap();
        bytes
    }

    #[test]
    fn an_importer_sees_the_bytes_and_may_not_write_them() {
        let exported = Exported::new(5000, LAVA_BUFFER_SHAREABLE);
        let imported = exported.import().unwrap();
        exported.buffer.fill(0, 5000, 7).unwrap();
        assert_eq!((first_bytes(&imported), imported.size()), ([7; 4], 5000));
        assert_eq!(
            imported.flags(),
            LAVA_BUFFER_SHAREABLE | LAVA_BUFFER_IMPORTED | LAVA_BUFFER_READ_ONLY
        );
        assert_eq!(imported.fill(0, 1, 0).unwrap_err().status, LAVA_ERROR_PERMISSION);
        assert_eq!(
            Buffer::copy(&imported, 0, &exported.buffer, 0, 1).unwrap_err().status,
            LAVA_ERROR_PERMISSION
        );
        Buffer::copy(&exported.buffer, 0, &imported, 1, 1).unwrap();
        assert_ne!(imported.id(), exported.buffer.id());
    }

    #[test]
    fn every_host_memory_can_be_imported() {
        for memory in [Memory::Standard, Memory::Numa, Memory::Huge, Memory::Pinned] {
            let asked = request(memory, 3 << 20, LAVA_BUFFER_SHAREABLE);
            let buffer = Buffer::allocate(&asked, &context()).unwrap();
            buffer.fill(0, buffer.size(), 5).unwrap();
            let exported = Exported { handle: buffer.export().unwrap(), buffer };
            let imported = exported.import().unwrap();
            assert_eq!(
                (imported.memory(), imported.pages()),
                (exported.buffer.memory(), exported.buffer.pages())
            );
            assert_eq!(first_bytes(&imported), [5; 4], "{}", exported.buffer.reason());
        }
    }

    #[test]
    fn importers_write_where_that_was_allowed() {
        let exported = Exported::new(5000, WRITABLE);
        let imported = exported.import().unwrap();
        imported.fill(0, 5000, 9).unwrap();
        assert_eq!(first_bytes(&exported.buffer), [9; 4]);
        assert!(
            imported.flags() & LAVA_BUFFER_WRITABLE_BY_IMPORTERS != 0
                && !imported.is_single_writer()
        );
    }

    #[test]
    fn memory_outlives_its_exporter_and_can_be_passed_on() {
        let exported = Exported::new(5000, LAVA_BUFFER_SHAREABLE);
        exported.buffer.fill(0, 5000, 3).unwrap();
        let imported = exported.import().unwrap();
        drop(exported);
        let again = Exported { handle: imported.export().unwrap(), buffer: imported };
        assert_eq!(first_bytes(&again.import().unwrap()), [3; 4]);
    }

    #[test]
    fn a_private_buffer_has_no_handle() {
        let private = Buffer::allocate(&request(Memory::Auto, 5000, 0), &context()).unwrap();
        assert_eq!(private.export().unwrap_err().status, LAVA_ERROR_UNSUPPORTED);
    }

    #[test]
    fn false_claims_are_refused() {
        let exported = Exported::new(5000, LAVA_BUFFER_SHAREABLE);
        let refused = |change: fn(&mut lava_buffer_handle), words: &str| {
            let mut handle = exported.handle;
            change(&mut handle);
            let error = Buffer::import(&handle, &context()).unwrap_err();
            assert_eq!(error.status, LAVA_ERROR_INVALID_ARGUMENT, "{error}");
            assert!(error.message.contains(words), "{error}");
        };
        let unknown = lava_buffer_handle { kind: 9, ..exported.handle };
        let error = Buffer::import(&unknown, &context()).unwrap_err();
        assert_eq!((error.status, error.value), (LAVA_ERROR_UNSUPPORTED, 9), "{error}");
        refused(|handle| handle.fd = -1, "fd is -1");
        refused(|handle| handle.fd = 987_654, "descriptor 987654");
        refused(|handle| handle.memory = 77, "memory 77");
        refused(|handle| handle.memory = LAVA_MEMORY_DEVICE, "host memory");
        refused(|handle| handle.size = 0, "size 0");
        refused(|handle| handle.size = 9000, "reach beyond");
        refused(|handle| handle.offset = u64::MAX, "reach beyond");
        refused(|handle| handle.allocation_size += 4096, "announced");
        refused(|handle| handle.allocation_size = u64::MAX, "impossible");
        refused(|handle| handle.pages = 0, "LAVA_PAGES");
        refused(|handle| handle.pages = LAVA_PAGES_HUGE_RESERVED, "pages 2 were announced");
        refused(|handle| handle.flags = 0, "flags 0x0");
        refused(|handle| handle.flags |= LAVA_BUFFER_READ_ONLY, "flags 0x41");
        refused(|handle| handle.device_uuid[3] = 1, "GPU");
        refused(|handle| handle.kind = LAVA_HANDLE_VULKAN_OPAQUE_FD, "is not that of a GPU");
        let writable = lava_buffer_handle { flags: WRITABLE, ..exported.handle };
        assert_eq!(
            Buffer::import(&writable, &context()).unwrap_err().status,
            LAVA_ERROR_PERMISSION
        );
    }

    #[test]
    fn descriptors_of_other_kinds_are_refused() {
        let exported = Exported::new(4096, LAVA_BUFFER_SHAREABLE);
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        let (pipe, _other_end) = std::io::pipe().unwrap();
        let unsealed = memfd::create("unsealed", 4096, memfd::PageKind::Small).unwrap();
        let resizable = Exported::new(4096, WRITABLE);
        for fd in [file.as_raw_fd(), pipe.as_raw_fd(), unsealed.as_raw_fd(), resizable.handle.fd] {
            let handle = lava_buffer_handle { fd, ..exported.handle };
            let error = Buffer::import(&handle, &context()).unwrap_err();
            assert_eq!(error.status, LAVA_ERROR_INVALID_ARGUMENT, "{error}");
        }
    }

    #[test]
    fn a_peers_memory_is_read_only_and_its_false_claims_break_the_protocol() {
        let exported = Exported::new(5000, LAVA_BUFFER_SHAREABLE);
        let fd = || memfd::duplicate(exported.buffer.shared_fd().unwrap()).unwrap();
        let size = exported.buffer.allocated_size();
        let (memory, pages) = (exported.buffer.memory(), exported.buffer.pages());
        let pool = Buffer::from_peer(fd(), size, memory, pages).unwrap();
        assert!(pool.is_read_only() && pool.is_single_writer() && pool.size() == size);
        for (size, pages) in [(size - 1, pages), (0, pages), (u64::MAX, pages), (size, 99)] {
            let error = Buffer::from_peer(fd(), size, memory, pages).unwrap_err();
            assert_eq!(error.status, LAVA_ERROR_PROTOCOL, "{error}");
        }
        let writable = Exported::new(5000, WRITABLE);
        let shared = memfd::duplicate(writable.buffer.shared_fd().unwrap()).unwrap();
        let error = Buffer::from_peer(shared, size, memory, LAVA_PAGES_SMALL).unwrap_err();
        assert_eq!(error.status, LAVA_ERROR_PROTOCOL, "{error}");
    }

    proptest! {
        #[test]
        fn a_handle_with_any_numbers_gives_a_buffer_inside_the_file_or_an_error(
            numbers in prop::array::uniform3(prop_oneof![any::<u64>(), 0..5000_u64, Just(8192)]),
            (memory, pages, kind) in (0..7_u32, 0..5_u32, 1..4_u32),
            flags in prop::sample::select(vec![WRITABLE, WRITABLE, LAVA_BUFFER_SHAREABLE, 0, u32::MAX]),
        ) {
            let exported = Exported::new(8192, WRITABLE);
            let handle = lava_buffer_handle {
                memory, pages, kind, flags,
                size: numbers[0], offset: numbers[1], allocation_size: numbers[2],
                ..exported.handle
            };
            if let Ok(buffer) = Buffer::import(&handle, &context()) {
                prop_assert!(handle.offset + buffer.size() <= 8192);
                buffer.fill(0, buffer.size(), 1).unwrap();
            }
        }
    }
}
