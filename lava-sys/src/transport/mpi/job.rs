//! The MPI job that a context is a member of.

use serde_json::{Value, json};

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
    /// From the number of the plug-in's table.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Single, Self::Funneled, Self::Serialized, Self::Multiple]
            .get(usize::try_from(number).ok()?)
            .copied()
    }

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
    /// Whether lava's own threads may call MPI. If not, only the thread that calls `lava_context_progress` does. What
    /// lava initialised itself it uses one call at a time, so `MPI_THREAD_SERIALIZED` is enough then.
    pub fn own_threads(&self) -> bool {
        let level = self.info.thread_level;
        level == ThreadLevel::Multiple
            || (level == ThreadLevel::Serialized && self.info.initialised_by_lava)
    }

    pub fn to_json(&self) -> Value {
        json!({
            "rank": self.rank,
            "ranks": self.ranks.len(),
            "hosts": self.hosts(),
            "plugin": self.info.plugin,
            "library": self.info.library,
            "standard": self.info.standard,
            "thread_level": self.info.thread_level.name(),
            "own_threads": self.own_threads(),
            "gpu_aware": self.info.gpu_aware,
            "initialised_by_lava": self.info.initialised_by_lava,
        })
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
