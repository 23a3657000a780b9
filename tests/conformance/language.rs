//! The languages that take part, and their programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use lava_tests::{Compiler, Language as Standard, build_directory, library, root};

/// A language with its program; without one if this machine cannot build it.
#[derive(Clone, Debug)]
pub(crate) struct Language {
    pub(crate) name: &'static str,
    pub(crate) program: Option<PathBuf>,
    /// Why there is no program, and what to install.
    pub(crate) missing: &'static str,
}

/// Every language of lava.
pub(crate) fn all() -> Vec<Language> {
    vec![c(), rust()]
}

fn c() -> Language {
    let program = Compiler::SYSTEM.is_present().then(build_c);
    Language { name: "c", program, missing: "no C compiler: install gcc" }
}

fn rust() -> Language {
    let program = Some(PathBuf::from(env!("CARGO_BIN_EXE_conformance_rust")));
    Language { name: "rust", program, missing: "" }
}

/// Compiles the C program as a user would, against `liblava.so` and nothing else.
fn build_c() -> PathBuf {
    let directory = root().join("tests/conformance/c");
    let mut sources: Vec<_> = std::fs::read_dir(&directory)
        .expect("tests/conformance/c")
        .map(|entry| entry.expect("directory entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
        .collect();
    sources.sort();
    let built = build_directory();
    std::fs::create_dir_all(&built).expect("writable target directory");
    // Two runs of the tests may build at once: each under its own name, then moved into place.
    let (program, draft) =
        (built.join("conformance_c"), built.join(format!("conformance_c.{}", std::process::id())));
    let output = Compiler::SYSTEM
        .command(Standard::C11)
        .args(["-O1", "-g", "-pthread", "-o"])
        .arg(&draft)
        .args(&sources)
        .arg("-L")
        .arg(&library().directory)
        .arg(format!("-Wl,-rpath,{}", library().directory.display()))
        .arg("-llava")
        .output()
        .expect("cc runs");
    assert!(output.status.success(), "cc:\n{}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&draft, &program).expect("writable target directory");
    program
}

/// Names that `PROGRAM list` prints.
pub(crate) fn scenarios_of(program: &Path) -> Result<Vec<String>, String> {
    let output = Command::new(program).arg("list").output().map_err(|error| format!("{error}"))?;
    if !output.status.success() {
        return Err(format!("{} list: {}", program.display(), output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}
