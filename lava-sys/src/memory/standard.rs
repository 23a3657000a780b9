//! Ordinary pages: a piece of the heap for small private buffers, pages of this process for large ones, a sealed memory
//! file for shareable ones.

use super::request::Need;
use super::storage::{Attempt, HeapBlock, Made, Storage, length, small_pages};
use crate::os::limits;
use crate::types::LAVA_PAGES_SMALL;

/// Private buffers up to this size come from the heap: cheaper than a mapping of their own, and they waste no page.
const HEAP_MAX: u64 = 64 << 10;

pub(super) fn allocate(need: &Need) -> Attempt {
    let from_heap =
        !need.shareable && need.size <= HEAP_MAX && need.alignment as u64 <= limits::page_size();
    let storage = if from_heap {
        Storage::Heap(HeapBlock::new(length(need.size)?, need.alignment, need.commit)?)
    } else {
        small_pages(need, &|_| Ok(()))?
    };
    let what = describe(&storage).into();
    Ok(Made { storage, pages: LAVA_PAGES_SMALL, page_size: limits::page_size(), node: None, what })
}

/// What a storage is, in a few words.
pub(super) fn describe(storage: &Storage) -> &'static str {
    match storage {
        Storage::Heap(_) => "heap",
        Storage::Private { .. } => "private pages",
        Storage::Shared { single_writer: true, .. } => "memfd sealed for one writer",
        Storage::Shared { single_writer: false, .. } => "memfd that importers may write",
        Storage::Device { .. } => "device memory",
    }
}
