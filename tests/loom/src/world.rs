//! Two regions on the heap, as the two ends of a connection see them.

use std::ptr::NonNull;
use std::sync::Arc;

use crate::sync::Ordering;
use crate::transport::descriptor::{
    self, Decoded, Descriptor, Origin, Payload, Place, Words, stamp,
};
use crate::transport::ring::descriptors::{Popped, Reader, Regions};
use crate::wire::{ConsumerHeader, Line, ProducerHeader, Release};

/// A model, by its name.
pub type Model = (&'static str, fn());

/// Explores `body` with at most so many preemptions of a thread that could have gone on.
pub fn explore(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(body);
}

/// The memory of one connection.
pub struct World {
    pub producer: ProducerHeader,
    pub consumer: ConsumerHeader,
    lines: Box<[Line]>,
    entries: Box<[Release]>,
}

impl World {
    pub fn new(queue_length: u32, release_length: u32) -> Arc<Self> {
        Self::starting_at(queue_length, release_length, 0)
    }

    /// As if `position` frames had been sent, received and released.
    pub fn starting_at(queue_length: u32, release_length: u32, position: u64) -> Arc<Self> {
        let world = Self {
            producer: ProducerHeader::default(),
            consumer: ConsumerHeader::default(),
            lines: (0..queue_length).map(|_| Line::default()).collect(),
            entries: (0..release_length).map(|_| Release::default()).collect(),
        };
        world.consumer.consumed.store(position, Ordering::Relaxed);
        world.producer.oldest.store(position, Ordering::Relaxed);
        for former in position.saturating_sub(queue_length.into())..position {
            let line = &world.lines[(former % u64::from(queue_length)) as usize];
            line.words[0].store(stamp(former).into(), Ordering::Relaxed);
        }
        for former in position.saturating_sub(release_length.into())..position {
            let entry = &world.entries[(former % u64::from(release_length)) as usize];
            entry.ticket.store(u64::from(stamp(former)) << 32, Ordering::Relaxed);
        }
        Arc::new(world)
    }

    /// The world must stay alive while these are used.
    pub fn regions(&self) -> Regions {
        Regions {
            producer: NonNull::from(&self.producer),
            lines: NonNull::from(&*self.lines).cast(),
            consumer: NonNull::from(&self.consumer),
            queue_length: self.lines.len() as u32,
        }
    }

    pub fn entries(&self) -> (NonNull<Release>, u32) {
        (NonNull::from(&*self.entries).cast(), self.entries.len() as u32)
    }
}

/// Frame `number`: every word of its descriptor follows from the number. Its slot has the number, too.
pub fn frame(number: u64) -> Descriptor<'static> {
    let slot = number as u32;
    let place =
        Place { slot, buffer: 1, offset: number + 4000, size: number + 3000, tensor: false, ready: 0 };
    let origin = Origin { sequence: number, timestamp_ns: number + 1000, tag: number + 2000 };
    Descriptor::Slot { place, origin }
}

/// What the consumer takes out of a ring.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    Frame(u64),
    Back { slot: u32 },
    Nothing,
}

/// One look into the ring, with a check that no word of a frame is another frame's. Also gives the position.
pub fn pop(reader: &mut Reader) -> (Taken, u64) {
    let mut words = Words::default();
    let popped = reader.pop(&mut words).unwrap();
    reader.announce(0);
    match popped {
        Popped::Frame { position } => {
            let number = words[1];
            let Descriptor::Slot { place, origin } = frame(number) else { unreachable!() };
            let whole = Decoded { origin, payload: Payload::Elsewhere(place) };
            assert_eq!(descriptor::decode(&words), Some(whole), "a torn descriptor");
            (Taken::Frame(number), position)
        }
        Popped::TakenBack { slot, position } => (Taken::Back { slot }, position),
        Popped::Empty => (Taken::Nothing, 0),
    }
}
