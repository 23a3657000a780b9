//! What AUTO chooses, from facts alone: an ordered list of strategies, each with its reason. The last is always standard.
#![forbid(unsafe_code)]

use super::kind::Memory;
use super::units::Bytes;
use crate::os::huge::{Reserved, Transparent};

/// Whom a buffer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// Somebody on this host, or nobody in particular.
    Near,
    /// Somebody on another host.
    Far,
}

/// All that the choice depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) size: u64,
    pub(super) peer: Peer,
    /// The NUMA node that the caller named.
    pub(super) node: Option<u32>,
    /// How many nodes have memory.
    pub(super) node_count: usize,
    /// Free bytes on the calling thread's node.
    pub(super) node_free: Option<u64>,
    pub(super) reserved: Option<Reserved>,
    /// When this kind of memory, shared or not, gets transparent huge pages, of how many bytes.
    pub(super) transparent: Transparent,
    pub(super) transparent_size: Option<u64>,
    /// Bytes that may still be locked; `None`: no limit.
    pub(super) lockable: Option<u64>,
    /// Bytes of free memory.
    pub(super) available: Option<u64>,
    /// A GPU was named that is to copy from and to it.
    pub(super) gpu: bool,
}

/// One strategy and why it is in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) memory: Memory,
    pub(super) why: String,
}

/// From here on, fewer page faults and TLB misses outweigh what a huge page costs to clear.
const LARGE: u64 = 4 << 20;
/// Below this, one node is as good as another: the memory fits into the processors' caches.
const PLACED: u64 = 1 << 20;
/// Below this, locking costs more than a network card or a GPU gains by it.
const LOCKED: u64 = 64 << 10;

/// The strategies to try, in order.
pub(super) fn choose(facts: &Facts) -> Vec<Choice> {
    let mut choices: Vec<Choice> =
        [pinned(facts), huge(facts), numa(facts)].into_iter().flatten().collect();
    let why = if choices.is_empty() { plain(facts) } else { "always there".into() };
    choices.push(Choice { memory: Memory::Standard, why });
    choices
}

/// For another host or a GPU: network cards and GPUs copy from locked pages. Only where it takes little of what others may need.
fn pinned(facts: &Facts) -> Option<Choice> {
    let fits = facts.lockable.is_none_or(|lockable| facts.size <= lockable / 2)
        && facts.available.is_some_and(|available| facts.size <= available / 4);
    let why = match (facts.gpu, facts.peer) {
        (true, _) => "a GPU copies from and to it",
        (false, Peer::Far) => "the peer is on another host",
        (false, Peer::Near) => return None,
    };
    (facts.node.is_none() && facts.size >= LOCKED && fits)
        .then(|| Choice { memory: Memory::Pinned, why: why.into() })
}

fn huge(facts: &Facts) -> Option<Choice> {
    if facts.size < LARGE || facts.node.is_some() {
        return None;
    }
    let size = Bytes(facts.size);
    let chosen = |why| Some(Choice { memory: Memory::Huge, why });
    if let Some(Reserved { page_size, free }) = facts.reserved
        && worthwhile(facts, page_size)
        && facts.size.div_ceil(page_size) <= free
    {
        return chosen(format!("{size} is large, {free} huge pages are free"));
    }
    if transparent_page(facts).is_some_and(|page| worthwhile(facts, page)) {
        return chosen(format!("{size} is large, the kernel makes huge pages"));
    }
    None
}

/// Rounding up to whole pages may waste an eighth.
fn worthwhile(facts: &Facts, page: u64) -> bool {
    let rounded = facts.size.checked_next_multiple_of(page);
    rounded.is_some_and(|rounded| rounded - facts.size <= facts.size / 8)
}

fn transparent_page(facts: &Facts) -> Option<u64> {
    facts.transparent_size.filter(|_| facts.transparent != Transparent::Never)
}

fn numa(facts: &Facts) -> Option<Choice> {
    if let Some(node) = facts.node {
        return Some(Choice { memory: Memory::Numa, why: format!("node {node} was named") });
    }
    // Bound pages come from their node or not at all, so leave room on it.
    let room = facts.node_free.is_some_and(|free| facts.size <= free / 2);
    (facts.node_count > 1 && facts.size >= PLACED && room).then(|| Choice {
        memory: Memory::Numa,
        why: format!("one of {} nodes, the caller's", facts.node_count),
    })
}

