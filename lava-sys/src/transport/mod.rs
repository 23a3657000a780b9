//! How a connection moves frames: one trait for each end, one file or folder for each transport.
//!
//! A transport moves descriptors and releases, wakes and is woken. It knows nothing of names, policies or pools: those
//! are the channel's. Calls are made by one thread at a time, except those of [`Returns`].

mod any;
pub mod deferred;
pub mod descriptor;
mod device_frame;
pub mod event;
pub mod frame;
pub mod metadata;
#[allow(dead_code, reason = "the engine that uses it is being built")]
pub mod mpi;
pub mod ready;
pub mod ring;
pub mod shm;
pub mod slab;
pub mod tensor;
pub mod vulkan;

use crate::error::Hot;
use crate::types::*;
pub use any::{AnyInlet, AnyOutlet};
use descriptor::{Descriptor, Words};
pub use ring::descriptors::{Dropped, Popped};

use crate::sync::AtomicU32;

/// The transports, in the order in which they are preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Vulkan,
    Shm,
    Peer,
    Staged,
    Mpi,
}

impl Transport {
    pub const ALL: [Self; 5] = [Self::Vulkan, Self::Shm, Self::Peer, Self::Staged, Self::Mpi];

    /// `LAVA_TRANSPORT_*`.
    pub fn number(self) -> u32 {
        match self {
            Self::Shm => LAVA_TRANSPORT_SHM,
            Self::Vulkan => LAVA_TRANSPORT_VULKAN,
            Self::Staged => LAVA_TRANSPORT_STAGED,
            Self::Peer => LAVA_TRANSPORT_PEER,
            Self::Mpi => LAVA_TRANSPORT_MPI,
        }
    }

    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|transport| transport.number() == number)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Shm => "shm",
            Self::Vulkan => "vulkan",
            Self::Staged => "staged",
            Self::Peer => "peer",
            Self::Mpi => "mpi",
        }
    }

    /// Copies that the transport makes of a frame.
    pub fn copies(self) -> u32 {
        match self {
            Self::Shm | Self::Vulkan => 0,
            Self::Staged | Self::Peer | Self::Mpi => 1,
        }
    }

    /// Names of a set of `LAVA_TRANSPORT_*`, for messages.
    pub fn names(set: u32) -> String {
        let names: Vec<&str> =
            Self::ALL.into_iter().filter(|one| set & one.number() != 0).map(Self::name).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }
}

/// A release as the peer wrote it: checked by the channel against what it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released {
    pub slot: u32,
    pub position: u64,
}

/// The producer's end of one connection.
pub trait Outlet: Send {
    /// How many more frames its queue takes; looks at the peer's state only if fewer than `wanted` seem to fit.
    fn room(&mut self, wanted: u64) -> Hot<u64>;
    /// A push will follow soon: what it writes to may be fetched.
    fn prepare(&self);
    /// True if [`Self::room`] would say so for one more without a look at the peer's state.
    fn has_room(&self) -> bool;
    /// Publishes a descriptor; there is room. Gives its position, its number in this connection.
    fn push(&mut self, descriptor: &Descriptor<'_>) -> u64;
    /// Wakes the consumer if it sleeps; once after one or several pushes.
    fn wake(&mut self);
    /// The next release, if there is one.
    fn released(&mut self) -> Option<Released>;
    /// Takes the oldest waiting frame back.
    fn drop_oldest(&mut self) -> Hot<Dropped>;
    /// Frames published and not claimed, looked up afresh.
    fn queued(&mut self) -> u64;
    /// The slot of the frame that was published at a position that may still wait; None if it has none.
    fn published_slot(&self, position: u64) -> Option<u32>;
    /// Position of the next frame.
    fn next(&self) -> u64;
    /// This end is about to sleep: the consumer will change [`Self::wake_word`] when it claims or releases. Gives the
    /// word's value of before. Look for work after this, then sleep.
    fn set_alarm(&mut self) -> u32;
    /// True if `os::membarrier::barrier` must be called after [`Self::set_alarm`], before looking for work; once is
    /// enough for all connections.
    fn needs_barrier(&self) -> bool;
    fn clear_alarm(&mut self);
    /// The word to sleep on, if the transport has one.
    fn wake_word(&self) -> Option<&AtomicU32>;
    /// Nothing more will be published. Wakes the consumer.
    fn close(&mut self);
    /// System calls made to wake the consumer.
    fn wakes(&self) -> u64;
}

/// The consumer's end of one connection.
pub trait Inlet: Send {
    /// Takes the next descriptor and copies its words out, as the peer wrote them.
    fn pop(&mut self, words: &mut Words) -> Hot<Popped>;
    /// True if [`Self::pop`] would give something.
    fn ready(&self) -> bool;
    /// Position below which everything is claimed.
    fn consumed(&self) -> u64;
    /// Frames that are there to be taken, at most as many as the queue has places. For reports: it looks at every line.
    fn queued(&self) -> u64;
    /// Tells the producer how far was read, less `kept` descriptors, and wakes it if it waits for room; once after one or
    /// several pops.
    fn wake(&self, kept: u64);
    /// True if the producer said that nothing more will come.
    fn closed(&self) -> bool;
    /// This end is about to sleep: the producer will change [`Self::wake_word`] when it publishes. Gives the word's value
    /// of before. Look for work after this, then sleep.
    fn set_alarm(&mut self) -> u32;
    fn clear_alarm(&mut self);
    /// Asks for a signal on the event descriptor with the next frame.
    fn arm_event(&mut self);
    /// The word to sleep on.
    fn wake_word(&self) -> &AtomicU32;
}

/// How frames go back; used by any thread, also after the consumer's handle is gone.
pub trait Returns: Send + Sync {
    /// Gives slots back and wakes the producer if it waits.
    fn release(&self, released: &[Released]);
    /// System calls made to wake the producer.
    fn wakes(&self) -> u64;
}
