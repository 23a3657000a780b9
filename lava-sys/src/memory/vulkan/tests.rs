//! Devices, memory and timelines on whatever Vulkan offers here.
#![allow(clippy::unwrap_used)]

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;

use super::testing::{alone, device, gpus, is_alone};
use super::*;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::os::memfd;
use crate::types::*;

const SIZE: u64 = 1 << 20;

fn shared(device: &Arc<Device>) -> Allocation {
    Allocation::new(device, SIZE, Kind::DeviceLocal, true).unwrap()
}

fn bytes(allocation: &Allocation, at: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0xee; size];
    // SAFETY: the vector has `size` bytes.
    unsafe { allocation.device().download(allocation, at, bytes.as_mut_ptr(), size) }.unwrap();
    bytes
}

#[test]
fn devices_are_listed_best_first_and_opened_once() {
    let Some(device) = device() else { return };
    let gpus = gpus();
    let list = gpus.list().unwrap();
    assert!(list.is_sorted_by_key(|info| info.kind));
    let best = list.iter().find(|info| info.usable.is_ok()).unwrap();
    assert_eq!(best.device_uuid, device.info().device_uuid);
    assert!(!best.name.is_empty() && !best.heaps.is_empty() && best.device_uuid != [0; 16]);
    let opened = gpus.open(Which::Best).unwrap();
    let named = gpus.open(Which::Uuid(best.device_uuid)).unwrap();
    let imported = gpus.open_for_import(best.device_uuid, best.driver_uuid).unwrap();
    assert!(Arc::ptr_eq(&opened, &named) && Arc::ptr_eq(&opened, &imported));
    assert_eq!(gpus.opened().len(), 1);
}

#[test]
fn a_cpu_device_is_used_only_when_asked_for() {
    let Some(device) = device() else { return };
    if device.info().kind != DeviceKind::Cpu {
        return println!("skipped: the best device here is a GPU");
    }
    let careful = || Gpus::new(GpuSettings::default(), Log::none());
    let uuids = (device.info().device_uuid, device.info().driver_uuid);
    let error = careful().open(Which::Best).unwrap_err();
    assert_eq!(error.status, LAVA_ERROR_DEVICE);
    assert!(error.message.contains("LAVA_VULKAN=cpu"), "{error}");
    assert!(careful().open_for_import(uuids.0, uuids.1).is_err());
    let named = careful();
    named.open(Which::Uuid(uuids.0)).unwrap();
    named.open_for_import(uuids.0, uuids.1).unwrap();
}

#[test]
fn other_devices_and_drivers_are_named() {
    let Some(device) = device() else { return };
    let (gpus, info) = (gpus(), device.info());
    let absent = gpus.open(Which::Uuid([7; 16])).unwrap_err();
    assert!(absent.message.contains("07070707-0707-") && absent.message.contains(&info.name));
    let other = gpus.open_for_import([7; 16], info.driver_uuid).unwrap_err();
    assert!(other.message.contains("07070707-0707-"), "{other}");
    let driver = gpus.open_for_import(info.device_uuid, [9; 16]).unwrap_err();
    assert!(driver.message.contains("09090909-0909-"), "{driver}");
    assert!(driver.message.contains(&uuid_text(&info.driver_uuid)), "{driver}");
}

#[test]
fn vulkan_can_be_off() {
    let off = GpuSettings { allowed: Allowed::Off, application: None };
    let error = Gpus::new(off, Log::none()).open(Which::Best).unwrap_err();
    assert_eq!(error.status, LAVA_ERROR_DEVICE);
    assert!(error.message.contains("LAVA_VULKAN"), "{error}");
}

/// The loader reads its variables once a process.
#[test]
fn absence_of_drivers_is_an_error_that_says_what_to_do() {
    const NAME: &str = "memory::vulkan::tests::absence_of_drivers_is_an_error_that_says_what_to_do";
    if !is_alone(NAME) {
        let nowhere = "/nowhere/icd.json";
        return alone(NAME, &[("VK_DRIVER_FILES", nowhere), ("VK_ICD_FILENAMES", nowhere)]);
    }
    let error = gpus().list().unwrap_err();
    assert_eq!(error.status, LAVA_ERROR_DEVICE);
    let expected = ["no Vulkan loader", "VK_DRIVER_FILES is \"/nowhere/icd.json\""];
    assert!(expected.iter().any(|words| error.message.contains(words)), "{error}");
    assert!(error.message.contains("install"), "{error}");
}

