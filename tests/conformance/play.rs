//! Plays one scenario: starts its parts, lets them meet, and judges how they ended.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::job::{Job, Mpi};
use crate::language::Language;
use crate::scenario::Scenario;

/// Far above what any scenario needs on a loaded machine; every wait inside of one is shorter.
const LIMIT: Duration = Duration::from_secs(120);
const SKIPPED: i32 = 77;
const SIGKILL: i32 = 9;

pub(crate) enum Outcome {
    Passed,
    Skipped(String),
}

/// What a part said, by its index.
enum Event {
    Meet(usize, String),
    Dying(usize),
    Ended(usize),
}

struct Part {
    role: &'static str,
    process: Process,
    input: Option<Box<dyn Write>>,
    waits_for: Option<String>,
    dying: bool,
    ended: bool,
}

/// What plays a part.
enum Process {
    Child(Child),
    /// A rank of a job.
    Rank(Arc<Mutex<Job>>, usize),
}

/// How a part ended: its exit status, or the signal that killed it.
type End = Result<i32, i32>;

/// A part that is left behind by a failing test must not live on. A job looks after its ranks.
impl Drop for Process {
    fn drop(&mut self) {
        if let Self::Child(child) = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn play(
    scenario: &Scenario,
    producer: &Language,
    consumer: &Language,
) -> Result<Outcome, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (sender, events) = channel();
    let roles = std::iter::once(("producer", producer));
    let roles = roles.chain(std::iter::repeat_n(("consumer", consumer), scenario.consumers));
    let mut parts = Vec::new();
    for (index, (role, language)) in roles.enumerate() {
        let errors = File::create(directory.path().join(index.to_string()))
            .map_err(|error| error.to_string())?;
        let mut command = language.command()?;
        command.args([role, &scenario.name, &format!("conformance/{}", scenario.name)]);
        command.env("LAVA_RUNTIME_DIR", directory.path().join("run")).stderr(errors);
        parts.push(start(role, index, command, &sender)?);
    }
    drop(sender);
    let result = direct(&mut parts, &events);
    // Those that still wait get an end of file instead of a `go`.
    parts.iter_mut().for_each(|part| part.input = None);
    let said = |index: usize| {
        std::fs::read_to_string(directory.path().join(index.to_string())).unwrap_or_default()
    };
    judge(&mut parts, result, &said)
}

/// As [`play`], over MPI.
pub(crate) fn play_remote(
    scenario: &Scenario,
    mpi: Mpi,
    producer: &Path,
    consumer: &Path,
) -> Result<Outcome, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let play = (scenario.name.as_str(), scenario.consumers);
    let job = Job::start(mpi, directory.path(), play, (producer, consumer))?;
    let job = Arc::new(Mutex::new(job));
    let (sender, events) = channel();
    let mut parts = Vec::new();
    for rank in 0..=scenario.consumers {
        let (input, output) = job.lock().map_err(|error| error.to_string())?.ends(rank)?;
        let events = sender.clone();
        // It ends with the test's program: an end of the pipe that stays open here keeps it from ending with the rank.
        std::thread::spawn(move || listen(rank, output, &events));
        watch(rank, Arc::clone(&job), sender.clone());
        let role = if rank == 0 { "producer" } else { "consumer" };
        let process = Process::Rank(Arc::clone(&job), rank);
        let input: Option<Box<dyn Write>> = Some(Box::new(input));
        parts.push(Part { role, process, input, waits_for: None, dying: false, ended: false });
    }
    let result = direct(&mut parts, &events);
    parts.iter_mut().for_each(|part| part.input = None);
    let said = |index: usize| {
        let text = std::fs::read_to_string(directory.path().join(index.to_string()));
        let launcher = job.lock().map(|job| job.said()).unwrap_or_default();
        format!("{} {}", text.unwrap_or_default(), launcher)
    };
    judge(&mut parts, result, &said)
}

/// Tells when a rank has ended.
fn watch(rank: usize, job: Arc<Mutex<Job>>, events: Sender<Event>) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(5));
            let Ok(mut job) = job.lock() else { return };
            if job.status(rank).is_some() || job.has_ended() {
                break;
            }
        }
        let _ = events.send(Event::Ended(rank));
    });
}

fn start(
    role: &'static str,
    index: usize,
    mut command: Command,
    events: &Sender<Event>,
) -> Result<Part, String> {
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| format!("{command:?}: {error}"))?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let events = events.clone();
    if let Some(output) = output {
        std::thread::spawn(move || listen(index, BufReader::new(output), &events));
    }
    let input = input.map(|input| Box::new(input) as Box<dyn Write>);
    let process = Process::Child(child);
    Ok(Part { role, process, input, waits_for: None, dying: false, ended: false })
}

