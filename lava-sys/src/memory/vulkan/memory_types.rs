//! Which memory type an allocation takes. Pure.

use ash::vk::{MemoryPropertyFlags as Flags, MemoryType};

use super::info::DeviceKind;

/// What an allocation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The device's own memory.
    DeviceLocal,
    /// Memory that the CPU reads and writes at its own speed, and the device over the bus.
    HostVisible,
}

/// Types that need features or promises that lava does not make.
const FOREIGN: Flags = Flags::from_raw(
    Flags::PROTECTED.as_raw()
        | Flags::LAZILY_ALLOCATED.as_raw()
        | Flags::DEVICE_COHERENT_AMD.as_raw()
        | Flags::DEVICE_UNCACHED_AMD.as_raw(),
);

/// What memory that the CPU and the device both use must be: nothing in lava flushes caches.
const SHARED_WITH_HOST: Flags =
    Flags::from_raw(Flags::HOST_VISIBLE.as_raw() | Flags::HOST_COHERENT.as_raw());

/// The best type among those of `allowed` (a bit for each index).
pub(super) fn choose(
    types: &[MemoryType],
    allowed: u32,
    kind: Kind,
    device: DeviceKind,
) -> Option<u32> {
    let fits = |flags: Flags| {
        let needed = match kind {
            Kind::DeviceLocal => Flags::DEVICE_LOCAL,
            Kind::HostVisible => SHARED_WITH_HOST,
        };
        flags.contains(needed) && !flags.intersects(FOREIGN)
    };
    let has = |flags: Flags, flag: Flags| i32::from(flags.contains(flag));
    let rank = |flags: Flags| match kind {
        // The window that the CPU has into a card's memory is small: leave it to others.
        Kind::DeviceLocal => -has(flags, Flags::HOST_VISIBLE),
        // A CPU reads memory that is not cached at a thousandth of the speed, a card's own even slower.
        Kind::HostVisible => {
            let near = has(flags, Flags::DEVICE_LOCAL);
            let near = if device == DeviceKind::Discrete { -near } else { near };
            2 * has(flags, Flags::HOST_CACHED) + near
        }
    };
    let suitable = types
        .iter()
        .enumerate()
        .take(32)
        .filter(|(index, found)| allowed & (1 << index) != 0 && fits(found.property_flags));
    // Of equals the first: drivers list the faster first.
    suitable
        .rev()
        .max_by_key(|(_, found)| rank(found.property_flags))
        .map(|(index, _)| index as u32)
}

/// Whether the CPU can map memory of this type without flushing caches.
pub(super) fn is_mappable(found: &MemoryType) -> bool {
    found.property_flags.contains(SHARED_WITH_HOST)
}

/// Whether lava may use a type at all.
pub(super) fn is_plain(found: &MemoryType) -> bool {
    !found.property_flags.intersects(FOREIGN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Flags = SHARED_WITH_HOST;

    fn types(flags: &[Flags]) -> Vec<MemoryType> {
        flags.iter().map(|flags| MemoryType { property_flags: *flags, heap_index: 0 }).collect()
    }

    #[test]
    fn a_discrete_cards_types_are_told_apart() {
        // As an NVIDIA H200 lists them.
        let found = types(&[
            Flags::empty(),
            Flags::DEVICE_LOCAL,
            HOST,
            HOST | Flags::HOST_CACHED,
            HOST | Flags::DEVICE_LOCAL,
        ]);
        let choose = |allowed, kind| choose(&found, allowed, kind, DeviceKind::Discrete);
        assert_eq!(choose(0x1f, Kind::DeviceLocal), Some(1));
        assert_eq!(choose(0x1d, Kind::DeviceLocal), Some(4));
        assert_eq!(choose(0x0d, Kind::DeviceLocal), None);
        assert_eq!(choose(0x1f, Kind::HostVisible), Some(3));
        assert_eq!(choose(0x16, Kind::HostVisible), Some(2));
    }

    #[test]
    fn one_memory_for_both_serves_both() {
        let found = types(&[HOST | Flags::HOST_CACHED | Flags::DEVICE_LOCAL]);
        for kind in [Kind::DeviceLocal, Kind::HostVisible] {
            assert_eq!(choose(&found, 1, kind, DeviceKind::Cpu), Some(0));
            assert_eq!(choose(&found, 2, kind, DeviceKind::Cpu), None);
        }
    }

    #[test]
    fn types_with_strings_attached_are_left_alone() {
        for string in [Flags::PROTECTED, Flags::LAZILY_ALLOCATED, Flags::DEVICE_UNCACHED_AMD] {
            let found = types(&[Flags::DEVICE_LOCAL | string, Flags::DEVICE_LOCAL]);
            assert_eq!(choose(&found, 3, Kind::DeviceLocal, DeviceKind::Integrated), Some(1));
        }
    }
}
