//! What lava costs when nothing happens, and how an event descriptor behaves when much does.

use std::time::Duration;

use lava::{Consumer, ConsumerOptions, Outcome, Policy, Producer, ProducerOptions, Received};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::support::place::Place;
use crate::support::stage::Scene;
use crate::support::{PATIENCE, Played, Random, payload, system};

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "idle/costs_nothing", play: costs_nothing },
    Scene { name: "idle/event_under_load", play: event_under_load },
    Scene { name: "idle/event_with_drops", play: event_with_drops },
];

/// Times that each service thread of this process was given a processor.
fn turns_of_service() -> Vec<(String, u64)> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let mut turns: Vec<_> = threads
        .filter_map(|thread| {
            let name = std::fs::read_to_string(thread.path().join("comm")).ok()?;
            let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
            let switches = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
            let count = switches.map(|(_, count)| count.trim().parse::<u64>().unwrap()).sum();
            let id = thread.file_name().to_string_lossy().into_owned();
            (name.trim() == "lava-service").then_some((id, count))
        })
        .collect();
    turns.sort();
    turns
}

fn costs_nothing(place: &Place) -> Played {
    const IDLE: Duration = Duration::from_secs(2);
    let (producing, consuming) = (place.context(), place.context());
    let mut pairs: Vec<(Producer, Consumer)> = (0..10)
        .map(|channel| {
            let name = format!("idle/{channel}");
            let producer = Producer::create(&producing, &name, &ProducerOptions::new()).unwrap();
            (producer, Consumer::open(&consuming, &name, &ConsumerOptions::new()).unwrap())
        })
        .collect();
    let (mut last, mut waiting) = pairs.pop().unwrap();
    // Somebody sleeps in a receive, somebody in a wait for consumers.
    let receiver = std::thread::spawn(move || waiting.receive_timeout(PATIENCE));
    let mut lonely = Producer::create(&producing, "lonely", &ProducerOptions::new()).unwrap();
    let waiter = std::thread::spawn(move || lonely.wait_consumers(1, PATIENCE));
    std::thread::sleep(Duration::from_millis(300));
    let (turns, time) = (turns_of_service(), system::processor_time());
    std::thread::sleep(IDLE);
    let busy = (system::processor_time() - time).as_secs_f64() / IDLE.as_secs_f64();
    assert_eq!(turns.len(), 2, "{turns:?}");
    assert_eq!(turns_of_service(), turns, "a service thread ran while nothing happened");
    assert!(busy < 0.01, "{:.2} % of a processor while nothing happens", busy * 100.0);
    println!("result: {:.3} % of a processor while idle", busy * 100.0);
    last.send_bytes(b"wake").unwrap();
    assert!(matches!(receiver.join().unwrap().unwrap(), Received::Frame(_)));
    // It stays until the waiter has seen it: one that comes and goes before the waiter looks was never there.
    let company = Consumer::open(&consuming, "lonely", &ConsumerOptions::new()).unwrap();
    assert_eq!(waiter.join().unwrap().unwrap(), Outcome::Done);
    drop(company);
    Ok(())
}

/// Waits for the event as an event loop would.
fn wait_for_event(consumer: &Consumer) {
    let event = consumer.event_fd().unwrap();
    let mut fds = [PollFd::new(&event, PollFlags::IN)];
    let limit = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    let ready = poll(&mut fds, Some(&limit)).unwrap();
    assert_eq!(ready, 1, "the event never came: a wake-up was lost");
}

/// Calls `take` with each frame until the channel ends; waits only for the event.
fn drain_by_event(consumer: &mut Consumer, mut take: impl FnMut(lava::Frame)) {
    loop {
        wait_for_event(consumer);
        loop {
            match consumer.try_receive().unwrap() {
                Received::Frame(frame) => take(frame),
                Received::Empty => break,
                _ => return,
            }
        }
    }
}

fn event_under_load(place: &Place) -> Played {
    const FRAMES: u64 = 100_000;
    let mut producer = place.producer("event", &ProducerOptions::new().max_frame_size(16 * 1024));
    let mut consumer = place.consumer("event");
    let mut random = Random::new();
    let sender = std::thread::spawn(move || {
        for number in 0..FRAMES {
            payload::send(&mut producer, 1, number).unwrap();
            // Bursts, and gaps in which the consumer goes to sleep, is about to, or wakes up.
            if random.below(8) == 0 {
                random.pause(Duration::from_micros(20));
            }
        }
    });
    let mut next = 0;
    drain_by_event(&mut consumer, |frame| {
        payload::check(&frame, 1, next).unwrap();
        next += 1;
    });
    assert_eq!(next, FRAMES);
    sender.join().unwrap();
    Ok(())
}

fn event_with_drops(place: &Place) -> Played {
    const FRAMES: u64 = 100_000;
    let options =
        ProducerOptions::new().max_frame_size(16 * 1024).queue_length(8).policy(Policy::DropOldest);
    let mut producer = place.producer("event", &options);
    let mut consumer = place.consumer("event");
    let sender = std::thread::spawn(move || {
        for number in 0..FRAMES {
            producer.send_bytes(&payload::payload(1, number)).unwrap();
        }
        assert_eq!(producer.wait_released(None, PATIENCE).unwrap(), Outcome::Done);
    });
    let (mut next, mut received) = (0, 0);
    drain_by_event(&mut consumer, |frame| {
        let number = frame.info().sequence;
        assert!(number >= next, "frame {number} came after {next}");
        payload::check(&frame, 1, number).unwrap();
        (next, received) = (number + 1, received + 1);
    });
    sender.join().unwrap();
    let told = consumer.connection().unwrap().dropped;
    println!("result: {received} of {FRAMES} frames received, the others dropped");
    assert!(received > 0 && received + told <= FRAMES, "{received} received, {told} dropped");
    Ok(())
}
