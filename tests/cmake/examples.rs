//! The examples in C and C++, built against the installed package without a warning, and run.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use lava_tests::{root, skip};

use crate::package::package;
use crate::{can_build, cmake, configure, succeed, work};

const WARNINGS: &str = "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror";

/// The directory of the programs, built once a process.
fn programs() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let build = work().join("examples");
        // Another prefix than that of an earlier run would be found in the cache.
        let _ = std::fs::remove_dir_all(&build);
        let mut command = configure(&root().join("lava/examples"), &build);
        command.arg(format!("-DCMAKE_PREFIX_PATH={}", package().prefix.display()));
        command.arg("-DCMAKE_BUILD_TYPE=Debug");
        command.args(["C", "CXX"].map(|name| format!("-DCMAKE_{name}_FLAGS={WARNINGS}")));
        succeed(&mut command);
        succeed(cmake().arg("--build").arg(&build));
        build
    })
}

fn program(name: &str, runtime: &Path) -> Command {
    let mut command = Command::new(programs().join(name));
    command.env("LAVA_RUNTIME_DIR", runtime).env("LAVA_VULKAN", "cpu");
    command
}

/// A process that does not outlive a failing test.
struct Part(Child);

impl Part {
    fn start(mut command: Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Reads what it prints until a line has `word` in it.
    fn wait_for(&mut self, word: &str) -> String {
        let output = self.0.stdout.as_mut().expect("piped");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        lines.find(|line| line.contains(word)).unwrap_or_else(|| panic!("no line with `{word}`"))
    }

    fn finish(mut self) -> std::process::ExitStatus {
        self.0.wait().expect("a child of this process")
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program that needs no other, in both languages.
fn alone(name: &str, arguments: &[&str], wanted: &str) {
    if !can_build() {
        return;
    }
    for language in ["c", "cpp"] {
        let runtime = tempfile::tempdir().expect("a temporary directory");
        let mut command = program(&format!("{language}_{name}"), runtime.path());
        let said = succeed(command.args(arguments));
        if let Some(why) = said.lines().find_map(|line| line.strip_prefix("skipped: ")) {
            return skip(why);
        }
        assert!(said.contains(wanted), "no `{wanted}` in:\n{said}");
    }
}

#[test]
fn fan_out_reaches_every_worker() {
    alone("fan_out", &["3"], "every worker has seen every frame");
}

#[test]
fn event_loop_takes_from_both_channels() {
    alone("event_loop", &[], ": 9");
}

#[test]
fn a_compute_shader_writes_frames() {
    if can_build() && !programs().join("c_vulkan_compute_producer").exists() {
        return skip("no Vulkan for C: install libvulkan-dev");
    }
    alone("vulkan_compute_producer", &[], "100 frames of 1048576 bytes");
}

#[test]
fn minimal_sends_and_receives() {
    if !can_build() {
        return;
    }
    for (from, to) in [("c", "cpp"), ("cpp", "c")] {
        let runtime = tempfile::tempdir().expect("a temporary directory");
        let mut receiver = Part::start(program(&format!("{to}_minimal"), runtime.path()));
        succeed(program(&format!("{from}_minimal"), runtime.path()).arg("send"));
        receiver.wait_for("4000 bytes of 2");
        assert!(receiver.finish().success());
    }
}

/// Every example in C is there in C++ and in Rust too; and the list of them has each file.
#[test]
fn examples_have_the_same_names() {
    let examples = root().join("lava/examples");
    let names = |directory: &str, suffix: &str| -> Vec<String> {
        let entries = std::fs::read_dir(examples.join(directory)).expect("lava/examples");
        let names = entries.map(|entry| entry.expect("directory entry").file_name());
        let names = names.map(|name| name.into_string().expect("UTF-8"));
        let mut names: Vec<_> = names
            .filter(|name| !name.contains('.') || name.ends_with(suffix))
            .map(|name| name.trim_end_matches(suffix).to_owned())
            .collect();
        names.sort();
        names
    };
    let (c, cpp, rust) = (names("c", ".c"), names("cpp", ".cpp"), names("", ".rs"));
    assert!(c.len() > 5, "only {c:?}");
    assert_eq!(c, cpp);
    let list = std::fs::read_to_string(examples.join("README.md")).expect("a list");
    for name in &c {
        assert!(rust.contains(name), "no {name} in Rust");
    }
    for (names, directory) in [(c, "c/"), (cpp, "cpp/"), (rust, "")] {
        for name in names.iter().filter(|name| !["c", "cpp"].contains(&name.as_str())) {
            let is_linked = list.contains(&format!("]({directory}{name}"));
            assert!(is_linked, "lava/examples/README.md has no {directory}{name}");
        }
    }
}

/// Alone it says how to start it; with `LAVA_PLUGIN_DIR` and Open MPI's launcher it also runs as two ranks, by shared memory
/// and, forced, by MPI.
#[test]
fn mpi_ping_pong_goes_there_and_back() {
    if !can_build() {
        return;
    }
    let has_launcher = Command::new("mpirun.openmpi").arg("--version").output().is_ok();
    let launches = has_launcher && std::env::var_os("LAVA_PLUGIN_DIR").is_some();
    for language in ["c", "cpp"] {
        let name = format!("{language}_mpi_ping_pong");
        let runtime = tempfile::tempdir().expect("a temporary directory");
        let alone = program(&name, runtime.path()).output().expect("it runs");
        assert_eq!(alone.status.code(), Some(2));
        for (scope, by) in [("auto", "both map it"), ("remote", "by MPI")] {
            if !launches {
                continue;
            }
            let mut command = Command::new("mpirun.openmpi");
            command.args(["--oversubscribe", "--bind-to", "none", "-n", "2"]);
            command.arg(programs().join(&name)).arg("50").env("LAVA_SCOPE", scope);
            command.env("LAVA_RUNTIME_DIR", runtime.path()).env("TMPDIR", runtime.path());
            command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
            let said = succeed(&mut command);
            assert!(said.contains("50 round trips") && said.contains(by), "{said}");
        }
    }
    if !launches {
        skip("the ranks of mpi_ping_pong: no LAVA_PLUGIN_DIR, or no mpirun.openmpi");
    }
}

/// The camera waits for nobody, so it goes on until a viewer has seen an image; the viewer is told of its death.
#[test]
fn viewers_see_the_cameras_images() {
    if !can_build() {
        return;
    }
    for (from, to) in [("c", "cpp"), ("cpp", "c")] {
        let runtime = tempfile::tempdir().expect("a temporary directory");
        let mut camera = program(&format!("{from}_camera"), runtime.path());
        camera.arg("1000000");
        let camera = Part::start(camera);
        let mut viewer = Part::start(program(&format!("{to}_viewer"), runtime.path()));
        assert!(viewer.wait_for("image ").contains("mean"));
        drop(camera);
        assert_eq!(viewer.finish().code(), Some(1));
    }
}
