//! What CUDA sees of lava's memory on an NVIDIA GPU, in one process and between two, every byte compared:
//! `cargo run --release -p lava --example cuda_view`

mod driver;

use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use driver::{Result, Stream};
use lava::{
    Buffer, BufferHandle, BufferOptions, BufferRecipe, Consumer, ConsumerOptions, Context, Device,
    Memory, Outcome, Producer, ProducerOptions,
};

const NVIDIA: u32 = 0x10de;
const SIZE: usize = 64 << 20;
const FRAMES: u64 = 200;
/// Fewer than frames, so that every slot is given back by a stream and written again.
const SLOTS: u32 = 3;
const FRAME: usize = 4 << 20;
const CHANNEL: &str = "cuda_view";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let context = Context::new()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["import", recipe] => return import(&context, recipe),
        ["receive"] => return receive(&context),
        _ => {}
    }
    let devices = context.devices()?;
    let Some(device) = devices.iter().find(|device| device.vendor_id == NVIDIA) else {
        println!(
            "skipped: no NVIDIA GPU among {:?}",
            devices.iter().map(|device| &device.name).collect::<Vec<_>>()
        );
        return Ok(());
    };
    println!("{}, {} {}", device.name, device.driver_name, device.driver_info);
    one_buffer(&context, device)?;
    pinned_buffer(&context, device)?;
    two_processes(&context, device)?;
    channel(&context, device)?;
    println!("all bytes are right");
    Ok(())
}

/// Bytes that tell their place and who wrote them.
fn pattern(size: usize, seed: u64) -> Vec<u8> {
    let word = |at: u64| (at ^ (seed << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..size as u64 / 8).flat_map(|at| word(at).to_le_bytes()).collect()
}

fn compare(found: &[u8], seed: u64, what: &str) -> Result<()> {
    let wanted = pattern(found.len(), seed);
    match found.iter().zip(&wanted).position(|(found, wanted)| found != wanted) {
        None => Ok(()),
        Some(at) => Err(format!("{what}: byte {at} is {}, not {}", found[at], wanted[at]).into()),
    }
}

fn one_buffer(context: &Context, device: &Device) -> Result<()> {
    let options = BufferOptions::new(SIZE as u64).memory(Memory::Device).device(device.uuid);
    let mut buffer = Buffer::allocate(context, &options.require().shareable())?;
    buffer.write(0, &pattern(SIZE, 1))?;
    let start = Instant::now();
    let view = buffer.cuda()?;
    let first = start.elapsed();
    let start = Instant::now();
    buffer.cuda()?;
    println!("view: {view:x?}; the first took {first:?}, the second {:?}", start.elapsed());
    let stream = Stream::new(&view)?;
    let mut bytes = vec![0; SIZE];
    stream.read(view.device_pointer, &mut bytes)?;
    stream.finish()?;
    compare(&bytes, 1, "written by lava, read by CUDA")?;
    stream.write(view.device_pointer, &pattern(SIZE, 2))?;
    stream.finish()?;
    buffer.read(0, &mut bytes)?;
    compare(&bytes, 2, "written by CUDA, read by lava")?;
    println!("device buffer: {SIZE} bytes, both ways");
    Ok(())
}

fn pinned_buffer(context: &Context, device: &Device) -> Result<()> {
    let options = BufferOptions::new(FRAME as u64).memory(Memory::Pinned).device(device.uuid);
    let buffer = Buffer::allocate(context, &options.shareable())?;
    let view = match buffer.cuda() {
        Ok(view) => view,
        Err(error) => {
            println!("pinned buffer: no view ({error})");
            return Ok(());
        }
    };
    let stream = Stream::new(&view)?;
    stream.write(view.device_pointer, &pattern(FRAME, 3))?;
    stream.finish()?;
    let mut bytes = vec![0; FRAME];
    buffer.read(0, &mut bytes)?;
    compare(&bytes, 3, "pinned, written by CUDA")?;
    println!("pinned buffer: {FRAME} bytes written by CUDA, read by the CPU");
    Ok(())
}

/// The same program again. What it reads is on its standard input.
fn child(arguments: &[&str], input: Stdio) -> Result<Child> {
    Ok(Command::new(std::env::current_exe()?).args(arguments).stdin(input).spawn()?)
}

fn join(mut child: Child, what: &str) -> Result<()> {
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(format!("{what}: {status}").into()) }
}

