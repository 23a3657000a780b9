//! Which queue family lava works on. Pure.

use ash::vk::{QueueFamilyProperties, QueueFlags};

/// The family for copies and compute. One that can do graphics too, if there is: an application that draws from lava's
/// buffers on a device of lava finds what it needs; and transfer-only families copy within the device at a fraction of
/// the speed (`doc/spec/performance.md`).
pub(super) fn choose(families: &[QueueFamilyProperties]) -> Option<u32> {
    // Those of video engines and the like can be slow at, or refuse, everything else.
    let foreign =
        QueueFlags::VIDEO_DECODE_KHR | QueueFlags::VIDEO_ENCODE_KHR | QueueFlags::OPTICAL_FLOW_NV;
    let fits = |family: &QueueFamilyProperties| {
        family.queue_count > 0 && family.queue_flags.contains(QueueFlags::COMPUTE)
    };
    let rank = |family: &QueueFamilyProperties| {
        let clean = !family.queue_flags.intersects(foreign);
        (clean, family.queue_flags.contains(QueueFlags::GRAPHICS))
    };
    let suitable = families.iter().enumerate().filter(|(_, family)| fits(family));
    // Of equals the first.
    suitable.rev().max_by_key(|(_, family)| rank(family)).map(|(index, _)| index as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(families: &[QueueFlags]) -> Option<u32> {
        let family = |flags: &QueueFlags| QueueFamilyProperties {
            queue_flags: *flags,
            queue_count: 1,
            ..Default::default()
        };
        choose(&families.iter().map(family).collect::<Vec<_>>())
    }

    #[test]
    fn a_universal_family_is_preferred_and_compute_is_needed() {
        const ALL: QueueFlags = QueueFlags::from_raw(0b111);
        let compute = QueueFlags::COMPUTE | QueueFlags::TRANSFER;
        assert_eq!(chosen(&[QueueFlags::TRANSFER, ALL, compute]), Some(1));
        assert_eq!(chosen(&[compute, ALL, ALL]), Some(1));
        assert_eq!(chosen(&[QueueFlags::TRANSFER, compute]), Some(1));
        assert_eq!(chosen(&[ALL | QueueFlags::OPTICAL_FLOW_NV, compute]), Some(1));
        assert_eq!(chosen(&[QueueFlags::TRANSFER, QueueFlags::GRAPHICS]), None);
        assert_eq!(chosen(&[]), None);
    }
}
