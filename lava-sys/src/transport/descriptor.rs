//! Descriptors: one frame each, as it crosses a connection in one cache line.
//!
//! ```text
//! word 0  stamp: low half of (position + 1) | kind (8) | inline size (8) | flags (16)
//! word 1  sequence
//! word 2  timestamp
//! kind INLINE, no tag:  words 3..8  payload (up to 40 bytes)
//! kind INLINE, tag:     word 3 tag, words 4..8 payload (up to 32 bytes)
//! kind SLOT:            word 3 tag, word 4 size, word 5 slot | buffer id << 32, word 6 offset in the buffer,
//!                       word 7 value at which GPU memory is ready
//! ```
//!
//! Only the words that a frame uses are written: each store to a line that the other processor has just read costs, on a
//! machine where two processors stream, a good nanosecond. What an earlier frame left in the others means nothing.
//!
//! The words are written and read one by one, in place: a copy by wider loads would have to wait until the narrower
//! stores before it have left the processor's store buffer, which costs more than the message.

use crate::types::LAVA_FRAME_INLINE_SIZE;

/// The words of a line.
pub type Words = [u64; 8];

/// Most payload bytes in a descriptor with a tag.
pub const INLINE_SIZE_WITH_TAG: usize = LAVA_FRAME_INLINE_SIZE - 8;

const FLAG_TENSOR: u16 = 1;
const FLAG_TAG: u16 = 2;
/// Word 7 has the value at which GPU memory is ready.
const FLAG_READY: u16 = 4;

const KIND_INLINE: u64 = 1;
const KIND_SLOT: u64 = 2;

/// First word of a payload without a tag before it.
const PAYLOAD: usize = 3;

/// What every frame has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    pub sequence: u64,
    pub timestamp_ns: u64,
    pub tag: u64,
}

/// Where a payload lies that is not in its descriptor. A slot is taken in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub slot: u32,
    /// Number of a registered buffer; 0: the pool, in which `offset` is 0 and the slot says the rest.
    pub buffer: u32,
    pub offset: u64,
    pub size: u64,
    /// The slot's metadata has a tensor.
    pub tensor: bool,
}

/// A frame to be published; its stamp is added then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descriptor {
    words: Words,
    used: usize,
}

impl Descriptor {
    /// Becomes a frame with its payload inside: at most [`LAVA_FRAME_INLINE_SIZE`] bytes, with a tag
    /// [`INLINE_SIZE_WITH_TAG`].
    #[inline(always)]
    pub fn set_inline(&mut self, bytes: &[u8], origin: Origin) {
        let mut flags = 0;
        let mut at = PAYLOAD;
        if origin.tag != 0 {
            flags = FLAG_TAG;
            self.words[PAYLOAD] = origin.tag;
            at += 1;
        }
        debug_assert!(bytes.len() <= (8 - at) * 8);
        let (whole, rest) = bytes.as_chunks::<8>();
        for (word, chunk) in self.words[at..].iter_mut().zip(whole) {
            *word = u64::from_ne_bytes(*chunk);
        }
        if !rest.is_empty() {
            let mut last = 0;
            // The bytes of a word in memory order, whatever the machine's byte order.
            for (index, byte) in rest.iter().enumerate() {
                let shift = if cfg!(target_endian = "little") { index } else { 7 - index } * 8;
                last |= u64::from(*byte) << shift;
            }
            self.words[at + whole.len()] = last;
        }
        self.used = at + bytes.len().div_ceil(8);
        self.set_head(KIND_INLINE, bytes.len() as u8, flags, origin);
    }

    /// Becomes a frame with its payload elsewhere.
    #[inline(always)]
    pub fn set_place(&mut self, place: Place, origin: Origin) {
        let flags = if place.tensor { FLAG_TENSOR } else { 0 };
        self.words[3] = origin.tag;
        self.words[4] = place.size;
        self.words[5] = u64::from(place.slot) | u64::from(place.buffer) << 32;
        self.words[6] = place.offset;
        // In the pool the offset is always 0.
        self.used = if place.buffer == 0 { 6 } else { 7 };
        self.set_head(KIND_SLOT, 0, flags, origin);
    }

    /// A place in GPU memory gets the value at which it is ready; after [`Self::set_place`].
    #[cold]
    pub fn set_ready(&mut self, value: u64) {
        self.words[0] |= u64::from(FLAG_READY) << 48;
        self.words[7] = value;
        self.used = 8;
    }

    /// A place in GPU memory that is ready now.
    #[cold]
    pub fn clear_ready(&mut self) {
        self.words[0] &= !(u64::from(FLAG_READY) << 48);
    }

    /// See [`Self::set_ready`]; 0: it is ready now.
    pub fn ready(&self) -> u64 {
        ready(&self.words)
    }

    #[inline(always)]
    fn set_head(&mut self, kind: u64, inline_size: u8, flags: u16, origin: Origin) {
        self.words[0] = kind << 32 | u64::from(inline_size) << 40 | u64::from(flags) << 48;
        self.words[1] = origin.sequence;
        self.words[2] = origin.timestamp_ns;
    }

    /// The words that are used, the head first.
    #[inline(always)]
    pub fn words(&self) -> &[u64] {
        &self.words[..self.used.min(8)]
    }

    /// Bytes of payload.
    #[inline(always)]
    pub fn size(&self) -> u64 {
        if self.slot().is_some() { self.words[4] } else { self.words[0] >> 40 & 0xff }
    }

