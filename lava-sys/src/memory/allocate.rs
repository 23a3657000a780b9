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
            match attempt(choice.memory, &need) {
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

fn attempt(memory: Memory, need: &Need) -> Attempt {
    match memory {
        Memory::Auto => Err(Error::argument("auto is not a strategy").into()),
        Memory::Standard => standard::allocate(need),
        Memory::Numa => numa::allocate(need),
        Memory::Huge => huge::allocate(need),
        Memory::Pinned => pinned::allocate(need),
        Memory::Device => device::allocate(need),
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
