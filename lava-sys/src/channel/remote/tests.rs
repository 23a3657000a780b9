//! Two contexts in this process that share a job of the test double's, and take each other for remote.

use std::sync::Arc;

use super::super::consumer::{self, Consumer};
use super::super::context::{self, Context};
use super::super::producer::{self, Producer};
use crate::memory::Memory;
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