fn two_processes(context: &Context, device: &Device) -> Result<()> {
    let options = BufferOptions::new(SIZE as u64).memory(Memory::Device).device(device.uuid);
    let options = options.require().shareable().writable_by_importers();
    let mut buffer = Buffer::allocate(context, &options)?;
    buffer.write(0, &pattern(SIZE, 4))?;
    let handle = buffer.export()?;
    let recipe: String =
        handle.recipe().to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let fd = handle.as_fd().try_clone_to_owned()?;
    join(child(&["import", &recipe], Stdio::from(fd))?, "the importing process")?;
    let mut bytes = vec![0; SIZE];
    buffer.read(0, &mut bytes)?;
    compare(&bytes, 5, "written by CUDA in the other process, read by lava")?;
    println!("imported buffer: {SIZE} bytes, both ways, through another process");
    Ok(())
}

/// The other process: the descriptor is its standard input.
fn import(context: &Context, recipe: &str) -> Result<()> {
    let mut bytes = [0; BufferRecipe::SIZE];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(recipe.get(2 * at..2 * at + 2).ok_or("a short recipe")?, 16)?;
    }
    let fd: OwnedFd = std::io::stdin().as_fd().try_clone_to_owned()?;
    let handle = BufferHandle::new(fd, BufferRecipe::from_bytes(bytes));
    let buffer = Buffer::import(context, &handle)?;
    let view = buffer.cuda()?;
    let stream = Stream::new(&view)?;
    let mut bytes = vec![0; SIZE];
    stream.read(view.device_pointer, &mut bytes)?;
    stream.finish()?;
    compare(&bytes, 4, "imported, read by CUDA")?;
    stream.write(view.device_pointer, &pattern(SIZE, 5))?;
    stream.finish()
}

/// Every second frame is written by CUDA, and sent before CUDA has written it.
fn channel(context: &Context, device: &Device) -> Result<()> {
    let options = ProducerOptions::new().max_frame_size(FRAME as u64).capacity(SLOTS);
    let options = options.memory(Memory::Device).device(device.uuid).require_memory();
    let mut producer = Producer::create(context, CHANNEL, &options)?;
    let receiver = child(&["receive"], Stdio::null())?;
    if producer.wait_consumers(1, Duration::from_secs(20))? == Outcome::TimedOut {
        return Err("the receiving process does not connect".into());
    }
    let mut stream = None;
    for number in 0..FRAMES {
        let mut loan = producer.loan(FRAME)?;
        let bytes = pattern(FRAME, number);
        if number % 2 == 0 {
            loan.write_at(0, &bytes)?;
        } else {
            let view = loan.cuda()?;
            if stream.is_none() {
                stream = Some(Stream::new(&view)?);
            }
            let stream = stream.as_ref().ok_or("a stream")?;
            stream.write(view.device_pointer, &bytes)?;
            // SAFETY: a stream of the primary context.
            unsafe { loan.set_ready_cuda(stream.raw()) }?;
        }
        loan.set_tag(number)?;
        producer.send(loan).map_err(|failed| failed.error)?;
    }
    println!("{}", producer.describe()?);
    drop(producer);
    join(receiver, "the receiving process")?;
    println!("channel: {FRAMES} frames of {FRAME} bytes in {SLOTS} slots");
    Ok(())
}

/// The other process: waits for frames in a stream, and gives them back in it.
fn receive(context: &Context) -> Result<()> {
    let options = ConsumerOptions::new().memory(Memory::Device);
    let mut consumer = Consumer::open(context, CHANNEL, &options)?;
    println!("{:?}", consumer.connection()?);
    let (mut stream, mut bytes, mut count) = (None, vec![0; FRAME], 0);
    while let Some(frame) = consumer.receive()? {
        let number = frame.info().tag;
        let view = frame.cuda()?;
        if stream.is_none() {
            stream = Some(Stream::new(&view)?);
        }
        let stream = stream.as_ref().ok_or("a stream")?;
        // SAFETY: a stream of the primary context, in both calls.
        unsafe { frame.wait_cuda(stream.raw()) }?;
        stream.read(view.device_pointer, &mut bytes)?;
        // SAFETY: as above; the reading is in the stream.
        unsafe { frame.release_cuda(stream.raw()) }.map_err(|(_, error)| error)?;
        stream.finish()?;
        compare(&bytes, number, &format!("frame {number}"))?;
        count += 1;
    }
    if count == FRAMES { Ok(()) } else { Err(format!("{count} frames of {FRAMES}").into()) }
}
