//! A consumer is used by one thread at a time.
use lava::Consumer;

fn share(consumer: &Consumer) {
    std::thread::scope(|scope| {
        scope.spawn(|| consumer.connection());
    });
}

fn main() {}
