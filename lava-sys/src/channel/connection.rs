//! One consumer, as the producer's thread knows it.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::pool::Pool;
use super::report::ConnectionReport;
use super::shared::{NewConnection, Stats};
use crate::error::Hot;
use crate::os::socket;
use crate::transport::descriptor::Descriptor;
use crate::transport::{AnyOutlet, Dropped};
use crate::types::*;

/// See the module.
///
/// Aligned, so that the producer's loop over its connections has an easy step and no line of one holds another's words.
#[repr(align(64))]
pub struct Connection {
    pub id: u64,
    /// This consumer among the holders of a slot.
    pub bit: u64,
    pub outlet: AnyOutlet,
    pub socket: Arc<OwnedFd>,
    pub stats: Arc<Stats>,
    /// For each slot: position at which it was published to this consumer, plus 1; 0: not held.
    held: Box<[u64]>,
    /// Numbers of the registered buffers that this consumer has.
    pub buffers: HashSet<u32>,
    /// The consumer left, and gets no more frames.
    pub detached: bool,
    /// It broke the protocol, and is about to be removed.
    pub broken: bool,
    /// Policy drop-oldest: releases that are not expected may come.
    lenient: bool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({})", self.id)
    }
}

impl Connection {
    pub fn new(new: NewConnection, bit: u64, capacity: u32, policy: u32) -> Self {
        Self {
            id: new.id,
            bit,
            outlet: new.outlet,
            socket: new.socket,
            stats: new.stats,
            held: vec![0; capacity as usize].into(),
            buffers: HashSet::new(),
            detached: false,
            broken: false,
            lenient: policy == LAVA_POLICY_DROP_OLDEST,
        }
    }

    /// True if frames go to it.
    #[inline(always)]
    pub fn is_open(&self) -> bool {
        !self.detached && !self.broken
    }

    /// True if a frame can go to it at once.
    #[inline(always)]
    pub fn is_ready(&self) -> bool {
        self.is_open() && self.outlet.has_room()
    }

    /// Room for frames; a consumer that lies has none and is marked.
    pub fn room(&mut self, wanted: u64) -> u64 {
        self.outlet.room(wanted).unwrap_or_else(|_| {
            self.broken = true;
            0
        })
    }

    /// Publishes a descriptor. It is not woken yet.
    #[inline(always)]
    pub fn push(&mut self, descriptor: &Descriptor<'_>) {
        let position = self.outlet.push(descriptor);
        if let Some(slot) = descriptor.slot() {
            self.held[slot as usize] = position + 1;
        }
        Stats::add(&self.stats.frames, descriptor.count());
        Stats::add(&self.stats.bytes, descriptor.size());
        self.stats.next.store(position + 1, Ordering::Relaxed);
    }

    /// Takes the releases that have come.
    #[inline]
    pub fn collect(&mut self, pool: &mut Pool) {
        // More than the pool has slots, and a margin, cannot be there at once: a peer that floods is cut off.
        let most = pool.capacity() as usize + 64;
        for _ in 0..most {
            let Some(released) = self.outlet.released() else { return };
            let held = self.held.get_mut(released.slot as usize);
            match held {
                Some(position) if position.checked_sub(1) == Some(released.position) => {
                    *position = 0;
                    pool.release(released.slot, self.bit);
                }
                _ if self.lenient => {}
                _ => {
                    self.broken = true;
                    return;
                }
            }
        }
    }

    /// Makes room by dropping the oldest waiting frame. True if there is room now.
    pub fn drop_oldest(&mut self, pool: &mut Pool) -> bool {
        // A frame that is dropped can give a release that is not expected. They must not pile up: the ring has room for
        // as many as the pool has slots, and few more.
        self.collect(pool);
        let dropped: Hot<Dropped> = self.outlet.drop_oldest();
        match dropped {
            Ok(Dropped::Taken(slot)) => {
                Stats::add(&self.stats.dropped, 1);
                if let Some(slot) = slot {
                    self.forget(slot, pool);
                }
                true
            }
            Ok(Dropped::Claimed) => true,
            Ok(Dropped::Empty) => false,
            Err(_) => {
                self.broken = true;
                false
            }
        }
    }

    fn forget(&mut self, slot: u32, pool: &mut Pool) {
        if let Some(position) = self.held.get_mut(slot as usize) {
            *position = 0;
            pool.release(slot, self.bit);
        }
    }

    /// The consumer leaves: what it did not claim comes back at once.
    pub fn detach(&mut self, consumed: u64, pool: &mut Pool) {
        self.detached = true;
        self.stats.detached.store(true, Ordering::Relaxed);
        let next = self.outlet.next();
        let waiting = self.outlet.queued();
        for position in consumed.max(next - waiting)..next {
            if let Some(slot) = self.outlet.published_slot(position)
                && self.held.get(slot as usize) == Some(&(position + 1))
            {
                self.forget(slot, pool);
            }
        }
    }

    /// Ends the connection from this side: the service thread sees the socket end and cleans up.
    pub fn cut(&self) {
        socket::shutdown(self.socket.as_fd());
    }

    pub fn report(&mut self, pool: &Pool, sleeps: u64) -> ConnectionReport {
        let stats = &self.stats;
        let queued = self.outlet.queued();
        let in_slots = pool.held_by(self.bit) as u64;
        ConnectionReport {
            transport: stats.transport,
            copies: stats.route.copies,
            state: if self.broken {
                LAVA_CONNECTION_LOST
            } else if self.detached {
                LAVA_CONNECTION_CLOSED
            } else {
                LAVA_CONNECTION_OPEN
            },
            peer_process: stats.peer_process,
            peer: stats.peer.clone(),
            reason: stats.route.reason.clone(),
            rejections: stats.route.rejections.clone(),
            frames: stats.frames.load(Ordering::Relaxed),
            bytes: stats.bytes.load(Ordering::Relaxed),
            dropped: stats.dropped.load(Ordering::Relaxed),
            queued,
            held: in_slots.saturating_sub(self.waiting_slots()),
            sleeps,
            wakes: self.outlet.wakes(),
            imports: 0,
        }
    }

    /// Slots of frames that are published and not claimed.
    fn waiting_slots(&mut self) -> u64 {
        let next = self.outlet.next();
        let first = next - self.outlet.queued();
        (first..next).filter(|position| self.outlet.published_slot(*position).is_some()).count()
            as u64
    }
}
