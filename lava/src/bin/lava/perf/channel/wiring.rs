//! Opening the channels of an exchange at both ends.

use std::time::Duration;

use lava::{
    Consumer, ConsumerOptions, Context, ContextOptions, Memory, Outcome, Policy, Producer,
    ProducerOptions, Timeout, Transport, Uuid,
};

use super::gpu::GpuSide;
use super::{GpuSetup, Setup, Waiting};
use crate::failure::Failure;

const PATIENCE: Duration = Duration::from_secs(10);

/// The measuring process's ends.
#[derive(Debug)]
pub struct Here {
    /// The producer of each channel.
    pub producers: Vec<Producer>,
    /// The consumer of each channel back.
    pub backs: Vec<Consumer>,
    /// What only rows on a GPU need.
    pub gpu: GpuSide,
}

/// An answering process's ends.
#[derive(Debug)]
pub struct There {
    /// The consumer of each channel in which this process takes part.
    pub consumers: Vec<Option<Consumer>>,
    /// The producer of each channel back.
    pub backs: Vec<Producer>,
    /// What only rows on a GPU need.
    pub gpu: GpuSide,
}

fn context(setup: &Setup) -> Result<Context, Failure> {
    let spin = match setup.waiting {
        Waiting::Polling => Timeout::FOREVER,
        Waiting::Blocking => Timeout::NONE,
    };
    Ok(Context::create(&ContextOptions::new().spin(spin))?)
}

fn producer(
    context: &Context,
    setup: &Setup,
    channel: usize,
    name: &str,
) -> Result<Producer, Failure> {
    let options = ProducerOptions::new()
        .max_frame_size(setup.frame_size as u64)
        .capacity(setup.capacity)
        .queue_length(setup.queue_length);
    let options = if setup.timestamps { options } else { options.no_timestamp() };
    let options = match &setup.gpu {
        Some(gpu) if gpu.lossy => options.policy(Policy::DropNewest),
        _ => options,
    };
    let options = match on_gpu(setup, channel) {
        Some(gpu) => {
            let options = options.memory(Memory::Device).require_memory();
            gpu.device
                .iter()
                .fold(options, |options, &device| options.device(Uuid::from_bytes(device)))
        }
        None => options,
    };
    Ok(Producer::create(context, name, &options)?)
}

/// `number`: of the answering process; `None` for the measuring one. The transport is required: another one would be
/// another measurement.
fn consumer(
    context: &Context,
    setup: &Setup,
    (channel, number): (usize, Option<usize>),
    name: &str,
) -> Result<Consumer, Failure> {
    let options = ConsumerOptions::new().timeout(PATIENCE);
    let options = match on_gpu(setup, channel) {
        None => options,
        Some(gpu) if number.is_some_and(|number| number < gpu.host_consumers) => {
            options.memory(Memory::Standard).require_transport(Transport::Staged)
        }
        Some(gpu) => {
            let options = options.memory(Memory::Device).require_transport(Transport::Vulkan);
            gpu.device
                .iter()
                .fold(options, |options, &device| options.device(Uuid::from_bytes(device)))
        }
    };
    Ok(Consumer::open(context, name, &options)?)
}

/// The setup of a channel whose frames lie in device memory.
fn on_gpu(setup: &Setup, channel: usize) -> Option<&GpuSetup> {
    setup.gpu.as_ref().filter(|gpu| gpu.channels.contains(&channel))
}

fn forward(prefix: &str, channel: usize) -> String {
    format!("{prefix}/to-{channel}")
}

fn backward(prefix: &str, channel: usize) -> String {
    format!("{prefix}/back-{channel}")
}

/// The numbers of the channels back.
fn backs(setup: &Setup) -> std::ops::Range<usize> {
    0..if setup.back { setup.consumers.len() } else { 0 }
}

impl Here {
    /// Creates the producers; consumers can come then.
    pub fn create(setup: &Setup, prefix: &str) -> Result<Self, Failure> {
        let context = context(setup)?;
        let producers = (0..setup.consumers.len())
            .map(|channel| producer(&context, setup, channel, &forward(prefix, channel)))
            .collect::<Result<_, _>>()?;
        let gpu = GpuSide::new(context, setup);
        Ok(Here { producers, backs: Vec::new(), gpu })
    }

    /// Waits until every consumer is there, and opens the channel back.
    pub fn complete(&mut self, setup: &Setup, prefix: &str) -> Result<(), Failure> {
        let context = self.gpu.context();
        self.backs = backs(setup)
            .map(|channel| consumer(context, setup, (channel, None), &backward(prefix, channel)))
            .collect::<Result<_, _>>()?;
        for (producer, &count) in self.producers.iter_mut().zip(&setup.consumers) {
            if producer.wait_consumers(count as u32, PATIENCE)? == Outcome::TimedOut {
                return Err(Failure::Failed(format!(
                    "{count} consumers did not come within {PATIENCE:?}"
                )));
            }
        }
        Ok(())
    }
}

impl There {
    /// Opens the ends of answering process number `number`, from 0.
    pub fn open(setup: &Setup, prefix: &str, number: usize) -> Result<Self, Failure> {
        let context = context(setup)?;
        let backs = match number {
            0 => backs(setup)
                .map(|channel| producer(&context, setup, channel, &backward(prefix, channel)))
                .collect::<Result<_, _>>()?,
            _ => Vec::new(),
        };
        let joined = setup.consumers.iter().enumerate();
        let consumers = joined
            .map(|(channel, &count)| match number < count {
                true => {
                    let end = (channel, Some(number));
                    consumer(&context, setup, end, &forward(prefix, channel)).map(Some)
                }
                false => Ok(None),
            })
            .collect::<Result<_, _>>()?;
        let gpu = GpuSide::new(context, setup);
        Ok(There { consumers, backs, gpu })
    }
}
