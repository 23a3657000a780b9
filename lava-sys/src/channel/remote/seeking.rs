//! The consumer's side of the handshake: asks the ranks of the job who has the channel, and makes the connection's ends
//! in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::super::connect::{Established, check_geometry, refused};
use super::super::consumer::Options;
use super::super::context::Context;
use super::super::link::{agreed_fences, own_features, protocol};
use super::super::name::Name;
use super::super::routing::{self, Ends, Wants};
use super::super::upload::Upload;
use super::engine::Engine;
use super::progress::{Remote, Wanted};
use super::receiver::Receiver;
use crate::error::{Error, Result};
use crate::memory::{Buffer, Memory, MemoryContext, Request};
use crate::os::clock::Deadline;
use crate::os::{memfd, socket};
use crate::scope::{self, Location, Rendezvous, Scope};
use crate::transport::Transport;
use crate::transport::event::EventSlot;
use crate::transport::metadata::{self, Metadata};
use crate::transport::mpi::incoming::{Allocate, Buffers, Incoming, Parts, WINDOW};
use crate::transport::mpi::{SLACK, SMALL};
use crate::transport::shm::{OwnRegion, ShmLink, ShmOutlet, map_peer_region};
use crate::types::*;
use crate::wire::remote::{self as letters, Address, kind};
use crate::wire::{self, Message};

/// Between the first two times that everybody is asked; then longer and longer.
const ASK_NS: u64 = 5_000_000;
const ASK_MAX_NS: u64 = 500_000_000;
/// Least time for the producer to confirm a consumer that has attached.
const READY_NS: u64 = 5_000_000_000;
/// Slots beyond the producer's, for messages that take none or bring more than one frame: as many as fit into this many
/// bytes, so that they stay in the processor's cache, but a few.
const EXTRA_BYTES: u64 = 512 << 10;
/// A few: as many as fit into this many bytes.
const FEW_BYTES: u64 = 8 << 20;
const FEW: std::ops::RangeInclusive<u64> = 2..=8;
const PAGE: u64 = 4096;

/// One search, as the engine knows it.
pub struct Seeker {
    pub key: u64,
    /// Answers that were not looked at yet, with the ranks that gave them.
    pub answers: Vec<(i32, letters::RemoteWelcome)>,
}

impl Engine {
    /// A producer answers a search.
    pub(super) fn welcome(&mut self, from: i32, bytes: &[u8]) -> Result<()> {
        let welcome = letters::RemoteWelcome::decode(bytes, &[kind::WELCOME]).map_err(protocol)?;
        let Address { to, from: peer_key } = welcome.address;
        match self.seekers.iter_mut().find(|one| one.key == to) {
            Some(seeker) => seeker.answers.push((from, welcome)),
            // The answer to a question that was asked twice.
            None if self.receivers.iter().any(|one| one.key == to) => {}
            // Somebody else was faster, or the time is over.
            None if welcome.welcome.status == LAVA_OK => {
                self.say(kind::BYE, from, peer_key, to)?;
            }
            None => {}
        }
        Ok(())
    }

    /// A search is over without a connection: who has reserved a place for it is told.
    fn give_up(&mut self, key: u64) {
        for seeker in self.seekers.extract_if(.., |one| one.key == key).collect::<Vec<_>>() {
            for (rank, answer) in seeker.answers {
                if answer.welcome.status == LAVA_OK {
                    // An error is the engine's end, which the next call tells.
                    let _ = self.say(kind::BYE, rank, answer.address.from, key);
                }
            }
        }
    }

    fn ask(&mut self, key: u64, ranks: &[i32], hello: &wire::Hello) -> Result<()> {
        let hello = letters::RemoteHello {
            head: letters::RemoteHello::make_head(kind::HELLO, 0),
            address: Address { to: 0, from: key },
            hello: *hello,
        };
        for rank in ranks {
            self.mailbox.send(&mut *self.port, *rank, bytemuck::bytes_of(&hello))?;
        }
        Ok(())
    }

    /// Replaces a search by its connection, and begins to receive.
    fn receive(&mut self, key: u64, peer_key: u64, parts: End) -> Result<()> {
        let End { parts, socket, event } = parts;
        let (rank, tag, shares) = (parts.peer, parts.tag, parts.shares.into());
        let mut incoming = Incoming::new(parts);
        let granted = incoming.post(&mut *self.port)?;
        let head = letters::RemoteAttach::make_head(kind::ATTACH, 0);
        let address = Address { to: peer_key, from: key };
        let attach = letters::RemoteAttach { head, address, granted, tag, shares };
        self.mailbox.send(&mut *self.port, rank, bytemuck::bytes_of(&attach))?;
        self.peers.watch(rank);
        self.seekers.retain(|one| one.key != key);
        let (ready, ends_at) = (false, None);
        self.receivers.push(Receiver {
            key,
            peer_key,
            incoming,
            socket,
            event,
            attach,
            ready,
            ends_at,
        });
        Ok(())
    }

