//! Opening, sending, receiving, waiting, ending.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use lava::*;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::support::{PATIENCE, Place, next, pattern};

#[test]
fn a_consumer_opened_after_the_producer_receives() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    producer.send_bytes(b"hello").unwrap();
    assert_eq!(next(&mut consumer), b"hello");
}

#[test]
fn a_consumer_opened_before_the_producer_waits_for_it() {
    let place = Place::new();
    let options = place.options();
    let reader = std::thread::spawn(move || {
        let context = Context::create(&options).unwrap();
        let options = ConsumerOptions::new().timeout(PATIENCE);
        let mut consumer = Consumer::open(&context, "later", &options).unwrap();
        next(&mut consumer)
    });
    let mut producer =
        Producer::create(&place.context(), "later", &ProducerOptions::new()).unwrap();
    producer.send_bytes(b"here").unwrap();
    assert_eq!(reader.join().unwrap(), b"here");
}

#[test]
fn opening_a_channel_that_never_comes_times_out() {
    let place = Place::new();
    let options = ConsumerOptions::new().timeout(Duration::from_millis(20));
    let error = Consumer::open(&place.context(), "nobody", &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.message().contains("nobody"), "{error}");
    let directory = place.path().to_str().unwrap();
    assert!(error.message().contains(directory), "{error}");
}

#[test]
fn frames_of_every_size_arrive_unchanged() {
    let place = Place::new();
    let options = ProducerOptions::new().max_frame_size(100_000);
    let (mut producer, mut consumer) = place.pair(&options);
    for size in [0, 1, 7, 8, 31, 32, 33, 39, 40, 41, 63, 64, 65, 4095, 4096, 4097, 100_000] {
        let bytes = pattern(size, size);
        producer.send_bytes(&bytes).unwrap();
        assert_eq!(next(&mut consumer), bytes, "copied, {size} bytes");

        let mut loan = producer.loan(size).unwrap();
        assert_eq!(loan.len(), size);
        loan.bytes_mut().unwrap().copy_from_slice(&bytes);
        producer.send(loan).unwrap();
        let frame = consumer.receive().unwrap().unwrap();
        assert_eq!((frame.len(), frame.is_empty()), (size, size == 0));
        assert_eq!(frame.copy_to_vec::<u8>().unwrap(), bytes, "in place, {size} bytes");
    }
}

#[test]
fn a_large_frame_is_not_copied() {
    let place = Place::new();
    let options = ProducerOptions::new().max_frame_size(64 << 20).capacity(2);
    let (mut producer, mut consumer) = place.pair(&options);
    let mut loan = producer.loan(64 << 20).unwrap();
    let bytes = loan.bytes_mut().unwrap();
    (bytes[0], bytes[(64 << 20) - 1]) = (1, 2);
    producer.send(loan).unwrap();

    let frame = consumer.receive().unwrap().unwrap();
    let mut ends = [0; 2];
    frame.read_at(0, &mut ends[..1]).unwrap();
    frame.read_at((64 << 20) - 1, &mut ends[1..]).unwrap();
    assert_eq!(ends, [1, 2]);
    assert_eq!(consumer.connection().unwrap().copies, 0);
}

#[test]
fn every_consumer_gets_every_frame() {
    let place = Place::new();
    let mut producer = Producer::create(&place.context(), "many", &ProducerOptions::new()).unwrap();
    let mut consumers: Vec<_> = (0..5).map(|_| place.consumer("many")).collect();
    assert_eq!(producer.wait_consumers(5, PATIENCE).unwrap(), Outcome::Done);
    assert_eq!(producer.consumer_count(), 5);
    for round in 0..20 {
        producer.send_bytes(&pattern(100, round)).unwrap();
        for consumer in &mut consumers {
            assert_eq!(next(consumer), pattern(100, round));
        }
    }
}

#[test]
fn the_iterator_ends_with_the_channel() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    for number in 0..5u8 {
        producer.send_bytes(&[number]).unwrap();
    }
    drop(producer);
    let received: Vec<_> =
        (&mut consumer).map(|frame| frame.unwrap().copy_to_vec::<u8>().unwrap()[0]).collect();
    assert_eq!(received, [0, 1, 2, 3, 4]);
    assert!(consumer.receive().unwrap().is_none());
    assert!(matches!(consumer.try_receive().unwrap(), Received::Closed));
}

