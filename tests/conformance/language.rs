//! The languages that take part, and how their programs are started.
//!
//! To add one: its entry in `all`, and a program that speaks the protocol at the head of `scenarios.txt`.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use lava_tests::{Compiler, Language as Standard, Program, build_directory, root};

/// A language with the command that starts its program; without one if this machine cannot run it.
#[derive(Clone, Debug)]
pub(crate) struct Language {
    pub(crate) name: &'static str,
    /// The program, after its interpreter if it needs one, and the arguments that come before the protocol's.
    pub(crate) command: Option<Vec<OsString>>,
    /// Variables that the program is started with.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Why there is no program, and what to install.
    pub(crate) missing: &'static str,
}

impl Language {
    /// Its program alone, if that is all it needs.
    pub(crate) fn program(&self) -> Option<&Path> {
        match self.command.as_deref() {
            Some([program]) => Some(Path::new(program)),
            _ => None,
        }
    }

    /// Its program, to be given the protocol's arguments; the reason if this machine cannot run it.
    pub(crate) fn command(&self) -> Result<Command, &'static str> {
        let words = self.command.as_ref().ok_or(self.missing)?;
        let (program, arguments) = words.split_first().ok_or("an empty command")?;
        let mut command = Command::new(program);
        command.args(arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }
}

/// C and C++ with AddressSanitizer and UndefinedBehaviorSanitizer. Optimizing, gcc warns of what is not so.
const SANITIZED: &[&str] = &[
    "-O0",
    "-g1",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    // Else nothing may be loaded before it.
    "-static-libasan",
];

const UNSANITIZED: &[&str] = &["-O1", "-g1"];

/// Every language of lava. Each plays both parts against each.
pub(crate) fn all() -> Vec<Language> {
    vec![
        compiled("c", "conformance_c", Standard::C11, SANITIZED),
        compiled("cpp", "conformance_cpp", Standard::Cpp17, SANITIZED),
        rust(),
    ]
}

/// Every language that is a program of its own, without sanitizers.
pub(crate) fn unsanitized() -> &'static [Language] {
    static ALL: OnceLock<Vec<Language>> = OnceLock::new();
    ALL.get_or_init(|| {
        let cpp = compiled("cpp", "conformance_cpp_plain", Standard::Cpp17, UNSANITIZED);
        vec![plain(), Language { environment: Vec::new(), ..cpp }, rust()]
    })
}

/// The C program without sanitizers.
pub(crate) fn plain() -> Language {
    let plain = compiled("c", "conformance_c_plain", Standard::C11, UNSANITIZED);
    Language { environment: Vec::new(), ..plain }
}

/// The C program, plain, under valgrind.
pub(crate) fn valgrind() -> Language {
    let missing = "no valgrind: install it";
    let is_present = Command::new("valgrind").arg("--version").output().is_ok();
    let options = ["valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full"];
    let leaks = ["--errors-for-leak-kinds=definite", "--show-leak-kinds=definite", "--"];
    let command = plain()
        .command
        .filter(|_| is_present)
        .map(|program| options.iter().chain(&leaks).map(OsString::from).chain(program).collect());
    Language { name: "valgrind", command, environment: Vec::new(), missing }
}

pub(crate) fn rust() -> Language {
    let command = Some(vec![env!("CARGO_BIN_EXE_conformance_rust").into()]);
    Language { name: "rust", command, environment: Vec::new(), missing: "" }
}

fn compiled(
    name: &'static str,
    program: &'static str,
    language: Standard,
    arguments: &'static [&'static str],
) -> Language {
    let compiler = Compiler::GCC;
    let folder = if language.is_cpp() { "cpp" } else { "c" };
    let directory = root().join("tests/conformance").join(folder);
    let program = Program { name: program, compiler, language, directory, arguments };
    let command = compiler.is_present().then(|| vec![program.build().into()]);
    let environment = sanitizer_options();
    Language { name, command, environment, missing: "no gcc or no g++: install them" }
}

/// What Mesa's Vulkan driver keeps until the process ends is its own. It is told by its name, so it stays loaded.
fn sanitizer_options() -> Vec<(&'static str, String)> {
    let suppressions = build_directory().join("leaks_of_drivers");
    std::fs::create_dir_all(build_directory()).expect("writable target directory");
    std::fs::write(&suppressions, "leak:libvulkan\nleak:libLLVM\n")
        .expect("writable target directory");
    let leaks = format!("print_suppressions=0:suppressions={}", suppressions.display());
    let mut options = vec![
        ("ASAN_OPTIONS", "exitcode=67:detect_leaks=1".to_owned()),
        ("LSAN_OPTIONS", leaks),
        ("UBSAN_OPTIONS", "print_stacktrace=1".to_owned()),
    ];
    options.extend(driver().map(|driver| ("LD_PRELOAD", driver)));
    options
}

/// Mesa's Vulkan driver on the processor, where it is installed.
fn driver() -> Option<String> {
    let libraries = Command::new("/sbin/ldconfig").arg("-p").output().ok()?;
    let text = String::from_utf8_lossy(&libraries.stdout).into_owned();
    let line = text.lines().find(|line| line.trim_start().starts_with("libvulkan_lvp.so"))?;
    Some(line.split_once("=> ")?.1.to_owned())
}

/// Names that `PROGRAM list` prints.
pub(crate) fn scenarios_of(mut program: Command) -> Result<Vec<String>, String> {
    let output = program.arg("list").output().map_err(|error| format!("{program:?}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program:?}: {}: {said}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}
