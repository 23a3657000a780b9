//! The examples run, as `cargo test` has built them beside this program. `minimal` is run by the tests of the README,
//! `vulkan_compute_producer` and `cuda_view` need a GPU.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// The example; None, with a line that says so, if it was not built: `cargo test --test examples` builds none.
fn example(name: &str, runtime: &Path) -> Option<Command> {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().with_file_name("examples").join(name);
    if !program.exists() {
        println!("skipped: {name} is not built; run cargo test -p lava");
        return None;
    }
    let mut command = Command::new(program);
    command.env("LAVA_RUNTIME_DIR", runtime).env("LAVA_VULKAN", "off");
    Some(command)
}

/// Runs one that needs no other, and looks for a line with `wanted`.
fn alone(name: &str, arguments: &[&str], wanted: &str) {
    let runtime = tempfile::tempdir().unwrap();
    let Some(mut command) = example(name, runtime.path()) else { return };
    let output = command.args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{said}{complained}", output.status);
    assert!(said.contains(wanted), "{name}: no `{wanted}` in:\n{said}{complained}");
}

#[test]
fn fan_out_reaches_every_worker() {
    alone("fan_out", &["3"], "every worker has seen every frame");
}

#[test]
fn event_loop_takes_from_both_channels() {
    alone("event_loop", &[], ": 9");
}

#[cfg(feature = "tokio")]
#[test]
fn asynchronous_takes_from_both_channels() {
    alone("asynchronous", &[], "[9]");
}

/// A process that does not outlive a failing test.
struct Part(Child);

impl Part {
    fn start(mut command: Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn end(mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The camera waits for nobody, so it goes on until the viewer has seen an image, and is told of its death.
#[test]
fn the_viewer_sees_the_cameras_images() {
    let runtime = tempfile::tempdir().unwrap();
    let commands = ["camera", "viewer"].map(|name| example(name, runtime.path()));
    let [Some(mut camera), Some(viewer)] = commands else { return };
    camera.arg("1000000");
    let camera = Part::start(camera);
    let mut viewer = Part::start(viewer);
    let lines = BufReader::new(viewer.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut lines = lines.filter(|line| line.starts_with("image "));
    assert!(lines.next().expect("an image").contains("[480, 640, 3], mean"));
    drop(camera);
    // It may have images yet, and must not wait for somebody to read of them.
    lines.for_each(drop);
    assert_eq!(viewer.end().code(), Some(1));
}
