//! What every scenario uses: patterns, meeting points, the two sides of a channel.

use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use lava::{
    Consumer, ConsumerOptions, Context, ErrorKind, Frame, Outcome, Producer, ProducerOptions,
    Received, Timeout, Transport,
};

pub(crate) const LONG: Duration = Duration::from_secs(10);
pub(crate) const SHORT: Duration = Duration::from_millis(20);

/// The transport of frames in host memory, between the two parts, with its word in descriptions.
pub(crate) fn expected_transport() -> (Transport, &'static str) {
    match std::env::var("CONFORMANCE_TRANSPORT").as_deref() {
        Ok("mpi") => (Transport::Mpi, "\"mpi\""),
        _ => (Transport::Shm, "\"shm\""),
    }
}

/// Copies that lava makes of its frames.
pub(crate) fn expected_copies() -> u32 {
    u32::from(expected_transport().0 == Transport::Mpi)
}

/// Waits until every other part has come to the same word.
pub(crate) fn meet(word: &str) {
    println!("meet {word}");
    std::io::stdout().flush().expect("standard output");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).expect("standard input");
    assert_eq!(line, format!("go {word}\n"), "the other part did not come");
}

/// Says that this process is about to kill itself, and does so.
pub(crate) fn die() -> ! {
    println!("dying");
    std::io::stdout().flush().expect("standard output");
    // SAFETY: a signal to this process alone.
    unsafe { libc::raise(libc::SIGKILL) };
    unreachable!("killed")
}

/// Byte `at` of frame `number`.
fn pattern(number: u64, at: usize) -> u8 {
    (number as usize).wrapping_mul(131).wrapping_add(at * 7).wrapping_add(at / 256) as u8
}

pub(crate) fn filled(number: u64, size: usize) -> Vec<u8> {
    (0..size).map(|at| pattern(number, at)).collect()
}

pub(crate) fn fill(data: &mut [u8], number: u64) {
    for (at, byte) in data.iter_mut().enumerate() {
        *byte = pattern(number, at);
    }
}

/// Checks that a frame is exactly the pattern of `number`.
pub(crate) fn check_pattern(frame: &Frame, number: u64, size: usize) {
    assert_eq!(frame.len(), size, "size of frame {number}");
    let bytes = frame.copy_to_vec::<u8>().expect("readable frame");
    assert!(bytes == filled(number, size), "bytes of frame {number} of {size} bytes");
}

pub(crate) fn producer(context: &Context, channel: &str, options: &ProducerOptions) -> Producer {
    Producer::create(context, channel, options).expect("producer")
}

/// A producer on a context of its own that waits for its consumers if `consumers` is not 0.
pub(crate) fn open_producer(
    channel: &str,
    options: &ProducerOptions,
    consumers: u32,
) -> (Context, Producer) {
    let context = Context::new().expect("context");
    let mut producer = producer(&context, channel, options);
    assert_eq!(producer.wait_consumers(consumers, LONG).expect("wait"), Outcome::Done);
    (context, producer)
}

pub(crate) fn consumer(context: &Context, channel: &str) -> Consumer {
    Consumer::open(context, channel, &ConsumerOptions::new()).expect("consumer")
}

pub(crate) fn open_consumer(channel: &str) -> (Context, Consumer) {
    let context = Context::new().expect("context");
    let consumer = consumer(&context, channel);
    (context, consumer)
}

pub(crate) fn send_number(producer: &mut Producer, number: u64) {
    let sent = producer.send_bytes_timeout(&number.to_le_bytes(), LONG).expect("send");
    assert_eq!(sent, Outcome::Done, "frame {number}");
}

pub(crate) fn send_pattern(producer: &mut Producer, number: u64, size: usize) {
    let mut loan = producer.loan_timeout(size, LONG).expect("loan").expect("a slot in time");
    fill(loan.bytes_mut().expect("host memory"), number);
    producer.send_timeout(loan, LONG).expect("send");
}

pub(crate) fn receive(consumer: &mut Consumer) -> Frame {
    match consumer.receive_timeout(LONG).expect("receive") {
        Received::Frame(frame) => frame,
        other => panic!("no frame but {other:?}"),
    }
}

/// Receives the next frame, which must be this number with this sequence.
pub(crate) fn receive_number(consumer: &mut Consumer, number: u64, sequence: u64) {
    let frame = receive(consumer);
    let bytes = frame.copy_to_vec::<u8>().expect("readable frame");
    let found = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    assert_eq!((found, frame.info().sequence), (number, sequence), "number and sequence");
}

pub(crate) fn receive_pattern(consumer: &mut Consumer, number: u64, size: usize) {
    check_pattern(&receive(consumer), number, size);
}

/// The channel has ended for this consumer.
pub(crate) fn receive_end(consumer: &mut Consumer) {
    let end = consumer.receive_timeout(LONG).expect("receive");
    assert!(matches!(end, Received::Closed), "not the end but {end:?}");
}

/// Nothing is there now.
pub(crate) fn receive_nothing(consumer: &mut Consumer, timeout: impl Into<Timeout>) {
    let nothing = consumer.receive_timeout(timeout).expect("receive");
    assert!(matches!(nothing, Received::Empty), "not empty but {nothing:?}");
}

pub(crate) fn assert_fails<T: std::fmt::Debug>(result: lava::Result<T>, kind: ErrorKind) -> String {
    let error = result.expect_err("the call must fail");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(!error.message().is_empty());
    error.message().to_owned()
}

/// Looks again until `done`, at most for the long time.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LONG, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
