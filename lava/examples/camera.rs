//! Sends ten images a second, whether anybody looks or not. Start it, and `cargo run --example viewer` any number of times:
//! `cargo run --example camera -- 100` sends 100 images.

use std::time::Duration;

use lava::{Context, Policy, Producer, ProducerOptions, Tensor};

const SHAPE: [usize; 3] = [480, 640, 3];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let images = std::env::args().nth(1).map_or(Ok(100), |text| text.parse::<u64>())?;
    let tensor = Tensor::of::<u8>(&SHAPE)?;
    let size = SHAPE.iter().product();

    let context = Context::new()?;
    let options = ProducerOptions::new().max_frame_size(size as u64).policy(Policy::DropOldest);
    let mut producer = Producer::create(&context, "camera", &options)?;
    for number in 0..images {
        // No slot is free if slow viewers hold them all: this image is lost, and the next one is tried.
        if let Some(mut image) = producer.try_loan(size)? {
            image.bytes_mut()?.fill(number as u8); // the camera writes here, where the viewers read
            image.set_tensor(Some(&tensor))?;
            image.set_tag(number)?;
            producer.send(image)?;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    for viewer in producer.connections()? {
        println!("{:?}: {} images, {} dropped", viewer.peer, viewer.frames, viewer.dropped);
    }
    Ok(())
}
