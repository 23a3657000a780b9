//! Huge pages: reserved ones if enough are free, else transparent ones where the kernel makes them.

use super::machine;
use super::numa;
use super::request::Need;
use super::standard::describe;
use super::storage::{Attempt, Made, Refusal, Storage, in_pages, length, rounded, shared};
use super::units::Bytes;
use crate::error::{Error, Result};
use crate::os::huge::{self, Transparent};
use crate::os::mapping::Mapping;
use crate::os::memfd::PageKind;
use crate::os::{numa as nodes, pages};
use crate::types::*;

pub(super) fn allocate(need: &Need) -> Attempt {
    if let Some(node) = need.node {
        numa::ensure_exists(&nodes::nodes(), node)?;
    }
    let no_reserved = match reserved(need) {
        Ok(made) => return Ok(made),
        Err(why) => why,
    };
    let page_size = huge::transparent_page_size();
    let Some(page_size) =
        page_size.filter(|_| huge::transparent(machine::kind(need)) != Transparent::Never)
    else {
        return Err(neither(need, &no_reserved));
    };
    let prepare = |mapping: &Mapping| -> Result<()> {
        if let Some(node) = need.node {
            numa::bind(mapping, node)?;
        }
        pages::advise_huge(mapping)
    };
    // Aligned to whole huge pages: the kernel makes none across the ends of a mapping.
    let alignment = need.alignment.max(length(page_size)?);
    let storage = in_pages(need, page_size, alignment, &prepare)?;
    let what = format!("{}, transparent huge pages ({no_reserved})", describe(&storage));
    Ok(Made { storage, pages: LAVA_PAGES_HUGE_TRANSPARENT, page_size, node: need.node, what })
}

/// Pages of the reserved set, or in a few words why not.
fn reserved(need: &Need) -> std::result::Result<Made, String> {
    let set = huge::reserved().ok_or("the kernel has none to reserve")?;
    let short = |error: Error| error.message;
    let page_size = set.page_size;
    let size = rounded(need.size, page_size).map_err(short)?;
    let wanted = size / page_size;
    let free = match need.node {
        Some(node) => huge::free_on_node(node, page_size).unwrap_or(0).min(set.free),
        None => set.free,
    };
    if wanted > free {
        return Err(format!("{free} of {wanted} reserved free"));
    }
    let prepare = |mapping: &Mapping| need.node.map_or(Ok(()), |node| numa::bind(mapping, node));
    // On a node they are committed at once: the kernel promises huge pages of any node, and a page that the bound node
    // lacks later is a SIGBUS.
    let need_now = Need { commit: need.commit || need.node.is_some(), ..*need };
    let alignment = need.alignment.max(length(page_size).map_err(short)?);
    let made = shared(&need_now, size, PageKind::Huge, alignment, &prepare).map_err(short)?;
    // A private buffer keeps the pages and drops the file, so that nobody else can have it.
    let storage = match made {
        Storage::Shared { mapping, .. } if !need.shareable => {
            Storage::Private { gpu: None, mapping }
        }
        made => made,
    };
    let what =
        format!("{}, {wanted} reserved huge pages of {}", describe(&storage), Bytes(page_size));
    Ok(Made { storage, pages: LAVA_PAGES_HUGE_RESERVED, page_size, node: need.node, what })
}

fn neither(need: &Need, no_reserved: &str) -> Refusal {
    let page_size = huge::reserved().map_or(2 << 20, |set| set.page_size);
    let wanted = need.size.div_ceil(page_size);
    let kind = machine::kind(need);
    let (setting, word) = match kind {
        huge::Kind::Private => (kind.setting(), "madvise"),
        huge::Kind::Shared => (kind.setting(), "advise"),
    };
    let message = format!(
        "no huge pages: {no_reserved}, and transparent ones are off for this kind of memory; \
         reserve {wanted} more of {} (sysctl vm.nr_hugepages), or write `{word}` to {setting}",
        Bytes(page_size)
    );
    Refusal {
        short: format!("no huge pages ({no_reserved}, transparent off)"),
        error: Error::new(LAVA_ERROR_LIMIT, message).with_value(wanted),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::buffer::Buffer;
    use super::super::kind::Memory;
    use super::super::request::tests::{context, request};
    use super::*;

    /// Every machine has one of the outcomes; which one is read from the kernel's settings.
    #[test]
    fn huge_pages_are_had_or_the_setting_is_named() {
        for shareable in [0, LAVA_BUFFER_SHAREABLE] {
            let asked = request(Memory::Huge, 3 << 20, LAVA_BUFFER_REQUIRE | shareable);
            let need = asked.check().unwrap();
            match Buffer::allocate(&asked, &context()) {
                Ok(buffer) => {
                    assert!(buffer.pages() != LAVA_PAGES_SMALL && buffer.page_size() > 4096);
                    assert_eq!(buffer.allocated_size() % buffer.page_size(), 0);
                    assert!(buffer.reason().contains("reserved"), "{}", buffer.reason());
                    buffer.fill(0, buffer.size(), 1).unwrap();
                }
                Err(error) => {
                    assert_eq!(error.status, LAVA_ERROR_REQUIREMENT, "{error}");
                    assert_eq!(huge::transparent(machine::kind(&need)), Transparent::Never);
                    assert!(error.message.contains("vm.nr_hugepages"), "{error}");
                    assert!(error.message.contains(machine::kind(&need).setting()), "{error}");
                }
            }
        }
    }

    #[test]
    fn the_refusal_counts_the_pages() {
        let need = request(Memory::Huge, 64 << 20, LAVA_BUFFER_SHAREABLE).check().unwrap();
        let refusal = neither(&need, "0 of 32 reserved free");
        assert!(refusal.error.message.len() < LAVA_ERROR_MESSAGE_SIZE - 60, "{}", refusal.error);
        assert_eq!(refusal.error.status, LAVA_ERROR_LIMIT);
        assert!(refusal.error.message.contains("shmem_enabled"));
    }
}
