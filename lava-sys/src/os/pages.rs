//! What the kernel does with the pages of a mapping.

use rustix::mm::Advice;

use super::mapping::Mapping;
use crate::error::{Error, Result};

/// Asks for transparent huge pages.
pub fn advise_huge(mapping: &Mapping) -> Result<()> {
    advise(mapping, Advice::LinuxHugepage, "madvise(MADV_HUGEPAGE)")
}

/// Makes every page present and writable now; a lack of memory is an error here. Kernels before 5.14 answer
/// `LAVA_ERROR_OS` with EINVAL.
pub fn populate(mapping: &Mapping) -> Result<()> {
    advise(mapping, Advice::LinuxPopulateWrite, "madvise(MADV_POPULATE_WRITE)")
}

fn advise(mapping: &Mapping, advice: Advice, what: &str) -> Result<()> {
    // SAFETY: the range is exactly the mapping; neither advice changes or removes what is in it.
    rustix::io::retry_on_intr(|| unsafe {
        rustix::mm::madvise(mapping.start().as_ptr().cast(), mapping.size(), advice)
    })
    .map_err(|errno| {
        Error::os(errno.raw_os_error(), format!("{what} of {} bytes", mapping.size()))
            .with_value(mapping.size() as u64)
    })
}

/// Locks every page in memory, present from now on until the mapping ends.
pub fn lock(mapping: &Mapping) -> Result<()> {
    // SAFETY: the range is exactly the mapping; locking changes nothing in it.
    unsafe { rustix::mm::mlock(mapping.start().as_ptr().cast(), mapping.size()) }.map_err(|errno| {
        Error::os(errno.raw_os_error(), format!("mlock of {} bytes", mapping.size()))
            .with_value(mapping.size() as u64)
    })
}
