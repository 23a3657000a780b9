//! The MPI job that a context is a member of.

use crate::scope::Location;

/// What MPI gives to threads, in the order of the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ThreadLevel {
    Single,
    Funneled,
    Serialized,
    Multiple,
}

impl ThreadLevel {
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "MPI_THREAD_SINGLE",
            Self::Funneled => "MPI_THREAD_FUNNELED",
            Self::Serialized => "MPI_THREAD_SERIALIZED",
            Self::Multiple => "MPI_THREAD_MULTIPLE",
        }
    }
}

/// Facts of a job, for `describe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobInfo {
    /// Path of the plug-in.
    pub plugin: String,
    /// First line of `MPI_Get_library_version`.
    pub library: String,
    /// Of the MPI standard, "3.1".
    pub standard: String,
    pub thread_level: ThreadLevel,
    pub gpu_aware: bool,
    /// What started this process; "none": nothing that speaks MPI.
    pub launcher: String,
    /// False: the application initialised MPI, and ends it.
    pub initialised_by_lava: bool,
}

/// The job: who takes part, known from its start. Immutable.
#[derive(Debug)]
pub struct Job {
    pub rank: i32,
    /// Where each rank is, by rank; each with its `rank` set.
    pub ranks: Vec<Location>,
    pub info: JobInfo,
}

impl Job {
    /// Whether lava's own threads may call MPI. If not, only the thread that calls `lava_context_progress` does.
    pub fn own_threads(&self) -> bool {
        self.info.thread_level == ThreadLevel::Multiple
    }

    /// How many different hosts the ranks run on, by boot id, or by name where that is unknown.
    pub fn hosts(&self) -> usize {
        let mut seen: Vec<&Location> = Vec::new();
        for one in &self.ranks {
            let known = seen.iter().any(|other| match one.same_kernel(other) {
                Some(same) => same,
                None => one.host == other.host,
            });
            if !known {
                seen.push(one);
            }
        }
        seen.len()
    }
}
