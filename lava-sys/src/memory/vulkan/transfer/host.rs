//! Between the caller's memory and the device: through the lane's staging memory, so that the CPU copies one chunk while
//! the device copies another. One thread copies 10 to 13 GB/s, and the bus takes all of that; long transfers have two
//! (`halves`), each with a lane of its own.

use super::super::device::Device;
use super::commands::Range;
use super::lane::{CHUNK, Lane, SLOTS, SMALL};
use crate::error::Result;

/// Bytes of a chunk: a quarter of the transfer, so that smaller ones overlap too, within bounds.
fn chunk(size: u64) -> u64 {
    (size / SLOTS as u64).next_multiple_of(4096).clamp(256 << 10, CHUNK)
}

/// Copies the caller's bytes to the range; waits for the end.
///
/// # Safety
/// `from` is valid for reading the range's size.
pub(super) unsafe fn upload(
    lane: &mut Lane,
    device: &Device,
    to: Range,
    from: *const u8,
) -> Result<()> {
    if to.size <= SMALL {
        // SAFETY: the caller's promise; the staging memory has SMALL bytes and is not in use: the lane is idle.
        unsafe { from.copy_to_nonoverlapping(lane.small.bytes(0), to.size as usize) };
        let staging = Range { buffer: lane.small.buffer, at: 0, size: to.size, external: false };
        lane.submit(device, 0, |commands| {
            commands.begin(&[]);
            commands.copy(staging, to);
            commands.end(&[to]);
        })?;
        return lane.finish(device);
    }
    let (buffer, bytes) = lane.ring(device)?;
    let chunk = chunk(to.size);
    let count = to.size.div_ceil(chunk);
    for index in 0..count {
        let (slot, at) = (index as usize % SLOTS, index * chunk);
        let part = to.part(at, chunk.min(to.size - at));
        let staging = Range { buffer, at: slot as u64 * CHUNK, size: part.size, external: false };
        lane.wait(device, slot)?;
        // SAFETY: the caller's promise; the chunk lies in the ring, and the device has done with it.
        unsafe {
            from.add(at as usize)
                .copy_to_nonoverlapping(bytes.add(staging.at as usize), part.size as usize);
        }
        lane.submit(device, slot, |commands| {
            if index == 0 {
                commands.begin(&[]);
            }
            commands.copy(staging, part);
            if index == count - 1 {
                commands.end(&[to]);
            }
        })?;
    }
    lane.finish(device)
}

/// Copies the range to the caller's memory.
///
/// # Safety
/// `to` is valid for writing the range's size.
pub(super) unsafe fn download(
    lane: &mut Lane,
    device: &Device,
    from: Range,
    to: *mut u8,
) -> Result<()> {
    if from.size <= SMALL {
        let staging = Range { buffer: lane.small.buffer, at: 0, size: from.size, external: false };
        lane.submit(device, 0, |commands| {
            commands.begin(&[from]);
            commands.copy(from, staging);
            commands.end(&[from]);
        })?;
        lane.finish(device)?;
        // SAFETY: the caller's promise; the staging memory has SMALL bytes, and the device has done with it.
        unsafe { to.copy_from_nonoverlapping(lane.small.bytes(0), from.size as usize) };
        return Ok(());
    }
    let (buffer, bytes) = lane.ring(device)?;
    let chunk = chunk(from.size);
    let count = from.size.div_ceil(chunk);
    let depth = SLOTS as u64;
    let part = |index: u64| {
        let (slot, at) = ((index % depth) as usize, index * chunk);
        (slot, at, from.part(at, chunk.min(from.size - at)))
    };
    for index in 0..count + depth {
        if let Some(done) = index.checked_sub(depth).filter(|done| *done < count) {
            let (slot, at, part) = part(done);
            lane.wait(device, slot)?;
            // SAFETY: the caller's promise; the chunk lies in the ring, and the device has done with it.
            unsafe {
                to.add(at as usize)
                    .copy_from_nonoverlapping(bytes.add(slot * CHUNK as usize), part.size as usize);
            }
        }
        if index < count {
            let (slot, _, part) = part(index);
            let staging =
                Range { buffer, at: slot as u64 * CHUNK, size: part.size, external: false };
            lane.submit(device, slot, |commands| {
                if index == 0 {
                    commands.begin(&[from]);
                }
                commands.copy(part, staging);
                commands.show_host();
                if index == count - 1 {
                    commands.end(&[from]);
                }
            })?;
        }
    }
    Ok(())
}
