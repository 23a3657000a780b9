//! The two rings of a connection, both halves in one thread: the instructions without the travel of cache lines,
//! which `two_processes` has.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::ptr::NonNull;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lava_sys::internals::transport::descriptor::{Descriptor, Origin, Place, Words};
use lava_sys::internals::transport::ring::descriptors::{Popped, Reader, Regions, Writer};
use lava_sys::internals::transport::ring::releases;
use lava_sys::internals::wire::{ConsumerHeader, Line, ProducerHeader, Release};

const LENGTH: u32 = 1024;

/// The memory of a connection, private to this process.
struct Memory {
    producer: Box<ProducerHeader>,
    lines: Vec<Line>,
    consumer: Box<ConsumerHeader>,
    releases: Vec<Release>,
}

impl Memory {
    fn new() -> Self {
        Self {
            producer: Box::default(),
            lines: (0..LENGTH).map(|_| Line::default()).collect(),
            consumer: Box::default(),
            releases: (0..LENGTH).map(|_| Release::default()).collect(),
        }
    }

    fn regions(&self) -> Regions {
        Regions {
            producer: NonNull::from(&*self.producer),
            lines: NonNull::from(&self.lines[0]),
            consumer: NonNull::from(&*self.consumer),
            queue_length: LENGTH,
        }
    }
}

const PLACE: Place =
    Place { slot: 3, buffer: 0, offset: 0, size: 1 << 20, tensor: false, ready: 0 };
const ORIGIN: Origin = Origin { sequence: 1, timestamp_ns: 0, tag: 0 };
/// A way to publish a descriptor.
type Push = fn(&mut Writer);
const FRAMES: [(&str, Push); 3] = [
    ("8 bytes inside", |writer| push(writer, inside(&[1; 8]))),
    ("40 bytes inside", |writer| push(writer, inside(&[1; 40]))),
    ("in a slot", |writer| {
        push(writer, Descriptor::Slot { place: black_box(PLACE), origin: ORIGIN })
    }),
];

fn inside(bytes: &[u8]) -> Descriptor<'_> {
    Descriptor::Inline { bytes: black_box(bytes), origin: ORIGIN }
}

#[inline(always)]
fn push(writer: &mut Writer, descriptor: Descriptor<'_>) {
    writer.push(&descriptor);
}

fn descriptors(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring/descriptors: push and pop");
    for batch in [1_u64, 64] {
        for (name, push) in FRAMES {
            let memory = Memory::new();
            let (mut writer, mut reader) =
                (Writer::new(memory.regions()), Reader::new(memory.regions(), false));
            let mut words = Words::default();
            group.throughput(criterion::Throughput::Elements(batch));
            group.bench_function(BenchmarkId::new(name, batch), |bencher| {
                bencher.iter(|| {
                    assert!(writer.room(batch).unwrap() >= batch);
                    for _ in 0..batch {
                        push(&mut writer);
                    }
                    for _ in 0..batch {
                        assert!(matches!(reader.pop(&mut words).unwrap(), Popped::Frame { .. }));
                        black_box(&words);
                    }
                    reader.announce(0);
                });
            });
        }
    }
    group.finish();
}

fn empty(criterion: &mut Criterion) {
    let memory = Memory::new();
    let mut reader = Reader::new(memory.regions(), false);
    let mut words = Words::default();
    criterion.bench_function("ring/descriptors: look into an empty ring", |bencher| {
        bencher.iter(|| assert_eq!(reader.pop(black_box(&mut words)).unwrap(), Popped::Empty));
    });
}

fn give_back(criterion: &mut Criterion) {
    let memory = Memory::new();
    let entries = NonNull::from(&memory.releases[0]);
    let (writer, mut reader) =
        (releases::Writer::new(entries, LENGTH), releases::Reader::new(entries, LENGTH));
    criterion.bench_function("ring/releases: fill and pop", |bencher| {
        bencher.iter(|| {
            let number = writer.reserve(1);
            writer.fill(number, black_box(3), number);
            assert_eq!(reader.pop(), Some((3, number)));
        });
    });
}

criterion_group!(benches, descriptors, empty, give_back);
criterion_main!(benches);
