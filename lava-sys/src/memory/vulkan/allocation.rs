//! One VkDeviceMemory with one VkBuffer at its offset 0.

use std::fmt;
use std::os::fd::{AsFd as _, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;

use ash::vk::{self, Handle as _};

use super::device::Device;
use super::driver;
use super::failure::{failed, out_of_memory};
use super::gpus::uuid_text;
use super::import;
use super::memory_types::{self, Kind};
use super::recipe::{MAPPED, Recipe, USAGE};
use crate::error::{Error, Result};
use crate::memory::units::Bytes;
use crate::os::memfd;
use crate::types::*;

const OPAQUE_FD: vk::ExternalMemoryHandleTypeFlags = vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD;
const HOST: vk::ExternalMemoryHandleTypeFlags =
    vk::ExternalMemoryHandleTypeFlags::HOST_ALLOCATION_EXT;

/// Buffers are made in multiples of this, so that fills and shaders may work in words to the end.
const UNIT: u64 = 16;

/// See the module. Frees itself when dropped: whoever submits work with it waits for the work first.
pub struct Allocation {
    memory: vk::DeviceMemory,
    buffer: vk::Buffer,
    recipe: Recipe,
    mapped: Option<NonNull<u8>>,
    exportable: bool,
    /// Made of handles that others may have too: other processes, or the host.
    external: bool,
    /// The descriptor that it was imported from: drivers do not export what they imported.
    source: Option<OwnedFd>,
    device: Arc<Device>,
}

// SAFETY: handles and memory belong to the process, not to a thread.
unsafe impl Send for Allocation {}
// SAFETY: gives out handles and a raw pointer only; whoever uses them orders the accesses.
unsafe impl Sync for Allocation {}

/// Raw handles, for an application that uses Vulkan itself. Borrowed: valid while the allocation lives.
#[derive(Debug, Clone, Copy)]
pub struct Native {
    pub instance: u64,
    pub physical_device: u64,
    pub device: u64,
    pub buffer: u64,
    pub memory: u64,
    pub offset: u64,
    pub size: u64,
    pub allocation_size: u64,
    /// The family that owns the buffer.
    pub queue_family: u32,
    /// A queue of that family that lava never submits to.
    pub queue_index: Option<u32>,
}

/// What the driver says a buffer needs.
struct Needs {
    size: u64,
    memory_types: u32,
    dedicated: bool,
}

impl Allocation {
    /// New memory; its bytes are whatever was there before.
    pub fn new(device: &Arc<Device>, size: u64, kind: Kind, exportable: bool) -> Result<Self> {
        device.check_fork()?;
        let name = &device.info().name;
        if exportable && !device.sharing.possible {
            return Err(Error::new(
                LAVA_ERROR_UNSUPPORTED,
                format!("{name} cannot share its memory with other processes"),
            ));
        }
        let size = possible_size(size, device)?;
        let handles = if exportable { OPAQUE_FD } else { Default::default() };
        let mut made = Self::unbound(device, size, handles)?;
        let needs = made.needs(handles);
        let memory_type = device.memory_type(needs.memory_types, kind).ok_or_else(|| {
            let what = if exportable { " that can be shared" } else { "" };
            Error::new(LAVA_ERROR_UNSUPPORTED, format!("{name} has no {kind:?} memory{what}"))
        })?;
        made.recipe.allocation_size = needs.size;
        made.recipe.memory_type = memory_type;
        made.recipe.dedicated = needs.dedicated.into();
        made.recipe.flags = if kind == Kind::HostVisible { MAPPED } else { 0 };
        made.exportable = exportable;
        let mut export = vk::ExportMemoryAllocateInfo::default().handle_types(OPAQUE_FD);
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().buffer(made.buffer);
        let mut info = made.allocate_info();
        if exportable {
            info = info.push_next(&mut export);
        }
        if needs.dedicated {
            info = info.push_next(&mut dedicated);
        }
        // SAFETY: the chain lives for the call; type and size are the requirements'.
        made.memory = unsafe { device.allocate_memory(&info) }
            .map_err(|result| out_of_memory(result, size, heap_of(device, memory_type)))?;
        made.bind()?;
        Ok(made)
    }

    /// The memory behind a descriptor of [`Self::export`], in this process or another. Every number is checked first,
    /// since drivers take wrong ones without complaint.
    pub fn import(device: &Arc<Device>, fd: OwnedFd, recipe: &Recipe) -> Result<Self> {
        device.check_fork()?;
        check_numbers(device, recipe)?;
        let mut made = Self::unbound(device, recipe.buffer_size, OPAQUE_FD)?;
        check_needs(recipe, &made.needs(OPAQUE_FD))?;
        made.recipe = *recipe;
        let own = || Self::new(device, UNIT, Kind::DeviceLocal, true)?.export();
        import::check_kind(fd.as_fd(), &device.memory_descriptor, own, recipe.allocation_size)?;
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().buffer(made.buffer);
        let (memory, source) = import::hand_over(fd, "device memory", |number| {
            let mut import = vk::ImportMemoryFdInfoKHR::default().handle_type(OPAQUE_FD).fd(number);
            let mut info = made.allocate_info().push_next(&mut import);
            if recipe.dedicated != 0 {
                info = info.push_next(&mut dedicated);
            }
            // SAFETY: the chain lives for the call; numbers and descriptor were checked.
            unsafe { device.allocate_memory(&info) }
        })?;
        made.memory = memory;
        made.source = Some(source);
        made.bind()?;
        Ok(made)
    }

    /// Host memory as the device sees it, in place. Start and size are multiples of the device's
    /// `host_import_alignment`.
    ///
    /// # Safety
    /// The range stays mapped, and writable, until after this is dropped.
    pub unsafe fn import_host(device: &Arc<Device>, start: NonNull<u8>, size: u64) -> Result<Self> {
        device.check_fork()?;
        let info = device.info();
        let functions = device.functions.memory_host.as_ref().ok_or_else(|| {
            Error::new(
                LAVA_ERROR_UNSUPPORTED,
                format!("{} lacks VK_EXT_external_memory_host", info.name),
            )
        })?;
        let alignment = info.host_import_alignment.max(1);
        let address = start.as_ptr() as u64;
        if size == 0 || !address.is_multiple_of(alignment) || !size.is_multiple_of(alignment) {
            return Err(Error::argument(format!(
                "{size} bytes at {address:#x}: both must be multiples of {alignment} for {}",
                info.name
            )));
        }
        let mut made = Self::unbound(device, size, HOST)?;
        let mut properties = vk::MemoryHostPointerPropertiesEXT::default();
        // SAFETY: the range is mapped, as the caller promises.
        unsafe {
            (functions.fp().get_memory_host_pointer_properties_ext)(
                device.raw.handle(),
                HOST,
                start.as_ptr().cast(),
                &mut properties,
            )
        }
        .result()
        .map_err(|result| failed(result, "asking how host memory can be imported"))?;
        let allowed = made.needs(HOST).memory_types & properties.memory_type_bits;
        let memory_type = device.memory_type(allowed, Kind::HostVisible).ok_or_else(|| {
            Error::new(LAVA_ERROR_UNSUPPORTED, format!("{} cannot use this memory", info.name))
        })?;
        made.recipe.allocation_size = size;
        made.recipe.memory_type = memory_type;
        let mut import = vk::ImportMemoryHostPointerInfoEXT::default()
            .handle_type(HOST)
            .host_pointer(start.as_ptr().cast());
        let allocate = made.allocate_info().push_next(&mut import);
        // SAFETY: the chain lives for the call; type, address and size were checked.
        made.memory = unsafe { device.allocate_memory(&allocate) }.map_err(|result| {
            failed(result, format!("importing {} of host memory", Bytes(size)))
        })?;
        made.bind()?;
        Ok(made)
    }

    /// A descriptor for another process; a new one with each call.
    pub fn export(&self) -> Result<OwnedFd> {
        self.device.check_fork()?;
        if let Some(source) = &self.source {
            return memfd::duplicate(source.as_fd());
        }
        let functions = self.device.functions.memory_fd.as_ref().filter(|_| self.exportable);
        let functions = functions.ok_or_else(|| {
            Error::new(LAVA_ERROR_UNSUPPORTED, "this device memory was not made to be shared")
        })?;
        let info = vk::MemoryGetFdInfoKHR::default().memory(self.memory).handle_type(OPAQUE_FD);
        let _order = driver::making();
        // SAFETY: allocated with this handle type.
        import::exported(unsafe { functions.get_memory_fd(&info) }, "device memory")
    }

    /// What an importer must know.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Bytes of the buffer.
    pub fn size(&self) -> u64 {
        self.recipe.buffer_size
    }

    /// The first byte for the CPU, if it was asked to be there.
    pub fn mapped(&self) -> Option<NonNull<u8>> {
        self.mapped
    }

    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Whether [`Self::export`] works.
    pub fn is_shareable(&self) -> bool {
        self.exportable || self.source.is_some()
    }

    pub fn native(&self) -> Native {
        Native {
            instance: self.device.instance.raw.handle().as_raw(),
            physical_device: self.device.physical.as_raw(),
            device: self.device.raw.handle().as_raw(),
            buffer: self.buffer.as_raw(),
            memory: self.memory.as_raw(),
            offset: 0,
            size: self.recipe.buffer_size,
            allocation_size: self.recipe.allocation_size,
            queue_family: self.device.queue_family,
            queue_index: self.device.application_queue(),
        }
    }

    pub(super) fn buffer(&self) -> vk::Buffer {
        self.buffer
    }

    /// Whether another process, or the host, may use the memory too.
    pub(super) fn is_external(&self) -> bool {
        self.external
    }

    /// A buffer without memory, in a value that frees what it has.
    fn unbound(
        device: &Arc<Device>,
        size: u64,
        handles: vk::ExternalMemoryHandleTypeFlags,
    ) -> Result<Self> {
        let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(handles);
        let mut info = vk::BufferCreateInfo::default().size(size).usage(USAGE);
        if !handles.is_empty() {
            info = info.push_next(&mut external);
        }
        let order = driver::making();
        // SAFETY: the chain lives for the call; the size is not 0.
        let buffer = unsafe { device.raw.create_buffer(&info, None) }
            .map_err(|result| failed(result, format!("making a buffer of {}", Bytes(size))))?;
        drop(order);
        let recipe = Recipe {
            buffer_size: size,
            usage: USAGE.as_raw(),
            device_uuid: device.info().device_uuid,
            driver_uuid: device.info().driver_uuid,
            ..Recipe::default()
        };
        Ok(Self {
            memory: vk::DeviceMemory::null(),
            buffer,
            recipe,
            mapped: None,
            exportable: false,
            external: !handles.is_empty(),
            source: None,
            device: Arc::clone(device),
        })
    }

    fn needs(&self, handles: vk::ExternalMemoryHandleTypeFlags) -> Needs {
        let mut dedicated = vk::MemoryDedicatedRequirements::default();
        let mut needs = vk::MemoryRequirements2::default().push_next(&mut dedicated);
        let info = vk::BufferMemoryRequirementsInfo2::default().buffer(self.buffer);
        // SAFETY: a buffer of this device.
        unsafe { self.device.raw.get_buffer_memory_requirements2(&info, &mut needs) };
        let needs = needs.memory_requirements;
        let shared_only = handles == OPAQUE_FD && self.device.sharing.dedicated_only;
        Needs {
            size: needs.size,
            memory_types: needs.memory_type_bits,
            dedicated: shared_only || dedicated.requires_dedicated_allocation != vk::FALSE,
        }
    }

    fn allocate_info(&self) -> vk::MemoryAllocateInfo<'static> {
        vk::MemoryAllocateInfo::default()
            .allocation_size(self.recipe.allocation_size)
            .memory_type_index(self.recipe.memory_type)
    }

    /// Joins buffer and memory, and maps them if the recipe says so.
    fn bind(&mut self) -> Result<()> {
        let (device, memory) = (&self.device.raw, self.memory);
        let _order = driver::making();
        // SAFETY: both are of this device, fit each other, and are not joined yet.
        unsafe { device.bind_buffer_memory(self.buffer, memory, 0) }
            .map_err(|result| failed(result, "binding a buffer to its memory"))?;
        if self.recipe.is_mapped() {
            // SAFETY: the type is host-visible, and the memory is not mapped yet. Freeing it unmaps it.
            let start = unsafe {
                device.map_memory(memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty())
            }
            .map_err(|result| failed(result, format!("mapping {}", Bytes(self.size()))))?;
            self.mapped = NonNull::new(start.cast());
        }
        Ok(())
    }
}

