//! All state of one user of the library: settings, log, service thread.

use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use lava_sys::*;

use crate::bytes::{CStruct, c_string, fetch_text};
use crate::device::Devices;
use crate::error::Result;
use crate::handle::Handle;
use crate::location::Scope;
use crate::mpi::Mpi;
use crate::timeout::Timeout;
use crate::vulkan::VulkanDevice;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is not as asked for, and lava went on.
    Warn,
    /// Connections come and go, strategies are chosen.
    Info,
    /// Every step of a handshake.
    Debug,
}

impl LogLevel {
    fn to_raw(self) -> u32 {
        match self {
            Self::Error => LAVA_LOG_ERROR,
            Self::Warn => LAVA_LOG_WARN,
            Self::Info => LAVA_LOG_INFO,
            Self::Debug => LAVA_LOG_DEBUG,
        }
    }

    fn from_raw(level: u32) -> Self {
        match level {
            LAVA_LOG_ERROR => Self::Error,
            LAVA_LOG_WARN => Self::Warn,
            LAVA_LOG_INFO => Self::Info,
            _ => Self::Debug,
        }
    }
}

/// What log lines are given to.
type LogFunction = dyn Fn(LogLevel, &str) + Send + Sync;

/// Options of [`Context::create`]. An option set here wins over the environment variable of the same meaning.
#[derive(Clone, Default)]
pub struct ContextOptions {
    runtime_directory: Option<PathBuf>,
    scope: Option<Scope>,
    spin: Option<Timeout>,
    log: Option<(LogLevel, Arc<LogFunction>)>,
    devices: Option<Devices>,
    vulkan: Option<VulkanDevice>,
    mpi: Option<Mpi>,
    communicator: Option<i64>,
}

impl ContextOptions {
    /// The defaults: everything as the environment says.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Directory of the rendezvous sockets: two processes meet if they share it. Created with mode 0700 if absent; it must
    /// belong to this user. Default: `$LAVA_RUNTIME_DIR`, else `$XDG_RUNTIME_DIR/lava`, else `/tmp/lava-<uid>`.
    #[must_use]
    pub fn runtime_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.runtime_directory = Some(directory.into());
        self
    }

    /// Takes every peer to be in this scope, for tests. Default: decided by evidence.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// How long a waiting call spins before it sleeps; [`Timeout::NONE`]: sleep at once; [`Timeout::FOREVER`]: never
    /// sleep. Default: 50 µs, or none on one processor.
    #[must_use]
    pub fn spin(mut self, spin: impl Into<Timeout>) -> Self {
        self.spin = Some(spin.into());
        self
    }

    /// Gives log lines up to `level` to `log`, which is called from any thread, also from several at once, and must not call
    /// lava. A panic in it is swallowed. Default: no log, or standard error if `LAVA_LOG` is set.
    #[must_use]
    pub fn log(
        mut self,
        level: LogLevel,
        log: impl Fn(LogLevel, &str) + Send + Sync + 'static,
    ) -> Self {
        self.log = Some((level, Arc::new(log)));
        self
    }

    /// Which GPUs it may use. Vulkan is loaded when a GPU is first needed; its absence is no error before that.
    /// Default: [`Devices::Auto`].
    #[must_use]
    pub fn devices(mut self, devices: Devices) -> Self {
        self.devices = Some(devices);
        self
    }

    /// Works on a Vulkan device of the application, the only one that the context then uses, instead of making its own.
    ///
    /// # Safety
    /// The handles must be valid, belong together, have what [`VulkanDevice`] demands, and stay alive until the context
    /// and all its producers, consumers, buffers and frames are gone. Until then nobody may submit to the queue without
    /// holding its lock, and the lock's functions may be called from any thread.
    #[must_use]
    pub unsafe fn vulkan_device(mut self, device: VulkanDevice) -> Self {
        self.vulkan = Some(device);
        self
    }

    /// Which MPI reaches other hosts. Default: [`Mpi::Auto`].
    #[must_use]
    pub fn mpi(mut self, mpi: Mpi) -> Self {
        self.mpi = Some(mpi);
        self
    }

    /// Finds peers among the ranks of this communicator of the application's, which has initialised MPI: the number that
    /// `MPI_Comm_c2f` gives. Default: all ranks of the job.
    ///
    /// # Safety
    /// It must be a live communicator until the context has joined the job.
    #[must_use]
    pub unsafe fn mpi_communicator(mut self, fortran_handle: i64) -> Self {
        self.communicator = Some(fortran_handle);
        self
    }
}

impl fmt::Debug for ContextOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ContextOptions")
            .field("runtime_directory", &self.runtime_directory)
            .field("scope", &self.scope)
            .field("spin", &self.spin)
            .field("log", &self.log.as_ref().map(|(level, _)| level))
            .field("devices", &self.devices)
            .field("vulkan", &self.vulkan)
            .field("mpi", &self.mpi)
            .field("mpi_communicator", &self.communicator)
            .finish()
    }
}

