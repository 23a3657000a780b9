//! Memory of a GPU: buffers, alone and shared with another process.

use lava::{Buffer, BufferOptions, Context, ContextOptions, Devices, ErrorKind, Memory, Uuid};

use crate::common::*;

const SIZE: u64 = 1_000_003;

/// Ends the program: this machine cannot do it.
pub(crate) fn skip(why: &str) -> ! {
    eprintln!("skipped: {why}");
    std::process::exit(77)
}

/// A context that may use every device; skips where there is none whose memory can be shared.
pub(crate) fn device_context() -> Context {
    let context = Context::create(&ContextOptions::new().devices(Devices::All)).expect("context");
    let devices = match context.devices() {
        Ok(devices) => devices,
        Err(error) if error.kind() == ErrorKind::Device => skip("no Vulkan device"),
        Err(error) => panic!("{error}"),
    };
    assert!(!devices.is_empty());
    for device in &devices {
        assert!(!device.name.is_empty() && !device.heaps.is_empty() && device.max_allocation > 0);
    }
    if !devices.iter().any(|device| device.unusable.is_none() && device.exportable) {
        skip("no Vulkan device whose memory can be shared");
    }
    context
}

fn allocate(
    context: &Context,
    memory: Memory,
    options: impl Fn(BufferOptions) -> BufferOptions,
) -> Buffer {
    let options = options(BufferOptions::new(SIZE).memory(memory).require());
    Buffer::allocate(context, &options).expect("buffer")
}

fn read(buffer: &Buffer, offset: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    buffer.read(offset, &mut bytes).expect("inside the buffer");
    bytes
}

fn has(buffer: &Buffer, offset: u64, number: u64, size: usize) -> bool {
    read(buffer, offset, size) == filled(number, size)
}

fn put(buffer: &mut Buffer, offset: u64, number: u64, size: usize) {
    buffer.write(offset, &filled(number, size)).expect("inside the buffer");
}

fn is_all(buffer: &Buffer, offset: u64, size: usize, value: u8) -> bool {
    read(buffer, offset, size).iter().all(|byte| *byte == value)
}

pub(crate) mod device_buffer {
    use super::*;

    pub(crate) fn producer(_channel: &str) {
        let context = device_context();
        let mut device = allocate(&context, Memory::Device, |options| options);
        let info = device.info().expect("info");
        assert_eq!((info.memory, info.size), (Memory::Device, SIZE));
        assert!(info.allocated_size >= SIZE && info.device.is_some() && info.driver.is_some());
        assert!(device.as_ptr().is_null() && !info.host_visible);
        assert_fails(device.as_slice().map(drop), ErrorKind::Permission);
        let vulkan = device.vulkan().expect("a VkBuffer");
        assert!(vulkan.device != 0 && vulkan.buffer != 0 && vulkan.memory != 0);
        assert_eq!(vulkan.size, SIZE);
        assert!(is_all(&device, 0, SIZE as usize, 0));

        put(&mut device, 1, 5, 70_001);
        assert!(has(&device, 1, 5, 70_001));
        device.fill(3, 10, 0xa5).expect("fill");
        assert!(is_all(&device, 3, 10, 0xa5) && is_all(&device, 70_002, 100, 0));
        put(&mut device, 100_000, 6, 50_000);
        device.copy_within(500_001, 100_000, 50_000).expect("copy");
        assert!(has(&device, 500_001, 6, 50_000));
        // As if through a third place.
        device.copy_within(100_007, 100_000, 50_000).expect("copy");
        assert!(has(&device, 100_007, 6, 50_000));
        with_others(&context, device);
    }

