//! The log of lava, as records of `logging.getLogger("lava")`.
//!
//! Lines come from any thread, also from one that must not wait for the interpreter. They are queued, and the
//! interpreter's main thread passes them on when it next runs.

use std::collections::VecDeque;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

use lava::LogLevel;
use parking_lot::Mutex;
use pyo3::ffi;
use pyo3::prelude::*;

/// Lines that wait at most; further ones are counted, not kept.
const MOST: usize = 1000;

struct Queue {
    lines: VecDeque<(LogLevel, String)>,
    lost: u64,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue { lines: VecDeque::new(), lost: 0 });
/// The interpreter was told that lines wait.
static TOLD: AtomicBool = AtomicBool::new(false);

/// The most talkative level that the logger `lava` passes on at present.
pub(crate) fn level(py: Python<'_>) -> PyResult<Option<LogLevel>> {
    // Who has not imported logging has no handler but the last resort, which shows warnings.
    let modules = py.import("sys")?.getattr("modules")?;
    if !modules.contains("logging")? {
        return Ok(Some(LogLevel::Warn));
    }
    let logger = py.import("logging")?.call_method1("getLogger", ("lava",))?;
    let number: i64 = logger.call_method0("getEffectiveLevel")?.extract()?;
    Ok(match number {
        ..=10 => Some(LogLevel::Debug),
        11..=20 => Some(LogLevel::Info),
        21..=30 => Some(LogLevel::Warn),
        31..=50 => Some(LogLevel::Error),
        _ => None,
    })
}

/// Takes a line, in any thread; waits for nobody.
pub(crate) fn write(level: LogLevel, line: &str) {
    {
        let mut queue = QUEUE.lock();
        if queue.lines.len() < MOST {
            queue.lines.push_back((level, line.to_owned()));
        } else {
            queue.lost += 1;
        }
    }
    // SAFETY: may be called by any thread at any time. A context that nobody closed lives on when the interpreter has ended,
    // and lines of then wait for ever.
    if unsafe { ffi::Py_IsInitialized() } == 0 {
        return;
    }
    if !TOLD.swap(true, Ordering::AcqRel) {
        // SAFETY: may be called by any thread, attached or not, while the interpreter lives.
        let told = unsafe { ffi::Py_AddPendingCall(Some(pending), std::ptr::null_mut()) };
        if told != 0 {
            TOLD.store(false, Ordering::Release);
        }
    }
}

/// Called by the interpreter's main thread.
extern "C" fn pending(_: *mut c_void) -> c_int {
    Python::attach(|py| match pass_on(py) {
        Ok(()) => 0,
        Err(error) => {
            // A handler that raises must not surface in whatever the main thread is doing.
            error.write_unraisable(py, None);
            0
        }
    })
}

/// Gives all lines that wait to the logger.
pub(crate) fn pass_on(py: Python<'_>) -> PyResult<()> {
    TOLD.store(false, Ordering::Release);
    loop {
        // The lock is not held while Python runs.
        let (lines, lost) = {
            let mut queue = QUEUE.lock();
            (std::mem::take(&mut queue.lines), std::mem::take(&mut queue.lost))
        };
        if lines.is_empty() && lost == 0 {
            return Ok(());
        }
        let logger = py.import("logging")?.call_method1("getLogger", ("lava",))?;
        for (level, line) in lines {
            logger.call_method1("log", (number(level), "%s", line))?;
        }
        if lost > 0 {
            logger.call_method1("warning", ("%d lines of the log were lost", lost))?;
        }
    }
}

fn number(level: LogLevel) -> u32 {
    match level {
        LogLevel::Error => 40,
        LogLevel::Warn => 30,
        LogLevel::Info => 20,
        _ => 10,
    }
}
