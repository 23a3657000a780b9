//! What memory costs to get and to give back, by kind and size, and what a channel costs to create.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lava::{Buffer, BufferOptions, Context, ContextOptions, Memory, Producer, ProducerOptions};

const KINDS: [(&str, Memory); 4] = [
    ("standard", Memory::Standard),
    ("numa", Memory::Numa),
    ("huge", Memory::Huge),
    ("pinned", Memory::Pinned),
];

fn buffers(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let options = ContextOptions::new().runtime_directory(directory.path());
    let context = Context::create(&options).unwrap();
    for (sharing, shareable) in [("private", false), ("shareable", true)] {
        let mut group = criterion.benchmark_group(format!("allocation/{sharing}"));
        for (name, memory) in KINDS {
            for size in [4 << 10, 4 << 20] {
                let options = BufferOptions::new(size).memory(memory).require();
                let options = if shareable { options.shareable() } else { options };
                if let Err(error) = Buffer::allocate(&context, &options) {
                    println!("skipped: {name}, {size} bytes: {error}");
                    continue;
                }
                group.bench_function(BenchmarkId::new(name, size), |bencher| {
                    bencher.iter(|| {
                        black_box(Buffer::allocate(&context, black_box(&options)).unwrap())
                    });
                });
            }
        }
        group.finish();
    }
}

fn channels(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let options = ContextOptions::new().runtime_directory(directory.path());
    let context = Context::create(&options).unwrap();
    criterion.bench_function("channel/create", |bencher| {
        bencher.iter(|| Producer::create(&context, "bench", &ProducerOptions::new()).unwrap());
    });
    criterion.bench_function("context/create", |bencher| {
        bencher.iter(|| Context::create(black_box(&options)).unwrap());
    });
}

criterion_group!(benches, buffers, channels);
criterion_main!(benches);
