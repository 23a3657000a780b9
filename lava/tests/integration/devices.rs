//! GPUs and their memory. Runs wherever there is any Vulkan device, lavapipe too; else says that it was skipped.

use std::os::fd::AsFd;
use std::time::Duration;

use lava::*;

use crate::support::{Place, pattern};

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

fn on(device: &Device) -> BufferOptions {
    BufferOptions::new(SIZE).memory(Memory::Device).device(device.uuid).require()
}

fn content(buffer: &Buffer) -> Vec<u8> {
    let mut bytes = vec![0; SIZE as usize];
    buffer.read(0, &mut bytes).unwrap();
    bytes
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
    assert_eq!(buffer.vulkan().unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn device_memory_is_written_read_copied_and_filled() {
    let place = Place::new();
    let Some((context, device)) = device(&place) else { return };
    let mut first = Buffer::allocate(&context, &on(&device)).unwrap();
    let info = first.info().unwrap();
    assert_eq!((info.memory, info.device), (Memory::Device, Some(device.uuid)));
    assert_eq!((info.driver, info.host_visible), (Some(device.driver_uuid), false));
    assert!(first.as_ptr().is_null());
    assert!(content(&first).iter().all(|byte| *byte == 0), "new device memory is zero");
    let mut wanted = pattern(SIZE as usize, 3);
    first.write(0, &wanted).unwrap();
    first.fill(5, 1000, 0x5a).unwrap();
    first.copy_within(1 << 20, 1, 1 << 20).unwrap();
    wanted[5..1005].fill(0x5a);
    wanted.copy_within(1..1 + (1 << 20), 1 << 20);
    assert!(content(&first) == wanted);

    let mut second = Buffer::allocate(&context, &on(&device).uninitialized()).unwrap();
    second.copy_from(0, &first, 0, SIZE).unwrap();
    assert!(content(&second) == wanted);
    for memory in [Memory::Standard, Memory::Pinned] {
        let options = BufferOptions::new(SIZE).memory(memory).device(device.uuid);
        let mut host = Buffer::allocate(&context, &options).unwrap();
        host.copy_from(7, &first, 11, SIZE - 11).unwrap();
        assert!(host.as_slice().unwrap()[7..][..SIZE as usize - 11] == wanted[11..]);
        second.copy_from(0, &host, 0, SIZE).unwrap();
        assert!(content(&second) == host.as_slice().unwrap(), "{memory:?}");
    }
    assert_eq!(first.fill(1, SIZE, 0).unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn mapped_device_memory_is_a_slice() {
    let place = Place::new();
    let Some((context, device)) = device(&place) else { return };
    let mut buffer = Buffer::allocate(&context, &on(&device).host_visible()).unwrap();
    assert!(buffer.info().unwrap().host_visible);
    buffer.as_mut_slice().unwrap()[..3].copy_from_slice(b"abc");
    assert_eq!(&content(&buffer)[..3], b"abc");
    let shared = Buffer::allocate(&context, &on(&device).host_visible().shareable());
    match shared {
        Ok(shared) => {
            let error = shared.as_slice().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Permission, "importers can write: {error}");
        }
        Err(error) => println!("skipped: mapped memory cannot be shared here: {error}"),
    }
}

#[test]
fn device_memory_is_exported_and_imported() {
    let place = Place::new();
    let Some((context, device)) = device(&place) else { return };
    let private = Buffer::allocate(&context, &on(&device)).unwrap();
    assert_eq!(private.export().unwrap_err().kind(), ErrorKind::Unsupported);
    let options = on(&device).shareable().writable_by_importers();
    let mut buffer = Buffer::allocate(&context, &options).unwrap();
    let wanted = pattern(SIZE as usize, 9);
    buffer.write(0, &wanted).unwrap();
    let handle = buffer.export().unwrap();
    let bytes = handle.recipe().to_bytes();
    let recipe = BufferRecipe::from_bytes(bytes);
    let there = Context::create(&place.options().devices(Devices::All)).unwrap();
    let handle = BufferHandle::new(handle.as_fd().try_clone_to_owned().unwrap(), recipe);
    let mut imported = Buffer::import(&there, &handle).unwrap();
    let info = imported.info().unwrap();
    assert!(info.imported && !info.read_only && info.device == Some(device.uuid), "{info:?}");
    assert!(content(&imported) == wanted);
    imported.fill(0, 10, 7).unwrap();
    drop((imported, there));
    let mut found = [0; 11];
    buffer.read(0, &mut found).unwrap();
    assert_eq!((&found[..10], found[10]), (&[7; 10][..], wanted[10]));
    let off = Context::create(&place.options().devices(Devices::Off)).unwrap();
    assert_eq!(Buffer::import(&off, &handle).unwrap_err().kind(), ErrorKind::Device);
}

#[test]
fn vulkan_handles_are_those_of_one_device() {
    let place = Place::new();
    let Some((context, device)) = device(&place) else { return };
    let buffers = [0; 2].map(|_| Buffer::allocate(&context, &on(&device)).unwrap());
    let [first, second] = buffers.each_ref().map(|buffer| buffer.vulkan().unwrap());
    assert_eq!((first.instance, first.device), (second.instance, second.device));
    assert_eq!((first.offset, first.size), (0, SIZE));
    assert!(first.buffer != second.buffer && first.memory != second.memory);
    assert!(first.allocation_size >= SIZE && first.physical_device != 0);
}

#[test]
fn another_device_is_not_taken_instead() {
    let place = Place::new();
    let Some((context, _)) = device(&place) else { return };
    let options = BufferOptions::new(SIZE).memory(Memory::Device).device(Uuid::from_bytes([9; 16]));
    let error = Buffer::allocate(&context, &options.clone().require()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Requirement);
    assert!(error.message().contains("09090909-0909"), "{error}");
    let buffer = Buffer::allocate(&context, &options).unwrap();
    assert_ne!(buffer.info().unwrap().memory, Memory::Device);
}

fn device_channel(place: &Place) -> Option<(Context, Producer, Consumer)> {
    let (context, device) = device(place)?;
    let options = ProducerOptions::new().memory(Memory::Device).device(device.uuid);
    let producer =
        Producer::create(&context, "device", &options.require_memory().capacity(2)).unwrap();
    let consumer = Consumer::open(&context, "device", &ConsumerOptions::new()).unwrap();
    Some((context, producer, consumer))
}

#[test]
fn frames_of_device_memory_are_ready_when_their_work_is_done() {
    let place = Place::new();
    let Some((_context, mut producer, mut consumer)) = device_channel(&place) else { return };
    assert_eq!(consumer.connection().unwrap().transport, Transport::Vulkan);
    let mut small = producer.loan(8).unwrap();
    assert_eq!(small.next_ready().unwrap(), None, "it rides in the descriptor");
    drop(small);
    let mut unsent = producer.loan(5000).unwrap();
    let first = unsent.next_ready().unwrap().unwrap();
    let second = unsent.next_ready().unwrap().unwrap();
    assert!(first.semaphore != 0 && second.semaphore == first.semaphore);
    assert!(second.value > first.value);
    let (buffer, offset) = unsent.buffer().unwrap();
    assert!(buffer.vulkan().unwrap().size >= offset + 5000);
    drop(unsent);

    // Written by lava itself: ready at once.
    for number in 0..10 {
        producer.send_bytes(&pattern(5000, number)).unwrap();
        let frame = consumer.receive().unwrap().unwrap();
        assert_eq!(frame.ready().unwrap(), None);
        assert_eq!(frame.wait_ready(Timeout::NONE).unwrap(), Outcome::Done);
        assert!(frame.copy_to_vec::<u8>().unwrap() == pattern(5000, number));
        assert_eq!(frame.bytes().unwrap_err().kind(), ErrorKind::FrameState);
        // SAFETY: a timeline of the same device, which has this value already.
        let released = unsafe { frame.release_after(Timeline { value: 0, ..first }) };
        released.unwrap();
    }
}

#[test]
fn a_loan_whose_work_is_not_done_waits_or_is_sent_with_its_value() {
    let place = Place::new();
    let Some((_context, mut producer, mut consumer)) = device_channel(&place) else { return };
    let mut loan = producer.loan(5000).unwrap();
    let ready = loan.next_ready().unwrap().unwrap();
    let start = std::time::Instant::now();
    match producer.send_timeout(loan, Duration::from_millis(50)) {
        // Consumers cannot wait on their GPU: nobody gets the frame before the work is done.
        Err(error) => {
            assert!(start.elapsed() >= Duration::from_millis(50));
            drop(error);
        }
        Ok(()) => {
            let frame = consumer.receive().unwrap().unwrap();
            assert_eq!(frame.ready().unwrap().map(|found| found.value), Some(ready.value));
            let waited = frame.wait_ready(Duration::from_millis(50)).unwrap();
            assert_eq!(waited, Outcome::TimedOut);
        }
    }
}

#[test]
fn cuda_is_refused_where_it_is_not() {
    let place = Place::new();
    let Some((context, device)) = device(&place) else { return };
    let buffer = Buffer::allocate(&context, &on(&device).shareable()).unwrap();
    match buffer.cuda() {
        Ok(view) => assert!(view.device_pointer != 0 && view.size == SIZE),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}"),
    }
    let host = Buffer::allocate(&context, &BufferOptions::new(100)).unwrap();
    assert_eq!(host.cuda().unwrap_err().kind(), ErrorKind::Unsupported);
}
