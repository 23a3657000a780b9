//! Bytes between host and device, and within and between devices.

use std::sync::Arc;

use ash::vk;

use super::allocation::Allocation;
use super::device::Device;
use super::failure::failed;
use super::memory_types::Kind;
use crate::error::Result;

/// What a device keeps for transfers. It has no `Drop`: what is not destroyed is left to the driver, as it must be in a
/// forked child.
#[derive(Default)]
pub(super) struct Transfer {}

impl Transfer {
    /// False if the device still works on something, and must not be destroyed either.
    ///
    /// # Safety
    /// No transfer is under way on any thread, now or later.
    pub(super) unsafe fn destroy(&self, _raw: &ash::Device) -> bool {
        true
    }
}

/// Bytes of host-visible memory that one step moves.
const CHUNK: u64 = 4 << 20;

impl Device {
    /// Copies `size` bytes from the host to `at`; done when it returns.
    ///
    /// # Safety
    /// `from` is valid for reading `size` bytes.
    pub unsafe fn upload(
        self: &Arc<Self>,
        to: &Allocation,
        at: u64,
        from: *const u8,
        size: usize,
    ) -> Result<()> {
        self.in_chunks(size as u64, |stage, start, bytes| {
            let Some(mapped) = stage.mapped() else { return Ok(()) };
            // SAFETY: `bytes` fit into the stage, and lie within the caller's range.
            unsafe { mapped.as_ptr().copy_from(from.add(start as usize), bytes as usize) };
            self.copy(to, at + start, stage, 0, bytes)
        })
    }

    /// Copies `size` bytes at `at` to the host; done when it returns.
    ///
    /// # Safety
    /// `to` is valid for writing `size` bytes.
    pub unsafe fn download(
        self: &Arc<Self>,
        from: &Allocation,
        at: u64,
        to: *mut u8,
        size: usize,
    ) -> Result<()> {
        self.in_chunks(size as u64, |stage, start, bytes| {
            self.copy(stage, 0, from, at + start, bytes)?;
            let Some(mapped) = stage.mapped() else { return Ok(()) };
            // SAFETY: `bytes` fit into the stage, and lie within the caller's range.
            unsafe { to.add(start as usize).copy_from(mapped.as_ptr(), bytes as usize) };
            Ok(())
        })
    }

    fn in_chunks(
        self: &Arc<Self>,
        size: u64,
        mut step: impl FnMut(&Allocation, u64, u64) -> Result<()>,
    ) -> Result<()> {
        if size == 0 {
            return Ok(());
        }
        let stage = Allocation::new(self, size.min(CHUNK), Kind::HostVisible, false)?;
        (0..size)
            .step_by(CHUNK as usize)
            .try_for_each(|start| step(&stage, start, CHUNK.min(size - start)))
    }

    /// Copies between two allocations of this device, or within one, as `memmove`; done when it returns.
    pub fn copy(
        self: &Arc<Self>,
        to: &Allocation,
        to_at: u64,
        from: &Allocation,
        from_at: u64,
        size: u64,
    ) -> Result<()> {
        if size == 0 {
            return Ok(());
        }
        if to.buffer() == from.buffer() && to_at < from_at + size && from_at < to_at + size {
            let between = Allocation::new(self, size, Kind::DeviceLocal, false)?;
            self.copy(&between, 0, from, from_at, size)?;
            return self.copy(to, to_at, &between, 0, size);
        }
        let region = [vk::BufferCopy { src_offset: from_at, dst_offset: to_at, size }];
        self.record_and_wait(|commands| {
            // SAFETY: the ranges are the caller's, checked by Buffer, and do not overlap.
            unsafe { self.raw.cmd_copy_buffer(commands, from.buffer(), to.buffer(), &region) };
        })
    }

    /// Sets `size` bytes at `at`; done when it returns.
    pub fn fill(self: &Arc<Self>, to: &Allocation, at: u64, size: u64, value: u8) -> Result<()> {
        let (start, end) = (at.next_multiple_of(4), (at + size) & !3);
        let word = u32::from_ne_bytes([value; 4]);
        if start >= end {
            // SAFETY: a vector is valid for its length.
            return unsafe {
                self.upload(to, at, vec![value; size as usize].as_ptr(), size as usize)
            };
        }
        self.record_and_wait(|commands| {
            // SAFETY: whole words within the caller's range.
            unsafe { self.raw.cmd_fill_buffer(commands, to.buffer(), start, end - start, word) };
        })?;
        let ends = [(at, start - at), (end, at + size - end)];
        for (at, size) in ends {
            // SAFETY: at most three bytes.
            unsafe { self.upload(to, at, [value; 4].as_ptr(), size as usize) }?;
        }
        Ok(())
    }

    fn record_and_wait(&self, record: impl FnOnce(vk::CommandBuffer)) -> Result<()> {
        self.check_fork()?;
        let wrong = |result| failed(result, "copying on the device");
        let raw = &self.raw;
        let pool = vk::CommandPoolCreateInfo::default().queue_family_index(self.queue_family);
        let all = vk::AccessFlags::MEMORY_READ | vk::AccessFlags::MEMORY_WRITE;
        let barrier = [vk::MemoryBarrier::default().src_access_mask(all).dst_access_mask(all)];
        let (stages, host) = (vk::PipelineStageFlags::ALL_COMMANDS, vk::PipelineStageFlags::HOST);
        // SAFETY: everything is made here, of this device, and destroyed after the wait.
        unsafe {
            let pool = raw.create_command_pool(&pool, None).map_err(wrong)?;
            let fence = raw.create_fence(&Default::default(), None).map_err(wrong)?;
            let info =
                vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
            let commands = raw.allocate_command_buffers(&info).map_err(wrong)?;
            raw.begin_command_buffer(commands[0], &Default::default()).map_err(wrong)?;
            raw.cmd_pipeline_barrier(
                commands[0],
                stages | host,
                stages,
                Default::default(),
                &barrier,
                &[],
                &[],
            );
            record(commands[0]);
            raw.cmd_pipeline_barrier(
                commands[0],
                stages,
                stages | host,
                Default::default(),
                &barrier,
                &[],
                &[],
            );
            raw.end_command_buffer(commands[0]).map_err(wrong)?;
            let done = self
                .submit(&[vk::SubmitInfo::default().command_buffers(&commands)], fence)
                .and_then(|()| raw.wait_for_fences(&[fence], true, u64::MAX).map_err(wrong));
            raw.destroy_fence(fence, None);
            raw.destroy_command_pool(pool, None);
            done
        }
    }
}

/// Copies between allocations of two devices, through the host.
pub fn copy_across(
    to: &Allocation,
    to_at: u64,
    from: &Allocation,
    from_at: u64,
    size: u64,
) -> Result<()> {
    let mut bytes = vec![0_u8; CHUNK.min(size) as usize];
    for start in (0..size).step_by(CHUNK as usize) {
        let chunk = CHUNK.min(size - start) as usize;
        // SAFETY: the vector has at least `chunk` bytes.
        unsafe {
            from.device().download(from, from_at + start, bytes.as_mut_ptr(), chunk)?;
            to.device().upload(to, to_at + start, bytes.as_ptr(), chunk)?;
        }
    }
    Ok(())
}
