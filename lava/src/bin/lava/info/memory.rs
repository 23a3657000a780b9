//! Each kind of host memory, tried by a real allocation that must not fall back.

use lava::{Buffer, BufferOptions, Context, Memory, Pages};
use serde::Serialize;

/// How one kind of memory fared.
#[derive(Debug, Serialize)]
pub struct Attempt {
    /// What was asked for.
    pub memory: &'static str,
    /// Bytes asked for.
    pub size: u64,
    /// It was had.
    pub available: bool,
    /// What it is.
    pub pages: Option<String>,
    /// Bytes of a page.
    pub page_bytes: Option<u64>,
    /// The node that it is bound to.
    pub numa_node: Option<u32>,
    /// Why it is what it is; or what failed and how to mend it.
    pub reason: String,
}

/// The host strategies that a channel can have, by the names that `--memory` takes.
pub const STRATEGIES: [(&str, Memory); 4] = [
    ("standard", Memory::Standard),
    ("numa", Memory::Numa),
    ("huge", Memory::Huge),
    ("pinned", Memory::Pinned),
];

/// Tries every strategy, and AUTO.
pub fn try_all(context: &Context, size: u64) -> Vec<Attempt> {
    let strategies = STRATEGIES.into_iter().chain([("auto", Memory::Auto)]);
    strategies.map(|(name, memory)| attempt(context, name, memory, size)).collect()
}

fn attempt(context: &Context, name: &'static str, memory: Memory, size: u64) -> Attempt {
    let options = BufferOptions::new(size).memory(memory).shareable().commit();
    let options = if memory == Memory::Auto { options } else { options.require() };
    let info = Buffer::allocate(context, &options).and_then(|buffer| buffer.info());
    match info {
        Ok(info) => Attempt {
            memory: name,
            size,
            available: true,
            pages: Some(pages_name(info.pages)),
            page_bytes: Some(info.page_size),
            numa_node: info.numa_node,
            reason: info.reason,
        },
        Err(error) => Attempt {
            memory: name,
            size,
            available: false,
            pages: None,
            page_bytes: None,
            numa_node: None,
            reason: error.to_string(),
        },
    }
}

fn pages_name(pages: Pages) -> String {
    match pages {
        Pages::Small => "small".to_owned(),
        Pages::HugeReserved => "huge, reserved".to_owned(),
        Pages::HugeTransparent => "huge, transparent".to_owned(),
        other => format!("{other:?}"),
    }
}
