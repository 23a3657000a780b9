//! Frames in device memory: how fast they are ready, read and staged. An empty frame ends a round.

use std::time::{Duration, Instant};

use lava::{
    Buffer, BufferOptions, Consumer, Context, Frame, Memory, Outcome, Producer, Timeout, Transport,
    Uuid,
};
use rustix::time::{ClockId, clock_gettime};

use super::super::clock::Clock;
use super::super::round::{PATIENCE, Round, repeat};
use super::{Here, Seen, Setup, There};
use crate::failure::Failure;
use crate::gpu::queue::Queue;
use crate::interrupt;

/// What a process has of the GPU besides its channels, made when first needed.
#[derive(Debug)]
pub struct GpuSide {
    context: Context,
    device: Option<Uuid>,
    queue: Option<Queue>,
    /// A source and a target of copies within the GPU.
    local: Option<[Buffer; 2]>,
}

impl GpuSide {
    /// Nothing of the GPU yet.
    pub fn new(context: Context, setup: &Setup) -> Self {
        let device = setup.gpu.as_ref().and_then(|gpu| gpu.device).map(Uuid::from_bytes);
        GpuSide { context, device, queue: None, local: None }
    }

    /// The context of the channels.
    pub fn context(&self) -> &Context {
        &self.context
    }

    fn buffer(&self, size: usize) -> Result<Buffer, Failure> {
        let options = BufferOptions::new(size as u64).memory(Memory::Device).require();
        let options = self.device.iter().fold(options, |options, &device| options.device(device));
        Ok(Buffer::allocate(&self.context, &options)?)
    }

    fn queue(&mut self) -> Result<&mut Queue, Failure> {
        let queue = match self.queue.take() {
            Some(queue) => queue,
            None => Queue::of(self.buffer(4096)?)?,
        };
        Ok(self.queue.insert(queue))
    }

    fn local(&mut self, size: usize) -> Result<&mut [Buffer; 2], Failure> {
        let local = match self.local.take() {
            Some(local) if local[0].info()?.size == size as u64 => local,
            _ => [self.buffer(size)?, self.buffer(size)?],
        };
        Ok(self.local.insert(local))
    }
}

/// Nanoseconds of the clock that all processes share.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn take(consumer: &mut Consumer) -> Result<Frame, Failure> {
    consumer
        .receive()?
        .ok_or_else(|| Failure::Failed("the channel ended during the measurement".to_owned()))
}

/// The end of a channel that a row needs and its setup has.
fn part<T>(part: Option<T>) -> Result<T, Failure> {
    part.ok_or_else(|| Failure::Failed("the setup lacks a channel of this row".to_owned()))
}

fn send(producer: &mut Producer, loan: lava::Loan) -> Result<(), Failure> {
    Ok(producer.send(loan).map_err(lava::Error::from)?)
}

pub(super) fn measure_ready(here: &mut Here, time: Duration) -> Result<Round, Failure> {
    let (producer, back) = (&mut here.producers[0], part(here.backs.first_mut())?);
    let mut exchange = || {
        producer.send_bytes(&[1])?;
        let frame = take(back)?;
        match frame.wait_ready(PATIENCE)? {
            Outcome::Done => Ok(now().saturating_sub(frame.info().timestamp_ns)),
            _ => Err(Failure::Failed("the GPU does not signal".to_owned())),
        }
    };
    for _ in 0..20 {
        exchange()?;
    }
    let (start, mut samples) = (Instant::now(), Vec::new());
    while start.elapsed() < time {
        samples.push(exchange()? as f32);
    }
    here.producers[0].send_bytes(&[])?;
    Ok(round_of(samples))
}

/// A round whose samples were not taken one right after the other.
fn round_of(samples: Vec<f32>) -> Round {
    let elapsed = samples.iter().map(|&sample| f64::from(sample)).sum();
    Round { messages: samples.len() as u64, samples, elapsed }
}

