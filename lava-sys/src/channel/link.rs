//! The producer's side of the rendezvous: the listener, the handshake with each consumer, and the watch over it.
//! Runs on the service thread; nothing here waits, and nothing that a peer sends is believed before it is checked.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::accept::Acceptor;
use super::handshakes::{Handshakes, Pending};
use super::name::Name;
use super::offer::{self, Offer};
use super::routing::Route;
use super::service::{Next, Source, Turn};
use super::shared::{ChannelShared, Event, NewConnection, Place, Stats};
use crate::error::{Error, Result};
use crate::os::clock::Deadline;
use crate::os::membarrier;
use crate::os::socket::{self, PeerCredentials, Received, Sent};
use crate::scope::{self, Location, Rendezvous};
use crate::transport::AnyOutlet;
use crate::transport::event::EventSlot;
use crate::transport::ring::alarm::Fences;
use crate::transport::shm::{ConsumedProbe, OwnRegion, ShmOutlet, map_peer_region};
use crate::types::*;
use crate::wire::{self, Message, kind};

/// Time that a handshake may take.
const HANDSHAKE_NS: u64 = 1_000_000_000;

/// Begins a handshake with whoever connects to a channel.
pub fn listener(fd: OwnedFd, channel: Arc<ChannelShared>) -> Box<dyn Source> {
    let handshakes = Arc::<Handshakes>::default();
    let what = format!("channel {}", channel.name);
    // The first time takes the kernel a while: not on the service thread, which has deaths to tell of.
    own_features();
    Box::new(Acceptor::new(fd, what, move |socket, turn| {
        let told = |what| format!("channel {}: too many handshakes at once; {what}", channel.name);
        match handshakes.make_room() {
            Ok(None) => {}
            Ok(Some(silent)) => {
                turn.log.info(|| told("a silent one was ended"));
                turn.remove(silent);
            }
            Err(()) => return turn.log.warn(|| told("one was turned away")),
        }
        let socket = Arc::new(socket);
        let pending = Pending::new(&handshakes, &socket);
        let token = turn.add(Box::new(Link::new(&socket, Arc::clone(&channel), pending)));
        handshakes.add(token, socket);
    }))
}

enum Stage {
    Hello { _pending: Pending },
    Attach { _pending: Pending, attachment: Attachment },
    Connected { id: u64, death: Option<u64>, event: Arc<EventSlot>, _place: Place },
    Ended,
}

/// One consumer's socket, from its first message to its end.
struct Link {
    socket: Arc<OwnedFd>,
    channel: Arc<ChannelShared>,
    stage: Stage,
    deadline: Deadline,
}

/// What a message led to.
enum Step {
    Stay,
    To(Box<Stage>),
    End,
}

impl Link {
    fn new(socket: &Arc<OwnedFd>, channel: Arc<ChannelShared>, pending: Pending) -> Self {
        Self {
            socket: Arc::clone(socket),
            channel,
            stage: Stage::Hello { _pending: pending },
            deadline: Deadline::after(HANDSHAKE_NS),
        }
    }

