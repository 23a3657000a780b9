//! Two contexts in this process that share a job of the test double's, and take each other for remote.

mod sharing;

use std::sync::Arc;

use super::super::consumer::{self, Consumer};
use super::super::context::{self, Context};
use super::super::producer::{self, Producer};
use crate::memory::{Buffer, Memory, Request};
use crate::scope::Forced;
use crate::transport::mpi::double::World;
use crate::types::*;

const SECOND: u64 = 1_000_000_000;

struct Job {
    world: Arc<World>,
    contexts: Vec<Arc<Context>>,
    _place: tempfile::TempDir,
}

impl Job {
    fn new(ranks: i32) -> Self {
        let place = tempfile::tempdir().unwrap();
        let world = World::new(ranks as usize);
        let options = || context::Options {
            runtime_directory: Some(place.path().to_str().unwrap().to_owned()),
            forced: Some(Forced::Remote),
            ..context::Options::default()
        };
        let contexts: Vec<_> = (0..ranks).map(|_| Context::create(options()).unwrap()).collect();
        let mut locations: Vec<_> = contexts.iter().map(|one| one.location()).collect();
        for (rank, location) in locations.iter_mut().enumerate() {
            location.rank = rank as i32;
        }
        for (rank, context) in contexts.iter().enumerate() {
            let job = World::job(rank as i32, locations.clone());
            context.remote.start_with(world.port(rank as i32), &job).unwrap();
        }
        Self { world, contexts, _place: place }
    }

    fn producer(&self, options: &producer::Options) -> Producer {
        Producer::create(&self.contexts[0], "far", options).unwrap()
    }

    fn consumer(&self) -> Consumer {
        Consumer::create(&self.contexts[1], "far", &consumer_options()).unwrap()
    }
}

fn options(capacity: u32, size: u64) -> producer::Options {
    producer::Options {
        policy: LAVA_POLICY_BLOCK,
        max_frame_size: size,
        capacity,
        queue_length: 0,
        memory: Memory::Standard,
        fallback: Vec::new(),
        flags: 0,
        max_consumers: 0,
        alignment: 0,
        numa_node: None,
        require_transports: 0,
        device_uuid: [0; 16],
    }
}

fn consumer_options() -> consumer::Options {
    consumer::Options {
        flags: 0,
        timeout_ns: 10 * SECOND,
        require_transports: 0,
        max_copies: None,
        producer: None,
        memory: Memory::Auto,
        device_uuid: [0; 16],
    }
}

fn payload(number: usize, size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 7 + number * 13) as u8).collect()
}

/// The next frame's bytes; the frame is released.
fn taken(consumer: &mut Consumer, timeout_ns: u64) -> Vec<u8> {
    let frame = consumer.receive(timeout_ns).unwrap();
    let bytes = frame.bytes().to_vec();
    frame.release();
    bytes
}

#[test]
fn frames_of_all_sizes_arrive_in_order_and_whole() {
    let job = Job::new(2);
    let mut producer = job.producer(&options(4, 5000));
    let mut consumer = job.consumer();
    let report = consumer.connection();
    assert_eq!((report.transport.number(), report.copies), (LAVA_TRANSPORT_MPI, 1));
    assert_eq!(producer.connection_count(), 1);
    let sizes = [0, 1, 40, 41, 64, 5000, 4999, 8, 33, 4096];
    let sender = std::thread::spawn(move || {
        for number in 0..1000 {
            producer
                .send_bytes(&payload(number, sizes[number % sizes.len()]), 10 * SECOND)
                .unwrap();
        }
        producer
    });
    for number in 0..1000 {
        let frame = consumer.receive(10 * SECOND).unwrap();
        assert_eq!(frame.cell().info().sequence, number as u64);
        assert_eq!(frame.bytes(), payload(number, sizes[number % sizes.len()]), "{number}");
        frame.release();
    }
    drop(sender.join().unwrap());
    assert_eq!(consumer.receive(10 * SECOND).unwrap_err(), LAVA_CLOSED);
    assert_eq!(job.world.unexpected(1), 0);
}

