//! Descriptors: what crosses a connection in one cache line, one frame or a few small ones.
//!
//! ```text
//! word 0  stamp: low half of (position + 1) | kind (8) | inline size (8) | flags (16)
//! word 1  sequence
//! word 2  timestamp
//! kind INLINE, no tag:  words 3..8  payload (up to 40 bytes)
//! kind INLINE, tag:     word 3 tag, words 4..8 payload (up to 32 bytes)
//! kind SLOT:            word 3 tag, word 4 size, word 5 slot | buffer id << 32, word 6 offset in the buffer,
//!                       word 7 value at which GPU memory is ready
//! kind PACKED:          flags: number of frames; words 3..8 their payloads of one size, each from a word on
//! ```
//!
//! Only the words that a frame uses are written: each store to a line that the other processor has just read costs, on a
//! machine where two processors stream, a good nanosecond. What an earlier frame left in the others means nothing.
//!
//! The words are written and read one by one, in place: a copy by wider loads would have to wait until the narrower
//! stores before it have left the processor's store buffer, which costs more than the message.

use crate::sync::{AtomicU64, Ordering};
use crate::types::LAVA_FRAME_INLINE_SIZE;
use crate::wire::Line;

/// The words of a line.
pub type Words = [u64; 8];

/// The words that payloads may have.
pub type PayloadWords = [u64; LAVA_FRAME_INLINE_SIZE / 8];

/// Most payload bytes in a descriptor with a tag.
pub const INLINE_SIZE_WITH_TAG: usize = LAVA_FRAME_INLINE_SIZE - 8;

/// Most bytes of a payload that shares its line: two of them must fit.
pub const PACKED_SIZE: usize = 16;

pub(super) const FLAG_TENSOR: u16 = 1;
const FLAG_TAG: u16 = 2;
/// Word 7 has the value at which GPU memory is ready.
pub(super) const FLAG_READY: u16 = 4;

const KIND_INLINE: u64 = 1;
const KIND_SLOT: u64 = 2;
const KIND_PACKED: u64 = 3;

/// First word of a payload without a tag before it.
const PAYLOAD: usize = 3;

/// What every frame has. Packed frames: the first of them; the others follow it in sequence.
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
    /// The value at which GPU memory is ready; 0: it is now.
    pub ready: u64,
}

/// Payloads of one size that share a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pack {
    words: PayloadWords,
    /// Bytes of each; 0 when there is none.
    size: usize,
    /// Words that are used.
    used: usize,
    /// Bytes that a payload may have; 0: it takes none.
    most: usize,
}

impl Pack {
    /// An empty one; if it is not `open`, it stays empty.
    pub fn new(open: bool) -> Self {
        let most = if open { PACKED_SIZE } else { 0 };
        Self { words: PayloadWords::default(), size: 0, used: 0, most }
    }

    /// Adds payloads as long as they fit. Gives the first thing that does not. Apart from what is done with it, so that
    /// a payload costs little more than its copy.
    #[inline(never)]
    pub fn fill<'a, E>(
        &mut self,
        parts: &mut impl Iterator<Item = Result<&'a [u8], E>>,
    ) -> Option<Result<&'a [u8], E>> {
        loop {
            match parts.next()? {
                Ok(bytes) if self.add(bytes) => {}
                other => return Some(other),
            }
        }
    }

    /// Adds a payload of 1 to [`PACKED_SIZE`] bytes; false if it is another, has no room here or not the others' size.
    #[inline(always)]
    pub fn add(&mut self, bytes: &[u8]) -> bool {
        if self.size != bytes.len() {
            if self.used > 0 || bytes.is_empty() || bytes.len() > self.most {
                return false;
            }
            self.size = bytes.len();
        }
        match (self.words.get_mut(self.used..), bytes.as_array()) {
            (Some([first, ..]), Some(word)) => {
                *first = u64::from_ne_bytes(*word);
                self.used += 1;
                true
            }
            (Some(to), None) if self.size > 0 => {
                let added = add_words(to, bytes);
                self.used += added;
                added > 0
            }
            _ => false,
        }
    }

    #[inline(always)]
    pub fn clear(&mut self) {
        (self.size, self.used) = (0, 0);
    }

    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    #[inline(always)]
    pub fn count(&self) -> usize {
        if self.size <= 8 { self.used } else { self.used / 2 }
    }
}

