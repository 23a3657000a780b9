//! How long a call may wait.

use std::time::Duration;

use lava_sys::{LAVA_FOREVER, LAVA_NO_WAIT};

/// How long a call may wait.
///
/// The scheme is the same for every object: `x()` waits for ever, `x_timeout(.., timeout)` as long as told, `try_x()`
/// not at all; calls that come in one form only take a timeout. A [`Duration`] converts to a timeout, and so
/// does an `Option<Duration>`, where `None` is for ever, as in `std`.
///
/// ```
/// use std::time::Duration;
/// use lava::Timeout;
/// assert_eq!(Timeout::from(Duration::ZERO), Timeout::NONE);
/// assert_eq!(Timeout::from(None), Timeout::FOREVER);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timeout(u64);

impl Timeout {
    /// Do not wait: try once.
    pub const NONE: Self = Self(LAVA_NO_WAIT);
    /// Wait for ever.
    pub const FOREVER: Self = Self(LAVA_FOREVER);

    /// Nanoseconds, as the C interface counts.
    #[inline]
    pub(crate) fn nanoseconds(self) -> u64 {
        self.0
    }
}

impl From<Duration> for Timeout {
    /// A duration beyond 584 years becomes 584 years.
    fn from(duration: Duration) -> Self {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(nanoseconds.min(LAVA_FOREVER - 1))
    }
}

impl From<Option<Duration>> for Timeout {
    fn from(duration: Option<Duration>) -> Self {
        duration.map_or(Self::FOREVER, Self::from)
    }
}
