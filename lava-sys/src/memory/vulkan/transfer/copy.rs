//! Copies within one device: by the driver's copy command or by shader, and moves between overlapping ranges.

use super::super::device::Device;
use super::super::info::DeviceKind;
use super::commands::{Commands, Range};
use super::lane::{Lane, SCRATCH};
use super::shader::{CopyShader, SETS, UNIT};
use crate::error::Result;

/// How to copy within a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(dead_code, reason = "all but the first are for measurements")]
pub enum Method {
    /// Whatever is faster.
    #[default]
    Auto,
    /// `vkCmdCopyBuffer`.
    Command,
    /// The compute shader, as far as the offsets allow.
    Shader,
}

/// Where one submission, or one step of a move, ends. Tests have smaller ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Bytes of one submission: bounds how long one may take.
    pub(super) submission: u64,
    /// Bytes that are moved through scratch memory at once; at most [`SCRATCH`].
    pub(super) window: u64,
}

impl Sizes {
    pub(super) const USUAL: Self = Self { submission: super::SUBMISSION, window: SCRATCH };
}

/// What decides between the methods.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) device: DeviceKind,
    /// The queue runs compute shaders.
    pub(super) computes: bool,
    /// Both ends lie in the device's own memory.
    pub(super) local: bool,
    pub(super) size: u64,
    pub(super) from_at: u64,
    pub(super) to_at: u64,
}

/// From which size on the shader is worth it: below, the 40 µs that any submission takes hide the difference (H200).
const LARGE: u64 = 1 << 20;

/// Whether the shader copies. It does on discrete GPUs, within their memory, for large sizes: 4130 GB/s against the copy
/// command's 850 on an H200 (doc/adr/0033). On a CPU device it is ten times slower than the command; towards
/// host memory both are as fast as the bus.
pub(super) fn by_shader(method: Method, facts: &Facts) -> bool {
    let possible = facts.computes && facts.from_at % UNIT == facts.to_at % UNIT;
    possible
        && match method {
            Method::Command => false,
            Method::Shader => true,
            Method::Auto => {
                facts.device == DeviceKind::Discrete && facts.local && facts.size >= LARGE
            }
        }
}

/// Copies between ranges that do not overlap; waits for the end.
pub(super) fn apart(
    lane: &mut Lane,
    device: &Device,
    (from, to): (Range, Range),
    shader: Option<&CopyShader>,
    sizes: Sizes,
) -> Result<()> {
    let most = shader.map_or(u64::MAX, |shader| shader.cut.most() * SETS as u64);
    if let (Some(shader), None) = (shader, &lane.sets) {
        lane.sets = Some(shader.sets(&device.raw)?);
    }
    let mut at = 0;
    while at < from.size {
        let size = sizes.submission.min(most).min(from.size - at);
        let (part_from, part_to) = (from.part(at, size), to.part(at, size));
        // Taken out while the lane is borrowed. They are in use until slot 0 is free, which `submit` waits for.
        let sets = lane.sets.take();
        let done = lane.submit(device, 0, |commands| {
            commands.begin(&[part_from]);
            match (shader, &sets) {
                (Some(shader), Some(sets)) => {
                    let edges = edges(part_to, shader.cut.alignment);
                    for (at, size) in [edges.head, edges.tail] {
                        commands.copy(part_from.part(at, size), part_to.part(at, size));
                    }
                    let (at, size) = edges.body;
                    shader.record(commands, sets, part_from.part(at, size), part_to.part(at, size));
                }
                _ => commands.copy(part_from, part_to),
            }
            commands.end(&[part_from, part_to]);
        });
        lane.sets = sets;
        done?;
        at += size;
    }
    lane.finish(device)
}

/// A range as (begin, size): up to the first multiple of the alignment, from there whole units, and the rest.
#[derive(Debug, PartialEq, Eq)]
struct Edges {
    head: (u64, u64),
    body: (u64, u64),
    tail: (u64, u64),
}

