//! The walk from what was asked for through the fallbacks, until one strategy succeeds.

use super::auto::{self, Choice, Facts};
use super::buffer::Buffer;
use super::kind::Memory;
use super::request::{MemoryContext, Need, Request};
use super::storage::{Attempt, Made, Refusal};
use super::units::{Bytes, cut};
use super::{device, huge, machine, numa, pinned, standard};
use crate::error::{Error, Result};
use crate::types::*;

/// Strategies that were tried in vain.
type Failed = Vec<(Memory, Refusal)>;

impl Buffer {
    /// Allocates what `request` asks for, or the first of its fallbacks that can be had. The bytes are zero.
    pub fn allocate(request: &Request, context: &MemoryContext) -> Result<Self> {
        let need = request.check()?;
        let mut failed = Failed::new();
        for choice in plan(request, &machine::facts(request, &need)) {
            match attempt(choice.memory, &need, context) {
                Ok(made) => {
                    let reason = reason(&made, &choice, &failed);
                    let buffer = Self::new(request, &need, choice.memory, made, reason);
                    report(&buffer, &failed, context);
                    return Ok(buffer);
                }
                Err(refusal) => failed.push((choice.memory, refusal)),
            }
        }
        Err(nothing_left(request, failed))
    }
}

/// What to try, in order, each once.
fn plan(request: &Request, facts: &Facts) -> Vec<Choice> {
    let listed = |memory: Memory, why: &str| Choice { memory, why: why.into() };
    let chosen = || {
        auto::choose(facts)
            .into_iter()
            .map(|choice| Choice { why: format!("auto: {}", choice.why), ..choice })
    };
    let mut steps = Vec::new();
    match (request.memory, request.fallback.is_empty()) {
        (Memory::Auto, true) => steps.extend(chosen()),
        // A list takes the place of all but AUTO's first choice.
        (Memory::Auto, false) => steps.extend(chosen().take(1)),
        (memory, empty) => {
            steps.push(listed(memory, "as asked"));
            if empty && !request.has(LAVA_BUFFER_REQUIRE) {
                steps.extend(chosen());
            }
        }
    }
    for memory in &request.fallback {
        match memory {
            Memory::Auto => steps.extend(chosen()),
            memory => steps.push(listed(*memory, "fallback")),
        }
    }
    let mut seen = Vec::new();
    steps.retain(|step| {
        let new = !seen.contains(&step.memory);
        seen.push(step.memory);
        new
    });
    steps
}

fn attempt(memory: Memory, need: &Need, context: &MemoryContext) -> Attempt {
    match memory {
        Memory::Auto => Err(Error::argument("auto is not a strategy").into()),
        Memory::Standard => standard::allocate(need),
        Memory::Numa => numa::allocate(need),
        Memory::Huge => huge::allocate(need),
        Memory::Pinned => pinned::allocate(need, context),
        Memory::Device => device::allocate(need, context),
    }
}

/// What it is, why, and what failed before; the decisive first, because it is cut at `LAVA_REASON_SIZE`.
fn reason(made: &Made, choice: &Choice, failed: &Failed) -> String {
    let mut reason = format!("{} ({})", made.what, choice.why);
    let room = (LAVA_REASON_SIZE - 1).saturating_sub(reason.len());
    let each = room / failed.len().max(1);
    for (memory, refusal) in failed {
        reason += &cut(&format!("; not {}: {}", memory.name(), refusal.short), each);
    }
    cut(&reason, LAVA_REASON_SIZE - 1)
}

fn report(buffer: &Buffer, failed: &Failed, context: &MemoryContext) {
    let line = || {
        let (id, size, memory) = (buffer.id(), Bytes(buffer.size()), buffer.memory().name());
        format!("buffer {id}: {size} of {memory} memory: {}", buffer.reason())
    };
    let asked = buffer.requested() == Memory::Auto || failed.is_empty();
    if asked { context.log.info(line) } else { context.log.warn(line) }
}