impl fmt::Debug for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Allocation({} on {})", Bytes(self.size()), self.device.info().name)
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        // What a device that hangs may still write to is never given back.
        if !self.device.is_child() && !self.device.transfer.hangs(&self.device) {
            let _order = driver::making();
            // SAFETY: nobody else has them, and no work with them is under way; null handles are ignored.
            unsafe {
                self.device.raw.destroy_buffer(self.buffer, None);
                self.device.raw.free_memory(self.memory, None);
            }
        }
    }
}

/// Bytes of the VkBuffer of a buffer with `size` usable bytes.
pub fn buffer_size(size: u64) -> u64 {
    size.checked_next_multiple_of(UNIT).unwrap_or(u64::MAX)
}

/// `size` rounded up, if the device can have so much in one piece.
fn possible_size(size: u64, device: &Device) -> Result<u64> {
    let (name, most) = (&device.info().name, device.info().max_allocation);
    size.checked_next_multiple_of(UNIT).filter(|size| (1..=most).contains(size)).ok_or_else(|| {
        let message = format!(
            "{} is more than {name} can allocate in one piece, {}; use several buffers",
            Bytes(size),
            Bytes(most)
        );
        Error::new(LAVA_ERROR_LIMIT, message).with_value(most)
    })
}

/// Number, size and free bytes of a memory type's heap.
fn heap_of(device: &Device, memory_type: u32) -> (usize, u64, Option<u64>) {
    let index = device.memory_types()[memory_type as usize].heap_index as usize;
    match device.heaps().get(index) {
        Some(heap) => (index, heap.size, heap.free()),
        None => (index, 0, None),
    }
}

