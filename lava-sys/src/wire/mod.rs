//! Every struct that two processes share: the protocol. It has its own version, apart from the C ABI's.
//!
//! Two kinds: *messages* on the rendezvous socket (plain data of fixed size) and *regions* of shared memory (atomics).
//! A region has one writer: its owner maps it read-write before sealing, the other end maps it read-only.
//!
//! ```text
//! consumer                                   producer
//!   connect ------------------------------->   listens at <runtime directory>/<name>
//!   Hello   ------------------------------->   checks user, version, requirements; reserves a place
//!           <-------------------------------   Welcome + fds: descriptor region, metadata region, pool (, semaphore)
//!   (cannot import a pool of GPU memory: hangs up, and says Hello again with the reason)
//!   Attach + fd: consumer region  ---------->   maps it, adds the connection
//!           <-------------------------------   Ready
//!   ... later, either way: Buffer + fd, Event + fd, Detach ...
//! ```
//! `HELLO_LIST` is answered with a [`Head`] of kind `LIST` and JSON text, `HELLO_PROBE` with a `Welcome`.
//! All numbers are in the host's byte order: both ends are on one host.

pub mod remote;

use bytemuck::{Pod, Zeroable};

use crate::sync::{AtomicU32, AtomicU64};

/// Version of everything in this file. Both ends must have the same.
pub const VERSION: u16 = 3;
/// First word of every message: "lava".
pub const MAGIC: u32 = 0x6176_616c;
/// Bytes of the text fields of messages.
pub const TEXT: usize = 256;
/// Bytes of a producer's reasons: why it chose a transport, or why none will do.
pub const REASON: usize = 512;
/// Room for any message of fixed size, and for some that are too long.
pub const MESSAGE_MAX: usize = 2048;
/// Bytes of a location in messages.
pub const LOCATION_TEXT: usize = 384;
/// Bytes of a channel name in messages, padded with NUL.
pub const NAME: usize = 64;
/// Bytes of a cache line, on every architecture that lava runs on.
pub const LINE: usize = 64;

/// What a message is.
pub mod kind {
    pub const HELLO_ATTACH: u16 = 1;
    pub const HELLO_LIST: u16 = 2;
    pub const HELLO_PROBE: u16 = 3;
    pub const WELCOME: u16 = 4;
    pub const ATTACH: u16 = 5;
    pub const READY: u16 = 6;
    pub const DETACH: u16 = 7;
    pub const EVENT: u16 = 8;
    pub const BUFFER: u16 = 9;
    pub const RETIRE: u16 = 10;
    pub const LIST: u16 = 11;
    /// To a consumer, from its own process's engine: the remote producer broke the protocol.
    pub const BROKEN: u16 = 12;
}

/// What an end of a connection can do beyond the protocol's first version.
pub mod feature {
    /// Its process is registered for barriers of other processes (membarrier), so that its peer may sleep with them
    /// instead of with fences on both sides.
    pub const BARRIERS: u32 = 1;
}

/// What memory a consumer wants its frames in.
pub mod wants {
    pub const ANY: u32 = 0;
    pub const HOST: u32 = 1;
    pub const DEVICE: u32 = 2;
}

/// How a connection's frames of GPU memory become ready.
pub mod ready {
    /// The producer's GPU work on a frame is done before the frame is published.
    pub const HOST: u32 = 0;
    /// A timeline semaphore comes with the welcome, and the value to wait for with each frame.
    pub const TIMELINE: u32 = 1;
}

/// The beginning of every message.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct Head {
    pub magic: u32,
    pub version: u16,
    pub kind: u16,
    /// Bytes of the whole message.
    pub size: u32,
    /// File descriptors that come with it.
    pub descriptors: u32,
}

/// The consumer's first message.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Hello {
    pub head: Head,
    /// Transports that the consumer accepts; 0: any.
    pub require_transports: u32,
    /// Most copies that it accepts; `u32::MAX`: any number.
    pub max_copies: u32,
    /// Set of [`feature`].
    pub features: u32,
    /// One of [`wants`].
    pub memory: u32,
    pub name: [u8; NAME],
    pub location: [u8; LOCATION_TEXT],
    /// The GPU that it wants its frames on; zeros: any.
    pub device_uuid: [u8; 16],
    /// Not 0: it has tried to import the pool, or knows that it cannot.
    pub no_vulkan: u32,
    pub reserved: u32,
    /// Why it cannot.
    pub reason: [u8; TEXT],
}

