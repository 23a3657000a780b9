//! Random bytes of the kernel.

use rustix::rand::{GetRandomFlags, getrandom};

use crate::error::{Error, Result};

pub fn fill(bytes: &mut [u8]) -> Result<()> {
    rustix::io::retry_on_intr(|| getrandom(&mut *bytes, GetRandomFlags::empty()))
        .map(|_| ())
        .map_err(|errno| Error::os(errno.raw_os_error(), "getrandom"))
}
