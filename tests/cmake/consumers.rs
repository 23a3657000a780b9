//! Projects that use the installed and moved package, or contain lava: they configure, build without a warning, and run.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use lava_tests::{Compiler, Language, RUSTC_ARGUMENTS, root, skip};

use crate::package::{cargo_target, needed, package};
use crate::{can_build, cmake, configure, refuse, succeed};

/// The project of tests/cmake/consumer, to be built in `build`.
fn consumer(from: &str, build: &Path) -> Command {
    let mut command = configure(&root().join("tests/cmake/consumer"), build);
    command.arg(format!("-DLAVA_FROM={from}"));
    command
}

/// Builds it and runs its programs, of which there are `count`.
fn build_and_run(build: &Path, count: usize) {
    succeed(cmake().arg("--build").arg(build));
    let text = succeed(
        Command::new("ctest")
            .current_dir(build)
            .arg("--output-on-failure")
            .env("LAVA_RUNTIME_DIR", build.join("runtime")),
    );
    assert!(text.contains(&format!("100% tests passed, 0 tests failed out of {count}")), "{text}");
}

#[test]
fn a_project_finds_the_package_that_was_moved() {
    if !can_build() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let build = directory.path();
    let start = Instant::now();
    let mut command = consumer("package", build);
    let text = succeed(command.arg(prefix_path()).env("PKG_CONFIG_PATH", "/nowhere"));
    build_and_run(build, 4);
    println!("configured, built and run, four programs: {:.1} s", start.elapsed().as_secs_f64());
    assert!(text.contains("lava::lava is a SHARED_LIBRARY"), "{text}");
    for name in ["c_lava", "c_shared", "cpp", "again/again"] {
        assert!(needed(&build.join(name)).contains(&"liblava.so.0".to_owned()), "{name}");
    }
    assert!(!needed(&build.join("c_static")).iter().any(|name| name.contains("lava")));
}

fn prefix_path() -> String {
    format!("-DCMAKE_PREFIX_PATH={}", package().prefix.display())
}

#[test]
fn lava_lava_is_what_build_shared_libs_asks_for() {
    if !can_build() {
        return;
    }
    for (value, kind) in [("ON", "SHARED_LIBRARY"), ("OFF", "STATIC_LIBRARY")] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = consumer("package", directory.path());
        let text = succeed(command.arg(prefix_path()).arg(format!("-DBUILD_SHARED_LIBS={value}")));
        assert!(text.contains(&format!("lava::lava is a {kind}")), "{value}: {text}");
    }
}

/// Definitions by which a project that contains lava compiles nothing that is compiled already.
fn reuse(command: &mut Command) -> &mut Command {
    command
        .arg(format!("-DLAVA_CARGO_TARGET_DIR={}", cargo_target().display()))
        .arg(format!("-DLAVA_RUSTC_ARGUMENTS={}", RUSTC_ARGUMENTS.join(";")))
        .args(["-DCMAKE_BUILD_TYPE=Debug", "-DLAVA_OFFLINE=ON"])
}

#[test]
fn a_project_contains_lava_as_a_subdirectory() {
    if !can_build() {
        return;
    }
    package();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let build = directory.path();
    let mut command = consumer("subdirectory", build);
    command.args(["-G", "Unix Makefiles"]).arg(format!("-DLAVA_SOURCE={}", root().display()));
    succeed(reuse(&mut command));
    build_and_run(build, 4);
    assert!(!build.join("lava/artifacts/bin").exists(), "the tool is for lava's own builds");
}

#[test]
fn a_project_fetches_lava() {
    if !can_build() {
        return;
    }
    package();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let build = directory.path();
    let mut command = consumer("fetch", build);
    // What would be fetched is this checkout. The installed one is there too, and does not get in the way.
    command.arg(format!("-DFETCHCONTENT_SOURCE_DIR_LAVA={}", root().display())).arg(prefix_path());
    succeed(reuse(&mut command));
    build_and_run(build, 2);
    let own = build.join("_deps/lava-build/artifacts/lib").display().to_string();
    let path = succeed(Command::new("readelf").arg("--dynamic").arg(build.join("c_lava")));
    assert!(path.contains(&own), "not linked with the fetched one:\n{path}");
}

/// A project of one line after `project()`.
fn project(line: &str, directory: &Path) -> Command {
    let text = format!("cmake_minimum_required(VERSION 3.18)\nproject(one LANGUAGES C)\n{line}\n");
    std::fs::write(directory.join("CMakeLists.txt"), text).expect("writable");
    let mut command = configure(directory, &directory.join("build"));
    command.arg(prefix_path());
    command
}

#[test]
fn what_is_not_installed_is_not_found() {
    if !can_build() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let refused = |line: &str| refuse(&mut project(line, directory.path()));
    for version in ["0.2", "1.0", "0.1.999"] {
        let why = refused(&format!("find_package(lava {version} REQUIRED)"));
        assert!(why.contains(&format!("compatible with requested version \"{version}\"")), "{why}");
    }
    let why = refused("find_package(lava REQUIRED COMPONENTS tools)");
    assert!(why.contains("component tools is not installed there"), "{why}");
    let optional = "find_package(lava REQUIRED OPTIONAL_COMPONENTS mpi)\nif(lava_mpi_FOUND)\nmessage(FATAL_ERROR \"mpi\")\nendif()";
    succeed(&mut project(optional, directory.path()));
}

/// `pkg-config`'s answer about the moved package.
fn pkg_config(arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", package().prefix.join("lib/pkgconfig"));
    let text = succeed(command.args(arguments).arg("lava"));
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn pkg_config_links_both_libraries() {
    if !can_build() {
        return;
    }
    if Command::new("pkg-config").arg("--version").output().is_err() {
        return skip("no pkg-config: install it");
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let link = |name: &str, flags: &[String]| {
        let program = directory.path().join(name);
        let mut command = Compiler::SYSTEM.command(Language::C99);
        command.arg(root().join("tests/cmake/consumer/round_trip.c")).arg("-o").arg(&program);
        succeed(command.args(["-x", "none"]).args(flags));
        succeed(
            Command::new(&program)
                .env("LAVA_RUNTIME_DIR", directory.path().join("runtime"))
                .env("LD_LIBRARY_PATH", package().prefix.join("lib"))
                .arg(name),
        );
        needed(&program)
    };
    assert_eq!(pkg_config(&["--modversion"]), [env!("CARGO_PKG_VERSION")]);
    let shared = link("shared", &pkg_config(&["--cflags", "--libs"]));
    assert!(shared.contains(&"liblava.so.0".to_owned()), "{shared:?}");
    let mut flags = pkg_config(&["--static", "--cflags", "--libs"]);
    for flag in &mut flags {
        *flag = flag.replace("-llava", "-l:liblava.a");
    }
    let with_static = link("static", &flags);
    assert!(!with_static.iter().any(|name| name.contains("lava")), "{with_static:?}");
}