fn refuse<T>(what: String, value: u64) -> Result<T> {
    Err(Error::new(LAVA_ERROR_PROTOCOL, what).with_value(value))
}

/// All of a recipe that can be wrong without asking the driver.
fn check_numbers(device: &Device, recipe: &Recipe) -> Result<()> {
    let info = device.info();
    if !device.sharing.possible {
        let message = format!("{} cannot use memory of other processes", info.name);
        return Err(Error::new(LAVA_ERROR_UNSUPPORTED, message));
    }
    if recipe.device_uuid != info.device_uuid || recipe.driver_uuid != info.driver_uuid {
        return refuse(
            format!(
                "the memory is on device {} of driver {}, not on {} ({} of driver {})",
                uuid_text(&recipe.device_uuid),
                uuid_text(&recipe.driver_uuid),
                info.name,
                uuid_text(&info.device_uuid),
                uuid_text(&info.driver_uuid)
            ),
            0,
        );
    }
    if recipe.usage != USAGE.as_raw() {
        return refuse(
            format!("usage {:#x} is not {:#x}", recipe.usage, USAGE.as_raw()),
            recipe.usage.into(),
        );
    }
    if recipe.flags & !MAPPED != 0 {
        return refuse(format!("flags {:#x} are not known", recipe.flags), recipe.flags.into());
    }
    if recipe.dedicated > 1 {
        return refuse(format!("dedicated is {}", recipe.dedicated), recipe.dedicated.into());
    }
    let (buffer, allocation) = (recipe.buffer_size, recipe.allocation_size);
    if buffer == 0
        || !buffer.is_multiple_of(UNIT)
        || buffer > allocation
        || buffer > info.max_allocation
    {
        return refuse(format!("a buffer of {buffer} in {allocation} bytes is impossible"), buffer);
    }
    let types = device.memory_types();
    let Some(found) = types.get(recipe.memory_type as usize) else {
        let (asked, count) = (recipe.memory_type, types.len());
        return refuse(format!("memory type {asked} of {count}"), asked.into());
    };
    if !memory_types::is_plain(found) || (recipe.is_mapped() && !memory_types::is_mappable(found)) {
        let asked = recipe.memory_type;
        return refuse(format!("memory type {asked} cannot be what is announced"), asked.into());
    }
    Ok(())
}

/// What the same driver says of the same buffer: its exporter was told exactly this.
fn check_needs(recipe: &Recipe, needs: &Needs) -> Result<()> {
    if needs.memory_types & (1 << recipe.memory_type) == 0 {
        let (asked, allowed) = (recipe.memory_type, needs.memory_types);
        return refuse(
            format!("memory type {asked} is not for such a buffer ({allowed:#x})"),
            asked.into(),
        );
    }
    if recipe.allocation_size != needs.size {
        let (asked, needed) = (recipe.allocation_size, needs.size);
        return refuse(
            format!("an allocation of {asked} bytes was announced, such a buffer has {needed}"),
            asked,
        );
    }
    if (recipe.dedicated != 0) != needs.dedicated {
        let (asked, needed) = (recipe.dedicated, u32::from(needs.dedicated));
        return refuse(
            format!("dedicated is {asked}, for such a buffer it is {needed}"),
            asked.into(),
        );
    }
    Ok(())
}
