//! Rows of one process: copies within the GPU, and between it and the host.

use std::time::Duration;

use lava::{Buffer, BufferOptions, Context, Memory};

use super::super::channel::Waiting;
use super::super::clock::Clock;
use super::super::round::{Round, repeat};
use super::super::row::{Bound, Head, Measured};
use super::super::touch;
use super::{Plan, Results, compare};
use crate::failure::Failure;
use crate::gpu::cuda::{Cuda, DeviceMemory, PinnedMemory};
use crate::gpu::queue::Queue;

type NoCuda = String;

fn buffer(plan: &Plan, context: &Context, size: usize, memory: Memory) -> Result<Buffer, Failure> {
    let options = BufferOptions::new(size as u64).memory(memory).device(plan.device.uuid);
    let mut buffer = Buffer::allocate(context, &options.require())?;
    let noise = touch::noise(size);
    for at in (0..size).step_by(noise.len()) {
        buffer.write(at as u64, &noise[..noise.len().min(size - at)])?;
    }
    Ok(buffer)
}

fn memory(cuda: &Cuda, size: usize) -> Result<DeviceMemory<'_>, String> {
    cuda.device_memory(size, &touch::noise(size))
}

fn head(group: &'static str, what: &'static str, size: usize, bound: Option<Bound>) -> Head {
    Head { group, what, size, waiting: Waiting::Polling, consumers: 1, bound }
}

/// The row of copies within the GPU.
pub fn copy(
    plan: &Plan,
    context: &Context,
    cuda: Result<&Cuda, &NoCuda>,
    results: &mut Results,
) -> Result<(), Failure> {
    let outcome = measure_copy(plan, context, cuda);
    let measured = results.take("device-copy", outcome)?;
    results.rows.extend(measured);
    Ok(())
}

fn measure_copy(
    plan: &Plan,
    context: &Context,
    cuda: Result<&Cuda, &NoCuda>,
) -> Result<Measured, Failure> {
    let size = plan.copy;
    let clock = Clock::calibrate();
    let source = buffer(plan, context, size, Memory::Device)?;
    let mut target = buffer(plan, context, size, Memory::Device)?;
    let head = |bound| head("device-copy", "buffer copied within the GPU", size, bound);
    let ours = |target: &mut Buffer, time| {
        repeat(&clock, time, || Ok(target.copy_from(0, &source, 0, size as u64)?))
    };
    if let Ok(cuda) = cuda {
        let (from, mut to) = (memory(cuda, size)?, memory(cuda, size)?);
        let theirs = |_: &mut Buffer, time| repeat(&clock, time, || Ok(to.copy_from(&from)?));
        let bound = Some(Bound::SpeedAtLeast(0.95));
        return compare(head(bound), plan, &mut target, ours, ("cuMemcpyDtoD".to_owned(), theirs));
    }
    let mut queue = Queue::of(buffer(plan, context, 4096, Memory::Device)?)?;
    let (from, to) = (source.vulkan()?, target.vulkan()?);
    let theirs =
        |_: &mut Buffer, time| repeat(&clock, time, || queue.copy(&to, &from, size as u64));
    compare(head(None), plan, &mut target, ours, ("vkCmdCopyBuffer".to_owned(), theirs))
}

/// One direction from or to one kind of host memory.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Way {
    what: &'static str,
    upload: bool,
    pinned: bool,
}

const WAYS: [Way; 4] = [
    Way { what: "written from pinned memory", upload: true, pinned: true },
    Way { what: "read to pinned memory", upload: false, pinned: true },
    Way { what: "written from pageable memory", upload: true, pinned: false },
    Way { what: "read to pageable memory", upload: false, pinned: false },
];

/// The rows of copies between host and GPU.
pub fn transfers(
    plan: &Plan,
    context: &Context,
    cuda: Result<&Cuda, &NoCuda>,
    results: &mut Results,
) -> Result<(), Failure> {
    for way in WAYS {
        let outcome = transfer(plan, context, cuda, way);
        let measured = results.take("transfer", outcome)?;
        results.rows.extend(measured);
    }
    Ok(())
}