/// Puts a payload to the front of some words. Gives how many it took; 0 if there are too few.
#[inline(never)]
fn add_words(to: &mut [u64], bytes: &[u8]) -> usize {
    match (to, bytes.len()) {
        ([first, ..], ..=8) => {
            *first = word_at(bytes, 0);
            1
        }
        ([first, second, ..], _) => {
            (*first, *second) = (word_at(bytes, 0), word_at(bytes, 8));
            2
        }
        _ => 0,
    }
}

/// The word of `bytes` from `at` on as it lies in memory; what is beyond them is 0.
#[inline(always)]
fn word_at(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(whole) => u64::from_ne_bytes(*whole),
        None if at >= bytes.len() => 0,
        None => last_word(&bytes[at..]),
    }
}

/// Fewer than 8 bytes, whatever the machine's byte order.
#[inline(never)]
fn last_word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_ne_bytes(word)
}

/// What is to be published; its stamp is added then.
#[derive(Debug, Clone, Copy)]
pub enum Descriptor<'a> {
    /// The payload inside: at most [`LAVA_FRAME_INLINE_SIZE`] bytes, with a tag [`INLINE_SIZE_WITH_TAG`].
    Inline { bytes: &'a [u8], origin: Origin },
    /// The payload elsewhere.
    Slot { place: Place, origin: Origin },
    /// Several payloads inside. No tag.
    Packed { pack: &'a Pack, origin: Origin },
}

impl Descriptor<'_> {
    /// Writes a line; the stamp with release, after everything else.
    #[inline(always)]
    pub fn put(&self, line: &Line, stamp: u32) {
        let set = |index: usize, value| line.words[index].store(value, Ordering::Relaxed);
        let origin = self.origin();
        let head = match self {
            Self::Inline { bytes, .. } => {
                let (mut flags, mut first) = (0, PAYLOAD);
                if origin.tag != 0 {
                    set(PAYLOAD, origin.tag);
                    (flags, first) = (FLAG_TAG, PAYLOAD + 1);
                }
                debug_assert!(bytes.len() <= (8 - first) * 8);
                put_bytes(&line.words[first..], bytes);
                make_head(KIND_INLINE, bytes.len(), flags)
            }
            Self::Slot { place, .. } => {
                set(3, origin.tag);
                set(4, place.size);
                set(5, u64::from(place.slot) | u64::from(place.buffer) << 32);
                // In the pool the offset is always 0.
                if place.buffer != 0 {
                    set(6, place.offset);
                }
                let mut flags = if place.tensor { FLAG_TENSOR } else { 0 };
                if place.ready != 0 {
                    set(7, place.ready);
                    flags |= FLAG_READY;
                }
                make_head(KIND_SLOT, 0, flags)
            }
            Self::Packed { pack, .. } => {
                let words: &[u8; size_of::<PayloadWords>()] = bytemuck::cast_ref(&pack.words);
                put_bytes(&line.words[PAYLOAD..], &words[..pack.used * 8]);
                make_head(KIND_PACKED, pack.size, pack.count() as u16)
            }
        };
        set(1, origin.sequence);
        set(2, origin.timestamp_ns);
        line.words[0].store(head | u64::from(stamp), Ordering::Release);
    }

    #[inline(always)]
    fn origin(&self) -> Origin {
        match self {
            Self::Inline { origin, .. }
            | Self::Slot { origin, .. }
            | Self::Packed { origin, .. } => *origin,
        }
    }

    /// Frames that it announces.
    #[inline(always)]
    pub fn count(&self) -> u64 {
        if let Self::Packed { pack, .. } = self { pack.count() as u64 } else { 1 }
    }

    /// Bytes of payload of all its frames.
    #[inline(always)]
    pub fn size(&self) -> u64 {
        match self {
            Self::Inline { bytes, .. } => bytes.len() as u64,
            Self::Slot { place, .. } => place.size,
            Self::Packed { pack, .. } => (pack.count() * pack.size) as u64,
        }
    }

    /// The slot that the frame takes.
    #[inline(always)]
    pub fn slot(&self) -> Option<u32> {
        if let Self::Slot { place, .. } = self { Some(place.slot) } else { None }
    }
}

