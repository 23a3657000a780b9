//! The consumer's side of the handshake: finding the producer, connecting, mapping what it sends.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use super::consumer::Options;
use super::context::Context;
use super::link::{Death, agreed_fences, check_user, exactly_one, own_features, protocol};
use super::looking::{LOOK_NS, REMOTE_NS, RETRY_NS, wait_for_file, ways};
use super::name::Name;
use super::offer::hexadecimal;
use super::peer_memory::{Mapped, map_all, map_buffer, memory_fits};
use super::remote::progress::Remote;
use super::remote::seeking::Search;
use super::routing::{self, Ends, Rejection, Wants};
use super::service::{Next, Source, Turn, lock};
use super::upload::Upload;
use crate::error::{Error, Hot, Result};
use crate::memory::{Buffer, Memory, MemoryContext};
use crate::os::clock::Deadline;
use crate::os::futex;
use crate::os::socket::{self, Connected, Received, Sent};
use crate::scope::{self, Location, Rendezvous, Report};
use crate::transport::descriptor::Place;
use crate::transport::metadata::Metadata;
use crate::transport::ready::Watch;
use crate::transport::shm::{OwnRegion, ShmLink};
use crate::transport::{Transport, vulkan};
use crate::types::*;
use crate::wire::{self, Message, kind};

/// The wait for a producer, if the options name none.
const TIMEOUT_NS: u64 = 10_000_000_000;
/// Least time for the producer to confirm a consumer that has attached.
const READY_WAIT_NS: u64 = 1_000_000_000;
/// Most buffers that a producer may have passed and not retired: its own limit, and a margin.
const BUFFERS_MAX: usize = 2048;

/// What the handshake gives.
pub struct Established {
    pub socket: Arc<OwnedFd>,
    pub welcome: wire::Welcome,
    pub transport: Transport,
    pub link: Arc<ShmLink>,
    pub pool: Arc<Buffer>,
    /// Frames are copied to GPU memory of this consumer.
    pub upload: Option<Upload>,
    /// Copies of a frame on its way.
    pub copies: u32,
    /// When frames of GPU memory become ready; None: they are when they come.
    pub watch: Option<Arc<Watch>>,
    pub metadata: Metadata,
    pub peer: Location,
    pub peer_process: u32,
    pub scope: Report,
    pub rejections: Vec<Rejection>,
    /// Slots of the producer's pool.
    pub capacity: u32,
    /// The producer's buffers that frames lie in.
    pub buffers: Arc<Mutex<HashMap<u32, Arc<Buffer>>>>,
    /// What brings the frames, if the producer is in another host.
    pub remote: Option<Arc<Remote>>,
}

/// [`ConsumerShared::lost`]: the producer died or hung up.
pub const LOST: lava_status = LAVA_ERROR_PEER_LOST;
/// [`ConsumerShared::lost`]: the producer broke the protocol.
pub const BROKE: lava_status = LAVA_ERROR_PROTOCOL;

/// What the service thread tells a consumer.
#[derive(Debug)]
pub struct ConsumerShared {
    /// Not 0 when the producer's socket has ended: [`LOST`], [`BROKE`], or the status of what this process lacked to
    /// take in what the producer sent. Also a word on which a consumer sleeps.
    pub lost: AtomicU32,
    pub buffers: Arc<Mutex<HashMap<u32, Arc<Buffer>>>>,
    pub buffers_changed: Condvar,
    /// Buffers in GPU memory that were imported.
    pub imports: AtomicU64,
    /// The end of the event socket that makes the consumer's end readable.
    pub event: Mutex<Option<OwnedFd>>,
}

