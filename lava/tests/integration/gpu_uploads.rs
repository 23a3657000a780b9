//! Consumers that want GPU memory and cannot import the pool: they copy frames to their own.

use lava::*;

use crate::gpu_channels::{Gpu, refused, told};
use crate::support::{PATIENCE, Place, Process, next, pattern};

const SIZE: usize = 100_000;

fn wanted() -> ConsumerOptions {
    ConsumerOptions::new().memory(Memory::Device)
}

/// As a consumer whose import fails: the pool's own GPU is the only one in most tests.
fn staged() -> ConsumerOptions {
    wanted().require_transport(Transport::Staged)
}

fn host_producer(place: &Place, options: &ProducerOptions) -> Producer {
    Producer::create(&place.context(), "gpu", options).unwrap()
}

fn check_on_device(frame: &Frame, bytes: &[u8]) {
    assert_eq!(frame.info().memory, Memory::Device);
    assert!(frame.as_ptr().is_null() && frame.bytes().is_err());
    assert_eq!(frame.ready().unwrap(), None);
    assert_eq!(frame.wait_ready(Timeout::NONE).unwrap(), Outcome::Done);
    assert!(frame.copy_to_vec::<u8>().unwrap() == bytes);
    let (buffer, offset) = frame.buffer().unwrap();
    assert_eq!(buffer.info().unwrap().memory, Memory::Device);
    assert!(buffer.vulkan().unwrap().size >= offset + bytes.len() as u64);
}

fn upload_told(consumer: &mut Consumer, name: &str) -> u64 {
    let described = consumer.describe().unwrap();
    let upload = &described[described.find("\"upload\"").unwrap()..];
    told(&upload[upload.find('{').unwrap()..], name).parse().unwrap()
}

/// Frames of all sizes, to a consumer that copies `copies` times less one on the way here.
fn check_copies(producer: &mut Producer, consumer: &mut Consumer, transport: Transport) {
    let copies = if transport == Transport::Shm { 1 } else { 2 };
    let connection = consumer.connection().unwrap();
    assert_eq!((connection.transport, connection.copies), (transport, copies));
    assert!(connection.reason.contains("to its GPU"), "{}", connection.reason);
    let seen = producer.connections().unwrap().remove(0);
    assert_eq!((seen.transport, seen.copies), (transport, copies));
    for number in 0..40 {
        let bytes = pattern(SIZE + number, number);
        producer.send_bytes(&bytes).unwrap();
        check_on_device(&consumer.receive().unwrap().unwrap(), &bytes);
    }
    producer.send_bytes(&[1; 40]).unwrap();
    let small = consumer.receive().unwrap().unwrap();
    assert!(small.info().is_inline() && small.bytes().is_ok(), "it rides in the descriptor");
    assert_eq!(upload_told(consumer, "copies"), 40);
    let bytes: u64 = (0..40).map(|number| SIZE as u64 + number).sum();
    assert_eq!(upload_told(consumer, "bytes"), bytes);
    let described = consumer.describe().unwrap();
    assert_eq!(told(&described, "sync"), "host");
    assert_eq!(told(&described, "memory"), "device");
    assert_eq!(told(&described, "imports"), "0");
}

#[test]
fn frames_of_host_memory_are_copied_once() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let mut producer = host_producer(&place, &ProducerOptions::new());
    refused(gpu.try_consumer(&wanted().max_copies(0)), &["shm: it makes 1 copies"]);
    let mut consumer = gpu.try_consumer(&wanted().max_copies(1)).unwrap();
    check_copies(&mut producer, &mut consumer, Transport::Shm);
}

#[test]
fn frames_of_a_gpu_that_cannot_be_imported_are_copied_twice() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let mut producer = gpu.producer(&ProducerOptions::new());
    refused(gpu.try_consumer(&staged().max_copies(1)), &["staged: it makes 2 copies"]);
    let mut consumer = gpu.try_consumer(&staged().max_copies(2)).unwrap();
    check_copies(&mut producer, &mut consumer, Transport::Staged);
    // Who can import does.
    let direct = gpu.try_consumer(&wanted().max_copies(0)).unwrap();
    assert_eq!(direct.connection().unwrap().transport, Transport::Vulkan);
}

