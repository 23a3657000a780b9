//! The package as `cmake --install` makes it: built once, offline, installed, and moved to another prefix.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use lava_tests::{RUSTC_ARGUMENTS, build_directory, library};

use crate::{can_build, cmake, files, source, succeed, work};

/// The installed package.
pub(crate) struct Package {
    /// Where it was moved to after it was installed.
    pub(crate) prefix: PathBuf,
    /// The build directory that it came from.
    pub(crate) build: PathBuf,
    /// Other runs of these tests wait until this one has ended.
    _lock: File,
}

/// Builds, installs and moves it, once a process. Panics with what CMake said if that fails.
pub(crate) fn package() -> &'static Package {
    static PACKAGE: OnceLock<Package> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        fs::create_dir_all(work()).expect("writable target directory");
        let lock = File::create(work().join("lock")).expect("writable target directory");
        lock.lock().expect("a lock of a file");
        let (first, prefix) = (work().join("installed"), work().join("moved"));
        for directory in [&first, &prefix] {
            let _ = fs::remove_dir_all(directory);
        }
        let built = cmake::Config::new(source())
            .out_dir(work().join("package"))
            .target(env!("LAVA_TARGET"))
            .host(env!("LAVA_TARGET"))
            .generator("Ninja")
            .profile("Debug")
            .define("CMAKE_INSTALL_PREFIX", &first)
            .define("LAVA_CARGO_TARGET_DIR", cargo_target())
            .define("LAVA_RUSTC_ARGUMENTS", RUSTC_ARGUMENTS.join(";"))
            .define("LAVA_OFFLINE", "ON")
            .define("LAVA_BUILD_TOOL", "OFF")
            .define("LAVA_BUILD_MPI", "OFF")
            .build_target("install/strip")
            .build();
        fs::rename(&first, &prefix).expect("a move within the target directory");
        Package { prefix, build: built.join("build"), _lock: lock }
    })
}

/// The one of `build-library`, which has compiled everything already.
pub(crate) fn cargo_target() -> PathBuf {
    build_directory().join("cdylib")
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Installs some components into a new directory; gives what lies there.
fn installed(components: &[&str], directory: &Path) -> Vec<String> {
    for component in components {
        let mut command = cmake();
        command.arg("--install").arg(&package().build).args(["--component", component]);
        succeed(command.arg("--prefix").arg(directory));
    }
    if directory.exists() { files(directory) } else { Vec::new() }
}

fn expected_runtime() -> Vec<String> {
    let shared = format!("lib/liblava.so.{VERSION}");
    vec!["lib/liblava.so.0".to_owned(), shared, "share/doc/lava/LICENSE".to_owned()]
}

fn expected_development() -> Vec<String> {
    let package = ["lavaConfig.cmake", "lavaConfigVersion.cmake", "lavaTargets.cmake"];
    let mut expected: Vec<_> =
        package.iter().map(|name| format!("lib/cmake/lava/{name}")).collect();
    let headers = files(&lava_tests::root().join("include"));
    expected.extend(headers.iter().map(|name| format!("include/{name}")));
    let rest = ["lib/liblava.a", "lib/liblava.so", "lib/pkgconfig/lava.pc"];
    expected.extend(rest.map(str::to_owned));
    expected.sort();
    expected
}

#[test]
fn each_component_installs_its_files_and_no_others() {
    if !can_build() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    assert_eq!(installed(&["runtime"], &path("runtime")), expected_runtime());
    assert_eq!(installed(&["development"], &path("development")), expected_development());
    let mut both = [expected_runtime(), expected_development()].concat();
    both.sort();
    assert_eq!(files(&package().prefix), both);
}

/// The value of `tag` in the dynamic section, as `readelf` prints it.
fn dynamic(file: &Path, tag: &str) -> Vec<String> {
    let text = succeed(Command::new("readelf").arg("--dynamic").arg(file));
    let lines = text.lines().filter(|line| line.contains(&format!("({tag})")));
    let values = lines.filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0));
    values.map(str::to_owned).collect()
}

/// The libraries that a program or library asks the loader for.
pub(crate) fn needed(file: &Path) -> Vec<String> {
    dynamic(file, "NEEDED")
}

#[test]
fn the_library_has_its_soname_and_needs_no_other_library_than_the_systems() {
    if !can_build() {
        return;
    }
    let file = package().prefix.join(format!("lib/liblava.so.{VERSION}"));
    assert_eq!(dynamic(&file, "SONAME"), ["liblava.so.0"]);
    for name in needed(&file) {
        let known = ["libc.so", "libgcc_s.so", "libm.so", "ld-linux"];
        assert!(known.iter().any(|known| name.starts_with(known)), "{name}");
    }
    assert!(dynamic(&file, "RPATH").is_empty() && dynamic(&file, "RUNPATH").is_empty());
}

/// rustc knows what a program must link besides `liblava.a`; the package must say the same.
#[test]
fn native_libraries_are_those_that_rustc_names() {
    if !can_build() {
        return;
    }
    let file = package().prefix.join("lib/pkgconfig/lava.pc");
    let text = fs::read_to_string(file).expect("lava.pc");
    let told = text.lines().find_map(|line| line.strip_prefix("Libs.private: ")).expect("a list");
    let known = library().native_libraries.join(" ");
    assert_eq!(told, known, "write what rustc names into cmake/lavaTargets.cmake");
}

/// Nothing that is installed may name the directory that it was installed to, or built in.
#[test]
fn no_installed_text_holds_a_path_of_the_build() {
    if !can_build() {
        return;
    }
    let package = package();
    for name in files(&package.prefix) {
        if name.ends_with(".cmake") || name.ends_with(".pc") {
            let text = fs::read_to_string(package.prefix.join(&name)).expect("UTF-8");
            let path = work().display().to_string();
            assert!(!text.contains(&path), "{name} holds {path}");
        }
    }
}

/// The plug-in is a workspace of its own, so its manifest repeats the version; CMake and pkg-config tell that of the workspace.
#[test]
fn every_manifest_has_the_version_of_the_workspace() {
    let file = lava_tests::root().join("lava-sys/mpi/Cargo.toml");
    let text = fs::read_to_string(&file).expect("the plug-in's manifest");
    let line = format!("version = \"{VERSION}\"");
    assert!(text.lines().any(|other| other == line), "{} has no line `{line}`", file.display());
}
