//! Frames whose every byte follows from their number: a torn, mixed up, lost or doubled frame cannot look right.

use lava::{Frame, Producer};

/// Sizes that frames have in turn: in the descriptor's line, at its edge, in slots, over several pages.
pub(crate) const SIZES: [usize; 7] = [8, 32, 40, 41, 200, 4096, 12_000];

fn word(seed: u64, number: u64, index: u64) -> u64 {
    let mut value = seed
        ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ index.wrapping_mul(0xd1b5_4a32_d192_ed03);
    value = (value ^ value >> 32).wrapping_mul(0xe703_7ed1_a0b4_28db);
    value ^ value >> 29
}

/// The payload of frame `number` of the stream `seed`.
pub(crate) fn payload(seed: u64, number: u64) -> Vec<u8> {
    let size = SIZES[number as usize % SIZES.len()];
    let words =
        (0..size.div_ceil(8) as u64).flat_map(|index| word(seed, number, index).to_ne_bytes());
    words.take(size).collect()
}

/// Sends frame `number`: small ones as bytes, others as a loan, so that both ways are used.
pub(crate) fn send(producer: &mut Producer, seed: u64, number: u64) -> lava::Result<()> {
    let bytes = payload(seed, number);
    if number.is_multiple_of(2) {
        return producer.send_bytes(&bytes);
    }
    let mut loan = producer.loan(bytes.len())?;
    loan.write_at(0, &bytes)?;
    producer.send(loan).map_err(|error| error.error)
}

/// What is wrong with a frame that should be `number`.
pub(crate) fn check(frame: &Frame, seed: u64, number: u64) -> Result<(), String> {
    let info = frame.info();
    if info.sequence != number {
        return Err(format!("frame {} came where {number} was due", info.sequence));
    }
    check_bytes(frame, seed, number)
}

/// What is wrong with a frame's bytes, whatever its number in the channel.
pub(crate) fn check_bytes(frame: &Frame, seed: u64, number: u64) -> Result<(), String> {
    let bytes = frame.copy_to_vec::<u8>().map_err(|error| error.to_string())?;
    let wanted = payload(seed, number);
    if bytes == wanted {
        return Ok(());
    }
    let at = bytes.iter().zip(&wanted).position(|(found, wanted)| found != wanted);
    Err(format!(
        "frame {number}: {} bytes, not {}; the first wrong one at {at:?}",
        bytes.len(),
        wanted.len()
    ))
}