#[test]
fn a_gpu_that_is_not_there_is_named() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let nowhere = wanted().device(Uuid::from_bytes([9; 16]));
    let host = host_producer(&place, &ProducerOptions::new());
    refused(
        gpu.try_consumer(&nowhere),
        &["no GPU memory to copy", "0909", "the pool is host memory"],
    );
    drop(host);
    let _producer = gpu.producer(&ProducerOptions::new());
    refused(gpu.try_consumer(&nowhere), &["no GPU memory to copy", "0909", "it wants GPU"]);
}

#[test]
fn copied_frames_stay_until_they_are_released_in_any_order() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let mut producer = host_producer(&place, &ProducerOptions::new().capacity(4));
    let mut consumer = gpu.try_consumer(&wanted()).unwrap();
    for round in 0..5 {
        let mut held: Vec<_> = (0..4)
            .map(|number| {
                producer.send_bytes(&pattern(SIZE, 4 * round + number)).unwrap();
                Some(consumer.receive().unwrap().unwrap())
            })
            .collect();
        assert!(producer.try_loan(SIZE).unwrap().is_none(), "every slot is held");
        for number in [2, 0, 3, 1] {
            check_on_device(&held[number].take().unwrap(), &pattern(SIZE, 4 * round + number));
            drop(producer.loan_timeout(SIZE, PATIENCE).unwrap().expect("its slot is free"));
        }
    }
    producer.send_bytes(&pattern(SIZE, 99)).unwrap();
    let last = consumer.receive().unwrap().unwrap();
    drop((consumer, producer));
    check_on_device(&last, &pattern(SIZE, 99));
}

#[test]
fn a_copied_frame_is_given_back_after_the_readers_work() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let context = gpu.context();
    let device = ProducerOptions::new().memory(Memory::Device).require_memory();
    let mut other = Producer::create(&context, "other", &device).unwrap();
    let mut loan = other.loan(5000).unwrap();
    let timeline = loan.next_ready().unwrap().unwrap();
    let mut producer = host_producer(&place, &ProducerOptions::new().capacity(1));
    let mut consumer = Consumer::open(&context, "gpu", &wanted().timeout(PATIENCE)).unwrap();
    for number in 0..3 {
        producer.send_bytes(&pattern(SIZE, number)).unwrap();
        let frame = consumer.receive().unwrap().unwrap();
        check_on_device(&frame, &pattern(SIZE, number));
        // SAFETY: a timeline of the same device, which has this value already.
        unsafe { frame.release_after(Timeline { value: 0, ..timeline }) }.unwrap();
    }
}

#[test]
fn buffers_are_copied_whatever_their_size() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let context = gpu.context();
    let small = ProducerOptions::new().max_frame_size(SIZE as u64).capacity(4);
    for on_device in [false, true] {
        let memory = if on_device { Memory::Device } else { Memory::Auto };
        let options = small.clone().memory(memory);
        let mut producer = Producer::create(&context, "gpu", &options).unwrap();
        let options = if on_device { staged() } else { wanted() };
        let mut consumer = gpu.try_consumer(&options).unwrap();
        let options = BufferOptions::new(3 * SIZE as u64).memory(Memory::Standard).shareable();
        let mut buffer = Buffer::allocate(&context, &options).unwrap();
        let bytes = pattern(3 * SIZE, 5);
        buffer.write(0, &bytes).unwrap();
        let mut held = Vec::new();
        for range in [0..SIZE, 7..SIZE, 1..3 * SIZE, 0..SIZE + 1, SIZE..SIZE + 50] {
            held.truncate(2);
            let sent = range.start as u64..range.end as u64;
            let sent = producer.send_buffer(&buffer, sent, 0, None, PATIENCE).unwrap();
            assert_eq!(sent, Outcome::Done);
            held.insert(0, (consumer.receive().unwrap().unwrap(), range));
            for (frame, range) in &held {
                check_on_device(frame, &bytes[range.clone()]);
            }
        }
        drop(held);
        assert_eq!(producer.wait_released(Some(&buffer), PATIENCE).unwrap(), Outcome::Done);
        assert_eq!(upload_told(&mut consumer, "copies"), 5);
    }
}

