//! Channels whose pool is memory of a GPU.

use lava::{
    Consumer, ConsumerOptions, Context, ContextOptions, Devices, ErrorKind, Frame, Memory, Outcome,
    Producer, ProducerOptions, Transport,
};

use crate::common::*;
use crate::devices::device_context;

const SIZES: [usize; 7] = [8, 41, 4096, 65_537, 1_048_576, 0, 100];
const COUNT: u64 = 3 * SIZES.len() as u64;
const INLINE: usize = lava_sys::LAVA_FRAME_INLINE_SIZE;

fn size_of_frame(number: u64) -> usize {
    SIZES[(number % SIZES.len() as u64) as usize]
}

fn open_device_producer(channel: &str, consumers: u32) -> (Context, Producer) {
    let context = device_context();
    let options = ProducerOptions::new().memory(Memory::Device).require_memory().capacity(4);
    let mut producer = producer(&context, channel, &options);
    assert_eq!(producer.wait_consumers(consumers, LONG).expect("wait"), Outcome::Done);
    (context, producer)
}

fn open_wanting(context: &Context, channel: &str, memory: Memory) -> Consumer {
    let options = ConsumerOptions::new().memory(memory);
    Consumer::open(context, channel, &options).expect("consumer")
}

/// Every other frame is written in place, the others are sent from host memory.
fn send_patterns(producer: &mut Producer, on_device: bool) {
    for number in 0..COUNT {
        let data = filled(number, size_of_frame(number));
        if number % 2 == 0 {
            let sent = producer.send_bytes_timeout(&data, LONG).expect("send");
            assert_eq!(sent, Outcome::Done);
            continue;
        }
        let mut loan = producer.loan_timeout(data.len(), LONG).expect("loan").expect("a slot");
        assert_eq!(loan.bytes_mut().is_err(), on_device && data.len() > INLINE);
        loan.write_at(0, &data).expect("inside the loan");
        assert_fails(loan.write_at(data.len(), &[1_u8]), ErrorKind::TooLarge);
        producer.send_timeout(loan, LONG).expect("send");
    }
}

fn check_frame(frame: &Frame, number: u64, transport: Transport, on_device: bool) {
    let size = size_of_frame(number);
    let in_slot = size > INLINE;
    let info = frame.info();
    assert_eq!((info.sequence, info.transport), (number, Some(transport)));
    assert!(!in_slot || (info.memory == Memory::Device) == on_device);
    assert_eq!(frame.as_ptr().is_null(), in_slot && on_device);
    assert_eq!(frame.wait_ready(LONG).expect("ready"), Outcome::Done);
    check_pattern(frame, number, size);
    if !in_slot {
        return;
    }
    let (buffer, offset) = frame.buffer().expect("buffer");
    match buffer.vulkan() {
        Ok(vulkan) => assert!(on_device && vulkan.size >= offset + size as u64),
        Err(error) => assert!(!on_device && error.kind() == ErrorKind::Unsupported, "{error}"),
    }
}

fn receive_patterns(consumer: &mut Consumer, transport: Transport, on_device: bool) {
    let connection = consumer.connection().expect("connection");
    let uploaded = on_device && transport != Transport::Vulkan;
    let copies = u32::from(transport == Transport::Staged) + u32::from(uploaded);
    assert_eq!((connection.transport, connection.copies), (transport, copies));
    assert!(!connection.reason.is_empty());
    (0..COUNT).for_each(|number| check_frame(&receive(consumer), number, transport, on_device));
    receive_end(consumer);
}

pub(crate) mod device_frames {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_device_producer(channel, 1);
        send_patterns(&mut producer, true);
    }

    pub(crate) fn consumer(channel: &str) {
        let context = device_context();
        receive_patterns(&mut crate::common::consumer(&context, channel), Transport::Vulkan, true);
    }
}

pub(crate) mod device_staged {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        device_frames::producer(channel);
    }

    pub(crate) fn consumer(channel: &str) {
        let context = device_context();
        let mut consumer = open_wanting(&context, channel, Memory::Standard);
        receive_patterns(&mut consumer, Transport::Staged, false);
    }
}

