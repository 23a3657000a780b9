//! File descriptors on their way to the driver, which owns them once it has accepted them.

use std::os::fd::{AsRawFd as _, IntoRawFd as _, OwnedFd, RawFd};

use crate::error::{Error, Result};
use crate::os::descriptor::still_refers_to;

/// Hands `fd` to the driver by `import`, which answers whether it was accepted.
pub(super) fn hand_over<T>(fd: OwnedFd, import: impl FnOnce(RawFd) -> Result<T>) -> Result<T> {
    let witness = fd.try_clone().map_err(|error| {
        Error::os(error.raw_os_error().unwrap_or(0), "duplicating a descriptor for CUDA")
    })?;
    let number = fd.as_raw_fd();
    let imported = import(number);
    // Refused: still ours, says CUDA's documentation, but drivers have closed it. Closing it again could close a
    // descriptor that another thread has got meanwhile, so one whose state is unknown is rather lost.
    if imported.is_ok() || still_refers_to(number, &witness) != Some(true) {
        let _ = fd.into_raw_fd();
    }
    imported
}
