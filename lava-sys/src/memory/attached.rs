//! A place in a value for what a layer above has derived from it: the import of a buffer into another API, which is made
//! once, is shared by all who use the buffer, and must end before the memory does.

use std::any::Any;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::error::{Error, Result};
use crate::types::*;

/// Holds at most one value, of a type that `memory` does not know. To be the first field of what it lies in, so that it
/// is dropped before the memory that it was made of.
#[derive(Default)]
pub struct Attached {
    value: OnceLock<Box<dyn Any + Send + Sync>>,
    /// Held while the value is made, which takes long and must happen once.
    making: Mutex<()>,
}

impl Attached {
    /// The value, made by `make` if there is none yet. After a failure the next call tries again.
    pub fn get_or_make<T: Any + Send + Sync>(
        &self,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<&T> {
        if self.value.get().is_none() {
            let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
            if self.value.get().is_none() {
                let made = Box::new(make()?);
                return self.value.get_or_init(|| made).downcast_ref().ok_or_else(other_type);
            }
        }
        self.value.get().and_then(|value| value.downcast_ref()).ok_or_else(other_type)
    }
}

fn other_type() -> Error {
    Error::new(LAVA_ERROR_INTERNAL, "something else is attached to this value")
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.value.get().is_some() { "Attached" } else { "Nothing" })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_value_is_made_once_for_all_threads() {
        let (attached, made) = (Attached::default(), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let value = attached.get_or_make(|| Ok(made.fetch_add(1, Ordering::Relaxed)));
                    assert_eq!(*value.unwrap(), 0);
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }

    #[test]
    fn a_failure_is_not_kept_and_another_type_is_refused() {
        let attached = Attached::default();
        attached.get_or_make::<u8>(|| Err(Error::argument("not now"))).unwrap_err();
        assert_eq!(*attached.get_or_make(|| Ok(7_u8)).unwrap(), 7);
        let error = attached.get_or_make(|| Ok(7_u16)).unwrap_err();
        assert_eq!(error.status, LAVA_ERROR_INTERNAL);
    }
}
