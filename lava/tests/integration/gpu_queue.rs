//! A queue of the device that a buffer of lava's belongs to, for work of the test's own.

use ash::vk::{self, Handle as _};
use lava::{Buffer, Timeline};

use crate::support::PATIENCE;

/// See the module. Used by one thread, while lava submits nothing: some devices have one queue only.
pub(crate) struct Queue {
    // Keeps Vulkan loaded.
    _entry: ash::Entry,
    device: ash::Device,
    raw: vk::Queue,
}

impl Queue {
    pub(crate) fn of(buffer: &Buffer) -> Self {
        let vulkan = buffer.vulkan().unwrap();
        // SAFETY: the library that lava has loaded.
        let entry = unsafe { ash::Entry::load() }.unwrap();
        let instance = vk::Instance::from_raw(vulkan.instance);
        // SAFETY: lava's handles live as long as the buffer, and tests drop this first.
        let device = unsafe {
            let instance = ash::Instance::load(entry.static_fn(), instance);
            ash::Device::load(instance.fp_v1_0(), vk::Device::from_raw(vulkan.device))
        };
        let index = vulkan.queue_index.unwrap_or(0);
        // SAFETY: the device was made with this queue.
        let raw = unsafe { device.get_device_queue(vulkan.queue_family, index) };
        Self { _entry: entry, device, raw }
    }

    /// A new timeline at 0. Leaks unless [`Self::destroy`]ed.
    pub(crate) fn timeline(&self) -> u64 {
        let mut kind =
            vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
        let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
        // SAFETY: the device has timelines: lava needs them.
        unsafe { self.device.create_semaphore(&info, None) }.unwrap().as_raw()
    }

    pub(crate) fn destroy(&self, timelines: &[u64]) {
        for raw in timelines {
            // SAFETY: made by this device, and the tests have waited for what used them.
            unsafe { self.device.destroy_semaphore(vk::Semaphore::from_raw(*raw), None) };
        }
    }

    /// Work that does nothing but wait and signal.
    pub(crate) fn submit(&self, wait: Timeline, signal: Timeline) {
        let (waits, signals) = ([raw(wait.semaphore)], [raw(signal.semaphore)]);
        let (reached, reach) = ([wait.value], [signal.value]);
        let mut values = vk::TimelineSemaphoreSubmitInfo::default()
            .wait_semaphore_values(&reached)
            .signal_semaphore_values(&reach);
        let submit = [vk::SubmitInfo::default()
            .wait_semaphores(&waits)
            .wait_dst_stage_mask(&[vk::PipelineStageFlags::ALL_COMMANDS])
            .signal_semaphores(&signals)
            .push_next(&mut values)];
        // SAFETY: live timelines of this device; this thread is the only one that submits.
        unsafe { self.device.queue_submit(self.raw, &submit, vk::Fence::null()) }.unwrap();
    }

    /// Signals from the host.
    pub(crate) fn signal(&self, timeline: u64, value: u64) {
        let info = vk::SemaphoreSignalInfo::default().semaphore(raw(timeline)).value(value);
        // SAFETY: a live timeline of this device.
        unsafe { self.device.signal_semaphore(&info) }.unwrap();
    }

    pub(crate) fn is_at(&self, timeline: u64, value: u64) -> bool {
        // SAFETY: a live timeline of this device.
        unsafe { self.device.get_semaphore_counter_value(raw(timeline)) }.unwrap() >= value
    }

    /// Waits for the value; false: it does not come.
    pub(crate) fn reaches(&self, timeline: u64, value: u64) -> bool {
        let (semaphores, values) = ([raw(timeline)], [value]);
        let info = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
        // SAFETY: a live timeline of this device.
        unsafe { self.device.wait_semaphores(&info, PATIENCE.as_nanos() as u64) }.is_ok()
    }
}

fn raw(timeline: u64) -> vk::Semaphore {
    vk::Semaphore::from_raw(timeline)
}