/// All state of one user of the library. There is no global state; most programs have one context.
///
/// What is made of a context keeps it alive: it may be dropped before its producers, consumers, buffers and frames.
///
/// Threads: any, also several at once.
///
/// ```
/// # fn main() -> lava::Result<()> {
/// use lava::{Context, ContextOptions, LogLevel};
/// let options = ContextOptions::new().log(LogLevel::Info, |level, line| eprintln!("{level:?} {line}"));
/// let context = Context::create(&options)?;
/// println!("{}", context.describe()?);
/// # Ok(())
/// # }
/// ```
pub struct Context(pub(crate) Handle<lava_context>);

impl Context {
    /// A context with the default options.
    ///
    /// # Errors
    /// As [`Context::create`].
    pub fn new() -> Result<Self> {
        Self::create(&ContextOptions::new())
    }

    /// A context. The `LAVA_*` environment variables are read here and nowhere else.
    ///
    /// # Errors
    /// `InvalidArgument` (an option), `Permission`, `Limit`, `Os` (the runtime directory).
    pub fn create(options: &ContextOptions) -> Result<Self> {
        let mut raw = lava_context_options::sized();
        let directory = match &options.runtime_directory {
            Some(path) => Some(c_string(path.as_os_str().as_bytes(), "the runtime directory")?),
            None => None,
        };
        raw.runtime_directory = directory.as_deref().map_or(std::ptr::null(), CStr::as_ptr);
        raw.scope = options.scope.map_or(LAVA_SCOPE_AUTO, Scope::to_raw);
        // 0 means the default in C; one nanosecond is as good as none.
        raw.spin_ns = options.spin.map_or(0, |spin| spin.nanoseconds().max(1));
        let sink = options.log.as_ref().map(|(level, log)| log_sink(*level, Arc::clone(log)));
        raw.log = sink.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        raw.vulkan_devices = options.devices.map_or(0, Devices::to_raw);
        let vulkan = options.vulkan.map(VulkanDevice::to_raw);
        raw.vulkan = vulkan.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        raw.mpi = options.mpi.map_or(LAVA_MPI_AUTO, Mpi::to_raw);
        raw.has_mpi_communicator = options.communicator.is_some().into();
        raw.mpi_communicator = options.communicator.unwrap_or(0);
        // SAFETY: the options point to values that live until the end of this function; the sink owns its `user`,
        // which the library gives back through `drop` exactly once, also on failure.
        unsafe {
            Handle::create(|context, error| lava_context_create(&raw, context, error)).map(Self)
        }
    }

    /// Describes the context as JSON: settings with their origin, location, runtime directory, channels, unknown `LAVA_*`
    /// variables.
    ///
    /// # Errors
    /// `OutOfMemory`, `Forked`.
    pub fn describe(&self) -> Result<String> {
        fetch_text(|buffer, capacity, needed, error| {
            // SAFETY: the context is live; `buffer` has `capacity` bytes.
            unsafe { lava_context_describe(self.0.as_ptr(), buffer, capacity, needed, error) }
        })
    }

    /// Lists the live channels in the runtime directory as JSON: an array with name, producer's process id, frames, and each
    /// connection with its transport and counters. A producer that does not answer in time is listed with the reason.
    ///
    /// Blocks: up to `timeout`.
    ///
    /// # Errors
    /// `Os`, `Limit`, `Forked`.
    pub fn list_channels(&self, timeout: impl Into<Timeout>) -> Result<String> {
        let timeout = timeout.into().nanoseconds();
        fetch_text(|buffer, capacity, needed, error| {
            let context = self.0.as_ptr();
            // SAFETY: the context is live; `buffer` has `capacity` bytes.
            unsafe { lava_context_list_channels(context, timeout, buffer, capacity, needed, error) }
        })
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Context").field(&self.0.as_ptr()).finish()
    }
}

/// A C sink that owns `log`.
fn log_sink(level: LogLevel, log: Arc<LogFunction>) -> lava_log_sink {
    let mut sink = lava_log_sink::sized();
    sink.level = level.to_raw();
    sink.user = Box::into_raw(Box::new(log)).cast();
    sink.write = Some(write_log);
    sink.drop = Some(drop_log);
    sink
}

/// Passes a line to the closure behind `user`.
unsafe extern "C" fn write_log(user: *mut c_void, level: u32, message: *const c_char) {
    // SAFETY: `user` is what `log_sink` made, alive until `drop_log`; `message` is NUL-terminated and lent for the call.
    let (log, line) = unsafe { (&*user.cast::<Arc<LogFunction>>(), CStr::from_ptr(message)) };
    // A panic must not unwind into C. There is nobody to report it to.
    let _ =
        catch_unwind(AssertUnwindSafe(|| log(LogLevel::from_raw(level), &line.to_string_lossy())));
}

/// Frees the closure behind `user`.
unsafe extern "C" fn drop_log(user: *mut c_void) {
    // SAFETY: `user` is what `log_sink` made; the library calls this once and never uses `user` again.
    let log = unsafe { Box::from_raw(user.cast::<Arc<LogFunction>>()) };
    let _ = catch_unwind(AssertUnwindSafe(|| drop(log)));
}

/// The version of the library that runs: major, minor, patch.
#[must_use]
pub fn version() -> (u8, u8, u8) {
    // SAFETY: takes nothing and returns a number.
    let [_, major, minor, patch] = unsafe { lava_version() }.to_be_bytes();
    (major, minor, patch)
}
