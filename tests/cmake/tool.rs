//! The command line as it is installed. It is built in the directory of the workspace, which has compiled what it needs.

use std::path::PathBuf;
use std::process::Command;

use lava_tests::root;

use crate::package::package;
use crate::{can_build, cmake, configure, source, succeed, work};

#[test]
fn the_tool_is_a_component_of_its_own() {
    if !can_build() {
        return;
    }
    package();
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let (build, prefix) = (work().join("tool"), work().join("tool-prefix"));
    let _ = std::fs::remove_dir_all(&prefix);
    let mut command = configure(&source(), &build);
    command.args(["-DCMAKE_BUILD_TYPE=Debug", "-DLAVA_OFFLINE=ON", "-DLAVA_BUILD_MPI=OFF"]);
    succeed(command.arg(format!("-DLAVA_CARGO_TARGET_DIR={}", root().join(target).display())));
    succeed(cmake().arg("--build").arg(&build).args(["--target", "lava_tool"]));
    let mut install = cmake();
    install.arg("--install").arg(&build).args(["--component", "tools", "--strip", "--prefix"]);
    succeed(install.arg(&prefix));
    assert_eq!(crate::files(&prefix), ["bin/lava"]);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut tool = Command::new(prefix.join("bin/lava"));
    tool.env("LAVA_RUNTIME_DIR", directory.path());
    let version = succeed(tool.arg("--version"));
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
}
