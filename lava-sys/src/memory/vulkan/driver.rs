//! One order for the calls that take a driver's own locks, for all contexts of the process.
//!
//! NVIDIA's driver (580.159) can stop for ever when one thread destroys a device while another frees memory of another
//! device of the same GPU: each waits for a lock that the other has. So whatever makes or destroys an object of the driver
//! does so alone, and beside no submission. Work that is under way, and waiting for it, is not concerned. An application
//! that makes devices of its own in other threads is outside of this order.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Guards nothing but the order: no state is behind it, so a panic of its holder leaves nothing half done.
///
/// The innermost lock: its holder takes no other and calls nothing but the driver.
static ORDER: RwLock<()> = RwLock::new(());

/// Held while an object is made, imported, exported or destroyed.
pub(super) fn making() -> RwLockWriteGuard<'static, ()> {
    ORDER.write().unwrap_or_else(PoisonError::into_inner)
}

/// Held while work is submitted.
pub(super) fn submitting() -> RwLockReadGuard<'static, ()> {
    ORDER.read().unwrap_or_else(PoisonError::into_inner)
}
