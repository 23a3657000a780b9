//! The ring of descriptors without drops: all frames, in order, untorn.

use std::sync::Arc;

use loom::thread;

use crate::transport::ring::descriptors::{Reader, Writer};
use crate::world::{Model, Taken, World, explore, frame, pop};

pub const MODELS: &[Model] = &[
    ("frames in order", || explore(3, || in_order(2, 3, 0))),
    ("frames of a ring of one", || explore(2, || in_order(1, 3, 0))),
    ("frames across the stamp's wrap", || explore(2, || in_order(2, 4, u64::from(u32::MAX) - 1))),
    ("frames in a far lap", || explore(2, || in_order(2, 3, (1 << 40) - 1))),
    ("frames before the close", || explore(3, before_the_close)),
];

/// The next frame, waiting for it.
fn wait(reader: &mut Reader) -> u64 {
    loop {
        match pop(reader) {
            (Taken::Frame(number), position) => {
                assert_eq!(position + 1, reader.consumed());
                return number;
            }
            (Taken::Nothing, _) => thread::yield_now(),
            other => panic!("{other:?}"),
        }
    }
}

fn in_order(queue_length: u32, count: u64, start: u64) {
    let world = World::starting_at(queue_length, 1, start);
    let mut writer = Writer::starting_at(world.regions(), start);
    let mut reader = Reader::starting_at(world.regions(), false, start);
    let keep = Arc::clone(&world);
    let producer = thread::spawn(move || {
        for number in 0..count {
            while writer.room(1).unwrap() == 0 {
                thread::yield_now();
            }
            assert_eq!(writer.push(&frame(number)), start + number);
        }
        drop(keep);
    });
    for number in 0..count {
        assert_eq!(wait(&mut reader), number);
    }
    producer.join().unwrap();
    assert_eq!(pop(&mut reader).0, Taken::Nothing);
    assert!(!reader.ready());
}

/// Who sees the close sees every frame before it.
fn before_the_close() {
    let world = World::new(2, 1);
    let mut writer = Writer::new(world.regions());
    let mut reader = Reader::new(world.regions(), false);
    let keep = Arc::clone(&world);
    let producer = thread::spawn(move || {
        writer.push(&frame(0));
        writer.push(&frame(1));
        writer.close();
        drop(keep);
    });
    if reader.closed() {
        for number in 0..2 {
            assert_eq!(pop(&mut reader).0, Taken::Frame(number));
        }
    }
    producer.join().unwrap();
}
