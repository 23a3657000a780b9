//! Sleeping on words of memory, private and shared between processes.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::thread::futex::{self, Wait, WaitFlags, WaitPtr, WaitvFlags};
use rustix::time::ClockId;

use super::clock::Deadline;

/// A word to sleep on: the sleep ends when it no longer has `expected`, or somebody wakes it.
#[derive(Clone, Copy)]
pub struct Word<'a> {
    pub word: &'a AtomicU32,
    pub expected: u32,
}

/// Most words of one sleep (the kernel's FUTEX_WAITV_MAX).
pub const WORDS_MAX: usize = 128;

/// Kernels before 5.16, and some sandboxes, have no futex_waitv. A fact of the machine, found once.
static HAS_WAITV: AtomicBool = AtomicBool::new(true);

/// Longest sleep on one word when several should be waited for and the kernel can wait for one only.
const SLICE_NS: u64 = 1_000_000;

/// Sleeps until one of the words changes or is woken, or the deadline passes. May return for no reason. All words are
/// taken as shared between processes.
pub fn wait_any(words: &[Word<'_>], deadline: Deadline) {
    match words {
        [] => {}
        [only] => wait(*only, deadline),
        words => {
            if HAS_WAITV.load(Ordering::Relaxed)
                && wait_vector(&words[..words.len().min(WORDS_MAX)], deadline)
            {
                return;
            }
            HAS_WAITV.store(false, Ordering::Relaxed);
            wait(words[0], deadline.min(Deadline::after(SLICE_NS)));
        }
    }
}

fn wait(word: Word<'_>, deadline: Deadline) {
    // Ends by a wake, a changed word (EAGAIN), a signal (EINTR) or the deadline: the caller looks in every case.
    let _ = futex::wait_bitset(
        word.word,
        futex::Flags::empty(),
        word.expected,
        deadline.timespec().as_ref(),
        std::num::NonZeroU32::MAX,
    );
}

/// False if the kernel cannot do it.
fn wait_vector(words: &[Word<'_>], deadline: Deadline) -> bool {
    let mut waiters = [Wait::new(); WORDS_MAX];
    for (waiter, word) in waiters.iter_mut().zip(words) {
        waiter.val = word.expected.into();
        waiter.uaddr = WaitPtr::new(word.word.as_ptr().cast());
        waiter.flags = WaitFlags::SIZE_U32;
    }
    let result = futex::waitv(
        &waiters[..words.len()],
        WaitvFlags::empty(),
        deadline.timespec().as_ref(),
        ClockId::Monotonic,
    );
    !matches!(result, Err(Errno::NOSYS | Errno::PERM))
}

/// Wakes everybody who sleeps on the word.
pub fn wake(word: &AtomicU32) {
    // Fails only for an address that is not mapped, which a reference excludes.
    let _ = futex::wake(word, futex::Flags::empty(), i32::MAX as u32);
}
