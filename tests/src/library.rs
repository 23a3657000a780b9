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
    /// What a program that links the static library needs, as rustc names it: `-ldl` and others, in order.
    pub native_libraries: Vec<String>,
}

/// Arguments of rustc with which the library is built. Another build that gives the same in the same directory compiles
/// nothing again.
pub const RUSTC_ARGUMENTS: [&str; 2] = ["--print", "native-static-libs"];

impl Library {
    /// What a C or C++ compiler needs to link it and to find it when the program runs.
    pub fn link_arguments(&self) -> [String; 3] {
        let directory = self.directory.display();
        [format!("-L{directory}"), format!("-Wl,-rpath,{directory}"), "-llava".into()]
    }
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
        .args(["rustc", "--package", "lava-sys", "--lib", "--crate-type", "cdylib,staticlib"])
        .arg("--target-dir")
        .arg(&target)
        .args(["--", "-C", "link-arg=-Wl,-soname,liblava.so.0"])
        .args(RUSTC_ARGUMENTS)
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(messages.into_owned());
    }
    let native = messages.lines().find_map(|line| line.split_once("native-static-libs: "));
    let native = native.ok_or_else(|| format!("rustc names no native libraries:\n{messages}"))?.1;
    let native_libraries = native.split_whitespace().map(str::to_owned).collect();
    let directory = target.join("debug");
    let built = directory.join("liblava_sys.so");
    for name in ["liblava.so", "liblava.so.0"] {
        link(&built, &directory.join(name)).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(Library { file: directory.join("liblava.so"), directory, native_libraries })
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
