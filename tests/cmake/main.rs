//! The CMake package, built, installed, moved and used as C and C++ projects and packagers do. What is built lies in
//! cargo's target directory and shares cargo's directory with `build-library`, so that nothing is compiled twice.

mod consumers;
mod examples;
mod licences;
mod options;
mod package;
mod plugins;
mod prebuilt;
mod tool;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lava_tests::{build_directory, root};

/// `cmake`, whose arguments follow; in an empty environment but for what finds programs.
fn cmake() -> Command {
    let mut command = Command::new("cmake");
    command.env_remove("BUILD_SHARED_LIBS").env_remove("CARGO_BUILD_TARGET");
    command
}

/// `cmake -S source -B build` with Ninja; the caller adds definitions.
fn configure(source: &Path, build: &Path) -> Command {
    let mut command = cmake();
    command.arg("-S").arg(source).arg("-B").arg(build).args(["-G", "Ninja"]);
    command
}

/// Runs it; what it printed, both streams. `Err` if it failed.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = text(&output);
    if output.status.success() { Ok(text) } else { Err(text) }
}

/// Runs what must succeed.
fn succeed(command: &mut Command) -> String {
    run(command).unwrap_or_else(|text| panic!("{command:?}:\n{text}"))
}

/// Runs what must fail; its words on one line, since CMake breaks them.
fn refuse(command: &mut Command) -> String {
    match run(command) {
        Ok(text) => panic!("{command:?} succeeded:\n{text}"),
        Err(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

fn text(output: &Output) -> String {
    let parts = [&output.stdout, &output.stderr];
    parts.map(|part| String::from_utf8_lossy(part)).concat()
}

/// CMake's directory of this repository.
fn source() -> PathBuf {
    root().join("cmake")
}

/// Where the tests of this package build.
fn work() -> PathBuf {
    build_directory().join("cmake")
}

/// Every file and link below `directory`, by its path from there, sorted.
fn files(directory: &Path) -> Vec<String> {
    fn collect(directory: &Path, start: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).expect("readable directory") {
            let entry = entry.expect("directory entry");
            if entry.file_type().expect("file type").is_dir() {
                collect(&entry.path(), start, found);
            } else {
                let path = entry.path();
                let path = path.strip_prefix(start).expect("below the start");
                found.push(path.display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    collect(directory, directory, &mut found);
    found.sort();
    found
}

/// Hides cargo from a command, as on a machine without Rust. False where it lies in one directory with the C compiler.
fn without_cargo(command: &mut Command) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let (with, without): (Vec<_>, Vec<_>) =
        std::env::split_paths(&path).partition(|directory| directory.join("cargo").exists());
    command.env("PATH", std::env::join_paths(without).expect("was split from a path"));
    command.env("HOME", "/nowhere").env("CARGO_HOME", "/nowhere");
    !with.iter().any(|directory| directory.join("cc").exists())
}

/// Whether this machine has the programs; says so if not.
fn can_build() -> bool {
    let missing = ["cmake", "ninja", "cc", "c++"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_err());
    if let Some(name) = missing {
        lava_tests::skip(&format!("no {name}: install cmake, ninja-build, gcc and g++"));
    }
    missing.is_none()
}
