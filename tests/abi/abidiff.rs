//! A second opinion on the ABI: libabigail's `abidiff` compares what a C compiler makes of today's header and of
//! `tests/abi/lava-N.h`, the header that programs were compiled against. It sees what lines of text do not tell: a typedef
//! that changes below a parameter, a field that moves inside a nested struct.
//!
//! Compared are two libraries of empty functions: what is inside of the real one is Rust's and is nobody's contract.

use std::path::{Path, PathBuf};
use std::process::Command;

use lava_tests::{root, skip};

use crate::bless;
use crate::header;
use crate::layout::STRUCTS;

/// The header without its comments and empty lines, which are no part of the ABI.
fn without_comments(text: &str) -> String {
    let mut rest = text;
    let mut code = String::new();
    while let Some((before, comment)) = rest.split_once("/*") {
        code += before;
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    code += rest;
    let lines = code.lines().map(str::trim_end).filter(|line| !line.is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}

fn baseline() -> PathBuf {
    root().join(format!("tests/abi/lava-{}.h", lava_sys::LAVA_ABI_VERSION))
}

/// A library with an empty function for each of the header's, with its types for a debugger, in `directory`.
fn library_of(text: &str, directory: &Path) -> PathBuf {
    std::fs::create_dir_all(directory).expect("writable");
    let functions = header::parse_functions(text);
    let bodies = functions.iter().map(|function| format!("{} {{}}\n", function.prototype()));
    let source = directory.join("functions.c");
    std::fs::write(directory.join("lava.h"), text).expect("writable");
    std::fs::write(&source, format!("#include \"lava.h\"\n{}", bodies.collect::<String>()))
        .expect("writable");
    let library = directory.join("liblava.so");
    let mut compiler = Command::new("gcc");
    compiler.args(["-std=c2x", "-w", "-g", "-fPIC", "-shared", "-Wl,-soname,liblava.so", "-o"]);
    let output = compiler.arg(&library).arg(source).output().expect("gcc runs");
    assert!(output.status.success(), "gcc: {}", String::from_utf8_lossy(&output.stderr));
    library
}

/// The declaration of struct `name` in the header: where its fields begin and end.
fn body(text: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let start = format!("typedef struct {name} {{");
    let start = text.find(&start)? + start.len();
    Some(start..start + text[start..].find(&format!("}} {name};"))?)
}

/// `new` without the fields that structs which tell their size have got at their end since `old`: they may grow. (A
/// suppression of libabigail for that, `has_data_member_inserted_at = end`, also hides fields that change.)
fn without_growth(old: &str, new: &str) -> String {
    let mut text = new.to_owned();
    for item in STRUCTS.iter().filter(|item| item.has_size()) {
        let (Some(before), Some(now)) = (body(old, item.name), body(&text, item.name)) else {
            continue;
        };
        let fields = old[before].matches(';').count();
        let kept: usize = text[now.clone()].split_inclusive(';').take(fields).map(str::len).sum();
        text.replace_range(now.start + kept..now.end, "\n");
    }
    text
}

/// `abidiff`'s report of what breaks programs compiled against header `old` when they run with header `new`.
fn broken(old: &str, new: &str) -> Option<String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    let new = library_of(&without_growth(old, new), &path("new"));
    let old = library_of(old, &path("old"));
    let mut abidiff = Command::new("abidiff");
    let output = abidiff.arg("--no-added-syms").arg(old).arg(new).output().expect("abidiff runs");
    let text = [output.stdout, output.stderr].concat();
    (!output.status.success()).then(|| String::from_utf8_lossy(&text).into_owned())
}

fn can_compare() -> bool {
    let missing = ["abidiff", "gcc"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_err());
    if let Some(name) = missing {
        skip(&format!("no {name}: install abigail-tools and gcc"));
    }
    missing.is_none()
}

#[test]
fn abidiff_finds_nothing_that_breaks_programs() {
    if !can_compare() {
        return;
    }
    let current = without_comments(&header::text());
    let committed = std::fs::read_to_string(baseline()).unwrap_or_else(|_| current.clone());
    if let Some(report) = broken(&committed, &current) {
        panic!("programs built against {} would break:\n{report}", baseline().display());
    }
    if bless() {
        return std::fs::write(baseline(), current).expect("writable");
    }
    let file = std::fs::read_to_string(baseline()).unwrap_or_default();
    assert!(file == current, "the header grew; LAVA_BLESS=1 writes {}", baseline().display());
}

#[test]
fn abidiff_tells_what_breaks_from_what_does_not() {
    if !can_compare() {
        return;
    }
    let current = without_comments(&header::text());
    let change = |old: &str, new: &str| {
        assert_eq!(current.matches(old).count(), 1, "`{old}` in the header");
        broken(&current, &current.replace(old, new))
    };
    let (field, end) = ("  uint64_t spin_ns;\n", "} lava_context_options;\n");
    let function = "LAVA_API uint32_t lava_version(void);\n";
    let allowed = [
        (end, format!("  uint64_t more;\n{end}")),
        (function, format!("{function}LAVA_API int32_t lava_more(void);\n")),
    ];
    for (old, new) in allowed {
        assert_eq!(change(old, &new), None, "{new}");
    }
    let breaking = [
        (field, format!("  uint64_t more;\n{field}")),
        (field, field.replace("64", "32")),
        (field, field.replace("uint", "int")),
        (function, String::new()),
        (function, function.replace("void", "int more")),
        ("typedef int32_t lava_status;\n", "typedef int64_t lava_status;\n".to_owned()),
        ("} lava_bytes;\n", "  uint64_t more;\n} lava_bytes;\n".to_owned()),
    ];
    for (old, new) in breaking {
        assert!(change(old, &new).is_some(), "not found: {old} as {new}");
    }
}

#[test]
fn comments_are_left_out() {
    let text = "/* a\n * b */\n\nint x; /* c */\n/** d */ int y;\n";
    assert_eq!(without_comments(text), "int x;\n int y;\n");
}
