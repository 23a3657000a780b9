//! Standard output: reports and JSON documents. Everything else (progress, logs, errors) goes to standard error.

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Writes `text` to standard output. A reader that has gone is [`Failure::ReaderGone`], not a panic.
pub fn write(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::ReaderGone,
        _ => Failure::Failed(format!("writing to standard output: {error}")),
    })
}

/// Writes `document` as the one JSON document of this run.
pub fn write_json(document: &impl Serialize) -> Result<(), Failure> {
    let text =
        serde_json::to_string_pretty(document).map_err(|error| format!("writing JSON: {error}"))?;
    write(&(text + "\n"))
}

/// Writes a line to standard error; a closed one is nobody's concern.
pub fn note(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
