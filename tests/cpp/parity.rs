//! Every function of `lava.h` can be had through the C++ headers.

use std::path::PathBuf;

use lava_tests::root;

fn headers() -> Vec<PathBuf> {
    let include = root().join("include");
    let entries = [include.clone(), include.join("lava")]
        .map(|directory| std::fs::read_dir(directory).expect("include"));
    let files = entries.into_iter().flatten().map(|entry| entry.expect("directory entry").path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "hpp")).collect()
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether the name stands in the text on its own, not as the beginning or end of a longer one.
fn uses(text: &str, name: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        !text[..at].ends_with(part_of_name) && !text[at + name.len()..].starts_with(part_of_name)
    })
}

#[test]
fn every_function_is_wrapped() {
    let declarations = read(root().join("lava-sys/src/decl.rs"));
    let functions: Vec<_> = declarations
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub fn ")?.split('(').next())
        .collect();
    assert!(functions.len() > 50, "only {} functions found", functions.len());
    let text: String = headers().into_iter().map(read).collect();
    let missing: Vec<_> = functions.iter().filter(|name| !uses(&text, name)).collect();
    assert!(missing.is_empty(), "no header in include/lava calls {missing:?}");
}

#[test]
fn a_name_within_a_name_is_no_use() {
    assert!(uses("x = lava_frame_read(a)", "lava_frame_read"));
    assert!(!uses("lava_frame_read_all lava_frame_readable", "lava_frame_read"));
}
