//! No panic can leave the library: the body of every exported function is one call of a function that stops panics.

use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Functions of `abi/guard.rs` that catch a panic, and what each of them is for is said there.
const GUARDS: [&str; 3] = ["control", "hot", "quiet"];

/// Functions that only give a constant.
const CONSTANTS: [&str; 2] = ["lava_version", "lava_abi_version"];

/// Exported functions of a file, and those of them that begin with something else than a guard.
fn look(text: &str) -> (usize, Vec<String>) {
    let tokens: Vec<_> = text.parse::<TokenStream>().expect("Rust").into_iter().collect();
    let (mut exported, mut open) = (0, Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        if token.to_string() != "[unsafe (no_mangle)]" {
            continue;
        }
        let rest = &tokens[at..];
        let name_at =
            rest.iter().position(|token| token.to_string() == "fn").expect("a function") + 1;
        let name = rest[name_at].to_string();
        let body = rest.iter().find_map(|token| match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                Some(group.stream())
            }
            _ => None,
        });
        let first = body.and_then(|body| body.into_iter().next()).map(|token| token.to_string());
        exported += 1;
        if !CONSTANTS.contains(&name.as_str())
            && !first.is_some_and(|first| GUARDS.contains(&first.as_str()))
        {
            open.push(name);
        }
    }
    (exported, open)
}

#[test]
fn every_exported_function_stops_panics() {
    let mut total = 0;
    for entry in
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/abi")).expect("src/abi")
    {
        let path = entry.expect("entry").path();
        let (exported, open) = look(&std::fs::read_to_string(&path).expect("readable"));
        total += exported;
        assert!(open.is_empty(), "{}: a panic can leave {open:?}", path.display());
    }
    assert!(total > 50, "only {total} exported functions found");
}

#[test]
fn a_function_without_a_guard_is_found() {
    let open = "#[unsafe(no_mangle)] pub extern \"C\" fn lava_frame_size() -> u64 { compute() }";
    assert_eq!(look(open), (1, vec!["lava_frame_size".to_owned()]));
    let closed =
        "#[unsafe(no_mangle)] pub extern \"C\" fn lava_frame_size() -> u64 { quiet(|| compute()) }";
    assert_eq!(look(closed), (1, Vec::new()));
}