fn edges(range: Range, alignment: u64) -> Edges {
    let head = (range.at.next_multiple_of(alignment) - range.at).min(range.size);
    let body = (range.size - head) / UNIT * UNIT;
    let tail = head + body;
    Edges { head: (0, head), body: (head, body), tail: (tail, range.size - tail) }
}

/// Copies between overlapping ranges of one buffer, as memmove does; waits for the end.
///
/// Goes window by window in the direction in which no window overwrites what a later one reads. Ranges that are far
/// apart are copied straight, in windows as large as their distance; close ones go through scratch memory.
pub(super) fn overlapping(
    lane: &mut Lane,
    device: &Device,
    (from, to): (Range, Range),
    sizes: Sizes,
) -> Result<()> {
    let distance = from.at.abs_diff(to.at);
    if distance == 0 || from.size == 0 {
        return Ok(());
    }
    let straight = distance >= sizes.window;
    let window = if straight { distance.min(sizes.submission) } else { sizes.window };
    let scratch = if straight { None } else { Some(lane.scratch(device)?) };
    let begin = from.at.min(to.at);
    let all = Range { at: begin, size: from.end().max(to.end()) - begin, ..from };
    let steps = from.size.div_ceil(window);
    let batch = (sizes.submission / window).max(1);
    let mut step = 0;
    while step < steps {
        let last = (step + batch).min(steps);
        lane.submit(device, 0, |commands| {
            commands.begin(&[all]);
            for step in step..last {
                // Downwards from the first byte, upwards from the last.
                let index = if to.at < from.at { step } else { steps - 1 - step };
                let at = index * window;
                let size = window.min(from.size - at);
                let (from, to) = (from.part(at, size), to.part(at, size));
                match scratch {
                    None => commands.copy(from, to),
                    Some(buffer) => through(commands, from, to, buffer),
                }
                commands.between();
            }
            commands.end(&[all]);
        })?;
        step = last;
    }
    lane.finish(device)
}

fn through(commands: &Commands<'_>, from: Range, to: Range, scratch: ash::vk::Buffer) {
    let scratch = Range { buffer: scratch, at: 0, size: from.size, external: false };
    commands.copy(from, scratch);
    commands.between();
    commands.copy(scratch, to);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shader_copies_what_is_large_and_within_a_discrete_gpu() {
        let facts = Facts {
            device: DeviceKind::Discrete,
            computes: true,
            local: true,
            size: LARGE,
            from_at: 16,
            to_at: 48,
        };
        assert!(by_shader(Method::Auto, &facts));
        assert!(!by_shader(Method::Command, &facts));
        for other in [
            Facts { size: LARGE - 1, ..facts },
            Facts { local: false, ..facts },
            Facts { device: DeviceKind::Cpu, ..facts },
            Facts { device: DeviceKind::Integrated, ..facts },
        ] {
            assert!(!by_shader(Method::Auto, &other), "{other:?}");
            assert!(by_shader(Method::Shader, &other), "{other:?}");
        }
        for impossible in [Facts { to_at: 52, ..facts }, Facts { computes: false, ..facts }] {
            assert!(!by_shader(Method::Shader, &impossible), "{impossible:?}");
        }
    }

    #[test]
    fn edges_leave_whole_units() {
        let edges = |at, size, alignment| {
            let range = Range { buffer: ash::vk::Buffer::null(), at, size, external: false };
            let edges = edges(range, alignment);
            (edges.head.1, edges.body.1, edges.tail.1)
        };
        assert_eq!(edges(0, 32, 16), (0, 32, 0));
        assert_eq!(edges(1, 40, 16), (15, 16, 9));
        assert_eq!(edges(1, 3, 16), (3, 0, 0));
        assert_eq!(edges(15, 16, 16), (1, 0, 15));
        assert_eq!(edges(16, 15, 16), (0, 0, 15));
        assert_eq!(edges(16, 100, 64), (48, 48, 4));
        assert_eq!(edges(16, 40, 64), (40, 0, 0));
    }
}