/// Connects to the producer of `name`, waiting for it.
pub fn establish(context: &Arc<Context>, name: &Name, options: &Options) -> Result<Established> {
    let timeout = if options.timeout_ns == 0 { TIMEOUT_NS } else { options.timeout_ns };
    let deadline = Deadline::after(timeout);
    context.remote.begin();
    let ways = ways(context, options)?;
    let mut watch = None;
    let mut attempt = Attempt { name, options, no_import: None, upload: None, deadline };
    let hello = attempt.hello(&context.location());
    let mut search = ways.remote.then(|| Search::new(context, name, options, hello));
    loop {
        let mut pause = LOOK_NS;
        if let Some(search) = &mut search {
            match search.step(deadline) {
                Ok(Some(established)) => return Ok(established),
                Ok(None) => pause = REMOTE_NS,
                // Without a job, or with one that failed, local producers are still there.
                Err(error) if !ways.local || error.status == LAVA_ERROR_REQUIREMENT => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        let connected = match ways.local {
            true => socket::connect(context.directory.as_fd(), &name.file())?,
            false => Connected::Absent,
        };
        match connected {
            Connected::Yes(socket) => match attempt.handshake(context, socket)? {
                Tried::Done(established) => return Ok(*established),
                Tried::CannotImport(reason) => {
                    context.log.info(|| {
                        format!(
                            "channel {name}: the pool's GPU memory cannot be imported: {reason}"
                        )
                    });
                    attempt.no_import = Some(reason);
                    continue;
                }
                Tried::Again => pause = pause.min(RETRY_NS),
            },
            Connected::Absent => {}
            Connected::Stale | Connected::Busy => pause = pause.min(RETRY_NS),
        }
        if deadline.passed() {
            return Err(Error::new(
                LAVA_TIMED_OUT,
                format!(
                    "no producer of channel {name} answered in {}{} within {} ms; start it, use the same runtime \
                     directory (LAVA_RUNTIME_DIR) on both sides, or wait longer",
                    context.directory.path(),
                    if ways.remote { " or in the MPI job" } else { "" },
                    timeout / 1_000_000
                ),
            )
            .with_value(timeout));
        }
        // The watch is made after a first look and before the next one, so no new file is missed.
        match &watch {
            None => watch = Some(context.directory.watch()),
            Some(watch) => wait_for_file(watch.as_ref(), pause, deadline)?,
        }
        context.check_fork()?;
    }
}

/// What one try led to.
enum Tried {
    Done(Box<Established>),
    /// The producer went away meanwhile; look again.
    Again,
    /// The pool is GPU memory that this process cannot import: to be said with the next try.
    CannotImport(String),
}

/// What is said in each try.
struct Attempt<'a> {
    name: &'a Name,
    options: &'a Options,
    no_import: Option<String>,
    /// Kept for the next try: making it may take longer than a producer waits for an answer.
    upload: Option<Upload>,
    deadline: Deadline,
}

impl Attempt<'_> {
    fn hello(&self, here: &Location) -> wire::Hello {
        wire::Hello {
            head: wire::Hello::make_head(kind::HELLO_ATTACH, 0),
            require_transports: self.options.require_transports,
            max_copies: self.options.max_copies.unwrap_or(u32::MAX),
            features: own_features(),
            memory: Wants::of(self.options.memory).number(),
            name: wire::put_text(self.name.as_str()),
            location: wire::put_text(&here.to_string()),
            device_uuid: self.options.device_uuid,
            no_vulkan: self.no_import.is_some().into(),
            reserved: 0,
            reason: wire::put_text(self.no_import.as_deref().unwrap_or_default()),
        }
    }

    fn handshake(&mut self, context: &Arc<Context>, socket: OwnedFd) -> Result<Tried> {
        let credentials = check_user(socket.as_fd())?;
        let here = context.location();
        let hello = self.hello(&here);
        if socket::send(socket.as_fd(), bytemuck::bytes_of(&hello), &[])? != Sent::Yes {
            return Ok(Tried::Again);
        }
        let Some((message, fds)) = answer(socket.as_fd(), self.deadline)? else {
            return Ok(Tried::Again);
        };
        let welcome = wire::Welcome::decode(&message, &[kind::WELCOME]).map_err(protocol)?;
        if welcome.status != LAVA_OK {
            return Err(refused(self.name, &welcome));
        }
        let peer = Location::parse(&wire::get_text(&welcome.location))
            .map_err(|error| protocol(format!("the producer's location: {error}")))?;
        check_geometry(&welcome)?;
        let transport = self.check_transport(&welcome)?;
        let scope = scope::decide(&here, &peer, context.forced, Rendezvous::Answered);
        let region =
            OwnRegion::new("lava-releases", wire::consumer_region_size(welcome.release_length))?;
        if transport == Transport::Vulkan {
            vulkan::allow(context.memory_context(), self.options.device_uuid);
        }
        let Mapped { descriptors, metadata, pool, watch } =
            match map_all(&welcome, transport, fds, context.memory_context())? {
                Ok(mapped) => mapped,
                Err(reason) => return Ok(Tried::CannotImport(reason)),
            };
        self.prepare_upload(&welcome, transport, &scope, context)?;
        let attach = wire::Attach {
            head: wire::Attach::make_head(kind::ATTACH, 1),
            region_size: region.mapping().size() as u64,
        };
        if socket::send(socket.as_fd(), bytemuck::bytes_of(&attach), &[region.fd()])? != Sent::Yes {
            return Ok(Tried::Again);
        }
        // Loading Vulkan for the import may have used up the time. The producer sends frames to this consumer from now on,
        // so giving up would lose them.
        let ready_until = self.deadline.max(Deadline::after(READY_WAIT_NS));
        let Some((ready, _)) = answer(socket.as_fd(), ready_until)? else {
            return Ok(Tried::Again);
        };
        wire::Plain::decode(&ready, &[kind::READY]).map_err(protocol)?;
        let link = ShmLink::new(
            region.into_mapping(),
            descriptors,
            welcome.queue_length,
            welcome.release_length,
            agreed_fences(welcome.features & own_features()),
            Arc::clone(&context.fork),
        );
        Ok(Tried::Done(Box::new(Established {
            socket: Arc::new(socket),
            transport,
            link,
            pool: Arc::new(pool),
            upload: self.upload.take(),
            copies: routing::copies(transport, Wants::of(self.options.memory), false),
            watch: watch.map(Arc::new),
            metadata,
            peer_process: credentials.process,
            rejections: self.rejections(transport, &scope),
            peer,
            scope,
            capacity: welcome.capacity,
            buffers: Arc::default(),
            remote: None,
            welcome,
        })))
    }

    /// The producer's choice must be one that this library has and this consumer accepts.
    fn check_transport(&self, welcome: &wire::Welcome) -> Result<Transport> {
        let accepts = self.options.require_transports;
        let transport = Transport::from_number(welcome.transport).filter(|transport| {
            let known = matches!(transport, Transport::Shm | Transport::Vulkan | Transport::Staged);
            let possible = *transport != Transport::Vulkan || self.no_import.is_none();
            known && possible && (accepts == 0 || accepts & transport.number() != 0)
        });
        transport
            .ok_or_else(|| protocol(format!("the producer chose transport {}", welcome.transport)))
    }

    /// GPU memory of this consumer for frames that come in host memory, if it wants that.
    fn prepare_upload(
        &mut self,
        welcome: &wire::Welcome,
        transport: Transport,
        scope: &Report,
        context: &Context,
    ) -> Result<()> {
        let size = welcome.stride * u64::from(welcome.capacity);
        let wanted = routing::uploads(transport, Wants::of(self.options.memory));
        self.upload = self.upload.take().filter(|made| wanted && made.pool().size() == size);
        if !wanted || self.upload.is_some() {
            return Ok(());
        }
        let made = Upload::new(size, self.options.device_uuid, context.memory_context());
        let made = made.map_err(|error| {
            let mut rejections = self.rejections(transport, scope);
            let reason =
                format!("the consumer has no GPU memory to copy frames to ({})", error.message);
            rejections.push(Rejection { transport, reason });
            let message = format!("channel {}: {}", self.name, routing::refusal(&rejections));
            Error { status: LAVA_ERROR_REQUIREMENT, message, ..error }
        })?;
        self.upload = Some(made);
        Ok(())
    }

    /// The transports that lost, worked out from the facts that this end knows.
    fn rejections(&self, transport: Transport, scope: &Report) -> Vec<Rejection> {
        let other_gpu = (self.options.device_uuid != [0; 16])
            .then(|| format!("it wants GPU {}", hexadecimal(&self.options.device_uuid)));
        routing::rejected_before(
            transport,
            &Ends {
                pool_on_device: transport != Transport::Shm,
                scope,
                consumer_wants: Wants::of(self.options.memory),
                no_import: self.no_import.as_deref().or(other_gpu.as_deref()),
                no_staging: None,
                no_mpi: None,
                consumer_accepts: self.options.require_transports,
                producer_accepts: 0,
                max_copies: self.options.max_copies.unwrap_or(u32::MAX),
            },
        )
    }
}

