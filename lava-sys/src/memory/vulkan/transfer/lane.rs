//! A lane: what one transfer at a time needs, made once and reused. Command buffers, a timeline that counts their ends,
//! staging memory, descriptor sets.
//!
//! Slot `i` is command buffer `i` and, in a ring, chunk `i` of the staging memory. A slot is reused only when the
//! timeline has passed the slot's end.

use ash::vk;

use super::super::device::Device;
use super::super::driver;
use super::super::failure::failed;
use super::super::memory_types::Kind;
use super::commands::Commands;
use super::shader::Sets;
use super::shared::SharedRing;
use super::staging::Own;
use super::wait;
use crate::error::Result;

/// Submissions of one transfer that may be under way.
pub(super) const SLOTS: usize = 4;

/// Up to this size a transfer is one copy by the CPU and one by the device. Every lane has this much staging memory.
pub(super) const SMALL: u64 = 64 << 10;

/// Bytes of a ring's chunk. The CPU copies 2 MiB in about 170 µs, so that a submission's cost (about 10 µs) stays small;
/// the ring stays in the processor's cache.
pub(super) const CHUNK: u64 = 2 << 20;

/// Device memory through which overlapping ranges are moved.
pub(super) const SCRATCH: u64 = 16 << 20;

/// See the module.
pub(super) struct Lane {
    pool: vk::CommandPool,
    commands: [vk::CommandBuffer; SLOTS],
    timeline: vk::Semaphore,
    /// The value that the last submission signals.
    last: u64,
    /// The value that each slot's last submission signals.
    ends: [u64; SLOTS],
    pub(super) small: Own,
    ring: Option<Own>,
    scratch: Option<Own>,
    pub(super) sets: Option<Sets>,
    /// The ring in host memory for copies from this device to another; nobody uses its pages without this lane.
    pub(super) home: Option<SharedRing>,
    /// The other lane's ring, kept from the last copy that came from another device.
    pub(super) guest: Option<SharedRing>,
}

impl Lane {
    pub(super) fn new(device: &Device) -> Result<Self> {
        let small = Own::new(device, SMALL, Kind::HostVisible)?;
        let mut lane = Self {
            pool: vk::CommandPool::null(),
            commands: [vk::CommandBuffer::null(); SLOTS],
            timeline: vk::Semaphore::null(),
            last: 0,
            ends: [0; SLOTS],
            small,
            ring: None,
            scratch: None,
            sets: None,
            home: None,
            guest: None,
        };
        match lane.make(device) {
            Ok(()) => Ok(lane),
            Err(error) => {
                let _order = driver::making();
                // SAFETY: nothing has been submitted.
                unsafe { lane.destroy(&device.raw) };
                Err(error)
            }
        }
    }

    fn make(&mut self, device: &Device) -> Result<()> {
        let _order = driver::making();
        let raw = &device.raw;
        let info = vk::CommandPoolCreateInfo::default()
            .flags(vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER)
            .queue_family_index(device.queue_family);
        // SAFETY: the device is alive; `destroy` destroys what is made here.
        self.pool = unsafe { raw.create_command_pool(&info, None) }
            .map_err(|result| failed(result, "vkCreateCommandPool for transfers"))?;
        let info = vk::CommandBufferAllocateInfo::default()
            .command_pool(self.pool)
            .level(vk::CommandBufferLevel::PRIMARY)
            .command_buffer_count(SLOTS as u32);
        // SAFETY: the pool is this lane's.
        let commands = unsafe { raw.allocate_command_buffers(&info) }
            .map_err(|result| failed(result, "vkAllocateCommandBuffers for transfers"))?;
        self.commands.copy_from_slice(&commands);
        let mut kind =
            vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
        let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
        // SAFETY: as above.
        self.timeline = unsafe { raw.create_semaphore(&info, None) }
            .map_err(|result| failed(result, "vkCreateSemaphore for transfers"))?;
        Ok(())
    }