#[test]
fn memory_is_shared_and_survives_its_exporter() {
    let Some(device) = device() else { return };
    let exporter = shared(&device);
    device.fill(&exporter, 0, SIZE, 0x5a).unwrap();
    let (fd, recipe) = (exporter.export().unwrap(), *exporter.recipe());
    // Another device of the same GPU, as another process has it.
    let other = gpus().open(Which::Uuid(device.info().device_uuid)).unwrap();
    let importer = Allocation::import(&other, fd, &recipe).unwrap();
    drop(exporter);
    assert_eq!(bytes(&importer, SIZE - 16, 16), [0x5a; 16]);
    let again = Allocation::import(&other, importer.export().unwrap(), &recipe).unwrap();
    other.fill(&importer, 0, 16, 1).unwrap();
    assert_eq!(bytes(&again, 0, 17)[..], [[1; 16].as_slice(), &[0x5a]].concat());
    assert_eq!(again.recipe(), &recipe);
}

#[test]
fn host_visible_memory_is_mapped_at_both_ends() {
    let Some(device) = device() else { return };
    let exporter = Allocation::new(&device, 5000, Kind::HostVisible, true).unwrap();
    assert_eq!(exporter.size(), 5008);
    let importer =
        Allocation::import(&device, exporter.export().unwrap(), exporter.recipe()).unwrap();
    let (one, two) = (exporter.mapped().unwrap(), importer.mapped().unwrap());
    device.fill(&exporter, 0, 5008, 3).unwrap();
    // SAFETY: the first bytes of two mapped buffers of 5008 bytes.
    unsafe {
        assert_eq!((one.read(), two.read()), (3, 3));
        one.write_volatile(4);
        assert_eq!(two.read_volatile(), 4);
    }
    assert!(shared(&device).mapped().is_none());
}

/// Imports with a changed recipe, and gives the error.
fn refused(device: &Arc<Device>, change: impl FnOnce(&mut Recipe)) -> Error {
    let exporter = shared(device);
    let mut recipe = *exporter.recipe();
    change(&mut recipe);
    Allocation::import(device, exporter.export().unwrap(), &recipe).unwrap_err()
}

#[test]
fn false_recipes_are_refused_before_the_driver_sees_them() {
    let Some(device) = device() else { return };
    let check = |words: &str, change: fn(&mut Recipe)| {
        let error = refused(&device, change);
        assert_eq!((error.status, error.vk), (LAVA_ERROR_PROTOCOL, 0), "{error}");
        assert!(error.message.contains(words), "{error}");
    };
    check("on device", |recipe| recipe.device_uuid[0] ^= 1);
    check("of driver", |recipe| recipe.driver_uuid[15] ^= 1);
    check("an allocation of", |recipe| recipe.allocation_size *= 2);
    check("impossible", |recipe| recipe.allocation_size /= 2);
    check("impossible", |recipe| recipe.allocation_size = 0);
    check("impossible", |recipe| recipe.buffer_size = 0);
    check("impossible", |recipe| recipe.buffer_size -= 1);
    check("impossible", |recipe| recipe.buffer_size = u64::MAX - 15);
    check("an allocation of", |recipe| recipe.buffer_size /= 2);
    check("memory type 32", |recipe| recipe.memory_type = 32);
    check("memory type 4294967295", |recipe| recipe.memory_type = u32::MAX);
    check("dedicated is 1", |recipe| recipe.dedicated = 1);
    check("dedicated is 7", |recipe| recipe.dedicated = 7);
    check("usage", |recipe| recipe.usage = 0);
    check("flags", |recipe| recipe.flags = 6);
}