    /// Says again what the producer has not confirmed.
    fn attach_again(&mut self, key: u64) -> Result<()> {
        let Some(receiver) = self.receivers.iter().find(|one| one.key == key) else {
            return Ok(());
        };
        let (rank, attach) = (receiver.incoming.peer(), receiver.attach);
        self.mailbox.send(&mut *self.port, rank, bytemuck::bytes_of(&attach))
    }

    /// Whether the producer confirmed a connection; None: it is gone.
    fn is_ready(&self, key: u64) -> Option<bool> {
        self.receivers.iter().find(|one| one.key == key).map(|one| one.ready)
    }
}

/// The engine's end of a connection to be.
struct End {
    parts: Parts,
    socket: std::os::fd::OwnedFd,
    event: Arc<EventSlot>,
}

/// A search for a channel among the ranks of the job.
pub struct Search<'a> {
    remote: Arc<Remote>,
    context: &'a Arc<Context>,
    name: &'a Name,
    options: &'a Options,
    hello: wire::Hello,
    key: Option<u64>,
    ranks: Vec<i32>,
    next: Deadline,
    pause_ns: u64,
}

impl<'a> Search<'a> {
    pub fn new(
        context: &'a Arc<Context>,
        name: &'a Name,
        options: &'a Options,
        hello: wire::Hello,
    ) -> Self {
        let remote = Arc::clone(&context.remote);
        let (key, ranks, next) = (None, Vec::new(), Deadline::after(0));
        Self { remote, context, name, options, hello, key, ranks, next, pause_ns: ASK_NS }
    }

    /// Goes on. An error: the producer was found and refuses, or there is no job.
    pub fn step(&mut self, deadline: Deadline) -> Result<Option<Established>> {
        self.remote.drive(Wanted::All);
        let Some(key) = self.begin()? else { return Ok(None) };
        if self.next.passed() {
            self.next = Deadline::after(self.pause_ns);
            self.pause_ns = (self.pause_ns * 2).min(ASK_MAX_NS);
            self.remote.with(|engine| engine.ask(key, &self.ranks, &self.hello)).transpose()?;
        }
        let answer = self.remote.with(|engine| {
            engine.failed.clone().map_or(Ok(()), Err)?;
            let seeker = engine.seekers.iter_mut().find(|one| one.key == key);
            Ok(seeker.and_then(|one| (!one.answers.is_empty()).then(|| one.answers.remove(0))))
        });
        match answer.transpose()?.flatten() {
            Some((rank, welcome)) => self.accept(key, rank, &welcome, deadline),
            None => Ok(None),
        }
    }

    /// Begins, once there is a job. Gives this search's number.
    fn begin(&mut self) -> Result<Option<u64>> {
        if self.key.is_some() {
            return Ok(self.key);
        }
        let begun = self.remote.with(|engine| {
            let key = engine.new_key();
            engine.seekers.push(Seeker { key, answers: Vec::new() });
            (key, Arc::clone(&engine.job))
        });
        let Some((key, job)) = begun else {
            return self.remote.refusal().map_or(Ok(None), Err);
        };
        self.key = Some(key);
        let here = self.context.location();
        let is_remote = |there: &Location| {
            let forced = self.context.forced;
            scope::decide(&here, there, forced, Rendezvous::NotAsked).scope == Scope::Remote
        };
        let wanted = |there: &Location| {
            self.options.producer.as_ref().is_none_or(|producer| same_place(producer, there))
        };
        let ranks = job.ranks.iter().filter(|there| wanted(there) && is_remote(there));
        self.ranks = ranks.map(|there| there.rank).collect();
        if let (Some(producer), true) = (&self.options.producer, self.ranks.is_empty()) {
            return Err(Error::new(
                LAVA_ERROR_UNREACHABLE,
                format!("no rank of the MPI job is at {producer}"),
            ));
        }
        Ok(self.key)
    }

