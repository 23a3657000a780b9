//! The ring of releases: several threads of the consumer, one of the producer.

use std::sync::Arc;

use loom::thread;

use crate::transport::ring::releases::{Reader, Writer};
use crate::world::{Model, World, explore};

pub const MODELS: &[Model] = &[
    ("releases of two threads", || explore(3, || two_threads(0))),
    ("releases across the ticket's wrap", || explore(2, || two_threads(u64::from(u32::MAX) - 1))),
    ("releases in the next lap", || explore(3, next_lap)),
];

fn pop(reader: &mut Reader) -> (u32, u64) {
    loop {
        match reader.pop() {
            Some(release) => return release,
            None => thread::yield_now(),
        }
    }
}

fn two_threads(start: u64) {
    let world = World::starting_at(1, 4, start);
    let (entries, length) = world.entries();
    let writer = Arc::new(Writer::starting_at(entries, length, start));
    let mut reader = Reader::starting_at(entries, length, start);
    let threads: Vec<_> = [vec![5_u32, 6], vec![7]]
        .into_iter()
        .map(|slots| {
            let (writer, keep) = (Arc::clone(&writer), Arc::clone(&world));
            thread::spawn(move || {
                let first = writer.reserve(slots.len() as u64);
                for (number, slot) in (first..).zip(slots) {
                    writer.fill(number, slot, u64::from(slot) + 100);
                }
                drop(keep);
            })
        })
        .collect();
    let mut slots: Vec<u32> = (0..3)
        .map(|_| {
            let (slot, position) = pop(&mut reader);
            assert_eq!(position, u64::from(slot) + 100, "a release that is half another's");
            slot
        })
        .collect();
    slots.sort_unstable();
    assert_eq!(slots, [5, 6, 7]);
    assert_eq!(reader.pop(), None);
    for thread in threads {
        thread.join().unwrap();
    }
}

/// An entry is used again only after it was read, because a slot is released once before it is published again.
fn next_lap() {
    let world = World::new(1, 2);
    let (entries, length) = world.entries();
    let writer = Writer::new(entries, length);
    let mut reader = Reader::new(entries, length);
    let published = Arc::new(crate::sync::AtomicU64::new(2));
    let (told, keep) = (Arc::clone(&published), Arc::clone(&world));
    let consumer = thread::spawn(move || {
        for position in 0..4 {
            while told.load(crate::sync::Ordering::Acquire) <= position {
                thread::yield_now();
            }
            let number = writer.reserve(1);
            writer.fill(number, (position % 2) as u32, position);
        }
        drop(keep);
    });
    for position in 0..4 {
        assert_eq!(pop(&mut reader), ((position % 2) as u32, position));
        published.store(position + 3, crate::sync::Ordering::Release);
    }
    consumer.join().unwrap();
}
