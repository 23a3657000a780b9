//! What receiving and releasing a frame of 1 MiB costs by the C ABI, when it is already there: the part of
//! `benches/python/measure.py` that is not Python's. Prints nanoseconds a frame, in the median batch, for each
//! line on standard input.

use std::io::BufRead;
use std::time::Instant;

use lava::{
    Consumer, ConsumerOptions, Context, ContextOptions, Producer, ProducerOptions, Received,
};

const SIZE: usize = 1 << 20;
const BATCH: u32 = 32;
const BATCHES: u32 = 200;

fn main() -> lava::Result<()> {
    let directory = std::env::temp_dir().join(format!("lava-receive-cost-{}", std::process::id()));
    let context = Context::create(&ContextOptions::new().runtime_directory(&directory))?;
    let options = ProducerOptions::new().capacity(BATCH).max_frame_size(SIZE as u64);
    let mut producer = Producer::create(&context, "cost", &options)?;
    let mut consumer = Consumer::open(&context, "cost", &ConsumerOptions::new())?;
    for line in std::io::stdin().lock().lines() {
        if line.is_err() {
            break;
        }
        let mut times = Vec::new();
        for _ in 0..BATCHES {
            for _ in 0..BATCH {
                let loan = producer.loan(SIZE)?;
                producer.send(loan)?;
            }
            let start = Instant::now();
            for _ in 0..BATCH {
                if let Received::Frame(frame) = consumer.try_receive()? {
                    std::hint::black_box(frame.as_ptr());
                }
            }
            times.push(start.elapsed());
        }
        times.sort();
        println!("{}", times[times.len() / 2].as_nanos() / u128::from(BATCH));
    }
    drop((producer, consumer, context));
    // Empty now; a leftover would be harmless.
    let _ = std::fs::remove_dir(directory);
    Ok(())
}