/// Stores bytes, word by word.
#[inline(always)]
fn put_bytes(to: &[AtomicU64], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<8>();
    // One by one: of a loop the compiler makes one that has more to prepare than to do.
    put_word(to, whole, 0);
    put_word(to, whole, 1);
    put_word(to, whole, 2);
    put_word(to, whole, 3);
    put_word(to, whole, 4);
    if !rest.is_empty() {
        to[whole.len()].store(last_word(rest), Ordering::Relaxed);
    }
}

#[inline(always)]
fn put_word(to: &[AtomicU64], words: &[[u8; 8]], index: usize) {
    if let (Some(to), Some(word)) = (to.get(index), words.get(index)) {
        to.store(u64::from_ne_bytes(*word), Ordering::Relaxed);
    }
}

#[inline(always)]
fn make_head(kind: u64, inline_size: usize, flags: u16) -> u64 {
    kind << 32 | (inline_size as u64) << 40 | u64::from(flags) << 48
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
    Inline {
        words: PayloadWords,
        size: usize,
    },
    /// Of `count` frames, 1 at least, each from a word on.
    Packed {
        words: PayloadWords,
        size: usize,
        count: usize,
    },
    Elsewhere(Place),
}

/// Whether a line says that its payload is elsewhere, if it says anything.
#[inline(always)]
pub fn is_elsewhere(words: &Words) -> bool {
    words[0] >> 32 & 0xff == KIND_SLOT
}