    fn accept(
        &mut self,
        key: u64,
        rank: i32,
        answer: &letters::RemoteWelcome,
        deadline: Deadline,
    ) -> Result<Option<Established>> {
        if answer.welcome.status != LAVA_OK {
            return Err(refused(self.name, &answer.welcome));
        }
        let peer_key = answer.address.from;
        let made = self.make(rank, answer).and_then(|(established, end)| {
            let begun = self.remote.with(|engine| {
                let tag = engine.new_tag();
                let parts = Parts { tag, ..end.parts };
                engine.receive(key, peer_key, End { parts, ..end })
            });
            begun.transpose()?;
            self.key = None;
            Ok(established)
        });
        let established = match made {
            Ok(established) => established,
            Err(error) => {
                self.remote.with(|engine| engine.say(kind::BYE, rank, peer_key, key));
                return Err(error);
            }
        };
        let until = deadline.max(Deadline::after(READY_NS));
        let mut again = Deadline::after(ASK_MAX_NS);
        loop {
            self.remote.drive(Wanted::All);
            if again.passed() {
                again = Deadline::after(ASK_MAX_NS);
                self.remote.with(|engine| engine.attach_again(key)).transpose()?;
            }
            match self.remote.with(|engine| engine.is_ready(key)).flatten() {
                Some(true) => return Ok(Some(established)),
                Some(false) if !until.passed() => std::thread::yield_now(),
                // All that it sent, and its end, came before this look.
                None if established.link.is_closed() => return Ok(Some(established)),
                // The producer ended meanwhile: its name may come again.
                _ => return Ok(None),
            }
        }
    }

    /// Both ends of the connection in this process: what the consumer reads, and what the engine fills.
    fn make(&self, rank: i32, answer: &letters::RemoteWelcome) -> Result<(Established, End)> {
        let context = self.context;
        let peer = Location::parse(&wire::get_text(&answer.welcome.location))
            .map_err(|error| protocol(format!("the producer's location: {error}")))?;
        let wants = Wants::of(self.options.memory);
        let welcome = check(&answer.welcome)?;
        let (memory, uuid) = (context.memory_context(), self.options.device_uuid);
        let pool = Pool::new(&welcome, self.options, memory)?;
        let total = pool.welcome.stride * u64::from(pool.welcome.capacity);
        let upload = routing::uploads(Transport::Mpi, wants)
            .then(|| Upload::new(total, uuid, memory))
            .transpose()?;
        let tensors = OwnRegion::new("lava-metadata", metadata::region_size(pool.slots))?;
        let rings = Rings::new(&pool.welcome, context)?;
        let (theirs, ours) = socket::pair()?;
        let buffers: Buffers = Arc::new(Mutex::new(HashMap::new()));
        let scope = {
            let here = context.location();
            scope::decide(&here, &peer, context.forced, Rendezvous::NotAsked)
        };
        let read =
            map_peer_region(&memfd::duplicate(tensors.fd())?, metadata::region_size(pool.slots))?;
        let rejections = routing::rejected_before(
            Transport::Mpi,
            &Ends {
                pool_on_device: answer.welcome.memory == LAVA_MEMORY_DEVICE,
                scope: &scope,
                consumer_wants: wants,
                no_import: None,
                no_staging: None,
                no_mpi: None,
                consumer_accepts: self.options.require_transports,
                producer_accepts: 0,
                max_copies: self.options.max_copies.unwrap_or(u32::MAX),
            },
        );
        let end = End {
            parts: Parts {
                outlet: rings.outlet,
                metadata: Metadata::new(tensors.into_mapping(), pool.slots),
                pool: pool.written,
                stride: pool.welcome.stride,
                slots: pool.slots,
                max_frame_size: welcome.max_frame_size,
                capacity: welcome.capacity,
                queue_length: welcome.queue_length,
                shares: pool.shares,
                hurry: welcome.policy == LAVA_POLICY_DROP_OLDEST,
                allocate: allocator(memory.clone()),
                buffers: Arc::clone(&buffers),
                peer: rank,
                tag: 0,
            },
            socket: ours,
            event: rings.event,
        };
        let established = Established {
            socket: Arc::new(theirs),
            transport: Transport::Mpi,
            link: rings.link,
            pool: Arc::new(pool.read),
            upload,
            copies: answer.copies,
            watch: None,
            metadata: Metadata::new(read, pool.slots),
            peer_process: peer.process,
            rejections,
            peer,
            scope,
            capacity: welcome.capacity,
            buffers,
            remote: Some(Arc::clone(&self.remote)),
            welcome: pool.welcome,
        };
        Ok((established, end))
    }
}

impl Drop for Search<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.remote.with(|engine| engine.give_up(key));
        }
    }
}

/// Whether a location that the application gave is that of a rank: by rank, by context, or by process.
fn same_place(wanted: &Location, there: &Location) -> bool {
    if wanted.rank >= 0 {
        return wanted.rank == there.rank;
    }
    if wanted.context != 0 {
        return wanted.context == there.context;
    }
    wanted.process == there.process && wanted.same_kernel(there) == Some(true)
}

