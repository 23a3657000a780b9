//! The section on GPUs for people.

use std::fmt::Write;

use super::gpus::{Gpu, Gpus, Heap};
use crate::units::format_size;

/// The section.
pub fn render(gpus: &Gpus) -> String {
    let mut text = "GPUs\n".to_owned();
    if !gpus.found {
        text += "  none; frames lie in host memory\n";
    }
    for gpu in &gpus.devices {
        device(&mut text, gpu);
    }
    if let Some(problem) = &gpus.problem {
        let _ = writeln!(text, "  {problem}");
    }
    text
}

fn device(text: &mut String, gpu: &Gpu) {
    let address = gpu.pci_address.as_deref().unwrap_or("no PCI address");
    let used = if gpu.used { "used" } else { "not used" };
    let _ = writeln!(text, "  {}, {}, {used}", gpu.name, gpu.kind);
    if let Some(reason) = &gpu.reason {
        let _ = writeln!(text, "    {reason}");
    }
    let Gpu { uuid, driver_uuid, vendor, device, driver, driver_info, vulkan, .. } = gpu;
    let heaps: Vec<String> = gpu.heaps.iter().map(heap).collect();
    for (name, value) in [
        ("uuid", uuid.clone()),
        ("pci", format!("{address}, vendor {vendor}, device {device}")),
        ("driver", format!("{driver} {driver_info}, Vulkan {vulkan}, UUID {driver_uuid}")),
        ("memory", heaps.join("; ")),
        ("largest buffer", format_size(gpu.max_allocation)),
    ] {
        let _ = writeln!(text, "    {name:19}  {value}");
    }
    for capability in &gpu.capabilities {
        let outcome = if capability.available { "ok" } else { "not available" };
        let _ = writeln!(text, "    {:19}  {outcome}: {}", capability.name, capability.note);
    }
}

fn heap(heap: &Heap) -> String {
    let place = if heap.device_local { "its own" } else { "the host's" };
    let budget = heap.budget_bytes.map_or_else(String::new, |budget| {
        let used = heap.used_bytes.unwrap_or(0);
        format!(", of which {} may be used now, {} are", format_size(budget), format_size(used))
    });
    format!("{} of {place}{budget}", format_size(heap.bytes))
}
