//! A GPU's own memory.

use super::request::{MemoryContext, Need};
use super::storage::{Attempt, Made, Refusal, Storage};
use super::vulkan::{Allocation, Kind, Which};
use crate::error::Error;
use crate::os::limits;
use crate::types::*;

pub(super) fn allocate(need: &Need, context: &MemoryContext) -> Attempt {
    let device = context.gpus().open(Which::of_option(need.device_uuid)).map_err(refusal)?;
    let kind = if need.host_visible { Kind::HostVisible } else { Kind::DeviceLocal };
    let allocation = Allocation::new(&device, need.size, kind, need.shareable).map_err(refusal)?;
    // Where the CPU reaches the memory, the driver decides where it begins.
    if allocation.mapped().is_some_and(|start| !start.addr().get().is_multiple_of(need.asked)) {
        let message = format!("the driver maps device memory at no multiple of {}", need.asked);
        return Err(Error::new(LAVA_ERROR_UNSUPPORTED, message).into());
    }
    if !need.uninitialized {
        device.fill(&allocation, 0, allocation.size(), 0)?;
    }
    let shared = if need.shareable { ", can be shared" } else { "" };
    let mapped = if need.host_visible { ", CPU can reach it" } else { "" };
    let what = format!("memory of {}{shared}{mapped}", device.info().name);
    let single_writer = need.shareable && !need.writable_by_importers;
    Ok(Made {
        storage: Storage::Device { allocation, single_writer },
        pages: LAVA_PAGES_SMALL,
        page_size: limits::page_size(),
        node: None,
        what,
    })
}

