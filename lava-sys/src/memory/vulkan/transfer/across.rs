//! From one device to another through host memory: one writes a chunk while the other reads an earlier one.
//!
//! Where both devices can import host memory, they use the same ring in place. Else each has its own, and the CPU copies
//! from one to the other.

use ash::vk;

use super::super::device::Device;
use super::super::driver;
use super::commands::Range;
use super::lane::{CHUNK, Lane, SLOTS};
use super::shared::{SharedRing, pages};
use crate::error::Result;

/// How many chunks the source is ahead of the target: half of the ring for each.
const AHEAD: u64 = SLOTS as u64 / 2;

/// One end of the way.
pub(super) struct End<'a> {
    pub(super) device: &'a Device,
    pub(super) lane: &'a mut Lane,
    pub(super) range: Range,
}

/// The ring as both ends see it.
pub(super) struct Ring {
    from: vk::Buffer,
    to: vk::Buffer,
    /// Where the CPU copies from and to, if they are two.
    between: Option<(*const u8, *mut u8)>,
}

/// Copies between ranges of equal size; waits for the end.
pub(super) fn across(from: &mut End<'_>, to: &mut End<'_>) -> Result<()> {
    let ring = match one_ring(from, to) {
        Some(ring) => ring,
        None => two_rings(from, to)?,
    };
    pump(from, to, &ring)
}

/// Keeps both devices busy with the chunks of the ring.
pub(super) fn pump(from: &mut End<'_>, to: &mut End<'_>, ring: &Ring) -> Result<()> {
    let size = from.range.size;
    let count = size.div_ceil(CHUNK);
    let chunk = |index: u64| {
        let at = index * CHUNK;
        let slot = (index % SLOTS as u64) as usize;
        (slot, slot as u64 * CHUNK, at, CHUNK.min(size - at))
    };
    for index in 0..count + AHEAD {
        if index < count {
            let (slot, staged, at, size) = chunk(index);
            let staging = Range { buffer: ring.from, at: staged, size, external: false };
            to.lane.wait(to.device, slot)?;
            let (whole, part) = (from.range, from.range.part(at, size));
            from.lane.submit(from.device, slot, |commands| {
                if index == 0 {
                    commands.begin(&[whole]);
                }
                commands.copy(part, staging);
                commands.show_host();
                if index == count - 1 {
                    commands.end(&[whole]);
                }
            })?;
        }
        if let Some(index) = index.checked_sub(AHEAD) {
            let (slot, staged, at, size) = chunk(index);
            let staging = Range { buffer: ring.to, at: staged, size, external: false };
            from.lane.wait(from.device, slot)?;
            if let Some((source, target)) = ring.between {
                // SAFETY: a chunk of each ring: the source has written it, and the target has done with it.
                unsafe {
                    source
                        .add(staged as usize)
                        .copy_to_nonoverlapping(target.add(staged as usize), size as usize);
                }
            }
            let (whole, part) = (to.range, to.range.part(at, size));
            to.lane.submit(to.device, slot, |commands| {
                if index == 0 {
                    commands.begin(&[]);
                }
                commands.copy(staging, part);
                if index == count - 1 {
                    commands.end(&[whole]);
                }
            })?;
        }
    }
    to.lane.finish(to.device)
}

pub(super) fn two_rings(from: &mut End<'_>, to: &mut End<'_>) -> Result<Ring> {
    let (from, source) = from.lane.ring(from.device)?;
    let (to, target) = to.lane.ring(to.device)?;
    Ok(Ring { from, to, between: Some((source.cast_const(), target)) })
}

/// The source's ring, imported by both. Both keep their import, so that the next copy between the two finds it.
pub(super) fn one_ring(from: &mut End<'_>, to: &mut End<'_>) -> Option<Ring> {
    if !SharedRing::is_possible(from.device) || !SharedRing::is_possible(to.device) {
        return None;
    }
    if from.lane.home.is_none() {
        from.lane.home = Some(SharedRing::new(from.device, pages().ok()?).ok()?);
    }
    let home = from.lane.home.as_ref()?;
    if let Some(guest) = to.lane.guest.as_ref().filter(|guest| guest.is_of(home)) {
        return Some(Ring { from: home.buffer, to: guest.buffer, between: None });
    }
    let guest = SharedRing::new(to.device, home.pages()).ok()?;
    let ring = Ring { from: home.buffer, to: guest.buffer, between: None };
    if let Some(old) = to.lane.guest.replace(guest) {
        let _order = driver::making();
        // SAFETY: the lane is idle, and the import is its own.
        unsafe { old.destroy(&to.device.raw) };
    }
    Some(ring)
}