/// Reads what a peer published. None if it is nothing that a correct peer can have written; ranges of slots and buffers
/// are for the caller to check. Its words have fixed places, so that none has to be in memory for it.
#[inline(always)]
pub fn decode(words: &Words) -> Option<Decoded> {
    let head = words[0];
    let flags = (head >> 48) as u16;
    let size = (head >> 40 & 0xff) as usize;
    let (sequence, timestamp_ns) = (words[1], words[2]);
    match head >> 32 & 0xff {
        KIND_INLINE => {
            let [_, _, _, third, fourth, fifth, sixth, seventh] = *words;
            let (tag, words, most) = match flags {
                0 => (0, [third, fourth, fifth, sixth, seventh], LAVA_FRAME_INLINE_SIZE),
                FLAG_TAG => (third, [fourth, fifth, sixth, seventh, 0], INLINE_SIZE_WITH_TAG),
                _ => return None,
            };
            if size > most {
                return None;
            }
            let origin = Origin { sequence, timestamp_ns, tag };
            Some(Decoded { origin, payload: Payload::Inline { words, size } })
        }
        KIND_PACKED => {
            let count = usize::from(flags);
            let fits = count * size.div_ceil(8) <= PayloadWords::default().len();
            if !(1..=PACKED_SIZE).contains(&size) || count == 0 || !fits {
                return None;
            }
            let [_, _, _, words @ ..] = *words;
            let origin = Origin { sequence, timestamp_ns, tag: 0 };
            Some(Decoded { origin, payload: Payload::Packed { words, size, count } })
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
                ready: if flags & FLAG_READY != 0 { words[7] } else { 0 },
            };
            Some(Decoded { origin, payload: Payload::Elsewhere(place) })
        }
        _ => None,
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

    fn origin() -> impl Strategy<Value = Origin> {
        (any::<u64>(), any::<u64>(), prop_oneof![Just(0), any::<u64>()])
            .prop_map(|(sequence, timestamp_ns, tag)| Origin { sequence, timestamp_ns, tag })
    }

    fn place() -> impl Strategy<Value = Place> {
        let ready = prop_oneof![Just(0), any::<u64>()];
        (any::<u32>(), any::<u32>(), any::<u64>(), any::<u64>(), any::<bool>(), ready).prop_map(
            |(slot, buffer, offset, size, tensor, ready)| {
                let (buffer, offset) = if tensor { (buffer, offset) } else { (0, 0) };
                Place { slot, buffer, offset, size, tensor, ready }
            },
        )
    }

    /// The words as a consumer finds them, in a line that had others before.
    fn line(descriptor: &Descriptor<'_>, former: Words) -> Words {
        let line = Line { words: former.map(AtomicU64::new) };
        descriptor.put(&line, 7);
        let words = line.words.map(AtomicU64::into_inner);
        assert_eq!(words[0] as u32, 7);
        words
    }

    proptest! {
        /// A line serves for many frames: what an earlier one left must not show.
        #[test]
        fn what_is_put_is_decoded(
            former in any::<Words>(),
            bytes in prop::collection::vec(any::<u8>(), 0..=LAVA_FRAME_INLINE_SIZE),
            place in place(),
            origin in origin(),
        ) {
            let descriptor = Descriptor::Slot { place, origin };
            prop_assert_eq!((descriptor.slot(), descriptor.size()), (Some(place.slot), place.size));
            let decoded = decode(&line(&descriptor, former)).unwrap();
            prop_assert_eq!(decoded, Decoded { origin, payload: Payload::Elsewhere(place) });

            let most = if origin.tag == 0 { LAVA_FRAME_INLINE_SIZE } else { INLINE_SIZE_WITH_TAG };
            let bytes = &bytes[..bytes.len().min(most)];
            let descriptor = Descriptor::Inline { bytes, origin };
            prop_assert_eq!((descriptor.slot(), descriptor.size()), (None, bytes.len() as u64));
            let decoded = decode(&line(&descriptor, former)).unwrap();
            prop_assert_eq!(decoded.origin, origin);
            let Payload::Inline { words, size } = decoded.payload else { panic!("{decoded:?}") };
            prop_assert_eq!(&bytemuck::bytes_of(&words)[..size], bytes);
        }

        #[test]
        fn what_is_packed_is_decoded(
            former in any::<Words>(),
            bytes in prop::collection::vec(any::<[u8; PACKED_SIZE]>(), 1..=6),
            size in 1..=PACKED_SIZE,
            origin in origin(),
        ) {
            let mut pack = Pack::new(true);
            let fits = bytes.iter().take_while(|bytes| pack.add(&bytes[..size])).count();
            prop_assert_eq!(fits, bytes.len().min(5 / size.div_ceil(8)));
            prop_assert!(!pack.add(&[0; PACKED_SIZE][..size % PACKED_SIZE + 1]));
            prop_assert!(!Pack::new(false).add(&[0; PACKED_SIZE][..size]));
            let origin = Origin { tag: 0, ..origin };
            let descriptor = Descriptor::Packed { pack: &pack, origin };
            prop_assert_eq!((descriptor.count(), descriptor.size()), (fits as u64, (fits * size) as u64));
            let decoded = decode(&line(&descriptor, former)).unwrap();
            let Payload::Packed { words, size: each, count } = decoded.payload else { panic!("{decoded:?}") };
            prop_assert_eq!((decoded.origin, each, count), (origin, size, fits));
            for (expected, found) in bytes.iter().zip(words.chunks(size.div_ceil(8))).take(count) {
                prop_assert_eq!(&bytemuck::cast_slice::<u64, u8>(found)[..size], &expected[..size]);
            }
        }

        #[test]
        fn garbage_is_refused_or_within_the_line(words in any::<Words>(), kind in 0..5_u64, flags in 0..8_u64, likely in any::<bool>()) {
            let mut words = words;
            if likely {
                words[0] = words[0] & 0x3f00_ffff_ffff | kind << 32 | flags << 48;
            }
            match decode(&words).map(|decoded| decoded.payload) {
                Some(Payload::Inline { size, .. }) => prop_assert!(size <= LAVA_FRAME_INLINE_SIZE),
                Some(Payload::Packed { size, count, .. }) => {
                    prop_assert!((1..=PACKED_SIZE).contains(&size));
                    prop_assert!(count > 0 && size.div_ceil(8) * count <= 5);
                }
                _ => {}
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
