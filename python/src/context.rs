//! The context, and the words that all classes use for options.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lava::{ContextOptions, Devices, LogLevel, Memory, Mpi, Scope, Timeout, Transport, Uuid};
use parking_lot::RwLock;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::failure::{Failure, OrRaise};
use crate::fork::Birth;
use crate::location::{Location, ScopeReport};
use crate::log;
use crate::wait::Deadline;

/// All state of one user of the library.
#[pyclass(frozen, weakref, module = "lava")]
pub(crate) struct Context {
    context: RwLock<Option<Arc<lava::Context>>>,
    birth: Birth,
    /// The communicator that was handed in: it must live until the job is joined.
    _communicator: Option<Py<PyAny>>,
}

impl Context {
    pub(crate) fn handle(&self) -> PyResult<Arc<lava::Context>> {
        self.birth.check()?;
        let context = self.context.read().clone();
        Ok(context.ok_or_else(|| Failure::ended("context"))?)
    }

    /// Uses the context, detached from the interpreter.
    pub(crate) fn within<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&lava::Context) -> Result<R, Failure> + Send,
    ) -> PyResult<R> {
        let context = self.handle()?;
        Ok(py.detach(|| work(&context))?)
    }
}

#[pymethods]
impl Context {
    #[new]
    #[pyo3(signature = (runtime_directory=None, *, scope=None, spin=None, devices=None, log=None, mpi=None))]
    fn new(
        py: Python<'_>,
        runtime_directory: Option<PathBuf>,
        scope: Option<&str>,
        spin: Option<f64>,
        devices: Option<&str>,
        log: Option<&str>,
        mpi: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let mut options = ContextOptions::new();
        if let Some(directory) = runtime_directory {
            options = options.runtime_directory(directory);
        }
        if let Some(scope) = scope {
            options = options.scope(scope_of(scope)?);
        }
        if let Some(seconds) = spin {
            options = options.spin(spin_of(seconds)?);
        }
        if let Some(devices) = devices {
            options = options.devices(devices_of(devices)?);
        }
        let level = match log {
            Some(name) => level_of(name)?,
            // `LAVA_LOG` asks for a log on standard error, which a sink would replace.
            None if std::env::var_os("LAVA_LOG").is_some() => None,
            None => log::level(py)?,
        };
        if let Some(level) = level {
            options = options.log(level, log::write);
        }
        let mut communicator = None;
        match mpi {
            None => {}
            Some(mpi) => match mpi.cast::<PyString>() {
                Ok(name) => options = options.mpi(mpi_of(&name.to_cow()?)?),
                Err(_) => {
                    let number = communicator_of(&mpi)?;
                    // SAFETY: the communicator's object lives as long as this context.
                    options = unsafe { options.mpi_communicator(number) };
                    communicator = Some(mpi.unbind());
                }
            },
        }
        let context = py.detach(|| lava::Context::create(&options)).or_raise()?;
        Ok(Self {
            context: RwLock::new(Some(Arc::new(context))),
            birth: Birth::now(),
            _communicator: communicator,
        })
    }

    #[getter]
    fn closed(&self) -> bool {
        self.context.read().is_none()
    }

    /// Where this process is.
    #[getter]
    fn location(&self, py: Python<'_>) -> PyResult<Location> {
        Ok(Location::new(self.within(py, |context| Ok(lava::Location::current(context)?))?))
    }

