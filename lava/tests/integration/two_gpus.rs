//! Two GPUs of one machine: buffers across them, and a channel whose consumers have another GPU than its producer.

use lava::*;

use crate::gpu_channels::told;
use crate::support::{PATIENCE, Place, Process, pattern};

const SIZE: usize = 3 << 20;

/// The first two GPUs; None, and a line that says so, where there are fewer.
fn find(place: &Place) -> Option<[Device; 2]> {
    let context = place.context();
    let devices = context.devices().unwrap_or_default();
    let usable = |device: &Device| {
        device.kind != DeviceKind::Cpu && device.unusable.is_none() && device.exportable
    };
    let mut found = devices.into_iter().filter(usable);
    match (found.next(), found.next()) {
        (Some(first), Some(second)) => Some([first, second]),
        _ => {
            println!("skipped: fewer than two GPUs");
            None
        }
    }
}

fn producer(place: &Place, device: &Device) -> Producer {
    let options = ProducerOptions::new().memory(Memory::Device).device(device.uuid);
    let options = options.require_memory().max_frame_size(SIZE as u64);
    Producer::create(&place.context(), "gpu", &options).unwrap()
}

fn wanted(device: &Device) -> ConsumerOptions {
    ConsumerOptions::new().memory(Memory::Device).device(device.uuid).timeout(PATIENCE)
}

#[test]
fn buffers_are_copied_from_one_gpu_to_the_other() {
    let place = Place::new();
    let Some(devices) = find(&place) else { return };
    let context = place.context();
    let [mut first, mut second] = devices.map(|device| {
        let options = BufferOptions::new(SIZE as u64 * 9).memory(Memory::Device);
        Buffer::allocate(&context, &options.device(device.uuid).require()).unwrap()
    });
    for (number, size) in [1, 63, 4096, 1 << 20, SIZE * 9 - 7].into_iter().enumerate() {
        let bytes = pattern(size, number);
        first.write(3, &bytes).unwrap();
        second.copy_from(5, &first, 3, size as u64).unwrap();
        first.fill(0, SIZE as u64 * 9, 0xee).unwrap();
        first.copy_from(1, &second, 5, size as u64).unwrap();
        let mut found = vec![0; size];
        for (buffer, at) in [(&second, 5), (&first, 1)] {
            buffer.read(at, &mut found).unwrap();
            assert!(found == bytes, "{size} bytes");
        }
    }
}

#[test]
fn one_producer_serves_its_own_gpu_the_other_gpu_and_the_host_at_once() {
    let place = Place::new();
    let Some([here, there]) = find(&place) else { return };
    let mut producer = producer(&place, &here);
    let refused = Consumer::open(&place.context(), "gpu", &wanted(&there).max_copies(1));
    let refused = refused.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Requirement);
    assert!(refused.message().contains("staged: it makes 2 copies"), "{refused}");
    let off = Context::create(&place.options().devices(Devices::Off)).unwrap();
    let mut consumers = [
        (Consumer::open(&place.context(), "gpu", &wanted(&here)).unwrap(), Transport::Vulkan, 0),
        (Consumer::open(&place.context(), "gpu", &wanted(&there)).unwrap(), Transport::Staged, 2),
        (Consumer::open(&off, "gpu", &ConsumerOptions::new()).unwrap(), Transport::Staged, 1),
    ];
    for (consumer, transport, copies) in &mut consumers {
        let connection = consumer.connection().unwrap();
        assert_eq!((connection.transport, connection.copies), (*transport, *copies));
    }
    for number in 0..30 {
        let bytes = pattern(SIZE - number, number);
        producer.send_bytes(&bytes).unwrap();
        for (consumer, ..) in &mut consumers {
            let frame = consumer.receive().unwrap().unwrap();
            assert!(frame.copy_to_vec::<u8>().unwrap() == bytes, "frame {number}");
        }
    }
    let frame = |consumer: &mut Consumer| consumer.receive().unwrap().unwrap();
    producer.send_bytes(&pattern(SIZE, 99)).unwrap();
    let [on_here, on_there, on_host] = consumers.each_mut().map(|(consumer, ..)| frame(consumer));
    for (frame, device) in [(&on_here, &here), (&on_there, &there)] {
        let (buffer, _) = frame.buffer().unwrap();
        assert_eq!(buffer.info().unwrap().device, Some(device.uuid));
    }
    assert!(!on_host.as_ptr().is_null());
    let described = consumers[1].0.describe().unwrap();
    println!("result: {described}");
    assert_eq!(told(&described, "imports"), "0");
}

/// Receives what the test sends on the GPU that it names.
pub(crate) fn consume_on_the_other(context: &Context) {
    let uuid: Uuid = std::env::var("LAVA_TEST_DEVICE").unwrap().parse().unwrap();
    let options = ConsumerOptions::new().memory(Memory::Device).device(uuid).timeout(PATIENCE);
    let mut consumer = Consumer::open(context, "gpu", &options).unwrap();
    for number in 0..50 {
        let frame = consumer.receive().unwrap().unwrap();
        let (buffer, _) = frame.buffer().unwrap();
        assert_eq!(buffer.info().unwrap().device, Some(uuid));
        assert!(frame.copy_to_vec::<u8>().unwrap() == pattern(SIZE, number), "frame {number}");
    }
    assert!(consumer.receive().unwrap().is_none());
}

#[test]
fn a_process_on_the_other_gpu_receives_every_frame() {
    let place = Place::new();
    let Some([here, there]) = find(&place) else { return };
    let mut producer = producer(&place, &here);
    let children = [&there, &there, &here].map(|device| {
        let uuid = device.uuid.to_string();
        place.child_with("consume on the other gpu", &[("LAVA_TEST_DEVICE", &uuid)])
    });
    assert_eq!(producer.wait_consumers(3, PATIENCE).unwrap(), Outcome::Done);
    for number in 0..50 {
        producer.send_bytes(&pattern(SIZE, number)).unwrap();
    }
    drop(producer);
    children.into_iter().for_each(Process::success);
}