pub(super) fn answer_ready(there: &mut There, size: usize) -> Result<Seen, Failure> {
    let There { consumers, backs, gpu } = there;
    let Some(consumer) = &mut consumers[0] else { return Ok(Seen::default()) };
    let (back, queue) = (part(backs.first_mut())?, gpu.queue()?);
    while !take(consumer)?.is_empty() {
        let mut loan = back.loan(size)?;
        loan.set_timestamp(now())?;
        queue.signal_ready(&mut loan)?;
        send(back, loan)?;
    }
    Ok(Seen::default())
}

pub(super) fn measure_signal(
    here: &mut Here,
    clock: &Clock,
    time: Duration,
) -> Result<Round, Failure> {
    let queue = here.gpu.queue()?;
    repeat(clock, time, || queue.signal_and_wait())
}

pub(super) fn measure_frame(
    here: &mut Here,
    clock: &Clock,
    time: Duration,
    size: usize,
) -> Result<Round, Failure> {
    here.producers[0].send_bytes(&[1])?;
    let frame = take(part(here.backs.first_mut())?)?;
    let (source, offset) = frame.buffer()?;
    let [_, target] = here.gpu.local(size)?;
    let round = repeat(clock, time, || Ok(target.copy_from(0, &source, offset, size as u64)?))?;
    drop(frame);
    here.producers[0].send_bytes(&[])?;
    Ok(round)
}

pub(super) fn answer_frame(there: &mut There, size: usize) -> Result<Seen, Failure> {
    let Some(consumer) = &mut there.consumers[0] else { return Ok(Seen::default()) };
    let back = part(there.backs.first_mut())?;
    while !take(consumer)?.is_empty() {
        let loan = back.loan(size)?;
        send(back, loan)?;
    }
    Ok(Seen::default())
}

pub(super) fn measure_local(
    here: &mut Here,
    clock: &Clock,
    time: Duration,
    size: usize,
) -> Result<Round, Failure> {
    let [source, target] = here.gpu.local(size)?;
    repeat(clock, time, || Ok(target.copy_from(0, source, 0, size as u64)?))
}

/// One sample for the whole round: with several slots, single frames come in turns of waiting and not waiting.
pub(super) fn measure_flow(
    here: &mut Here,
    clock: &Clock,
    time: Duration,
    size: usize,
) -> Result<Round, Failure> {
    let producer = &mut here.producers[0];
    let mut frame = || {
        let loan = producer.loan(size)?;
        send(producer, loan)
    };
    for _ in 0..4 {
        frame()?;
    }
    let mut round = repeat(clock, time, frame)?;
    round.samples = vec![(round.elapsed / round.messages as f64) as f32];
    here.producers[0].send_bytes(&[])?;
    Ok(round)
}

pub(super) fn measure_paced(
    here: &mut Here,
    time: Duration,
    size: usize,
    pause: u64,
) -> Result<Round, Failure> {
    let producer = &mut here.producers[0];
    let (start, mut sent) = (Instant::now(), 0_u64);
    let mut due = start;
    while start.elapsed() < time {
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        interrupt::check()?;
        // From now: a pause that was too long is not made up for by a burst.
        due = Instant::now() + Duration::from_nanos(pause);
        // Without a free slot nobody gets the frame.
        if let Some(loan) = producer.try_loan(size)? {
            send(producer, loan)?;
        }
        sent += 1;
    }
    let elapsed = start.elapsed().as_nanos() as f64;
    // The end must find room in the queues.
    let _ = producer.wait_released(None, Timeout::FOREVER)?;
    producer.send_bytes(&[])?;
    Ok(Round { samples: vec![pause as f32], messages: sent, elapsed })
}

pub(super) fn answer_flow(there: &mut There) -> Result<Seen, Failure> {
    let Some(consumer) = &mut there.consumers[0] else { return Ok(Seen::default()) };
    let mut frames = 0;
    while !take(consumer)?.is_empty() {
        frames += 1;
    }
    let vulkan = consumer.connection()?.transport == Transport::Vulkan;
    Ok(Seen { vulkan_frames: if vulkan { frames } else { 0 }, ..Seen::default() })
}
