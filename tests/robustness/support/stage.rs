//! Plays each scene in a process of its own, and looks for what it left behind.

use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use libtest_mimic::{Completion, Failed, Trial};

use super::actor::{self, Role};
use super::place::Place;
use super::{Played, Skip};

/// Name of the scene that a process is to play.
const SCENE: &str = "ROBUSTNESS_SCENE";
/// How a scene ends that cannot be played here.
const SKIPPED: i32 = 77;
/// A scene that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(180);
/// The same when scenes repeat what is random for long.
const SOAK_LIMIT: Duration = Duration::from_secs(6 * 3600);

/// One test.
#[derive(Clone, Copy)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) play: fn(&Place) -> Played,
}

impl Scene {
    pub(crate) fn trial(self) -> Trial {
        Trial::ignorable_test(self.name, move || direct(self))
    }
}

/// If this process was started to play a part, plays it and ends.
pub(crate) fn play_part(scenes: &[Scene], roles: &[Role]) {
    let place = Place::of_environment();
    if let Some(role) = actor::wanted_role() {
        let role = roles.iter().find(|known| known.name == role).expect("a known role");
        (role.play)(&place.expect("a place"));
        std::process::exit(0);
    }
    let Ok(wanted) = std::env::var(SCENE) else { return };
    let scene = scenes.iter().find(|scene| scene.name == wanted).expect("a known scene");
    match (scene.play)(&place.expect("a place")) {
        Ok(()) => std::process::exit(0),
        Err(Skip(why)) => {
            println!("skipped: {why}");
            std::process::exit(SKIPPED);
        }
    }
}

fn direct(scene: Scene) -> Result<Completion, Failed> {
    let place = Place::new()?;
    let output = place.root().join("output");
    let mut command = Command::new(std::env::current_exe()?);
    // Settings of whoever runs the tests are not to change what they test.
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LAVA_"))
    {
        if name != "LAVA_TESTS" {
            command.env_remove(name);
        }
    }
    place.put_into(&mut command);
    let file = File::create(&output)?;
    command.env(SCENE, scene.name).stdout(file.try_clone()?).stderr(file).process_group(0);
    let mut child = command.spawn()?;
    let group = child.id();
    let ended = wait(&mut child);
    let left = left_behind(group, &place.runtime());
    // SAFETY: a system call on the process group that this function made; all of it was started by the scene.
    unsafe { libc::kill(-(group as i32), libc::SIGKILL) };
    if ended.is_none() {
        child.wait()?;
    }
    judge(scene, ended, &left, &read(&output))
}

/// None: it hung.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let limit = if super::times(1) > 1 { SOAK_LIMIT } else { LIMIT };
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

fn judge(
    scene: Scene,
    ended: Option<ExitStatus>,
    left: &[String],
    output: &str,
) -> Result<Completion, Failed> {
    let Some(status) = ended else { return Err(Failed::from(format!("hung\n{output}"))) };
    if status.code() == Some(SKIPPED) {
        let why = output
            .lines()
            .find_map(|line| line.strip_prefix("skipped: "))
            .unwrap_or("no reason given");
        return Ok(Completion::ignored_with(why.to_owned()));
    }
    if !status.success() {
        return Err(Failed::from(format!("{status}\n{output}")));
    }
    if !left.is_empty() {
        return Err(Failed::from(format!("left behind: {}\n{output}", left.join("; "))));
    }
    for line in output.lines().filter_map(|line| line.strip_prefix("result: ")) {
        println!("{}: {line}", scene.name);
    }
    Ok(Completion::Completed)
}

/// Processes and files that a scene left.
pub(crate) fn left_behind(group: u32, runtime: &Path) -> Vec<String> {
    let mut left = Vec::new();
    for process in processes_of(group) {
        left.push(format!("process {process}"));
    }
    for entry in std::fs::read_dir(runtime).into_iter().flatten().flatten() {
        left.push(format!("file {}", entry.path().display()));
    }
    left
}

/// Living processes of a group.
fn processes_of(group: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    processes
        .filter(|process| {
            let stat = read(Path::new(&format!("/proc/{process}/stat")));
            // The name, in parentheses, may hold anything: state, parent and group come after the last one.
            let fields: Vec<&str> =
                stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let (state, of_group) = (fields.first(), fields.get(2));
            of_group.is_some_and(|found| *found == group.to_string())
                && state.is_some_and(|state| *state != "Z")
        })
        .collect()
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    let _ = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}
