//! The MPI plug-ins as they are installed: one for each MPI, found by a library that was moved. They are built in the directories
//! of the stage `mpi`.

use std::path::Path;
use std::process::Command;

use lava_tests::{Compiler, Language, build_directory, root, skip};

use crate::package::{needed, package};
use crate::{can_build, cmake, configure, files, refuse, run, source, succeed, work};

/// Configures the plug-ins alone. `Err` with the reason where this machine cannot build them.
fn configured(build: &Path) -> Result<Vec<&'static str>, String> {
    let mut command = configure(&source(), build);
    command.args(["-DCMAKE_BUILD_TYPE=Debug", "-DLAVA_OFFLINE=OFF", "-DLAVA_BUILD_TOOL=OFF"]);
    command.arg(format!("-DLAVA_CARGO_TARGET_DIR={}", build_directory().display()));
    let text = succeed(&mut command);
    if let Some((_, why)) = text.split_once("lava: no MPI plug-in: ") {
        return Err(why.lines().next().unwrap_or_default().to_owned());
    }
    let kinds = ["openmpi", "mpich"].into_iter();
    Ok(kinds.filter(|kind| text.contains(&format!("MPI plug-in for {kind}"))).collect())
}

#[test]
fn a_plug_in_for_each_mpi_is_a_component_of_its_own() {
    if !can_build() {
        return;
    }
    let build = work().join("plugins");
    let kinds = match configured(&build) {
        Ok(kinds) => kinds,
        Err(why) => return skip(&why),
    };
    assert!(!kinds.is_empty(), "configured without a plug-in and without a reason");
    let prefix = work().join("plugins-prefix");
    let _ = std::fs::remove_dir_all(&prefix);
    for kind in &kinds {
        let target = format!("lava_mpi_{kind}");
        succeed(cmake().arg("--build").arg(&build).args(["--target", &target]));
    }
    let mut install = cmake();
    install.arg("--install").arg(&build).args(["--component", "mpi", "--strip", "--prefix"]);
    succeed(install.arg(&prefix));
    let mut expected: Vec<_> =
        kinds.iter().map(|kind| format!("lib/lava/liblava_mpi_{kind}.so")).collect();
    expected.sort();
    assert_eq!(files(&prefix), expected);
    for kind in &kinds {
        let name = if *kind == "openmpi" { "libmpi.so" } else { "libmpich.so" };
        let plugin = prefix.join(format!("lib/lava/liblava_mpi_{kind}.so"));
        let needed = needed(&plugin);
        assert!(needed.iter().any(|library| library.starts_with(name)), "{kind}: {needed:?}");
        assert!(!needed.iter().any(|library| library.starts_with("liblava")), "{kind}: {needed:?}");
    }
    for kind in kinds {
        check_found(kind, &prefix);
    }
}

/// A program finds the plug-in by the place of its liblava.so, and by nothing else.
fn check_found(kind: &str, prefix: &Path) {
    let mut install = cmake();
    install.arg("--install").arg(&package().build).args(["--component", "runtime", "--prefix"]);
    succeed(install.arg(prefix));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = directory.path().join("describe_mpi");
    let mut compiler = Compiler::SYSTEM.command(Language::C99);
    compiler.arg(root().join("tests/cmake/describe_mpi.c")).arg("-o").arg(&program);
    compiler.arg("-L").arg(package().prefix.join("lib"));
    succeed(compiler.arg("-llava"));
    let mut command = Command::new(&program);
    command.env("LD_LIBRARY_PATH", prefix.join("lib")).env("LAVA_MPI", kind);
    let told = succeed(command.env("LAVA_RUNTIME_DIR", directory.path()));
    let place = prefix.join(format!("lib/lava/liblava_mpi_{kind}.so"));
    assert!(told.contains(&format!("\"plugin\":\"{}\"", place.display())), "{told}");
}

#[test]
fn a_plug_in_that_is_asked_for_and_cannot_be_built_is_an_error() {
    if !can_build() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    // Without any compiler command of MPI; a prebuilt library, so that nothing else is looked at.
    let prebuilt = format!("-DLAVA_PREBUILT={}", package().prefix.display());
    let mut command = configure(&source(), &path("none"));
    command.args(["-DLAVA_BUILD_TOOL=OFF", "-DLAVA_BUILD_STATIC=OFF", "-DLAVA_BUILD_MPI=ON"]);
    let why = refuse(command.arg(prebuilt));
    assert!(why.contains("no liblava_mpi_*.so in a directory `lava` beside liblava"), "{why}");
    // A compiler command that knows no mpi.h.
    let mut command = configure(&source(), &path("wrong"));
    command.args(["-DLAVA_BUILD_TOOL=OFF", "-DLAVA_MPICC_openmpi=/usr/bin/true"]);
    match run(&mut command) {
        Err(text) => assert!(text.contains("LAVA_MPICC_openmpi"), "{text}"),
        Ok(text) => assert!(text.contains("lava: no MPI plug-in: libclang is missing"), "{text}"),
    }
}

#[test]
fn no_plug_in_is_installed_without_the_component() {
    if !can_build() {
        return;
    }
    assert!(!package().prefix.join("lib/lava").exists());
    let text = succeed(Command::new("find").arg(&package().prefix).args(["-name", "*mpi*"]));
    assert!(text.is_empty(), "{text}");
}
