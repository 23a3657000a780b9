//! Setting bytes: the driver's fill command for whole words, a copy from staging memory for the bytes at the edges.

use super::super::device::Device;
use super::commands::Range;
use super::copy::Sizes;
use super::lane::Lane;
use crate::error::Result;

/// What the fill command's offsets and sizes are multiples of.
const WORD: u64 = 4;

/// Sets every byte of the range; waits for the end.
pub(super) fn fill(
    lane: &mut Lane,
    device: &Device,
    to: Range,
    value: u8,
    sizes: Sizes,
) -> Result<()> {
    // SAFETY: staging memory that nobody uses: what was submitted with this lane has ended.
    unsafe { lane.small.bytes(0).write_bytes(value, WORD as usize) };
    let staging = Range { buffer: lane.small.buffer, at: 0, size: WORD, external: false };
    let mut at = 0;
    while at < to.size {
        // The first submission ends at a multiple of a word, so that only the ends of the range have edges.
        let head = to.part(at, 0).at % WORD;
        let part = to.part(at, (sizes.submission - head).min(to.size - at));
        lane.submit(device, 0, |commands| {
            commands.begin(&[]);
            let head = (part.at.next_multiple_of(WORD) - part.at).min(part.size);
            let body = (part.size - head) / WORD * WORD;
            let tail = part.size - head - body;
            commands.copy(staging.part(0, head), part.part(0, head));
            commands.fill(part.part(head, body), value);
            commands.copy(staging.part(0, tail), part.part(head + body, tail));
            commands.end(&[part]);
        })?;
        at += part.size;
    }
    lane.finish(device)
}