/// Why nothing but standard is chosen.
fn plain(facts: &Facts) -> String {
    let size = Bytes(facts.size);
    let reserved = facts.reserved.filter(|set| set.free > 0).map(|set| set.page_size);
    if facts.size < LARGE {
        format!("{size} is small")
    } else if let Some(page) = transparent_page(facts).or(reserved)
        && !worthwhile(facts, page)
    {
        format!("pages of {} would waste an eighth of {size}", Bytes(page))
    } else {
        "no huge pages are free".into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(size: u64) -> Facts {
        Facts {
            size,
            peer: Peer::Near,
            node: None,
            node_count: 1,
            node_free: Some(8 << 30),
            reserved: None,
            transparent: Transparent::Never,
            transparent_size: Some(2 << 20),
            lockable: Some(8 << 20),
            gpu: false,
            available: Some(16 << 30),
        }
    }

    fn order(facts: &Facts) -> Vec<Memory> {
        choose(facts).into_iter().map(|choice| choice.memory).collect()
    }

    #[test]
    fn small_buffers_are_standard() {
        let small = Facts { transparent: Transparent::Always, node_count: 4, ..facts(100_000) };
        assert_eq!(order(&small), [Memory::Standard]);
        assert!(choose(&small)[0].why.contains("small"));
    }

    #[test]
    fn large_buffers_take_huge_pages_where_they_are() {
        let reserved = |free| Some(Reserved { page_size: 2 << 20, free });
        assert_eq!(order(&facts(64 << 20)), [Memory::Standard]);
        let advised = Facts { transparent: Transparent::OnAdvice, ..facts(64 << 20) };
        assert_eq!(order(&advised), [Memory::Huge, Memory::Standard]);
        let enough = Facts { reserved: reserved(32), ..facts(64 << 20) };
        assert_eq!(order(&enough), [Memory::Huge, Memory::Standard]);
        assert!(choose(&enough)[0].why.contains("32 huge pages"));
        let few = Facts { reserved: reserved(31), ..facts(64 << 20) };
        assert_eq!(order(&few), [Memory::Standard]);
    }

    #[test]
    fn pages_that_would_be_mostly_empty_are_not_taken() {
        let giant = Some(Reserved { page_size: 1 << 30, free: 8 });
        let wasteful = Facts { reserved: giant, ..facts(64 << 20) };
        assert_eq!(order(&wasteful), [Memory::Standard]);
        assert!(choose(&wasteful)[0].why.contains("1 GiB would waste"));
        assert_eq!(choose(&facts(64 << 20))[0].why, "no huge pages are free");
    }

    #[test]
    fn a_named_node_is_used() {
        let named = Facts { node: Some(3), transparent: Transparent::Always, ..facts(64 << 20) };
        assert_eq!(order(&named), [Memory::Numa, Memory::Standard]);
        assert!(choose(&named)[0].why.contains("node 3"));
    }

    #[test]
    fn several_nodes_matter_if_the_callers_has_room() {
        let many = Facts { node_count: 2, ..facts(2 << 20) };
        assert_eq!(order(&many), [Memory::Numa, Memory::Standard]);
        assert_eq!(order(&Facts { node_free: Some(3 << 20), ..many }), [Memory::Standard]);
        assert_eq!(order(&Facts { node_free: None, ..many }), [Memory::Standard]);
    }

    #[test]
    fn a_far_peer_gets_locked_pages_within_the_limits() {
        let far = Facts { peer: Peer::Far, ..facts(1 << 20) };
        assert_eq!(order(&far), [Memory::Pinned, Memory::Standard]);
        assert_eq!(order(&Facts { lockable: Some(1 << 20), ..far }), [Memory::Standard]);
        assert_eq!(order(&Facts { lockable: None, ..far }), [Memory::Pinned, Memory::Standard]);
        assert_eq!(
            order(&Facts { available: Some(2 << 20), lockable: None, ..far }),
            [Memory::Standard]
        );
    }

    #[test]
    fn a_gpu_that_copies_gets_locked_pages() {
        let gpu = Facts { gpu: true, ..facts(1 << 20) };
        assert_eq!(order(&gpu), [Memory::Pinned, Memory::Standard]);
        assert!(choose(&gpu)[0].why.contains("GPU"));
        assert_eq!(order(&Facts { gpu: true, ..facts(1000) }), [Memory::Standard]);
    }

    proptest! {
        #[test]
        fn the_list_ends_with_standard_and_repeats_nothing(
            size in 1..=u64::MAX,
            far in any::<bool>(),
            node in any::<Option<u32>>(),
            node_count in 0..9_usize,
            numbers in any::<[Option<u64>; 3]>(),
            page in 12..40_u32,
            free in any::<u64>(),
        ) {
            let facts = Facts {
                peer: if far { Peer::Far } else { Peer::Near },
                node,
                node_count,
                node_free: numbers[0],
                reserved: Some(Reserved { page_size: 1 << page, free }),
                transparent: Transparent::OnAdvice,
                lockable: numbers[1],
                available: numbers[2],
                ..facts(size)
            };
            let order = order(&facts);
            prop_assert_eq!(order.last(), Some(&Memory::Standard));
            let distinct: std::collections::HashSet<_> = order.iter().collect();
            prop_assert_eq!(distinct.len(), order.len());
            prop_assert!(!order.contains(&Memory::Auto) && !order.contains(&Memory::Device));
            prop_assert!(choose(&facts).iter().all(|choice| choice.why.len() < 80));
        }
    }
}
