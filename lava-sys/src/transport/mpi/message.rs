//! What a message of frames looks like.
//!
//! ```text
//! frames           record, record, ...
//!   a record       payload, (tensor,) line              or, where the payload is in the line, the line alone
//! a large frame    (tensor,) line with `bulk`           then its payload in chunks, on the next tag
//! ```
//! A line is the 64 bytes of a descriptor. It comes last, directly behind the payload, so that a message of one record is
//! sent from the frame's slot and received into one, where the payload keeps the slot's alignment. The records of a longer
//! message are found from its end. Lines are not aligned in memory. The low half of a line's first word, which only its
//! ring uses, has marks of the message if the line is its last.

use crate::transport::descriptor::{self, Decoded, FLAG_READY, Payload, Words, is_elsewhere};
use crate::transport::metadata::TENSOR_WORDS;
use crate::wire::LINE;

/// Bytes of a tensor.
pub const TENSOR: usize = TENSOR_WORDS * size_of::<u64>();

/// Room behind the payload of a slot whose frames may go to other hosts.
pub const SLACK: u64 = 256;

/// Most bytes of a message that carries payload. MPI counts with `int`, and some move a whole message in one call, in which
/// nothing else moves. Small in unit tests, which then have frames of many parts.
pub const CHUNK: usize = if cfg!(test) { 1 << 14 } else { 1 << 26 };

/// Most bytes of a message of several frames: what MPIs send at once through shared memory, with their own header.
pub const SMALL: usize = 62 * LINE;
/// Longest payload that shares a message: beyond it a copy costs more than a message of its own.
pub const SHARED: u64 = 1024;

/// Mark of a message: the consumer's engine is to tell at once that it came.
pub const ASKS: u64 = 1;

/// In the flags of a line: the payload comes apart.
const FLAG_BULK: u64 = 8 << 48;

const _: () =
    assert!((LINE + TENSOR) as u64 <= SLACK && SMALL > 2 * (SHARED as usize + TENSOR + LINE));

/// A descriptor for another process: without what only its own memory explains.
pub fn seal(words: &Words, bulk: bool) -> Words {
    let mut sealed = *words;
    sealed[0] &= !u64::from(u32::MAX);
    if is_elsewhere(words) {
        sealed[0] &= !(u64::from(FLAG_READY) << 48);
        sealed[0] |= if bulk { FLAG_BULK } else { 0 };
        sealed[5] &= u64::from(u32::MAX);
        (sealed[6], sealed[7]) = (0, 0);
    }
    sealed
}

/// A received line: its words without marks of this module, what they say, and whether the payload comes apart. None:
/// nothing that a correct peer sends.
pub fn open(mut words: Words) -> Option<(Words, Decoded, bool)> {
    let bulk = is_elsewhere(&words) && words[0] & FLAG_BULK != 0;
    if bulk {
        words[0] &= !FLAG_BULK;
    }
    Some((words, descriptor::decode(&words)?, bulk))
}

/// The same descriptor with its payload in this slot, or in all of this buffer.
pub fn place(mut words: Words, slot: u32, buffer: u32) -> Words {
    words[5] = u64::from(slot) | u64::from(buffer) << 32;
    (words[6], words[7]) = (0, 0);
    words
}

/// The parts of a payload of `size` bytes: offset and length of each.
pub fn chunks(size: u64) -> impl Iterator<Item = (u64, usize)> {
    let chunk = CHUNK as u64;
    (0..size.div_ceil(chunk)).map(move |index| {
        let at = index * chunk;
        (at, (size - at).min(chunk) as usize)
    })
}

/// Marks of a message, by its last line.
pub fn marks(line: &Words) -> u64 {
    line[0] & u64::from(u32::MAX)
}

/// Bytes of a frame's record behind its payload.
pub fn tail(tensor: bool) -> usize {
    LINE + if tensor { TENSOR } else { 0 }
}