    /// The ring's memory, made when first needed.
    pub(super) fn ring(&mut self, device: &Device) -> Result<(vk::Buffer, *mut u8)> {
        let ring = made(&mut self.ring, device, CHUNK * SLOTS as u64, Kind::HostVisible)?;
        Ok((ring.buffer, ring.bytes(0)))
    }

    /// The scratch memory, made when first needed.
    pub(super) fn scratch(&mut self, device: &Device) -> Result<vk::Buffer> {
        Ok(made(&mut self.scratch, device, SCRATCH, Kind::DeviceLocal)?.buffer)
    }

    /// Waits until the slot is free, records its commands, and submits them.
    pub(super) fn submit(
        &mut self,
        device: &Device,
        slot: usize,
        record: impl FnOnce(&Commands<'_>),
    ) -> Result<()> {
        self.wait(device, slot)?;
        let (raw, buffer) = (&device.raw, self.commands[slot]);
        let info = vk::CommandBufferBeginInfo::default()
            .flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        // SAFETY: the slot is free: the device has done with the command buffer, and this call resets it.
        unsafe { raw.begin_command_buffer(buffer, &info) }
            .map_err(|result| failed(result, "vkBeginCommandBuffer for a transfer"))?;
        record(&Commands { raw, buffer, family: device.queue_family });
        // SAFETY: it is being recorded.
        unsafe { raw.end_command_buffer(buffer) }
            .map_err(|result| failed(result, "vkEndCommandBuffer for a transfer"))?;
        let (value, semaphores, buffers) = ([self.last + 1], [self.timeline], [buffer]);
        let mut values = vk::TimelineSemaphoreSubmitInfo::default().signal_semaphore_values(&value);
        let info = vk::SubmitInfo::default()
            .command_buffers(&buffers)
            .signal_semaphores(&semaphores)
            .push_next(&mut values);
        // SAFETY: all handles are this lane's, which waits for their end before it reuses or destroys them; the buffers that
        // the commands use are the caller's, who waits too.
        unsafe { device.submit(&[info], vk::Fence::null()) }?;
        self.last += 1;
        self.ends[slot] = self.last;
        Ok(())
    }

    /// Waits until the device has done what was last submitted with the slot.
    pub(super) fn wait(&self, device: &Device, slot: usize) -> Result<()> {
        wait::reached(device, self.timeline, self.ends[slot])
    }

    /// Waits until the device has done everything.
    pub(super) fn finish(&self, device: &Device) -> Result<()> {
        wait::reached(device, self.timeline, self.last)
    }

    /// Whether the device has done everything, or never will.
    pub(super) fn is_idle(&self, raw: &ash::Device) -> bool {
        // SAFETY: the semaphore is a timeline of this device.
        match unsafe { raw.get_semaphore_counter_value(self.timeline) } {
            Ok(value) => value >= self.last,
            Err(result) => result == vk::Result::ERROR_DEVICE_LOST,
        }
    }

    /// # Safety
    /// The lane is idle and nobody uses it afterwards. The caller holds the driver's order.
    pub(super) unsafe fn destroy(&mut self, raw: &ash::Device) {
        // SAFETY: the caller's promise; null handles are allowed.
        unsafe {
            for own in [Some(&self.small), self.ring.as_ref(), self.scratch.as_ref()] {
                own.inspect(|own| own.destroy(raw));
            }
            self.sets.take().inspect(|sets| sets.destroy(raw));
            self.home.take().inspect(|ring| ring.destroy(raw));
            self.guest.take().inspect(|ring| ring.destroy(raw));
            raw.destroy_command_pool(self.pool, None);
            raw.destroy_semaphore(self.timeline, None);
        }
    }
}

fn made<'a>(own: &'a mut Option<Own>, device: &Device, size: u64, kind: Kind) -> Result<&'a Own> {
    match own {
        Some(own) => Ok(own),
        None => Ok(own.insert(Own::new(device, size, kind)?)),
    }
}
