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

/// Whether writing to a pipe or socket that the other end has closed would kill this process.
pub fn pipe_kills() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: NULL changes nothing; the result is valid for writing.
    let failed = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeroed, or filled by the kernel.
    failed != 0 || unsafe { action.assume_init() }.sa_sigaction == libc::SIG_DFL
}

/// Whether this thread has SIGPIPE blocked.
pub fn blocks_pipe() -> bool {
    let mut mask = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: NULL changes nothing; the result is valid for writing, and then for reading.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), mask.as_mut_ptr());
        libc::sigismember(mask.as_ptr(), libc::SIGPIPE) == 1
    }
}

/// Runs `act` with SIGPIPE blocked in this thread, and takes the one that `act` caused. The thread must not have it
/// blocked already.
pub fn without_pipe<T>(act: impl FnOnce() -> T) -> T {
    let mut pipe = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is initialised by sigemptyset before it is used; no call can fail with these arguments.
    unsafe {
        libc::sigemptyset(pipe.as_mut_ptr());
        libc::sigaddset(pipe.as_mut_ptr(), libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, pipe.as_ptr(), std::ptr::null_mut());
    }
    let result = act();
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: initialised above. A signal of this kind goes to the thread that wrote, and waits for it here if it came.
    unsafe {
        libc::sigtimedwait(pipe.as_ptr(), std::ptr::null_mut(), &raw const at_once);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, pipe.as_ptr(), std::ptr::null_mut());
    }
    result
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_kills_nobody_while_it_is_guarded() {
        // Rust's runtime ignores it, so this shows that the signal is taken rather than left waiting.
        assert!(!pipe_kills() && !blocks_pipe());
        let raised = without_pipe(|| {
            assert!(blocks_pipe());
            // SAFETY: a signal to this thread, which has it blocked.
            unsafe { libc::raise(libc::SIGPIPE) }
        });
        assert_eq!((raised, blocks_pipe()), (0, false));
    }

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
