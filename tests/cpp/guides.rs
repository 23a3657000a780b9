//! The code in the guides for C and C++: a block that begins with `#include` is a whole file; any other is the inside of a
//! function, which has a `context`, a `producer` and a `consumer`.

use std::path::Path;

use lava_tests::{Compiler, Language, root, skip, succeed};

const C: &str = "#include <lava.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <string.h>\n";
const C_ARGUMENTS: &str = "lava_context *context, lava_producer *producer, lava_consumer *consumer";
const CPP: &str = "#include <lava_cuda.hpp>\n#include <lava_vulkan.hpp>\n#include <algorithm>\n\
    #include <iostream>\nusing namespace std::chrono_literals;\n";
const CPP_ARGUMENTS: &str =
    "lava::context &context, lava::producer &producer, lava::consumer &consumer";

fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(named) = line.strip_prefix("```") else { continue };
        let block = lines.by_ref().take_while(|line| *line != "```");
        let block: String = block.map(|line| format!("{line}\n")).collect();
        if named == language {
            found.push(block);
        }
    }
    found
}

fn check(guide: &str, name: &str, standard: Language, head: &str, arguments: &str) {
    if !Compiler::GCC.is_present() {
        return skip("no gcc: install it");
    }
    let text = std::fs::read_to_string(root().join(guide)).expect("a guide");
    let blocks = blocks(&text, name);
    assert!(blocks.len() > 5, "only {} blocks of {name} in {guide}", blocks.len());
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (whole, parts): (Vec<_>, Vec<_>) =
        blocks.iter().partition(|block| block.starts_with("#include"));
    let functions = parts.iter().enumerate().map(|(number, block)| {
        let function = format!("void part{number}({arguments})");
        let unused = "(void)context, (void)producer, (void)consumer;";
        format!("{function};\n{function} {{ {unused}\n{block}}}\n")
    });
    let functions = head.to_owned() + &functions.collect::<String>();
    for (number, code) in whole.into_iter().chain([&functions]).enumerate() {
        let source = directory.path().join(format!("block{number}.{name}"));
        std::fs::write(&source, code).expect("writable");
        compile(standard, &source);
    }
}

/// What a block shows need not be used.
fn compile(standard: Language, source: &Path) {
    let mut command = Compiler::GCC.command(standard);
    command.args(["-Wno-unused-variable", "-Wno-unused-but-set-variable", "-fsyntax-only"]);
    succeed(command.arg(source));
}

#[test]
fn the_code_of_the_guide_for_c_compiles() {
    check("doc/guide_c.md", "c", Language::C99, C, C_ARGUMENTS);
}

#[test]
fn the_code_of_the_guide_for_cpp_compiles() {
    check("doc/guide_cpp.md", "cpp", Language::Cpp20, CPP, CPP_ARGUMENTS);
}

#[test]
fn blocks_are_found_by_their_language() {
    let text = "```sh\nx\n```\ntext\n```c\nint x;\n```\n```cpp\nint y;\n```\n";
    assert_eq!(blocks(text, "c"), ["int x;\n"]);
    assert_eq!(blocks(text, "cpp"), ["int y;\n"]);
}