pub(crate) mod device_no_vulkan {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        device_frames::producer(channel);
    }

    pub(crate) fn consumer(channel: &str) {
        // To be skipped where the producer is.
        drop(device_context());
        let options = ContextOptions::new().devices(Devices::Off);
        let context = Context::create(&options).expect("context");
        let mut consumer = crate::common::consumer(&context, channel);
        let rejections = consumer.connection().expect("connection").rejections;
        let rejected = rejections.iter().find(|one| one.transport == Transport::Vulkan);
        assert!(rejected.is_some_and(|one| one.reason.contains("Vulkan")), "{rejections:?}");
        receive_patterns(&mut consumer, Transport::Staged, false);
    }
}

pub(crate) mod device_both {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_device_producer(channel, 2);
        send_patterns(&mut producer, true);
    }

    pub(crate) fn consumer(channel: &str) {
        let context = device_context();
        let mut first = open_wanting(&context, channel, Memory::Device);
        let mut second = open_wanting(&context, channel, Memory::Pinned);
        for number in 0..COUNT {
            let (on_device, on_host) = (receive(&mut first), receive(&mut second));
            check_frame(&on_device, number, Transport::Vulkan, true);
            check_frame(&on_host, number, Transport::Staged, false);
        }
        receive_end(&mut first);
        receive_end(&mut second);
    }
}

pub(crate) mod device_wanted {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let context = device_context();
        let mut producer = crate::common::producer(&context, channel, &ProducerOptions::new());
        assert_eq!(producer.wait_consumers(1, LONG).expect("wait"), Outcome::Done);
        send_patterns(&mut producer, false);
    }

    pub(crate) fn consumer(channel: &str) {
        let context = device_context();
        let options = ConsumerOptions::new().memory(Memory::Device);
        let refused = Consumer::open(&context, channel, &options.clone().max_copies(0));
        let message = assert_fails(refused, ErrorKind::Requirement);
        assert!(message.contains("shm: it makes 1 copies"), "{message}");
        let without = ContextOptions::new().devices(Devices::Off);
        let without = Context::create(&without).expect("context");
        let refused = Consumer::open(&without, channel, &options);
        let message = assert_fails(refused, ErrorKind::Requirement);
        assert!(message.contains("Vulkan is off"), "{message}");
        let mut consumer = Consumer::open(&context, channel, &options).expect("consumer");
        receive_patterns(&mut consumer, Transport::Shm, true);
    }
}

pub(crate) mod device_wanted_staged {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        device_frames::producer(channel);
    }

    pub(crate) fn consumer(channel: &str) {
        let context = device_context();
        let options = ConsumerOptions::new().memory(Memory::Device);
        let options = options.require_transport(Transport::Staged);
        let mut consumer = Consumer::open(&context, channel, &options).expect("consumer");
        receive_patterns(&mut consumer, Transport::Staged, true);
    }
}

pub(crate) mod device_after_producer {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let (_context, mut producer) = open_device_producer(channel, 1);
        let sent = producer.send_bytes_timeout(&filled(3, 4096), LONG).expect("send");
        assert_eq!(sent, Outcome::Done);
        meet("received");
        die();
    }

    pub(crate) fn consumer(channel: &str) {
        let context = device_context();
        let mut consumer = crate::common::consumer(&context, channel);
        let frame = receive(&mut consumer);
        meet("received");
        assert_fails(consumer.receive_timeout(LONG), ErrorKind::PeerLost);
        check_pattern(&frame, 3, 4096);
        drop((consumer, context));
        check_pattern(&frame, 3, 4096);
    }
}

pub(crate) mod device_fallback {
    use super::*;

    pub(crate) fn producer(channel: &str) {
        let options = ContextOptions::new().devices(Devices::Off);
        let context = Context::create(&options).expect("context");
        let device = ProducerOptions::new().memory(Memory::Device);
        let mut producer = crate::common::producer(&context, channel, &device);
        assert_eq!(producer.wait_consumers(1, LONG).expect("wait"), Outcome::Done);
        send_pattern(&mut producer, 1, 5000);
        let other = format!("{channel}.other");
        let refused = Producer::create(&context, &other, &device.require_memory());
        assert_fails(refused, ErrorKind::Requirement);
    }

    pub(crate) fn consumer(channel: &str) {
        let (_context, mut consumer) = open_consumer(channel);
        let frame = receive(&mut consumer);
        let info = frame.info();
        assert_eq!(info.transport, Some(Transport::Shm));
        assert_ne!(info.memory, Memory::Device);
        check_pattern(&frame, 1, 5000);
        drop(frame);
        receive_end(&mut consumer);
    }
}
