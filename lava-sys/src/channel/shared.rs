//! What a producer shares with the service thread: its settings, and a mailbox for what happens to its connections.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::name::Name;
use super::report::policy_name;
use super::routing::Route;
use super::service::lock;
use super::staging::Staging;
use crate::memory::{Buffer, MemoryContext};
use crate::os::futex;
use crate::scope::{Forced, Location};
use crate::transport::ready::Signals;
use crate::transport::shm::ConsumedProbe;
use crate::transport::{AnyOutlet, Transport};

/// The unchanging facts of a channel.
#[derive(Debug)]
pub struct Geometry {
    pub policy: u32,
    pub capacity: u32,
    pub queue_length: u32,
    pub release_length: u32,
    pub max_frame_size: u64,
    /// Bytes from one slot to the next.
    pub stride: u64,
    pub max_consumers: u32,
    /// Set of `LAVA_TRANSPORT_*`; 0: any.
    pub require_transports: u32,
}

/// See the module.
pub struct ChannelShared {
    pub name: Name,
    pub geometry: Geometry,
    pub pool: Arc<Buffer>,
    /// Of a pool of GPU memory.
    pub signals: Option<Arc<Signals>>,
    pub staging: Staging,
    pub memory_context: MemoryContext,
    /// The metadata region's descriptor, for consumers to come.
    pub metadata: OwnedFd,
    pub location: Location,
    pub forced: Forced,
    mailbox: Mutex<Mailbox>,
    /// Counts the events that were posted; the producer's thread sleeps on it.
    events: AtomicU32,
    places: AtomicU32,
    next_id: AtomicU64,
    pub frames: AtomicU64,
    pub dropped_unheard: AtomicU64,
}

impl std::fmt::Debug for ChannelShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChannelShared({})", self.name)
    }
}

#[derive(Default)]
struct Mailbox {
    closed: bool,
    events: Vec<Event>,
    /// The connections that exist, for lists.
    live: Vec<Arc<Stats>>,
}

impl Mailbox {
    /// Adds an event. What peers can do again and again must not pile up while the producer's thread is busy elsewhere:
    /// a consumer leaves once, and one that comes and goes before it is looked at leaves nothing.
    fn add(&mut self, event: Event) {
        let id = event.id();
        match &event {
            Event::Connected(new) => self.live.push(Arc::clone(&new.stats)),
            Event::Detached { .. } => {
                let left = |event: &Event| matches!(event, Event::Detached { .. });
                if self.events.iter().any(|event| left(event) && event.id() == id) {
                    return;
                }
            }
            Event::Gone { .. } => {
                self.live.retain(|stats| stats.id != id);
                let came = |event: &Event| matches!(event, Event::Connected(_));
                if self.events.iter().any(|event| came(event) && event.id() == id) {
                    self.events.retain(|event| event.id() != id);
                    return;
                }
            }
        }
        self.events.push(event);
    }
}

/// What the service thread tells the producer's thread.
pub enum Event {
    Connected(Box<NewConnection>),
    /// The consumer leaves, but keeps what it claimed below `consumed`.
    Detached {
        id: u64,
        consumed: u64,
    },
    /// The consumer is gone: closed, dead, or thrown out.
    Gone {
        id: u64,
    },
}

impl Event {
    /// The connection that it is about.
    fn id(&self) -> u64 {
        match self {
            Self::Connected(new) => new.id,
            Self::Detached { id, .. } | Self::Gone { id } => *id,
        }
    }
}

/// A connection whose handshake is done.
pub struct NewConnection {
    pub id: u64,
    pub outlet: AnyOutlet,
    pub socket: Arc<OwnedFd>,
    pub stats: Arc<Stats>,
}

/// What is known and counted of one connection. Written by the producer's thread, read by any.
#[derive(Debug)]
pub struct Stats {
    pub id: u64,
    pub transport: Transport,
    pub route: Route,
    pub peer: Location,
    pub peer_process: u32,
    pub consumed: ConsumedProbe,
    pub frames: AtomicU64,
    pub bytes: AtomicU64,
    pub dropped: AtomicU64,
    /// Position of the next frame.
    pub next: AtomicU64,
    pub detached: AtomicBool,
}

