//! The C interface, with a record of which function gave which status: what tests here call instead of `lava_sys`.
#![allow(clippy::too_many_arguments, reason = "the functions have them")]

use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;

// What is defined here goes before what comes by a glob.
pub(crate) use lava_sys::*;

/// Names the file to which the record goes; without it there is none.
pub(crate) const RECORD: &str = "MISUSE_RECORD";

/// One line a call, written at once: also by a forked child, which may take no lock.
fn record(function: &str, status: lava_status) -> lava_status {
    static FILE: OnceLock<Option<File>> = OnceLock::new();
    let open =
        || std::env::var_os(RECORD).and_then(|path| File::options().append(true).open(path).ok());
    if let Some(mut file) = FILE.get_or_init(open).as_ref() {
        let line = format!("{function} {}\n", crate::world::name(status));
        file.write_all(line.as_bytes()).expect("a record");
    }
    status
}

include!(concat!(env!("OUT_DIR"), "/recorded_calls.rs"));
