//! The context: all state of one user of the library.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::deferral::Deferral;
use super::presence;
use super::remote::progress::{Facts, Remote};
use super::rendezvous;
use super::service::{Service, Source, lock};
use super::settings::Environment;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::memory::MemoryContext;
use crate::memory::vulkan::{Allowed, ApplicationDevice, GpuSettings};
use crate::os::clock::Deadline;
use crate::os::directory::{self, Directory};
use crate::os::fork::ForkGuard;
use crate::scope::{Forced, Location};
use crate::transport::deferred::Deferred;
use crate::transport::mpi::job::Job;
use crate::transport::mpi::settings::{Choice, MpiSettings};
use crate::transport::mpi::start::Start;
use crate::types::{LAVA_ERROR_FORKED, LAVA_TIMED_OUT};

/// What `lava_context_create` was told; None: the environment or the default decides.
#[derive(Debug, Default)]
pub struct Options {
    pub forced: Option<Forced>,
    pub runtime_directory: Option<String>,
    pub log: Option<Log>,
    pub spin_ns: Option<u64>,
    /// Which GPUs may be used.
    pub vulkan: Option<Allowed>,
    /// The application's GPU instead of lava's own.
    pub application: Option<ApplicationDevice>,
    pub mpi: Option<Choice>,
    /// The application's MPI communicator, as Fortran's handle.
    pub communicator: Option<i64>,
}

/// Nanoseconds that a waiting call spins by default: a few times what a sleep and wake-up cost.
const SPIN_NS: u64 = 50_000;

/// See the module.
#[derive(Debug)]
pub struct Context {
    pub log: Log,
    pub directory: Arc<Directory>,
    pub fork: Arc<ForkGuard>,
    pub forced: Forced,
    pub spin_ns: u64,
    /// The same for who waits for another host: with one processor, too, because what it waits for runs on another.
    pub remote_spin_ns: u64,
    /// Random identity, never 0.
    pub id: u64,
    location: Location,
    environment: Environment,
    /// The MPI job, joined when a channel end is made in one.
    pub mpi: Arc<Start>,
    memory: MemoryContext,
    service: Mutex<Option<Service>>,
    presence: Mutex<Option<presence::Presence>>,
    swept: Mutex<bool>,
    deferred: Mutex<Option<Arc<Deferred>>>,
    /// Connections to other hosts.
    pub remote: Arc<Remote>,
}

impl Context {
    pub fn create(options: Options) -> Result<Arc<Self>> {
        let environment = Environment::read()?;
        let log = match (options.log, environment.log) {
            (Some(log), _) => log,
            (None, Some(level)) => Log::to_stderr(level),
            (None, None) => Log::none(),
        };
        if let Some(warning) = environment.warning() {
            log.warn(|| warning);
        }
        let directory = options
            .runtime_directory
            .or_else(|| environment.runtime_directory.clone())
            .or_else(|| environment.xdg_runtime_directory.as_ref().map(|xdg| format!("{xdg}/lava")))
            .unwrap_or_else(|| format!("/tmp/lava-{}", directory::user()));
        let default_spin = match std::thread::available_parallelism() {
            Ok(processors) if processors.get() == 1 => 0,
            _ => SPIN_NS,
        };
        let spin = options.spin_ns.or(environment.spin_ns);
        let gpus = GpuSettings {
            allowed: options.vulkan.or(environment.vulkan).unwrap_or_default(),
            application: options.application,
        };
        let mpi = MpiSettings {
            choice: options.mpi.or_else(|| environment.mpi.clone()).unwrap_or_default(),
            communicator: options.communicator,
            plugin_directory: environment.plugin_directory.as_ref().map(Into::into),
        };
        let id = random_id()?;
        // Before the directory, which keeps a descriptor: where one is left, /proc can be read too. Once: later, when
        // none is left, this process would seem to be nowhere.
        let mut location = Location::current(0, 0, id);
        let directory = Directory::open(directory.trim_end_matches('/'))?;
        (location.runtime_device, location.runtime_inode) = (directory.device, directory.inode);
        let fork = Arc::new(ForkGuard::new()?);
        let forced = options.forced.or(environment.forced).unwrap_or(Forced::Auto);
        let memory = MemoryContext::new(log.clone(), gpus);
        let facts = Facts {
            log: log.clone(),
            location: location.clone(),
            memory: memory.clone(),
            fork: Arc::clone(&fork),
            channels: Mutex::default(),
        };
        let remote = Remote::of(mpi, facts);
        Ok(Arc::new(Self {
            mpi: Arc::clone(remote.start()),
            remote,
            directory: Arc::new(directory),
            location,
            fork,
            forced,
            spin_ns: spin.unwrap_or(default_spin),
            remote_spin_ns: spin.unwrap_or(SPIN_NS),
            id,
            memory,
            environment,
            log,
            service: Mutex::new(None),
            presence: Mutex::new(None),
            swept: Mutex::new(false),
            deferred: Mutex::new(None),
        }))
    }

    pub fn memory_context(&self) -> &MemoryContext {
        &self.memory
    }