    fn with_others(context: &Context, mut device: Buffer) {
        let mut host = allocate(context, Memory::Standard, |options| options);
        assert_fails(host.vulkan(), ErrorKind::Unsupported);
        host.copy_from(9, &device, 500_001, 50_000).expect("copy");
        assert!(host.as_slice().expect("host memory")[9..50_009] == filled(6, 50_000));
        fill(&mut host.as_mut_slice().expect("host memory")[..1000], 7);
        device.copy_from(SIZE - 1000, &host, 0, 1000).expect("copy");
        assert!(has(&device, SIZE - 1000, 7, 1000));
        let mut second = allocate(context, Memory::Device, BufferOptions::uninitialized);
        second.copy_from(0, &device, 0, SIZE).expect("copy");
        assert!(has(&second, SIZE - 1000, 7, 1000) && has(&second, 500_001, 6, 50_000));

        assert_fails(device.fill(1, SIZE, 0), ErrorKind::TooLarge);
        assert_fails(device.copy_from(0, &host, 1, SIZE), ErrorKind::TooLarge);
        assert_fails(device.export(), ErrorKind::Unsupported);
        let mut mapped = allocate(context, Memory::Device, BufferOptions::host_visible);
        fill(&mut mapped.as_mut_slice().expect("mapped")[..5000], 8);
        assert!(has(&mapped, 0, 8, 5000));
        second.copy_from(0, &mapped, 0, 5000).expect("copy");
        assert!(has(&second, 0, 8, 5000));
    }

    pub(crate) fn consumer(channel: &str) {
        producer(channel);
    }
}

pub(crate) mod device_import {
    use lava::{BufferHandle, BufferRecipe};

    use super::*;
    use crate::descriptors;

    pub(crate) fn producer(_channel: &str) {
        let context = device_context();
        let writable = |options: BufferOptions| options.shareable().writable_by_importers();
        let mut buffer = allocate(&context, Memory::Device, writable);
        let mut own = allocate(&context, Memory::Device, BufferOptions::shareable);
        put(&mut buffer, 0, 1, SIZE as usize);
        put(&mut own, 0, 4, 5000);
        let listener = descriptors::listen();
        meet("listening");
        let peer = descriptors::accept(&listener);
        // One of them twice: each export has a descriptor of its own.
        for exported in [&buffer, &own, &own] {
            let handle = exported.export().expect("export");
            descriptors::send(&peer, &handle.recipe().to_bytes(), &handle);
        }
        meet("written");
        assert!(has(&buffer, 0, 2, 5000) && is_all(&buffer, SIZE - 5000, 5000, 0x5a));
        assert_fails(buffer.as_slice().map(drop), ErrorKind::Permission);
        put(&mut buffer, 1001, 3, 5000);
        drop((buffer, own, context, peer));
        meet("gone");
    }

    pub(crate) fn consumer(_channel: &str) {
        let context = device_context();
        meet("listening");
        let peer = descriptors::connect();
        let [first, second, third] = [0; 3].map(|_| {
            let mut bytes = [0; BufferRecipe::SIZE];
            (descriptors::receive(&peer, &mut bytes), bytes)
        });
        let import = |handle: &BufferHandle| Buffer::import(&context, handle);
        let right = BufferRecipe::from_bytes(first.1);
        let mut buffer = import(&BufferHandle::new(first.0, right)).expect("import");
        let theirs = BufferHandle::new(second.0, BufferRecipe::from_bytes(second.1));
        let mut closed = import(&theirs).expect("import");
        let info = closed.info().expect("info");
        assert!(info.imported && info.read_only && has(&closed, 0, 4, 5000));
        assert_fails(closed.fill(0, 1, 0), ErrorKind::Permission);
        assert_fails(closed.copy_from(0, &buffer, 0, 1), ErrorKind::Permission);
        drop(closed);
        // The last byte is the driver's.
        let (again, mut other) = third;
        *other.last_mut().expect("bytes") ^= 1;
        let wrong = BufferHandle::new(again, BufferRecipe::from_bytes(other));
        assert_fails(import(&wrong), ErrorKind::Device);
        let socket = BufferHandle::new(peer.try_clone().expect("fd"), right);
        import(&socket).expect_err("a socket");
        let info = buffer.info().expect("info");
        assert_eq!((info.memory, info.size), (Memory::Device, SIZE));
        assert!(info.imported && !info.read_only && info.device.is_some_and(is_set));
        assert!(has(&buffer, 0, 1, SIZE as usize));
        put(&mut buffer, 0, 2, 5000);
        buffer.fill(SIZE - 5000, 5000, 0x5a).expect("fill");
        meet("written");
        meet("gone");
        assert!(has(&buffer, 1001, 3, 5000) && has(&buffer, 0, 2, 1001));
    }

    fn is_set(uuid: Uuid) -> bool {
        uuid.as_bytes().iter().any(|byte| *byte != 0)
    }
}