/// How an allocation of GPU memory was made: the importer must repeat it exactly, because its driver cannot ask the
/// descriptor, and accepts smaller sizes and other memory types without complaint.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
pub struct Recipe {
    /// Bytes of the allocation.
    pub allocation_size: u64,
    /// Bytes of the buffer that is bound to its beginning.
    pub buffer_size: u64,
    /// Index of the memory type.
    pub memory_type: u32,
    /// 1: a dedicated allocation, else 0.
    pub dedicated: u32,
    /// `VkBufferUsageFlags` of the buffer.
    pub usage: u32,
    /// As the memory's own recipe has them.
    pub flags: u32,
    /// Both must be those of the importer's device.
    pub device_uuid: [u8; 16],
    pub driver_uuid: [u8; 16],
}

/// The producer's answer. `status` 0 comes with three descriptors: descriptor region, metadata region, pool. With
/// transport `vulkan` the pool is an opaque one, and [`ready::TIMELINE`] adds the semaphore's. With `staged` it is the
/// host mirror of the pool.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Welcome {
    pub head: Head,
    /// 0, or the status with which the consumer is refused.
    pub status: i32,
    pub transport: u32,
    pub policy: u32,
    /// Slots of the pool.
    pub capacity: u32,
    /// Lines of the descriptor ring: a power of two.
    pub queue_length: u32,
    /// Entries of the release ring that the consumer must make: a power of two.
    pub release_length: u32,
    /// Largest payload.
    pub max_frame_size: u64,
    /// Bytes from one slot to the next.
    pub stride: u64,
    /// Bytes of the pool's file.
    pub pool_size: u64,
    /// `LAVA_MEMORY_*` and `LAVA_PAGES_*` of the pool.
    pub memory: u32,
    pub pages: u32,
    /// Set of [`feature`] that both have, and use.
    pub features: u32,
    /// One of [`ready`].
    pub ready: u32,
    /// Why this transport, or why the consumer is refused.
    pub reason: [u8; REASON],
    pub location: [u8; LOCATION_TEXT],
    /// Of the pool, with transport `vulkan`; zeros otherwise.
    pub recipe: Recipe,
}

/// The consumer's second message, with one descriptor: its region.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Attach {
    pub head: Head,
    pub region_size: u64,
}

/// A message of which the head says everything: `READY`, `EVENT` (with the socket to signal).
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Plain {
    pub head: Head,
}

/// The consumer leaves; it keeps the frames below `consumed` until it releases them.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Detach {
    pub head: Head,
    pub consumed: u64,
}

/// `BUFFER`: the producer passes a buffer, with one descriptor. `RETIRE`: no frame of it will come any more.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Buffer {
    pub head: Head,
    /// Number in this channel, from 1; 0 is the pool.
    pub id: u32,
    pub memory: u32,
    pub pages: u32,
    pub reserved: u32,
    /// Usable bytes.
    pub size: u64,
    /// Bytes of the file, or of the allocation if it is GPU memory.
    pub file_size: u64,
    /// Of GPU memory; zeros otherwise.
    pub recipe: Recipe,
}

macro_rules! messages {
    ($($type:ident),*) => { $(
        impl Message for $type {}
    )* };
}

/// A message that begins with a [`Head`].
pub trait Message: Pod {
    /// The head of such a message.
    fn make_head(kind: u16, descriptors: u32) -> Head {
        Head { magic: MAGIC, version: VERSION, kind, size: size_of::<Self>() as u32, descriptors }
    }

    /// Reads a message from what a peer sent: exact size, magic, version and one of `kinds`, else the reason.
    fn decode(bytes: &[u8], kinds: &[u16]) -> Result<Self, String> {
        let head: Head = bytes
            .get(..size_of::<Head>())
            .and_then(|head| bytemuck::try_pod_read_unaligned(head).ok())
            .ok_or_else(|| format!("a message of {} bytes is too short", bytes.len()))?;
        if head.magic != MAGIC {
            return Err(format!("a message begins with {:#x}: the peer is not lava", head.magic));
        }
        if head.version != VERSION {
            return Err(format!(
                "the peer speaks version {} of the protocol, this library {VERSION}; use the same lava on both sides",
                head.version
            ));
        }
        if !kinds.contains(&head.kind) {
            return Err(format!("a message of kind {} where {kinds:?} was expected", head.kind));
        }
        if head.size as usize != bytes.len() || bytes.len() != size_of::<Self>() {
            return Err(format!(
                "a message of kind {} has {} bytes, says {}, and must have {}",
                head.kind,
                bytes.len(),
                head.size,
                size_of::<Self>()
            ));
        }
        bytemuck::try_pod_read_unaligned(bytes).map_err(|error| error.to_string())
    }
}

messages!(Hello, Welcome, Attach, Plain, Detach, Buffer);

