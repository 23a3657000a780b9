//! The header compiles alone, in every standard and with every compiler it supports, without a warning.

use lava_tests::{Compiler, Language, root, skip};

use crate::header;

fn check_everywhere(name: &str, text: &str) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join(name);
    std::fs::write(&file, text).expect("writable");
    for compiler in Compiler::ALL {
        if !compiler.is_present() {
            skip(&format!("no {}: install it", compiler.name()));
            continue;
        }
        for language in Language::ALL {
            if let Err(messages) = compiler.check(language, &file) {
                panic!("{messages}");
            }
        }
    }
}

#[test]
fn the_header_compiles_alone() {
    check_everywhere(
        "alone.c",
        "#include <lava.h>\n#include <lava.h>\nint main(void) { return LAVA_OK; }\n",
    );
}

/// Each as the value of a local variable, the use that both languages have.
#[test]
fn every_init_macro_compiles_in_both_languages() {
    let mut text =
        String::from("#include <lava.h>\nint main(void) {\n    unsigned long total = 0;\n");
    for name in header::init_macros() {
        let kind = name.trim_end_matches("_INIT").to_lowercase();
        text += &format!(
            "    {{ {kind} value = {name}; total += value.struct_size != sizeof({kind}); }}\n"
        );
    }
    text += "    return (int)total;\n}\n";
    check_everywhere("init.c", &text);
}

#[test]
fn a_header_with_a_warning_is_found() {
    if !Compiler::SYSTEM.is_present() {
        return skip("no C compiler: install gcc");
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("warning.c");
    let source = "#include <lava.h>\nint main(void) { int unused; return 0; }\n";
    std::fs::write(&file, source).expect("writable");
    for language in Language::ALL {
        assert!(Compiler::SYSTEM.check(language, &file).is_err(), "{language:?}");
    }
    assert!(root().join("include/lava.h").exists());
}