/// Passes on what a part says, until it ends. A failed send means that the play is over.
fn listen(index: usize, output: impl BufRead, events: &Sender<Event>) {
    for line in output.lines().map_while(Result::ok) {
        let event = match line.strip_prefix("meet ") {
            Some(word) => Event::Meet(index, word.to_owned()),
            None if line == "dying" => Event::Dying(index),
            None => continue,
        };
        if events.send(event).is_err() {
            return;
        }
    }
    let _ = events.send(Event::Ended(index));
}

/// Lets the parts meet until all have ended.
fn direct(parts: &mut [Part], events: &Receiver<Event>) -> Result<(), String> {
    let deadline = Instant::now() + LIMIT;
    while parts.iter().any(|part| !part.ended) {
        let left = deadline.saturating_duration_since(Instant::now());
        match events.recv_timeout(left) {
            Ok(Event::Meet(index, word)) => parts[index].waits_for = Some(word),
            Ok(Event::Dying(index)) => parts[index].dying = true,
            Ok(Event::Ended(index)) => parts[index].ended = true,
            Err(_) => {
                return Err(format!("not done after {} s: {}", LIMIT.as_secs(), state(parts)));
            }
        }
        if parts.iter().all(|part| part.ended || part.waits_for.is_some()) {
            let_go(parts)?;
        }
    }
    Ok(())
}

fn let_go(parts: &mut [Part]) -> Result<(), String> {
    let Some(word) = parts.iter().find_map(|part| part.waits_for.clone()) else { return Ok(()) };
    if parts.iter().any(|part| part.waits_for.as_ref() != Some(&word)) {
        return Err(format!("they do not meet: {}", state(parts)));
    }
    for part in parts {
        part.waits_for = None;
        // A part that has died meanwhile is judged by its end.
        let _ = part.input.as_mut().map(|input| writeln!(input, "go {word}"));
    }
    Ok(())
}

fn state(parts: &[Part]) -> String {
    let describe = |part: &Part| match (&part.waits_for, part.ended) {
        (_, true) => format!("{} has ended", part.role),
        (Some(word), _) => format!("{} waits at `{word}`", part.role),
        (None, _) => format!("{} is running", part.role),
    };
    parts.iter().map(describe).collect::<Vec<_>>().join(", ")
}

fn judge(
    parts: &mut [Part],
    result: Result<(), String>,
    said: &dyn Fn(usize) -> String,
) -> Result<Outcome, String> {
    let hurry = result.is_err();
    let mut faults: Vec<_> = result.err().into_iter().collect();
    let mut skipped = None;
    for (index, part) in parts.iter_mut().enumerate() {
        let end = match &mut part.process {
            Process::Child(child) => end_of(wait(child, hurry)?),
            Process::Rank(job, rank) => {
                let job = job.lock().map_err(|error| error.to_string())?;
                job.status(*rank)
                    .map_or(Err(0), |code| if code > 128 { Err(code - 128) } else { Ok(code) })
            }
        };
        match end {
            Ok(SKIPPED) => {
                skipped = Some(said(index).trim().trim_start_matches("skipped: ").to_owned())
            }
            Ok(0) if !part.dying => {}
            Err(SIGKILL) if part.dying => {}
            _ => faults.push(format!("{}: {end:?}: {}", part.role, said(index).trim())),
        }
    }
    match (skipped, faults.is_empty()) {
        (Some(why), _) => Ok(Outcome::Skipped(why)),
        (None, true) => Ok(Outcome::Passed),
        (None, false) => Err(faults.join("\n")),
    }
}

fn end_of(status: ExitStatus) -> End {
    status.code().ok_or_else(|| status.signal().unwrap_or_default())
}

/// After a fault the parts get a second to say their own reason, then they are killed.
fn wait(child: &mut Child, hurry: bool) -> Result<ExitStatus, String> {
    let deadline = Instant::now() + Duration::from_secs(1);
    while hurry && Instant::now() < deadline {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    if hurry {
        let _ = child.kill();
    }
    child.wait().map_err(|error| error.to_string())
}

/// Shows, with shell commands as parts, that each kind of fault is found.
pub(crate) fn find_faults() -> Result<(), String> {
    let play_scripts = |scripts: [&str; 2]| {
        let (sender, events) = channel();
        let mut parts = Vec::new();
        for (index, script) in scripts.iter().enumerate() {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            parts.push(start("part", index, command, &sender)?);
        }
        drop(sender);
        let result = direct(&mut parts, &events);
        parts.iter_mut().for_each(|part| part.input = None);
        judge(&mut parts, result, &|_| String::new())
    };
    let meet = "echo meet a; read line; [ \"$line\" = 'go a' ]";
    for scripts in [["true", "true"], [meet, meet], ["echo dying; kill -9 $$", "true"]] {
        play_scripts(scripts)?;
    }
    for scripts in [
        ["true", "exit 1"],
        ["true", "kill -9 $$"],
        ["echo dying", "true"],
        [meet, "true"],
        [meet, "echo meet b; read line"],
    ] {
        if play_scripts(scripts).is_ok() {
            return Err(format!("passed: {scripts:?}"));
        }
    }
    Ok(())
}
