//! Which MPI a context may use, and which communicator of the application's.

use std::path::PathBuf;

use crate::error::{Error, Result};

/// Which MPI.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Choice {
    /// The one that the process has loaded, else the launcher's, else none.
    #[default]
    Auto,
    Off,
    OpenMpi,
    Mpich,
    /// The plug-in at this path.
    Plugin(PathBuf),
}

impl Choice {
    /// Reads `LAVA_MPI`.
    pub fn parse(word: &str) -> Result<Self> {
        match word {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            "openmpi" => Ok(Self::OpenMpi),
            "mpich" => Ok(Self::Mpich),
            path if path.contains('/') => Ok(Self::Plugin(path.into())),
            _ => Err(Error::argument(format!(
                "MPI {word:?} is not one of auto, off, openmpi, mpich, or the path of a plug-in (with a slash)"
            ))),
        }
    }

    pub fn name(&self) -> String {
        match self {
            Self::Auto => "auto".into(),
            Self::Off => "off".into(),
            Self::OpenMpi => "openmpi".into(),
            Self::Mpich => "mpich".into(),
            Self::Plugin(path) => path.display().to_string(),
        }
    }
}

/// How a context uses MPI.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MpiSettings {
    pub choice: Choice,
    /// The application's communicator, as Fortran's handle; None: all ranks. Any number is a valid handle.
    pub communicator: Option<i64>,
    /// Searched for the plug-in before all other places.
    pub plugin_directory: Option<PathBuf>,
}
