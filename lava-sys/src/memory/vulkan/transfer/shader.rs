//! Copying by a compute shader: `shaders/copy.comp`, 16 bytes a unit. Why: doc/adr/0033.
//!
//! A run of bytes is cut into dispatches, each within what a storage buffer may span and a dispatch may count. Descriptors
//! must begin at the device's alignment. The target does; the source's descriptor begins up to that much early, and the
//! shader is told how many units to skip.

use ash::vk;

use super::super::device::Device;
use super::super::driver;
use super::super::failure::failed;
use super::commands::{Commands, Range};
use crate::error::{Error, Result};
use crate::types::LAVA_ERROR_INTERNAL;

/// Bytes that the shader copies at once.
pub(super) const UNIT: u64 = 16;

/// Dispatches of one submission; each needs a descriptor set of its own.
pub(super) const SETS: usize = 8;

pub(super) const CODE: &[u8] = include_bytes!("../../../../shaders/copy.spv");

/// How the shader's work is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Invocations of a group.
    pub group: u32,
    /// Units that each invocation copies.
    pub units: u32,
}

impl Shape {
    /// 16 bytes an invocation: 4130 GB/s on an H200, where the vendor's own copy has 4260 (doc/adr/0033).
    pub const USUAL: Self = Self { group: 256, units: 1 };
}

/// The pipeline of one device; its handles are destroyed by [`CopyShader::destroy`] only.
#[derive(Debug, Clone, Copy)]
pub(super) struct CopyShader {
    set_layout: vk::DescriptorSetLayout,
    layout: vk::PipelineLayout,
    pipeline: vk::Pipeline,
    pub(super) cut: Cut,
}

/// The descriptor sets of one lane.
#[derive(Debug)]
pub(super) struct Sets {
    pool: vk::DescriptorPool,
    sets: [vk::DescriptorSet; SETS],
}

/// The limits by which runs are cut into dispatches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// What offsets of descriptors are multiples of.
    pub(super) alignment: u64,
    /// Bytes that a descriptor may span.
    pub(super) span: u64,
    /// Bytes that a group copies.
    pub(super) group: u64,
    /// Groups of a dispatch.
    pub(super) groups: u64,
}

/// Push constants, and how many groups: see the shader.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
struct Run {
    count: u32,
    from: u32,
}

impl Cut {
    fn new(device: &Device, shape: Shape) -> Self {
        let limits = &device.limits;
        Self {
            alignment: limits.min_storage_buffer_offset_alignment.max(UNIT),
            span: u64::from(limits.max_storage_buffer_range),
            group: u64::from(shape.group) * u64::from(shape.units) * UNIT,
            groups: u64::from(limits.max_compute_work_group_count[0]),
        }
    }

    /// Bytes of the largest dispatch, a multiple of the alignment.
    pub(super) fn most(&self) -> u64 {
        // Room for the units that a descriptor begins too early.
        (self.span - self.alignment).min(self.groups.saturating_mul(self.group)) / self.alignment
            * self.alignment
    }

    /// The range with what lies between it and the last possible begin of a descriptor, and how many units that is.
    fn source(&self, range: Range) -> (Range, u32) {
        let early = range.at % self.alignment;
        let bound = Range { at: range.at - early, size: range.size + early, ..range };
        (bound, (early / UNIT) as u32)
    }
}

impl CopyShader {
    pub(super) fn new(device: &Device, shape: Shape) -> Result<Self> {
        let limits = &device.limits;
        // Vulkan promises 128 invocations only.
        let group = shape
            .group
            .min(limits.max_compute_work_group_invocations)
            .min(limits.max_compute_work_group_size[0]);
        let shape = Shape { group, ..shape };
        let mut shader = Self {
            set_layout: vk::DescriptorSetLayout::null(),
            layout: vk::PipelineLayout::null(),
            pipeline: vk::Pipeline::null(),
            cut: Cut::new(device, shape),
        };
        let _order = driver::making();
        match shader.make(&device.raw, shape) {
            Ok(()) => Ok(shader),
            Err(error) => {
                // SAFETY: nobody uses it.
                unsafe { shader.destroy(&device.raw) };
                Err(error)
            }
        }
    }

