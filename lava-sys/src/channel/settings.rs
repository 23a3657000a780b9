//! What a context's environment variables say. Read once, at its creation.

use crate::error::{Error, Result};
use crate::log::Level;
use crate::scope::Forced;

/// The variables that lava knows.
const KNOWN: [&str; 4] = ["LAVA_RUNTIME_DIR", "LAVA_LOG", "LAVA_SCOPE", "LAVA_SPIN_NS"];

/// Variables of lava's own build and tests, which are not for the library.
const IGNORED: [&str; 2] = ["LAVA_LIB_DIR", "LAVA_BLESS"];

/// The environment, as far as it concerns lava.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    pub runtime_directory: Option<String>,
    pub xdg_runtime_directory: Option<String>,
    pub log: Option<Level>,
    pub forced: Option<Forced>,
    pub spin_ns: Option<u64>,
    /// Names that begin with `LAVA_` and mean nothing to this version: misspelt, or for a newer one.
    pub unknown: Vec<String>,
}

impl Environment {
    /// Reads the process's environment.
    pub fn read() -> Result<Self> {
        let mut found = Self::default();
        for (name, value) in std::env::vars_os() {
            if let (Ok(name), Some(value)) = (name.into_string(), value.to_str()) {
                found.set(&name, value)?;
            }
        }
        found.unknown.sort();
        Ok(found)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "XDG_RUNTIME_DIR" if !value.is_empty() => {
                self.xdg_runtime_directory = Some(value.to_owned())
            }
            "LAVA_RUNTIME_DIR" if !value.is_empty() => {
                self.runtime_directory = Some(value.to_owned())
            }
            "LAVA_LOG" if !value.is_empty() => {
                self.log = Some(Level::parse(value).map_err(|error| error.context("LAVA_LOG"))?);
            }
            "LAVA_SCOPE" if !value.is_empty() => {
                self.forced =
                    Some(Forced::parse(value).map_err(|error| error.context("LAVA_SCOPE"))?);
            }
            "LAVA_SPIN_NS" if !value.is_empty() => {
                self.spin_ns = Some(value.parse().map_err(|_| {
                    Error::argument(format!(
                        "LAVA_SPIN_NS is '{value}'; it is a number of nanoseconds"
                    ))
                })?);
            }
            other
                if other.starts_with("LAVA_")
                    && !KNOWN.contains(&other)
                    && !IGNORED.contains(&other) =>
            {
                self.unknown.push(other.to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    /// A warning for the unknown variables; None if there are none.
    pub fn warning(&self) -> Option<String> {
        (!self.unknown.is_empty()).then(|| {
            format!(
                "environment: {} unknown to this version of lava; it knows {}",
                self.unknown.join(", "),
                KNOWN.join(", ")
            )
        })
    }
}
