//! Packaging a liblava that was built elsewhere: no Rust is needed.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::package::package;
use crate::{can_build, cmake, configure, files, refuse, source, succeed, without_cargo};

/// Packages the library below `prefix`, on a machine without Rust.
fn packaging(prefix: &Path, build: &Path) -> Command {
    let mut command = configure(&source(), build);
    // Where it cannot be hidden, it is not called all the same.
    without_cargo(&mut command);
    command.arg(format!("-DLAVA_PREBUILT={}", prefix.display())).arg("-DLAVA_BUILD_TOOL=OFF");
    command
}

#[test]
fn a_built_library_is_packaged_without_rust() {
    if !can_build() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (build, prefix) = (directory.path().join("build"), directory.path().join("prefix"));
    succeed(&mut packaging(&package().prefix, &build));
    succeed(cmake().arg("--build").arg(&build));
    succeed(cmake().arg("--install").arg(&build).arg("--prefix").arg(&prefix));
    assert_eq!(files(&prefix), files(&package().prefix));
    for name in files(&prefix) {
        let same = fs::read(prefix.join(&name)).ok() == fs::read(package().prefix.join(&name)).ok();
        assert!(same, "{name} differs");
    }
}

#[test]
fn what_is_missing_or_of_another_version_is_refused() {
    if !can_build() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (build, other) = (directory.path().join("build"), directory.path().join("other"));
    let why = refuse(&mut packaging(directory.path(), &build));
    assert!(why.contains("no liblava.so.0 in") && why.contains("-DLAVA_BUILD_SHARED=OFF"), "{why}");

    // A library of lava's next version.
    fs::create_dir_all(other.join("lib")).expect("writable");
    let text = "unsigned lava_version(void) { return 2u << 16; }\nunsigned lava_abi_version(void) { return 0; }\n";
    fs::write(other.join("next.c"), text).expect("writable");
    let library = other.join("lib/liblava.so.0");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-Wl,-soname,liblava.so.0", "-o"]).arg(&library);
    succeed(compiler.arg(other.join("next.c")));
    let why = refuse(packaging(&other, &build).arg("-DLAVA_BUILD_STATIC=OFF"));
    assert!(why.contains("is version 2.0.0 ABI 0, these sources are"), "{why}");
}
