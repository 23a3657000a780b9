//! Opening the channels of an exchange at both ends.

use std::time::Duration;

use lava::{
    Consumer, ConsumerOptions, Context, ContextOptions, Outcome, Producer, ProducerOptions, Timeout,
};

use super::{Setup, Waiting};
use crate::failure::Failure;

const PATIENCE: Duration = Duration::from_secs(10);

/// The measuring process's ends.
#[derive(Debug)]
pub struct Here {
    /// The producer of each channel.
    pub producers: Vec<Producer>,
    /// The consumer of the channel back.
    pub back: Option<Consumer>,
}

/// An answering process's ends.
#[derive(Debug)]
pub struct There {
    /// The consumer of each channel in which this process takes part.
    pub consumers: Vec<Option<Consumer>>,
    /// The producer of the channel back.
    pub back: Option<Producer>,
}

fn context(setup: &Setup) -> Result<Context, Failure> {
    let spin = match setup.waiting {
        Waiting::Polling => Timeout::FOREVER,
        Waiting::Blocking => Timeout::NONE,
    };
    Ok(Context::create(&ContextOptions::new().spin(spin))?)
}

fn producer(context: &Context, setup: &Setup, name: &str) -> Result<Producer, Failure> {
    let options = ProducerOptions::new()
        .max_frame_size(setup.frame_size as u64)
        .capacity(setup.capacity)
        .queue_length(setup.queue_length);
    let options = if setup.timestamps { options } else { options.no_timestamp() };
    Ok(Producer::create(context, name, &options)?)
}

fn consumer(context: &Context, name: &str) -> Result<Consumer, Failure> {
    Ok(Consumer::open(context, name, &ConsumerOptions::new().timeout(PATIENCE))?)
}

fn forward(prefix: &str, channel: usize) -> String {
    format!("{prefix}/to-{channel}")
}

fn backward(prefix: &str) -> String {
    format!("{prefix}/back")
}

impl Here {
    /// Creates the producers; consumers can come then.
    pub fn create(setup: &Setup, prefix: &str) -> Result<(Self, Context), Failure> {
        let context = context(setup)?;
        let producers = (0..setup.consumers.len())
            .map(|channel| producer(&context, setup, &forward(prefix, channel)))
            .collect::<Result<_, _>>()?;
        Ok((Here { producers, back: None }, context))
    }

    /// Waits until every consumer is there, and opens the channel back.
    pub fn complete(
        &mut self,
        context: &Context,
        setup: &Setup,
        prefix: &str,
    ) -> Result<(), Failure> {
        if setup.back {
            self.back = Some(consumer(context, &backward(prefix))?);
        }
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
        let back = match setup.back && number == 0 {
            true => Some(producer(&context, setup, &backward(prefix))?),
            false => None,
        };
        let joined = setup.consumers.iter().enumerate();
        let consumers = joined
            .map(|(channel, &count)| match number < count {
                true => consumer(&context, &forward(prefix, channel)).map(Some),
                false => Ok(None),
            })
            .collect::<Result<_, _>>()?;
        Ok(There { consumers, back })
    }
}