    /// Whether two processes can share memory, and the evidence; without `b`, this process and `a`.
    #[pyo3(signature = (a, b=None))]
    fn detect_scope(
        &self,
        py: Python<'_>,
        a: &Location,
        b: Option<&Location>,
    ) -> PyResult<ScopeReport> {
        let (a, b) = (a.get(), b.map(Location::get));
        let report = self.within(py, |context| {
            let (from, to) = match b {
                Some(b) => (a, b),
                None => (lava::Location::current(context)?, a),
            };
            Ok(Scope::detect(context, &from, &to)?)
        })?;
        Ok(ScopeReport::new(&report))
    }

    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let text = self.within(py, |context| Ok(context.describe()?))?;
        parse_json(py, &text)
    }

    /// The live channels in the runtime directory.
    #[pyo3(signature = (timeout=1.0))]
    fn list_channels<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Bound<'py, PyAny>> {
        let patience = Deadline::new(Some(timeout))?.left(Duration::MAX);
        let text = self.within(py, |context| Ok(context.list_channels(patience)?))?;
        parse_json(py, &text)
    }

    /// The GPUs of this machine, those that cannot be used included.
    fn devices<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let list = self.within(py, |context| Ok(context.devices()?))?;
        list.iter().map(|device| describe_device(py, device)).collect()
    }

    /// Where each rank of the MPI job is; empty without one.
    #[pyo3(signature = (timeout=None))]
    fn peers(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Vec<Location>> {
        let deadline = Deadline::new(timeout)?;
        let context = self.handle()?;
        let ask = |slice| match context.peers(slice).map_err(Failure::from) {
            Err(failure) if failure.is_wait() => Ok(None),
            result => result.map(Some),
        };
        let peers = deadline.repeat(py, ask)?.ok_or_else(|| {
            Failure::out_of_time("some ranks have not joined the job", !deadline.is_now())
        })?;
        Ok(peers.into_iter().map(Location::new).collect())
    }

    /// Moves frames from and to other hosts in this thread; false: nothing moved.
    #[pyo3(signature = (timeout=0.0))]
    fn progress(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let context = self.handle()?;
        let moved = Deadline::new(timeout)?
            .repeat(py, |slice| Ok(context.progress(slice)?.then_some(())))?;
        Ok(moved.is_some())
    }

    /// Ends the use of the context. Producers, consumers, buffers and frames of it stay valid.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.birth.check()?;
        let context = self.context.write().take();
        py.detach(|| drop(context));
        log::pass_on(py)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        if self.closed() {
            return Ok("<lava.Context, closed>".to_owned());
        }
        let about = self.describe(py)?;
        Ok(format!("<lava.Context in {}>", about.get_item("runtime_directory")?))
    }
}

fn describe_device<'py>(py: Python<'py>, device: &lava::Device) -> PyResult<Bound<'py, PyDict>> {
    let about = PyDict::new(py);
    about.set_item("uuid", device.uuid.to_string())?;
    about.set_item("driver_uuid", device.driver_uuid.to_string())?;
    about.set_item("name", &device.name)?;
    about.set_item("kind", format!("{:?}", device.kind).to_lowercase())?;
    about.set_item("driver", format!("{} {}", device.driver_name, device.driver_info).trim())?;
    about.set_item("pci", device.pci.as_ref().map(ToString::to_string))?;
    let local = device.heaps.iter().filter(|heap| heap.device_local);
    about.set_item("memory", local.map(|heap| heap.size).sum::<u64>())?;
    about.set_item("max_allocation", device.max_allocation)?;
    about.set_item("exportable", device.exportable)?;
    about.set_item("timeline_exportable", device.timeline_exportable)?;
    about.set_item("unusable", device.unusable.as_ref())?;
    Ok(about)
}

/// Reads JSON as Python does.
pub(crate) fn parse_json<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (text,))
}

fn scope_of(name: &str) -> Result<Scope, Failure> {
    match name {
        "local" => Ok(Scope::Local),
        "remote" => Ok(Scope::Remote),
        _ => {
            Err(Failure::argument(format!("scope '{name}' is not known; give 'local' or 'remote'")))
        }
    }
}

fn spin_of(seconds: f64) -> Result<Timeout, Failure> {
    if seconds == f64::INFINITY {
        return Ok(Timeout::FOREVER);
    }
    let duration = Duration::try_from_secs_f64(seconds);
    duration
        .map(Timeout::from)
        .map_err(|_| Failure::argument(format!("spin is {seconds}; give seconds, 0 or more")))
}

fn devices_of(name: &str) -> Result<Devices, Failure> {
    match name {
        "auto" => Ok(Devices::Auto),
        "off" => Ok(Devices::Off),
        "all" => Ok(Devices::All),
        _ => Err(Failure::argument(format!(
            "devices '{name}' is not known; give 'auto', 'off' or 'all'"
        ))),
    }
}

fn level_of(name: &str) -> Result<Option<LogLevel>, Failure> {
    Ok(Some(match name {
        "off" => return Ok(None),
        "error" => LogLevel::Error,
        "warn" | "warning" => LogLevel::Warn,
        "info" => LogLevel::Info,
        "debug" => LogLevel::Debug,
        _ => {
            return Err(Failure::argument(format!(
                "log '{name}' is not known; give 'off', 'error', 'warning', 'info' or 'debug'"
            )));
        }
    }))
}

