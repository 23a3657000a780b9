//! GPUs and their memory. Runs wherever there is any Vulkan device, lavapipe too; else says that it was skipped.

use lava::*;

use crate::support::Place;

const SIZE: u64 = 3 << 20;

/// A context that may use every device, and one that it can share memory of.
fn device(place: &Place) -> Option<(Context, Device)> {
    let context = Context::create(&place.options().devices(Devices::All)).unwrap();
    let devices = match context.devices() {
        Ok(devices) => devices,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Device, "{error}");
            println!("skipped: no Vulkan device: {error}");
            return None;
        }
    };
    let found = devices.into_iter().find(|device| device.unusable.is_none() && device.exportable);
    if found.is_none() {
        println!("skipped: no Vulkan device whose memory can be shared");
    }
    found.map(|device| (context, device))
}

#[test]
fn devices_are_told() {
    let place = Place::new();
    let Some((context, device)) = device(&place) else { return };
    assert!(device.vulkan_version >= (1, 2, 0), "{device:?}");
    assert!(!device.driver_name.is_empty() && device.heaps.iter().any(|heap| heap.device_local));
    let again: Vec<Uuid> = context.devices().unwrap().iter().map(|device| device.uuid).collect();
    assert!(again.contains(&device.uuid));
    assert_eq!(device.uuid.to_string().parse::<Uuid>().unwrap(), device.uuid);
}

#[test]
fn uuids_are_read_and_written() {
    let text = "00112233-4455-6677-8899-aabbccddeeff";
    let uuid: Uuid = text.parse().unwrap();
    assert_eq!((uuid.as_bytes()[0], uuid.as_bytes()[15]), (0, 0xff));
    assert_eq!(uuid.to_string(), text);
    assert_eq!(text.replace('-', "").to_uppercase().parse::<Uuid>().unwrap(), uuid);
    for wrong in
        ["", "0", "00112233-4455-6677-8899-aabbccddeef", "x0112233-4455-6677-8899-aabbccddeeff"]
    {
        let error = wrong.parse::<Uuid>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains("hexadecimal"), "{error}");
    }
}

#[test]
fn without_vulkan_device_memory_is_refused_or_becomes_host_memory() {
    let place = Place::new();
    let context = Context::create(&place.options().devices(Devices::Off)).unwrap();
    let error = context.devices().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Device);
    assert!(error.message().contains("LAVA_VULKAN"), "the fix is named: {error}");
    let options = BufferOptions::new(SIZE).memory(Memory::Device);
    let error = Buffer::allocate(&context, &options.clone().require()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Requirement, "{error}");
    let mut buffer = Buffer::allocate(&context, &options.host_visible()).unwrap();
    let info = buffer.info().unwrap();
    assert_eq!(info.requested_memory, Memory::Device);
    assert!(info.memory != Memory::Device && info.host_visible && info.device.is_none());
    assert!(info.reason.contains("not device"), "{}", info.reason);
    buffer.as_mut_slice().unwrap().fill(1);
}