/// The first failure is what the caller asked for: its status and numbers, with the others' few words.
fn nothing_left(request: &Request, failed: Failed) -> Error {
    let mut failed = failed.into_iter();
    let Some((memory, first)) = failed.next() else {
        return Error::argument("no memory was asked for");
    };
    let mut error = first.error;
    for (memory, refusal) in failed {
        error.message += &format!("; then {}: {}", memory.name(), cut(&refusal.short, 60));
    }
    if request.has(LAVA_BUFFER_REQUIRE) {
        error.status = LAVA_ERROR_REQUIREMENT;
        return error.context(format!("required {} memory cannot be had", memory.name()));
    }
    error.context(format!("no {} memory", memory.name()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::super::auto::Peer;
    use super::super::request::tests::{context, request};
    use super::*;
    use crate::os::huge::Transparent;
    use crate::os::{limits, memfd};

    const MEMORIES: [Memory; 5] =
        [Memory::Auto, Memory::Standard, Memory::Numa, Memory::Huge, Memory::Pinned];

    fn allocate(request: &Request) -> Result<Buffer> {
        Buffer::allocate(request, &context())
    }

    fn blocks(buffer: &Buffer) -> u64 {
        let fd = buffer.shared_fd().unwrap().try_clone_to_owned().unwrap();
        std::fs::File::from(fd).metadata().unwrap().blocks() * 512
    }

    fn facts() -> Facts {
        Facts {
            size: 64 << 20,
            peer: Peer::Near,
            node: None,
            node_count: 1,
            node_free: None,
            reserved: None,
            transparent: Transparent::Always,
            transparent_size: Some(2 << 20),
            lockable: None,
            available: None,
            gpu: false,
        }
    }

    fn order(memory: Memory, fallback: &[Memory], flags: u32) -> Vec<Memory> {
        let request = Request { fallback: fallback.to_vec(), ..request(memory, 64 << 20, flags) };
        plan(&request, &facts()).into_iter().map(|choice| choice.memory).collect()
    }

    #[test]
    fn the_plan_follows_the_request() {
        use Memory::*;
        assert_eq!(order(Auto, &[], 0), [Huge, Standard]);
        assert_eq!(order(Pinned, &[], 0), [Pinned, Huge, Standard]);
        assert_eq!(order(Standard, &[], 0), [Standard, Huge]);
        assert_eq!(order(Pinned, &[], LAVA_BUFFER_REQUIRE), [Pinned]);
        assert_eq!(order(Device, &[Numa, Pinned, Numa], 0), [Device, Numa, Pinned]);
        assert_eq!(order(Auto, &[Numa], 0), [Huge, Numa]);
        assert_eq!(order(Device, &[Numa, Auto], 0), [Device, Numa, Huge, Standard]);
    }

    #[test]
    fn all_memories_give_zeroed_aligned_writable_bytes() {
        for memory in MEMORIES {
            for flags in [
                0,
                LAVA_BUFFER_SHAREABLE,
                LAVA_BUFFER_COMMIT,
                LAVA_BUFFER_SHAREABLE | LAVA_BUFFER_COMMIT,
            ] {
                for (size, alignment) in [(1, 0), (5000, 4096), (100_000, 2 << 20), (3 << 20, 0)] {
                    let request = Request { alignment, ..request(memory, size, flags) };
                    check(&allocate(&request).unwrap(), &request);
                }
            }
        }
    }

    fn check(buffer: &Buffer, request: &Request) {
        let what = format!("{request:?} gave {}", buffer.reason());
        let address = buffer.data().unwrap().as_ptr() as u64;
        assert_eq!(address % buffer.alignment(), 0, "{what}");
        assert!(buffer.alignment() >= request.alignment.max(64), "{what}");
        assert!(
            buffer.allocated_size() >= buffer.size() && buffer.size() == request.size,
            "{what}"
        );
        assert!(buffer.memory() != Memory::Auto && buffer.requested() == request.memory, "{what}");
        assert!(buffer.reason().len() < LAVA_REASON_SIZE && buffer.page_size() >= 4096, "{what}");
        let mut bytes = vec![1; request.size as usize];
        // SAFETY: `bytes` has the buffer's size.
        unsafe { buffer.read(0, bytes.as_mut_ptr(), bytes.len()) }.unwrap();
        assert!(bytes.iter().all(|byte| *byte == 0), "{what}");
        buffer.fill(0, request.size, 0xa5).unwrap();
        let shareable = request.has(LAVA_BUFFER_SHAREABLE);
        assert_eq!(
            (buffer.is_single_writer(), buffer.shared_fd().is_some()),
            (shareable, shareable),
            "{what}"
        );
    }

    #[test]
    fn shareable_buffers_are_sealed() {
        let shared = allocate(&request(Memory::Auto, 5000, LAVA_BUFFER_SHAREABLE)).unwrap();
        memfd::verify(shared.shared_fd().unwrap().as_fd(), shared.allocated_size(), true).unwrap();
        let flags = LAVA_BUFFER_SHAREABLE | LAVA_BUFFER_WRITABLE_BY_IMPORTERS;
        let writable = allocate(&request(Memory::Auto, 5000, flags)).unwrap();
        assert!(!writable.is_single_writer());
        memfd::verify(writable.shared_fd().unwrap().as_fd(), writable.allocated_size(), false)
            .unwrap();
        memfd::verify(writable.shared_fd().unwrap().as_fd(), writable.allocated_size(), true)
            .unwrap_err();
    }

    #[test]
    fn pages_are_committed_when_asked_and_not_before() {
        let size = 8 << 20;
        let lazy = allocate(&request(Memory::Standard, size, LAVA_BUFFER_SHAREABLE)).unwrap();
        assert_eq!(blocks(&lazy), 0);
        let flags = LAVA_BUFFER_SHAREABLE | LAVA_BUFFER_COMMIT;
        let committed = allocate(&request(Memory::Standard, size, flags)).unwrap();
        assert_eq!(blocks(&committed), size);
    }

    #[test]
    fn more_than_the_machine_has_is_refused_and_not_killed() {
        let Some(available) = limits::available_memory() else {
            return println!("skipped: no /proc/meminfo");
        };
        for flags in [0, LAVA_BUFFER_SHAREABLE] {
            let error = allocate(&request(Memory::Auto, available * 4, flags | LAVA_BUFFER_COMMIT))
                .unwrap_err();
            assert_eq!(error.status, LAVA_ERROR_OUT_OF_MEMORY, "{error}");
            let error = allocate(&request(Memory::Auto, 1 << 60, flags)).unwrap_err();
            assert!(matches!(error.status, LAVA_ERROR_OUT_OF_MEMORY | LAVA_ERROR_OS), "{error}");
        }
        let error =
            allocate(&request(Memory::Auto, isize::MAX as u64, LAVA_BUFFER_SHAREABLE)).unwrap_err();
        assert_eq!((error.status, error.value), (LAVA_ERROR_INVALID_ARGUMENT, isize::MAX as u64));
    }

    #[test]
    fn an_absent_node_is_named_with_those_that_are_there() {
        let on_node = |node: u32, memory, flags| Request {
            numa_node: Some(node),
            ..request(memory, 5000, LAVA_BUFFER_ON_NODE | flags)
        };
        for memory in [Memory::Numa, Memory::Huge, Memory::Pinned] {
            let error = allocate(&on_node(777, memory, LAVA_BUFFER_REQUIRE)).unwrap_err();
            assert_eq!((error.status, error.value), (LAVA_ERROR_REQUIREMENT, 777));
            assert!(
                error.message.contains("node 777")
                    && error.message.contains("nodes with memory here: 0"),
                "{error}"
            );
        }
        let instead = allocate(&on_node(777, Memory::Numa, 0)).unwrap();
        assert_eq!((instead.memory(), instead.numa_node()), (Memory::Standard, None));
        assert!(instead.reason().contains("not numa: no NUMA node 777"), "{}", instead.reason());
    }

    #[test]
    fn a_present_node_is_bound() {
        let node = crate::os::numa::nodes()[0];
        for memory in [Memory::Auto, Memory::Numa] {
            let asked =
                Request { numa_node: Some(node), ..request(memory, 5000, LAVA_BUFFER_ON_NODE) };
            let buffer = allocate(&asked).unwrap();
            if buffer.memory() == Memory::Standard && buffer.reason().contains("mbind") {
                return println!("skipped: {}", buffer.reason());
            }
            assert_eq!((buffer.memory(), buffer.numa_node()), (Memory::Numa, Some(node)));
        }
    }

    #[test]
    fn reasons_keep_what_is_decisive_and_fit() {
        let made =
            super::super::standard::allocate(&request(Memory::Standard, 1, 0).check().unwrap())
                .unwrap();
        let choice = Choice { memory: Memory::Standard, why: "fallback".into() };
        let failed: Failed =
            MEMORIES.map(|memory| (memory, Error::argument("long ü ".repeat(60)).into())).into();
        let reason = reason(&made, &choice, &failed);
        assert!(
            reason.len() < LAVA_REASON_SIZE
                && reason.starts_with("heap (fallback); not auto: long"),
            "{reason}"
        );
        assert!(reason.contains("not pinned"), "{reason}");
    }
}
