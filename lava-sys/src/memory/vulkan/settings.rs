//! What a context allows and brings.

use std::ffi::{c_char, c_void};
use std::fmt;

use crate::error::{Error, Result};
use crate::types::LAVA_ERROR_INVALID_POINTER;

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

/// `vkGetInstanceProcAddr`, as the application has it.
pub type GetInstanceProcAddr =
    unsafe extern "C" fn(instance: *mut c_void, name: *const c_char) -> *const c_void;

/// The application's own device, on which the context is to work. lava destroys nothing of it.
#[derive(Clone, Copy)]
pub struct ApplicationDevice {
    instance: usize,
    physical_device: usize,
    device: usize,
    queue: usize,
    queue_family: u32,
    get_instance_proc_addr: GetInstanceProcAddr,
}

impl ApplicationDevice {
    /// Refuses NULL; what else is wrong shows when the device is opened.
    ///
    /// # Safety
    /// The handles are alive, belong together, and outlive everything that is made with them; nobody else uses the queue
    /// meanwhile; the device was made with what [`super::REQUIRED`] lists.
    pub unsafe fn new(
        instance: *mut c_void,
        physical_device: *mut c_void,
        device: *mut c_void,
        queue: *mut c_void,
        queue_family: u32,
        get_instance_proc_addr: Option<GetInstanceProcAddr>,
    ) -> Result<Self> {
        let missing = |what: &str| {
            Error::new(
                LAVA_ERROR_INVALID_POINTER,
                format!("the application's Vulkan device: {what} is NULL"),
            )
        };
        let given = |handle: *mut c_void, what: &str| {
            if handle.is_null() { Err(missing(what)) } else { Ok(handle as usize) }
        };
        Ok(Self {
            instance: given(instance, "instance")?,
            physical_device: given(physical_device, "physical_device")?,
            device: given(device, "device")?,
            queue: given(queue, "queue")?,
            queue_family,
            get_instance_proc_addr: get_instance_proc_addr
                .ok_or_else(|| missing("get_instance_proc_addr"))?,
        })
    }

    pub(super) fn instance(&self) -> u64 {
        self.instance as u64
    }

    pub(super) fn physical_device(&self) -> u64 {
        self.physical_device as u64
    }

    pub(super) fn device(&self) -> u64 {
        self.device as u64
    }

    pub(super) fn queue(&self) -> u64 {
        self.queue as u64
    }

    pub(super) fn queue_family(&self) -> u32 {
        self.queue_family
    }

    pub(super) fn get_instance_proc_addr(&self) -> GetInstanceProcAddr {
        self.get_instance_proc_addr
    }
}

impl fmt::Debug for ApplicationDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApplicationDevice({:#x}, family {})", self.device, self.queue_family)
    }
}

/// What a context says about GPUs.
#[derive(Debug, Clone, Copy, Default)]
pub struct GpuSettings {
    pub allowed: Allowed,
    /// The application's device instead of lava's own.
    pub application: Option<ApplicationDevice>,
}
