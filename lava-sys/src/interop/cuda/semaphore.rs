//! A timeline semaphore of Vulkan's, in the order of CUDA's streams.

use std::os::fd::OwnedFd;
use std::ptr;
use std::sync::Arc;

use super::descriptor::hand_over;
use super::device::Device;
use super::raw;
use crate::error::Result;

/// An imported timeline semaphore.
#[derive(Debug)]
pub struct Semaphore {
    device: Arc<Device>,
    handle: raw::ExternalSemaphore,
}

// SAFETY: the driver's functions may be called by any thread.
unsafe impl Send for Semaphore {}
// SAFETY: the value is not changed after it was made.
unsafe impl Sync for Semaphore {}

impl Semaphore {
    pub fn import(device: &Arc<Device>, fd: OwnedFd) -> Result<Self> {
        let entered = device.enter()?;
        let handle = hand_over(fd, |number| {
            let description = raw::SemaphoreHandle {
                kind: raw::SEMAPHORE_TIMELINE_FD,
                handle: raw::Handle { fd: number, unused: [0; 3] },
                flags: 0,
                reserved: [0; 16],
            };
            let mut handle = ptr::null_mut();
            let import = entered.library.functions.import_semaphore;
            // SAFETY: both arguments are valid; the descriptor is open.
            let code = unsafe { import(&raw mut handle, &raw const description) };
            entered.library.check(code, || "importing a timeline semaphore into CUDA")?;
            Ok(handle)
        })?;
        drop(entered);
        Ok(Self { device: Arc::clone(device), handle })
    }

    /// What is put into `stream` from now on begins when the semaphore has reached `value`. Returns at once.
    ///
    /// # Safety
    /// `stream` is a stream of the device's primary context, or one of CUDA's constants.
    pub unsafe fn wait(&self, value: u64, stream: raw::Stream) -> Result<()> {
        let entered = self.device.enter()?;
        let parameters = at(value);
        // SAFETY: one semaphore and one value; the caller's promise for the stream.
        let code = unsafe {
            (entered.library.functions.wait)(
                &raw const self.handle,
                &raw const parameters,
                1,
                stream,
            )
        };
        entered.library.check(code, || format!("letting a CUDA stream wait for value {value}"))
    }

    /// The semaphore gets `value` when all that is in `stream` now has been done. Returns at once.
    ///
    /// # Safety
    /// As [`Semaphore::wait`].
    pub unsafe fn signal(&self, value: u64, stream: raw::Stream) -> Result<()> {
        let entered = self.device.enter()?;
        let parameters = at(value);
        // SAFETY: one semaphore and one value; the caller's promise for the stream.
        let code = unsafe {
            (entered.library.functions.signal)(
                &raw const self.handle,
                &raw const parameters,
                1,
                stream,
            )
        };
        entered.library.check(code, || format!("letting a CUDA stream signal value {value}"))
    }
}

impl Drop for Semaphore {
    fn drop(&mut self) {
        let Ok(entered) = self.device.enter() else { return };
        // SAFETY: made by `import`.
        unsafe { (entered.library.functions.destroy_semaphore)(self.handle) };
    }
}

fn at(value: u64) -> raw::TimelineValue {
    raw::TimelineValue { value, other_kinds: [0; 8], flags: 0, reserved: [0; 16] }
}
