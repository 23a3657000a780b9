//! Atomics that the model checker can replace, and the one fence that the wake-up protocol needs.

#[cfg(loom)]
use loom::sync::atomic;
#[cfg(not(loom))]
use std::sync::atomic;

pub use atomic::{AtomicU32, AtomicU64, Ordering};

/// A full barrier: every access before it is ordered against every access after it, stores before loads too.
///
/// On x86-64 a locked read-modify-write of the stack does what `mfence` does in half the time (the kernel's
/// `smp_mb()` uses it for that reason).
#[inline(always)]
pub fn full_fence() {
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri), not(lava_tsan)))]
    // SAFETY: adds 0 to a word of the red zone below the stack pointer: changes nothing but the flags, which an asm
    // block may; without `nomem` the compiler moves no access across it.
    unsafe {
        std::arch::asm!("lock or dword ptr [rsp - 4], 0", options(nostack));
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom), not(miri), not(lava_tsan))))]
    atomic::fence(Ordering::SeqCst);
}
