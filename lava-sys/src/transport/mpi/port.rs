//! What lava asks of MPI: non-blocking messages of bytes between the ranks of one job.

use crate::error::Result;
use crate::types::lava_status;

/// A message under way. Owned by the port that gave it; it ends with its completion, and its number is then used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Request(pub u64);

/// The end of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    pub request: Request,
    /// Bytes received; 0 for a message that was sent.
    pub bytes: usize,
    /// Rank that sent it; -1 for a message that was sent.
    pub source: i32,
    /// Tag that it was sent with; -1 for a message that was sent.
    pub tag: i32,
    /// `LAVA_OK`; `LAVA_CLOSED`: cancelled; an error: this message was lost, and perhaps its peer.
    pub status: lava_status,
}

/// The messages of one job. Used by one thread at a time. Messages of one rank with one tag arrive in order, in the
/// receives that were begun first.
///
/// Nothing here blocks or is collective. Dropping it gives the communicator back; messages that are still under way are
/// forgotten, but those that write into memory are cancelled first, or the memory is never touched again.
pub trait Port: Send {
    /// This process's rank, from 0.
    fn rank(&self) -> i32;
    /// Ranks of the job.
    fn size(&self) -> i32;
    /// Begins to send `bytes` bytes, at most `i32::MAX`, to rank `to`. None: it is done already.
    ///
    /// # Safety
    /// The memory stays valid and unchanged until the request is complete.
    unsafe fn send(
        &mut self,
        from: *const u8,
        bytes: usize,
        to: i32,
        tag: i32,
    ) -> Result<Option<Request>>;
    /// Begins to receive at most `bytes` bytes, at most `i32::MAX`; None: from any rank, with any tag. A longer message
    /// completes with an error.
    ///
    /// # Safety
    /// The memory stays valid, and nobody else uses it, until the request is complete.
    unsafe fn receive(
        &mut self,
        into: *mut u8,
        bytes: usize,
        from: Option<i32>,
        tag: Option<i32>,
    ) -> Result<Request>;
    /// Lets MPI work, and appends those of `requests` that are complete to `done`; it allocates only if `done` has no room.
    /// With no request it only lets MPI work.
    fn test(&mut self, requests: &[Request], done: &mut Vec<Completion>) -> Result<()>;
    /// Takes a receive back. It completes in a later [`Self::test`], with `LAVA_CLOSED` unless a message came first.
    fn cancel(&mut self, request: Request);
    /// The largest tag.
    fn tag_limit(&self) -> i32;
    /// True if MPI said that it takes CUDA's device pointers.
    fn gpu_aware(&self) -> bool;
    /// A rank is dead: from now on nothing waits for it, MPI's own end included.
    fn abandon(&mut self);
}
