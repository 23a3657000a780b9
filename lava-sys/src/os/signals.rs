//! Keeping the application's signals away from the library's thread.

use std::mem::MaybeUninit;

/// Runs `start` with every signal blocked in this thread, so that a thread which it starts has them blocked for ever and
/// the application's handlers never run there; then restores this thread's mask.
pub fn with_all_blocked<T>(start: impl FnOnce() -> T) -> T {
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are valid for writing; sigfillset initialises the first one before it is used, pthread_sigmask the
    // second one. Neither call can fail with these arguments.
    unsafe {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    let result = start();
    // SAFETY: `before` was filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    result
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The blocked signals of a thread as the kernel tells them.
    fn blocked() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("SigBlk:")).unwrap();
        u64::from_str_radix(line.trim_start_matches("SigBlk:").trim(), 16).unwrap()
    }

    #[test]
    fn a_thread_that_is_started_takes_no_signal_and_the_starter_does() {
        let before = blocked();
        let inside = with_all_blocked(|| std::thread::spawn(blocked)).join().unwrap();
        // SIGTERM is 15, SIGINT 2, SIGUSR1 10: bits from 1.
        for signal in [2, 10, 15] {
            assert_ne!(inside & 1 << (signal - 1), 0, "signal {signal}");
        }
        assert_eq!(blocked(), before);
    }
}
