//! The one owner of a C handle: it destroys what it holds, once.
//!
//! Every public type is a newtype over [`Handle`]. What may cross threads is said here and nowhere else.

use std::ptr::NonNull;

use lava_sys::{
    lava_buffer, lava_buffer_destroy, lava_consumer, lava_consumer_destroy, lava_context,
    lava_context_destroy, lava_frame, lava_frame_release, lava_producer, lava_producer_destroy,
    lava_status,
};

use crate::error::{Error, Result};

/// A C object that is owned through a pointer.
///
/// # Safety
/// `destroy` must be the function that ends the ownership of such a pointer.
pub(crate) unsafe trait Object {
    /// Ends the ownership of `object`.
    ///
    /// # Safety
    /// `object` must be live and owned by the caller, who must not use it again.
    unsafe fn destroy(object: *mut Self);
}

/// An owned, live C object.
#[repr(transparent)]
pub(crate) struct Handle<T: Object>(NonNull<T>);

impl<T: Object> Handle<T> {
    /// Calls `create` with a place for the object's pointer and takes what it puts there.
    ///
    /// # Safety
    /// On status 0 `create` must leave a live object there that nobody else owns.
    pub(crate) unsafe fn create(
        create: impl FnOnce(*mut *mut T, *mut lava_sys::lava_error) -> lava_status,
    ) -> Result<Self> {
        let mut object = std::ptr::null_mut();
        Error::check(|error| create(&mut object, error))?;
        // SAFETY: the caller vouches for the pointer.
        unsafe { Self::from_raw(object) }
    }

    /// Takes ownership of `object`; NULL is an error.
    ///
    /// # Safety
    /// `object` must be NULL, or live and owned by nobody else.
    pub(crate) unsafe fn from_raw(object: *mut T) -> Result<Self> {
        NonNull::new(object).map(Self).ok_or_else(Error::missing_handle)
    }

    /// The pointer, for calls; it stays owned.
    pub(crate) fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }

    /// Gives the ownership away.
    pub(crate) fn into_raw(self) -> *mut T {
        std::mem::ManuallyDrop::new(self).0.as_ptr()
    }
}

impl<T: Object> Drop for Handle<T> {
    fn drop(&mut self) {
        // SAFETY: the handle owns a live object and is never used after its drop.
        unsafe { T::destroy(self.0.as_ptr()) }
    }
}

macro_rules! objects {
    ($($object:ident by $destroy:ident)*) => { $(
        // SAFETY: the header says of this function that it ends the ownership of such an object.
        unsafe impl Object for $object {
            unsafe fn destroy(object: *mut Self) {
                // SAFETY: live and owned, by the trait's contract. It cannot fail then.
                let _ = unsafe { $destroy(object) };
            }
        }
    )* };
}
objects! {
    lava_context by lava_context_destroy
    lava_buffer by lava_buffer_destroy
    lava_producer by lava_producer_destroy
    lava_consumer by lava_consumer_destroy
    lava_frame by lava_frame_release
}

// SAFETY: header, `lava_context_*` and `lava_location_*`: "Threads: any thread".
unsafe impl Send for Handle<lava_context> {}
// SAFETY: as above; every function that takes a context may be called from several threads at once.
unsafe impl Sync for Handle<lava_context> {}

// SAFETY: header, `lava_buffer_*`: "Threads: any thread; the caller orders its own accesses".
unsafe impl Send for Handle<lava_buffer> {}
// SAFETY: as above; accesses are ordered by the borrow of the `Buffer`: reading takes `&self`, writing `&mut self`.
unsafe impl Sync for Handle<lava_buffer> {}

// SAFETY: header, `lava_producer_*`: "Threads: one thread at a time per producer", another one each time allowed.
// It is therefore not `Sync`.
unsafe impl Send for Handle<lava_producer> {}

// SAFETY: header, `lava_consumer_*`: "Threads: one thread at a time per consumer", another one each time allowed.
// It is therefore not `Sync`.
unsafe impl Send for Handle<lava_consumer> {}

// SAFETY: header, `lava_frame_release`: "Threads: any thread, also while another receives"; the same for reading.
unsafe impl Send for Handle<lava_frame> {}
// SAFETY: header: functions of a `const lava_frame *` are "any thread"; the others ("one thread at a time per frame")
// are called through `&mut Loan` only.
unsafe impl Sync for Handle<lava_frame> {}
