//! The application's own Vulkan: one device, one queue, one compute pipeline.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char};

use ash::vk::{self, Handle as _};
use lava::{Timeline, VulkanBuffer, VulkanDevice};

use super::Result;
use super::lock::Lock;

pub struct Gpu {
    entry: ash::Entry,
    instance: ash::Instance,
    physical: vk::PhysicalDevice,
    device: ash::Device,
    family: u32,
    queue: vk::Queue,
    /// Boxed: lava has its address.
    lock: Box<Lock>,
    set_layout: vk::DescriptorSetLayout,
    layout: vk::PipelineLayout,
    pipeline: vk::Pipeline,
    sets: vk::DescriptorPool,
    commands: vk::CommandPool,
    /// By the place of the slot in the pool: what filled it last.
    slots: HashMap<u64, Slot>,
}

#[derive(Clone, Copy)]
struct Slot {
    commands: vk::CommandBuffer,
    set: vk::DescriptorSet,
    done: vk::Fence,
}

/// What lava needs, and what it uses where the device has it.
const REQUIRED: &CStr = ash::khr::external_memory_fd::NAME;
const USED: [&CStr; 2] =
    [ash::khr::external_semaphore_fd::NAME, ash::ext::external_memory_host::NAME];

impl Gpu {
    /// `None` where there is no Vulkan.
    pub fn open(slots: u32) -> Result<Option<Self>> {
        // SAFETY: the system's Vulkan.
        let Ok(entry) = (unsafe { ash::Entry::load() }) else { return Ok(None) };
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_2);
        let info = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: the structs live for the call; so in all of this file.
        let Ok(instance) = (unsafe { entry.create_instance(&info, None) }) else { return Ok(None) };
        // SAFETY: as above.
        let devices = unsafe { instance.enumerate_physical_devices() }?;
        let Some(physical) = devices.first().copied() else { return Ok(None) };
        let (device, family) = make_device(&instance, physical)?;
        // SAFETY: made with one queue of this family.
        let queue = unsafe { device.get_device_queue(family, 0) };
        let (set_layout, layout, pipeline) = make_pipeline(&device)?;
        let sizes = [vk::DescriptorPoolSize {
            ty: vk::DescriptorType::STORAGE_BUFFER,
            descriptor_count: slots,
        }];
        let sets = vk::DescriptorPoolCreateInfo::default().max_sets(slots).pool_sizes(&sizes);
        let commands = vk::CommandPoolCreateInfo::default()
            .queue_family_index(family)
            .flags(vk::CommandPoolCreateFlags::RESET_COMMAND_BUFFER);
        // SAFETY: as above.
        let (sets, commands) = unsafe {
            (
                device.create_descriptor_pool(&sets, None)?,
                device.create_command_pool(&commands, None)?,
            )
        };
        let (lock, slots) = (Box::default(), HashMap::new());
        Ok(Some(Self {
            entry,
            instance,
            physical,
            device,
            family,
            queue,
            lock,
            set_layout,
            layout,
            pipeline,
            sets,
            commands,
            slots,
        }))
    }

    pub fn name(&self) -> String {
        // SAFETY: a device of this instance.
        let properties = unsafe { self.instance.get_physical_device_properties(self.physical) };
        properties.device_name_as_c_str().unwrap_or(c"a GPU").to_string_lossy().into_owned()
    }

    pub fn for_lava(&self) -> VulkanDevice {
        let get = self.entry.static_fn().get_instance_proc_addr;
        VulkanDevice {
            instance: self.instance.handle().as_raw(),
            physical_device: self.physical.as_raw(),
            device: self.device.handle().as_raw(),
            queue: self.queue.as_raw(),
            queue_family: self.family,
            // SAFETY: a function pointer of another type, as documented.
            get_instance_proc_addr: unsafe {
                std::mem::transmute::<vk::PFN_vkGetInstanceProcAddr, unsafe extern "C" fn()>(get)
            },
            lock: Some(self.lock.for_lava()),
        }
    }

    /// Lets the GPU write a frame, and signal `ready` when it has. Returns at once.
    pub fn fill(
        &mut self,
        pool: &VulkanBuffer,
        at: u64,
        words: u32,
        number: u32,
        ready: Option<Timeline>,
    ) -> Result<()> {
        let slot = self.slot(pool, at)?;
        let first = (at / 4) as u32;
        self.record(slot, vk::Buffer::from_raw(pool.buffer), [first, words, number])?;
        let signals: Vec<_> =
            ready.iter().map(|ready| vk::Semaphore::from_raw(ready.semaphore)).collect();
        let values: Vec<_> = ready.iter().map(|ready| ready.value).collect();
        let mut timeline =
            vk::TimelineSemaphoreSubmitInfo::default().signal_semaphore_values(&values);
        let commands = [slot.commands];
        let submit = [vk::SubmitInfo::default()
            .command_buffers(&commands)
            .signal_semaphores(&signals)
            .push_next(&mut timeline)];
        // SAFETY: recorded just now; lava does not submit meanwhile.
        self.lock.with(|| unsafe { self.device.queue_submit(self.queue, &submit, slot.done) })?;
        if ready.is_none() {
            self.finish()?;
        }
        Ok(())
    }

    /// Waits until all is done.
    pub fn finish(&self) -> Result<()> {
        // SAFETY: lava does not submit meanwhile.
        Ok(self.lock.with(|| unsafe { self.device.queue_wait_idle(self.queue) })?)
    }

    /// What belongs to the slot of the pool at `at`, free to be used again.
    fn slot(&mut self, pool: &VulkanBuffer, at: u64) -> Result<Slot> {
        if let Some(slot) = self.slots.get(&at) {
            // SAFETY: submitted before.
            unsafe {
                self.device.wait_for_fences(&[slot.done], true, u64::MAX)?;
                self.device.reset_fences(&[slot.done])?;
            }
            return Ok(*slot);
        }
        let layouts = [self.set_layout];
        let set = vk::DescriptorSetAllocateInfo::default()
            .descriptor_pool(self.sets)
            .set_layouts(&layouts);
        let commands = vk::CommandBufferAllocateInfo::default()
            .command_pool(self.commands)
            .command_buffer_count(1);
        // SAFETY: pools of this device.
        let slot = unsafe {
            Slot {
                commands: self.device.allocate_command_buffers(&commands)?[0],
                set: self.device.allocate_descriptor_sets(&set)?[0],
                done: self.device.create_fence(&vk::FenceCreateInfo::default(), None)?,
            }
        };
        let whole = [vk::DescriptorBufferInfo {
            buffer: vk::Buffer::from_raw(pool.buffer),
            offset: 0,
            range: vk::WHOLE_SIZE,
        }];
        let write = [vk::WriteDescriptorSet::default()
            .dst_set(slot.set)
            .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
            .buffer_info(&whole)];
        // SAFETY: the pool lives as long as the producer.
        unsafe { self.device.update_descriptor_sets(&write, &[]) };
        self.slots.insert(at, slot);
        Ok(slot)
    }

    /// The pool is shared with other processes: it is taken from and given back to `QUEUE_FAMILY_EXTERNAL`.
    fn record(&self, slot: Slot, pool: vk::Buffer, [first, words, number]: [u32; 3]) -> Result<()> {
        let (device, commands) = (&self.device, slot.commands);
        let constants: Vec<u8> =
            [first, words, number].iter().flat_map(|word| word.to_le_bytes()).collect();
        let range = vk::BufferMemoryBarrier::default()
            .buffer(pool)
            .offset(u64::from(first) * 4)
            .size(u64::from(words) * 4);
        let (shader, none) = (vk::PipelineStageFlags::COMPUTE_SHADER, vk::DependencyFlags::empty());
        let take = [range
            .src_queue_family_index(vk::QUEUE_FAMILY_EXTERNAL)
            .dst_queue_family_index(self.family)
            .dst_access_mask(vk::AccessFlags::SHADER_WRITE)];
        let give = [range
            .src_queue_family_index(self.family)
            .dst_queue_family_index(vk::QUEUE_FAMILY_EXTERNAL)
            .src_access_mask(vk::AccessFlags::SHADER_WRITE)];
        let compute = vk::PipelineBindPoint::COMPUTE;
        // SAFETY: nothing of this slot is under way; all handles are of this device.
        unsafe {
            device.begin_command_buffer(commands, &vk::CommandBufferBeginInfo::default())?;
            let top = vk::PipelineStageFlags::TOP_OF_PIPE;
            device.cmd_pipeline_barrier(commands, top, shader, none, &[], &take, &[]);
            device.cmd_bind_pipeline(commands, compute, self.pipeline);
            device.cmd_bind_descriptor_sets(commands, compute, self.layout, 0, &[slot.set], &[]);
            let stage = vk::ShaderStageFlags::COMPUTE;
            device.cmd_push_constants(commands, self.layout, stage, 0, &constants);
            device.cmd_dispatch(commands, words.div_ceil(256), 1, 1);
            let bottom = vk::PipelineStageFlags::BOTTOM_OF_PIPE;
            device.cmd_pipeline_barrier(commands, shader, bottom, none, &[], &give, &[]);
            device.end_command_buffer(commands)?;
        }
        Ok(())
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // SAFETY: the context has ended, and the queue is waited for; each is destroyed once.
        unsafe {
            let _ = self.device.device_wait_idle();
            self.slots.values().for_each(|slot| self.device.destroy_fence(slot.done, None));
            self.device.destroy_command_pool(self.commands, None);
            self.device.destroy_descriptor_pool(self.sets, None);
            self.device.destroy_pipeline(self.pipeline, None);
            self.device.destroy_pipeline_layout(self.layout, None);
            self.device.destroy_descriptor_set_layout(self.set_layout, None);
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}

/// A device with what lava needs, and a family of queues that compute.
fn make_device(
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
) -> Result<(ash::Device, u32)> {
    // SAFETY: a device of this instance.
    let (offered, families) = unsafe {
        (
            instance.enumerate_device_extension_properties(physical)?,
            instance.get_physical_device_queue_family_properties(physical),
        )
    };
    let has = |name: &CStr| offered.iter().any(|found| found.extension_name_as_c_str() == Ok(name));
    if !has(REQUIRED) {
        return Err(format!("the device lacks {}", REQUIRED.to_string_lossy()).into());
    }
    let names: Vec<CString> = std::iter::once(REQUIRED)
        .chain(USED.into_iter().filter(|name| has(name)))
        .map(CStr::to_owned)
        .collect();
    let names: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let computes =
        |family: &vk::QueueFamilyProperties| family.queue_flags.contains(vk::QueueFlags::COMPUTE);
    let family = families.iter().position(computes).ok_or("no queue computes")? as u32;
    let priorities = [1.0];
    let queues = [vk::DeviceQueueCreateInfo::default()
        .queue_family_index(family)
        .queue_priorities(&priorities)];
    let mut timeline =
        vk::PhysicalDeviceTimelineSemaphoreFeatures::default().timeline_semaphore(true);
    let info = vk::DeviceCreateInfo::default()
        .queue_create_infos(&queues)
        .enabled_extension_names(&names)
        .push_next(&mut timeline);
    // SAFETY: all structs live for the call.
    Ok((unsafe { instance.create_device(physical, &info, None) }?, family))
}

fn make_pipeline(
    device: &ash::Device,
) -> Result<(vk::DescriptorSetLayout, vk::PipelineLayout, vk::Pipeline)> {
    let stage = vk::ShaderStageFlags::COMPUTE;
    let binding = [vk::DescriptorSetLayoutBinding::default()
        .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
        .descriptor_count(1)
        .stage_flags(stage)];
    let constants = [vk::PushConstantRange { stage_flags: stage, offset: 0, size: 12 }];
    let code = ash::util::read_spv(&mut std::io::Cursor::new(&include_bytes!("wave.spv")[..]))?;
    // SAFETY: all structs live for their calls; the code is wave.comp's.
    unsafe {
        let set = vk::DescriptorSetLayoutCreateInfo::default().bindings(&binding);
        let set = device.create_descriptor_set_layout(&set, None)?;
        let sets = [set];
        let layout = vk::PipelineLayoutCreateInfo::default()
            .set_layouts(&sets)
            .push_constant_ranges(&constants);
        let layout = device.create_pipeline_layout(&layout, None)?;
        let module = vk::ShaderModuleCreateInfo::default().code(&code);
        let module = device.create_shader_module(&module, None)?;
        let shader =
            vk::PipelineShaderStageCreateInfo::default().stage(stage).module(module).name(c"main");
        let info = [vk::ComputePipelineCreateInfo::default().stage(shader).layout(layout)];
        let made = device.create_compute_pipelines(vk::PipelineCache::null(), &info, None);
        device.destroy_shader_module(module, None);
        let pipeline = made.map_err(|(_, result)| result)?[0];
        Ok((set, layout, pipeline))
    }
}
