//! A queue of lava's device, used directly: work of a program that draws into its frames, and Vulkan's own copy as a
//! yardstick. A device with one queue only shares it with lava: then no other thread may be in a call of lava meanwhile.

use std::time::Duration;

use ash::vk;
use ash::vk::Handle;
use lava::{Buffer, Loan, VulkanBuffer};

use crate::failure::{Doing, Failure};

/// Longest wait for the GPU.
const PATIENCE: Duration = Duration::from_secs(20);

/// The queue of a device that lava opened.
pub struct Queue {
    device: ash::Device,
    queue: vk::Queue,
    pool: vk::CommandPool,
    command: vk::CommandBuffer,
    /// A timeline of this queue's own, and its last value.
    done: vk::Semaphore,
    value: u64,
    /// Any buffer of the device: it keeps the device alive.
    _anchor: Buffer,
    /// Keeps Vulkan loaded.
    _entry: ash::Entry,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Queue").field(&self.queue).finish()
    }
}

impl Queue {
    /// The queue behind `anchor`, which is device memory.
    pub fn of(anchor: Buffer) -> Result<Self, Failure> {
        let handles = anchor.vulkan()?;
        // SAFETY: lava has loaded the same library, so that this only counts it once more.
        let entry = unsafe { ash::Entry::load() }.doing("loading Vulkan")?;
        let instance = vk::Instance::from_raw(handles.instance);
        // SAFETY: the handles are lava's, live as long as `anchor`, and of the same loader.
        let instance = unsafe { ash::Instance::load(entry.static_fn(), instance) };
        let device = vk::Device::from_raw(handles.device);
        // SAFETY: as above.
        let device = unsafe { ash::Device::load(instance.fp_v1_0(), device) };
        let index = handles.queue_index.unwrap_or(0);
        // SAFETY: lava made its device with this queue; queue 0 is always there.
        let queue = unsafe { device.get_device_queue(handles.queue_family, index) };
        let (pool, command) = commands(&device, handles.queue_family)?;
        let mut kind =
            vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
        let timeline = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
        // SAFETY: the device is live, and lava made it with timeline semaphores.
        let done = unsafe { device.create_semaphore(&timeline, None) }.doing("a semaphore")?;
        Ok(Queue { device, queue, pool, command, done, value: 0, _anchor: anchor, _entry: entry })
    }

    /// Lets the queue signal that the loan is ready when it comes to it.
    pub fn signal_ready(&self, loan: &mut Loan) -> Result<(), Failure> {
        let ready = loan.next_ready()?.ok_or_else(|| {
            Failure::Failed("the loan is not device memory: there is nothing to signal".to_owned())
        })?;
        self.submit(&[], vk::Semaphore::from_raw(ready.semaphore), ready.value)
    }

    /// Submits a signal of the queue's own timeline and waits for it, as the receiver of a frame would.
    pub fn signal_and_wait(&mut self) -> Result<(), Failure> {
        self.value += 1;
        self.submit(&[], self.done, self.value)?;
        self.wait()
    }

    /// Copies `size` bytes from the start of one buffer to the start of another by `vkCmdCopyBuffer`, and waits. The
    /// contents are of no interest: ownership is not transferred.
    pub fn copy(
        &mut self,
        to: &VulkanBuffer,
        from: &VulkanBuffer,
        size: u64,
    ) -> Result<(), Failure> {
        let begin = vk::CommandBufferBeginInfo::default()
            .flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        let region = vk::BufferCopy { src_offset: from.offset, dst_offset: to.offset, size };
        let (from, to) = (vk::Buffer::from_raw(from.buffer), vk::Buffer::from_raw(to.buffer));
        // SAFETY: the command buffer is not pending, since every submission is waited for; both buffers are the
        // device's, live, and have `size` bytes.
        unsafe {
            self.device.begin_command_buffer(self.command, &begin).doing("recording")?;
            self.device.cmd_copy_buffer(self.command, from, to, &[region]);
            self.device.end_command_buffer(self.command).doing("recording")?;
        }
        self.value += 1;
        self.submit(&[self.command], self.done, self.value)?;
        self.wait()
    }

    fn submit(
        &self,
        commands: &[vk::CommandBuffer],
        semaphore: vk::Semaphore,
        value: u64,
    ) -> Result<(), Failure> {
        let (values, semaphores) = ([value], [semaphore]);
        let mut timeline =
            vk::TimelineSemaphoreSubmitInfo::default().signal_semaphore_values(&values);
        let submit = vk::SubmitInfo::default()
            .command_buffers(commands)
            .signal_semaphores(&semaphores)
            .push_next(&mut timeline);
        // SAFETY: everything is the device's and live; nobody else submits to the queue meanwhile, see the file's first lines.
        unsafe { self.device.queue_submit(self.queue, &[submit], vk::Fence::null()) }
            .doing("submitting to the GPU")
    }

    fn wait(&self) -> Result<(), Failure> {
        let (values, semaphores) = ([self.value], [self.done]);
        let wait = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
        // SAFETY: the semaphore is the device's and live.
        unsafe { self.device.wait_semaphores(&wait, PATIENCE.as_nanos() as u64) }
            .doing("waiting for the GPU")
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: made by `of`; nothing is pending, or the wait below fails and the GPU is lost anyway.
        unsafe {
            let _ = self.device.queue_wait_idle(self.queue);
            self.device.destroy_semaphore(self.done, None);
            self.device.destroy_command_pool(self.pool, None);
        }
    }
}

fn commands(
    device: &ash::Device,
    family: u32,
) -> Result<(vk::CommandPool, vk::CommandBuffer), Failure> {
    let create = vk::CommandPoolCreateInfo::default()
        .queue_family_index(family)
        .flags(vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER);
    // SAFETY: the device is live and has this family.
    let pool = unsafe { device.create_command_pool(&create, None) }.doing("a command pool")?;
    let allocate =
        vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
    // SAFETY: the pool was just made.
    let commands =
        unsafe { device.allocate_command_buffers(&allocate) }.doing("a command buffer")?;
    Ok((pool, commands[0]))
}
