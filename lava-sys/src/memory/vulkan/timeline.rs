//! Timeline semaphores: a number that only grows, which queues and the host signal and wait for.

use std::fmt;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ash::vk::{self, Handle as _};

use super::device::Device;
use super::driver;
use super::failure::failed;
use super::import;
use crate::error::{Error, Result};
use crate::memory::Attached;
use crate::os::memfd;
use crate::types::*;

/// The longest wait inside the driver. A peer's death is no event there, so a wait without end would be one for ever.
const SLICE: Duration = Duration::from_millis(50);

const HANDLE: vk::ExternalSemaphoreHandleTypeFlags =
    vk::ExternalSemaphoreHandleTypeFlags::OPAQUE_FD;

/// See the module. Any thread may use it.
pub struct Timeline {
    attached: Attached,
    raw: vk::Semaphore,
    exportable: bool,
    /// The descriptor that it was imported from: drivers do not export what they imported.
    source: Option<OwnedFd>,
    /// Not ours to destroy.
    borrowed: bool,
    device: Arc<Device>,
}

impl Timeline {
    /// A new one, with value 0.
    pub fn new(device: &Arc<Device>, exportable: bool) -> Result<Self> {
        device.check_fork()?;
        if exportable && device.functions.semaphore_fd.is_none() {
            return Err(not_shared(device));
        }
        let mut kind = vk::SemaphoreTypeCreateInfo::default()
            .semaphore_type(vk::SemaphoreType::TIMELINE)
            .initial_value(0);
        let mut export = vk::ExportSemaphoreCreateInfo::default().handle_types(HANDLE);
        let mut info = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
        if exportable {
            info = info.push_next(&mut export);
        }
        let order = driver::making();
        // SAFETY: the chain lives for the call; the device has the feature.
        let raw = unsafe { device.raw.create_semaphore(&info, None) }
            .map_err(|result| failed(result, "creating a timeline semaphore"))?;
        drop(order);
        Ok(Self {
            attached: Attached::default(),
            raw,
            exportable,
            source: None,
            borrowed: false,
            device: Arc::clone(device),
        })
    }

    /// The timeline behind a descriptor of [`Self::export`], in this process or another.
    pub fn import(device: &Arc<Device>, fd: OwnedFd) -> Result<Self> {
        let functions = device.functions.semaphore_fd.as_ref().ok_or_else(|| not_shared(device))?;
        let own = || Self::new(device, true)?.export();
        import::check_kind(fd.as_fd(), &device.semaphore_descriptor, own, 0)
            .map_err(|error| error.context("importing a timeline semaphore"))?;
        let mut made = Self::new(device, false)?;
        let ((), source) = import::hand_over(fd, "a timeline semaphore", |number| {
            let info = vk::ImportSemaphoreFdInfoKHR::default()
                .semaphore(made.raw)
                .handle_type(HANDLE)
                .fd(number);
            let _order = driver::making();
            // SAFETY: the semaphore is a timeline of this device that nobody else knows; the descriptor was checked.
            unsafe { functions.import_semaphore_fd(&info) }
        })?;
        made.source = Some(source);
        Ok(made)
    }

    /// A VkSemaphore of the application on this device.
    ///
    /// # Safety
    /// It is a timeline semaphore of this device, and lives until after the value is dropped.
    pub unsafe fn borrowed(device: &Arc<Device>, raw: u64) -> Self {
        let raw = vk::Semaphore::from_raw(raw);
        Self {
            attached: Attached::default(),
            raw,
            exportable: false,
            source: None,
            borrowed: true,
            device: Arc::clone(device),
        }
    }

    /// A descriptor for another process; a new one with each call.
    pub fn export(&self) -> Result<OwnedFd> {
        self.device.check_fork()?;
        if let Some(source) = &self.source {
            return memfd::duplicate(source.as_fd());
        }
        let functions = self.device.functions.semaphore_fd.as_ref();
        let functions = functions.filter(|_| self.exportable).ok_or_else(|| {
            Error::new(LAVA_ERROR_UNSUPPORTED, "this timeline semaphore was not made to be shared")
        })?;
        let info = vk::SemaphoreGetFdInfoKHR::default().semaphore(self.raw).handle_type(HANDLE);
        let _order = driver::making();
        // SAFETY: made with this handle type.
        import::exported(unsafe { functions.get_semaphore_fd(&info) }, "a timeline semaphore")
    }

    /// The value reached.
    pub fn value(&self) -> Result<u64> {
        self.device.check_fork()?;
        // SAFETY: a timeline semaphore of this device.
        unsafe { self.device.raw.get_semaphore_counter_value(self.raw) }
            .map_err(|result| failed(result, "reading a timeline semaphore"))
    }

    /// Waits until `value` is reached; false if that took longer than `timeout_ns`. `u64::MAX` waits without end, in
    /// slices: whoever must notice a peer's death meanwhile passes a timeout of its own.
    pub fn wait(&self, value: u64, timeout_ns: u64) -> Result<bool> {
        self.device.check_fork()?;
        let end = Instant::now().checked_add(Duration::from_nanos(timeout_ns));
        let (semaphores, values) = ([self.raw], [value]);
        let info = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
        loop {
            let left = end.map_or(SLICE, |end| end.saturating_duration_since(Instant::now()));
            let slice = left.min(SLICE).as_nanos() as u64;
            // SAFETY: a timeline semaphore of this device.
            match unsafe { self.device.raw.wait_semaphores(&info, slice) } {
                Ok(()) => return Ok(true),
                Err(vk::Result::TIMEOUT) if left.is_zero() => return Ok(false),
                Err(vk::Result::TIMEOUT) => {}
                Err(result) => return Err(failed(result, format!("waiting for value {value}"))),
            }
        }
    }

    /// Sets the value from the host; nothing if it is reached already.
    pub fn signal(&self, value: u64) -> Result<()> {
        // Vulkan forbids a signal that does not raise the value.
        if self.value()? >= value {
            return Ok(());
        }
        let info = vk::SemaphoreSignalInfo::default().semaphore(self.raw).value(value);
        // SAFETY: a timeline semaphore of this device.
        unsafe { self.device.raw.signal_semaphore(&info) }
            .map_err(|result| failed(result, format!("signalling value {value}")))
    }

    /// The VkSemaphore.
    pub fn raw(&self) -> u64 {
        self.raw.as_raw()
    }

    /// Where a layer above keeps what it derived from this timeline.
    pub fn attached(&self) -> &Attached {
        &self.attached
    }

    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timeline({:#x})", self.raw.as_raw())
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        if !self.borrowed && !self.device.is_child() {
            let _order = driver::making();
            // SAFETY: whoever submits work with it waits for the work before dropping it.
            unsafe { self.device.raw.destroy_semaphore(self.raw, None) };
        }
    }
}

fn not_shared(device: &Device) -> Error {
    Error::new(
        LAVA_ERROR_UNSUPPORTED,
        format!("{} cannot share timeline semaphores between processes", device.info().name),
    )
}
