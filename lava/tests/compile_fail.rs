//! What must not compile, and the reason that the compiler gives.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::process::Command;

/// The compiler whose words the `.stderr` files have. `TRYBUILD=overwrite cargo test -p lava --test compile_fail` writes
/// them anew; read each, for the reason must be the one that the file's first line gives.
const COMPILER: &str = "rustc 1.95.";

#[test]
fn misuse_does_not_compile() {
    let output = Command::new("rustc").arg("--version").output().unwrap();
    let version = String::from_utf8(output.stdout).unwrap();
    if !version.starts_with(COMPILER) {
        println!("skipped: the expected messages are those of {COMPILER}x, and this is {version}");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
