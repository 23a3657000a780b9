//! Finding out that this is a forked child, without a system call: a page that the kernel empties on fork.

use rustix::mm::Advice;

use super::mapping::Mapping;
use crate::error::{Error, Result};
use std::sync::atomic::{AtomicU32, Ordering};

/// Tells a process from its forked children.
#[derive(Debug)]
pub struct ForkGuard {
    page: Mapping,
}

impl ForkGuard {
    pub fn new() -> Result<Self> {
        let page = Mapping::private(4096)?;
        // SAFETY: our own fresh page.
        unsafe {
            rustix::mm::madvise(page.start().as_ptr().cast(), page.size(), Advice::LinuxWipeOnFork)
        }
        .map_err(|errno| Error::os(errno.raw_os_error(), "madvise(MADV_WIPEONFORK)"))?;
        let guard = Self { page };
        guard.word().store(1, Ordering::Relaxed);
        Ok(guard)
    }

    fn word(&self) -> &AtomicU32 {
        // SAFETY: the page is mapped while `self` lives, and aligned.
        unsafe { self.page.start().cast().as_ref() }
    }

    /// True in a child that was forked after this value was made.
    #[inline(always)]
    pub fn is_child(&self) -> bool {
        self.word().load(Ordering::Relaxed) == 0
    }
}

/// What `ask` answers in a forked child, which ends with it.
#[cfg(test)]
pub fn answer_of_child(ask: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child asks and ends; it has no other threads, and runs no exit handler.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask));
        // SAFETY: ends the child.
        unsafe { libc::_exit(i32::from(!answer.unwrap_or(false))) };
    }
    let mut status = -1;
    // SAFETY: our own child.
    child > 0 && unsafe { libc::waitpid(child, &raw mut status, 0) } == child && status == 0
}