pub fn refused(name: &Name, welcome: &wire::Welcome) -> Error {
    let status = match welcome.status {
        status @ (LAVA_ERROR_REQUIREMENT | LAVA_ERROR_PERMISSION) => status,
        _ => LAVA_ERROR_REFUSED,
    };
    Error::new(status, format!("channel {name}: {}", wire::get_text(&welcome.reason)))
}

/// The numbers of a producer, checked before anything is made of them.
pub fn check_geometry(welcome: &wire::Welcome) -> Result<()> {
    let ring = |length: u32, most: u32| length.is_power_of_two() && length <= most;
    let total = welcome.stride.checked_mul(welcome.capacity.into());
    let valid = (1..=LAVA_CAPACITY_MAX).contains(&welcome.capacity)
        && ring(welcome.queue_length, LAVA_QUEUE_MAX)
        && welcome.release_length == wire::release_length(welcome.capacity)
        && welcome.max_frame_size <= welcome.stride
        && total.is_some_and(|total| total <= welcome.pool_size && total > 0)
        && welcome.policy <= LAVA_POLICY_DROP_OLDEST
        && memory_fits(welcome);
    if valid { Ok(()) } else { Err(protocol("the producer's numbers do not fit together".into())) }
}

/// The next message; None if the producer hung up or does not answer in time.
fn answer(socket: BorrowedFd<'_>, deadline: Deadline) -> Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut buffer = vec![0; wire::MESSAGE_MAX];
    loop {
        if !socket::wait_readable(socket, deadline)? {
            return Ok(None);
        }
        match socket::receive(socket, &mut buffer)? {
            Received::Message { size, descriptors } => {
                buffer.truncate(size);
                return Ok(Some((buffer, descriptors)));
            }
            Received::Nothing => {}
            Received::End => return Ok(None),
            Received::Damaged(what) => return Err(protocol(what.into())),
        }
    }
}

