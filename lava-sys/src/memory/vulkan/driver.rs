//! One order for the calls that take a driver's own locks, for all contexts of the process.
//!
//! NVIDIA's driver (580.159) stops for ever when one thread destroys a device while another frees memory of another
//! device of the same GPU: each waits for a lock that the other has. So devices and instances are made and destroyed
//! alone, beside no allocation. An application that makes devices of its own in other threads is outside of this order.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Guards nothing but the order: no state is behind it, so a panic of its holder leaves nothing half done.
static ORDER: RwLock<()> = RwLock::new(());

/// Held while memory or a handle to it is made, imported, exported or freed. Not taken twice by one thread: a waiting
/// [`alone`] would stop the second.
pub(super) fn among_others() -> RwLockReadGuard<'static, ()> {
    ORDER.read().unwrap_or_else(PoisonError::into_inner)
}

/// Held while a device or an instance is made or destroyed.
pub(super) fn alone() -> RwLockWriteGuard<'static, ()> {
    ORDER.write().unwrap_or_else(PoisonError::into_inner)
}