#[test]
fn receiving_waits_as_long_as_told() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    assert!(matches!(consumer.try_receive().unwrap(), Received::Empty));
    let start = Instant::now();
    let time = Duration::from_millis(30);
    assert!(matches!(consumer.receive_timeout(time).unwrap(), Received::Empty));
    assert!(start.elapsed() >= time);

    producer.send_bytes(b"x").unwrap();
    assert!(matches!(consumer.receive_timeout(PATIENCE).unwrap(), Received::Frame(_)));
}

#[test]
fn a_sleeping_receiver_is_woken() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    let reader = std::thread::spawn(move || {
        let bytes = next(&mut consumer);
        (bytes, consumer.receive().unwrap().is_none())
    });
    // Long enough that the reader sleeps in the kernel; nothing depends on it.
    std::thread::sleep(Duration::from_millis(20));
    producer.send_bytes(b"wake").unwrap();
    std::thread::sleep(Duration::from_millis(20));
    drop(producer);
    assert_eq!(reader.join().unwrap(), (b"wake".to_vec(), true));
}

#[test]
fn waiting_for_consumers_and_releases_times_out() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    let time = Duration::from_millis(10);
    assert_eq!(producer.wait_consumers(1, PATIENCE).unwrap(), Outcome::Done);
    assert_eq!(producer.wait_consumers(2, time).unwrap(), Outcome::TimedOut);
    assert_eq!(producer.wait_consumers(2, Timeout::NONE).unwrap(), Outcome::TimedOut);
    let error = producer.wait_consumers(1000, Timeout::NONE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);

    producer.send_bytes(&[1; 1000]).unwrap();
    assert_eq!(producer.wait_released(None, time).unwrap(), Outcome::TimedOut);
    let frame = consumer.receive().unwrap().unwrap();
    assert_eq!(producer.wait_released(None, Timeout::NONE).unwrap(), Outcome::TimedOut);
    drop(frame);
    assert_eq!(producer.wait_released(None, PATIENCE).unwrap(), Outcome::Done);
}

#[test]
fn the_event_fd_tells_of_frames_and_of_the_end() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    let readable = |consumer: &Consumer, time: Duration| {
        let fd = consumer.event_fd().unwrap();
        let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
        let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos() as i64 };
        poll(&mut fds, Some(&time)).unwrap() == 1
    };
    readable(&consumer, Duration::ZERO);
    assert!(matches!(consumer.try_receive().unwrap(), Received::Empty));
    assert!(!readable(&consumer, Duration::from_millis(10)), "nothing was sent");

    for round in 0..3u8 {
        producer.send_bytes(&[round]).unwrap();
        assert!(readable(&consumer, PATIENCE), "round {round}");
        assert_eq!(next(&mut consumer), [round]);
        assert!(matches!(consumer.try_receive().unwrap(), Received::Empty));
        assert!(!readable(&consumer, Duration::ZERO), "round {round}: armed again");
    }
    drop(producer);
    assert!(readable(&consumer, PATIENCE));
    assert!(matches!(consumer.try_receive().unwrap(), Received::Closed));
}