    fn take_message(
        &mut self,
        message: &[u8],
        fds: Vec<OwnedFd>,
        turn: &mut Turn<'_>,
    ) -> Result<Step> {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Hello { _pending } => self.hello(message, &fds, _pending, turn),
            Stage::Attach { _pending, attachment } => {
                self.attach(message, fds, attachment, turn).map(|stage| Step::To(Box::new(stage)))
            }
            stage @ Stage::Connected { .. } => {
                let result = self.connected(message, fds, &stage);
                self.stage = stage;
                result.map(|()| Step::Stay)
            }
            Stage::Ended => Ok(Step::End),
        }
    }

    fn hello(
        &mut self,
        message: &[u8],
        fds: &[OwnedFd],
        pending: Pending,
        turn: &mut Turn<'_>,
    ) -> Result<Step> {
        let credentials = check_user(self.socket.as_fd())?;
        let hello = wire::Hello::decode(
            message,
            &[kind::HELLO_ATTACH, kind::HELLO_LIST, kind::HELLO_PROBE],
        )
        .map_err(protocol)?;
        if !fds.is_empty() {
            return Err(protocol(format!("{} descriptors came with the first message", fds.len())));
        }
        match hello.head.kind {
            kind::HELLO_LIST => {
                send(&self.socket, &list_message(&self.channel), &[])?;
                Ok(Step::End)
            }
            kind::HELLO_PROBE => {
                send(&self.socket, bytemuck::bytes_of(&probe_answer(&self.channel.location)), &[])?;
                Ok(Step::End)
            }
            _ => match self.welcome(&hello, credentials, pending) {
                Ok(stage) => Ok(Step::To(Box::new(stage))),
                Err(error) => {
                    turn.log.info(|| {
                        format!("channel {}: a consumer was refused: {error}", self.channel.name)
                    });
                    let refusal = refusal(&self.channel, &error);
                    send(&self.socket, bytemuck::bytes_of(&refusal), &[])?;
                    Ok(Step::End)
                }
            },
        }
    }

    /// Decides about a consumer, and sends it what it needs.
    fn welcome(
        &self,
        hello: &wire::Hello,
        credentials: PeerCredentials,
        pending: Pending,
    ) -> Result<Stage> {
        let name = Name::new(&wire::get_text(&hello.name))?;
        if name != self.channel.name {
            return Err(Error::argument(format!(
                "this is channel {}, not {name}",
                self.channel.name
            )));
        }
        let mut peer = Location::parse(&wire::get_text(&hello.location))?;
        if credentials.process != 0 {
            peer.process = credentials.process;
        }
        let scope =
            scope::decide(&self.channel.location, &peer, self.channel.forced, Rendezvous::Answered);
        let offer = offer::make(&self.channel, hello, &scope)?;
        let place = self.channel.reserve().ok_or_else(|| offer::no_place(&self.channel))?;
        let size = wire::descriptor_region_size(self.channel.geometry.queue_length);
        let region = OwnRegion::new("lava-descriptors", size)?;
        let features = hello.features & own_features();
        let fences = agreed_fences(features);
        let welcome = welcome_message(&self.channel, &offer, features);
        let mut fds = vec![region.fd(), self.channel.metadata.as_fd()];
        fds.extend(offer.fds.iter().map(AsFd::as_fd));
        send(&self.socket, bytemuck::bytes_of(&welcome), &fds)?;
        pending.answered();
        let route = offer.route;
        Ok(Stage::Attach {
            _pending: pending,
            attachment: Attachment { place, region, route, peer, fences },
        })
    }

    /// Maps what the consumer sent and hands the connection to the producer.
    fn attach(
        &mut self,
        message: &[u8],
        fds: Vec<OwnedFd>,
        attachment: Attachment,
        turn: &mut Turn<'_>,
    ) -> Result<Stage> {
        let attach = wire::Attach::decode(message, &[kind::ATTACH]).map_err(protocol)?;
        let geometry = &self.channel.geometry;
        let size = wire::consumer_region_size(geometry.release_length);
        if attach.region_size != size as u64 {
            return Err(protocol(format!(
                "the consumer's region has {} bytes, not {size}",
                attach.region_size
            )));
        }
        let peer_region = Arc::new(map_peer_region(&exactly_one(fds)?, size)?);
        let Attachment { place, region, route, peer, fences } = attachment;
        let transport = route.transport.ok_or_else(|| protocol("no transport".into()))?;
        let (id, event) = (self.channel.next_id(), Arc::<EventSlot>::default());
        let outlet = ShmOutlet::new(
            region.into_mapping(),
            Arc::clone(&peer_region),
            geometry.queue_length,
            geometry.release_length,
            fences,
            Arc::clone(&event),
        );
        let stats = Arc::new(Stats {
            id,
            transport,
            peer_process: peer.process,
            route,
            peer,
            consumed: ConsumedProbe::new(peer_region),
            frames: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            next: AtomicU64::new(0),
            detached: false.into(),
        });
        let new = NewConnection {
            id,
            outlet: AnyOutlet::Shm(outlet),
            socket: Arc::clone(&self.socket),
            stats: Arc::clone(&stats),
        };
        let ready = wire::Plain { head: wire::Plain::make_head(kind::READY, 0) };
        let announce = || send(&self.socket, bytemuck::bytes_of(&ready), &[]);
        let sent = self
            .channel
            .post_and(Event::Connected(Box::new(new)), announce)
            .ok_or_else(|| protocol("the producer ends".into()))?;
        let death = socket::peer_pidfd(self.socket.as_fd())
            .map(|pidfd| turn.add(Box::new(Death { pidfd, socket: Arc::clone(&self.socket) })));
        self.deadline = Deadline::NEVER;
        let stage = Stage::Connected { id, death, event, _place: place };
        if let Err(error) = sent {
            self.stage = stage;
            return Err(error);
        }
        turn.log.info(|| {
            format!(
                "channel {}: consumer {} of process {} connected by {}: {}",
                self.channel.name,
                id,
                stats.peer_process,
                transport.name(),
                stats.route.reason
            )
        });
        Ok(stage)
    }

    fn connected(&self, message: &[u8], fds: Vec<OwnedFd>, stage: &Stage) -> Result<()> {
        let Stage::Connected { id, event, .. } = stage else { return Ok(()) };
        let head: wire::Head = message
            .get(..size_of::<wire::Head>())
            .and_then(|head| bytemuck::try_pod_read_unaligned(head).ok())
            .ok_or_else(|| protocol("a message without a head".into()))?;
        match head.kind {
            kind::DETACH => {
                let detach = wire::Detach::decode(message, &[kind::DETACH]).map_err(protocol)?;
                self.channel.post(Event::Detached { id: *id, consumed: detach.consumed });
            }
            kind::EVENT => {
                wire::Plain::decode(message, &[kind::EVENT]).map_err(protocol)?;
                event.fill(exactly_one(fds)?);
            }
            other => {
                return Err(protocol(format!("a message of kind {other} after the handshake")));
            }
        }
        Ok(())
    }

    /// Leaves the connection, whatever stage it has.
    fn end(&mut self, turn: &mut Turn<'_>) -> Next {
        if let Stage::Connected { id, death, event: _, _place } =
            std::mem::replace(&mut self.stage, Stage::Ended)
        {
            turn.log.info(|| format!("channel {}: consumer {id} is gone", self.channel.name));
            self.channel.post(Event::Gone { id });
            if let Some(death) = death {
                turn.remove(death);
            }
        }
        socket::shutdown(self.socket.as_fd());
        Next::Remove
    }
}

