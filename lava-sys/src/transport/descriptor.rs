//! What a descriptor says: one frame, as it crosses a connection in one cache line.
//!
//! ```text
//! word 0  stamp: low half of (position + 1) | kind (8) | inline size (8) | flags (16)
//! word 1  sequence
//! word 2  timestamp
//! kind INLINE, no tag:  words 3..8  payload (up to 40 bytes)
//! kind INLINE, tag:     word 3 tag, words 4..8 payload (up to 32 bytes)
//! kind SLOT:            word 3 tag, word 4 size, word 5 slot | buffer id << 32, word 6 offset in the buffer
//! ```

use crate::types::LAVA_FRAME_INLINE_SIZE;

/// Words of payload that fit beside the first three.
pub const INLINE_WORDS: usize = LAVA_FRAME_INLINE_SIZE / 8;
/// The same in bytes when the frame has a tag.
pub const INLINE_SIZE_WITH_TAG: usize = LAVA_FRAME_INLINE_SIZE - 8;

/// The descriptor has a tensor in its slot's metadata.
pub const FLAG_TENSOR: u16 = 1;
/// The descriptor has a tag.
pub const FLAG_TAG: u16 = 2;

const KIND_INLINE: u64 = 1;
const KIND_SLOT: u64 = 2;

/// Where the payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// In the descriptor: bytes in memory order, and how many.
    Inline { words: [u64; INLINE_WORDS], size: u8 },
    /// In the pool (`buffer` 0) or in a registered buffer, `offset` bytes from its start. A slot is taken in any case.
    Slot { slot: u32, buffer: u32, offset: u64, size: u64 },
}

/// One frame on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    pub sequence: u64,
    pub timestamp_ns: u64,
    pub tag: u64,
    pub tensor: bool,
    pub payload: Payload,
}

impl Descriptor {
    pub fn size(&self) -> u64 {
        match self.payload {
            Payload::Inline { size, .. } => size.into(),
            Payload::Slot { size, .. } => size,
        }
    }

    /// The eight words that publish this descriptor at `position`.
    #[inline(always)]
    pub fn encode(&self, position: u64) -> [u64; 8] {
        let stamp = stamp(position);
        let mut flags = 0;
        if self.tensor {
            flags |= FLAG_TENSOR;
        }
        let mut words = [0, self.sequence, self.timestamp_ns, 0, 0, 0, 0, 0];
        let (kind, inline_size) = match self.payload {
            Payload::Inline { words: payload, size } => {
                if self.tag == 0 {
                    words[3..].copy_from_slice(&payload);
                } else {
                    flags |= FLAG_TAG;
                    words[3] = self.tag;
                    words[4..].copy_from_slice(&payload[..INLINE_WORDS - 1]);
                }
                (KIND_INLINE, size)
            }
            Payload::Slot { slot, buffer, offset, size } => {
                words[3] = self.tag;
                words[4] = size;
                words[5] = u64::from(slot) | u64::from(buffer) << 32;
                words[6] = offset;
                (KIND_SLOT, 0)
            }
        };
        words[0] =
            u64::from(stamp) | kind << 32 | u64::from(inline_size) << 40 | u64::from(flags) << 48;
        words
    }

    /// Reads what a peer published. None if it is none that a correct peer can have written; ranges of slots and
    /// buffers are for the caller to check.
    #[inline(always)]
    pub fn decode(words: &[u64; 8]) -> Option<Self> {
        let [first, sequence, timestamp_ns, ..] = *words;
        let flags = (first >> 48) as u16;
        let inline_size = (first >> 40) as u8;
        if flags & !(FLAG_TENSOR | FLAG_TAG) != 0 {
            return None;
        }
        let tensor = flags & FLAG_TENSOR != 0;
        let (tag, payload) = match first >> 32 & 0xff {
            KIND_INLINE if tensor => return None,
            KIND_INLINE if flags & FLAG_TAG != 0 => {
                let mut payload = [0; INLINE_WORDS];
                payload[..INLINE_WORDS - 1].copy_from_slice(&words[4..]);
                if usize::from(inline_size) > INLINE_SIZE_WITH_TAG {
                    return None;
                }
                (words[3], Payload::Inline { words: payload, size: inline_size })
            }
            KIND_INLINE => {
                let mut payload = [0; INLINE_WORDS];
                payload.copy_from_slice(&words[3..]);
                if usize::from(inline_size) > LAVA_FRAME_INLINE_SIZE {
                    return None;
                }
                (0, Payload::Inline { words: payload, size: inline_size })
            }
            KIND_SLOT => {
                let (slot, buffer) = (words[5] as u32, (words[5] >> 32) as u32);
                (words[3], Payload::Slot { slot, buffer, offset: words[6], size: words[4] })
            }
            _ => return None,
        };
        Some(Self { sequence, timestamp_ns, tag, tensor, payload })
    }
}

