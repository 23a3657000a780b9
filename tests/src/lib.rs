//! What the tests share: where the repository is, the built `liblava.so`, the C compilers of this machine.

mod compiler;
mod library;
mod program;

use std::path::PathBuf;

pub use compiler::{Compiler, Language};
pub use library::{Library, RUSTC_ARGUMENTS, library};
pub use program::{Program, succeed};

/// The repository's root directory.
pub fn root() -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    tests.parent().map(PathBuf::from).unwrap_or(tests)
}

/// A directory for what tests build, inside cargo's target directory: kept between runs, ignored by git.
pub fn build_directory() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    root().join(target).join("lava-tests")
}

/// Says that a test could not run here. `tests/run` counts the test as skipped because of this line.
pub fn skip(why: &str) {
    println!("skipped: {why}");
}
