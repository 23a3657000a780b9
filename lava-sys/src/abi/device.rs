//! `lava_context_get_device*`: the GPUs of a context.

use super::context;
use super::guard::{check_info, check_pointer, control, copy_text, write_info};
use crate::channel::context::Context;
use crate::error::{Error, Result};
use crate::memory::vulkan::{DeviceInfo, DeviceKind, Heap};
use crate::types::*;

/// Tells how many GPUs this machine has, those that the context cannot use included. Loads Vulkan if nothing has yet.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    for the loading of Vulkan, up to a second, the first time.
/// Returns:   `LAVA_OK`, with `*count` at least 1; `LAVA_ERROR_DEVICE` (no Vulkan, no driver, or no device: the message says
///            which, and what to install); `_FORKED`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_context_get_device_count(
    context: *const lava_context,
    count: *mut u32,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        check_pointer(count, "count")?;
        // SAFETY: the caller's promise.
        let context = unsafe { context::of_this_process(context) }?;
        let devices = list(context)?;
        // SAFETY: checked.
        unsafe { count.write(devices.len() as u32) };
        Ok(LAVA_OK)
    })
}

/// Tells what a GPU is and can do, best first: a discrete GPU before an integrated one before a virtual one before the
/// CPU. Its heaps are as they are now.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    for the loading of Vulkan, up to a second, the first time.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_NOT_FOUND` (no such index); `_DEVICE` (as `lava_context_get_device_count`);
///            `_INVALID_ARGUMENT` (struct_size); `_FORKED`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_context_get_device(
    context: *const lava_context,
    index: u32,
    info: *mut lava_device_info,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let context = unsafe { context::of_this_process(context) }?;
        // SAFETY: the caller's promise.
        unsafe { check_info(info) }?;
        let devices = list(context)?;
        let device = devices.get(index as usize).ok_or_else(|| no_device(index, devices.len()))?;
        // SAFETY: the caller's promise.
        unsafe { write_info(info, &convert(device)) }?;
        Ok(LAVA_OK)
    })
}

fn list(context: &Context) -> Result<Vec<DeviceInfo>> {
    context.memory_context().gpus().list()
}

fn no_device(index: u32, count: usize) -> Error {
    Error::new(LAVA_ERROR_NOT_FOUND, format!("no device {index}; there are {count}, from 0"))
        .with_value(index.into())
}

fn convert(device: &DeviceInfo) -> lava_device_info {
    let mut info = lava_device_info {
        struct_size: 0,
        kind: kind(device.kind),
        device_uuid: device.device_uuid,
        driver_uuid: device.driver_uuid,
        flags: flags(device),
        api_version: device.api_version,
        vendor_id: device.vendor_id,
        device_id: device.device_id,
        pci_domain: device.pci.map_or(0, |pci| pci.domain),
        pci_bus: device.pci.map_or(0, |pci| pci.bus),
        pci_device: device.pci.map_or(0, |pci| pci.device),
        pci_function: device.pci.map_or(0, |pci| pci.function),
        max_allocation: device.max_allocation,
        host_import_alignment: if device.host_import { device.host_import_alignment } else { 0 },
        heap_count: device.heaps.len().min(LAVA_DEVICE_HEAPS_MAX) as u32,
        reserved: 0,
        heaps: [NO_HEAP; LAVA_DEVICE_HEAPS_MAX],
        name: [0; LAVA_DEVICE_NAME_SIZE],
        driver_name: [0; LAVA_DEVICE_NAME_SIZE],
        driver_info: [0; LAVA_DEVICE_NAME_SIZE],
        reason: [0; LAVA_REASON_SIZE],
    };
    for (to, from) in info.heaps.iter_mut().zip(&device.heaps) {
        *to = heap(from);
    }
    copy_text(&device.name, &mut info.name);
    copy_text(&device.driver_name, &mut info.driver_name);
    copy_text(&device.driver_info, &mut info.driver_info);
    if let Err(reason) = &device.usable {
        copy_text(reason, &mut info.reason);
    }
    info
}

fn kind(kind: DeviceKind) -> u32 {
    match kind {
        DeviceKind::Discrete => LAVA_DEVICE_KIND_DISCRETE,
        DeviceKind::Integrated => LAVA_DEVICE_KIND_INTEGRATED,
        DeviceKind::Virtual => LAVA_DEVICE_KIND_VIRTUAL,
        DeviceKind::Cpu => LAVA_DEVICE_KIND_CPU,
        DeviceKind::Other => LAVA_DEVICE_KIND_OTHER,
    }
}

fn flags(device: &DeviceInfo) -> u32 {
    let has_budget = device.heaps.iter().any(|heap| heap.budget.is_some());
    [
        (device.usable.is_ok(), LAVA_DEVICE_USABLE),
        (device.exportable, LAVA_DEVICE_EXPORTABLE),
        (device.timeline_exportable, LAVA_DEVICE_TIMELINE_EXPORTABLE),
        (device.host_import, LAVA_DEVICE_HOST_IMPORT),
        (device.pci.is_some(), LAVA_DEVICE_HAS_PCI_ADDRESS),
        (has_budget, LAVA_DEVICE_HAS_BUDGET),
    ]
    .into_iter()
    .filter_map(|(has, flag)| has.then_some(flag))
    .sum()
}

const NO_HEAP: lava_device_heap =
    lava_device_heap { size: 0, budget: 0, used: 0, flags: 0, reserved: 0 };

fn heap(heap: &Heap) -> lava_device_heap {
    lava_device_heap {
        size: heap.size,
        budget: heap.budget.unwrap_or(0),
        used: heap.used.unwrap_or(0),
        flags: if heap.device_local { LAVA_DEVICE_HEAP_LOCAL } else { 0 },
        reserved: 0,
    }
}