#[test]
fn a_slot_is_taken_until_the_far_consumer_releases_its_frame() {
    let job = Job::new(2);
    let mut producer = job.producer(&options(2, 100));
    let mut consumer = job.consumer();
    for number in 0..2 {
        producer.send_bytes(&payload(number, 100), SECOND).unwrap();
    }
    assert_eq!(producer.send_bytes(&[0; 100], 20_000_000), Err(LAVA_TIMED_OUT));
    let (first, second) = (consumer.receive(SECOND).unwrap(), consumer.receive(SECOND).unwrap());
    assert_eq!(producer.send_bytes(&[0; 100], 20_000_000), Err(LAVA_TIMED_OUT));
    // What takes no slot still goes.
    for number in 0..100_u64 {
        producer.send_bytes(&number.to_le_bytes(), SECOND).unwrap();
        assert_eq!(taken(&mut consumer, SECOND), number.to_le_bytes());
    }
    second.release();
    producer.send_bytes(&payload(7, 90), 10 * SECOND).unwrap();
    assert_eq!(taken(&mut consumer, 10 * SECOND), payload(7, 90));
    assert_eq!(first.bytes(), payload(0, 100));
    drop(consumer);
    assert_eq!(first.bytes(), payload(0, 100), "a frame outlives its consumer");
    first.release();
    while producer.connection_count() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_stopped_reader_bounds_what_is_on_the_way() {
    let job = Job::new(2);
    let mut producer = job.producer(&producer::Options { queue_length: 4, ..options(2, 100) });
    let mut consumer = job.consumer();
    for number in 0..4_u64 {
        producer.send_bytes(&number.to_le_bytes(), SECOND).unwrap();
    }
    assert_eq!(producer.send_bytes(&[4; 8], 50_000_000), Err(LAVA_TIMED_OUT));
    assert_eq!(producer.connection(0).unwrap().queued, 4);
    assert_eq!(job.world.unexpected(1), 0);
    assert_eq!(taken(&mut consumer, SECOND), 0_u64.to_le_bytes());
    producer.send_bytes(&4_u64.to_le_bytes(), 10 * SECOND).unwrap();
    for number in 1..5_u64 {
        assert_eq!(taken(&mut consumer, SECOND), number.to_le_bytes());
    }
}

/// What a consumer that took nothing until then finds of 20 messages, with a queue of four.
fn kept(policy: u32) -> Vec<u64> {
    let job = Job::new(2);
    let mut producer =
        job.producer(&producer::Options { policy, queue_length: 4, ..options(2, 100) });
    let mut consumer = job.consumer();
    for number in 0..20_u64 {
        producer.send_bytes(&number.to_le_bytes(), SECOND).unwrap();
    }
    let mut all = Vec::new();
    while all.len() < 4 || (policy == LAVA_POLICY_DROP_OLDEST && all.last() != Some(&19)) {
        all.push(u64::from_le_bytes(taken(&mut consumer, 10 * SECOND).try_into().unwrap()));
    }
    assert_eq!(consumer.receive(LAVA_NO_WAIT).unwrap_err(), LAVA_WOULD_BLOCK);
    all
}

#[test]
fn drop_policies_keep_their_word() {
    assert_eq!(kept(LAVA_POLICY_DROP_NEWEST), [0, 1, 2, 3]);
    // Those that were on their way cannot be dropped: how many depends on who was faster.
    let all = kept(LAVA_POLICY_DROP_OLDEST);
    assert!(all.is_sorted_by(|a, b| a < b) && all.ends_with(&[16, 17, 18, 19]), "{all:?}");
    assert!(all.len() <= 8, "a queue at either end: {all:?}");
}

#[test]
fn a_lost_rank_is_told_to_both_sides_and_nothing_waits_for_it() {
    let job = Job::new(2);
    let mut producer = job.producer(&options(2, 100));
    let mut consumer = job.consumer();
    producer.send_bytes(&payload(1, 100), SECOND).unwrap();
    let held = consumer.receive(SECOND).unwrap();
    job.world.cut(0);
    assert_eq!(consumer.receive(20 * SECOND).unwrap_err(), LAVA_ERROR_PEER_LOST);
    assert_eq!(held.bytes(), payload(1, 100));
    while producer.connection_count() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(producer.send_bytes(&[1], LAVA_NO_WAIT), Err(LAVA_WOULD_BLOCK));
    held.release();
}

#[test]
fn tensors_batches_and_large_buffers_arrive() {
    let job = Job::new(2);
    let mut producer = job.producer(&options(4, 4096));
    let mut consumer = job.consumer();
    let mut tensor = lava_tensor {
        struct_size: size_of::<lava_tensor>() as u32,
        dtype: 2,
        bits: 32,
        lanes: 1,
        dimensions: 2,
        has_strides: 0,
        byte_offset: 8,
        shape: [0; 8],
        strides: [0; 8],
    };
    (tensor.shape[0], tensor.shape[1]) = (3, 5);
    let mut loan = producer.loan(100, SECOND).unwrap();
    loan.cell_mut().set_tensor(&tensor).unwrap();
    loan.cell_mut().set_tag(99).unwrap();
    producer.send(loan, SECOND).unwrap();
    let frame = consumer.receive(SECOND).unwrap();
    let found = frame.cell().tensor().unwrap();
    assert_eq!((found.shape, found.byte_offset, frame.cell().tag()), (tensor.shape, 8, 99));
    frame.release();

    let parts: Vec<Vec<u8>> = (0..500).map(|number| payload(number, number % 20)).collect();
    let (mut sent, mut received) = (0, 0);
    let sender = std::thread::spawn(move || {
        let all = parts.iter().map(|part| Ok(part.as_slice()));
        producer.send_bytes_many(all, 10 * SECOND, &mut sent).unwrap();
        assert_eq!(sent, 500);
        producer
    });
    while received < 500 {
        let (mut frames, mut count) = (vec![None; 64], 0);
        consumer.receive_many(&mut frames, 10 * SECOND, &mut count).unwrap();
        for frame in frames.into_iter().take(count).flatten() {
            assert_eq!(frame.bytes(), payload(received, received % 20));
            frame.release();
            received += 1;
        }
    }
    let mut producer = sender.join().unwrap();

    let request = Request {
        memory: Memory::Standard,
        size: 100_000,
        alignment: 0,
        flags: LAVA_BUFFER_SHAREABLE,
        numa_node: None,
        fallback: Vec::new(),
        peer: None,
        device_uuid: [0; 16],
    };
    let buffer = Arc::new(Buffer::allocate(&request, job.contexts[0].memory_context()).unwrap());
    buffer.write_bytes(10, &payload(5, 90_000)).unwrap();
    for (offset, size) in [(10, 90_000_u64), (10, 1000), (10, 0), (11, 4096), (12, 4097)] {
        let status = producer.send_buffer(&buffer, offset, size, 3, None, 10 * SECOND).unwrap();
        assert_eq!(status, LAVA_OK);
        let frame = consumer.receive(10 * SECOND).unwrap();
        let expected = &payload(5, 90_000)[offset as usize - 10..][..size as usize];
        assert!(frame.bytes() == expected, "{offset} {size}");
        frame.release();
    }
    assert_eq!(producer.wait_released(Some(&buffer), 10 * SECOND).unwrap(), LAVA_OK);
}

#[test]
fn a_sleeping_consumer_and_an_event_are_woken() {
    let job = Job::new(2);
    let mut producer = job.producer(&options(2, 100));
    let mut consumer = job.consumer();
    let event = consumer.event_fd().unwrap();
    assert!(event >= 0);
    let sender = std::thread::spawn(move || {
        for number in 0..3_u64 {
            std::thread::sleep(std::time::Duration::from_millis(30));
            producer.send_bytes(&number.to_le_bytes(), SECOND).unwrap();
        }
    });
    for number in 0..3_u64 {
        assert_eq!(taken(&mut consumer, 10 * SECOND), number.to_le_bytes());
    }
    assert!(consumer.connection().sleeps > 0);
    assert_eq!(consumer.receive(10 * SECOND).unwrap_err(), LAVA_CLOSED);
    sender.join().unwrap();
}

#[test]
fn many_far_consumers_and_one_of_the_same_context_get_every_frame() {
    let job = Job::new(4);
    let mut producer = job.producer(&options(3, 500));
    let receivers: Vec<_> = [1, 2, 3, 0]
        .map(|rank: usize| {
            let context = Arc::clone(&job.contexts[rank]);
            std::thread::spawn(move || {
                let mut consumer = Consumer::create(&context, "far", &consumer_options()).unwrap();
                for number in 0..200 {
                    let frame = consumer.receive(20 * SECOND).unwrap();
                    assert_eq!(frame.bytes(), payload(number, 30 + number));
                    frame.release();
                }
                assert_eq!(consumer.receive(20 * SECOND).unwrap_err(), LAVA_CLOSED);
            })
        })
        .into_iter()
        .collect();
    assert_eq!(producer.wait_consumers(4, 20 * SECOND).unwrap(), LAVA_OK);
    for number in 0..200 {
        producer.send_bytes(&payload(number, 30 + number), 20 * SECOND).unwrap();
    }
    drop(producer);
    receivers.into_iter().for_each(|one| one.join().unwrap());
}

#[test]
fn what_was_sent_is_delivered_although_the_context_ends() {
    let mut job = Job::new(2);
    let mut producer = job.producer(&options(8, 5000));
    let mut consumer = job.consumer();
    for number in 0..8 {
        producer.send_bytes(&payload(number, 5000), SECOND).unwrap();
    }
    drop(producer);
    drop(job.contexts.remove(0));
    for number in 0..8 {
        assert_eq!(taken(&mut consumer, SECOND), payload(number, 5000));
    }
    assert_eq!(consumer.receive(SECOND).unwrap_err(), LAVA_CLOSED);
}

#[test]
fn a_name_that_nobody_has_is_told_and_one_that_comes_late_is_found() {
    let job = Job::new(3);
    let short = consumer::Options { timeout_ns: 50_000_000, ..consumer_options() };
    let error = Consumer::create(&job.contexts[1], "far", &short).unwrap_err();
    assert_eq!(error.status, LAVA_TIMED_OUT);
    assert!(error.message.contains("MPI job"), "{error}");
    let context = Arc::clone(&job.contexts[2]);
    let waiting = std::thread::spawn(move || {
        let mut consumer = Consumer::create(&context, "far", &consumer_options()).unwrap();
        taken(&mut consumer, 10 * SECOND)
    });
    std::thread::sleep(std::time::Duration::from_millis(50));
    let mut producer = job.producer(&options(2, 100));
    producer.send_bytes(b"hello", 10 * SECOND).unwrap();
    assert_eq!(waiting.join().unwrap(), b"hello");
    let shm = consumer::Options { require_transports: LAVA_TRANSPORT_SHM, ..consumer_options() };
    let error = Consumer::create(&job.contexts[1], "far", &shm).unwrap_err();
    assert_eq!(error.status, LAVA_ERROR_REQUIREMENT);
    assert!(error.message.contains("shm: the two cannot share memory"), "{error}");
}