/// Where the records of a message begin, and where the last one ends. `begins` is filled from the front; false: a message
/// that no correct peer sends.
pub fn records(message: &[u8], begins: &mut Vec<usize>) -> bool {
    begins.clear();
    let mut end = message.len();
    begins.push(end);
    while end > 0 {
        let Some((_, decoded, false)) = last_line(&message[..end]).and_then(open) else {
            return false;
        };
        let length = match decoded.payload {
            Payload::Elsewhere(place) => usize::try_from(place.size)
                .ok()
                .and_then(|size| size.checked_add(tail(place.tensor))),
            _ => Some(LINE),
        };
        let Some(begin) = length.and_then(|length| end.checked_sub(length)) else { return false };
        begins.push(begin);
        end = begin;
    }
    begins.reverse();
    true
}

/// Reads the line at the end of some bytes.
pub fn last_line(bytes: &[u8]) -> Option<Words> {
    bytes.last_chunk::<LINE>().map(|line| bytemuck::pod_read_unaligned(line))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sync::AtomicU64;
    use crate::transport::descriptor::{Descriptor, Origin, Place};
    use crate::wire::Line;

    fn words(descriptor: &Descriptor<'_>) -> Words {
        let line = Line::default();
        descriptor.put(&line, 99);
        line.words.map(AtomicU64::into_inner)
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_with_its_place_forgotten(
            slot in any::<u32>(), buffer in any::<u32>(), size in any::<u64>(), tensor in any::<bool>(),
            ready in any::<u64>(), bulk in any::<bool>(), sequence in any::<u64>(), tag in any::<u64>(),
        ) {
            let origin = Origin { sequence, timestamp_ns: 5, tag };
            let place = Place { slot, buffer, offset: 9, size, tensor, ready };
            let sealed = seal(&words(&Descriptor::Slot { place, origin }), bulk);
            let (plain, decoded, found) = open(sealed).unwrap();
            prop_assert_eq!((found, decoded.origin), (bulk, origin));
            let expected = Place { buffer: 0, offset: 0, ready: 0, ..place };
            prop_assert_eq!(decoded.payload, Payload::Elsewhere(expected));
            prop_assert!(descriptor::decode(&plain).is_some());
        }

        #[test]
        fn small_frames_stay_as_they_are(bytes in prop::collection::vec(any::<u8>(), 0..=40), bulk in any::<bool>()) {
            let before = words(&Descriptor::Inline { bytes: &bytes, origin: Origin::default() });
            let (after, _, found) = open(seal(&before, bulk)).unwrap();
            prop_assert!(!found && after[1..] == before[1..] && after[0] == before[0] >> 32 << 32);
        }

        #[test]
        fn garbage_does_no_harm(words in any::<Words>(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = open(words);
            records(&bytes, &mut Vec::new());
        }

        #[test]
        fn records_are_found_from_the_end(sizes in prop::collection::vec((any::<bool>(), 0..200_u64, any::<bool>()), 1..20)) {
            let (mut message, mut expected) = (Vec::new(), vec![0]);
            for (inline, size, tensor) in sizes {
                let place = Place { slot: 3, buffer: 0, offset: 0, size, tensor, ready: 0 };
                let origin = Origin::default();
                let line = if inline {
                    seal(&words(&Descriptor::Inline { bytes: &[5; 8], origin }), false)
                } else {
                    message.resize(message.len() + size as usize + tail(tensor) - LINE, 0xa5);
                    seal(&words(&Descriptor::Slot { place, origin }), false)
                };
                message.extend_from_slice(bytemuck::bytes_of(&line));
                expected.push(message.len());
            }
            let mut begins = Vec::new();
            prop_assert!(records(&message, &mut begins));
            prop_assert_eq!(begins, expected);
            message.insert(0, 0);
            prop_assert!(!records(&message, &mut Vec::new()));
        }
    }

    #[test]
    fn chunks_cover_a_payload_once() {
        for size in [0, 1, CHUNK as u64, CHUNK as u64 + 1, 5 << 30] {
            let mut next = 0;
            for (at, length) in chunks(size) {
                assert_eq!(at, next);
                next += length as u64;
            }
            assert_eq!(next, size);
        }
    }
}
