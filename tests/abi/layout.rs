//! Every struct has the same layout in Rust and in C, and keeps the rules of `lava-sys/src/types/mod.rs`.

use std::fmt::Write;

use lava_sys::*;
use lava_tests::{Compiler, Language, skip};

/// A struct that crosses the ABI, as the Rust compiler lays it out.
pub(crate) struct Struct {
    pub(crate) name: &'static str,
    pub(crate) size: usize,
    pub(crate) align: usize,
    pub(crate) fields: &'static [Field],
}

pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) offset: usize,
    pub(crate) size: usize,
}

pub(crate) struct Constant {
    pub(crate) name: &'static str,
    pub(crate) value: i128,
}

include!(concat!(env!("OUT_DIR"), "/layout_table.rs"));

/// Structs that are elements of an array: the size of an element can never change, so it does not travel with it.
const ELEMENTS: [&str; 2] = ["lava_bytes", "lava_device_heap"];

impl Struct {
    /// Whether the struct can grow, because the caller says how large its own is.
    pub(crate) fn has_size(&self) -> bool {
        !ELEMENTS.contains(&self.name)
    }
}

/// The C file that the compiler must accept.
fn assertions() -> String {
    let mut text = String::from("#include <lava.h>\n");
    for item in STRUCTS {
        let name = item.name;
        assert_line(&mut text, &format!("sizeof({name})"), item.size as i128);
        assert_line(&mut text, &format!("_Alignof({name})"), item.align as i128);
        for field in item.fields {
            assert_line(
                &mut text,
                &format!("offsetof({name}, {})", field.name),
                field.offset as i128,
            );
            let size = format!("sizeof((({name} *)0)->{})", field.name);
            assert_line(&mut text, &size, field.size as i128);
        }
    }
    for constant in CONSTANTS {
        assert_line(&mut text, constant.name, constant.value);
    }
    text
}

fn assert_line(text: &mut String, expression: &str, value: i128) {
    let suffix = if value > i128::from(i64::MAX) { "u" } else { "" };
    writeln!(
        text,
        "_Static_assert({expression} == {value}{suffix}, \"{expression} is not {value}\");"
    )
    .expect("a String takes all");
}

fn compile(text: &str) -> Option<Result<(), String>> {
    if !Compiler::SYSTEM.is_present() {
        skip("no C compiler: install gcc");
        return None;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("layout.c");
    std::fs::write(&file, text).expect("writable");
    Some(Compiler::SYSTEM.check(Language::C11, &file))
}

#[test]
fn c_sees_the_layouts_and_constants_that_rust_sees() {
    if let Some(Err(messages)) = compile(&assertions()) {
        panic!("{messages}");
    }
}

#[test]
fn the_generated_file_can_fail() {
    for (right, wrong) in [
        ("offsetof(lava_error, value) == 16", "offsetof(lava_error, value) == 17"),
        ("LAVA_CLOSED == 3", "LAVA_CLOSED == 4"),
        ("LAVA_FOREVER == 18446744073709551615u", "LAVA_FOREVER == 18446744073709551614u"),
    ] {
        let text = assertions();
        assert!(text.contains(right), "no assertion {right}");
        let Some(result) = compile(&text.replace(right, wrong)) else { return };
        assert!(result.is_err(), "the compiler accepted {wrong}");
    }
}

#[test]
fn every_struct_begins_with_its_size() {
    for item in STRUCTS.iter().filter(|item| item.has_size()) {
        let first = &item.fields[0];
        assert_eq!((first.name, first.offset, first.size), ("struct_size", 0, 4), "{}", item.name);
    }
    for name in ELEMENTS {
        assert!(
            STRUCTS.iter().any(|item| item.name == name),
            "{name} is gone: take it off the list"
        );
    }
}

#[test]
fn no_struct_has_implicit_padding() {
    for item in STRUCTS {
        let mut end = 0;
        for field in item.fields {
            assert_eq!(
                field.offset, end,
                "{}.{}: bytes without a name before it",
                item.name, field.name
            );
            end = field.offset + field.size;
        }
        assert_eq!(item.size, end, "{}: bytes without a name at its end", item.name);
    }
}

#[test]
fn every_struct_that_can_grow_has_an_init_macro() {
    let found = crate::header::init_macros();
    let mut wanted: Vec<_> = STRUCTS
        .iter()
        .filter(|item| item.has_size())
        .map(|item| format!("{}_INIT", item.name.to_uppercase()))
        .collect();
    let mut macros = found.clone();
    macros.retain(|name| name != "LAVA_INIT");
    macros.sort();
    wanted.sort();
    assert_eq!(macros, wanted, "add the missing line to lava-sys/cbindgen.toml");
}
