//! Other hosts: the MPI job that a context is a member of.

use lava_sys::*;

use crate::bytes::{CStruct, fetch_text};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::location::Location;
use crate::timeout::Timeout;

/// Which MPI reaches other hosts. It is loaded and initialised when a channel end is made in a job of more than one rank,
/// not before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mpi {
    /// What the environment says, `LAVA_MPI=auto|off|openmpi|mpich|PATH`; else the MPI that the process has loaded, else
    /// the launcher's.
    Auto,
    /// None.
    Off,
    /// Open MPI, 4.0 or later.
    OpenMpi,
    /// MPICH 3.3 or later, or an MPI with its binary interface.
    Mpich,
}

impl Mpi {
    pub(crate) fn to_raw(self) -> u32 {
        match self {
            Self::Auto => LAVA_MPI_AUTO,
            Self::Off => LAVA_MPI_OFF,
            Self::OpenMpi => LAVA_MPI_OPENMPI,
            Self::Mpich => LAVA_MPI_MPICH,
        }
    }
}

impl Context {
    /// Where each rank of the MPI job is, in the order of the ranks, this one included; empty if this process is in no job,
    /// or MPI is off. Joins the job if no channel end has done so yet, which completes when every rank has.
    ///
    /// Blocks: up to `timeout` for the other ranks; without a limit if the application initialised MPI below
    /// `MPI_THREAD_MULTIPLE`.
    ///
    /// # Errors
    /// `TimedOut` (some ranks are still to come); `Unsupported` (no plug-in, a launcher of another MPI, two MPIs: the
    /// message says which, and what to do); `Limit` (another context of this process is in the job with
    /// other settings); `Forked`.
    pub fn peers(&self, timeout: impl Into<Timeout>) -> Result<Vec<Location>> {
        let (mut count, timeout) = (0, timeout.into().nanoseconds());
        Error::check(|error| {
            // SAFETY: the context is live; the result is valid for writing.
            unsafe { lava_context_get_peer_count(self.0.as_ptr(), timeout, &raw mut count, error) }
        })?;
        (0..count)
            .map(|rank| {
                let mut location = lava_location::sized();
                Error::check(|error| {
                    let context = self.0.as_ptr();
                    // SAFETY: the context is live; the result is valid for writing.
                    unsafe {
                        lava_context_get_peer_location(context, rank, &raw mut location, error)
                    }
                })?;
                Ok(Location::from_raw(location))
            })
            .collect()
    }

    /// Moves frames from and to other hosts in this thread. Needed where the application initialised MPI below
    /// `MPI_THREAD_MULTIPLE`, in the thread that may call MPI: then nothing moves but in this call. Elsewhere threads of
    /// lava's do it, and this only helps. False: nothing moved.
    ///
    /// Blocks: up to `timeout`, until something has moved.
    ///
    /// # Errors
    /// `Forked`.
    pub fn progress(&self, timeout: impl Into<Timeout>) -> Result<bool> {
        let timeout = timeout.into().nanoseconds();
        let status = Error::positive(|error| {
            // SAFETY: the context is live.
            unsafe { lava_context_progress(self.0.as_ptr(), timeout, error) }
        })?;
        Ok(status == LAVA_OK)
    }

    /// Describes the MPI that the context uses or would use, as JSON: choice, launcher, state, plug-in, library, and the
    /// job if it has been joined; or the reason why there is none. Loads the plug-in, and does not initialise MPI.
    ///
    /// # Errors
    /// `OutOfMemory`, `Forked`.
    pub fn describe_mpi(&self) -> Result<String> {
        fetch_text(|buffer, capacity, needed, error| {
            // SAFETY: the context is live; `buffer` has `capacity` bytes.
            unsafe { lava_context_describe_mpi(self.0.as_ptr(), buffer, capacity, needed, error) }
        })
    }
}
