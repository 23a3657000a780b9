//! Buffers between processes: export to a descriptor with a recipe, import with every claim checked.

use std::os::fd::{AsFd as _, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd};

use super::buffer::{Buffer, next_id};
use super::kind::Memory;
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
const EXPORTED_FLAGS: u32 = LAVA_BUFFER_SHAREABLE | LAVA_BUFFER_WRITABLE_BY_IMPORTERS;

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
        let fd = self.shared_fd().ok_or_else(|| {
            Error::new(
                LAVA_ERROR_UNSUPPORTED,
                "this buffer is private to the process; allocate it with LAVA_BUFFER_SHAREABLE",
            )
        })?;
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
        let claim = check_handle(handle).map_err(|error| error.context("lava_buffer_handle"))?;
        // SAFETY: not negative, and borrowed for this call by the header's contract; a closed one gives EBADF.
        let borrowed = unsafe { BorrowedFd::borrow_raw(handle.fd) };
        let fd = memfd::duplicate(borrowed).map_err(|error| not_as_claimed(handle.fd, error))?;
        let buffer = open(fd, claim).map_err(|error| not_as_claimed(handle.fd, error))?;
        context.log.info(|| {
            format!(
                "buffer {}: imported, {} of {} memory",
                buffer.id(),
                Bytes(claim.size),
                claim.memory.name()
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

/// Everything in a handle that can be wrong without a look at the descriptor.
fn check_handle(handle: &lava_buffer_handle) -> Result<Claim> {
    let refuse = |what: String, value: u64| Err(Error::argument(what).with_value(value));
    match handle.kind {
        LAVA_HANDLE_MEMFD => {}
        LAVA_HANDLE_VULKAN_OPAQUE_FD => {
            return Err(Error::new(
                LAVA_ERROR_UNSUPPORTED,
                "a GPU's memory: this build has no GPU support",
            ));
        }
        kind => return refuse(format!("kind {kind} is not one of LAVA_HANDLE_*"), kind.into()),
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
    let storage = Storage::Shared { mapping, fd, single_writer };
    let reason = format!("imported; {}", describe(&storage));
    let alignment =
        if offset == 0 { page_size } else { page_size.min(1 << offset.trailing_zeros()) };
    Ok(Buffer {
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
