//! What is tried of a GPU: each capability by using it, with another process where it is about sharing.

use std::os::fd::AsRawFd;
use std::time::Duration;

use lava::{Buffer, BufferOptions, Context, Device, Memory, Outcome, Producer, ProducerOptions};
use rustix::io::{FdFlags, fcntl_setfd};

use super::peer::{self, Heard};
use crate::child::Helper;
use crate::failure::{Doing, Failure};
use crate::gpu::cuda::Cuda;
use crate::gpu::queue::Queue;

/// A trial.
pub struct Trial {
    /// What it is about.
    pub name: &'static str,
    /// What was seen, or why it failed.
    pub run: fn(&Context, &Device) -> Result<String, Failure>,
    /// What lava does without it.
    pub without: &'static str,
}

/// All of them, in the order of the report.
pub const ALL: [Trial; 4] = [
    Trial {
        name: "shared memory",
        run: memory,
        without: "frames of this GPU reach other processes through host memory (staged)",
    },
    Trial {
        name: "shared timeline",
        run: timeline,
        without: "the CPU waits for the GPU before a frame is sent and released",
    },
    Trial {
        name: "host-pointer import",
        run: host_import,
        without: "copies from and to pinned memory go through a staging buffer",
    },
    Trial { name: "CUDA view", run: cuda, without: "frames are for Vulkan and the CPU" },
];

const SIZE: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

fn device_memory(device: &Device) -> BufferOptions {
    BufferOptions::new(SIZE as u64).memory(Memory::Device).device(device.uuid).require()
}

/// Fails unless the buffer has the bytes of [`peer::pattern`].
fn check(buffer: &Buffer, salt: u8, what: &str) -> Result<(), Failure> {
    let mut bytes = vec![0; SIZE];
    buffer.read(0, &mut bytes)?;
    peer::compare(&bytes, salt, what)
}

/// A buffer goes to another process, which reads what was written here and writes what is read here.
fn memory(context: &Context, device: &Device) -> Result<String, Failure> {
    let options = device_memory(device).shareable().writable_by_importers();
    let mut buffer = Buffer::allocate(context, &options)?;
    buffer.write(0, &peer::pattern(SIZE, 1))?;
    let handle = buffer.export()?;
    fcntl_setfd(&handle, FdFlags::empty()).doing("making the memory inheritable")?;
    let fd = rustix::fd::AsFd::as_fd(&handle).as_raw_fd();
    let recipe = handle.recipe().to_bytes().map(|byte| format!("{byte:02x}")).concat();
    let arguments = format!("info-gpu-peer --fd {fd} --recipe {recipe}");
    let mut other = start(&arguments)?;
    other.hear::<Heard>(PATIENCE)??;
    check(&buffer, 2, "what the other process wrote")?;
    Ok("exported, imported by another process, bytes right both ways".to_owned())
}

fn start(arguments: &str) -> Result<Helper, Failure> {
    let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
    Helper::start("the process that imports", &arguments)
}

/// A frame goes to another process while the GPU's queue has still to say that it is ready.
fn timeline(context: &Context, device: &Device) -> Result<String, Failure> {
    let name = format!("info/{}", std::process::id());
    let options = ProducerOptions::new()
        .memory(Memory::Device)
        .device(device.uuid)
        .require_memory()
        .max_frame_size(SIZE as u64)
        .capacity(1);
    let mut producer = Producer::create(context, &name, &options)?;
    let mut other = start(&format!("info-gpu-peer --channel {name}"))?;
    if producer.wait_consumers(1, PATIENCE)? != Outcome::Done {
        return Err(other.hear::<Heard>(PATIENCE)?.map_or_else(Failure::Failed, |_| {
            Failure::Failed("the other process did not connect".to_owned())
        }));
    }
    let queue = Queue::of(Buffer::allocate(context, &device_memory(device))?)?;
    let mut loan = producer.loan(SIZE)?;
    loan.write_at(0, &peer::pattern(SIZE, 1))?;
    queue.signal_ready(&mut loan)?;
    producer.send_timeout(loan, PATIENCE).map_err(lava::Error::from)?;
    match other.hear::<Heard>(PATIENCE)??.as_str() {
        "timeline" => Ok("a frame was waited for in another process, bytes right".to_owned()),
        sync => Err(Failure::Failed(format!(
            "the driver does not share timeline semaphores (synchronisation: {sync})"
        ))),
    }
}

/// Pinned host memory is copied to the GPU and back.
fn host_import(context: &Context, device: &Device) -> Result<String, Failure> {
    let options =
        BufferOptions::new(SIZE as u64).memory(Memory::Pinned).device(device.uuid).require();
    let mut pinned = Buffer::allocate(context, &options)?;
    let mut there = Buffer::allocate(context, &device_memory(device))?;
    pinned.write(0, &peer::pattern(SIZE, 3))?;
    there.copy_from(0, &pinned, 0, SIZE as u64)?;
    pinned.fill(0, SIZE as u64, 0)?;
    pinned.copy_from(0, &there, 0, SIZE as u64)?;
    check(&pinned, 3, "what came back from the GPU")?;
    // The library tells it in words only.
    let reason = pinned.info()?.reason;
    if reason.contains("no GPU uses in place") || !reason.contains("uses in place") {
        return Err(Failure::Failed(format!(
            "the GPU does not use pinned memory in place: {reason}"
        )));
    }
    Ok("copied to the GPU and back without staging, bytes right".to_owned())
}

/// CUDA reads what Vulkan wrote.
fn cuda(context: &Context, device: &Device) -> Result<String, Failure> {
    let cuda = Cuda::open(device.uuid)?;
    let mut buffer = Buffer::allocate(context, &device_memory(device).shareable())?;
    buffer.write(0, &peer::pattern(SIZE, 4))?;
    let view = buffer.cuda()?;
    let mut bytes = vec![0; SIZE];
    // SAFETY: the view has as many bytes as the buffer, which outlives the call.
    unsafe { cuda.read(&mut bytes, view.device_pointer)? };
    peer::compare(&bytes, 4, "what CUDA reads")?;
    Ok(format!("CUDA device {}, bytes right", view.device_ordinal))
}