fn mpi_of(name: &str) -> Result<Mpi, Failure> {
    match name {
        "auto" => Ok(Mpi::Auto),
        "off" => Ok(Mpi::Off),
        "openmpi" => Ok(Mpi::OpenMpi),
        "mpich" => Ok(Mpi::Mpich),
        _ => Err(Failure::argument(format!(
            "mpi '{name}' is not known; give 'auto', 'off', 'openmpi', 'mpich' or a communicator of mpi4py"
        ))),
    }
}

/// The Fortran number of a communicator of mpi4py.
fn communicator_of(object: &Bound<'_, PyAny>) -> PyResult<i64> {
    match object.getattr_opt("py2f")? {
        Some(number) => number.call0()?.extract(),
        None => Err(Failure::argument(format!(
            "mpi is {object}; give 'auto', 'off', 'openmpi', 'mpich' or a communicator of mpi4py"
        ))
        .into()),
    }
}

/// A kind of memory by its name.
pub(crate) fn memory_of(name: &str) -> Result<Memory, Failure> {
    match name {
        "auto" => Ok(Memory::Auto),
        "standard" | "host" => Ok(Memory::Standard),
        "numa" => Ok(Memory::Numa),
        "huge" => Ok(Memory::Huge),
        "pinned" => Ok(Memory::Pinned),
        "device" => Ok(Memory::Device),
        _ => Err(Failure::argument(format!(
            "memory '{name}' is not known; give 'auto', 'host', 'numa', 'huge', 'pinned' or 'device'"
        ))),
    }
}

/// What to try if the memory asked for cannot be had.
pub(crate) fn memories_of(names: Option<Vec<String>>) -> Result<Vec<Memory>, Failure> {
    names.unwrap_or_default().iter().map(|name| memory_of(name)).collect()
}

pub(crate) fn memory_name(memory: Memory) -> &'static str {
    match memory {
        Memory::Standard => "host",
        Memory::Numa => "numa",
        Memory::Huge => "huge",
        Memory::Pinned => "pinned",
        Memory::Device => "device",
        _ => "auto",
    }
}

pub(crate) fn transport_name(transport: Transport) -> String {
    match transport {
        Transport::Other(bit) => format!("transport {bit}"),
        known => format!("{known:?}").to_lowercase(),
    }
}

/// The transports of `require`, a name or several, and whether `zero-copy` is among them.
pub(crate) fn transports_of(
    require: Option<&Bound<'_, PyAny>>,
) -> PyResult<(Vec<Transport>, bool)> {
    let Some(require) = require else { return Ok((Vec::new(), false)) };
    let names = match require.cast::<PyString>() {
        Ok(name) => vec![name.to_cow()?.into_owned()],
        Err(_) => require.extract::<Vec<String>>()?,
    };
    let (mut transports, mut zero_copy) = (Vec::new(), false);
    for name in names {
        match name.as_str() {
            "zero-copy" => zero_copy = true,
            "shm" => transports.push(Transport::Shm),
            "vulkan" => transports.push(Transport::Vulkan),
            "staged" => transports.push(Transport::Staged),
            "peer" => transports.push(Transport::Peer),
            "mpi" => transports.push(Transport::Mpi),
            _ => {
                return Err(Failure::argument(format!(
                    "require '{name}' is not known; give 'shm', 'vulkan', 'staged', 'peer', 'mpi' or 'zero-copy'"
                ))
                .into());
            }
        }
    }
    Ok((transports, zero_copy))
}

/// A GPU's UUID: text, 16 bytes, or an object whose text it is, such as `uuid.UUID`.
pub(crate) fn uuid_of(object: &Bound<'_, PyAny>) -> PyResult<Uuid> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        let bytes = bytes.as_bytes();
        let array = bytes.try_into().map_err(|_| {
            Failure::argument(format!("a UUID of {} bytes; it has 16", bytes.len()))
        })?;
        return Ok(Uuid::from_bytes(array));
    }
    let text = object.str()?;
    text.to_cow()?.parse().or_raise()
}
