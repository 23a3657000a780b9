//! The bookkeeping of slots: who holds what.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lava_sys::internals::channel::pool::Pool;

fn pool(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pool");
    for capacity in [8, 1024] {
        for consumers in [1_u32, 8, 64] {
            let mut pool = Pool::new(capacity);
            let set = u64::MAX >> (64 - consumers);
            let name = format!("take, publish, release by {consumers}");
            group.bench_function(BenchmarkId::new(name, capacity), |bencher| {
                bencher.iter(|| {
                    let slot = pool.take().unwrap();
                    pool.publish(black_box(slot), set);
                    for consumer in 0..consumers {
                        assert!(pool.release(slot, 1 << consumer));
                    }
                });
            });
        }
        let mut pool = Pool::new(capacity);
        group.bench_function(
            BenchmarkId::new("a consumer that holds all dies", capacity),
            |bencher| {
                bencher.iter(|| {
                    while let Some(slot) = pool.take() {
                        pool.publish(slot, 1);
                    }
                    pool.release_all(black_box(1));
                });
            },
        );
    }
    group.finish();
}

criterion_group!(benches, pool);
criterion_main!(benches);
