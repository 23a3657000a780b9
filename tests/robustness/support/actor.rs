//! Processes that a scene starts: this program again, in a role. They talk in lines.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use super::place::Place;

/// Name of the role that a process is to play.
const ROLE: &str = "ROBUSTNESS_ROLE";

/// What an actor can be.
#[derive(Clone, Copy)]
pub(crate) struct Role {
    pub(crate) name: &'static str,
    pub(crate) play: fn(&Place),
}

/// The role that this process was started for.
pub(crate) fn wanted_role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// A running actor; killed and reaped when dropped.
pub(crate) struct Actor {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Actor {
    pub(crate) fn start(place: &Place, role: &str) -> Self {
        Self::start_with(place, role, |_| {})
    }

    /// `prepare` may change environment, user and limits of the process to be.
    pub(crate) fn start_with(
        place: &Place,
        role: &str,
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        place.put_into(&mut command);
        command.env(ROLE, role).stdin(Stdio::piped()).stdout(Stdio::piped());
        // SAFETY: prctl is async-signal-safe and changes the new process only.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        prepare(&mut command);
        let mut child = command.spawn().expect("an actor");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, input, output }
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Sends a line.
    pub(crate) fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("not ended");
        writeln!(input, "{line}").expect("the actor listens");
    }

    /// The next line that the actor says; None if it ended.
    pub(crate) fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        let size = self.output.read_line(&mut line).expect("a pipe");
        (size > 0).then(|| line.trim_end().to_owned())
    }

    /// Expects one line.
    pub(crate) fn expect(&mut self, line: &str) {
        assert_eq!(self.hear().as_deref(), Some(line));
    }

    /// Closes its input and waits for its end.
    pub(crate) fn end(mut self) -> ExitStatus {
        self.input = None;
        self.child.wait().expect("a child")
    }

    /// SIGKILL, and waits for its end.
    pub(crate) fn kill(mut self) {
        self.kill_now();
    }

    fn kill_now(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.kill_now();
    }
}

/// For actors: sends a line to whoever started this process.
pub(crate) fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).expect("the scene listens");
}

/// For actors: the next line of whoever started this process; None if it wants this one to end.
pub(crate) fn hear() -> Option<String> {
    let mut line = String::new();
    let size = std::io::stdin().lock().read_line(&mut line).expect("a pipe");
    (size > 0).then(|| line.trim_end().to_owned())
}
