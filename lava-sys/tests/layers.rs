//! The layer law: data flows one way, `abi → channel → transport → memory → os`, and what is dangerous has one place.
//!
//! To allow something new, change the tables here, and say why in `doc/spec/architecture.md`.

use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What each top-level module may name of this crate. `types` is allowed everywhere.
const ALLOWED: &[(&str, &[&str])] = &[
    ("abi", &["channel", "transport", "interop", "memory", "scope", "error", "log", "wire"]),
    ("channel", &["transport", "memory", "scope", "os", "wire", "error", "log", "sync"]),
    ("transport", &["memory", "scope", "os", "wire", "error", "log", "sync"]),
    ("interop", &["memory", "os", "error", "log"]),
    ("memory", &["scope", "os", "wire", "error", "log", "sync"]),
    ("scope", &["os", "error", "log"]),
    ("os", &["error", "sync"]),
    ("wire", &["error", "sync"]),
    ("log", &["os", "error", "sync"]),
    ("error", &[]),
    ("sync", &[]),
    ("types", &[]),
    ("decl", &[]),
    (
        "internals",
        &["channel", "transport", "memory", "scope", "os", "wire", "error", "log", "sync"],
    ),
];

/// Words that only the files under these paths may use.
const CONFINED: &[(&str, &[&str])] = &[
    ("libc", &["os/", "error.rs"]),
    ("rustix", &["os/", "error.rs"]),
    ("ash", &["memory/vulkan"]),
    ("libloading", &["interop/", "memory/vulkan", "transport/mpi"]),
    ("no_mangle", &["abi/"]),
];

/// Paths whose files are pure bookkeeping and decisions: `unsafe` has no place in them.
const SAFE: &[&str] = &["channel/pool", "channel/routing", "scope", "memory/auto"];

/// What `lib.rs` may make public. `internals` is for benches, model checks and fuzz targets.
const PUBLIC: &[&str] =
    &["mod types", "mod decl", "use decl :: *", "use types :: *", "mod internals"];

/// One file of the crate, by its path below `src`.
struct Source<'a> {
    path: &'a str,
    faults: Vec<String>,
}

impl Source<'_> {
    fn module(&self) -> &str {
        self.path.split('/').next().unwrap_or(self.path).trim_end_matches(".rs")
    }

    /// How many modules the file's own code is inside of.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count();
        if self.path == "lib.rs" { 0 } else { parts - usize::from(self.path.ends_with("/mod.rs")) }
    }

    fn fault(&mut self, tree: &TokenTree, what: &str) {
        self.faults.push(format!("{}:{}: {what}", self.path, tree.span().start().line));
    }

    fn walk(&mut self, tokens: TokenStream, depth: usize) {
        let trees: Vec<_> = tokens.into_iter().collect();
        for (index, tree) in trees.iter().enumerate() {
            match tree {
                TokenTree::Ident(word) => self.word(&word.to_string(), &trees, index, depth),
                TokenTree::Group(group) => {
                    let is_module = group.delimiter() == Delimiter::Brace
                        && index >= 2
                        && trees[index - 2].to_string() == "mod";
                    self.walk(group.stream(), depth + usize::from(is_module));
                }
                _ => {}
            }
        }
    }

    fn word(&mut self, word: &str, trees: &[TokenTree], index: usize, depth: usize) {
        match word {
            "crate" => {
                for module in named_after(trees, index) {
                    self.check_use(&trees[index], &module);
                }
            }
            "super" => {
                let climbs = (0..)
                    .step_by(3)
                    .take_while(|step| is_word(trees, index + step, "super"))
                    .count();
                if climbs >= depth && self.path != "lib.rs" {
                    self.fault(&trees[index], "climbs to the crate's root; write `crate::`");
                }
            }
            "unsafe" if SAFE.iter().any(|path| self.path.starts_with(path)) => {
                self.fault(&trees[index], "`unsafe` in code that must be pure");
            }
            _ => {
                let places =
                    CONFINED.iter().find(|(name, _)| *name == word).map(|(_, places)| *places);
                let is_field = index > 0 && trees[index - 1].to_string() == ".";
                if places.is_some_and(|places| {
                    !is_field && !places.iter().any(|at| self.path.starts_with(at))
                }) {
                    self.fault(
                        &trees[index],
                        &format!("`{word}` outside of {:?}", places.unwrap_or_default()),
                    );
                }
            }
        }
    }

    fn check_use(&mut self, tree: &TokenTree, named: &str) {
        let own = self.module().to_owned();
        if named == own || named == "types" || own == "lib" || !is_module(named) {
            return;
        }
        let allowed = ALLOWED.iter().find(|(module, _)| *module == own);
        match allowed {
            None => self.fault(tree, &format!("`{own}` is no layer of the design")),
            Some((_, allowed)) if !allowed.contains(&named) => {
                self.fault(tree, &format!("`{own}` must not use `{named}`"));
            }
            Some(_) => {}
        }
    }
}

fn is_word(trees: &[TokenTree], index: usize, word: &str) -> bool {
    matches!(trees.get(index), Some(TokenTree::Ident(found)) if found == word)
}

