//! The C and C++ compilers of this machine.

use std::path::Path;
use std::process::Command;

use crate::root;

/// A language standard of `include/lava.h`'s users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// The oldest C that the header supports.
    C99,
    /// C with `_Static_assert`.
    C11,
    /// The C of today's compilers.
    C17,
    /// The newest C, by the name that older compilers have for it.
    C23,
    /// The oldest C++ that the header supports.
    Cpp17,
    /// C++ with concepts, `std::span` and `std::stop_token`.
    Cpp20,
    /// C++ with `std::expected`, by the name that older compilers have for it.
    Cpp23,
}

impl Language {
    /// Every one of them.
    pub const ALL: [Self; 7] =
        [Self::C99, Self::C11, Self::C17, Self::C23, Self::Cpp17, Self::Cpp20, Self::Cpp23];

    /// Whether it is a C++.
    pub fn is_cpp(self) -> bool {
        matches!(self, Self::Cpp17 | Self::Cpp20 | Self::Cpp23)
    }

    /// The compiler's arguments that choose it.
    pub fn arguments(self) -> [&'static str; 3] {
        match self {
            Self::C99 => ["-x", "c", "-std=c99"],
            Self::C11 => ["-x", "c", "-std=c11"],
            Self::C17 => ["-x", "c", "-std=c17"],
            Self::C23 => ["-x", "c", "-std=c2x"],
            Self::Cpp17 => ["-x", "c++", "-std=c++17"],
            Self::Cpp20 => ["-x", "c++", "-std=c++20"],
            Self::Cpp23 => ["-x", "c++", "-std=c++2b"],
        }
    }
}

/// A compiler by the names of its C and C++ commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compiler {
    c: &'static str,
    cpp: &'static str,
}

impl Compiler {
    /// The system's own compiler.
    pub const SYSTEM: Self = Self { c: "cc", cpp: "c++" };
    /// GNU's.
    pub const GCC: Self = Self { c: "gcc", cpp: "g++" };
    /// LLVM's.
    pub const CLANG: Self = Self { c: "clang", cpp: "clang++" };
    /// The two that lava is tested with.
    pub const ALL: [Self; 2] = [Self::GCC, Self::CLANG];

    /// Whether this machine has both of its commands.
    pub fn is_present(self) -> bool {
        [self.c, self.cpp].iter().all(|name| {
            Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
        })
    }

    /// The name of its C command.
    pub fn name(self) -> &'static str {
        self.c
    }

    /// A command that compiles with every warning as an error and finds `lava.h`.
    pub fn command(self, language: Language) -> Command {
        let mut command = Command::new(if language.is_cpp() { self.cpp } else { self.c });
        command
            .args(["-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Wshadow", "-Werror", "-I"])
            .arg(root().join("include"));
        command.args(language.arguments());
        command
    }

    /// Compiles `source` without making anything; the compiler's messages if it refuses.
    pub fn check(self, language: Language, source: &Path) -> Result<(), String> {
        let output = self
            .command(language)
            .arg("-fsyntax-only")
            .arg(source)
            .output()
            .map_err(|error| format!("{}: {error}", self.c))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("{} as {language:?}:\n{}", self.c, String::from_utf8_lossy(&output.stderr)))
    }
}
