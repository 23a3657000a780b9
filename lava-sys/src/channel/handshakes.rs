//! The handshakes that are under way at one channel: few at once, and whoever keeps silent makes room for the next, so
//! that peers which connect again and again without a word keep no honest consumer out. Used by the service thread.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use super::service::lock;
use crate::os::clock::Deadline;
use crate::os::socket;

/// Handshakes of one channel at once.
pub const PENDING_MAX: usize = 16;
/// A peer that was answered has this long for its next message, whoever else wants to come in. Longer than an honest one
/// takes; short, because a peer that stops there keeps a place for as long.
const GRACE_NS: u64 = 20_000_000;

struct Entry {
    /// The source's number on the service thread.
    token: u64,
    socket: Arc<OwnedFd>,
    /// Until when it may think about the answer to its first message; None: it has said nothing yet.
    grace: Option<Deadline>,
}

impl Entry {
    fn is_silent(&self) -> bool {
        !matches!(socket::wait_readable(self.socket.as_fd(), Deadline::after(0)), Ok(true))
    }
}

/// See the module. Oldest first.
#[derive(Default)]
pub struct Handshakes(Mutex<Vec<Entry>>);

impl Handshakes {
    /// Makes room for one more. Gives the source that is to be removed for it, if one is; an error if nobody can go.
    pub fn make_room(&self) -> Result<Option<u64>, ()> {
        let mut entries = lock(&self.0);
        if entries.len() < PENDING_MAX {
            return Ok(None);
        }
        let mute = entries.iter().position(|entry| entry.grace.is_none() && entry.is_silent());
        let slow = || {
            let over = |entry: &Entry| entry.grace.is_some_and(Deadline::passed);
            entries.iter().position(|entry| over(entry) && entry.is_silent())
        };
        let index = mute.or_else(slow).ok_or(())?;
        Ok(Some(entries.remove(index).token))
    }

    /// Takes in a handshake that begins.
    pub fn add(&self, token: u64, socket: Arc<OwnedFd>) {
        lock(&self.0).push(Entry { token, socket, grace: None });
    }
}

/// One handshake among them, until it is dropped.
pub struct Pending {
    handshakes: Arc<Handshakes>,
    socket: Arc<OwnedFd>,
}

impl Pending {
    pub fn new(handshakes: &Arc<Handshakes>, socket: &Arc<OwnedFd>) -> Self {
        Self { handshakes: Arc::clone(handshakes), socket: Arc::clone(socket) }
    }

    /// The first message was answered.
    pub fn answered(&self) {
        for entry in lock(&self.handshakes.0).iter_mut() {
            if Arc::ptr_eq(&entry.socket, &self.socket) {
                entry.grace = Some(Deadline::after(GRACE_NS));
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        lock(&self.handshakes.0).retain(|entry| !Arc::ptr_eq(&entry.socket, &self.socket));
    }
}
