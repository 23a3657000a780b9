//! The producer's side of the handshake: answers whoever looks for a channel of this context, and adds connections.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::super::link::{probe_answer, welcome_numbers};
use super::super::name::Name;
use super::super::offer;
use super::super::routing::Route;
use super::super::shared::{ChannelShared, Event, NewConnection, Place, Stats};
use super::engine::{Engine, protocol};
use super::sender::Sender;
use crate::error::{Error, Result};
use crate::memory::Buffer;
use crate::os::clock::Deadline;
use crate::os::mapping::Mapping;
use crate::os::{memfd, socket};
use crate::scope::{self, Forced, Location, Rendezvous, Report, Scope};
use crate::transport::event::EventSlot;
use crate::transport::metadata::{self, Metadata};
use crate::transport::mpi::outgoing::{Outgoing, Parts};
use crate::transport::ring::alarm::Fences;
use crate::transport::shm::{
    ConsumedProbe, OwnRegion, ShmInlet, ShmLink, ShmOutlet, map_peer_region,
};
use crate::transport::{AnyOutlet, Transport};
use crate::types::*;
use crate::wire::remote::{self as letters, Address, kind};
use crate::wire::{self, Message};

/// A consumer that was welcomed has so long to attach.
const ATTACH_NS: u64 = 10_000_000_000;

/// A consumer that was welcomed.
pub struct Pending {
    pub key: u64,
    pub rank: i32,
    pub deadline: Deadline,
    peer_key: u64,
    /// For a consumer that asks again.
    answer: Box<letters::RemoteWelcome>,
    channel: Arc<ChannelShared>,
    place: Place,
    route: Route,
    /// Host memory with the channel's slots.
    pool: Arc<Buffer>,
    peer: Location,
}

impl Engine {
    /// A consumer looks for a channel. Only who has it answers.
    pub(super) fn hello(&mut self, from: i32, bytes: &[u8]) -> Result<()> {
        let hello = letters::RemoteHello::decode(bytes, &[kind::HELLO]).map_err(protocol)?;
        let peer_key = hello.address.from;
        if let Some(pending) =
            self.pending.iter().find(|one| (one.rank, one.peer_key) == (from, peer_key))
        {
            return self.mailbox.send(&mut *self.port, from, bytemuck::bytes_of(&*pending.answer));
        }
        let known =
            self.senders.iter().any(|one| (one.outgoing.peer(), one.peer_key) == (from, peer_key));
        let name = Name::new(&wire::get_text(&hello.hello.name))?;
        let Some(channel) = self.channel(name.as_str()).filter(|_| !known) else { return Ok(()) };
        let key = self.new_key();
        let mut answer = letters::RemoteWelcome {
            head: letters::RemoteWelcome::make_head(kind::WELCOME, 0),
            address: Address { to: peer_key, from: key },
            welcome: probe_answer(&channel.location),
            copies: 0,
            reserved: 0,
        };
        match prepare(&channel, &hello.hello) {
            Ok((route, pool, place, peer)) => {
                answer.copies = route.copies;
                answer.welcome = wire::Welcome {
                    transport: LAVA_TRANSPORT_MPI,
                    memory: channel.pool.memory().number(),
                    reason: wire::put_text(&route.reason),
                    ..welcome_numbers(&channel)
                };
                let deadline = Deadline::after(ATTACH_NS);
                let rank = from;
                let answer = Box::new(answer);
                self.pending.push(Pending {
                    answer,
                    key,
                    rank,
                    deadline,
                    peer_key,
                    channel,
                    place,
                    route,
                    pool,
                    peer,
                });
            }
            Err(error) => {
                self.facts.log.info(|| {
                    format!("channel {name}: a consumer of rank {from} was refused: {error}")
                });
                answer.welcome.status = error.status;
                answer.welcome.reason = wire::put_text(&error.message);
            }
        }
        self.mailbox.send(&mut *self.port, from, bytemuck::bytes_of(&answer))
    }

    /// A welcomed consumer is ready to receive.
    pub(super) fn attach(&mut self, from: i32, bytes: &[u8]) -> Result<()> {
        let attach = letters::RemoteAttach::decode(bytes, &[kind::ATTACH]).map_err(protocol)?;
        let Address { to, from: peer_key } = attach.address;
        let fits = |one: &Pending| (one.key, one.rank, one.peer_key) == (to, from, peer_key);
        let Some(at) = self.pending.iter().position(fits) else {
            if self.senders.iter().any(|one| (one.key, one.outgoing.peer()) == (to, from)) {
                return self.say(kind::READY, from, peer_key, to);
            }
            // It came too late, or the channel has ended.
            return self.say(kind::BYE, from, peer_key, to);
        };
        let pending = self.pending.swap_remove(at);
        let limit = self.port.tag_limit();
        if attach.tag < 2 || attach.tag >= limit || attach.tag % 2 != 0 {
            return Err(protocol(format!("rank {from} wants frames with tag {}", attach.tag)));
        }
        let name = pending.channel.name.clone();
        if let Err(error) = self.connect(pending, &attach) {
            self.facts.log.warn(|| {
                format!("channel {name}: a consumer of rank {from} could not be added: {error}")
            });
            self.say(kind::BYE, from, peer_key, to)?;
        }
        Ok(())
    }

