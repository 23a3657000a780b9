//! Producer and consumer in different processes: the test's own binary, started again.

use lava::*;

use crate::gpu_channels;
use crate::gpu_uploads;
use crate::gpu_work;
use crate::support::{PATIENCE, Place, Process, next, pattern};
use crate::two_gpus;

/// What a child process does.
type Role = fn(&Context);

const ROLES: [(&str, Role); 14] = [
    ("consume", consume),
    ("produce", produce),
    ("hold", hold),
    ("produce and stop", produce_and_stop),
    ("read buffer", read_buffer),
    ("stream", stream),
    ("consume gpu", gpu_channels::consume_by),
    ("produce gpu and stop", gpu_channels::produce_and_stop),
    ("hold gpu", gpu_channels::hold),
    ("consume copies", gpu_uploads::consume),
    ("produce for copies and stop", gpu_uploads::produce_and_stop),
    ("hold copies", gpu_uploads::hold),
    ("produce gpu and never finish", gpu_work::produce_and_never_finish),
    ("consume on the other gpu", two_gpus::consume_on_the_other),
];

/// The child's beginning, started by `Place::child` only.
#[test]
#[ignore = "the entry of child processes"]
fn child() {
    let role = std::env::var("LAVA_TEST_ROLE").expect("started by a test");
    let (_, function) = ROLES.iter().find(|(name, _)| *name == role).expect("a known role");
    function(&Context::new().unwrap());
}

fn open(context: &Context) -> Consumer {
    Consumer::open(context, "across", &ConsumerOptions::new().timeout(PATIENCE)).unwrap()
}

fn create(place: &Place) -> Producer {
    Producer::create(&place.context(), "across", &ProducerOptions::new()).unwrap()
}

fn consume(context: &Context) {
    let mut count = 0;
    for (number, frame) in open(context).enumerate() {
        let frame = frame.unwrap();
        assert_eq!(frame.info().sequence, number as u64);
        assert_eq!(frame.copy_to_vec::<u8>().unwrap(), pattern(number * 37 % 65536, number));
        count += 1;
    }
    assert_eq!(count, 1000);
}

#[test]
fn children_receive_every_frame() {
    let place = Place::new();
    let mut producer = create(&place);
    let children = [place.child("consume"), place.child("consume")];
    assert_eq!(producer.wait_consumers(2, PATIENCE).unwrap(), Outcome::Done);
    for number in 0..1000 {
        let bytes = pattern(number * 37 % 65536, number);
        let mut loan = producer.loan(bytes.len()).unwrap();
        loan.bytes_mut().unwrap().copy_from_slice(&bytes);
        producer.send(loan).unwrap();
    }
    let processes: Vec<_> =
        producer.connections().unwrap().iter().map(|there| there.peer_process).collect();
    assert!(!processes.contains(&None) && !processes.contains(&Some(std::process::id())));
    drop(producer);
    children.into_iter().for_each(Process::success);
}

fn produce(context: &Context) {
    let mut producer = Producer::create(context, "across", &ProducerOptions::new()).unwrap();
    for number in 0..1000 {
        producer.send_bytes(&pattern(number * 53 % 10_000, number)).unwrap();
    }
}

#[test]
fn a_child_sends() {
    let place = Place::new();
    let child = place.child("produce");
    let mut consumer = place.consumer("across");
    for number in 0..1000 {
        assert_eq!(next(&mut consumer), pattern(number * 53 % 10_000, number));
    }
    assert!(consumer.receive().unwrap().is_none());
    child.success();
}

/// Receives all slots of the channel, says so, and holds them until it is killed.
fn hold(context: &Context) {
    let mut consumer = open(context);
    let _held: Vec<_> = (0..8).map(|_| consumer.receive().unwrap().unwrap()).collect();
    let mut back = Producer::create(context, "held", &ProducerOptions::new()).unwrap();
    back.send_bytes(b"all").unwrap();
    let _ = std::io::stdin().read_line(&mut String::new());
    panic!("the test should have killed this process");
}

