//! `liblava.so`, built from this checkout as a user's program would link it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::{fs, io};

use crate::{build_directory, root};

/// A built `liblava.so`.
#[derive(Clone, Debug)]
pub struct Library {
    /// Directory of `liblava.so` and `liblava.so.0`, for `-L` and `LD_LIBRARY_PATH`.
    pub directory: PathBuf,
    /// The shared object itself.
    pub file: PathBuf,
}

/// Builds the shared library once a process; cargo's lock orders several processes. Panics with cargo's output if it
/// cannot be built, since then nothing about it can be tested.
pub fn library() -> &'static Library {
    static BUILT: OnceLock<Library> = OnceLock::new();
    BUILT.get_or_init(|| build().unwrap_or_else(|why| panic!("liblava.so cannot be built: {why}")))
}

fn build() -> Result<Library, String> {
    let target = build_directory().join("cdylib");
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root())
        .args(["rustc", "--package", "lava-sys", "--lib", "--crate-type", "cdylib", "--target-dir"])
        .arg(&target)
        .args(["--", "-C", "link-arg=-Wl,-soname,liblava.so.0"])
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let directory = target.join("debug");
    let built = directory.join("liblava_sys.so");
    for name in ["liblava.so", "liblava.so.0"] {
        link(&built, &directory.join(name)).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(Library { file: directory.join("liblava.so"), directory })
}

/// Another test process may do the same at this moment, so an existing link is right.
fn link(target: &std::path::Path, name: &std::path::Path) -> io::Result<()> {
    match std::os::unix::fs::symlink(target, name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (fs::canonicalize(name)?
            == fs::canonicalize(target)?)
        .then_some(())
        .ok_or_else(|| io::Error::other("another file has this name")),
        result => result,
    }
}