impl Stats {
    /// Adds to a counter that only this thread writes: no locked instruction.
    #[inline(always)]
    pub fn add(counter: &AtomicU64, amount: u64) {
        counter.store(counter.load(Ordering::Relaxed) + amount, Ordering::Relaxed);
    }

    fn to_json(&self) -> Value {
        let next = self.next.load(Ordering::Relaxed);
        json!({
            "transport": self.transport.name(),
            "reason": self.route.reason,
            "copies": self.route.copies,
            "peer_process": self.peer_process,
            "peer": self.peer.to_string(),
            "frames": self.frames.load(Ordering::Relaxed),
            "bytes": self.bytes.load(Ordering::Relaxed),
            "dropped": self.dropped.load(Ordering::Relaxed),
            "queued": next.saturating_sub(self.consumed.consumed()),
            "detached": self.detached.load(Ordering::Relaxed),
        })
    }
}

/// A consumer's place; dropping it makes room for another.
#[derive(Debug)]
pub struct Place(Arc<ChannelShared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.places.fetch_sub(1, Ordering::AcqRel);
    }
}

impl ChannelShared {
    pub fn new(
        name: Name,
        geometry: Geometry,
        (pool, signals): (Arc<Buffer>, Option<Arc<Signals>>),
        metadata: OwnedFd,
        (location, forced): (Location, Forced),
        memory_context: MemoryContext,
    ) -> Self {
        Self {
            name,
            geometry,
            pool,
            signals,
            staging: Staging::default(),
            memory_context,
            metadata,
            location,
            forced,
            mailbox: Mutex::default(),
            events: AtomicU32::new(0),
            places: AtomicU32::new(0),
            next_id: AtomicU64::new(1),
            frames: AtomicU64::new(0),
            dropped_unheard: AtomicU64::new(0),
        }
    }

    /// Takes a consumer's place; None if all are taken.
    pub fn reserve(self: &Arc<Self>) -> Option<Place> {
        let taken = self.places.fetch_update(Ordering::AcqRel, Ordering::Acquire, |places| {
            (places < self.geometry.max_consumers).then_some(places + 1)
        });
        taken.ok().map(|_| Place(Arc::clone(self)))
    }

    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Tells the producer's thread, and wakes it if it sleeps. False: the producer is gone.
    pub fn post(&self, event: Event) -> bool {
        self.post_and(event, || ()).is_some()
    }

    /// As `post`, and calls `announce` when the event cannot be missed any more and is not taken in yet: what `announce`
    /// tells the peer comes before anything that the producer's thread tells it, and a send after it finds the event.
    /// `announce` must not wait. None: the producer is gone, and nothing was called.
    pub fn post_and<T>(&self, event: Event, announce: impl FnOnce() -> T) -> Option<T> {
        let announced = {
            let mut mailbox = lock(&self.mailbox);
            if mailbox.closed {
                return None;
            }
            mailbox.add(event);
            self.events.fetch_add(1, Ordering::Release);
            announce()
        };
        futex::wake(&self.events);
        Some(announced)
    }

    /// The word that changes with every event.
    #[inline(always)]
    pub fn events(&self) -> &AtomicU32 {
        &self.events
    }

    pub fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut lock(&self.mailbox).events)
    }

    /// No event is accepted any more; gives those that wait.
    pub fn close(&self) -> Vec<Event> {
        let mut mailbox = lock(&self.mailbox);
        mailbox.closed = true;
        std::mem::take(&mut mailbox.events)
    }

    /// The channel for `lava ls`.
    pub fn to_json(&self) -> Value {
        let live = lock(&self.mailbox).live.clone();
        json!({
            "name": self.name.as_str(),
            "process": std::process::id(),
            "policy": policy_name(self.geometry.policy),
            "capacity": self.geometry.capacity,
            "queue_length": self.geometry.queue_length,
            "max_frame_size": self.geometry.max_frame_size,
            "memory": self.pool.memory().name(),
            "frames": self.frames.load(Ordering::Relaxed),
            "dropped_unheard": self.dropped_unheard.load(Ordering::Relaxed),
            "connections": live.iter().map(|stats| stats.to_json()).collect::<Vec<_>>(),
        })
    }
}