/// The two ends of lava's copies.
struct Ends {
    device: Buffer,
    pinned: Option<Buffer>,
    pageable: Vec<u8>,
}

impl Ends {
    fn new(plan: &Plan, context: &Context, way: Way) -> Result<Self, Failure> {
        let size = plan.transfer;
        let pinned = match way.pinned {
            true => Some(buffer(plan, context, size, Memory::Pinned)?),
            false => None,
        };
        let pageable = if way.pinned { Vec::new() } else { vec![1; size] };
        Ok(Ends { device: buffer(plan, context, size, Memory::Device)?, pinned, pageable })
    }

    fn copy(&mut self, way: Way, size: u64) -> Result<(), Failure> {
        match (&mut self.pinned, way.upload) {
            (Some(pinned), true) => self.device.copy_from(0, pinned, 0, size)?,
            (Some(pinned), false) => pinned.copy_from(0, &self.device, 0, size)?,
            (None, true) => self.device.write(0, &self.pageable)?,
            (None, false) => self.device.read(0, &mut self.pageable)?,
        }
        Ok(())
    }
}

fn transfer(
    plan: &Plan,
    context: &Context,
    cuda: Result<&Cuda, &NoCuda>,
    way: Way,
) -> Result<Measured, Failure> {
    let size = plan.transfer;
    let clock = Clock::calibrate();
    let mut ends = Ends::new(plan, context, way)?;
    let least = if way.pinned { 0.9 } else { 0.8 };
    let bound = cuda.is_ok().then_some(Bound::SpeedAtLeast(least));
    let ours = |ends: &mut Ends, time| repeat(&clock, time, || ends.copy(way, size as u64));
    let mut yard = Yard::new(cuda.ok(), size, way)?;
    let name = yard.name(way);
    let theirs = |_: &mut Ends, time| yard.run(&clock, time, way);
    compare(head("transfer", way.what, size, bound), plan, &mut ends, ours, (name, theirs))
}

/// What a copy between host and GPU is held against: CUDA's pinned copy, or the slower of that and `memcpy` where the
/// host memory is pageable.
struct Yard<'a> {
    cuda: Option<(DeviceMemory<'a>, PinnedMemory<'a>)>,
    host: Option<[Vec<u8>; 2]>,
}

impl<'a> Yard<'a> {
    fn new(cuda: Option<&'a Cuda>, size: usize, way: Way) -> Result<Self, Failure> {
        let host = (cuda.is_none() || !way.pinned).then(|| [vec![1; size], vec![1; size]]);
        let cuda = match cuda {
            Some(cuda) => {
                Some((memory(cuda, size)?, cuda.pinned_memory(size, &touch::noise(size))?))
            }
            None => None,
        };
        Ok(Yard { cuda, host })
    }

    fn name(&self, way: Way) -> String {
        let call = if way.upload { "cuMemcpyHtoD" } else { "cuMemcpyDtoH" };
        match (&self.cuda, &self.host) {
            (Some(_), None) => format!("{call}, pinned"),
            (Some(_), Some(_)) => format!("slower of {call}, pinned, and memcpy"),
            (None, _) => "memcpy".to_owned(),
        }
    }

    fn run(&mut self, clock: &Clock, time: Duration, way: Way) -> Result<Round, Failure> {
        let cuda = match &mut self.cuda {
            Some((device, pinned)) => Some(repeat(clock, time, || {
                Ok(if way.upload { device.upload(pinned) } else { device.download(pinned) }?)
            })?),
            None => None,
        };
        let host = match &mut self.host {
            Some([from, to]) => Some(repeat(clock, time, || {
                // SAFETY: two vectors of one size.
                unsafe { touch::copy(from.as_ptr(), to.as_mut_ptr(), from.len()) };
                Ok(())
            })?),
            None => None,
        };
        let mean = |round: &Round| round.elapsed / round.messages as f64;
        let slower = [cuda, host].into_iter().flatten().max_by(|a, b| mean(a).total_cmp(&mean(b)));
        slower.ok_or_else(|| Failure::Failed("a row needs a limit".to_owned()))
    }
}
