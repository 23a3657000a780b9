//! A full barrier on every processor that runs a process which registered for it: the heavy side of an asymmetric
//! fence, so that the light side needs none.

use std::sync::OnceLock;

/// membarrier(2) commands of linux/membarrier.h.
const CMD_QUERY: libc::c_long = 0;
const CMD_GLOBAL_EXPEDITED: libc::c_long = 1 << 1;
const CMD_REGISTER_GLOBAL_EXPEDITED: libc::c_long = 1 << 2;

fn membarrier(command: libc::c_long) -> libc::c_long {
    // SAFETY: takes numbers only.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) }
}

/// Registers this process. True if barriers of other registered processes reach it, and its own reach them. A fact of
/// the process, found once; a forked child inherits it.
pub fn register() -> bool {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    *REGISTERED.get_or_init(|| {
        let wanted = CMD_GLOBAL_EXPEDITED | CMD_REGISTER_GLOBAL_EXPEDITED;
        // The thread sanitizer cannot see this barrier.
        !cfg!(lava_tsan)
            && membarrier(CMD_QUERY) & wanted == wanted
            && membarrier(CMD_REGISTER_GLOBAL_EXPEDITED) == 0
    })
}

/// Orders what this thread did before against what it does after, as seen from every thread of every registered
/// process: each of them passes a full barrier meanwhile.
pub fn barrier() {
    if membarrier(CMD_GLOBAL_EXPEDITED) != 0 {
        // A sandbox that was entered after `register` may forbid the call. Every processor's stores have reached the
        // caches long before this is over; the caller is about to sleep in any case.
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
