//! With feature `system`: links an installed liblava.so. It is looked for in `LAVA_LIB_DIR`, else where
//! `pkg-config` finds it, else in the linker's own directories. Without the feature there is nothing to do.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LAVA_LIB_DIR");
    println!("cargo::rerun-if-env-changed=PKG_CONFIG_PATH");
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