/// Watches a consumer's socket on the service thread.
pub struct ProducerLink {
    pub socket: Arc<OwnedFd>,
    pub shared: Arc<ConsumerShared>,
    pub link: Arc<ShmLink>,
    pub name: Name,
    watch: Option<Arc<Watch>>,
    memory_context: MemoryContext,
    death: Option<u64>,
}

impl ProducerLink {
    /// Begins to watch. Gives the number to remove it by.
    pub fn start(
        context: &Context,
        established: &Established,
        shared: &Arc<ConsumerShared>,
        name: &Name,
    ) -> Result<(u64, Option<u64>)> {
        let socket = &established.socket;
        // By MPI: the other end of the socket is this process.
        let death = socket::peer_pidfd(socket.as_fd())
            .filter(|_| established.remote.is_none())
            .map(|pidfd| context.watch(Box::new(Death { pidfd, socket: Arc::clone(socket) })))
            .transpose()?;
        let source = Self {
            socket: Arc::clone(socket),
            shared: Arc::clone(shared),
            link: Arc::clone(&established.link),
            name: name.clone(),
            watch: established.watch.clone(),
            memory_context: context.memory_context().clone(),
            death,
        };
        Ok((context.watch(Box::new(source))?, death))
    }

    fn take_message(&self, message: &[u8], fds: Vec<OwnedFd>) -> Result<()> {
        let buffer =
            wire::Buffer::decode(message, &[kind::BUFFER, kind::RETIRE]).map_err(protocol)?;
        if buffer.head.kind == kind::RETIRE {
            lock(&self.shared.buffers).remove(&buffer.id);
            return Ok(());
        }
        let mapped = map_buffer(&buffer, exactly_one(fds)?, &self.memory_context)?;
        if mapped.memory() == Memory::Device {
            self.shared.imports.fetch_add(1, Ordering::Relaxed);
        }
        let mut buffers = lock(&self.shared.buffers);
        if buffers.len() >= BUFFERS_MAX {
            return Err(protocol(format!("the producer passed more than {BUFFERS_MAX} buffers")));
        }
        buffers.insert(buffer.id, Arc::new(mapped));
        drop(buffers);
        self.shared.buffers_changed.notify_all();
        Ok(())
    }

    /// Tells the consumer, whether it polls, sleeps or waits for its event.
    fn lose(&self, turn: &mut Turn<'_>, how: lava_status) -> Next {
        socket::shutdown(self.socket.as_fd());
        self.shared.lost.store(how.cast_unsigned(), Ordering::Release);
        if let Some(watch) = &self.watch {
            watch.lose();
        }
        futex::wake(&self.shared.lost);
        futex::wake(self.link.consumer_sleeps_on());
        // Under the lock, so that a consumer between its look at `lost` and its sleep is not missed.
        let buffers = lock(&self.shared.buffers);
        self.shared.buffers_changed.notify_all();
        drop(buffers);
        if let Some(event) = lock(&self.shared.event).as_ref() {
            socket::signal(event);
        }
        if let Some(death) = self.death {
            turn.remove(death);
        }
        Next::Remove
    }
}

impl Source for ProducerLink {
    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn ready(&mut self, turn: &mut Turn<'_>) -> Next {
        let mut buffer = [0; 256];
        let result = match socket::receive(self.socket.as_fd(), &mut buffer) {
            Ok(Received::Nothing) => return Next::Keep,
            Ok(Received::End) => return self.lose(turn, LOST),
            Ok(Received::Damaged(what)) => Err(protocol(what.into())),
            Ok(Received::Message { size, descriptors }) => {
                self.take_message(&buffer[..size], descriptors)
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => Next::Keep,
            Err(error) => {
                // What was missing here is not the producer's fault; everything else may be a lie.
                let lack = matches!(error.status, LAVA_ERROR_LIMIT | LAVA_ERROR_OUT_OF_MEMORY);
                let what =
                    if lack { "a message was lost" } else { "the producer broke the protocol" };
                turn.log.warn(|| format!("channel {}: {what}: {error}", self.name));
                self.lose(turn, if lack { error.status } else { BROKE })
            }
        }
    }
}

/// Where the payload of a received descriptor lies, checked against what this side knows. Ranges of registered buffers
/// are checked when the buffer is known.
#[inline(always)]
pub fn check_place(place: &Place, welcome: &wire::Welcome) -> Hot<()> {
    let fits = place.buffer != 0 || (place.offset == 0 && place.size <= welcome.max_frame_size);
    if place.slot < welcome.capacity && fits { Ok(()) } else { Err(LAVA_ERROR_PROTOCOL) }
}
