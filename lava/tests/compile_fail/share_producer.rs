//! A producer is used by one thread at a time.
use lava::Producer;

fn share(producer: &Producer) {
    std::thread::scope(|scope| {
        scope.spawn(|| producer.consumer_count());
    });
}

fn main() {}
