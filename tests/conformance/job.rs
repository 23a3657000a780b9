//! The parts of a scenario as ranks of an MPI job that take each other for remote, although they are on one host.

use std::fs::{File, OpenOptions};
use std::io::BufReader;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// An MPI with its plug-in of lava.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mpi {
    OpenMpi,
    Mpich,
}

/// What another transport does otherwise by its nature, or cannot show: scenario and reason.
const NOT_REMOTE: &[(&str, &str)] = &[
    ("drop_oldest", "two frames are on their way and cannot be dropped; a unit test shows it"),
    ("send_buffer", "the frame is no memory of the producer's, so its address is not told"),
    (
        "drop_newest",
        "what a consumer took is known to the producer a moment later; a unit test shows it",
    ),
    ("drop_slots", "what a consumer released is known to the producer a moment later"),
    ("huge_frame", "it takes longer than its waits on a small machine"),
    ("scope", "the scope is forced"),
];

/// Scenarios in which a rank is killed.
const DYING: [&str; 3] = ["peer_lost", "consumer_lost", "frame_after_producer"];

impl Mpi {
    /// Those whose launcher and plug-in are there; `LAVA_PLUGIN_DIR` says where the plug-ins are.
    pub(crate) fn all() -> Vec<Self> {
        let Some(plugins) = std::env::var_os("LAVA_PLUGIN_DIR").map(PathBuf::from) else {
            return Vec::new();
        };
        let is_there = |mpi: &Self| {
            let plugin = plugins.join(format!("liblava_mpi_{}.so", mpi.name()));
            let launcher = Command::new(mpi.launcher()).arg("--version").output();
            plugin.exists() && launcher.is_ok_and(|output| output.status.success())
        };
        [Self::OpenMpi, Self::Mpich].into_iter().filter(is_there).collect()
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenMpi => "openmpi",
            Self::Mpich => "mpich",
        }
    }

    fn launcher(self) -> &'static str {
        match self {
            Self::OpenMpi => "mpirun.openmpi",
            Self::Mpich => "mpirun.mpich",
        }
    }

    /// Why a scenario is not played over this transport.
    pub(crate) fn leaves_out(self, scenario: &str) -> Option<&'static str> {
        if self == Self::Mpich && DYING.contains(&scenario) {
            return Some("MPICH ends the whole job when a rank of the same host dies");
        }
        if scenario.starts_with("device_") {
            return Some("GPU memory is for transports of one host");
        }
        NOT_REMOTE.iter().find(|(name, _)| *name == scenario).map(|(_, reason)| *reason)
    }

    /// Options that let the other ranks go on when one dies, as more ranks than processors, by any user.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::OpenMpi => &[
                "--enable-recovery",
                "--oversubscribe",
                "--bind-to",
                "none",
                "--mca",
                "btl",
                "self,tcp,vader",
            ],
            Self::Mpich => &["-disable-auto-cleanup"],
        }
    }
}

/// What a rank's shell does: `$1` directory, `$2` scenario, `$3` channel, `$4` producer's program, `$5` consumer's.
const RANK: &str = r#"
rank=${OMPI_COMM_WORLD_RANK:-$PMI_RANK}
exec <"$1/$rank.in" >"$1/$rank.out" 2>"$1/$rank"
if [ "$rank" = 0 ]; then "$4" producer "$2" "$3"; else "$5" consumer "$2" "$3"; fi
echo $? >"$1/$rank.status"
"#;

/// A started job.
pub(crate) struct Job {
    child: Child,
    directory: PathBuf,
}

/// Nothing of a job that is given up may live on.
impl Drop for Job {
    fn drop(&mut self) {
        // Its own group: the launcher, its helpers and the ranks.
        // SAFETY: a signal to processes that this value started.
        unsafe { libc::kill(-self.child.id().cast_signed(), libc::SIGKILL) };
        let _ = self.child.wait();
    }
}

impl Job {
    /// Starts one producer and `consumers` consumers.
    pub(crate) fn start(
        mpi: Mpi,
        directory: &Path,
        (scenario, consumers): (&str, usize),
        (producer, consumer): (&Path, &Path),
    ) -> Result<Self, String> {
        for rank in 0..=consumers {
            for end in ["in", "out"] {
                make_pipe(&directory.join(format!("{rank}.{end}")))?;
            }
        }
        let mut command = Command::new(mpi.launcher());
        command.args(mpi.options()).arg("-n").arg((consumers + 1).to_string());
        command.args(["sh", "-c", RANK, "rank"]).arg(directory).arg(scenario);
        command.arg(format!("conformance/{scenario}")).arg(producer).arg(consumer);
        command.env("LAVA_RUNTIME_DIR", directory.join("run")).env("LAVA_SCOPE", "remote");
        command.env("CONFORMANCE_TRANSPORT", "mpi");
        // Open MPI's own files: jobs that share them disturb each other's start and end.
        command.env("TMPDIR", directory);
        command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
        let said = File::create(directory.join("launcher")).map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).process_group(0);
        let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        Ok(Self { child, directory: directory.to_owned() })
    }

    /// What a rank reads, and what it writes. Neither waits for the rank.
    pub(crate) fn ends(&self, rank: usize) -> Result<(File, BufReader<File>), String> {
        let open = |end: &str, write: bool| {
            let path = self.directory.join(format!("{rank}.{end}"));
            let mut options = OpenOptions::new();
            // A pipe that is opened for both needs nobody at the other end.
            options.read(true).write(write).custom_flags(libc::O_CLOEXEC);
            options.open(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        Ok((open("in", true)?, BufReader::new(open("out", true)?)))
    }

    /// The exit status of a rank as its shell saw it, once it has ended.
    pub(crate) fn status(&self, rank: usize) -> Option<i32> {
        let text = std::fs::read_to_string(self.directory.join(format!("{rank}.status"))).ok()?;
        text.trim().parse().ok()
    }

    /// True if the launcher has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.directory.join("launcher")).unwrap_or_default()
    }
}

fn make_pipe(path: &Path) -> Result<(), String> {
    let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|error| error.to_string())?;
    // SAFETY: a path that ends with NUL.
    match unsafe { libc::mkfifo(name.as_ptr(), 0o600) } {
        0 => Ok(()),
        _ => Err(format!("{}: {}", path.display(), std::io::Error::last_os_error())),
    }
}
