//! The licences that `doc/install.md` lists are those of the crates that the library and the tool contain.

use std::collections::BTreeSet;
use std::process::Command;

use lava_tests::root;

use crate::succeed;

/// Crates inside of what `package` makes, with their licences: `name`, `licence`.
fn crates_in(package: &str) -> BTreeSet<(String, String)> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(["tree", "--locked", "--offline", "--package", package]);
    cargo.args(["--edges", "normal,no-proc-macro", "--target", "x86_64-unknown-linux-gnu"]);
    let text = succeed(cargo.args(["--prefix", "none", "--format", "{p}|{l}|"]).arg("--quiet"));
    let lines = text.lines().filter_map(|line| line.split_once('|'));
    let crates = lines.map(|(package, rest)| {
        let name = package.split(' ').next().unwrap_or_default();
        (name.to_owned(), rest.trim_end_matches(" (*)").trim_end_matches('|').to_owned())
    });
    crates.filter(|(name, _)| !name.starts_with("lava")).collect()
}

#[test]
fn every_crate_inside_is_listed_with_its_licence() {
    let library = crates_in("lava-sys");
    let expected: BTreeSet<_> = crates_in("lava")
        .into_iter()
        .map(|item| {
            let place = if library.contains(&item) { "library and tool" } else { "tool" };
            format!("| {} | {} | {place} |", item.0, item.1)
        })
        .collect();
    assert!(expected.len() > 10 && library.len() > 5, "cargo tree: {expected:?}");
    let text = std::fs::read_to_string(root().join("doc/install.md")).expect("doc/install.md");
    let section =
        text.split_once("| crate | licence | in |\n|---|---|---|\n").expect("the table").1;
    let listed: BTreeSet<_> =
        section.lines().take_while(|line| line.starts_with('|')).map(str::to_owned).collect();
    let missing: Vec<_> = expected.difference(&listed).collect();
    let surplus: Vec<_> = listed.difference(&expected).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "doc/install.md: missing {missing:#?}, not inside {surplus:#?}"
    );
}