/// Puts text into a fixed field, cut at a character's end, padded with NUL.
pub fn put_text<const N: usize>(text: &str) -> [u8; N] {
    let mut end = text.len().min(N);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut field = [0; N];
    field[..end].copy_from_slice(&text.as_bytes()[..end]);
    field
}

/// Text of a fixed field that a peer filled; bytes that are not UTF-8 become `U+FFFD`.
pub fn get_text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// One cache line of eight words.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Line {
    pub words: [AtomicU64; 8],
}

/// Beginning of the descriptor region, which the producer writes. The ring of [`Line`]s follows.
///
/// Words that are written at different times lie in different pairs of lines: processors fetch both lines of a pair.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub struct ProducerHeader {
    /// 0: open. 1: closed, nothing more will be published.
    pub closed: AtomicU32,
    pub reserved: u32,
    /// The producer's alarm: not 0 while it sleeps until room or a release; a new number each time.
    pub alarm: AtomicU64,
    pub pair: [u64; 14],
    /// Futex word on which the consumer sleeps; the producer adds 1 to wake it.
    pub wake: AtomicU32,
    pub reserved2: u32,
    pub pair2: [u64; 15],
    /// Policy drop-oldest: frames below this position were taken back, unless the consumer had claimed them.
    pub oldest: AtomicU64,
    pub pair3: [u64; 15],
}

/// Beginning of the consumer region, which the consumer writes. The ring of [`Release`]s follows.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub struct ConsumerHeader {
    /// Frames below this position have been claimed.
    pub consumed: AtomicU64,
    pub pair: [u64; 15],
    /// The consumer's alarm. Low half: not 0 while it sleeps on the futex. High half: not 0 while its event is armed.
    /// A new number each time.
    pub alarm: AtomicU64,
    pub pair2: [u64; 15],
    /// Futex word on which the producer sleeps; the consumer adds 1 to wake it.
    pub wake: AtomicU32,
    pub reserved: u32,
    pub pair3: [u64; 15],
}

/// One release: the high half of `ticket` is the low half of the entry's number plus one, the low half is the slot.
#[repr(C, align(16))]
#[derive(Debug, Default)]
pub struct Release {
    pub ticket: AtomicU64,
    /// Position at which the frame was published to this consumer.
    pub position: AtomicU64,
}

/// Metadata of one slot that does not fit into its descriptor. Lies in the metadata region, which the producer writes.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct SlotHeader {
    /// dtype (8 bits), bits (8), lanes (16), dimensions (32), from the low end.
    pub tensor: AtomicU64,
    pub byte_offset: AtomicU64,
    pub shape: [AtomicU64; 8],
    pub strides: [AtomicU64; 8],
    pub reserved: [u64; 6],
}

/// Bytes of a descriptor region with `queue_length` lines.
pub const fn descriptor_region_size(queue_length: u32) -> usize {
    size_of::<ProducerHeader>() + queue_length as usize * size_of::<Line>()
}

/// Bytes of a consumer region with `release_length` entries.
pub const fn consumer_region_size(release_length: u32) -> usize {
    size_of::<ConsumerHeader>() + release_length as usize * size_of::<Release>()
}

/// Entries of the release ring for a pool of `capacity` slots: each slot is released once before it is published
/// again, and policy drop-oldest can add a few releases of frames that were taken back at the same moment.
pub const fn release_length(capacity: u32) -> u32 {
    (capacity + 32).next_power_of_two()
}

#[cfg(not(loom))]
const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Line>() == LINE);
    assert!(size_of::<Release>() == 16);
    assert!(size_of::<SlotHeader>() == 192);
    assert!(size_of::<ProducerHeader>() == 384);
    assert!(offset_of!(ProducerHeader, alarm) == 8);
    assert!(offset_of!(ProducerHeader, wake) == 128);
    assert!(offset_of!(ProducerHeader, oldest) == 256);
    assert!(size_of::<ConsumerHeader>() == 384);
    assert!(offset_of!(ConsumerHeader, alarm) == 128);
    assert!(offset_of!(ConsumerHeader, wake) == 256);
    assert!(size_of::<Head>() == 16);
    assert!(size_of::<Hello>() == 760);
    assert!(offset_of!(Hello, device_uuid) == 480);
    assert!(size_of::<Recipe>() == 64);
    assert!(size_of::<Welcome>() == 1040 && size_of::<Welcome>() < MESSAGE_MAX);
    assert!(offset_of!(Welcome, recipe) == 976);
    assert!(size_of::<Attach>() == 24);
    assert!(size_of::<Detach>() == 24);
    assert!(size_of::<Buffer>() == 112);
    assert!(offset_of!(Buffer, recipe) == 48);
};

