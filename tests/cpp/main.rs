//! `include/lava.hpp` and the two beside it: they compile alone in every standard that they support, without a warning,
//! with and without exceptions; they reach every function of `lava.h`; they refuse what they say; and do what they say. And
//! the code that the guides show compiles.

mod guides;
mod parity;

use std::path::{Path, PathBuf};
use std::process::Command;

use lava_tests::{Compiler, Language, library, root, skip, succeed};

const STANDARDS: [Language; 3] = [Language::Cpp17, Language::Cpp20, Language::Cpp23];
const HEADERS: [&str; 3] = ["lava.hpp", "lava_vulkan.hpp", "lava_cuda.hpp"];
const PLAIN: &[&str] = &[];
/// Where `behaviour.cpp` runs: both forms of each type that a newer standard library brings, lava's and the library's own.
const RUN: [(Compiler, Language); 3] = [
    (Compiler::GCC, Language::Cpp17),
    (Compiler::GCC, Language::Cpp23),
    (Compiler::CLANG, Language::Cpp20),
];
const WITHOUT_EXCEPTIONS: &[&str] = &["-fno-exceptions", "-fno-rtti"];

fn file(name: &str) -> PathBuf {
    root().join("tests/cpp").join(name)
}

fn present() -> Vec<Compiler> {
    let (present, missing): (Vec<_>, Vec<_>) =
        Compiler::ALL.into_iter().partition(|compiler| compiler.is_present());
    missing.iter().for_each(|compiler| skip(&format!("no {}: install it", compiler.name())));
    present
}

/// More warnings than users are promised to have none of.
const STRICT: [&str; 2] = ["-Wold-style-cast", "-Wsign-conversion"];

/// Compiles without making anything.
fn check(compiler: Compiler, standard: Language, arguments: &[&str], source: &Path) {
    let mut command = compiler.command(standard);
    command.args(arguments).args(STRICT).arg("-fsyntax-only");
    succeed(command.arg(source));
}

/// With each compiler in the standards for which no other test here builds the same program.
#[test]
fn the_headers_compile_without_a_warning() {
    for compiler in present() {
        for standard in
            STANDARDS.into_iter().filter(|standard| !RUN.contains(&(compiler, *standard)))
        {
            check(compiler, standard, PLAIN, &file("behaviour.cpp"));
        }
        check(compiler, Language::Cpp23, WITHOUT_EXCEPTIONS, &file("no_exceptions.cpp"));
    }
}

#[test]
fn each_header_compiles_alone() {
    let Some(compiler) = present().first().copied() else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    for header in HEADERS {
        let source = directory.path().join(header.replace(".hpp", ".cpp"));
        std::fs::write(&source, format!("#include <{header}>\n#include <{header}>\n"))
            .expect("writable");
        check(compiler, Language::Cpp17, PLAIN, &source);
    }
    let text = std::fs::read_to_string(root().join("include/lava.hpp")).expect("lava.hpp");
    let included = text.lines().filter(|line| line.starts_with("#include"));
    assert!(included.clone().count() > 10);
    assert!(!included.clone().any(|line| line.contains("vulkan") || line.contains("cuda")));
}

/// Builds a program and runs it in a runtime directory of its own.
fn run(compiler: Compiler, standard: Language, arguments: &[&str], source: &Path) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = directory.path().join("program");
    let mut build = compiler.command(standard);
    build.args(arguments).args(STRICT).arg(source).arg("-o").arg(&program).arg("-pthread");
    succeed(build.args(library().link_arguments()));
    let mut program = Command::new(&program);
    succeed(program.env("LAVA_RUNTIME_DIR", directory.path().join("run")));
}

#[test]
fn the_behaviour_is_as_documented() {
    let present = present();
    for (compiler, standard) in RUN.into_iter().filter(|(compiler, _)| present.contains(compiler)) {
        let sanitized: &[&str] = if standard == Language::Cpp17 {
            &["-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
        } else {
            PLAIN
        };
        run(compiler, standard, sanitized, &file("behaviour.cpp"));
    }
}

#[test]
fn it_works_without_exceptions() {
    for compiler in present() {
        run(compiler, Language::Cpp17, WITHOUT_EXCEPTIONS, &file("no_exceptions.cpp"));
    }
}

/// Each file's first line is `// refused: PART OF THE MESSAGE`, then `; ARGUMENT` if the compiler needs one.
#[test]
fn wrong_programs_are_refused() {
    if !Compiler::GCC.is_present() {
        return skip("no gcc: install it");
    }
    let entries = std::fs::read_dir(file("refused")).expect("tests/cpp/refused");
    let mut count = 0;
    for source in entries.map(|entry| entry.expect("directory entry").path()) {
        let text = std::fs::read_to_string(&source).expect("a program");
        let first = text.lines().next().and_then(|line| line.strip_prefix("// refused: "));
        let first = first.unwrap_or_else(|| panic!("{}: no `// refused: `", source.display()));
        let (wanted, argument) = first.split_once("; ").unwrap_or((first, "-fexceptions"));
        let mut command = Compiler::GCC.command(Language::Cpp17);
        command.env("LC_ALL", "C").args([argument, "-fsyntax-only"]).arg(&source);
        let output = command.output().expect("g++ runs");
        let said = String::from_utf8_lossy(&output.stderr).replace(['‘', '’'], "'");
        assert!(!output.status.success(), "{} compiles", source.display());
        assert!(said.contains(wanted), "{}: no `{wanted}` in:\n{said}", source.display());
        count += 1;
    }
    assert!(count >= 13, "only {count} programs");
}
