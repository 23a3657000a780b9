//! A program with a Vulkan device of its own, whose compute shader writes frames in place; and a consumer on the CPU, which
//! has no GPU: `cargo run --example vulkan_compute_producer`

mod gpu;
mod lock;

use std::time::Duration;

use gpu::Gpu;
use lava::{
    Consumer, ConsumerOptions, Context, ContextOptions, Memory, Outcome, Producer, ProducerOptions,
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const CHANNEL: &str = "vulkan_compute";
const WORDS: u32 = 1 << 18;
const SIZE: usize = WORDS as usize * 4;
const FRAMES: u32 = 100;
const SLOTS: u32 = 4;

fn main() -> Result<()> {
    let Some(mut gpu) = Gpu::open(SLOTS)? else {
        println!("skipped: no Vulkan device");
        return Ok(());
    };
    println!("{}", gpu.name());
    // SAFETY: the context and all that is made of it end with `produce`, before the device does.
    let options = unsafe { ContextOptions::new().vulkan_device(gpu.for_lava()) };
    let consumer = std::thread::spawn(consume);
    produce(&Context::create(&options)?, &mut gpu)?;
    consumer.join().map_err(|_| "the consumer panicked")?
}

fn produce(context: &Context, gpu: &mut Gpu) -> Result<()> {
    let options = ProducerOptions::new().max_frame_size(SIZE as u64).capacity(SLOTS);
    let options = options.memory(Memory::Device).require_memory();
    let mut producer = Producer::create(context, CHANNEL, &options)?;
    if producer.wait_consumers(1, Duration::from_secs(20))? == Outcome::TimedOut {
        return Err("nobody connects".into());
    }
    for number in 0..FRAMES {
        let mut loan = producer.loan(SIZE)?;
        let (buffer, offset) = loan.buffer()?;
        let pool = buffer.vulkan()?;
        // The frame is sent before the GPU has written it. Whoever reads it waits for this value.
        let ready = loan.next_ready()?;
        gpu.fill(&pool, pool.offset + offset, WORDS, number, ready)?;
        loan.set_tag(number.into())?;
        producer.send(loan).map_err(|failed| failed.error)?;
    }
    gpu.finish()
}

/// On the CPU: lava copies each frame once, whatever number of such consumers there is.
fn consume() -> Result<()> {
    let context = Context::new()?;
    let options = ConsumerOptions::new().memory(Memory::Standard);
    let mut consumer = Consumer::open(&context, CHANNEL, &options)?;
    let connection = consumer.connection()?;
    println!("{:?}, {} copies: {}", connection.transport, connection.copies, connection.reason);
    let mut frames = 0;
    while let Some(frame) = consumer.receive()? {
        let number = frame.info().tag as u32;
        let words = frame.copy_to_vec::<u32>()?;
        let wanted = (0..WORDS).map(|at| at.wrapping_mul(2_654_435_761) ^ number);
        if let Some(at) =
            words.iter().copied().zip(wanted).position(|(word, wanted)| word != wanted)
        {
            return Err(format!("frame {number}: word {at} is {:#x}", words[at]).into());
        }
        frames += 1;
    }
    println!("{frames} frames of {SIZE} bytes, every word is right");
    Ok(())
}
