//! With feature `system`: links an installed liblava.so. It is looked for in `LAVA_LIB_DIR`, else where
//! `pkg-config` finds it, else in the linker's own directories. With feature `mpi`: builds the plug-ins. Without both
//! there is nothing to do.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LAVA_LIB_DIR");
    println!("cargo::rerun-if-env-changed=PKG_CONFIG_PATH");
    if env::var_os("CARGO_FEATURE_MPI").is_some() {
        build_plugins();
    }
    if env::var_os("CARGO_FEATURE_SYSTEM").is_none() {
        return;
    }
    println!("cargo::rustc-link-lib=dylib=lava");
    if let Some(directory) = env::var_os("LAVA_LIB_DIR") {
        println!("cargo::rustc-link-search=native={}", directory.display());
    } else {
        for directory in pkg_config_directories() {
            println!("cargo::rustc-link-search=native={directory}");
        }
    }
}

/// The directories that `pkg-config` names; none if it is absent or does not know lava.
fn pkg_config_directories() -> Vec<String> {
    let output = Command::new("pkg-config").args(["--libs-only-L", "lava"]).output();
    let Ok(output) = output else { return Vec::new() };
    if !output.status.success() {
        return Vec::new();
    }
    let flags = String::from_utf8_lossy(&output.stdout).into_owned();
    flags.split_whitespace().filter_map(|flag| flag.strip_prefix("-L")).map(str::to_owned).collect()
}

/// The compilers of the MPIs that Debian installs side by side, and what their plug-ins are called.
const PLUGINS: [(&str, &str); 2] = [("mpicc.openmpi", "openmpi"), ("mpicc.mpich", "mpich")];

/// Builds a plug-in with each MPI that is there, or with `mpicc` where there is one without a name of its own.
fn build_plugins() {
    for watched in ["mpi", "src/transport/mpi/table.rs"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    println!("cargo::rerun-if-env-changed=MPICC");
    let mut built = 0;
    for (compiler, kind) in PLUGINS {
        if says(compiler, "-show").is_some() {
            build_plugin(compiler, kind);
            built += 1;
        }
    }
    if built > 0 {
        return;
    }
    let compiler = env::var("MPICC").unwrap_or_else(|_| "mpicc".into());
    let Some(flags) = says(&compiler, "-show") else {
        println!(
            "cargo::error=the feature `mpi` found no MPI: install one (Debian: libopenmpi-dev openmpi-bin, or \
             libmpich-dev mpich), load its module, or name its compiler in MPICC"
        );
        return;
    };
    build_plugin(&compiler, if flags.contains("openmpi") { "openmpi" } else { "mpich" });
}

/// What a compiler says to an option; None if it is absent or fails.
fn says(compiler: &str, option: &str) -> Option<String> {
    let output = Command::new(compiler).arg(option).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Builds one plug-in in a target directory of its own, since one build knows one MPI, and copies it to where Cargo puts
/// programs.
fn build_plugin(compiler: &str, kind: &str) {
    let output = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let target = output.join(format!("mpi-{kind}"));
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--release",
            "--locked",
            "--manifest-path",
            "mpi/Cargo.toml",
            "--target-dir",
        ])
        .arg(&target)
        .env("MPICC", compiler)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status();
    if !status.is_ok_and(|status| status.success()) {
        println!(
            "cargo::error=the MPI plug-in did not build with {compiler}; it needs libclang (Debian: libclang-dev)"
        );
        return;
    }
    // OUT_DIR is PROFILE/build/PACKAGE-HASH/out.
    let Some(programs) = output.ancestors().nth(3) else { return };
    let name = format!("liblava_mpi_{kind}.so");
    if let Err(error) = place(&target.join("release/liblava_mpi.so"), &programs.join(&name)) {
        println!("cargo::error=placing {name} in {}: {error}", programs.display());
    }
}

/// By a rename, because a process may have the old file mapped.
fn place(from: &Path, to: &Path) -> std::io::Result<()> {
    let new = to.with_extension("so.new");
    std::fs::copy(from, &new)?;
    std::fs::rename(&new, to)
}