    /// The slot that the frame takes.
    #[inline(always)]
    pub fn slot(&self) -> Option<u32> {
        (self.words[0] >> 32 & 0xff == KIND_SLOT).then_some(self.words[5] as u32)
    }
}

/// What the words of a line say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    pub origin: Origin,
    pub payload: Payload,
}

/// Where the payload of a received frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// In the line, from this word on.
    Inline {
        first: usize,
        size: usize,
    },
    Elsewhere(Place),
}

/// Reads what a peer published. None if it is nothing that a correct peer can have written; ranges of slots and buffers
/// are for the caller to check.
#[inline(always)]
pub fn decode(words: &Words) -> Option<Decoded> {
    let head = words[0];
    let flags = (head >> 48) as u16;
    let (sequence, timestamp_ns) = (words[1], words[2]);
    match head >> 32 & 0xff {
        KIND_INLINE => {
            let size = (head >> 40 & 0xff) as usize;
            let (tag, first) = match flags {
                0 => (0, PAYLOAD),
                FLAG_TAG => (words[PAYLOAD], PAYLOAD + 1),
                _ => return None,
            };
            if size > (8 - first) * 8 {
                return None;
            }
            let origin = Origin { sequence, timestamp_ns, tag };
            Some(Decoded { origin, payload: Payload::Inline { first, size } })
        }
        KIND_SLOT => {
            if flags & !(FLAG_TENSOR | FLAG_READY) != 0 {
                return None;
            }
            let origin = Origin { sequence, timestamp_ns, tag: words[3] };
            let buffer = (words[5] >> 32) as u32;
            let place = Place {
                slot: words[5] as u32,
                buffer,
                offset: if buffer == 0 { 0 } else { words[6] },
                size: words[4],
                tensor: flags & FLAG_TENSOR != 0,
            };
            Some(Decoded { origin, payload: Payload::Elsewhere(place) })
        }
        _ => None,
    }
}

/// The value at which the GPU memory of a decoded frame is ready; 0: it is.
pub fn ready(words: &Words) -> u64 {
    if words[0] >> 48 & u64::from(FLAG_READY) != 0 { words[7] } else { 0 }
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

    fn origin() -> impl Strategy<Value = Origin> {
        (any::<u64>(), any::<u64>(), prop_oneof![Just(0), any::<u64>()])
            .prop_map(|(sequence, timestamp_ns, tag)| Origin { sequence, timestamp_ns, tag })
    }

    fn place() -> impl Strategy<Value = Place> {
        (any::<u32>(), any::<u32>(), any::<u64>(), any::<u64>(), any::<bool>()).prop_map(
            |(slot, buffer, offset, size, tensor)| {
                let (buffer, offset) = if tensor { (buffer, offset) } else { (0, 0) };
                Place { slot, buffer, offset, size, tensor }
            },
        )
    }

    /// The words as a consumer finds them, in a line that had others before.
    fn line(descriptor: &Descriptor, former: Words) -> Words {
        let mut words = former;
        words[..descriptor.words().len()].copy_from_slice(descriptor.words());
        words
    }

    fn inline_bytes(words: &Words, first: usize, size: usize) -> &[u8] {
        &bytemuck::bytes_of(words)[first * 8..][..size]
    }

    proptest! {
        /// One descriptor and one line serve for many frames: what an earlier one left must not show.
        #[test]
        fn what_is_set_is_decoded(
            former in any::<Words>(),
            bytes in prop::collection::vec(any::<u8>(), 0..=LAVA_FRAME_INLINE_SIZE),
            place in place(),
            origin in origin(),
        ) {
            let mut descriptor = Descriptor::default();
            descriptor.set_inline(bytemuck::bytes_of(&former).split_at(LAVA_FRAME_INLINE_SIZE).0, Origin::default());
            descriptor.set_place(place, origin);
            prop_assert_eq!((descriptor.slot(), descriptor.size()), (Some(place.slot), place.size));
            let decoded = decode(&line(&descriptor, former)).unwrap();
            prop_assert_eq!(decoded, Decoded { origin, payload: Payload::Elsewhere(place) });

            let most = if origin.tag == 0 { LAVA_FRAME_INLINE_SIZE } else { INLINE_SIZE_WITH_TAG };
            let bytes = &bytes[..bytes.len().min(most)];
            descriptor.set_inline(bytes, origin);
            prop_assert_eq!((descriptor.slot(), descriptor.size()), (None, bytes.len() as u64));
            let words = line(&descriptor, former);
            let decoded = decode(&words).unwrap();
            prop_assert_eq!(decoded.origin, origin);
            let Payload::Inline { first, size } = decoded.payload else { panic!("{decoded:?}") };
            prop_assert_eq!(inline_bytes(&words, first, size), bytes);
        }

        #[test]
        fn garbage_is_refused_or_within_the_line(words in any::<Words>(), kind in 0..4_u64, flags in 0..8_u64, likely in any::<bool>()) {
            let mut words = words;
            if likely {
                words[0] = words[0] & 0xff00_ffff_ffff | kind << 32 | flags << 48;
            }
            if let Some(Decoded { payload: Payload::Inline { first, size }, .. }) = decode(&words) {
                prop_assert!(first * 8 + size <= size_of::<Words>());
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
                decode(&words).is_some()
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
