//! What a context's environment variables say. Read once, at its creation.

use crate::error::{Error, Result};
use crate::log::Level;
use crate::memory::vulkan::Allowed;
use crate::scope::Forced;
use crate::transport::mpi::settings::Choice;

/// The variables that lava knows.
const KNOWN: [&str; 7] = [
    "LAVA_RUNTIME_DIR",
    "LAVA_LOG",
    "LAVA_SCOPE",
    "LAVA_SPIN_NS",
    "LAVA_VULKAN",
    "LAVA_MPI",
    "LAVA_PLUGIN_DIR",
];

/// Variables of lava's own build and tests, which are not for the library.
const IGNORED: [&str; 3] = ["LAVA_LIB_DIR", "LAVA_BLESS", "LAVA_TESTS"];

/// The environment, as far as it concerns lava.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    pub runtime_directory: Option<String>,
    pub xdg_runtime_directory: Option<String>,
    pub log: Option<Level>,
    pub forced: Option<Forced>,
    pub spin_ns: Option<u64>,
    pub vulkan: Option<Allowed>,
    pub mpi: Option<Choice>,
    pub plugin_directory: Option<String>,
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
            "LAVA_VULKAN" if !value.is_empty() => {
                self.vulkan =
                    Some(Allowed::parse(value).map_err(|error| error.context("LAVA_VULKAN"))?);
            }
            "LAVA_MPI" if !value.is_empty() => {
                self.mpi = Some(Choice::parse(value).map_err(|error| error.context("LAVA_MPI"))?);
            }
            "LAVA_PLUGIN_DIR" if !value.is_empty() => {
                self.plugin_directory = Some(value.to_owned())
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<Environment> {
        let mut environment = Environment::default();
        environment.set(name, value).map(|()| environment)
    }

    #[test]
    fn known_variables_are_read() {
        let directory = set("LAVA_RUNTIME_DIR", "/tmp/x").unwrap();
        assert_eq!(directory.runtime_directory.as_deref(), Some("/tmp/x"));
        let xdg = set("XDG_RUNTIME_DIR", "/run/x").unwrap();
        assert_eq!(xdg.xdg_runtime_directory.as_deref(), Some("/run/x"));
        assert_eq!(set("LAVA_SPIN_NS", "18446744073709551615").unwrap().spin_ns, Some(u64::MAX));
        assert_eq!(set("LAVA_SCOPE", "remote").unwrap().forced, Some(Forced::Remote));
        for (word, allowed) in
            [("auto", Allowed::Gpus), ("off", Allowed::Off), ("cpu", Allowed::All)]
        {
            assert_eq!(set("LAVA_VULKAN", word).unwrap().vulkan, Some(allowed));
        }
        assert!(set("LAVA_LOG", "debug").unwrap().log.is_some());
        assert_eq!(set("LAVA_MPI", "mpich").unwrap().mpi, Some(Choice::Mpich));
        let path = set("LAVA_MPI", "/opt/x.so").unwrap().mpi;
        assert_eq!(path, Some(Choice::Plugin("/opt/x.so".into())));
        let plugins = set("LAVA_PLUGIN_DIR", "/opt").unwrap().plugin_directory;
        assert_eq!(plugins.as_deref(), Some("/opt"));
    }

    #[test]
    fn empty_variables_count_as_unset() {
        for name in KNOWN.iter().chain(&["XDG_RUNTIME_DIR"]) {
            let environment = set(name, "").unwrap();
            assert_eq!(format!("{environment:?}"), format!("{:?}", Environment::default()));
        }
    }

    #[test]
    fn wrong_values_name_the_variable() {
        for (name, value) in [
            ("LAVA_SPIN_NS", "fast"),
            ("LAVA_SPIN_NS", "-1"),
            ("LAVA_SCOPE", "x"),
            ("LAVA_LOG", "x"),
            ("LAVA_VULKAN", "gpu"),
            ("LAVA_MPI", "intel"),
        ] {
            let error = set(name, value).unwrap_err();
            assert!(error.message.contains(name) && error.message.contains(value), "{error}");
        }
    }

    #[test]
    fn unknown_variables_are_warned_about_and_others_ignored() {
        let mut environment = Environment::default();
        for name in ["LAVA_RUNTIMEDIR", "LAVA_BLESS", "LAVA_LIB_DIR", "LAVA", "HOME"] {
            environment.set(name, "1").unwrap();
        }
        assert_eq!(environment.unknown, ["LAVA_RUNTIMEDIR"]);
        let warning = environment.warning().unwrap();
        assert!(warning.contains("LAVA_RUNTIMEDIR unknown") && warning.contains("LAVA_SPIN_NS"));
        assert_eq!(Environment::default().warning(), None);
    }
}