/// The producer's numbers, checked, as those of a pool in host memory.
fn check(told: &wire::Welcome) -> Result<wire::Welcome> {
    let total = told.stride.checked_mul(told.capacity.into());
    let welcome = wire::Welcome {
        memory: LAVA_MEMORY_STANDARD,
        pool_size: total.unwrap_or(0),
        ready: wire::ready::HOST,
        recipe: wire::Recipe::default(),
        ..*told
    };
    check_geometry(&welcome)?;
    Ok(welcome)
}

/// The consumer's own pool: written by the engine, read by the consumer.
struct Pool {
    written: Arc<Buffer>,
    read: Buffer,
    slots: u32,
    /// A message may have several frames that take slots.
    shares: bool,
    /// The connection's numbers with this pool.
    welcome: wire::Welcome,
}

impl Pool {
    fn new(told: &wire::Welcome, options: &Options, context: &MemoryContext) -> Result<Self> {
        let too_large = || protocol("the producer's frames are too large".into());
        let stride = told.max_frame_size.checked_add(SLACK).ok_or_else(too_large)?;
        // Pages, so that frames are aligned as the producer's are.
        let stride = stride.max(SMALL as u64).next_multiple_of(PAGE);
        let few = (FEW_BYTES / stride).clamp(*FEW.start(), *FEW.end());
        let extra = (EXTRA_BYTES / stride).clamp(few, WINDOW as u64);
        // Fewer are too few for all messages to be received into.
        let (slots, shares) = (told.capacity + extra as u32, extra >= *FEW.end());
        let size = stride.checked_mul(slots.into()).ok_or_else(too_large)?;
        let memory = match options.memory {
            // The GPU copies from it.
            Memory::Device => Memory::Pinned,
            Memory::Auto => Memory::Standard,
            wished => wished,
        };
        let (written, read) = shared(size, memory, context)
            .map_err(|error| error.context("memory for frames from another host"))?;
        let welcome = wire::Welcome {
            transport: LAVA_TRANSPORT_MPI,
            capacity: slots,
            release_length: wire::release_length(slots),
            stride,
            pool_size: written.allocated_size(),
            memory: written.memory().number(),
            pages: written.pages(),
            ..*told
        };
        Ok(Self { written, read, slots, shares, welcome })
    }
}

/// Host memory twice: for the engine to write, and for the consumer to read only.
fn shared(size: u64, memory: Memory, context: &MemoryContext) -> Result<(Arc<Buffer>, Buffer)> {
    let request = Request {
        memory,
        size,
        alignment: PAGE,
        flags: LAVA_BUFFER_SHAREABLE,
        numa_node: None,
        fallback: vec![Memory::Standard],
        peer: None,
        device_uuid: [0; 16],
    };
    let written = Buffer::allocate(&request, context)?;
    let fd = written
        .shared_fd()
        .ok_or_else(|| Error::new(LAVA_ERROR_INTERNAL, "memory without a descriptor"))?;
    let (size, memory, pages) = (written.allocated_size(), written.memory(), written.pages());
    let read = Buffer::from_peer(memfd::duplicate(fd)?, size, memory, pages)?;
    Ok((Arc::new(written), read))
}

fn allocator(context: MemoryContext) -> Allocate {
    Box::new(move |size| {
        let (written, read) = shared(size, Memory::Standard, &context)?;
        Ok((written, Arc::new(read)))
    })
}

/// The two regions of a connection, and both of its ends.
struct Rings {
    outlet: ShmOutlet,
    link: Arc<ShmLink>,
    event: Arc<EventSlot>,
}

impl Rings {
    fn new(welcome: &wire::Welcome, context: &Context) -> Result<Self> {
        let (queue, releases) = (welcome.queue_length, welcome.release_length);
        let size = wire::descriptor_region_size(queue);
        let descriptors = OwnRegion::new("lava-descriptors", size)?;
        let region_size = wire::consumer_region_size(releases);
        let region = OwnRegion::new("lava-releases", region_size)?;
        let seen = map_peer_region(&memfd::duplicate(descriptors.fd())?, size)?;
        let given = Arc::new(map_peer_region(&memfd::duplicate(region.fd())?, region_size)?);
        let fences = agreed_fences(own_features());
        let event = Arc::<EventSlot>::default();
        let outlet = ShmOutlet::new(
            descriptors.into_mapping(),
            given,
            queue,
            releases,
            fences,
            Arc::clone(&event),
        );
        let fork = Arc::clone(&context.fork);
        let link = ShmLink::new(region.into_mapping(), seen, queue, releases, fences, fork);
        Ok(Self { outlet, link, event })
    }
}
