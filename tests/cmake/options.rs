//! What the options of the build do: read from the commands that it would run, so that nothing more is compiled.

use std::path::Path;
use std::process::Command;

use lava_tests::skip;

use crate::package::package;
use crate::{can_build, configure, refuse, source, succeed, without_cargo};

/// Configures lava without its plug-ins, and gives the commands that would build it.
fn commands(arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut command = configure(&source(), directory.path());
    command.env_remove("CARGO_TARGET_DIR").arg("-DLAVA_BUILD_MPI=OFF").args(arguments);
    succeed(&mut command);
    let text =
        succeed(Command::new("ninja").arg("-C").arg(directory.path()).args(["-t", "commands"]));
    text.replace(&directory.path().display().to_string(), "BUILD")
}

#[track_caller]
fn assert_holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

#[test]
fn build_types_choose_the_profile() {
    if !can_build() {
        return;
    }
    let release = commands(&[]);
    assert_holds(&release, &["--profile release", "--crate-type cdylib,staticlib", "--bin lava"]);
    assert_holds(
        &release,
        &["--locked", "--target-dir BUILD/cargo", "BUILD/cargo/release/liblava_sys.so"],
    );
    assert!(!release.contains("--config") && !release.contains("--target "), "{release}");
    let debug = commands(&["-DCMAKE_BUILD_TYPE=Debug"]);
    assert_holds(&debug, &["--profile dev", "BUILD/cargo/debug/liblava_sys.a"]);
    assert_holds(
        &commands(&["-DCMAKE_BUILD_TYPE=RelWithDebInfo"]),
        &["profile.release.debug=true"],
    );
    assert_holds(&commands(&["-DCMAKE_BUILD_TYPE=MinSizeRel"]), &["profile.release.opt-level='s'"]);
}

#[test]
fn build_shared_libs_chooses_the_library() {
    if !can_build() {
        return;
    }
    let shared = commands(&["-DBUILD_SHARED_LIBS=ON"]);
    assert_holds(&shared, &["--crate-type cdylib "]);
    let fixed = commands(&["-DBUILD_SHARED_LIBS=OFF", "-DLAVA_OFFLINE=ON"]);
    assert_holds(&fixed, &["--crate-type staticlib ", "--offline"]);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut command = configure(&source(), directory.path());
    let why = refuse(command.args(["-DBUILD_SHARED_LIBS=ON", "-DLAVA_BUILD_SHARED=OFF"]));
    assert!(why.contains("LAVA_BUILD_SHARED and LAVA_BUILD_STATIC are both OFF"), "{why}");
}

/// A toolchain file as a user has it for another machine; this machine's compiler stands in, since nothing is linked.
fn toolchain(processor: &str, directory: &Path) -> String {
    let file = directory.join("toolchain.cmake");
    let text = format!(
        "set(CMAKE_SYSTEM_NAME Linux)\nset(CMAKE_SYSTEM_PROCESSOR {processor})\nset(CMAKE_C_COMPILER cc)\n"
    );
    std::fs::write(&file, text).expect("writable");
    format!("-DCMAKE_TOOLCHAIN_FILE={}", file.display())
}

#[test]
fn a_toolchain_file_chooses_target_and_linker() {
    if !can_build() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = toolchain("aarch64", directory.path());
    let text = commands(&[&file, "-DCMAKE_SYSROOT=/sysroot"]);
    let target = "aarch64-unknown-linux-gnu";
    assert_holds(
        &text,
        &[&format!("--target {target}"), &format!("cargo/{target}/release/liblava_sys.so")],
    );
    assert_holds(
        &text,
        &["CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=", "link-arg=--sysroot=/sysroot"],
    );
    let named = commands(&["-DLAVA_CARGO_TARGET=x86_64-unknown-linux-musl"]);
    assert_holds(&named, &["--target x86_64-unknown-linux-musl"]);
    let build = directory.path().join("build");
    let strange = toolchain("vax", directory.path());
    let why = refuse(configure(&source(), &build).arg(strange));
    assert_holds(&why, &["processor \"vax\"", "-DLAVA_CARGO_TARGET="]);
}

#[test]
fn the_cargo_that_is_there_must_be_new_enough() {
    if !can_build() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let build = directory.path().join("build");
    // A cargo of an old distribution, as far as this build asks it.
    let old = directory.path().join("cargo");
    std::fs::write(&old, "#!/bin/sh\necho 'cargo 1.63.0 (fd9c4297c 2022-07-01)'\n")
        .expect("writable");
    succeed(Command::new("chmod").arg("+x").arg(&old));
    let mut command = configure(&source(), &build);
    let why = refuse(command.arg(format!("-DLAVA_CARGO={}", old.display())));
    assert_holds(&why, &["is of Rust 1.63.0", "rustup update"]);
    let mut command = configure(&source(), &directory.path().join("other"));
    if !without_cargo(&mut command) {
        return skip("cargo and cc lie in one directory, so it cannot be hidden");
    }
    assert_holds(&refuse(&mut command), &["cargo was not found", "rustup.rs", "LAVA_PREBUILT"]);
}

/// Directories as Debian, Fedora and Nix name them; DESTDIR; what `lava.pc` says then.
#[test]
fn the_directories_of_distributions_are_honoured() {
    if !can_build() {
        return;
    }
    for library in ["lib/x86_64-linux-gnu", "lib64", "/opt/elsewhere/lib"] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (build, destination) =
            (directory.path().join("build"), directory.path().join("destination"));
        let mut command = configure(&source(), &build);
        command.args([
            "-DCMAKE_INSTALL_PREFIX=/usr",
            "-DLAVA_BUILD_MPI=OFF",
            "-DLAVA_BUILD_TOOL=OFF",
        ]);
        command.arg("-DLAVA_BUILD_STATIC=OFF").arg(format!("-DCMAKE_INSTALL_LIBDIR={library}"));
        succeed(command.arg(format!("-DLAVA_PREBUILT={}", package().prefix.display())));
        succeed(crate::cmake().arg("--install").arg(&build).env("DESTDIR", &destination));
        let place = library.strip_prefix('/').map_or(format!("usr/{library}"), str::to_owned);
        assert!(destination.join(&place).join("liblava.so.0").exists(), "{library}");
        let mut command = Command::new("pkg-config");
        command.env("PKG_CONFIG_PATH", destination.join(&place).join("pkgconfig"));
        let told = succeed(command.args(["--variable=libdir", "lava"]));
        let told = Path::new(told.trim());
        if library.starts_with('/') {
            assert_eq!(told, Path::new(library));
        } else {
            assert!(told.join("liblava.so.0").exists(), "{library}: {}", told.display());
        }
    }
}
