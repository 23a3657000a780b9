//! Policy drop-oldest: the producer takes frames back while the consumer claims them. Every frame is delivered or
//! taken back, never both, and every slot comes back exactly once.

use std::sync::Arc;

use loom::thread;

use crate::transport::ring::descriptors::{Dropped, Reader, Writer};
use crate::world::{Model, Taken, World, explore, frame, pop};

pub const MODELS: &[Model] = &[
    ("dropping one of two", || explore(3, || race(1, 2, 1, 0))),
    ("dropping two of three", || explore(2, || race(1, 3, 1, 0))),
    ("dropping from a ring of two", || explore(2, || race(2, 3, 1, 0))),
    ("dropping without pushing", || explore(2, drop_two)),
    ("dropping across the stamp's wrap", || explore(2, || race(1, 2, 2, u64::from(u32::MAX)))),
];

/// What the consumer did: frames delivered, and (slot, position) given back.
#[derive(Default)]
struct Received {
    delivered: Vec<u64>,
    returned: Vec<(u32, u64)>,
}

/// One look into the ring. False: it was empty.
fn look(reader: &mut Reader, received: &mut Received) -> bool {
    let (taken, position) = pop(reader);
    match taken {
        Taken::Frame(number) => {
            received.delivered.push(number);
            received.returned.push((number as u32, position));
        }
        Taken::Back { slot } => received.returned.push((slot, position)),
        Taken::Nothing => return false,
    }
    true
}

/// The producer's bookkeeping, as the channel does it: by slot, the position at which it is held.
struct Slots {
    held: Vec<Option<u64>>,
    taken: Vec<u64>,
}

impl Slots {
    fn new(count: u64) -> Self {
        Self { held: vec![None; count as usize], taken: Vec::new() }
    }

    fn push(&mut self, writer: &mut Writer, number: u64) {
        let position = writer.push(&frame(number));
        assert_eq!(self.held[number as usize].replace(position), None);
    }

    /// Makes room by dropping.
    fn drop_one(&mut self, writer: &mut Writer) {
        match writer.drop_oldest().unwrap() {
            Dropped::Taken(slot) => {
                let slot = slot.expect("every frame here has a slot");
                assert!(self.held[slot as usize].take().is_some(), "slot {slot} taken back twice");
                self.taken.push(slot.into());
            }
            Dropped::Claimed | Dropped::Empty => {}
        }
    }

    /// What comes back at last: a release that is not expected is ignored.
    fn settle(mut self, received: &Received) {
        for &(slot, position) in &received.returned {
            if let Some(held) = self.held.get_mut(slot as usize)
                && *held == Some(position)
            {
                *held = None;
            }
        }
        assert!(self.held.iter().all(Option::is_none), "lost slots: {:?}", self.held);
        assert!(received.delivered.is_sorted_by(|a, b| a < b), "{:?}", received.delivered);
        for number in &self.taken {
            assert!(!received.delivered.contains(number), "frame {number} was also delivered");
        }
    }
}

/// The producer sends `count` frames; meanwhile the consumer looks so many times, and at last takes what is left.
fn race(queue_length: u32, count: u64, looks: u32, start: u64) {
    let world = World::starting_at(queue_length, 1, start);
    let mut writer = Writer::starting_at(world.regions(), start);
    let mut reader = Reader::starting_at(world.regions(), true, start);
    let keep = Arc::clone(&world);
    let producer = thread::spawn(move || {
        let mut slots = Slots::new(count);
        for number in 0..count {
            if writer.room(1).unwrap() == 0 {
                slots.drop_one(&mut writer);
            }
            assert!(writer.room(1).unwrap() > 0);
            slots.push(&mut writer, number);
        }
        drop(keep);
        slots
    });
    let mut received = Received::default();
    for _ in 0..looks {
        look(&mut reader, &mut received);
    }
    let slots = producer.join().unwrap();
    while look(&mut reader, &mut received) {}
    assert!(!reader.ready());
    assert_eq!(received.delivered.last(), Some(&(count - 1)), "the newest frame is never dropped");
    slots.settle(&received);
}

/// Drops without pushing in between, as for want of slots: the lines stay as they were.
fn drop_two() {
    let world = World::new(2, 1);
    let mut writer = Writer::new(world.regions());
    let mut reader = Reader::new(world.regions(), true);
    let mut slots = Slots::new(3);
    slots.push(&mut writer, 0);
    slots.push(&mut writer, 1);
    let keep = Arc::clone(&world);
    let producer = thread::spawn(move || {
        slots.drop_one(&mut writer);
        slots.drop_one(&mut writer);
        slots.push(&mut writer, 2);
        drop(keep);
        slots
    });
    let mut received = Received::default();
    look(&mut reader, &mut received);
    let slots = producer.join().unwrap();
    while look(&mut reader, &mut received) {}
    slots.settle(&received);
}
