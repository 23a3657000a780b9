//! Looks at the images of `cargo run --example camera`, until it ends.

use lava::{Consumer, ConsumerOptions, Context};

fn main() -> lava::Result<()> {
    let context = Context::new()?;
    // SAFETY: the camera writes to an image before it sends it, never after.
    let options = unsafe { ConsumerOptions::new().trust_producer() };
    let mut consumer = Consumer::open(&context, "camera", &options)?;
    let connection = consumer.connection()?;
    println!("{:?}, {} copies: {}", connection.transport, connection.copies, connection.reason);

    for image in &mut consumer {
        let image = image?;
        let Some(tensor) = image.tensor()? else { continue };
        let sum: u64 = image.bytes()?.iter().map(|pixel| u64::from(*pixel)).sum();
        println!(
            "image {}: {:?}, mean {}",
            image.info().tag,
            tensor.shape(),
            sum / image.len() as u64
        );
    }
    println!("the camera has ended");
    Ok(())
}
