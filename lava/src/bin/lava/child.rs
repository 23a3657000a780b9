//! Helper processes: this program again, with a hidden subcommand. They talk with their parent in JSON lines
//! over their standard input and output, and never outlive it: the handle kills and reaps, and the kernel kills
//! when the parent dies.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::{Doing, Failure};
use crate::interrupt;

/// What starts this program again, if that is not this executable.
static PROGRAM: OnceLock<Vec<OsString>> = OnceLock::new();

/// Says what starts this program again, once.
pub fn set_program(program: Vec<OsString>) {
    // A second host in one process would be the same.
    let _ = PROGRAM.set(program);
}

/// The command that starts this program again.
fn this_program() -> Command {
    if let Some([first, others @ ..]) = PROGRAM.get().map(Vec::as_slice) {
        let mut command = Command::new(first);
        command.args(others);
        return command;
    }
    // Not the path of the executable: the file may have been replaced by a new build in the meantime.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("lava");
    command
}

/// A helper process; dropping it kills and reaps it.
#[derive(Debug)]
pub struct Helper {
    child: Child,
    /// Closed to ask the helper to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    name: String,
}

impl Helper {
    /// Starts this program with `arguments`. `name` is for messages.
    ///
    /// It gets its own process group, so that Ctrl-C reaches the parent only, which then ends it in order.
    pub fn start(name: impl Into<String>, arguments: &[String]) -> Result<Self, Failure> {
        let name = name.into();
        let mut command = this_program();
        command.args(arguments).process_group(0);
        command.arg("--parent").arg(std::process::id().to_string());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .doing(format_args!("starting {name}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::Failed(format!("{name} has no pipes")));
        };
        Ok(Helper { child, input: Some(input), output: BufReader::new(output), name })
    }

    /// Sends one message.
    pub fn tell(&mut self, message: &impl Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(message).doing("writing JSON")? + "\n";
        let Some(input) = &mut self.input else {
            return Err(Failure::Failed(format!("{} was asked to end", self.name)));
        };
        input.write_all(line.as_bytes()).doing(format_args!("telling {}", self.name))
    }

    /// Waits for one message; fails after `patience`, on Ctrl-C, and when the helper has ended.
    pub fn hear<T: DeserializeOwned>(&mut self, patience: Duration) -> Result<T, Failure> {
        let deadline = Instant::now() + patience;
        while !self.has_something_to_say()? {
            interrupt::check()?;
            if Instant::now() > deadline {
                return Err(Failure::Failed(format!(
                    "{} says nothing for {patience:?}",
                    self.name
                )));
            }
        }
        let mut line = String::new();
        let read = self.output.read_line(&mut line).doing(format_args!("hearing {}", self.name))?;
        if read == 0 {
            let status = self.child.wait().doing(format_args!("waiting for {}", self.name))?;
            return Err(Failure::Failed(format!("{} ended early: {status}", self.name)));
        }
        serde_json::from_str(&line).doing(format_args!("{} said `{}`", self.name, line.trim_end()))
    }

    /// Lets the helper end by itself, in which it closes its channels; one that takes longer than `patience` is
    /// killed.
    pub fn end(&mut self, patience: Duration) {
        self.input = None;
        let deadline = Instant::now() + patience;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether a message, or the helper's end, is there.
    pub fn has_something_to_say(&self) -> Result<bool, Failure> {
        Ok(!self.output.buffer().is_empty() || self.readable()?)
    }

    fn readable(&self) -> Result<bool, Failure> {
        let mut set = [PollFd::from_borrowed_fd(self.output.get_ref().as_fd(), PollFlags::IN)];
        let slice = interrupt::SLICE.try_into().doing("time")?;
        match poll(&mut set, Some(&slice)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(Failure::Failed(format!("polling {}: {error}", self.name))),
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The helper's end of the two pipes.
#[derive(Debug)]
pub struct Parent;

impl Parent {
    /// To be called first in a helper: ties its life to that of `parent`.
    pub fn attach(parent: u32) -> Result<Self, Failure> {
        set_parent_process_death_signal(Some(Signal::KILL))
            .doing("tying this process to its parent")?;
        // The parent may have died before the call above.
        match getppid().map(Pid::as_raw_nonzero) {
            Some(actual) if actual.get().unsigned_abs() == parent => Ok(Parent),
            _ => Err(Failure::Usage("this subcommand is only for lava itself".to_owned())),
        }
    }

    /// Sends one message.
    pub fn tell(&self, message: &impl Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(message).doing("writing JSON")? + "\n";
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes()).and_then(|()| out.flush()).doing("telling the parent")
    }

    /// Waits for one message; `None` when the parent has closed the pipe.
    pub fn hear<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line).doing("hearing the parent")? == 0 {
            return Ok(None);
        }
        serde_json::from_str(&line)
            .map(Some)
            .doing(format_args!("the parent said `{}`", line.trim_end()))
    }
}
