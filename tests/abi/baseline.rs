//! `tests/abi/lava-N.txt` holds what programs were compiled against. Lines may be added to it, by `LAVA_BLESS=1`; a line
//! that changes or goes breaks those programs, so it always fails, until `LAVA_ABI_VERSION` becomes `N + 1`.

use std::path::PathBuf;

use lava_tests::root;

use crate::bless;
use crate::header;
use crate::layout::{CONSTANTS, STRUCTS};

fn file() -> PathBuf {
    root().join(format!("tests/abi/lava-{}.txt", lava_sys::LAVA_ABI_VERSION))
}

/// The ABI as the sources have it now. A struct that says its own size may grow, so its size is not part of it.
fn current() -> Vec<String> {
    let mut lines: Vec<_> = header::functions()
        .iter()
        .map(|function| format!("function {}", function.prototype()))
        .collect();
    for item in STRUCTS {
        lines.push(format!("struct {} align {}", item.name, item.align));
        if !item.has_size() {
            lines.push(format!("struct {} size {}", item.name, item.size));
        }
        let field = |field: &crate::layout::Field| {
            format!(
                "field {}.{} offset {} size {}",
                item.name, field.name, field.offset, field.size
            )
        };
        lines.extend(item.fields.iter().map(field));
    }
    lines.extend(header::init_macros().iter().map(|name| format!("macro {name}")));
    lines.extend(CONSTANTS.iter().map(|item| format!("constant {} {}", item.name, item.value)));
    lines
}

/// What a program built against `committed` would miss in `current`.
fn broken<'a>(committed: &'a str, current: &[String]) -> Vec<&'a str> {
    committed.lines().filter(|line| !current.iter().any(|other| other == line)).collect()
}

#[test]
fn the_abi_only_grows() {
    let committed = std::fs::read_to_string(file()).unwrap_or_default();
    let current = current();
    let broken = broken(&committed, &current);
    assert!(
        broken.is_empty(),
        "programs built against this ABI would break; these lines are changed or gone:\n{}",
        broken.join("\n")
    );
    let added: Vec<_> = current
        .iter()
        .filter(|line| !committed.lines().any(|other| other == line.as_str()))
        .collect();
    if bless() {
        return std::fs::write(file(), current.join("\n") + "\n").expect("writable");
    }
    assert!(added.is_empty(), "new in the ABI; LAVA_BLESS=1 adds it to the baseline: {added:#?}");
}

#[test]
fn a_changed_line_breaks_the_baseline_and_a_new_one_does_not() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let committed = "constant LAVA_CLOSED 3\nfield lava_error.value offset 16 size 8";
    assert!(broken(committed, &lines(committed)).is_empty());
    assert!(broken(committed, &lines(&format!("constant NEW 1\n{committed}"))).is_empty());
    assert_eq!(broken(committed, &lines(&committed.replace('3', "4"))), ["constant LAVA_CLOSED 3"]);
    assert_eq!(broken(committed, &[]).len(), 2);
}