#[test]
fn descriptors_of_other_kinds_are_refused_before_the_driver_sees_them() {
    let Some(device) = device() else { return };
    let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let (pipe, _end) = std::io::pipe().unwrap();
    let file = tempfile::tempfile().unwrap();
    file.set_len(4 * SIZE).unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let zero = std::fs::File::open("/dev/zero").unwrap();
    let directory = std::fs::File::open("/").unwrap();
    let short = memfd::create("short", 4096, memfd::PageKind::Small).unwrap();
    let foreign: [OwnedFd; 7] = [
        socket.into(),
        pipe.into(),
        file.into(),
        null.into(),
        zero.into(),
        directory.into(),
        short,
    ];
    let recipe = *shared(&device).recipe();
    for fd in foreign {
        let number = fd.as_raw_fd();
        let error = Allocation::import(&device, fd, &recipe).unwrap_err();
        assert_eq!((error.status, error.vk), (LAVA_ERROR_PROTOCOL, 0), "{number}: {error}");
        assert!(error.message.contains("the descriptor"), "{error}");
    }
}

/// A file that passes every look but is not the driver's: the driver refuses it, and the number is closed once.
#[test]
fn a_failed_import_closes_its_descriptor_once() {
    let Some(device) = device() else { return };
    let recipe = *shared(&device).recipe();
    // A process of its own would be surer; here other tests open descriptors meanwhile, which is the point: a double
    // close would hit theirs.
    for _ in 0..50 {
        let foreign = memfd::create("foreign", 4 * SIZE, memfd::PageKind::Small).unwrap();
        let witness = memfd::duplicate(std::os::fd::AsFd::as_fd(&foreign)).unwrap();
        let number = foreign.as_raw_fd();
        match Allocation::import(&device, foreign, &recipe) {
            Ok(_) => return println!("skipped: the driver takes any memory file"),
            Err(error) if error.vk == 0 => return println!("skipped: not a memory file here"),
            Err(_) => {}
        }
        assert_ne!(crate::os::descriptor::still_refers_to(number, &witness), Some(true));
    }
}

#[test]
fn too_much_is_refused_with_the_numbers() {
    let Some(device) = device() else { return };
    for size in [0, device.info().max_allocation + 1, u64::MAX] {
        let error = Allocation::new(&device, size, Kind::DeviceLocal, false).unwrap_err();
        assert_eq!((error.status, error.value), (LAVA_ERROR_LIMIT, device.info().max_allocation));
    }
}

#[test]
fn host_memory_is_used_in_place() {
    let Some(device) = device() else { return };
    if !device.info().host_import {
        return println!("skipped: no VK_EXT_external_memory_host");
    }
    let mapping = crate::os::mapping::Mapping::private(SIZE as usize).unwrap();
    // SAFETY: the mapping outlives the allocation.
    let seen = unsafe { Allocation::import_host(&device, mapping.start(), SIZE) }.unwrap();
    device.fill(&seen, 0, SIZE, 9).unwrap();
    // SAFETY: the last byte of the mapping.
    assert_eq!(unsafe { mapping.start().add(SIZE as usize - 1).read() }, 9);
    assert!(seen.export().is_err() && seen.mapped().is_none());
    // SAFETY: refused before anything is done with it.
    let odd = unsafe { Allocation::import_host(&device, mapping.start(), SIZE - 1) };
    assert_eq!(odd.unwrap_err().status, LAVA_ERROR_INVALID_ARGUMENT);
}

#[test]
fn timelines_count_and_wait() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let timeline = Timeline::new(&device, false)?;
    assert_eq!((timeline.value()?, timeline.wait(1, 0)?), (0, false));
    timeline.signal(5)?;
    timeline.signal(3)?;
    assert_eq!((timeline.value()?, timeline.wait(5, 0)?), (5, true));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| timeline.wait(6, u64::MAX));
        std::thread::sleep(std::time::Duration::from_millis(120));
        timeline.signal(6)?;
        assert!(waiter.join().unwrap()?);
        Ok(())
    })
}

#[test]
fn timelines_are_shared_where_the_driver_can() {
    let Some(device) = device() else { return };
    if !device.info().timeline_exportable {
        let error = Timeline::new(&device, true).unwrap_err();
        return assert_eq!(error.status, LAVA_ERROR_UNSUPPORTED);
    }
    let one = Timeline::new(&device, true).unwrap();
    let two = Timeline::import(&device, one.export().unwrap()).unwrap();
    one.signal(7).unwrap();
    assert!(two.wait(7, 1_000_000_000).unwrap());
    let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    assert_eq!(Timeline::import(&device, socket.into()).unwrap_err().vk, 0);
}
