//! The programs that the README shows: they are the files that lie here, and they run, in every pair of languages.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lava_tests::{Compiler, Language, library, root, skip, succeed};

/// Far above what three frames need on a loaded machine.
const LIMIT: Duration = Duration::from_secs(120);

/// The README's block of code in `language`, and the file whose text it must be.
fn check_block(language: &str, file: &str) {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    let shown = blocks(&readme, language);
    let wanted = std::fs::read_to_string(root().join(file)).expect("the program");
    assert!(
        shown.contains(&wanted),
        "README.md has no block ```{language} that is {file}; make the two equal"
    );
}

fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == format!("```{language}") {
            let block = lines.by_ref().take_while(|line| *line != "```");
            found.push(block.map(|line| format!("{line}\n")).collect());
        } else if line.starts_with("```") {
            lines.by_ref().take_while(|line| *line != "```").for_each(drop);
        }
    }
    found
}

#[test]
fn the_readme_shows_the_programs() {
    check_block("rust", "lava/examples/minimal.rs");
    check_block("c", "lava/examples/c/minimal.c");
    check_block("cpp", "lava/examples/cpp/minimal.cpp");
}

#[test]
fn a_block_is_found_by_its_language() {
    let text = "```sh\n```\ntext\n```c\nint x;\n```\n```rust\nfn f() {}\n\n```\n";
    assert_eq!(blocks(text, "c"), ["int x;\n"]);
    assert_eq!(blocks(text, "rust"), ["fn f() {}\n\n"]);
    assert!(blocks(text, "python").is_empty());
}

/// A process that does not outlive a failing test.
struct Part(Child);

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(program: &Path, arguments: &[&str], directory: &Path) -> Part {
    let child = Command::new(program)
        .args(arguments)
        .env("LAVA_RUNTIME_DIR", directory)
        .stdout(Stdio::piped())
        .spawn();
    Part(child.unwrap_or_else(|error| panic!("{}: {error}", program.display())))
}

/// Waits for a process that says little; gives what it said.
fn finish(mut part: Part) -> String {
    let end = Instant::now() + LIMIT;
    loop {
        match part.0.try_wait().expect("a child of this process") {
            Some(status) => {
                assert!(status.success(), "{status}");
                let mut text = String::new();
                if let Some(mut output) = part.0.stdout.take() {
                    std::io::Read::read_to_string(&mut output, &mut text).expect("UTF-8");
                }
                return text;
            }
            None => assert!(Instant::now() < end, "still running after {LIMIT:?}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn exchange(sender: &Path, receiver: &Path) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let receiving = start(receiver, &[], directory.path());
    let sending = start(sender, &["send"], directory.path());
    let heard = finish(receiving);
    finish(sending);
    for number in 0..3 {
        let line = format!("4000 bytes of {number}");
        assert!(heard.contains(&line), "no line with `{line}` in:\n{heard}");
    }
}

fn build(language: Language, file: &str, directory: &Path) -> PathBuf {
    let program = directory.join(Path::new(file).extension().expect("a source"));
    let mut command = Compiler::SYSTEM.command(language);
    command.arg(root().join(file)).arg("-o").arg(&program).args(library().link_arguments());
    succeed(&mut command);
    program
}

#[test]
fn the_rust_program_talks_to_itself() {
    let rust = Path::new(env!("CARGO_BIN_EXE_readme_rust"));
    exchange(rust, rust);
}

#[test]
fn the_programs_in_c_and_cpp_talk_to_each() {
    if !Compiler::SYSTEM.is_present() {
        return skip("no C or no C++ compiler: install gcc and g++");
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let rust = PathBuf::from(env!("CARGO_BIN_EXE_readme_rust"));
    let c = build(Language::C99, "lava/examples/c/minimal.c", directory.path());
    let cpp = build(Language::Cpp17, "lava/examples/cpp/minimal.cpp", directory.path());
    let programs = [c, cpp, rust];
    for (sender, receiver) in programs.iter().flat_map(|a| programs.iter().map(move |b| (a, b))) {
        exchange(sender, receiver);
    }
}
