//! Errors on their way to Python.

use lava::ErrorKind;
use lava_sys::*;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Why a call failed: what `lava._errors.make` makes an exception of.
#[derive(Debug)]
pub(crate) struct Failure {
    status: i32,
    message: String,
    os_error: Option<i32>,
    value: u64,
}

impl Failure {
    #[cold]
    pub(crate) fn new(status: i32, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), os_error: None, value: 0 }
    }

    /// An argument has a value that is not allowed.
    #[cold]
    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(LAVA_ERROR_INVALID_ARGUMENT, message)
    }

    /// The object was closed before.
    #[cold]
    pub(crate) fn ended(what: &str) -> Self {
        Self::new(LAVA_ERROR_INVALID_HANDLE, format!("this {what} is closed; make a new one"))
    }

    #[cold]
    pub(crate) fn out_of_time(what: &str, waited: bool) -> Self {
        match waited {
            true => Self::new(LAVA_TIMED_OUT, format!("{what}: the time to wait is over")),
            false => Self::new(LAVA_WOULD_BLOCK, format!("{what}: it would have to wait")),
        }
    }

    /// Whether waiting longer may help.
    pub(crate) fn is_wait(&self) -> bool {
        matches!(self.status, LAVA_WOULD_BLOCK | LAVA_TIMED_OUT)
    }
}

impl From<lava::Error> for Failure {
    #[cold]
    fn from(error: lava::Error) -> Self {
        let status = match error.kind() {
            // A newer library's status is an error of this one's kind.
            ErrorKind::Internal => LAVA_ERROR_INTERNAL,
            _ => error.status(),
        };
        Self {
            status,
            message: error.message().to_owned(),
            os_error: error.os_error(),
            value: error.value(),
        }
    }
}

impl From<Failure> for PyErr {
    #[cold]
    fn from(failure: Failure) -> Self {
        static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        Python::attach(|py| {
            let make = MAKE.import(py, "lava._errors", "make")?;
            let Failure { status, message, os_error, value } = failure;
            PyResult::Ok(PyErr::from_value(make.call1((status, message, os_error, value))?))
        })
        .unwrap_or_else(|error| error)
    }
}

/// Turns the errors of lava into exceptions.
pub(crate) trait OrRaise<T> {
    fn or_raise(self) -> PyResult<T>;
}

impl<T> OrRaise<T> for lava::Result<T> {
    fn or_raise(self) -> PyResult<T> {
        self.map_err(|error| Failure::from(error).into())
    }
}
