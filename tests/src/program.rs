//! Programs in C and C++, built as a user would: against `liblava.so` and nothing else.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::thread;

use crate::{Compiler, Language, build_directory, library, root};

/// A program to be built from all sources of a directory.
#[derive(Clone, Debug)]
pub struct Program {
    /// File name of the result, in the tests' build directory.
    pub name: &'static str,
    /// The compiler.
    pub compiler: Compiler,
    /// The standard; its files end in `.c` or `.cpp`.
    pub language: Language,
    /// Where the sources are.
    pub directory: PathBuf,
    /// Further arguments, for compiling and for linking.
    pub arguments: &'static [&'static str],
}

impl Program {
    /// Builds it if anything has changed; panics with the compiler's messages. Two runs of the tests may build at once: each
    /// does so under its own name, then moves the result into place.
    pub fn build(&self) -> PathBuf {
        let built = build_directory();
        let (program, stamp) = (built.join(self.name), built.join(format!("{}.stamp", self.name)));
        let state = self.state();
        if program.exists() && std::fs::read_to_string(&stamp).is_ok_and(|found| found == state) {
            return program;
        }
        let objects = built.join(format!("{}.{}", self.name, std::process::id()));
        std::fs::create_dir_all(&objects).expect("writable target directory");
        let draft = objects.join(self.name);
        let mut link = self.command();
        link.args(["-x", "none"]).args(self.compile(&objects)).arg("-o").arg(&draft);
        succeed(link.arg("-pthread").args(library().link_arguments()));
        std::fs::rename(&draft, &program).expect("writable target directory");
        std::fs::write(&stamp, state).expect("writable target directory");
        std::fs::remove_dir_all(&objects).expect("writable target directory");
        program
    }

    /// What the result depends on: the command, and the times of all sources and headers.
    fn state(&self) -> String {
        let mut state = format!("{:?} {:?}\n", self.command(), library().directory);
        let include = root().join("include");
        for directory in [&self.directory, &include, &include.join("lava")] {
            for path in files(directory) {
                let changed = path.metadata().and_then(|data| data.modified());
                state += &format!("{} {changed:?}\n", path.display());
            }
        }
        state
    }

    fn command(&self) -> Command {
        let mut command = self.compiler.command(self.language);
        command.args(self.arguments);
        command
    }

    /// Compiles every source, as many at once as there are processors.
    fn compile(&self, to: &Path) -> Vec<PathBuf> {
        let sources = Mutex::new(self.sources());
        let objects = Mutex::new(Vec::new());
        let next = || sources.lock().expect("no panic").pop();
        let compile_some = || {
            while let Some(source) = next() {
                let object = to.join(source.file_stem().expect("a file")).with_extension("o");
                succeed(self.command().arg("-c").arg(&source).arg("-o").arg(&object));
                objects.lock().expect("no panic").push(object);
            }
        };
        let processors = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| (0..processors).for_each(|_| drop(scope.spawn(compile_some))));
        objects.into_inner().expect("no panic")
    }

    fn sources(&self) -> Vec<PathBuf> {
        let wanted = if self.language.is_cpp() { "cpp" } else { "c" };
        let mut sources = files(&self.directory);
        sources.retain(|path| path.extension().is_some_and(|extension| extension == wanted));
        sources
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("directory entry").path()).collect();
    files.sort();
    files
}

/// Runs a command that must end well; panics with what it said.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
