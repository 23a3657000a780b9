//! A runtime directory for one test, and `lava` started in it.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Long enough for the slowest machine: reached only by a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Where the processes of one test meet, and where its files are.
pub(crate) struct Place {
    runtime: TempDir,
    files: TempDir,
    /// `LAVA_VULKAN`, where it is set.
    vulkan: Option<&'static str>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            runtime: tempfile::tempdir().unwrap(),
            files: tempfile::tempdir().unwrap(),
            vulkan: None,
        }
    }

    /// A place where `LAVA_VULKAN` is set.
    pub(crate) fn with_vulkan(value: &'static str) -> Self {
        Self { vulkan: Some(value), ..Self::new() }
    }

    /// A place whose processes may use a GPU, the CPU in disguise included; `None`, said, where there is none.
    pub(crate) fn with_gpu() -> Option<Self> {
        let place = Self::with_vulkan("cpu");
        let found = json(&place.run(&["info", "--json"]))["gpus"]["found"] == true;
        if !found {
            println!("skipped: no Vulkan device");
        }
        found.then_some(place)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// A file of `size` bytes that do not repeat at any power of two.
    pub(crate) fn filled(&self, name: &str, size: usize) -> (PathBuf, Vec<u8>) {
        let bytes: Vec<u8> =
            (0..size).map(|number| (number % 251) as u8 ^ (number / 251) as u8).collect();
        let path = self.file(name);
        fs::write(&path, &bytes).unwrap();
        (path, bytes)
    }

    fn command<I: AsRef<OsStr>>(&self, arguments: &[I]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lava"));
        for name in ["LAVA_LOG", "LAVA_SCOPE", "LAVA_SPIN_NS", "LAVA_VULKAN"] {
            command.env_remove(name);
        }
        command.envs(self.vulkan.map(|value| ("LAVA_VULKAN", value)));
        command.args(arguments).env("LAVA_RUNTIME_DIR", self.runtime.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `lava` to its end.
    pub(crate) fn run<I: AsRef<OsStr>>(&self, arguments: &[I]) -> Output {
        self.start(arguments).finish()
    }

    /// Starts `lava`; its standard input is empty.
    pub(crate) fn start<I: AsRef<OsStr>>(&self, arguments: &[I]) -> Running {
        Running::spawn(&mut self.command(arguments))
    }

    /// Starts `lava` with another `LAVA_VULKAN` than this place's.
    pub(crate) fn start_with_vulkan<I: AsRef<OsStr>>(
        &self,
        value: &str,
        arguments: &[I],
    ) -> Running {
        Running::spawn(self.command(arguments).env("LAVA_VULKAN", value))
    }

    /// Starts `lava` with a pipe as standard input.
    pub(crate) fn start_fed<I: AsRef<OsStr>>(&self, arguments: &[I]) -> Running {
        Running::spawn(self.command(arguments).stdin(Stdio::piped()))
    }

    /// Starts `lava` with a standard output that nobody reads.
    pub(crate) fn start_unread<I: AsRef<OsStr>>(&self, arguments: &[I]) -> Running {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Running::spawn(self.command(arguments).stdout(writer))
    }

    /// What `lava ls` lists.
    pub(crate) fn channels(&self) -> Vec<Value> {
        let output = self.run(&["ls", "--json", "--interval", "1ms"]);
        assert_code(&output, 0);
        serde_json::from_slice::<Vec<Value>>(&output.stdout).unwrap()
    }

    /// Waits until a channel has so many connections, and returns it.
    pub(crate) fn wait_channel(&self, name: &str, connections: usize) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.channels().into_iter().find(|channel| {
                let count = channel["connections"].as_array().map(Vec::len);
                channel["name"] == name && count == Some(connections)
            });
            if let Some(channel) = found {
                return channel;
            }
            assert!(Instant::now() < deadline, "no channel {name} with {connections} connections");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Socket files that are left.
    pub(crate) fn sockets(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.runtime.path()).unwrap().map(|entry| entry.unwrap());
        let sockets = entries.filter(|entry| entry.file_type().unwrap().is_socket());
        sockets.map(|entry| entry.path()).collect()
    }
}

/// A `lava` that runs, its output read as it comes; dropping it kills and reaps it.
pub(crate) struct Running {
    child: Option<Child>,
    readers: [Option<JoinHandle<Vec<u8>>>; 2],
}

impl Running {
    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let readers = [
            child.stdout.take().map(|pipe| thread::spawn(move || read_all(pipe))),
            child.stderr.take().map(|pipe| thread::spawn(move || read_all(pipe))),
        ];
        Self { child: Some(child), readers }
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        let pid = Pid::from_raw(self.child().id() as i32).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Processes that this one has started.
    fn children(&mut self) -> Vec<u32> {
        let id = self.child().id();
        let text = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        text.split_whitespace().map(|id| id.parse().unwrap()).collect()
    }

    /// Waits until it has started so many processes.
    pub(crate) fn wait_children(&mut self, count: usize) -> Vec<u32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let children = self.children();
            if children.len() == count {
                return children;
            }
            assert!(Instant::now() < deadline, "{} instead of {count} processes", children.len());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Writes to its standard input, which stays open.
    pub(crate) fn feed(&mut self, data: &[u8]) {
        self.child().stdin.as_mut().unwrap().write_all(data).unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child().try_wait().unwrap().is_none()
    }

    /// Closes its standard input and waits for its end; fails if it does not come.
    pub(crate) fn finish(mut self) -> Output {
        self.child().stdin = None;
        self.ended()
    }

    /// Its end, with everything that it wrote, while its standard input stays open.
    pub(crate) fn ended(mut self) -> Output {
        let input = self.child().stdin.take();
        let mut child = self.child.take().unwrap();
        let pid = Pid::from_raw(child.id() as i32).unwrap();
        let status = wait(&mut child, pid);
        let [stdout, stderr] = self
            .readers
            .each_mut()
            .map(|reader| reader.take().map_or_else(Vec::new, |it| it.join().unwrap()));
        drop(input);
        Output { status, stdout, stderr }
    }
}

fn read_all(mut pipe: impl std::io::Read) -> Vec<u8> {
    let mut data = Vec::new();
    pipe.read_to_end(&mut data).unwrap();
    data
}

fn wait(child: &mut Child, pid: Pid) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            let _ = kill_process(pid, Signal::KILL);
            let _ = child.wait();
            panic!("lava does not end");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The exit code, with what the process said if it is another one.
pub(crate) fn assert_code(output: &Output, code: i32) {
    let errors = error_text(output);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}\n{errors}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(!errors.contains("panicked"), "{errors}");
}

pub(crate) fn error_text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The one JSON document that a run writes.
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}\n{}", String::from_utf8_lossy(&output.stdout), error_text(output))
    })
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Waits until a process is gone.
pub(crate) fn wait_gone(process: u32) {
    let deadline = Instant::now() + PATIENCE;
    while is_alive(process) {
        assert!(Instant::now() < deadline, "process {process} does not end");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process runs; one that ended and is not reaped does not.
fn is_alive(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = status
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_whitespace().next().map(str::to_owned));
    state.is_some_and(|state| state != "Z" && state != "X")
}