    /// Where this process is; with its rank once it has joined an MPI job.
    pub fn location(&self) -> Location {
        let mut location = self.location.clone();
        if let Ok(Some(job)) = self.joined_job() {
            location.rank = job.rank;
        }
        location
    }

    /// The MPI job, if it has been joined; an error if that failed.
    pub fn joined_job(&self) -> Result<Option<Arc<Job>>> {
        self.mpi.job(Deadline::after(0))
    }

    /// The MPI job, joined now if it was not; None: this process is in no job. An error if it cannot be joined, or if not
    /// all ranks have met in time.
    pub fn mpi_job(self: &Arc<Self>, timeout_ns: u64) -> Result<Option<Arc<Job>>> {
        self.check_fork()?;
        if !self.mpi.is_possible() {
            return Ok(None);
        }
        self.mpi.begin(&self.present()?, &self.log)?;
        self.remote.join();
        self.mpi.job(Deadline::after(timeout_ns))?.map(Some).ok_or_else(|| {
            let words = "not all ranks of the MPI job have met yet: each must make a channel end, or ask for its peers";
            Error::new(LAVA_TIMED_OUT, words)
        })
    }

    /// Moves what MPI has to move, for processes whose MPI only one thread may use. True: something moved.
    pub fn progress(&self, timeout_ns: u64) -> Result<bool> {
        self.check_fork()?;
        self.remote.progress(Deadline::after(timeout_ns))
    }

    /// Where this process is, after making sure that others can prove to reach it.
    pub fn present(self: &Arc<Self>) -> Result<Location> {
        self.check_fork()?;
        let mut presence = lock(&self.presence);
        if presence.is_none() {
            *presence = Some(presence::Presence::start(self)?);
        }
        Ok(self.location())
    }

    /// Refuses work in a forked child: the service thread is not there, and the sockets are the parent's.
    pub fn check_fork(&self) -> Result<()> {
        if self.fork.is_child() {
            return Err(Error::new(
                LAVA_ERROR_FORKED,
                "this handle belongs to the parent of this forked process; create a context of its own in the child",
            ));
        }
        Ok(())
    }

    /// Lets the service thread watch a source; starts the thread if this is the first.
    pub fn watch(&self, source: Box<dyn Source>) -> Result<u64> {
        let mut service = lock(&self.service);
        if service.is_none() {
            *service = Some(Service::start(self.log.clone())?);
        }
        service
            .as_ref()
            .ok_or_else(|| Error::new(crate::types::LAVA_ERROR_INTERNAL, "no service thread"))?
            .add(source)
    }

    /// The releases that wait for a GPU; the service thread looks after them from the first call on.
    pub fn deferred(&self) -> Result<Arc<Deferred>> {
        let mut deferred = lock(&self.deferred);
        if let Some(deferred) = deferred.as_ref() {
            return Ok(Arc::clone(deferred));
        }
        let new = Arc::new(Deferred::new()?);
        self.watch(Box::new(Deferral::new(Arc::clone(&new))))?;
        *deferred = Some(Arc::clone(&new));
        Ok(new)
    }

    /// Undoes [`Self::watch`].
    pub fn unwatch(&self, token: u64) {
        if self.fork.is_child() {
            return;
        }
        if let Some(service) = lock(&self.service).as_ref() {
            service.remove(token);
        }
    }

    /// Removes socket files that dead processes left, once for each context.
    pub fn sweep(&self) {
        let mut swept = lock(&self.swept);
        if !std::mem::replace(&mut *swept, true) {
            rendezvous::sweep(&self.directory, &self.log);
        }
    }

    pub fn describe(&self) -> String {
        let variables = json!({
            "LAVA_RUNTIME_DIR": self.environment.runtime_directory,
            "LAVA_LOG": self.environment.log.map(|level| level.name()),
            "LAVA_SCOPE": self.environment.forced.map(|forced| forced.name()),
            "LAVA_SPIN_NS": self.environment.spin_ns,
            "LAVA_VULKAN": self.environment.vulkan.map(Allowed::name),
            "LAVA_MPI": self.environment.mpi.as_ref().map(Choice::name),
            "LAVA_PLUGIN_DIR": self.environment.plugin_directory,
        });
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "abi_version": crate::types::LAVA_ABI_VERSION,
            "protocol_version": crate::wire::VERSION,
            "runtime_directory": self.directory.path(),
            "location": self.location().to_string(),
            "forced_scope": self.forced.name(),
            "spin_ns": self.spin_ns,
            "vulkan": self.memory.gpus().settings().allowed.name(),
            "application_device": self.memory.gpus().settings().application.is_some(),
            "mpi": self.mpi.to_json(),
            "environment": variables,
            "unknown_environment": self.environment.unknown,
            "channels": rendezvous::channels(&self.directory).unwrap_or_default(),
        })
        .to_string()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.remote.leave(self.id);
        if self.fork.is_child() {
            if let Some(service) = lock(&self.service).as_mut() {
                service.abandon();
            }
            if let Some(presence) = lock(&self.presence).as_mut() {
                presence.abandon();
            }
        }
    }
}

fn random_id() -> Result<u64> {
    let mut bytes = [0_u8; 8];
    crate::os::random::fill(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes).max(1))
}