/// The first clause of the message is what happened; the rest is the remedy.
fn refusal(error: Error) -> Refusal {
    let short = error.message.split(';').next().unwrap_or_default().to_owned();
    Refusal { short, error }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::buffer::Buffer;
    use super::super::kind::Memory;
    use super::super::request::tests::request;
    use super::super::request::{MemoryContext, Request};
    use super::super::vulkan::{Allowed, GpuSettings, testing};
    use super::*;
    use crate::log::Log;

    fn context(allowed: Allowed) -> MemoryContext {
        MemoryContext::new(Log::none(), GpuSettings { allowed, application: None })
    }

    /// A context with a device, if there is any.
    fn with_device() -> Option<MemoryContext> {
        testing::device().map(|_| context(Allowed::All))
    }

    fn device_request(size: u64, flags: u32) -> Request {
        request(Memory::Device, size, LAVA_BUFFER_REQUIRE | flags)
    }

    fn content(buffer: &Buffer) -> Vec<u8> {
        let mut bytes = vec![0xee; buffer.size() as usize];
        // SAFETY: `bytes` has the buffer's size.
        unsafe { buffer.read(0, bytes.as_mut_ptr(), bytes.len()) }.unwrap();
        bytes
    }

    #[test]
    fn new_device_memory_is_zero_and_out_of_reach() {
        let Some(context) = with_device() else { return };
        for flags in [0, LAVA_BUFFER_SHAREABLE, LAVA_BUFFER_HOST_VISIBLE, LAVA_BUFFER_COMMIT] {
            let buffer = Buffer::allocate(&device_request(5001, flags), &context).unwrap();
            assert_eq!((buffer.memory(), buffer.size()), (Memory::Device, 5001));
            assert!(buffer.is_device() && buffer.gpu().is_some() && buffer.shared_fd().is_none());
            assert_eq!(buffer.data().is_some(), flags == LAVA_BUFFER_HOST_VISIBLE);
            assert_eq!(buffer.recipe().is_some(), flags == LAVA_BUFFER_SHAREABLE);
            assert_eq!(buffer.is_single_writer(), flags == LAVA_BUFFER_SHAREABLE);
            assert_ne!(buffer.device_uuid(), [0; 16]);
            assert_eq!(content(&buffer), [0; 5001]);
            buffer.fill(1, 4999, 7).unwrap();
            buffer.write_bytes(0, b"a").unwrap();
            assert_eq!(content(&buffer)[..3], *b"a\x07\x07");
            assert_eq!(content(&buffer)[4999..], [7, 0]);
        }
    }

    /// What an earlier allocation left must not be seen by the next one.
    #[test]
    fn memory_that_was_used_before_is_zeroed() {
        let Some(context) = with_device() else { return };
        for _ in 0..4 {
            let buffer = Buffer::allocate(&device_request(1 << 20, 0), &context).unwrap();
            assert!(content(&buffer).iter().all(|byte| *byte == 0));
            buffer.fill(0, 1 << 20, 0xff).unwrap();
        }
        let dirty = device_request(1 << 20, LAVA_BUFFER_UNINITIALIZED);
        Buffer::allocate(&dirty, &context).unwrap();
    }

    #[test]
    fn every_pair_of_host_and_device_copies() {
        let Some(one) = with_device() else { return };
        let two = context(Allowed::All);
        let host = |memory| Request {
            device_uuid: [0; 16],
            ..request(memory, 9000, LAVA_BUFFER_SHAREABLE)
        };
        let device = one.gpus().open(Which::Best).unwrap();
        let uuid = device.info().device_uuid;
        let places = [
            Buffer::allocate(&host(Memory::Standard), &one).unwrap(),
            Buffer::allocate(&Request { device_uuid: uuid, ..host(Memory::Pinned) }, &one).unwrap(),
            Buffer::allocate(&device_request(9000, 0), &one).unwrap(),
            Buffer::allocate(&device_request(9000, LAVA_BUFFER_SHAREABLE), &one).unwrap(),
            Buffer::allocate(&device_request(9000, LAVA_BUFFER_HOST_VISIBLE), &one).unwrap(),
            Buffer::allocate(&device_request(9000, 0), &two).unwrap(),
        ];
        assert_eq!(places[1].gpu().is_some(), device.info().host_import, "{}", places[1].reason());
        assert!(!places[1].is_device() && places[1].device_uuid() == [0; 16]);
        for (number, (from, to)) in
            places.iter().flat_map(|from| places.iter().map(move |to| (from, to))).enumerate()
        {
            let bytes: Vec<u8> = (0..9000_usize).map(|at| (at * 7 + number) as u8).collect();
            from.write_bytes(0, &bytes).unwrap();
            let mut expected = content(to);
            expected[3..8003].copy_from_slice(&bytes[5..8005]);
            Buffer::copy(to, 3, from, 5, 8000).unwrap();
            assert!(content(to) == expected, "{} to {}", from.reason(), to.reason());
        }
    }

    #[test]
    fn ranges_are_checked_and_empty_ones_are_fine() {
        let Some(context) = with_device() else { return };
        let buffer = Buffer::allocate(&device_request(100, 0), &context).unwrap();
        for (offset, size) in [(0, 101), (101, 0), (u64::MAX, 1), (1, u64::MAX)] {
            assert_eq!(buffer.fill(offset, size, 1).unwrap_err().status, LAVA_ERROR_TOO_LARGE);
            let copied = Buffer::copy(&buffer, 0, &buffer, offset, size);
            assert_eq!(copied.unwrap_err().status, LAVA_ERROR_TOO_LARGE);
        }
        buffer.fill(100, 0, 1).unwrap();
        buffer.write_bytes(100, &[]).unwrap();
        Buffer::copy(&buffer, 100, &buffer, 0, 0).unwrap();
        assert_eq!(content(&buffer), [0; 100]);
    }

    #[test]
    fn without_a_gpu_device_memory_becomes_host_memory_and_says_so() {
        let off = context(Allowed::Off);
        let buffer =
            Buffer::allocate(&request(Memory::Device, 5000, LAVA_BUFFER_SHAREABLE), &off).unwrap();
        assert_eq!((buffer.requested(), buffer.memory()), (Memory::Device, Memory::Standard));
        assert!(
            buffer.reason().contains("not device: Vulkan is off for this context"),
            "{}",
            buffer.reason()
        );
        let error = Buffer::allocate(&device_request(5000, 0), &off).unwrap_err();
        assert_eq!(error.status, LAVA_ERROR_REQUIREMENT);
        assert!(
            error.message.starts_with("required device memory cannot be had: Vulkan is off"),
            "{error}"
        );
        assert!(error.message.contains("LAVA_VULKAN"), "{error}");
        let listed = Request { fallback: vec![Memory::Device], ..request(Memory::Device, 1, 0) };
        assert_eq!(Buffer::allocate(&listed, &off).unwrap_err().status, LAVA_ERROR_DEVICE);
    }

    #[test]
    fn more_than_a_device_has_is_refused() {
        let Some(context) = with_device() else { return };
        let error = Buffer::allocate(&device_request(1 << 50, 0), &context).unwrap_err();
        assert_eq!(error.status, LAVA_ERROR_REQUIREMENT);
        assert!(error.message.contains("in one piece"), "{error}");
    }
}