/// What an attach message completes.
struct Attachment {
    place: Place,
    region: OwnRegion,
    route: Route,
    peer: Location,
    fences: Fences,
}

/// What this end can do: a set of [`wire::feature`].
pub fn own_features() -> u32 {
    if membarrier::register() { wire::feature::BARRIERS } else { 0 }
}

/// How the ends of a connection sleep, by the features that both have.
pub fn agreed_fences(features: u32) -> Fences {
    if features & wire::feature::BARRIERS != 0 { Fences::Asymmetric } else { Fences::Symmetric }
}

impl Source for Link {
    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn ready(&mut self, turn: &mut Turn<'_>) -> Next {
        let mut buffer = [0; wire::MESSAGE_MAX];
        let step = match socket::receive(self.socket.as_fd(), &mut buffer) {
            Ok(Received::Nothing) => return Next::Keep,
            Ok(Received::End) => Ok(Step::End),
            Ok(Received::Damaged(what)) => Err(protocol(what.into())),
            Ok(Received::Message { size, descriptors }) => {
                self.take_message(&buffer[..size], descriptors, turn)
            }
            Err(error) => Err(error),
        };
        match step {
            Ok(Step::Stay) => Next::Keep,
            Ok(Step::To(stage)) => {
                self.stage = *stage;
                Next::Keep
            }
            Ok(Step::End) => self.end(turn),
            Err(error) => {
                turn.log.warn(|| {
                    format!("channel {}: a consumer was thrown out: {error}", self.channel.name)
                });
                self.end(turn)
            }
        }
    }

    fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn expired(&mut self, turn: &mut Turn<'_>) -> Next {
        turn.log.warn(|| {
            format!("channel {}: a consumer did not finish its handshake", self.channel.name)
        });
        self.end(turn)
    }
}

