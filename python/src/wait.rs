//! Waiting without the interpreter's lock, in slices, so that Ctrl-C and other threads get their turn.

use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use pyo3::prelude::*;

use crate::failure::Failure;
use crate::interrupt;

/// Longest wait between two looks for signals, and for others who want the same object.
const SLICE: Duration = Duration::from_millis(50);

/// When a wait ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    /// At once.
    Now,
    At(Instant),
    Never,
}

impl Deadline {
    /// `timeout` in seconds; `None`: for ever. 0 and less: not at all.
    pub(crate) fn new(timeout: Option<f64>) -> PyResult<Self> {
        let Some(seconds) = timeout else { return Ok(Self::Never) };
        if seconds.is_nan() {
            return Err(Failure::argument(
                "timeout is NaN; give seconds, or None to wait for ever",
            )
            .into());
        }
        if seconds <= 0.0 {
            return Ok(Self::Now);
        }
        let duration = Duration::try_from_secs_f64(seconds).ok();
        Ok(duration.and_then(|time| Instant::now().checked_add(time)).map_or(Self::Never, Self::At))
    }

    /// The time that is left, and at most `most`.
    pub(crate) fn left(self, most: Duration) -> Duration {
        match self {
            Self::Now => Duration::ZERO,
            Self::At(instant) => instant.saturating_duration_since(Instant::now()).min(most),
            Self::Never => most,
        }
    }

    pub(crate) fn is_now(self) -> bool {
        matches!(self, Self::Now)
    }

    /// How long to wait next; zero when the time is over.
    fn slice(self) -> Duration {
        self.left(SLICE)
    }

    /// Calls `attempt` with the time that it may take, detached from the interpreter, until it has an answer; `None`: it
    /// had none in time.
    pub(crate) fn repeat<T: Send>(
        self,
        py: Python<'_>,
        mut attempt: impl FnMut(Duration) -> Result<Option<T>, Failure> + Send,
    ) -> PyResult<Option<T>> {
        loop {
            let slice = self.slice();
            if let Some(answer) = py.detach(|| attempt(slice))? {
                return Ok(Some(answer));
            }
            interrupt::check(py)?;
            if slice.is_zero() {
                return Ok(None);
            }
        }
    }
}

/// An object that one thread uses at a time, until it is closed.
#[derive(Debug)]
pub(crate) struct Exclusive<T> {
    place: Mutex<Option<T>>,
    /// What it is, for messages.
    what: &'static str,
}

impl<T: Send> Exclusive<T> {
    pub(crate) fn new(what: &'static str, object: T) -> Self {
        Self { place: Mutex::new(Some(object)), what }
    }

    /// Uses the object if no other thread does: never waits.
    #[inline]
    pub(crate) fn try_use<R>(
        &self,
        work: impl FnOnce(&mut T) -> Result<R, Failure>,
    ) -> Option<Result<R, Failure>> {
        let mut guard = self.place.try_lock()?;
        Some(match guard.as_mut() {
            Some(object) => work(object),
            None => Err(Failure::ended(self.what)),
        })
    }

    /// Uses the object, waiting for other threads up to `patience`. Not to be called while attached to the interpreter.
    pub(crate) fn use_within<R>(
        &self,
        patience: Duration,
        work: impl FnOnce(&mut T) -> Result<Option<R>, Failure>,
    ) -> Result<Option<R>, Failure> {
        let Some(mut guard) = self.place.try_lock_for(patience) else { return Ok(None) };
        let Some(object) = guard.as_mut() else { return Err(Failure::ended(self.what)) };
        let result = work(object);
        // The next thread has its turn before this one's next slice.
        MutexGuard::unlock_fair(guard);
        result
    }

    /// Uses the object, waiting for other threads as long as it takes.
    pub(crate) fn use_detached<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut T) -> Result<R, Failure> + Send,
    ) -> PyResult<R> {
        let mut work = Some(work);
        let attempt = |slice| {
            self.use_within(slice, |object| match work.take() {
                Some(work) => work(object).map(Some),
                None => Ok(None),
            })
        };
        let answer = Deadline::Never.repeat(py, attempt)?;
        answer.ok_or_else(|| Failure::ended(self.what).into())
    }

    /// Takes the object out; `None` if that was done before.
    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<Option<T>> {
        Deadline::Never
            .repeat(py, |slice| Ok(self.place.try_lock_for(slice).map(|mut place| place.take())))
            .map(Option::flatten)
    }

    /// Whether it was closed; `false` while another thread uses it.
    pub(crate) fn is_closed(&self) -> bool {
        self.place.try_lock().is_some_and(|place| place.is_none())
    }
}
