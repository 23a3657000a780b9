//! Work on a GPU's queue that is not done yet, at either end of a channel.

use std::time::Duration;

use lava::*;

use crate::gpu_channels::Gpu;
use crate::gpu_queue::Queue;
use crate::support::{PATIENCE, Place, pattern};

const SIZE: usize = 5000;

#[test]
fn a_frame_is_given_back_only_when_the_readers_queued_work_is_done() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let mut producer = gpu.producer(&ProducerOptions::new().capacity(1));
    let mut consumer = gpu.try_consumer(&ConsumerOptions::new()).unwrap();
    for number in 0..3 {
        producer.send_bytes(&pattern(SIZE, number)).unwrap();
        let frame = consumer.receive().unwrap().unwrap();
        assert!(frame.copy_to_vec::<u8>().unwrap() == pattern(SIZE, number));
        let (buffer, _) = frame.buffer().unwrap();
        let queue = Queue::of(&buffer);
        let (gate, done) = (queue.timeline(), queue.timeline());
        let after = Timeline { semaphore: done, value: 1 };
        queue.submit(Timeline { semaphore: gate, value: 1 }, after);
        // SAFETY: a timeline of the frame's device, which lives until lava has seen its value.
        unsafe { frame.release_after(after) }.unwrap();
        for _ in 0..3 {
            assert!(producer.try_loan(SIZE).unwrap().is_none(), "the GPU still reads the frame");
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!queue.is_at(done, 1));
        queue.signal(gate, 1);
        drop(producer.loan_timeout(SIZE, PATIENCE).unwrap().expect("the GPU has read the frame"));
        assert!(queue.is_at(done, 1));
        queue.destroy(&[gate, done]);
    }
}

/// Sends a frame that the GPU will never write, and waits to be killed. Where consumers cannot wait for a GPU of another
/// process, one that rides in its descriptor.
pub(crate) fn produce_and_never_finish(context: &Context) {
    let options = ProducerOptions::new().memory(Memory::Device).require_memory();
    let mut producer = Producer::create(context, "gpu", &options).unwrap();
    assert_eq!(producer.wait_consumers(1, PATIENCE).unwrap(), Outcome::Done);
    let mut loan = producer.loan(SIZE).unwrap();
    let ready = loan.next_ready().unwrap().unwrap();
    let (buffer, _) = loan.buffer().unwrap();
    let queue = Queue::of(&buffer);
    let never = queue.timeline();
    queue.submit(Timeline { semaphore: never, value: 1 }, ready);
    if producer.send_timeout(loan, Duration::from_millis(1)).is_err() {
        queue.signal(never, 1);
        producer.send_bytes(&[0]).unwrap();
    }
    let _ = std::io::stdin().read_line(&mut String::new());
    panic!("the test should have killed this process");
}

#[test]
fn the_queue_of_a_consumer_goes_on_when_the_producer_dies_with_unfinished_work() {
    let place = Place::new();
    let Some(gpu) = Gpu::find(&place) else { return };
    let child = place.child_with("produce gpu and never finish", &[("LAVA_VULKAN", "cpu")]);
    let mut consumer = gpu.try_consumer(&ConsumerOptions::new()).unwrap();
    let frame = consumer.receive().unwrap().unwrap();
    if frame.info().is_inline() {
        println!("skipped: this device does not share timelines between processes");
        return;
    }
    let ready = frame.ready().unwrap().expect("the work is not done");
    let (buffer, _) = frame.buffer().unwrap();
    let queue = Queue::of(&buffer);
    let done = queue.timeline();
    queue.submit(ready, Timeline { semaphore: done, value: 1 });
    assert_eq!(frame.wait_ready(Duration::from_millis(20)).unwrap(), Outcome::TimedOut);
    assert!(!queue.is_at(done, 1), "the queue waits for the producer's work");
    child.kill();
    assert!(queue.reaches(done, 1), "the queue is stuck behind a dead process");
    let error = frame.wait_ready(PATIENCE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PeerLost, "{error}");
    queue.destroy(&[done]);
    drop((frame, consumer));
    // The device works as before.
    let mut producer = gpu.producer(&ProducerOptions::new());
    let mut consumer = gpu.try_consumer(&ConsumerOptions::new()).unwrap();
    producer.send_bytes(&pattern(SIZE, 1)).unwrap();
    let bytes = consumer.receive().unwrap().unwrap().copy_to_vec::<u8>().unwrap();
    assert!(bytes == pattern(SIZE, 1));
}