/// The stamp that marks a line as holding the descriptor of `position`. A line's former stamp differs from it by the
/// ring's length, which is below 2^32, so it can never be mistaken. Position 2^32 - 1 gives 0, which is also what a
/// fresh line holds: on the first lap positions are below the ring's length, so that cannot be mistaken either.
#[inline(always)]
pub const fn stamp(position: u64) -> u32 {
    (position as u32).wrapping_add(1)
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn descriptor() -> impl Strategy<Value = Descriptor> {
        let payload = prop_oneof![
            (any::<[u64; INLINE_WORDS]>(), 0..=LAVA_FRAME_INLINE_SIZE as u8)
                .prop_map(|(words, size)| Payload::Inline { words, size }),
            (any::<u32>(), any::<u32>(), any::<u64>(), any::<u64>()).prop_map(
                |(slot, buffer, offset, size)| Payload::Slot { slot, buffer, offset, size }
            ),
        ];
        (any::<u64>(), any::<u64>(), prop_oneof![Just(0), any::<u64>()], any::<bool>(), payload)
            .prop_map(|(sequence, timestamp_ns, tag, tensor, payload)| {
                let mut descriptor = Descriptor { sequence, timestamp_ns, tag, tensor, payload };
                // What the channel never sends: it takes a slot instead.
                if let Payload::Inline { words, size } = &mut descriptor.payload {
                    descriptor.tensor = false;
                    if tag != 0 {
                        *size = (*size).min(INLINE_SIZE_WITH_TAG as u8);
                        words[INLINE_WORDS - 1] = 0;
                    }
                }
                descriptor
            })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(descriptor in descriptor(), position in any::<u64>()) {
            let words = descriptor.encode(position);
            prop_assert_eq!(words[0] as u32, stamp(position));
            prop_assert_eq!(Descriptor::decode(&words), Some(descriptor));
        }

        #[test]
        fn garbage_is_refused_or_within_bounds(words in any::<[u64; 8]>(), kind in 0..4_u64, flags in 0..8_u64, likely in any::<bool>()) {
            let mut words = words;
            if likely {
                words[0] = words[0] & 0xff00_ffff_ffff | kind << 32 | flags << 48;
            }
            if let Some(descriptor) = Descriptor::decode(&words) {
                if let Payload::Inline { size, .. } = descriptor.payload {
                    let most = if descriptor.tag == 0 { LAVA_FRAME_INLINE_SIZE } else { INLINE_SIZE_WITH_TAG };
                    prop_assert!(usize::from(size) <= most);
                    prop_assert!(!descriptor.tensor);
                    prop_assert_eq!(u64::from(size), descriptor.size());
                }
                let position = u64::from((words[0] as u32).wrapping_sub(1));
                prop_assert_eq!(Descriptor::decode(&descriptor.encode(position)), Some(descriptor));
            }
        }
    }

    /// The consumer relies on it: whether a mixture of two descriptors decodes, is decided by its first word.
    #[test]
    fn the_first_word_decides_whether_a_line_decodes() {
        for first in (0..=u8::MAX).flat_map(|kind| {
            [0, 1, 2, 3, 4, 8].map(|flags: u64| u64::from(kind) << 32 | 33 << 40 | flags << 48)
        }) {
            let decodes = |fill: u64| {
                let mut words = [fill; 8];
                words[0] = first;
                Descriptor::decode(&words).is_some()
            };
            assert_eq!(decodes(0), decodes(u64::MAX), "{first:#x}");
        }
    }

    #[test]
    fn neighbouring_laps_have_different_stamps() {
        for position in [0, 1, u64::from(u32::MAX) - 1, u64::from(u32::MAX), 1 << 32, u64::MAX - 9]
        {
            for length in [1, 2, 1 << 16, 1 << 31] {
                assert_ne!(stamp(position), stamp(position.wrapping_add(length)));
            }
        }
        assert_eq!(stamp(u64::from(u32::MAX)), 0);
    }
}