#[test]
fn a_killed_consumer_gives_its_slots_back() {
    let place = Place::new();
    let mut producer = create(&place);
    let child = place.child("hold");
    for number in 0..8 {
        producer.send_bytes(&pattern(1000, number)).unwrap();
    }
    assert_eq!(next(&mut place.consumer("held")), b"all");
    assert!(producer.try_loan(1000).unwrap().is_none(), "the child holds every slot");
    child.kill();
    let loan = producer.loan_timeout(1000, PATIENCE).unwrap();
    drop(loan.expect("slots come back when their holder dies"));
    let mut consumer = place.consumer("across");
    producer.send_bytes(b"and the channel goes on").unwrap();
    assert_eq!(next(&mut consumer), b"and the channel goes on");
}

/// Sends five frames and waits to be killed.
fn produce_and_stop(context: &Context) {
    let mut producer = Producer::create(context, "across", &ProducerOptions::new()).unwrap();
    for number in 0..5 {
        producer.send_bytes(&pattern(1000, number)).unwrap();
    }
    let _ = std::io::stdin().read_line(&mut String::new());
    panic!("the test should have killed this process");
}

#[test]
fn a_killed_producer_is_lost_after_its_last_frame() {
    let place = Place::new();
    let child = place.child("produce and stop");
    let mut consumer = place.consumer("across");
    let first = consumer.receive().unwrap().unwrap();
    assert_eq!(next(&mut consumer), pattern(1000, 1));
    // All five are published once they are queued.
    while consumer.connection().unwrap().queued < 3 {
        std::thread::yield_now();
    }
    child.kill();
    for number in 2..5 {
        assert_eq!(next(&mut consumer), pattern(1000, number));
    }
    let error = consumer.receive().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PeerLost, "{error}");
    let items: Vec<_> = (&mut consumer).collect();
    assert_eq!(items.len(), 1, "the iterator gives the error once");
    assert_eq!(first.copy_to_vec::<u8>().unwrap(), pattern(1000, 0), "held frames stay");
    drop(first);
    // The name is free again although the dead process left its socket.
    create(&place);
}

fn read_buffer(context: &Context) {
    let mut consumer = open(context);
    let frame = consumer.receive().unwrap().unwrap();
    assert!(frame.info().in_buffer);
    let (buffer, offset) = frame.buffer().unwrap();
    assert_eq!(frame.copy_to_vec::<u8>().unwrap(), pattern(100_000, 2));
    let mut bytes = vec![0; 100_000];
    buffer.read(offset, &mut bytes).unwrap();
    assert_eq!(bytes, pattern(100_000, 2));
    drop(frame);
    assert!(consumer.receive().unwrap().is_none());
}

#[test]
fn a_child_reads_a_sent_buffer() {
    let place = Place::new();
    let mut producer = create(&place);
    let child = place.child("read buffer");
    let options = BufferOptions::new(200_000).shareable();
    let mut buffer = Buffer::allocate(&place.context(), &options).unwrap();
    buffer.write(100_000, &pattern(100_000, 2)).unwrap();
    let range = 100_000..200_000;
    let sent = producer.send_buffer(&buffer, range, 0, None, PATIENCE).unwrap();
    assert_eq!(sent, Outcome::Done);
    assert_eq!(producer.wait_released(Some(&buffer), PATIENCE).unwrap(), Outcome::Done);
    drop(producer);
    child.success();
}

fn stream(context: &Context) {
    let mut consumer = open(context);
    let mut frames = Frames::with_capacity(256);
    let mut expected = 0u64;
    while consumer.receive_many(&mut frames, Timeout::FOREVER).unwrap().is_some() {
        for frame in &frames {
            assert_eq!(frame.bytes().unwrap(), expected.to_ne_bytes());
            expected += 1;
        }
    }
    assert_eq!(expected, 100_000);
}

#[test]
fn small_messages_stream_to_a_child_in_batches() {
    let place = Place::new();
    let mut producer = create(&place);
    let child = place.child("stream");
    let numbers: Vec<_> = (0..100_000u64).map(u64::to_ne_bytes).collect();
    let parts: Vec<Bytes> = numbers.iter().map(|number| number[..].into()).collect();
    let mut sent = 0;
    while sent < parts.len() {
        sent += producer.send_bytes_many(&parts[sent..], PATIENCE).unwrap();
    }
    drop(producer);
    child.success();
}
