//! Writing, reading and copying payloads: the same code for lava and for the limits, out of line so that the
//! compiler can neither remove it nor fit it to one of them.

use std::hint::black_box;

/// Most bytes of [`noise`]; larger memory is filled with repetitions of it.
pub const NOISE: usize = 32 << 20;

/// At most [`NOISE`] bytes that cannot be compressed: GPUs move memory of repeated values faster than any other.
/// The generator is SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
pub fn noise(size: usize) -> Vec<u8> {
    let mut state = 0_u64;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    let size = size.min(NOISE);
    let mut bytes: Vec<u8> = (0..size.div_ceil(8)).flat_map(|_| next().to_ne_bytes()).collect();
    bytes.truncate(size);
    bytes
}

/// Writes all `size` bytes at `start`.
///
/// # Safety
/// The bytes are mapped writable, and nobody else reads or writes them meanwhile.
#[inline(never)]
pub unsafe fn fill(start: *mut u8, size: usize, value: u8) {
    // SAFETY: the caller's promise.
    unsafe { std::ptr::write_bytes(black_box(start), black_box(value), size) };
}

/// Reads all `size` bytes at `start` as 64-bit words (what is left over at the end as bytes) and adds them up.
///
/// # Safety
/// The bytes are mapped readable, `start` is aligned to 8, and nobody writes them meanwhile.
#[inline(never)]
pub unsafe fn sum(start: *const u8, size: usize) -> u64 {
    let start = black_box(start);
    // SAFETY: the caller's promise; words end within `size`.
    let words = unsafe { std::slice::from_raw_parts(start.cast::<u64>(), size / 8) };
    // SAFETY: as above.
    let rest = unsafe { std::slice::from_raw_parts(start.wrapping_add(size / 8 * 8), size % 8) };
    let total = words.iter().fold(0_u64, |sum, word| sum.wrapping_add(*word));
    black_box(rest.iter().fold(total, |sum, byte| sum.wrapping_add(u64::from(*byte))))
}

/// Copies `size` bytes.
///
/// # Safety
/// Both ranges are mapped, do not overlap, and nobody else writes them meanwhile.
#[inline(never)]
pub unsafe fn copy(from: *const u8, to: *mut u8, size: usize) {
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(black_box(from), black_box(to), size) };
}