    /// Makes the connection's two ends in this process: the producer's, and the engine's.
    fn connect(&mut self, pending: Pending, attach: &letters::RemoteAttach) -> Result<()> {
        let Pending { key, rank, peer_key, channel, place, route, pool, peer, .. } = pending;
        let remote = self.remote.upgrade().ok_or_else(|| ends("the context"))?;
        let event = EventSlot::with_hook(Box::new(move || remote.call(key)));
        let rings = Rings::new(&channel, event, &self.facts.fork)?;
        let (theirs, ours) = socket::pair()?;
        let id = channel.next_id();
        let stats = Arc::new(Stats {
            id,
            transport: Transport::Mpi,
            peer_process: peer.process,
            route,
            peer,
            consumed: ConsumedProbe::new(rings.region),
            frames: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            next: AtomicU64::new(0),
            detached: false.into(),
        });
        let geometry = &channel.geometry;
        let tensors = Mapping::shared(
            channel.metadata.as_fd(),
            metadata::region_size(geometry.capacity),
            crate::os::mapping::Access::ReadOnly,
        )?;
        let outgoing = Outgoing::new(Parts {
            inlet: rings.inlet,
            link: rings.link,
            pool,
            stride: geometry.stride,
            max_frame_size: geometry.max_frame_size,
            capacity: geometry.capacity,
            metadata: Metadata::new(tensors, geometry.capacity),
            may_drop: geometry.policy == LAVA_POLICY_DROP_OLDEST,
            peer: rank,
            tag: attach.tag,
            granted: attach.granted,
            shares: attach.shares != 0,
        });
        let outlet = AnyOutlet::Shm(rings.outlet);
        let socket = Arc::new(theirs);
        let new = NewConnection { id, outlet, socket, stats: Arc::clone(&stats) };
        let (channel_of_event, mailbox, port) =
            (Arc::clone(&channel), &mut self.mailbox, &mut *self.port);
        let announced = channel_of_event
            .post_and(Event::Connected(Box::new(new)), || {
                let head = letters::RemotePlain::make_head(kind::READY, 0);
                let address = Address { to: peer_key, from: key };
                let ready = letters::RemotePlain { head, address };
                mailbox.send(port, rank, bytemuck::bytes_of(&ready))
            })
            .ok_or_else(|| ends("the producer"))?;
        self.peers.watch(rank);
        let reason = &stats.route.reason;
        self.facts.log.info(|| {
            format!(
                "channel {}: consumer {id} of rank {rank} connected by mpi: {reason}",
                channel.name
            )
        });
        self.senders.push(Sender {
            key,
            peer_key,
            outgoing,
            channel,
            id,
            socket: ours,
            detached: false,
            closed: false,
            _place: place,
        });
        announced
    }
}

fn ends(who: &str) -> Error {
    Error::new(LAVA_ERROR_REFUSED, format!("{who} ends"))
}

/// The two regions of a connection, and both of its ends.
struct Rings {
    outlet: ShmOutlet,
    inlet: ShmInlet,
    link: Arc<ShmLink>,
    region: Arc<Mapping>,
}

impl Rings {
    fn new(
        channel: &ChannelShared,
        event: EventSlot,
        fork: &Arc<crate::os::fork::ForkGuard>,
    ) -> Result<Self> {
        let geometry = &channel.geometry;
        let (queue, releases) = (geometry.queue_length, geometry.release_length);
        let size = wire::descriptor_region_size(queue);
        let descriptors = OwnRegion::new("lava-descriptors", size)?;
        let region_size = wire::consumer_region_size(releases);
        let region = OwnRegion::new("lava-releases", region_size)?;
        let seen = map_peer_region(&memfd::duplicate(descriptors.fd())?, size)?;
        let given = Arc::new(map_peer_region(&memfd::duplicate(region.fd())?, region_size)?);
        // The engine polls, and asks to be called again with every message: no barrier of the kernel's.
        let fences = Fences::Symmetric;
        let outlet = ShmOutlet::new(
            descriptors.into_mapping(),
            Arc::clone(&given),
            queue,
            releases,
            fences,
            Arc::new(event),
        );
        let link =
            ShmLink::new(region.into_mapping(), seen, queue, releases, fences, Arc::clone(fork));
        let inlet = ShmInlet::new(Arc::clone(&link), geometry.policy == LAVA_POLICY_DROP_OLDEST);
        Ok(Self { outlet, inlet, link, region: given })
    }
}

/// Decides about a consumer, and reserves its place.
fn prepare(
    channel: &Arc<ChannelShared>,
    hello: &wire::Hello,
) -> Result<(Route, Arc<Buffer>, Place, Location)> {
    let peer = Location::parse(&wire::get_text(&hello.location))
        .map_err(|error| protocol(format!("the consumer's location: {error}")))?;
    let (route, pool) = offer::make_remote(channel, hello, &scope(channel, &peer))?;
    let place = channel.reserve().ok_or_else(|| offer::no_place(channel))?;
    Ok((route, pool, place, peer))
}

/// A consumer that asks by MPI could not reach this process otherwise, or is told not to.
fn scope(channel: &ChannelShared, peer: &Location) -> Report {
    let decide = |forced| scope::decide(&channel.location, peer, forced, Rendezvous::NotAsked);
    let report = decide(channel.forced);
    if report.scope == Scope::Remote { report } else { decide(Forced::Remote) }
}
