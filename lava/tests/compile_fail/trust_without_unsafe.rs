//! Trusting a producer is a promise that the compiler cannot check.
use lava::ConsumerOptions;

fn main() {
    let _ = ConsumerOptions::new().trust_producer();
}
