//! A GPU as CUDA knows it: found by UUID, used through its primary context.

use std::ffi::c_int;
use std::marker::PhantomData;
use std::ptr;

use super::library::Library;
use super::raw::{Context, DeviceNumber};
use crate::error::{Error, Result};
use crate::memory::vulkan;
use crate::os::fork::ForkGuard;
use crate::types::*;

/// A UUID as nvidia-smi and CUDA_VISIBLE_DEVICES write it.
pub(super) fn uuid_text(uuid: &[u8; 16]) -> String {
    format!("GPU-{}", vulkan::uuid_text(uuid))
}

/// One GPU. Keeps its primary context, which is the one that CUDA's runtime, PyTorch and CuPy use as well; made if
/// nobody has, and ended with the last of its users.
#[derive(Debug)]
pub struct Device {
    library: Library,
    number: DeviceNumber,
    ordinal: c_int,
    context: Context,
    /// Nothing of CUDA may be called in a forked child.
    fork: ForkGuard,
}

// SAFETY: the driver's functions may be called by any thread; a context may be current in several at once.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

impl Device {
    /// The GPU with this UUID. No other GPU gets a context by this call. `name` is for messages.
    pub fn open(library: Library, uuid: [u8; 16], name: &str) -> Result<Self> {
        let fork = ForkGuard::new()?;
        let (ordinal, number) = find(&library, uuid, name)?;
        let mut context = ptr::null_mut();
        // SAFETY: the argument is valid for writing.
        let code = unsafe { (library.functions.primary_retain)(&raw mut context, number) };
        library.check(code, || format!("taking the primary CUDA context of {name}"))?;
        Ok(Self { library, number, ordinal, context, fork })
    }

    /// Its place in this process's numbering, which CUDA_VISIBLE_DEVICES may change.
    pub fn ordinal(&self) -> i32 {
        self.ordinal
    }

    pub fn context(&self) -> Context {
        self.context
    }

    /// Makes the primary context the current one of this thread, until the value is dropped. Every call but those of
    /// this file is made inside.
    pub fn enter(&self) -> Result<Entered<'_>> {
        if self.fork.is_child() {
            return Err(Error::new(
                LAVA_ERROR_FORKED,
                "CUDA does not survive a fork: use it in the parent, or start the child by exec",
            ));
        }
        // SAFETY: the context is retained as long as `self` lives.
        let code = unsafe { (self.library.functions.push)(self.context) };
        self.library.check(code, || "entering the primary CUDA context")?;
        Ok(Entered { library: &self.library, of_this_thread: PhantomData })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if !self.fork.is_child() {
            // SAFETY: retained once, by `open`. A failure (the driver has ended with the process) leaves nothing to do.
            unsafe { (self.library.functions.primary_release)(self.number) };
        }
    }
}

/// The time in which a device's context is the current one.
#[derive(Debug)]
pub struct Entered<'a> {
    pub library: &'a Library,
    /// What is current is the thread's: the value must not leave it.
    of_this_thread: PhantomData<*const ()>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut left = ptr::null_mut();
        // SAFETY: pushed by `enter`, in this thread.
        unsafe { (self.library.functions.pop)(&raw mut left) };
    }
}

/// Ordinal and number of the GPU with this UUID.
fn find(library: &Library, uuid: [u8; 16], name: &str) -> Result<(c_int, DeviceNumber)> {
    let functions = &library.functions;
    let mut count = 0;
    // SAFETY: the argument is valid for writing.
    let code = unsafe { (functions.device_count)(&raw mut count) };
    library.check(code, || "counting CUDA's devices")?;
    let mut seen = Vec::new();
    for ordinal in 0..count {
        let (mut number, mut found) = (0, [0; 16]);
        // SAFETY: the argument is valid for writing.
        let code = unsafe { (functions.device)(&raw mut number, ordinal) };
        library.check(code, || format!("asking for CUDA device {ordinal}"))?;
        // SAFETY: as above.
        let code = unsafe { (functions.device_uuid)(&raw mut found, number) };
        library.check(code, || format!("asking for the UUID of CUDA device {ordinal}"))?;
        if found == uuid {
            return Ok((ordinal, number));
        }
        seen.push(uuid_text(&found));
    }
    Err(not_found(uuid, name, &seen))
}

fn not_found(uuid: [u8; 16], name: &str, seen: &[String]) -> Error {
    let uuid = uuid_text(&uuid);
    let list = seen.join(", ");
    let sees = if seen.is_empty() { "no device at all".into() } else { format!("only {list}") };
    let why = match std::env::var("CUDA_VISIBLE_DEVICES") {
        Ok(list) => format!("CUDA_VISIBLE_DEVICES is \"{list}\": add {uuid} to it, or unset it"),
        Err(_) => {
            "give the container this GPU for CUDA as well as for Vulkan; MIG must be off".into()
        }
    };
    let message =
        format!("CUDA does not see {name} ({uuid}), where this memory lies; it sees {sees}; {why}");
    Error::new(LAVA_ERROR_DEVICE, message).with_value(seen.len() as u64)
}
