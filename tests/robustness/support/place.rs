//! Where a scene plays: a directory that is removed after it, and contexts that meet there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use lava::{Consumer, ConsumerOptions, Context, ContextOptions, Producer, ProducerOptions};
use tempfile::TempDir;

use super::PATIENCE;

/// Root of the place of a scene's process.
const ROOT: &str = "ROBUSTNESS_ROOT";

/// See the module.
#[derive(Clone)]
pub(crate) struct Place {
    root: PathBuf,
    _directory: Option<Arc<TempDir>>,
}

impl Place {
    /// A new one, removed with the last copy of this value. In memory, as runtime directories usually are: a disk that
    /// others keep busy would be measured, too.
    pub(crate) fn new() -> std::io::Result<Self> {
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
        Ok(Self { root: directory.path().to_owned(), _directory: Some(Arc::new(directory)) })
    }

    /// The one that the starter of this process made.
    pub(crate) fn of_environment() -> Option<Self> {
        std::env::var_os(ROOT).map(|root| Self { root: root.into(), _directory: None })
    }

    /// Tells a process that is about to be started.
    pub(crate) fn put_into(&self, command: &mut Command) {
        command.env(ROOT, &self.root);
    }

    /// For files of the scene.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The runtime directory of the scene's contexts. Must be empty at the end.
    pub(crate) fn runtime(&self) -> PathBuf {
        self.root.join("run")
    }

    pub(crate) fn options(&self) -> ContextOptions {
        ContextOptions::new().runtime_directory(self.runtime())
    }

    pub(crate) fn context(&self) -> Context {
        Context::create(&self.options()).expect("a context")
    }

    /// Loads what Vulkan keeps in a process for ever, so that a census does not count it.
    pub(crate) fn load_vulkan(&self) {
        let options = self.options().devices(lava::Devices::All);
        let context = Context::create(&options).expect("a context");
        let _ = context.devices();
    }

    /// A consumer with a context of its own.
    pub(crate) fn consumer(&self, name: &str) -> Consumer {
        let options = ConsumerOptions::new().timeout(PATIENCE);
        Consumer::open(&self.context(), name, &options).expect("a consumer")
    }

    /// A producer with a context of its own.
    pub(crate) fn producer(&self, name: &str, options: &ProducerOptions) -> Producer {
        Producer::create(&self.context(), name, options).expect("a producer")
    }
}
