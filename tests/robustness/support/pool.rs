//! What a producer tells of its pool.

use lava::Producer;

/// Slots that nobody holds, from the producer's description.
pub(crate) fn free(producer: &Producer) -> u64 {
    let described = producer.describe().expect("a description");
    let after = described.split("\"free_slots\":").nth(1).expect("free_slots in the description");
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}
