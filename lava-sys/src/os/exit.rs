//! Noticing that the process has begun to end, while its threads still run.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

static BEGUN: AtomicBool = AtomicBool::new(false);

extern "C" fn begin() {
    BEGUN.store(true, Ordering::Release);
}

/// From now on the end is noticed, before the exit handlers that were set until now run.
pub fn expect() {
    static EXPECTED: Once = Once::new();
    EXPECTED.call_once(|| {
        // SAFETY: the function only sets a flag. It stays loaded, or is taken off the list when its library is unloaded.
        unsafe { libc::atexit(begin) };
    });
}

/// True once the process has begun to end.
pub fn has_begun() -> bool {
    BEGUN.load(Ordering::Acquire)
}
