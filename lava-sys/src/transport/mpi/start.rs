//! How a context joins its job: in the background, because all ranks must meet once and some come late.

use std::sync::Arc;

use super::job::Job;
use super::port::Port;
use super::settings::MpiSettings;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::os::clock::Deadline;
use crate::scope::Location;
use crate::types::LAVA_ERROR_UNSUPPORTED;

/// A context's membership of a job: not begun, under way, there, or failed. Any thread.
#[derive(Debug)]
pub struct Start {
    settings: MpiSettings,
}

impl Start {
    pub fn new(settings: MpiSettings) -> Self {
        Self { settings }
    }

    pub fn settings(&self) -> &MpiSettings {
        &self.settings
    }

    /// Whether a channel end of this context joins the job by itself: a launcher started more than one rank, or the
    /// application gave a communicator, and MPI is not off. Looks at the environment only.
    pub fn is_wanted(&self) -> bool {
        false
    }

    /// Begins to join the job, once; later calls do nothing. Loads the plug-in and looks at MPI's state; an error if
    /// there is none or it does not fit. Meeting the other ranks is left to a thread of its own, unless the application
    /// initialised MPI for one thread: then it is done here, and blocks until all ranks are there.
    pub fn begin(&self, _here: &Location, _log: &Log) -> Result<()> {
        Err(Error::new(LAVA_ERROR_UNSUPPORTED, "this lava has no MPI"))
    }

    /// The job, once all ranks have met; None: not begun, or not met by the deadline. An error if joining it failed.
    pub fn job(&self, _deadline: Deadline) -> Result<Option<Arc<Job>>> {
        Ok(None)
    }

    /// The port of the job that [`Self::job`] gave; once, for the engine.
    pub fn take_port(&self) -> Option<Box<dyn Port>> {
        None
    }
}