/// Watches the peer's process: its death ends the socket, even if a forked child holds the other end.
pub struct Death {
    pub pidfd: OwnedFd,
    pub socket: Arc<OwnedFd>,
}

impl Source for Death {
    fn fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    fn ready(&mut self, _turn: &mut Turn<'_>) -> Next {
        socket::shutdown(self.socket.as_fd());
        Next::Remove
    }
}

/// Refuses peers of other users.
pub fn check_user(socket: BorrowedFd<'_>) -> Result<PeerCredentials> {
    let credentials = socket::peer_credentials(socket)?;
    let user = crate::os::directory::user();
    if credentials.user != user {
        return Err(Error::new(
            LAVA_ERROR_PERMISSION,
            format!("the peer is user {}, this process is user {user}", credentials.user),
        )
        .with_value(credentials.user.into()));
    }
    Ok(credentials)
}

pub fn protocol(what: String) -> Error {
    Error::new(LAVA_ERROR_PROTOCOL, what)
}

pub fn exactly_one(mut fds: Vec<OwnedFd>) -> Result<OwnedFd> {
    match fds.pop() {
        Some(fd) if fds.is_empty() => Ok(fd),
        other => Err(protocol(format!(
            "{} descriptors came with a message that has one",
            fds.len() + usize::from(other.is_some())
        ))),
    }
}

fn send(socket: &OwnedFd, message: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
    match socket::send(socket.as_fd(), message, fds)? {
        Sent::Yes => Ok(()),
        Sent::Full => Err(protocol("the peer does not read its socket".into())),
        Sent::Gone => Err(protocol("the peer is gone".into())),
    }
}

fn welcome_message(channel: &ChannelShared, offer: &Offer, features: u32) -> wire::Welcome {
    let route = &offer.route;
    wire::Welcome {
        head: wire::Welcome::make_head(kind::WELCOME, 2 + offer.fds.len() as u32),
        transport: route.transport.map_or(0, crate::transport::Transport::number),
        pool_size: offer.size,
        memory: offer.memory.number(),
        pages: offer.pages,
        features,
        ready: offer.ready,
        reason: wire::put_text(&route.reason),
        recipe: offer.recipe,
        ..welcome_numbers(channel)
    }
}

/// A `Welcome` with the numbers of a channel, and nothing of one consumer.
pub fn welcome_numbers(channel: &ChannelShared) -> wire::Welcome {
    let geometry = &channel.geometry;
    wire::Welcome {
        policy: geometry.policy,
        capacity: geometry.capacity,
        queue_length: geometry.queue_length,
        release_length: geometry.release_length,
        max_frame_size: geometry.max_frame_size,
        stride: geometry.stride,
        ..probe_answer(&channel.location)
    }
}

/// A `Welcome` that refuses.
fn refusal(channel: &ChannelShared, error: &Error) -> wire::Welcome {
    wire::Welcome {
        status: error.status,
        reason: wire::put_text(&error.message),
        ..probe_answer(&channel.location)
    }
}

/// A `Welcome` that only says who is there.
pub fn probe_answer(location: &Location) -> wire::Welcome {
    wire::Welcome {
        head: wire::Welcome::make_head(kind::WELCOME, 0),
        location: wire::put_text(&location.to_string()),
        ..bytemuck::Zeroable::zeroed()
    }
}

/// Largest list message.
pub const LIST_MAX: usize = 160 * 1024;

fn list_message(channel: &ChannelShared) -> Vec<u8> {
    let mut text = channel.to_json().to_string().into_bytes();
    if text.len() > LIST_MAX - size_of::<wire::Head>() {
        text = serde_json::json!({ "name": channel.name.as_str(), "process": std::process::id(),
            "error": "the description is too long" })
        .to_string()
        .into_bytes();
    }
    let mut head = wire::Plain::make_head(kind::LIST, 0);
    head.size = (size_of::<wire::Head>() + text.len()) as u32;
    let mut message = bytemuck::bytes_of(&head).to_vec();
    message.append(&mut text);
    message
}
