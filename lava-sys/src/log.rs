//! Log lines of one context: levels, the caller's sink, standard error. Never a global; nothing is formatted for a
//! level that nobody wants.

use std::ffi::{CString, c_char, c_void};
use std::fmt::Display;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::types::*;

/// How grave a line is. The graver, the smaller: a log of level `Warn` shows `Error` and `Warn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Error = LAVA_LOG_ERROR as isize,
    Warn = LAVA_LOG_WARN as isize,
    Info = LAVA_LOG_INFO as isize,
    Debug = LAVA_LOG_DEBUG as isize,
}

impl Level {
    const ALL: [Self; 4] = [Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// The level of a `LAVA_LOG_*` number.
    pub fn from_number(number: u32) -> Result<Self> {
        Self::ALL.into_iter().find(|level| level.number() == number).ok_or_else(|| {
            Error::argument(format!(
                "log level {number} is not one of LAVA_LOG_ERROR (1) to LAVA_LOG_DEBUG (4)"
            ))
            .with_value(number.into())
        })
    }

    /// The level of a word, as in `LAVA_LOG=warn`.
    pub fn parse(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|level| level.name() == word).ok_or_else(|| {
            Error::argument(format!("log level {word:?} is not one of error, warn, info, debug"))
        })
    }

    /// The `LAVA_LOG_*` number.
    pub fn number(self) -> u32 {
        self as u32
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// The caller's function for log lines.
pub type Write = unsafe extern "C" fn(user: *mut c_void, level: u32, message: *const c_char);
/// The caller's function that takes `user` back.
pub type GiveBack = unsafe extern "C" fn(user: *mut c_void);

/// The caller's end of a log. Owns `user` until it is dropped, then gives it back, once.
#[derive(Debug)]
pub struct Sink {
    user: *mut c_void,
    write: Write,
    give_back: Option<GiveBack>,
}

// SAFETY: lava_log_sink demands that `write` may be called from any thread, and `drop` from the thread that ends the
// context, whichever that is; `user` is only ever handed to these two.
unsafe impl Send for Sink {}
// SAFETY: lava_log_sink demands that `write` may be called from several threads at once.
unsafe impl Sync for Sink {}

impl Sink {
    pub fn new(user: *mut c_void, write: Write, give_back: Option<GiveBack>) -> Self {
        Self { user, write, give_back }
    }

    fn line(&self, level: Level, text: String) {
        let text = CString::new(text).unwrap_or_else(|inner| {
            let mut bytes = inner.into_vec();
            bytes.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
            CString::new(bytes).unwrap_or_default()
        });
        // SAFETY: `user` and `write` belong together by lava_log_sink's contract, and `user` is not given back yet.
        unsafe { (self.write)(self.user, level.number(), text.as_ptr()) };
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(give_back) = self.give_back {
            // SAFETY: as lava_log_sink promises, exactly once: here, where the only owner of `user` ends.
            unsafe { give_back(self.user) };
        }
    }
}

#[derive(Debug, Clone)]
enum Output {
    Nowhere,
    Stderr,
    Sink(Arc<Sink>),
    /// The logs of contexts, by their numbers: lines go to the first.
    Several(Arc<Mutex<Vec<(u64, Log)>>>),
}

/// A context's log: clone it for whoever writes lines; the sink ends with the last clone.
#[derive(Debug, Clone)]
pub struct Log {
    level: Level,
    output: Output,
}

impl Log {
    pub fn none() -> Self {
        Self { level: Level::Error, output: Output::Nowhere }
    }

    /// Lines up to `level` go to standard error.
    pub fn to_stderr(level: Level) -> Self {
        Self { level, output: Output::Stderr }
    }

    /// Lines up to `level` go to the caller's sink.
    pub fn to_sink(level: Level, sink: Sink) -> Self {
        Self { level, output: Output::Sink(Arc::new(sink)) }
    }

    /// For what several contexts share and what outlives them: lines go to the log of one of them, and nowhere while there
    /// is none.
    pub fn of_several() -> Self {
        Self { level: Level::Debug, output: Output::Several(Arc::default()) }
    }

    /// A context joins with its log.
    pub fn join(&self, context: u64, log: Self) {
        if let Output::Several(logs) = &self.output {
            lock(logs).push((context, log));
        }
    }

    /// A context ends. Its log gets no line after this call, and is given back by it if nobody else has it.
    pub fn leave(&self, context: u64) {
        if let Output::Several(logs) = &self.output {
            lock(logs).retain(|(member, _)| *member != context);
        }
    }

    /// Whether a line of this level is wanted by anybody.
    pub fn shows(&self, level: Level) -> bool {
        level <= self.level
            && match &self.output {
                Output::Nowhere => false,
                Output::Several(logs) => {
                    lock(logs).first().is_some_and(|(_, log)| log.shows(level))
                }
                Output::Stderr | Output::Sink(_) => true,
            }
    }

    pub fn error<M: Display>(&self, message: impl FnOnce() -> M) {
        self.line(Level::Error, message);
    }

    pub fn warn<M: Display>(&self, message: impl FnOnce() -> M) {
        self.line(Level::Warn, message);
    }

    pub fn info<M: Display>(&self, message: impl FnOnce() -> M) {
        self.line(Level::Info, message);
    }

    pub fn debug<M: Display>(&self, message: impl FnOnce() -> M) {
        self.line(Level::Debug, message);
    }

    fn line<M: Display>(&self, level: Level, message: impl FnOnce() -> M) {
        if !self.shows(level) {
            return;
        }
        match &self.output {
            Output::Nowhere => {}
            Output::Stderr => {
                // In one piece, so that lines of several threads do not mix; a closed standard error is nobody's fault.
                let line = format!("lava {}: {}\n", level.name(), message());
                let _ = std::io::stderr().lock().write_all(line.as_bytes());
            }
            Output::Sink(sink) => sink.line(level, message().to_string()),
            Output::Several(logs) => {
                // Under the lock, so that a context that ends waits for its line.
                if let Some((_, log)) = lock(logs).first() {
                    log.line(level, message);
                }
            }
        }
    }
}

fn lock<T>(logs: &Mutex<T>) -> MutexGuard<'_, T> {
    logs.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::ffi::CStr;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[derive(Default)]
    struct Record {
        lines: Mutex<Vec<(u32, String)>>,
        given_back: AtomicU32,
    }

    unsafe extern "C" fn write(user: *mut c_void, level: u32, message: *const c_char) {
        // SAFETY: the tests pass a live Record, and lava a NUL-terminated message.
        let (record, text) = unsafe { (&*user.cast::<Record>(), CStr::from_ptr(message)) };
        record.lines.lock().unwrap().push((level, text.to_str().unwrap().to_owned()));
    }

    unsafe extern "C" fn give_back(user: *mut c_void) {
        // SAFETY: the tests pass a live Record.
        unsafe { &*user.cast::<Record>() }.given_back.fetch_add(1, Ordering::Relaxed);
    }

    fn sink_of(record: &Record) -> Sink {
        Sink::new(std::ptr::from_ref(record).cast_mut().cast(), write, Some(give_back))
    }

    #[test]
    fn levels_have_numbers_names_and_an_order() {
        for level in Level::ALL {
            assert_eq!(Level::from_number(level.number()).unwrap(), level);
            assert_eq!(Level::parse(level.name()).unwrap(), level);
        }
        assert!(Level::Error < Level::Warn && Level::Info < Level::Debug);
        for wrong in [0, 5, u32::MAX] {
            let error = Level::from_number(wrong).unwrap_err();
            assert_eq!((error.status, error.value), (LAVA_ERROR_INVALID_ARGUMENT, wrong.into()));
        }
        assert!(Level::parse("loud").unwrap_err().message.contains("loud"));
    }

    #[test]
    fn a_sink_gets_the_lines_of_its_level() {
        let record = Record::default();
        let log = Log::to_sink(Level::Warn, sink_of(&record));
        log.error(|| "one");
        log.warn(|| format!("t{}", "wo"));
        log.info(|| -> String { panic!("formatted though nobody wants it") });
        log.clone().warn(|| "with\0nul");
        let lines = record.lines.lock().unwrap().clone();
        assert_eq!(lines, [(1, "one".into()), (2, "two".into()), (2, "with nul".into())]);
    }

    #[test]
    fn a_sink_is_given_back_once_with_its_last_clone() {
        let record = Record::default();
        let log = Log::to_sink(Level::Debug, sink_of(&record));
        let second = log.clone();
        drop(log);
        second.debug(|| "still there");
        assert_eq!(record.given_back.load(Ordering::Relaxed), 0);
        drop(second);
        assert_eq!(record.given_back.load(Ordering::Relaxed), 1);
        assert_eq!(record.lines.lock().unwrap().len(), 1);
    }

    #[test]
    fn lines_of_several_go_to_one_that_lives_and_a_log_that_left_is_given_back() {
        let records = [Record::default(), Record::default()];
        let several = Log::of_several();
        several.error(|| -> String { panic!("formatted for nobody") });
        for (context, record) in records.iter().enumerate() {
            several.join(context as u64, Log::to_sink(Level::Warn, sink_of(record)));
        }
        let clone = several.clone();
        clone.warn(|| "first");
        several.leave(0);
        clone.warn(|| "second");
        clone.info(|| -> String { panic!("formatted though nobody wants it") });
        several.leave(1);
        clone.error(|| -> String { panic!("formatted for nobody") });
        for (record, line) in records.iter().zip(["first", "second"]) {
            assert_eq!(record.lines.lock().unwrap().clone(), [(2, line.to_owned())]);
            assert_eq!(record.given_back.load(Ordering::Relaxed), 1);
        }
    }

    #[test]
    fn no_log_formats_nothing() {
        let log = Log::none();
        assert!(!log.shows(Level::Error));
        log.error(|| -> String { panic!("formatted for nobody") });
    }
}
