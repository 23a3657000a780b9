//! A place to meet, and the other end in a process of its own.

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use lava::{Consumer, ConsumerOptions, Context, ContextOptions, Producer, ProducerOptions};
use tempfile::TempDir;

/// Long enough for the slowest machine: reached only by a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A runtime directory of one test.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.0.path()
    }

    pub(crate) fn options(&self) -> ContextOptions {
        ContextOptions::new().runtime_directory(self.path())
    }

    pub(crate) fn context(&self) -> Context {
        Context::create(&self.options()).unwrap()
    }

    /// A producer and a consumer of one channel, each of its own context.
    pub(crate) fn pair(&self, options: &ProducerOptions) -> (Producer, Consumer) {
        let producer = Producer::create(&self.context(), "pair", options).unwrap();
        let consumer = self.consumer("pair");
        (producer, consumer)
    }

    pub(crate) fn consumer(&self, name: &str) -> Consumer {
        self.consumer_with(name, &ConsumerOptions::new())
    }

    pub(crate) fn consumer_with(&self, name: &str, options: &ConsumerOptions) -> Consumer {
        Consumer::open(&self.context(), name, &options.clone().timeout(PATIENCE)).unwrap()
    }

    /// Starts a function of `processes::ROLES` in a new process that meets here.
    pub(crate) fn child(&self, role: &str) -> Process {
        self.child_with(role, &[])
    }

    /// As [`Self::child`], with more variables in its environment.
    pub(crate) fn child_with(&self, role: &str, variables: &[(&str, &str)]) -> Process {
        let program = std::env::current_exe().unwrap();
        let child = Command::new(program)
            .args(["--ignored", "--exact", "--nocapture", "processes::child"])
            .env("LAVA_TEST_ROLE", role)
            .env("LAVA_RUNTIME_DIR", self.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Process(Some(child))
    }
}

/// A child process. Killed if the test ends without waiting for it.
pub(crate) struct Process(Option<Child>);

impl Process {
    /// Waits for a normal end.
    pub(crate) fn success(mut self) {
        let Output { status, stdout, stderr } = self.0.take().unwrap().wait_with_output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "child: {status}\n{stdout}\n{stderr}");
        assert!(stdout.contains("1 passed"), "the child ran nothing:\n{stdout}\n{stderr}");
    }

    /// Kills it with SIGKILL and reaps it.
    pub(crate) fn kill(mut self) {
        let mut child = self.0.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `size` bytes that differ from place to place and from `seed` to `seed`.
pub(crate) fn pattern(size: usize, seed: usize) -> Vec<u8> {
    (0..size).map(|index| ((index * 31 + seed * 17) ^ (index >> 8)) as u8).collect()
}

/// The next frame's bytes.
pub(crate) fn next(consumer: &mut Consumer) -> Vec<u8> {
    consumer.receive().unwrap().expect("a frame").copy_to_vec().unwrap()
}
