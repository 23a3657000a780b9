//! What a context allows and brings.

use std::ffi::c_void;

use crate::error::{Error, Result};

/// Which devices a context may use: `LAVA_VULKAN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Allowed {
    /// Vulkan is never loaded.
    Off,
    /// GPUs; a CPU device only when it is named by its UUID.
    #[default]
    Gpus,
    /// CPU devices too.
    All,
}

impl Allowed {
    /// A word of `LAVA_VULKAN`.
    pub fn parse(word: &str) -> Result<Self> {
        match word {
            "auto" => Ok(Self::Gpus),
            "off" => Ok(Self::Off),
            "cpu" => Ok(Self::All),
            _ => Err(Error::argument(format!("{word:?} is not one of auto, off, cpu"))),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Gpus => "auto",
            Self::All => "cpu",
        }
    }
}

/// The application's own device, on which the context is to work, as the numbers of its handles. lava destroys nothing
/// of it.
///
/// Whoever makes one promises: the handles are alive, belong together, and outlive everything that is made with them;
/// the device was made with what [`super::device::REQUIRED`] lists; nobody else submits to the queue without the lock.
#[derive(Debug, Clone, Copy)]
pub struct ApplicationDevice {
    pub instance: usize,
    pub physical_device: usize,
    pub device: usize,
    pub queue: usize,
    pub queue_family: u32,
    /// `vkGetInstanceProcAddr`.
    pub get_instance_proc_addr: unsafe extern "C" fn(),
    /// None: nobody but lava uses the queue.
    pub lock: Option<QueueLock>,
}

/// The application's lock of its queue.
#[derive(Debug, Clone, Copy)]
pub struct QueueLock {
    pub user: *mut c_void,
    pub lock: unsafe extern "C" fn(*mut c_void),
    pub unlock: unsafe extern "C" fn(*mut c_void),
}

// SAFETY: lava_vulkan_device demands that both functions may be called from any thread; `user` is only handed to them.
unsafe impl Send for QueueLock {}
// SAFETY: as above.
unsafe impl Sync for QueueLock {}

impl QueueLock {
    /// Takes the lock until the value returned is dropped.
    pub(super) fn hold(&self) -> Held<'_> {
        // SAFETY: `user` and `lock` belong together by lava_vulkan_device's contract.
        unsafe { (self.lock)(self.user) };
        Held(self)
    }
}

/// The application's queue is locked.
pub(super) struct Held<'a>(&'a QueueLock);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // SAFETY: as in `hold`, and by the same thread.
        unsafe { (self.0.unlock)(self.0.user) };
    }
}

/// What a context says about GPUs.
#[derive(Debug, Clone, Copy, Default)]
pub struct GpuSettings {
    pub allowed: Allowed,
    /// The application's device instead of lava's own.
    pub application: Option<ApplicationDevice>,
}
