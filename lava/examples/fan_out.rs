//! One producer, many consumers, each a process: `cargo run --example fan_out -- 4` starts four workers, sends 1000 frames to
//! all of them at once, and tells what each connection did. All workers read the same memory.

use std::process::{Command, ExitCode};
use std::time::Duration;

use lava::{Consumer, ConsumerOptions, Context, Producer, ProducerOptions};

const FRAMES: u32 = 1000;
const WORDS: usize = 16384;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Checks that every frame arrives, in order.
fn work(channel: &str) -> Result<()> {
    let context = Context::new()?;
    // SAFETY: the producer writes to a frame before it sends it, never after.
    let options = unsafe { ConsumerOptions::new().trust_producer() };
    let mut consumer = Consumer::open(&context, channel, &options)?;
    let mut count = 0;
    while let Some(frame) = consumer.receive()? {
        if frame.slice::<u32>()? != [count; WORDS] {
            return Err(format!("frame {count} is not what was sent").into());
        }
        count += 1;
    }
    if count == FRAMES { Ok(()) } else { Err(format!("only {count} frames came").into()) }
}

fn produce(channel: &str, workers: u32) -> Result<()> {
    let context = Context::new()?;
    let mut producer = Producer::create(&context, channel, &ProducerOptions::new())?;
    if !producer.wait_consumers(workers, Duration::from_secs(20))?.is_done() {
        return Err(format!("only {} workers came", producer.consumer_count()).into());
    }
    for number in 0..FRAMES {
        let mut loan = producer.loan_slice::<u32>(WORDS)?;
        loan.slice_mut::<u32>()?.fill(number);
        producer.send(loan)?;
    }
    for worker in producer.connections()? {
        println!(
            "process {}: {} frames, {} copies",
            worker.peer_process.unwrap_or_default(),
            worker.frames,
            worker.copies
        );
    }
    Ok(())
}

fn main() -> Result<ExitCode> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [role, channel] = &arguments[..]
        && role == "work"
    {
        return work(channel).map(|()| ExitCode::SUCCESS);
    }
    let workers: u32 = arguments.first().map_or(Ok(3), |text| text.parse())?;
    if !(1..=64).contains(&workers) {
        return Err(format!("{workers} workers: 1 to 64 of them").into());
    }
    let channel = format!("fan_out-{}", std::process::id());
    let program = std::env::current_exe()?;
    let start = |_| Command::new(&program).args(["work", &channel]).spawn();
    let children = (0..workers).map(start).collect::<std::io::Result<Vec<_>>>()?;

    let produced = produce(&channel, workers);
    let mut all_right = true;
    for mut child in children {
        all_right &= child.wait()?.success();
    }
    produced?;
    println!("{}", if all_right { "every worker has seen every frame" } else { "failed" });
    Ok(if all_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
