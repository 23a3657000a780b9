//! Two threads and two more send a million messages through rings, alarms and frames, in one process and one mapping,
//! so that the sanitizers can see what they do. `tests/stages/sanitizers.sh` runs it.
//!
//! `lava-stress MESSAGES [FAULT]`, where FAULT is `late-write` (a race) or `overrun` (a read beyond the pool): a
//! seeded fault, which must be found.

mod consumer;
mod handoff;
mod memory;
mod producer;

use consumer::Consumer;
use memory::Connection;
use producer::Producer;

fn run(messages: u64, drops: bool, fault: &str) {
    let connection = Connection::new();
    let consumer = Consumer::new(&connection, drops, fault == "overrun");
    let consuming = std::thread::spawn(move || consumer.run());
    let mut producer = Producer::new(&connection, drops, fault == "late-write");
    for number in 0..messages {
        producer.send(number);
        if drops && number % 8 == 0 {
            // Or the other threads see nothing of it on a machine with few processors.
            std::thread::yield_now();
        }
    }
    let dropped = producer.finish();
    let received = consuming.join().expect("no panic");
    assert!(if drops { received + dropped <= messages } else { received == messages });
    assert!(received > 0);
    println!(
        "{}: {received} received, {dropped} dropped",
        if drops { "dropping" } else { "waiting" }
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let messages = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let fault = arguments.next().unwrap_or_default();
    for drops in [false, true] {
        run(messages / 2, drops, &fault);
    }
}
