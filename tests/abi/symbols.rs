//! The shared library exports the header's functions and nothing else.

use std::collections::BTreeSet;
use std::process::Command;

use lava_tests::{library, skip};

use crate::header;

#[test]
fn exported_symbols_are_the_functions_of_the_header() {
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(&library().file).output();
    let Ok(output) = output else { return skip("no nm: install binutils") };
    assert!(output.status.success(), "nm: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let exported: BTreeSet<_> =
        text.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    let declared: BTreeSet<_> =
        header::functions().iter().map(|function| function.name.as_str()).collect();
    let surplus: Vec<_> = exported.difference(&declared).collect();
    let missing: Vec<_> = declared.difference(&exported).collect();
    assert!(
        surplus.is_empty() && missing.is_empty(),
        "not in the header: {surplus:?}; not exported: {missing:?}"
    );
}
