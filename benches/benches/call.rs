//! What a call through the C ABI costs: the smallest ones, and a frame's whole way within one process.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use lava::{
    Consumer, ConsumerOptions, Context, ContextOptions, Producer, ProducerOptions, Received,
};
use lava_sys::{lava_abi_version, lava_frame_data, lava_frame_size};

fn smallest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("call");
    group.bench_function("lava_abi_version", |bencher| {
        // SAFETY: the function has no preconditions.
        bencher.iter(|| black_box(unsafe { lava_abi_version() }));
    });
    group.bench_function("lava_frame_size of NULL", |bencher| {
        // SAFETY: NULL is allowed.
        bencher.iter(|| black_box(unsafe { lava_frame_size(black_box(std::ptr::null())) }));
    });
    group.bench_function("lava_frame_data of NULL", |bencher| {
        // SAFETY: NULL is allowed.
        bencher.iter(|| black_box(unsafe { lava_frame_data(black_box(std::ptr::null())) }));
    });
    group.finish();
}

/// A channel whose both ends are here, so that no cache line travels.
fn both_ends(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let options = ContextOptions::new().runtime_directory(directory.path());
    let context = Context::create(&options).unwrap();
    let mut producer =
        Producer::create(&context, "bench", &ProducerOptions::new().no_timestamp()).unwrap();
    let wait = ConsumerOptions::new().timeout(Duration::from_secs(10));
    let mut consumer = Consumer::open(&context, "bench", &wait).unwrap();
    let mut group = criterion.benchmark_group("both ends in one thread");
    for size in [8, 40, 41, 4096] {
        let data = vec![1_u8; size];
        group.bench_function(format!("send_bytes, receive, release/{size}"), |bencher| {
            bencher.iter(|| {
                producer.send_bytes(black_box(&data)).unwrap();
                take(&mut consumer)
            });
        });
    }
    group.bench_function("loan, send, receive, release/1 MiB untouched", |bencher| {
        bencher.iter(|| {
            let loan = producer.loan(1 << 20).unwrap();
            producer.send(loan).unwrap();
            take(&mut consumer)
        });
    });
    group.bench_function("receive from an empty channel", |bencher| {
        bencher.iter(|| assert!(matches!(consumer.try_receive().unwrap(), Received::Empty)));
    });
    group.bench_function("loan and give back", |bencher| {
        bencher.iter(|| producer.loan(black_box(1 << 20)).unwrap());
    });
    group.finish();
}

fn take(consumer: &mut Consumer) -> usize {
    match consumer.try_receive().unwrap() {
        Received::Frame(frame) => frame.len(),
        other => panic!("{other:?}"),
    }
}

criterion_group!(benches, smallest, both_ends);
criterion_main!(benches);