/// Whether the name is a module at the crate's root: others are items that `lib.rs` re-exports, all of them types.
fn is_module(name: &str) -> bool {
    ALLOWED.iter().any(|(module, _)| *module == name)
        || source_directory().join(name).exists()
        || source_directory().join(format!("{name}.rs")).exists()
}

/// The modules named by `crate::a::…` or `crate::{a::…, b}`.
fn named_after(trees: &[TokenTree], index: usize) -> Vec<String> {
    match trees.get(index + 3) {
        Some(TokenTree::Ident(word)) => vec![word.to_string()],
        Some(TokenTree::Group(group)) => {
            let text: Vec<_> = group.stream().into_iter().collect();
            let starts = |at: &usize| *at == 0 || text[*at - 1].to_string() == ",";
            (0..text.len()).filter(starts).map(|at| text[at].to_string()).collect()
        }
        _ => Vec::new(),
    }
}

fn check(path: &str, text: &str) -> Vec<String> {
    let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut source = Source { path, faults: Vec::new() };
    if path == "lib.rs" {
        source.faults = check_public(tokens.clone());
    }
    let depth = source.depth();
    source.walk(tokens, depth);
    source.faults
}

fn check_public(tokens: TokenStream) -> Vec<String> {
    let trees: Vec<_> = tokens.into_iter().collect();
    let publics = (0..trees.len()).filter(|index| is_word(&trees, *index, "pub"));
    let items = publics.map(|index| {
        let rest = trees[index + 1..].iter().map(ToString::to_string);
        rest.take_while(|text| text != ";" && !text.starts_with('{'))
            .collect::<Vec<_>>()
            .join(" ")
            .replace(": :", "::")
    });
    let wrong = items.filter(|item| !PUBLIC.contains(&item.as_str()) && !item.starts_with('('));
    wrong.map(|item| format!("lib.rs: `pub {item}`: public are only {PUBLIC:?}")).collect()
}

fn source_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn source_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in
        std::fs::read_dir(directory).expect("readable").map(|entry| entry.expect("entry").path())
    {
        if entry.is_dir() {
            source_files(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

#[test]
fn every_file_keeps_the_layer_law() {
    let (root, mut files) = (source_directory(), Vec::new());
    source_files(&root, &mut files);
    assert!(files.len() > 20, "only {} files found", files.len());
    let faults: Vec<_> = files
        .iter()
        .flat_map(|file| {
            let path = file.strip_prefix(&root).expect("below src").to_string_lossy().into_owned();
            check(&path, &std::fs::read_to_string(file).expect("readable"))
        })
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn violations_are_found() {
    for (path, text) in [
        ("os/futex.rs", "use crate::memory::Buffer;"),
        ("memory/buffer.rs", "use crate::{error::Error, channel::frame};"),
        ("memory/buffer.rs", "fn f() { crate::transport::shm::open(); }"),
        ("transport/shm.rs", "macro_rules! m { () => { crate::abi::guard::control() } }"),
        ("transport/ring/mod.rs", "use super::super::channel;"),
        ("wire/mod.rs", "use super::channel::pool;"),
        ("memory/mod.rs", "mod tests { use super::super::channel::pool; }"),
        ("channel/frame.rs", "use libc::c_int;"),
        ("memory/buffer.rs", "fn f() { rustix::fs::fstat(); }"),
        ("interop/cuda/device.rs", "use ash::vk;"),
        ("interop/cuda/view.rs", "use crate::transport::frame;"),
        ("memory/device.rs", "use crate::interop::cuda;"),
        ("os/host.rs", "use libloading::Library;"),
        ("channel/producer.rs", "#[unsafe(no_mangle)] extern \"C\" fn lava_extra() {}"),
        ("scope/location.rs", "fn f() { unsafe { g() } }"),
        ("channel/pool.rs", "unsafe fn f() {}"),
        ("channel/routing/table.rs", "fn f() { unsafe { g() } }"),
        ("memory/auto.rs", "unsafe impl Send for X {}"),
        ("extra/mod.rs", "use crate::memory::Buffer;"),
        ("lib.rs", "pub mod memory;"),
        ("lib.rs", "pub use memory::Buffer;"),
    ] {
        assert!(!check(path, text).is_empty(), "{path} passed with: {text}");
    }
}

#[test]
fn what_is_allowed_passes() {
    for (path, text) in [
        ("channel/frame.rs", "use crate::transport::shm; use crate::{os::futex, types::*};"),
        ("os/futex.rs", "use libc::c_int; use rustix::thread; use crate::error::Result;"),
        ("os/huge.rs", "mod tests { fn f() { super::super::memfd::create(); } }"),
        (
            "channel/pool.rs",
            "/// `unsafe` is a word here.\n// unsafe { libc }\nconst TEXT: &str = \"unsafe crate::abi\";",
        ),
        ("memory/vulkan/device.rs", "use ash::vk; use crate::os::mapping;"),
        ("interop/cuda/library.rs", "use libloading::Library; use crate::memory::Buffer;"),
        ("abi/cuda.rs", "use crate::interop::cuda;"),
        ("abi/frame.rs", "#[unsafe(no_mangle)] unsafe extern \"C\" fn lava_frame_size() {}"),
        (
            "lib.rs",
            "pub mod types; pub mod decl; pub use decl::*; pub use types::*; mod abi; pub mod internals { }",
        ),
    ] {
        assert_eq!(check(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}
