//! Messages between two processes that share no memory: sent by MPI, between the engines of two contexts.
//!
//! ```text
//! consumer's engine                          producer's engine
//!   Hello   -------- to every remote rank -->  the one with the channel reserves a place
//!           <-------------------------------   Welcome: the channel's numbers, or a refusal
//!   makes its pool, begins receives
//!   Attach  ------------------------------->   adds the connection
//!           <-------------------------------   Ready
//!           <===============================   frames, on a tag of their own
//!   Ack     ------------------------------->   releases, receives that are ready, how far was read
//!   ... Beat either way, and as answer to Ask; Detach, Bye from the consumer; Close, Bye from the producer ...
//! ```
//! Numbers are in the sender's byte order; the magic number tells if that is another.

use bytemuck::{Pod, Zeroable};

use super::{Head, Hello, Message, Welcome};

/// What a message is. The numbers continue those of [`super::kind`].
pub mod kind {
    pub const HELLO: u16 = 32;
    pub const WELCOME: u16 = 33;
    pub const ATTACH: u16 = 34;
    pub const READY: u16 = 35;
    pub const ACK: u16 = 36;
    pub const DETACH: u16 = 37;
    pub const CLOSE: u16 = 38;
    pub const BYE: u16 = 39;
    pub const BEAT: u16 = 40;
    pub const ASK: u16 = 41;
}

/// Room for any of these messages.
pub const LETTER: usize = 2048;
/// Most slots that one [`Ack`] gives back; more go with the next.
pub const ACK_SLOTS: usize = 256;

/// Who writes to whom: the numbers that the two engines gave to the connection; 0: not known yet.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
pub struct Address {
    pub to: u64,
    pub from: u64,
}

/// The consumer looks for a channel.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct RemoteHello {
    pub head: Head,
    pub address: Address,
    pub hello: Hello,
}

/// The producer's answer.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct RemoteWelcome {
    pub head: Head,
    pub address: Address,
    pub welcome: Welcome,
    /// Copies of a frame on its way.
    pub copies: u32,
    pub reserved: u32,
}

/// The consumer is ready to receive.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct RemoteAttach {
    pub head: Head,
    pub address: Address,
    /// Receives that are begun.
    pub granted: u64,
    /// Tag of frames; the next one is that of the chunks of large frames.
    pub tag: i32,
    /// Not 0: a message may have several frames that take slots.
    pub shares: u32,
}

/// `READY`, `DETACH`, `BYE`, `BEAT`, `ASK`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct RemotePlain {
    pub head: Head,
    pub address: Address,
}

/// What the consumer has done. Counts are from the connection's beginning.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct Ack {
    pub head: Head,
    pub address: Address,
    /// Descriptors that the consumer has taken.
    pub consumed: u64,
    /// Receives that were begun: as many messages may be sent.
    pub granted: u64,
    /// Messages that came.
    pub arrived: u64,
    pub count: u32,
    pub reserved: u32,
    /// The producer's slots that are released, `count` of them.
    pub slots: [u32; ACK_SLOTS],
}

/// The producer has ended.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct RemoteClose {
    pub head: Head,
    pub address: Address,
    /// Descriptors that were sent in all.
    pub lines: u64,
}

impl Ack {
    /// Bytes of an acknowledgement without slots.
    const EMPTY: usize = size_of::<Self>() - ACK_SLOTS * size_of::<u32>();

    /// The bytes to send: only the slots that are used. Their number is set by this.
    pub fn encode(&mut self, address: Address, count: usize) -> &[u8] {
        let count = count.min(ACK_SLOTS);
        let size = Self::EMPTY + count * size_of::<u32>();
        self.head = Head { size: size as u32, ..Self::make_head(kind::ACK, 0) };
        (self.address, self.count) = (address, count as u32);
        &bytemuck::bytes_of(self)[..size]
    }

    /// As [`Message::decode`], of a message with as many slots as it says.
    pub fn decode_short(bytes: &[u8]) -> Result<Self, String> {
        let mut whole = Self::zeroed();
        let room = bytemuck::bytes_of_mut(&mut whole);
        let fits = (Self::EMPTY..=room.len()).contains(&bytes.len());
        if !fits {
            return Err(format!("an acknowledgement has {} bytes", bytes.len()));
        }
        room[..bytes.len()].copy_from_slice(bytes);
        let said =
            (whole.head.size as usize, Self::EMPTY + whole.count as usize * size_of::<u32>());
        if said != (bytes.len(), bytes.len()) {
            return Err(format!("an acknowledgement of {} bytes says {said:?}", bytes.len()));
        }
        Ok(whole)
    }

    /// The slots that are released.
    pub fn slots(&self) -> &[u32] {
        &self.slots[..(self.count as usize).min(ACK_SLOTS)]
    }
}

impl Message for RemoteHello {}
impl Message for RemoteWelcome {}
impl Message for RemoteAttach {}
impl Message for RemotePlain {}
impl Message for Ack {}
impl Message for RemoteClose {}

const _: () = {
    assert!(size_of::<RemoteHello>() == 792 && size_of::<RemoteHello>() <= LETTER);
    assert!(size_of::<RemoteWelcome>() == 1080 && size_of::<RemoteWelcome>() <= LETTER);
    assert!(size_of::<RemoteAttach>() == 48);
    assert!(size_of::<RemotePlain>() == 32);
    assert!(size_of::<Ack>() == 64 + 4 * ACK_SLOTS && size_of::<Ack>() <= LETTER);
    assert!(size_of::<RemoteClose>() == 40);
};
