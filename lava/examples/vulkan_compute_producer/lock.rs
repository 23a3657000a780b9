//! A lock that two functions take and give back: Vulkan wants one submitter at a time for a queue, and lava is another.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

use lava::QueueLock;

#[derive(Default)]
pub struct Lock(AtomicBool);

impl Lock {
    /// For lava. The lock must outlive the context.
    pub fn for_lava(&self) -> QueueLock {
        QueueLock { user: std::ptr::from_ref(self).cast_mut().cast(), lock, unlock }
    }

    pub fn with<T>(&self, submit: impl FnOnce() -> T) -> T {
        while self.0.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
        let result = submit();
        self.0.store(false, Ordering::Release);
        result
    }
}

unsafe extern "C" fn lock(user: *mut c_void) {
    // SAFETY: what `for_lava` gave.
    let lock = unsafe { &*user.cast::<Lock>() };
    while lock.0.swap(true, Ordering::Acquire) {
        std::thread::yield_now();
    }
}

unsafe extern "C" fn unlock(user: *mut c_void) {
    // SAFETY: as above.
    unsafe { &*user.cast::<Lock>() }.0.store(false, Ordering::Release);
}
