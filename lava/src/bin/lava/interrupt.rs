//! Ctrl-C, SIGTERM and SIGHUP: they set a flag, the work looks at it, and everything is dropped in order: frames,
//! channels with their sockets, child processes. A second signal ends the process at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::failure::Failure;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Longest wait between two looks at the flag.
pub const SLICE: Duration = Duration::from_millis(100);

/// Installs the handler, once, in the process that the user started.
pub fn install() -> Result<(), Failure> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(1);
        }
    })
    .map_err(|error| Failure::Failed(format!("installing the Ctrl-C handler: {error}")))
}

/// Fails once the user has asked to stop.
pub fn check() -> Result<(), Failure> {
    if INTERRUPTED.load(Ordering::Relaxed) { Err(Failure::Interrupted) } else { Ok(()) }
}
