//! Memory in CUDA's address space: an allocation of Vulkan's, or registered host memory.

use std::ffi::c_void;
use std::os::fd::OwnedFd;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::descriptor::hand_over;
use super::device::Device;
use super::raw;
use crate::error::{Error, Result};
use crate::types::*;

/// An allocation that CUDA can reach, until this value is dropped.
#[derive(Debug)]
pub struct Memory {
    device: Arc<Device>,
    pointer: raw::Pointer,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Imported(raw::ExternalMemory),
    Registered(NonNull<u8>),
}

// SAFETY: the driver's functions may be called by any thread.
unsafe impl Send for Memory {}
// SAFETY: the value is not changed after it was made.
unsafe impl Sync for Memory {}

impl Memory {
    /// Imports an allocation of Vulkan's, all `size` bytes of it. CUDA must be told whether it is dedicated; the driver
    /// does not find a wrong size or flag.
    pub fn import(device: &Arc<Device>, fd: OwnedFd, size: u64, dedicated: bool) -> Result<Self> {
        let entered = device.enter()?;
        let (library, functions) = (entered.library, &entered.library.functions);
        let handle = hand_over(fd, |number| {
            let description = raw::MemoryHandle {
                kind: raw::MEMORY_OPAQUE_FD,
                handle: raw::Handle { fd: number, unused: [0; 3] },
                size,
                flags: if dedicated { raw::MEMORY_DEDICATED } else { 0 },
                reserved: [0; 16],
            };
            let mut handle = ptr::null_mut();
            // SAFETY: both arguments are valid; the descriptor is open.
            let code =
                unsafe { (functions.import_memory)(&raw mut handle, &raw const description) };
            library
                .check(code, || format!("importing {size} bytes of Vulkan's memory into CUDA"))?;
            Ok(handle)
        })?;
        let range = raw::MappedRange { offset: 0, size, flags: 0, reserved: [0; 16] };
        let mut pointer = 0;
        // SAFETY: the handle was just made, and the range is the whole of it.
        let code = unsafe { (functions.map_buffer)(&raw mut pointer, handle, &raw const range) };
        let mapped =
            library.check(code, || format!("mapping {size} bytes of Vulkan's memory in CUDA"));
        if let Err(error) = mapped {
            // SAFETY: nothing was mapped of it.
            unsafe { (functions.destroy_memory)(handle) };
            return Err(error);
        }
        drop(entered);
        Ok(Self { device: Arc::clone(device), pointer, kind: Kind::Imported(handle) })
    }

    /// Pins host memory and gives it an address on the GPU.
    ///
    /// # Safety
    /// The bytes stay mapped, and writable by this process, as long as the value lives.
    pub unsafe fn register(device: &Arc<Device>, start: NonNull<u8>, size: u64) -> Result<Self> {
        let length = usize::try_from(size).map_err(|_| {
            Error::new(LAVA_ERROR_TOO_LARGE, format!("{size} bytes overflow the address space"))
        })?;
        let host = start.as_ptr().cast::<c_void>();
        let entered = device.enter()?;
        let (library, functions) = (entered.library, &entered.library.functions);
        // SAFETY: the caller's promise.
        let code =
            unsafe { (functions.register_host)(host, length, raw::HOST_PORTABLE_AND_MAPPED) };
        library.check(code, || format!("registering {size} bytes of host memory with CUDA"))?;
        let mut pointer = 0;
        // SAFETY: registered just now; flags must be 0.
        let code = unsafe { (functions.host_pointer)(&raw mut pointer, host, 0) };
        if let Err(error) =
            library.check(code, || "asking for the GPU's address of registered host memory")
        {
            // SAFETY: registered above.
            unsafe { (functions.unregister_host)(host) };
            return Err(error);
        }
        drop(entered);
        Ok(Self { device: Arc::clone(device), pointer, kind: Kind::Registered(start) })
    }

    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// The first byte of the allocation, in the address space of CUDA.
    pub fn pointer(&self) -> raw::Pointer {
        self.pointer
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // In a forked child, and after the driver's end, there is nothing left to give back.
        let Ok(entered) = self.device.enter() else { return };
        let functions = &entered.library.functions;
        match self.kind {
            // SAFETY: made by `import`; the mapping ends before the memory, as CUDA demands.
            Kind::Imported(handle) => unsafe {
                (functions.free)(self.pointer);
                (functions.destroy_memory)(handle);
            },
            // SAFETY: registered by `register`, with this address.
            Kind::Registered(start) => unsafe {
                (functions.unregister_host)(start.as_ptr().cast());
            },
        }
    }
}
