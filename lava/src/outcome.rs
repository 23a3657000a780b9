//! What a call answers that could not be done in time, when nothing is wrong.

use std::fmt;

use lava_sys::*;

use crate::error::{Error, ErrorKind, Result};
use crate::loan::Loan;

/// Whether a call that may wait did what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "nothing was done if this is `TimedOut`"]
pub enum Outcome {
    /// Done.
    Done,
    /// Nothing was done: the time to wait was over, or there was none.
    TimedOut,
}

impl Outcome {
    /// Whether it was done.
    pub fn is_done(self) -> bool {
        self == Self::Done
    }

    pub(crate) fn of(status: lava_status, what: &str) -> Result<Self> {
        match status {
            LAVA_OK => Ok(Self::Done),
            LAVA_WOULD_BLOCK | LAVA_TIMED_OUT => Ok(Self::TimedOut),
            status => Err(Error::from_status(status, what)),
        }
    }
}

/// A loan that was not sent, and why. `?` turns it into an [`Error`] and gives the loan's slot back.
#[derive(Debug)]
pub struct SendError {
    /// The loan, to be sent again.
    pub loan: Loan,
    /// Why: kind `WouldBlock` or `TimedOut` says that the channel is full and nothing is wrong.
    pub error: Error,
}

impl SendError {
    /// Whether nothing is wrong but that the channel is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

impl std::error::Error for SendError {}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        error.error
    }
}