#[test]
fn full_channels_keep_their_policy() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    for policy in [Policy::DropNewest, Policy::DropOldest] {
        let mut producer =
            host_producer(&place, &ProducerOptions::new().capacity(4).policy(policy));
        let mut consumer = gpu.try_consumer(&wanted()).unwrap();
        for number in 0..50 {
            producer.send_bytes(&pattern(SIZE, number)).unwrap();
        }
        let mut received = 0;
        while let Received::Frame(frame) = consumer.try_receive().unwrap() {
            let number = frame.info().sequence as usize;
            assert!(frame.copy_to_vec::<u8>().unwrap() == pattern(SIZE, number));
            received += 1;
        }
        assert!((1..=4).contains(&received), "{policy:?}: {received}");
    }
}

// The other end in another process.

/// Receives what the test sends.
pub(crate) fn consume(context: &Context) {
    let mut consumer = Consumer::open(context, "gpu", &wanted().timeout(PATIENCE)).unwrap();
    for number in 0..50 {
        check_on_device(&consumer.receive().unwrap().unwrap(), &pattern(SIZE, number));
    }
    assert!(consumer.receive().unwrap().is_none());
}

#[test]
fn children_receive_every_frame() {
    let place = Place::new();
    if Gpu::find(&place).is_none() {
        return;
    }
    let mut producer = host_producer(&place, &ProducerOptions::new());
    let children = [(); 2].map(|()| place.child_with("consume copies", &[("LAVA_VULKAN", "cpu")]));
    assert_eq!(producer.wait_consumers(2, PATIENCE).unwrap(), Outcome::Done);
    for number in 0..50 {
        producer.send_bytes(&pattern(SIZE, number)).unwrap();
    }
    drop(producer);
    children.into_iter().for_each(Process::success);
}

/// Sends five frames of host memory and waits to be killed.
pub(crate) fn produce_and_stop(context: &Context) {
    let mut producer = Producer::create(context, "gpu", &ProducerOptions::new()).unwrap();
    assert_eq!(producer.wait_consumers(1, PATIENCE).unwrap(), Outcome::Done);
    for number in 0..5 {
        producer.send_bytes(&pattern(SIZE, number)).unwrap();
    }
    let _ = std::io::stdin().read_line(&mut String::new());
    panic!("the test should have killed this process");
}

#[test]
fn frames_of_a_killed_producer_are_copied_to_the_last() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let child = place.child("produce for copies and stop");
    let mut consumer = gpu.try_consumer(&wanted()).unwrap();
    let first = consumer.receive().unwrap().unwrap();
    while consumer.connection().unwrap().queued < 4 {
        std::thread::yield_now();
    }
    child.kill();
    for number in 1..5 {
        assert!(next(&mut consumer) == pattern(SIZE, number));
    }
    assert_eq!(consumer.receive().unwrap_err().kind(), ErrorKind::PeerLost);
    check_on_device(&first, &pattern(SIZE, 0));
}

/// Receives all slots, says so, and holds them until it is killed.
pub(crate) fn hold(context: &Context) {
    let mut consumer = Consumer::open(context, "gpu", &wanted().timeout(PATIENCE)).unwrap();
    let _held: Vec<_> = (0..8).map(|_| consumer.receive().unwrap().unwrap()).collect();
    let mut back = Producer::create(context, "held", &ProducerOptions::new()).unwrap();
    back.send_bytes(b"all").unwrap();
    let _ = std::io::stdin().read_line(&mut String::new());
    panic!("the test should have killed this process");
}

#[test]
fn a_killed_consumer_gives_its_slots_back() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let mut producer = host_producer(&place, &ProducerOptions::new());
    let child = place.child_with("hold copies", &[("LAVA_VULKAN", "cpu")]);
    for number in 0..8 {
        producer.send_bytes(&pattern(SIZE, number)).unwrap();
    }
    assert_eq!(next(&mut place.consumer("held")), b"all");
    assert!(producer.try_loan(SIZE).unwrap().is_none(), "the child holds every slot");
    child.kill();
    let loan = producer.loan_timeout(SIZE, PATIENCE).unwrap();
    drop(loan.expect("slots come back when their holder dies"));
    while !producer.connections().unwrap().is_empty() {
        std::thread::yield_now();
    }
    let mut consumer = gpu.try_consumer(&wanted()).unwrap();
    producer.send_bytes(&[1; SIZE]).unwrap();
    assert_eq!(next(&mut consumer), [1; SIZE]);
}
