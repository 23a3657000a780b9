//! Handles: heap objects behind opaque pointers, each with a magic word against use after destroy.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, Ordering};

use super::guard::check_pointer;
use crate::error::{Error, Hot, Result};
use crate::types::*;

/// Ties an opaque C type to the Rust value behind its handle.
///
/// # Safety
/// Each opaque type has one `Inner`, so a handle is never read as another type.
pub(super) unsafe trait Opaque {
    type Inner;
    /// A number that no other handle type has.
    const MAGIC: u32;
    const NAME: &'static str;
}

#[repr(C)]
struct Handle<T> {
    magic: AtomicU32,
    inner: UnsafeCell<T>,
}

/// Moves `inner` to the heap and gives the pointer to the caller.
pub(super) fn create<O: Opaque>(inner: O::Inner) -> *mut O {
    let handle = Handle { magic: AtomicU32::new(O::MAGIC), inner: UnsafeCell::new(inner) };
    Box::into_raw(Box::new(handle)).cast()
}

/// Takes the value back from its handle; None for NULL and, as far as can be seen, for a handle that is not one.
///
/// # Safety
/// `pointer` is NULL or a live handle, and nobody uses it any more.
pub(super) unsafe fn destroy<O: Opaque>(pointer: *mut O) -> Option<O::Inner> {
    let handle = pointer.cast::<Handle<O::Inner>>();
    if handle.is_null() || !handle.is_aligned() {
        return None;
    }
    // SAFETY: live by the caller's promise; the exchange keeps a second destroy, a caller's bug, from freeing twice
    // as long as the memory has not been used for something else.
    let magic = unsafe { &(*handle).magic };
    if magic.compare_exchange(O::MAGIC, 0, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return None;
    }
    // SAFETY: made by `create` from a Box of this very type.
    let handle = unsafe { Box::from_raw(handle) };
    Some(handle.inner.into_inner())
}

/// # Safety
/// `pointer` is NULL or a live handle of this type.
unsafe fn check<O: Opaque>(pointer: *const O) -> Hot<*const Handle<O::Inner>> {
    let handle = pointer.cast::<Handle<O::Inner>>();
    if handle.is_null() || !handle.is_aligned() {
        return Err(LAVA_ERROR_INVALID_POINTER);
    }
    // SAFETY: non-NULL, aligned, live.
    if unsafe { (*handle).magic.load(Ordering::Relaxed) } != O::MAGIC {
        return Err(LAVA_ERROR_INVALID_HANDLE);
    }
    Ok(handle)
}

/// The value behind a handle that several threads may use.
///
/// # Safety
/// `pointer` is NULL or a live handle, and no [`exclusive`] reference to it exists.
#[inline]
pub(super) unsafe fn shared<'a, O: Opaque>(pointer: *const O) -> Result<&'a O::Inner> {
    check_pointer(pointer.cast::<Handle<O::Inner>>(), O::NAME)?;
    // SAFETY: as promised.
    let handle = unsafe { check(pointer) }
        .map_err(|status| Error::new(status, format!("this is not a live {} handle", O::NAME)))?;
    // SAFETY: no exclusive reference exists, by the caller's promise.
    Ok(unsafe { &*(*handle).inner.get() })
}

/// The value behind a handle that one thread at a time uses; the form for control functions.
///
/// # Safety
/// `pointer` is NULL or a live handle, and no other thread uses it during the call.
pub(super) unsafe fn exclusive<'a, O: Opaque>(pointer: *const O) -> Result<&'a mut O::Inner> {
    check_pointer(pointer.cast::<Handle<O::Inner>>(), O::NAME)?;
    // SAFETY: as promised.
    unsafe { exclusive_hot(pointer) }
        .map_err(|status| Error::new(status, format!("this is not a live {} handle", O::NAME)))
}

/// The hot path's form of [`exclusive`].
///
/// # Safety
/// As [`exclusive`].
#[inline(always)]
pub(super) unsafe fn exclusive_hot<'a, O: Opaque>(pointer: *const O) -> Hot<&'a mut O::Inner> {
    // SAFETY: as promised.
    let handle = unsafe { check(pointer) }?;
    // SAFETY: one thread at a time, by the caller's promise.
    Ok(unsafe { &mut *(*handle).inner.get() })
}