    fn make(&mut self, raw: &ash::Device, shape: Shape) -> Result<()> {
        let bindings = [0, 1].map(|binding| {
            vk::DescriptorSetLayoutBinding::default()
                .binding(binding)
                .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE)
        });
        let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        // SAFETY: the device is alive; `destroy` destroys what is made here.
        self.set_layout = unsafe { raw.create_descriptor_set_layout(&info, None) }
            .map_err(|result| failed(result, "vkCreateDescriptorSetLayout for copying"))?;
        let constants = [vk::PushConstantRange {
            stage_flags: vk::ShaderStageFlags::COMPUTE,
            offset: 0,
            size: size_of::<Run>() as u32,
        }];
        let layouts = [self.set_layout];
        let info = vk::PipelineLayoutCreateInfo::default()
            .set_layouts(&layouts)
            .push_constant_ranges(&constants);
        // SAFETY: as above.
        self.layout = unsafe { raw.create_pipeline_layout(&info, None) }
            .map_err(|result| failed(result, "vkCreatePipelineLayout for copying"))?;
        let words = ash::util::read_spv(&mut std::io::Cursor::new(CODE)).map_err(|error| {
            Error::new(LAVA_ERROR_INTERNAL, format!("copy.spv is no shader: {error}"))
        })?;
        let info = vk::ShaderModuleCreateInfo::default().code(&words);
        // SAFETY: the code is valid SPIR-V, made from `shaders/copy.comp`.
        let module = unsafe { raw.create_shader_module(&info, None) }
            .map_err(|result| failed(result, "vkCreateShaderModule for copying"))?;
        let pipeline = self.compile(raw, module, shape);
        // SAFETY: a module is needed only while pipelines are made of it.
        unsafe { raw.destroy_shader_module(module, None) };
        self.pipeline = pipeline?;
        Ok(())
    }

    fn compile(
        &self,
        raw: &ash::Device,
        module: vk::ShaderModule,
        shape: Shape,
    ) -> Result<vk::Pipeline> {
        let entries = [0, 1].map(|index| vk::SpecializationMapEntry {
            constant_id: index,
            offset: index * 4,
            size: 4,
        });
        let values = [shape.group, shape.units];
        let constants = vk::SpecializationInfo::default()
            .map_entries(&entries)
            .data(bytemuck::cast_slice(&values));
        let stage = vk::PipelineShaderStageCreateInfo::default()
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(module)
            .name(c"main")
            .specialization_info(&constants);
        let info = vk::ComputePipelineCreateInfo::default().stage(stage).layout(self.layout);
        // SAFETY: all handles are this device's.
        unsafe { raw.create_compute_pipelines(vk::PipelineCache::null(), &[info], None) }
            .map(|pipelines| pipelines[0])
            .map_err(|(_, result)| failed(result, "vkCreateComputePipelines for copying"))
    }

    /// Records the copy of a run: the target begins at the device's alignment, the source and the size are multiples of
    /// [`UNIT`], the ranges do not overlap and need no more than [`SETS`] dispatches. The sets are not in use.
    pub(super) fn record(&self, commands: &Commands<'_>, sets: &Sets, from: Range, to: Range) {
        let most = self.cut.most();
        debug_assert!(from.size.is_multiple_of(UNIT) && from.size <= most * SETS as u64);
        // SAFETY: the pipeline is this device's.
        unsafe {
            commands.raw.cmd_bind_pipeline(
                commands.buffer,
                vk::PipelineBindPoint::COMPUTE,
                self.pipeline,
            );
        }
        let mut at = 0;
        for set in sets.sets {
            let size = most.min(from.size - at);
            if size == 0 {
                break;
            }
            self.dispatch(commands, set, from.part(at, size), to.part(at, size));
            at += size;
        }
    }

    fn dispatch(&self, commands: &Commands<'_>, set: vk::DescriptorSet, from: Range, to: Range) {
        let (bound, skip) = self.cut.source(from);
        let run = Run { count: (to.size / UNIT) as u32, from: skip };
        let infos = [bound, to].map(|range| {
            [vk::DescriptorBufferInfo { buffer: range.buffer, offset: range.at, range: range.size }]
        });
        let write = |binding: usize| {
            vk::WriteDescriptorSet::default()
                .dst_set(set)
                .dst_binding(binding as u32)
                .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                .buffer_info(&infos[binding])
        };
        let raw = commands.raw;
        // SAFETY: the set is not in use; the ranges lie in the buffers, begin at the device's alignment and are no longer
        // than its limit.
        unsafe {
            raw.update_descriptor_sets(&[write(0), write(1)], &[]);
            raw.cmd_bind_descriptor_sets(
                commands.buffer,
                vk::PipelineBindPoint::COMPUTE,
                self.layout,
                0,
                &[set],
                &[],
            );
            raw.cmd_push_constants(
                commands.buffer,
                self.layout,
                vk::ShaderStageFlags::COMPUTE,
                0,
                bytemuck::bytes_of(&run),
            );
            raw.cmd_dispatch(commands.buffer, to.size.div_ceil(self.cut.group) as u32, 1, 1);
        }
    }

    /// Descriptor sets for a lane.
    pub(super) fn sets(&self, raw: &ash::Device) -> Result<Sets> {
        let sizes = [vk::DescriptorPoolSize {
            ty: vk::DescriptorType::STORAGE_BUFFER,
            descriptor_count: 2 * SETS as u32,
        }];
        let info = vk::DescriptorPoolCreateInfo::default().max_sets(SETS as u32).pool_sizes(&sizes);
        let _order = driver::making();
        // SAFETY: the device is alive.
        let pool = unsafe { raw.create_descriptor_pool(&info, None) }
            .map_err(|result| failed(result, "vkCreateDescriptorPool for copying"))?;
        let layouts = [self.set_layout; SETS];
        let info =
            vk::DescriptorSetAllocateInfo::default().descriptor_pool(pool).set_layouts(&layouts);
        // SAFETY: the pool has room for them.
        let made = unsafe { raw.allocate_descriptor_sets(&info) };
        let mut sets = Sets { pool, sets: [vk::DescriptorSet::null(); SETS] };
        match made {
            Ok(made) => sets.sets.copy_from_slice(&made),
            Err(result) => {
                // SAFETY: nobody uses it.
                unsafe { sets.destroy(raw) };
                return Err(failed(result, "vkAllocateDescriptorSets for copying"));
            }
        }
        Ok(sets)
    }

    /// # Safety
    /// The device does not work with it, and nobody uses it afterwards.
    pub(super) unsafe fn destroy(&self, raw: &ash::Device) {
        // SAFETY: the caller's promise; null handles are allowed.
        unsafe {
            raw.destroy_pipeline(self.pipeline, None);
            raw.destroy_pipeline_layout(self.layout, None);
            raw.destroy_descriptor_set_layout(self.set_layout, None);
        }
    }
}

impl Sets {
    /// # Safety
    /// The device does not work with them, and nobody uses them afterwards.
    pub(super) unsafe fn destroy(&self, raw: &ash::Device) {
        // SAFETY: the caller's promise. The sets go with their pool.
        unsafe { raw.destroy_descriptor_pool(self.pool, None) };
    }
}
