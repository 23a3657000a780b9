//! Descriptors from elsewhere: checked before the driver sees them, and closed exactly once.

use std::os::fd::{AsFd as _, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::sync::OnceLock;

use ash::vk;

use super::failure::failed;
use crate::error::{Error, Result};
use crate::os::{descriptor, memfd};
use crate::types::*;

/// Refuses a descriptor of another kind than those that the driver itself gives out, of which `known` is one: drivers
/// hang on sockets, and take some things for others. `least` is what the file must hold, where files have a size.
pub(super) fn check_kind(
    fd: BorrowedFd<'_>,
    known: &OnceLock<descriptor::Kind>,
    own: impl FnOnce() -> Result<OwnedFd>,
    least: u64,
) -> Result<()> {
    let expected = match known.get() {
        Some(expected) => *expected,
        None => {
            let (kind, _) = descriptor::kind(own()?.as_fd())?;
            *known.get_or_init(|| kind)
        }
    };
    let refuse = |message: String| Err(Error::new(LAVA_ERROR_PROTOCOL, message));
    let (found, size) = descriptor::kind(fd)?;
    if found != expected {
        let (found, expected) = (found.name(), expected.name());
        return refuse(format!("the descriptor is {found}, the driver's are {expected}"));
    }
    if found.is_memory_file() && size < least {
        return refuse(format!(
            "the descriptor's file has {size} bytes, at least {least} were announced"
        ));
    }
    Ok(())
}

/// Hands a descriptor to the driver by `import`, which takes it if it succeeds. Gives its result and a second descriptor
/// of the same file.
///
/// When an import fails, some drivers have closed the descriptor and some have not. So what the number stands for is
/// compared with the second one: it is closed only if it is still the same open file, and left alone where the kernel
/// cannot tell: a descriptor too many is better than somebody else's closed.
pub(super) fn hand_over<T>(
    fd: OwnedFd,
    what: &str,
    import: impl FnOnce(RawFd) -> ash::prelude::VkResult<T>,
) -> Result<(T, OwnedFd)> {
    let witness = memfd::duplicate(fd.as_fd())?;
    let number = fd.into_raw_fd();
    match import(number) {
        Ok(made) => Ok((made, witness)),
        Err(result) => {
            if descriptor::still_refers_to(number, &witness) == Some(true) {
                // SAFETY: still ours: the number stands for the file that was handed over.
                drop(unsafe { OwnedFd::from_raw_fd(number) });
            }
            Err(failed(result, format!("importing {what}")))
        }
    }
}

/// A descriptor that the driver made for us.
pub(super) fn exported(made: ash::prelude::VkResult<RawFd>, what: &str) -> Result<OwnedFd> {
    let number = made.map_err(|result| failed(result, format!("exporting {what}")))?;
    if number < 0 {
        let result = vk::Result::ERROR_INVALID_EXTERNAL_HANDLE;
        return Err(failed(
            result,
            format!("exporting {what}: the driver gave descriptor {number}"),
        ));
    }
    // SAFETY: the driver made it, and gave it to us alone.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    descriptor::close_on_exec(&fd)?;
    Ok(fd)
}
