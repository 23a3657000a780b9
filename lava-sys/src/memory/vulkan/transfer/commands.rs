//! Recording: copies, fills, and the two barriers around every operation.
//!
//! An operation is ordered after and before everything else on the queue, and its writes reach the host: it begins with
//! [`Commands::begin`] and ends with [`Commands::end`], in one command buffer or in several that follow each other.
//!
//! Buffers that other instances know belong to VK_QUEUE_FAMILY_EXTERNAL between operations, byte by byte. An operation
//! acquires what it reads, and releases what it read or wrote. What it overwrites it need not acquire: acquiring keeps
//! contents, and there are none to keep.

use ash::vk;

/// A range of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) buffer: vk::Buffer,
    pub(super) at: u64,
    pub(super) size: u64,
    /// Whether other Vulkan instances may know the memory.
    pub(super) external: bool,
}

impl Range {
    /// A part of the range; `at` counts from its begin.
    pub(super) fn part(self, at: u64, size: u64) -> Self {
        debug_assert!(at + size <= self.size);
        Self { at: self.at + at, size, ..self }
    }

    pub(super) fn end(self) -> u64 {
        self.at + self.size
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        self.buffer == other.buffer && self.at < other.end() && other.at < self.end()
    }
}

/// A command buffer that is being recorded.
pub(super) struct Commands<'a> {
    pub(super) raw: &'a ash::Device,
    pub(super) buffer: vk::CommandBuffer,
    pub(super) family: u32,
}

const READ_WRITE: vk::AccessFlags = vk::AccessFlags::from_raw(
    vk::AccessFlags::MEMORY_READ.as_raw() | vk::AccessFlags::MEMORY_WRITE.as_raw(),
);

impl Commands<'_> {
    /// After everything that the queue was given before; acquires the ranges. What the host wrote before the submission
    /// is visible without a barrier.
    pub(super) fn begin(&self, reads: &[Range]) {
        let memory = vk::MemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::MEMORY_WRITE)
            .dst_access_mask(READ_WRITE);
        let owners = |range: &Range| {
            ownership(range, vk::QUEUE_FAMILY_EXTERNAL, self.family).dst_access_mask(READ_WRITE)
        };
        self.barrier(vk::PipelineStageFlags::ALL_COMMANDS, &memory, reads, owners);
    }

    /// Before everything that the queue is given later, and before what the host does when it has seen the end; releases
    /// the ranges.
    pub(super) fn end(&self, touched: &[Range]) {
        let host = vk::AccessFlags::HOST_READ | vk::AccessFlags::HOST_WRITE;
        let memory = vk::MemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::MEMORY_WRITE)
            .dst_access_mask(READ_WRITE | host);
        let owners = |range: &Range| {
            ownership(range, self.family, vk::QUEUE_FAMILY_EXTERNAL).src_access_mask(READ_WRITE)
        };
        let stages = vk::PipelineStageFlags::ALL_COMMANDS | vk::PipelineStageFlags::HOST;
        self.barrier(stages, &memory, touched, owners);
    }

    /// Between two commands of one operation of which the later one reads or overwrites what the earlier one wrote or
    /// read.
    pub(super) fn between(&self) {
        let memory = vk::MemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
            .dst_access_mask(vk::AccessFlags::TRANSFER_READ | vk::AccessFlags::TRANSFER_WRITE);
        let stage = vk::PipelineStageFlags::TRANSFER;
        // SAFETY: recording; no handle in it.
        unsafe {
            self.raw.cmd_pipeline_barrier(
                self.buffer,
                stage,
                stage,
                vk::DependencyFlags::empty(),
                &[memory],
                &[],
                &[],
            );
        }
    }

    /// What was written so far becomes visible to the host, which waits for the end; nothing else waits for it.
    pub(super) fn show_host(&self) {
        let memory = vk::MemoryBarrier::default()
            .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
            .dst_access_mask(vk::AccessFlags::HOST_READ);
        // SAFETY: recording; no handle in it.
        unsafe {
            self.raw.cmd_pipeline_barrier(
                self.buffer,
                vk::PipelineStageFlags::TRANSFER,
                vk::PipelineStageFlags::HOST,
                vk::DependencyFlags::empty(),
                &[memory],
                &[],
                &[],
            );
        }
    }

    /// Copies between ranges of equal size, which do not overlap.
    pub(super) fn copy(&self, from: Range, to: Range) {
        debug_assert!(from.size == to.size && !from.overlaps(to));
        if from.size == 0 {
            return;
        }
        let region = vk::BufferCopy { src_offset: from.at, dst_offset: to.at, size: from.size };
        // SAFETY: both buffers are of this device and as large as the ranges say.
        unsafe { self.raw.cmd_copy_buffer(self.buffer, from.buffer, to.buffer, &[region]) };
    }

    /// Sets bytes; the range lies on multiples of four.
    pub(super) fn fill(&self, range: Range, value: u8) {
        debug_assert!(range.at.is_multiple_of(4) && range.size.is_multiple_of(4));
        if range.size == 0 {
            return;
        }
        let word = u32::from_ne_bytes([value; 4]);
        // SAFETY: the buffer is of this device and as large as the range says.
        unsafe { self.raw.cmd_fill_buffer(self.buffer, range.buffer, range.at, range.size, word) };
    }

    fn barrier<'b>(
        &self,
        stages: vk::PipelineStageFlags,
        memory: &vk::MemoryBarrier<'_>,
        ranges: &[Range],
        owners: impl Fn(&Range) -> vk::BufferMemoryBarrier<'b>,
    ) {
        let mut barriers = [vk::BufferMemoryBarrier::default(); 2];
        let mut count = 0;
        for range in ranges.iter().filter(|range| range.external && range.size > 0) {
            barriers[count] = owners(range);
            count += 1;
        }
        // SAFETY: recording; the ranges are of buffers of this device.
        unsafe {
            self.raw.cmd_pipeline_barrier(
                self.buffer,
                vk::PipelineStageFlags::ALL_COMMANDS,
                stages,
                vk::DependencyFlags::empty(),
                &[*memory],
                &barriers[..count],
                &[],
            );
        }
    }
}

fn ownership<'a>(range: &Range, from: u32, to: u32) -> vk::BufferMemoryBarrier<'a> {
    vk::BufferMemoryBarrier::default()
        .buffer(range.buffer)
        .offset(range.at)
        .size(range.size)
        .src_queue_family_index(from)
        .dst_queue_family_index(to)
}
