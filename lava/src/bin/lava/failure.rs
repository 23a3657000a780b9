//! How a subcommand ends when it does not succeed, and the exit code that says so.

use std::fmt;

/// Why a subcommand stopped.
#[derive(Debug)]
pub enum Failure {
    /// The arguments cannot be right, whatever the machine: exit code 2.
    Usage(String),
    /// It was tried and failed: exit code 1.
    Failed(String),
    /// The user asked it to stop: exit code 1.
    Interrupted,
    /// The report, already written, says what failed: exit code 1.
    Reported,
    /// The reader of the report has seen enough (`lava ls | head -1`): exit code 0.
    ReaderGone,
}

impl Failure {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::ReaderGone => 0,
            Failure::Failed(_) | Failure::Interrupted | Failure::Reported => 1,
            Failure::Usage(_) => 2,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(message) | Failure::Failed(message) => formatter.write_str(message),
            Failure::Interrupted => formatter.write_str("interrupted"),
            Failure::Reported => formatter.write_str("failed; the report says why"),
            Failure::ReaderGone => formatter.write_str("the reader of the output has gone"),
        }
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Failure::Failed(message)
    }
}

impl From<lava::Error> for Failure {
    fn from(error: lava::Error) -> Self {
        match error.kind() {
            lava::ErrorKind::InvalidArgument => Failure::Usage(error.to_string()),
            _ => Failure::Failed(error.to_string()),
        }
    }
}

/// Names what was being done when something failed: `reading demo.bin: No such file or directory`.
pub trait Doing<T> {
    /// Turns the error into a [`Failure::Failed`] that begins with `what`.
    fn doing(self, what: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::Failed(format!("{what}: {error}")))
    }
}