#[test]
fn a_name_belongs_to_one_live_producer() {
    let place = Place::new();
    let context = place.context();
    let first = Producer::create(&context, "one/name", &ProducerOptions::new()).unwrap();
    for context in [&context, &place.context()] {
        let error = Producer::create(context, "one/name", &ProducerOptions::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(error.message().contains("one/name"), "{error}");
    }
    drop(first);
    Producer::create(&context, "one/name", &ProducerOptions::new()).unwrap();
}

#[test]
fn bad_names_are_refused() {
    let place = Place::new();
    let context = place.context();
    let long = "x".repeat(65);
    for name in ["", " ", "a b", "../up", "/a", "a/", "a//b", "ä", "-a", ".", "a\nb", "a\0b", &long]
    {
        let error = Producer::create(&context, name, &ProducerOptions::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "producer {name:?}: {error}");
        let options = ConsumerOptions::new().timeout(Duration::from_millis(1));
        let error = Consumer::open(&context, name, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "consumer {name:?}: {error}");
    }
    Producer::create(&context, &"x".repeat(64), &ProducerOptions::new()).unwrap();
}

#[test]
fn bad_options_are_refused() {
    let place = Place::new();
    let context = place.context();
    let new = ProducerOptions::new;
    let fallback = [Memory::Standard; 6];
    let cases = [
        ("capacity", new().capacity(65537)),
        ("queue", new().queue_length(1 << 20)),
        ("consumers", new().max_consumers(65)),
        ("alignment", new().alignment(3)),
        ("alignment", new().alignment(4 << 20)),
        ("size", new().max_frame_size(u64::MAX)),
        ("fallback", new().fallback(&fallback)),
    ];
    for (what, options) in cases {
        let error = Producer::create(&context, "bad", &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{what}: {error}");
        assert!(error.message().contains(what), "{what}: {error}");
    }
}

#[test]
fn a_connection_tells_its_transport_and_counters() {
    let place = Place::new();
    let (mut producer, mut consumer) = place.pair(&ProducerOptions::new());
    for _ in 0..3 {
        producer.send_bytes(&[7; 100]).unwrap();
    }
    let frame = consumer.receive().unwrap().unwrap();

    let [there] = &producer.connections().unwrap()[..] else { panic!("one connection") };
    assert_eq!((there.transport, there.copies), (Transport::Shm, 0));
    assert_eq!((there.state, there.frames, there.bytes), (ConnectionState::Open, 3, 300));
    assert_eq!(there.peer_process, Some(std::process::id()));
    assert_eq!(there.dropped, 0);
    let here = consumer.connection().unwrap();
    assert_eq!((here.transport, here.copies, here.frames), (Transport::Shm, 0, 1));
    assert_eq!((here.queued, here.held), (2, 1));
    assert!(!here.reason.is_empty() && !there.reason.is_empty());
    assert!(here.rejections.iter().all(|rejection| !rejection.reason.is_empty()));
    assert_eq!(here.peer.process(), std::process::id());
    for text in [producer.describe().unwrap(), consumer.describe().unwrap()] {
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(json.is_object() && text.contains("shm"), "{text}");
    }
    drop(frame);
}

#[test]
fn a_transport_that_cannot_be_had_is_an_error_with_its_reason() {
    let place = Place::new();
    let context = place.context();
    let _producer = Producer::create(&context, "shm-only", &ProducerOptions::new()).unwrap();
    let options = ConsumerOptions::new().require_transport(Transport::Mpi);
    let error = Consumer::open(&context, "shm-only", &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Requirement, "{error}");
    assert!(error.message().to_lowercase().contains("mpi"), "{error}");

    let options = options.require_transport(Transport::Shm).max_copies(0);
    let consumer = Consumer::open(&context, "shm-only", &options).unwrap();
    assert_eq!(consumer.connection().unwrap().transport, Transport::Shm);
}

#[test]
fn a_producer_refuses_more_consumers_than_it_wants() {
    let place = Place::new();
    let context = place.context();
    let options = ProducerOptions::new().max_consumers(1);
    let mut producer = Producer::create(&context, "single", &options).unwrap();
    let first = place.consumer("single");
    let quick = ConsumerOptions::new().timeout(PATIENCE);
    let error = Consumer::open(&context, "single", &quick).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    drop(first);
    let mut again = place.consumer("single");
    producer.send_bytes(b"free again").unwrap();
    assert_eq!(next(&mut again), b"free again");
}

#[test]
fn a_consumer_that_goes_is_forgotten() {
    let place = Place::new();
    let (mut producer, consumer) = place.pair(&ProducerOptions::new().capacity(2));
    let mut stays = place.consumer("pair");
    assert_eq!(producer.wait_consumers(2, PATIENCE).unwrap(), Outcome::Done);
    producer.send_bytes(&[1; 100]).unwrap();
    producer.send_bytes(&[2; 100]).unwrap();
    drop(consumer);
    assert_eq!(next(&mut stays), [1; 100]);
    assert_eq!(next(&mut stays), [2; 100]);
    // Both slots come back although the other one never received.
    for round in 3..9 {
        producer.send_bytes(&[round; 100]).unwrap();
        assert_eq!(next(&mut stays), [round; 100]);
    }
    assert_eq!(producer.consumer_count(), 1);
}

#[test]
fn live_channels_are_listed() {
    let place = Place::new();
    let context = place.context();
    let (_producer, _consumer) = place.pair(&ProducerOptions::new());
    let text = context.list_channels(PATIENCE).unwrap();
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let [channel] = &list.as_array().unwrap()[..] else { panic!("one channel: {text}") };
    assert_eq!(channel["name"], "pair", "{text}");
    drop((_producer, _consumer));
    assert_eq!(context.list_channels(PATIENCE).unwrap().trim(), "[]");
}
