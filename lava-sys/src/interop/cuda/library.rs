//! The CUDA driver's library: loaded when the first view is made, and what its error numbers mean.

use std::ffi::{CStr, c_char, c_int};
use std::fmt::Display;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::ptr;

use super::raw::{self, Code, Functions};
use crate::error::{Error, Result};
use crate::types::*;

/// What NVIDIA's driver installs. The name has had this number since the first release.
const NAME: &str = "libcuda.so.1";
/// CUDA 11.2: the first that imports timeline semaphores by file descriptor.
const LEAST_VERSION: c_int = 11_020;

/// CUDA's driver, ready for use.
#[derive(Debug)]
pub struct Library {
    pub functions: Functions,
    /// Never unloaded: the driver has threads and exit handlers of its own, and does not survive it.
    _library: ManuallyDrop<libloading::Library>,
}

impl Library {
    /// That of this system.
    pub fn system() -> Result<Self> {
        Self::load(Path::new(NAME))
    }

    pub(super) fn load(path: &Path) -> Result<Self> {
        // SAFETY: what it runs when it is loaded is NVIDIA's; every CUDA program loads it.
        let library = unsafe { libloading::Library::new(path) }.map_err(|error| {
            let what = format!(
                "CUDA's driver cannot be loaded ({error}); install NVIDIA's driver, or start the container with its \
                 GPU (docker run --gpus all, and \"compute\" in NVIDIA_DRIVER_CAPABILITIES)"
            );
            Error::new(LAVA_ERROR_UNSUPPORTED, what)
        })?;
        // SAFETY: this file name is that of CUDA's driver, and it is never unloaded.
        let functions = unsafe { Functions::find(&library) }.map_err(|name| {
            let what = format!(
                "CUDA's driver ({}) has no function {name}: it is too old; {UPDATE}",
                path.display()
            );
            Error::new(LAVA_ERROR_UNSUPPORTED, what)
        })?;
        let library = Self { functions, _library: ManuallyDrop::new(library) };
        library.check_version()?;
        // SAFETY: may be called any number of times; 0 is the only value allowed.
        library.check(unsafe { (library.functions.init)(0) }, || "starting CUDA (cuInit)")?;
        Ok(library)
    }

    fn check_version(&self) -> Result<()> {
        let mut version = 0;
        // SAFETY: the argument is valid for writing.
        let code = unsafe { (self.functions.driver_version)(&raw mut version) };
        self.check(code, || "asking for the version of CUDA's driver")?;
        if version >= LEAST_VERSION {
            return Ok(());
        }
        let (major, minor) = (version / 1000, version % 1000 / 10);
        let what = format!(
            "CUDA's driver is of CUDA {major}.{minor}, which cannot import a timeline semaphore; {UPDATE}"
        );
        Err(Error::new(LAVA_ERROR_UNSUPPORTED, what).with_value(version as u64))
    }

    /// An error with CUDA's own name and text for `code`, unless it is success. `what` was being done.
    pub fn check<D: Display>(&self, code: Code, what: impl FnOnce() -> D) -> Result<()> {
        if code == raw::SUCCESS {
            return Ok(());
        }
        let name = self.text(self.functions.error_name, code);
        let text = self.text(self.functions.error_text, code);
        let message = format!("{}: {name} ({code}): {text}{}", what(), remedy(code));
        Err(Error::new(status(code), message).with_value(code as u64))
    }

    fn text(
        &self,
        function: unsafe extern "C" fn(Code, *mut *const c_char) -> Code,
        code: Code,
    ) -> String {
        let mut text = ptr::null();
        // SAFETY: the argument is valid for writing; allowed before cuInit.
        if unsafe { function(code, &raw mut text) } != raw::SUCCESS || text.is_null() {
            return "a number that this driver does not know".into();
        }
        // SAFETY: the driver's constant text, with its NUL.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }
}

const UPDATE: &str =
    "update NVIDIA's driver to 460 or newer (the host's, if this runs in a container)";

fn status(code: Code) -> lava_status {
    match code {
        raw::OUT_OF_MEMORY => LAVA_ERROR_OUT_OF_MEMORY,
        raw::NOT_PERMITTED => LAVA_ERROR_PERMISSION,
        raw::NOT_SUPPORTED | raw::STUB_LIBRARY => LAVA_ERROR_UNSUPPORTED,
        raw::INVALID_HANDLE | raw::HOST_MEMORY_ALREADY_REGISTERED => LAVA_ERROR_INVALID_ARGUMENT,
        _ => LAVA_ERROR_DEVICE,
    }
}

/// What to do about it, where the number alone tells.
fn remedy(code: Code) -> &'static str {
    match code {
        raw::NOT_INITIALIZED => {
            "; CUDA does not survive a fork: use it in the parent or in the child, or start the child by exec \
             (in Python: multiprocessing's \"spawn\")"
        }
        raw::STUB_LIBRARY => {
            "; the toolkit's stub was loaded in place of the driver: take its directory \"stubs\" out of LD_LIBRARY_PATH"
        }
        raw::NO_DEVICE => {
            "; there is no NVIDIA GPU here, or CUDA_VISIBLE_DEVICES hides it, or the container was not given it"
        }
        raw::SYSTEM_DRIVER_MISMATCH => {
            "; the library and the loaded kernel module differ: restart the machine, or update the container"
        }
        raw::INVALID_HANDLE => "; is the stream of this GPU's primary context?",
        raw::HOST_MEMORY_ALREADY_REGISTERED => {
            "; end the application's own registration (cuMemHostUnregister, cudaHostUnregister) first"
        }
        _ => "",
    }
}