#[cfg(all(test, not(loom)))]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [u16; 2] = [kind::DETACH, kind::BUFFER];

    fn detach() -> Detach {
        Detach { head: Detach::make_head(kind::DETACH, 0), consumed: 7 }
    }

    /// Decodes as every message; none may panic.
    fn decode_all(bytes: &[u8], kinds: &[u16]) -> usize {
        let decoded = [
            Hello::decode(bytes, kinds).is_ok(),
            Welcome::decode(bytes, kinds).is_ok(),
            Attach::decode(bytes, kinds).is_ok(),
            Plain::decode(bytes, kinds).is_ok(),
            Detach::decode(bytes, kinds).is_ok(),
            Buffer::decode(bytes, kinds).is_ok(),
        ];
        decoded.into_iter().filter(|decoded| *decoded).count()
    }

    proptest! {
        #[test]
        fn garbage_is_no_message(bytes in prop::collection::vec(any::<u8>(), 0..1024)) {
            let magic = bytes.len() >= 4 && bytes[..4] == MAGIC.to_ne_bytes();
            prop_assert!(magic || decode_all(&bytes, &KINDS) == 0);
        }

        #[test]
        fn a_changed_head_is_refused(at in 0..size_of::<Head>() - 4, bit in 0..8_u32) {
            let mut bytes = bytemuck::bytes_of(&detach()).to_vec();
            bytes[at] ^= 1 << bit;
            prop_assert!(Detach::decode(&bytes, &[kind::DETACH]).is_err());
        }

        #[test]
        fn wrong_lengths_are_refused(size in 0..1024_usize, claim in any::<u32>(), honest in any::<bool>()) {
            let mut message = detach();
            message.head.size = if honest { size as u32 } else { claim };
            let mut bytes = bytemuck::bytes_of(&message).to_vec();
            bytes.resize(size, 0);
            let right = size == size_of::<Detach>() && message.head.size as usize == size;
            prop_assert_eq!(Detach::decode(&bytes, &[kind::DETACH]).is_ok(), right);
            // Attach has the same size, and the caller says which kinds it takes.
            prop_assert!(Attach::decode(&bytes, &[kind::ATTACH]).is_err());
        }

        #[test]
        fn mutated_messages_do_not_panic(kind in 0..14_u16, size in 0..800_u32, bytes in prop::collection::vec(any::<u8>(), 800)) {
            let head = Head { magic: MAGIC, version: VERSION, kind, size, descriptors: 0 };
            let mut bytes = bytes;
            bytes[..size_of::<Head>()].copy_from_slice(bytemuck::bytes_of(&head));
            bytes.truncate(size as usize);
            let kinds: Vec<u16> = (0..14).collect();
            // Attach and Detach have one size; no others have.
            prop_assert!(decode_all(&bytes, &kinds) <= 2);
        }

        #[test]
        fn text_fields_keep_what_fits(text in "\\PC{0,40}", tail in any::<[u8; 4]>()) {
            let field: [u8; 32] = put_text(&text);
            let got = get_text(&field);
            prop_assert!(text.starts_with(&got));
            prop_assert!(got.len() == text.len() || got.len() + 4 > 32);
            // Bytes of a peer, which need not be text.
            let mut bytes = field.to_vec();
            bytes.extend(tail);
            get_text(&bytes);
        }
    }

    #[test]
    fn errors_say_what_came_and_what_was_expected() {
        let refuse = |change: fn(&mut Detach), words: &str| {
            let mut message = detach();
            change(&mut message);
            let error = Detach::decode(bytemuck::bytes_of(&message), &KINDS).unwrap_err();
            assert!(error.contains(words), "{error}");
        };
        refuse(|message| message.head.magic = 0x1234, "0x1234");
        refuse(|message| message.head.version = 1, "version 1");
        refuse(|message| message.head.kind = 3, "kind 3 where [7, 9]");
        refuse(|message| message.head.size = 25, "says 25, and must have 24");
        assert!(Detach::decode(&[1, 2], &KINDS).unwrap_err().contains("2 bytes"));
    }

    #[test]
    fn unaligned_messages_decode() {
        let mut bytes = vec![0; 1];
        bytes.extend(bytemuck::bytes_of(&detach()));
        assert_eq!(Detach::decode(&bytes[1..], &KINDS).unwrap().consumed, 7);
    }

    #[test]
    fn the_release_ring_has_room_for_every_slot_and_more() {
        for capacity in (1..100).chain([1024, 65_536]) {
            let length = release_length(capacity);
            assert!(length.is_power_of_two() && length >= capacity + 32, "{capacity}: {length}");
        }
    }
}
