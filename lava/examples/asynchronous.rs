//! Receives from two channels at once in one thread: `cargo run --example asynchronous --features tokio`.

use lava::{Consumer, ConsumerOptions, Context, Producer, ProducerOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let context = Context::new()?;
    let names = [format!("left-{}", std::process::id()), format!("right-{}", std::process::id())];
    let mut producers = Vec::new();
    let mut consumers = Vec::new();
    for name in &names {
        producers.push(Producer::create(&context, name, &ProducerOptions::new())?);
        consumers.push(Consumer::open(&context, name, &ConsumerOptions::new())?);
    }
    let writer = std::thread::spawn(move || -> lava::Result<()> {
        for number in 0..10u8 {
            for producer in &mut producers {
                producer.send_bytes(&[number])?;
            }
        }
        Ok(())
    });

    let mut right = consumers.pop().ok_or("two channels")?;
    let mut left = consumers.pop().ok_or("two channels")?;
    loop {
        let (side, frame) = tokio::select! {
            frame = left.receive_async() => ("left", frame?),
            frame = right.receive_async() => ("right", frame?),
        };
        let Some(frame) = frame else { break };
        println!("{side}: {:?}", frame.bytes()?);
    }
    writer.join().map_err(|_| "the writer panicked")??;
    Ok(())
}
