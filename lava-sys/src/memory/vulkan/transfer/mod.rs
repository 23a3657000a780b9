//! Moving bytes: host ↔ device, within a device, between devices, and filling.
//!
//! Every call blocks until its bytes are there. What a transfer needs (command buffers, staging memory, descriptor sets)
//! is made once per lane and reused; any number of threads may call.
//!
//! A [`Transfer`] belongs to its device and keeps raw handles: the device destroys it before itself.

mod across;
mod commands;
mod copy;
mod fill;
mod halves;
mod host;
mod lane;
mod lanes;
mod shader;
mod shared;
mod staging;
#[cfg(test)]
mod tests;
mod wait;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use ash::vk;

use self::across::End;
use self::commands::Range;
use self::copy::{Facts, Sizes};
use self::lanes::Lanes;
use self::shader::CopyShader;
use super::allocation::Allocation;
use super::device::Device;
use crate::error::Result;

pub use self::copy::Method;
pub use self::shader::Shape;

/// Bytes of the largest submission. What is longer is cut, so that no wait has to outlast more than this.
const SUBMISSION: u64 = 4 << 30;

/// How long one submission may take. A card behind a single PCIe lane needs some seconds for the largest; what is not
/// done in a minute hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// What a device keeps for transfers. Empty until the first one.
#[derive(Default)]
pub(super) struct Transfer {
    lanes: Lanes,
    /// One of each shape that was asked for: there is one, but in measurements.
    shaders: Mutex<Vec<(Shape, CopyShader)>>,
    /// Another limit than [`LIMIT`], for tests.
    limit: OnceLock<Duration>,
}

impl Transfer {
    /// Destroys everything; false if the device still works for it, and must not be destroyed either.
    ///
    /// # Safety
    /// No transfer is under way on any thread, now or later.
    pub(super) unsafe fn destroy(&self, raw: &ash::Device) -> bool {
        // SAFETY: the caller's promise.
        if !unsafe { self.lanes.destroy(raw) } {
            return false;
        }
        let mut shaders = self.shaders.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, shader) in shaders.drain(..) {
            // SAFETY: all lanes were idle.
            unsafe { shader.destroy(raw) };
        }
        true
    }

    /// Whether the device still works on a transfer that was given up.
    pub(super) fn hangs(&self, device: &Device) -> bool {
        self.lanes.hangs(device)
    }

    fn limit(&self) -> Duration {
        *self.limit.get().unwrap_or(&LIMIT)
    }

    fn shader(&self, device: &Device, shape: Shape) -> Result<CopyShader> {
        let mut shaders = self.shaders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, shader)) = shaders.iter().find(|(made, _)| *made == shape) {
            return Ok(*shader);
        }
        let shader = CopyShader::new(device, shape)?;
        shaders.push((shape, shader));
        Ok(shader)
    }
}

impl Device {
    /// Copies `size` bytes from the host to `at`; done when it returns.
    ///
    /// # Safety
    /// `from` is valid for reading `size` bytes. The range lies in the allocation, which is of this device.
    pub unsafe fn upload(
        &self,
        to: &Allocation,
        at: u64,
        from: *const u8,
        size: usize,
    ) -> Result<()> {
        if size == 0 {
            return Ok(());
        }
        halves::in_halves(from.cast_mut(), size, |offset, from, size| {
            let mut lane = self.transfer.lanes.take(self)?;
            // SAFETY: a part of what the caller promised, and only read.
            unsafe { host::upload(&mut lane, self, range(to, at + offset, size as u64), from) }
        })
    }

    /// Copies `size` bytes at `at` to the host; done when it returns.
    ///
    /// # Safety
    /// `to` is valid for writing `size` bytes. The range lies in the allocation, which is of this device.
    pub unsafe fn download(
        &self,
        from: &Allocation,
        at: u64,
        to: *mut u8,
        size: usize,
    ) -> Result<()> {
        if size == 0 {
            return Ok(());
        }
        halves::in_halves(to, size, |offset, to, size| {
            let mut lane = self.transfer.lanes.take(self)?;
            // SAFETY: a part of what the caller promised, and no other part.
            unsafe { host::download(&mut lane, self, range(from, at + offset, size as u64), to) }
        })
    }

    /// Copies between two allocations of this device, or within one, where the ranges may overlap; done when it returns.
    /// The ranges lie in the allocations: the caller has checked.
    pub fn copy(
        &self,
        to: &Allocation,
        to_at: u64,
        from: &Allocation,
        from_at: u64,
        size: u64,
    ) -> Result<()> {
        self.copy_by(Method::Auto, Shape::USUAL, (to, to_at), (from, from_at), size)
    }

    /// As [`Device::copy`], by a method and shader of the caller's choice: for measurements and tests.
    pub fn copy_by(
        &self,
        method: Method,
        shape: Shape,
        (to, to_at): (&Allocation, u64),
        (from, from_at): (&Allocation, u64),
        size: u64,
    ) -> Result<()> {
        if size == 0 {
            return Ok(());
        }
        let (source, target) = (range(from, from_at, size), range(to, to_at, size));
        let mut lane = self.transfer.lanes.take(self)?;
        if source.overlaps(target) {
            return copy::overlapping(&mut lane, self, (source, target), Sizes::USUAL);
        }
        let local = |of: &Allocation| {
            let kind = &self.memory_types()[of.recipe().memory_type as usize];
            kind.property_flags.contains(vk::MemoryPropertyFlags::DEVICE_LOCAL)
        };
        let facts = Facts {
            device: self.info().kind,
            computes: self.computes,
            local: local(from) && local(to),
            size,
            from_at,
            to_at,
        };
        let shader = if copy::by_shader(method, &facts) {
            Some(self.transfer.shader(self, shape)?)
        } else {
            None
        };
        copy::apart(&mut lane, self, (source, target), shader.as_ref(), Sizes::USUAL)
    }

    /// Sets `size` bytes at `at`; done when it returns. The range lies in the allocation: the caller has checked.
    pub fn fill(&self, to: &Allocation, at: u64, size: u64, value: u8) -> Result<()> {
        if size == 0 {
            return Ok(());
        }
        let mut lane = self.transfer.lanes.take(self)?;
        fill::fill(&mut lane, self, range(to, at, size), value, Sizes::USUAL)
    }
}

/// Copies between allocations of any two devices; done when it returns. The ranges lie in the allocations: the caller has
/// checked.
pub fn copy_across(
    to: &Allocation,
    to_at: u64,
    from: &Allocation,
    from_at: u64,
    size: u64,
) -> Result<()> {
    let (target, source) = (to.device(), from.device());
    if Arc::ptr_eq(target, source) {
        return target.copy(to, to_at, from, from_at, size);
    }
    if size == 0 {
        return Ok(());
    }
    // In one order for everybody: two threads that each hold what the other wants would wait forever.
    let (mut to_lane, mut from_lane);
    if Arc::as_ptr(target) < Arc::as_ptr(source) {
        to_lane = target.transfer.lanes.take(target)?;
        from_lane = source.transfer.lanes.take(source)?;
    } else {
        from_lane = source.transfer.lanes.take(source)?;
        to_lane = target.transfer.lanes.take(target)?;
    }
    let mut from = End { device: source, lane: &mut from_lane, range: range(from, from_at, size) };
    let mut to = End { device: target, lane: &mut to_lane, range: range(to, to_at, size) };
    across::across(&mut from, &mut to)
}

fn range(of: &Allocation, at: u64, size: u64) -> Range {
    debug_assert!(at.checked_add(size).is_some_and(|end| end <= of.size()));
    Range { buffer: of.buffer(), at, size, external: of.is_external() }
}
