//! The writing end of a channel. Loaning and sending are in [`super::publish`] and [`super::send_buffer`], waiting in
//! [`super::waiting`].

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;

use super::connection::Connection;
use super::context::Context;
use super::device_pool::DevicePool;
use super::link;
use super::name::Name;
use super::pool::Pool;
use super::registry::Registry;
use super::rendezvous::{self, Claim};
use super::report::{ConnectionReport, policy_name};
use super::shared::{ChannelShared, Event, Geometry};
use crate::error::{Error, Hot, Result};
use crate::memory::{Buffer, Memory, Request};
use crate::os::{memfd, socket};
use crate::transport::metadata::{self, Metadata};
use crate::transport::mpi;
use crate::transport::shm::OwnRegion;
use crate::transport::slab::{Frames, Side};
use crate::types::*;
use crate::wire;

/// What `lava_producer_create` was told; zeros are defaults.
#[derive(Debug, Clone)]
pub struct Options {
    pub policy: u32,
    pub max_frame_size: u64,
    pub capacity: u32,
    pub queue_length: u32,
    pub memory: Memory,
    pub fallback: Vec<Memory>,
    pub flags: u32,
    pub max_consumers: u32,
    pub alignment: u32,
    pub numa_node: Option<u32>,
    pub require_transports: u32,
    /// The GPU for `Memory::Device`; zeros: the best.
    pub device_uuid: [u8; 16],
}

const PAGE: u64 = 4096;
const MAX_FRAME_SIZE: u64 = 1 << 20;
const CAPACITY: u32 = 8;
const QUEUE_LENGTH: u32 = 64;
const ALL_FLAGS: u32 = LAVA_PRODUCER_COMMIT
    | LAVA_PRODUCER_NO_TIMESTAMP
    | LAVA_PRODUCER_REQUIRE_MEMORY
    | LAVA_PRODUCER_ON_NODE;
const ALL_TRANSPORTS: u32 = LAVA_TRANSPORT_SHM
    | LAVA_TRANSPORT_VULKAN
    | LAVA_TRANSPORT_STAGED
    | LAVA_TRANSPORT_PEER
    | LAVA_TRANSPORT_MPI;

/// See the module. Used by one thread at a time.
#[derive(Debug)]
pub struct Producer {
    pub(super) context: Arc<Context>,
    pub(super) shared: Arc<ChannelShared>,
    pub(super) pool: Pool,
    pub(super) memory: Arc<Buffer>,
    /// None: the pool is host memory.
    pub(super) device: Option<Box<DevicePool>>,
    pub(super) metadata: Metadata,
    pub(super) registry: Registry,
    pub(super) connections: Vec<Connection>,
    pub(super) frames: Frames,
    /// Number of the next frame.
    pub(super) sequence: u64,
    /// The events counter up to which events were taken in.
    pub(super) seen: u32,
    pub(super) sleeps: u64,
    pub(super) timestamps: bool,
    claim: Claim,
    listener: u64,
}

/// Checks a set of `LAVA_TRANSPORT_*`.
pub fn check_transports(set: u32) -> Result<()> {
    if set & !ALL_TRANSPORTS != 0 {
        return Err(Error::argument(format!(
            "require_transports is {set:#x}; it is a set of LAVA_TRANSPORT_* ({ALL_TRANSPORTS:#x} at most)"
        ))
        .with_value(set.into()));
    }
    Ok(())
}

impl Options {
    fn check(&self) -> Result<()> {
        if self.policy > LAVA_POLICY_DROP_OLDEST {
            return Err(Error::argument(format!("policy is {}; see LAVA_POLICY_*", self.policy))
                .with_value(self.policy.into()));
        }
        if self.flags & !ALL_FLAGS != 0 {
            return Err(Error::argument(format!(
                "flags is {:#x}; see LAVA_PRODUCER_*",
                self.flags
            ))
            .with_value(self.flags.into()));
        }
        let limits = [
            ("capacity", self.capacity, LAVA_CAPACITY_MAX),
            ("queue_length", self.queue_length, LAVA_QUEUE_MAX),
            ("max_consumers", self.max_consumers, LAVA_CONSUMERS_MAX),
        ];
        for (name, value, most) in limits {
            if value > most {
                return Err(Error::argument(format!(
                    "{name} is {value}; at most {most} is allowed"
                ))
                .with_value(value.into()));
            }
        }
        if self.alignment != 0 && (!self.alignment.is_power_of_two() || self.alignment > 2 << 20) {
            return Err(Error::argument(format!(
                "alignment is {}; it must be a power of two of at most 2 MiB",
                self.alignment
            ))
            .with_value(self.alignment.into()));
        }
        check_transports(self.require_transports)
    }

    /// Fills in the defaults.
    fn geometry(&self, slack: u64) -> Result<(Geometry, u64)> {
        let or = |value: u32, default: u32| if value == 0 { default } else { value };
        let max_frame_size =
            if self.max_frame_size == 0 { MAX_FRAME_SIZE } else { self.max_frame_size };
        let alignment = match self.alignment {
            0 if max_frame_size >= PAGE => PAGE,
            0 => wire::LINE as u64,
            given => u64::from(given).max(wire::LINE as u64),
        };
        let capacity = or(self.capacity, CAPACITY);
        let stride = max_frame_size
            .checked_add(slack)
            .and_then(|size| size.checked_next_multiple_of(alignment));
        let too_large = || {
            Error::argument(format!(
                "capacity {capacity} times max_frame_size {max_frame_size} is more than an address space holds"
            ))
            .with_value(max_frame_size)
        };
        let stride = stride.ok_or_else(too_large)?;
        let total = stride
            .checked_mul(capacity.into())
            .filter(|total| *total < 1 << 46)
            .ok_or_else(too_large)?;
        let geometry = Geometry {
            policy: self.policy,
            capacity,
            queue_length: or(self.queue_length, capacity.max(QUEUE_LENGTH)).next_power_of_two(),
            release_length: wire::release_length(capacity),
            max_frame_size,
            stride,
            max_consumers: or(self.max_consumers, LAVA_CONSUMERS_MAX),
            require_transports: self.require_transports,
        };
        Ok((geometry, total))
    }

    fn pool_request(&self, total: u64, alignment: u64) -> Request {
        let mut flags = LAVA_BUFFER_SHAREABLE;
        if self.flags & LAVA_PRODUCER_COMMIT != 0 {
            flags |= LAVA_BUFFER_COMMIT;
        }
        if self.flags & LAVA_PRODUCER_REQUIRE_MEMORY != 0 {
            flags |= LAVA_BUFFER_REQUIRE;
        }
        if self.numa_node.is_some() {
            flags |= LAVA_BUFFER_ON_NODE;
        }
        Request {
            memory: self.memory,
            size: total,
            alignment,
            flags,
            numa_node: self.numa_node,
            fallback: self.fallback.clone(),
            peer: None,
            device_uuid: self.device_uuid,
        }
    }
}

impl Producer {
    pub fn create(context: &Arc<Context>, name: &str, options: &Options) -> Result<Self> {
        context.check_fork()?;
        let name = Name::new(name)?;
        options.check()?;
        context.remote.begin();
        // What goes with a frame to another host lies behind it.
        let slack = if context.remote.is_wanted() { mpi::SLACK } else { 0 };
        let (geometry, total) = options.geometry(slack)?;
        context.sweep();
        let alignment =
            u64::from(options.alignment).max(if geometry.stride % PAGE == 0 { PAGE } else { 64 });
        let memory =
            Buffer::allocate(&options.pool_request(total, alignment), context.memory_context())
                .map_err(|error| error.context("the channel's pool"))?;
        let memory = Arc::new(memory);
        let device = DevicePool::of(&memory)?.map(Box::new);
        let signals = device.as_ref().map(|device| Arc::clone(&device.signals));
        let region = OwnRegion::new("lava-metadata", metadata::region_size(geometry.capacity))?;
        let metadata_fd = memfd::duplicate(region.fd())?;
        let (claim, listener) = rendezvous::claim(&context.directory, &name.file())?;
        let capacity = geometry.capacity;
        let shared = Arc::new(ChannelShared::new(
            name,
            geometry,
            (Arc::clone(&memory), signals.clone()),
            metadata_fd,
            (context.location(), context.forced),
            context.memory_context().clone(),
        ));
        let listener = context.watch(link::listener(listener, Arc::clone(&shared)))?;
        context.remote.offer(&shared);
        context.log.info(|| {
            format!(
                "channel {}: {} slots of {} bytes in {} memory ({}), at {}",
                shared.name,
                capacity,
                shared.geometry.max_frame_size,
                memory.memory().name(),
                memory.reason(),
                claim.path()
            )
        });
        Ok(Self {
            context: Arc::clone(context),
            pool: Pool::new(capacity),
            metadata: Metadata::new(region.into_mapping(), capacity),
            registry: Registry::new(capacity),
            connections: Vec::new(),
            frames: Frames::new(
                Side::Producer { pool: Arc::clone(&memory), signals },
                capacity as usize + 16,
            ),
            sequence: 0,
            seen: 0,
            sleeps: 0,
            timestamps: options.flags & LAVA_PRODUCER_NO_TIMESTAMP == 0,
            memory,
            device,
            claim,
            listener,
            shared,
        })
    }

    /// Every call begins here: a forked child is turned away, and what happened to the connections is taken in.
    #[inline(always)]
    pub(super) fn enter(&mut self) -> Hot<()> {
        if self.context.fork.is_child() {
            return Err(LAVA_ERROR_FORKED);
        }
        if self.shared.events().load(Ordering::Acquire) != self.seen {
            self.take_events();
        }
        Ok(())
    }

    pub(super) fn enter_control(&mut self) -> Result<()> {
        self.context.check_fork()?;
        self.take_events();
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn take_events(&mut self) {
        self.seen = self.shared.events().load(Ordering::Acquire);
        for event in self.shared.take_events() {
            self.take_event(event);
        }
    }

    fn take_event(&mut self, event: Event) {
        match event {
            Event::Connected(new) => {
                let used =
                    self.connections.iter().fold(0_u64, |used, connection| used | connection.bit);
                if used == u64::MAX {
                    // A consumer that was thrown out still has its place with the service thread for a moment.
                    socket::shutdown(new.socket.as_fd());
                    return;
                }
                let bit = 1 << used.trailing_ones();
                self.note_transport(new.stats.transport, bit);
                let geometry = &self.shared.geometry;
                self.connections.push(Connection::new(
                    *new,
                    bit,
                    geometry.capacity,
                    geometry.policy,
                ));
            }
            Event::Detached { id, consumed } => {
                if let Some(connection) =
                    self.connections.iter_mut().find(|connection| connection.id == id)
                {
                    connection.detach(consumed, &mut self.pool);
                }
            }
            Event::Gone { id } => {
                if let Some(index) =
                    self.connections.iter().position(|connection| connection.id == id)
                {
                    let connection = self.connections.remove(index);
                    self.pool.release_all(connection.bit);
                    self.forget_transport(connection.bit);
                }
            }
        }
    }

    /// Throws out the consumers that broke the protocol.
    #[cold]
    pub(super) fn cut_broken(&mut self) {
        let (pool, context, shared) = (&mut self.pool, &self.context, &self.shared);
        let mut gone = 0;
        self.connections.retain(|connection| {
            if connection.broken {
                gone |= connection.bit;
                context.log.warn(|| {
                    format!(
                        "channel {}: consumer {} broke the protocol and was thrown out",
                        shared.name, connection.id
                    )
                });
                connection.cut();
                pool.release_all(connection.bit);
            }
            !connection.broken
        });
        self.forget_transport(gone);
    }

    pub fn connection_count(&mut self) -> u32 {
        let _ = self.enter();
        self.connections.iter().filter(|connection| connection.is_open()).count() as u32
    }

    pub fn connection(&mut self, index: u32) -> Result<ConnectionReport> {
        self.enter_control()?;
        self.collect();
        let (pool, sleeps) = (&self.pool, self.sleeps);
        let mut open = self.connections.iter_mut().filter(|connection| connection.is_open());
        open.nth(index as usize).map(|connection| connection.report(pool, sleeps)).ok_or_else(
            || {
                Error::new(LAVA_ERROR_NOT_FOUND, format!("there is no connection {index}"))
                    .with_value(index.into())
            },
        )
    }

    pub fn describe(&mut self) -> Result<String> {
        self.enter_control()?;
        self.collect();
        let (pool, sleeps) = (&self.pool, self.sleeps);
        let connections: Vec<_> = self
            .connections
            .iter_mut()
            .map(|connection| connection.report(pool, sleeps).to_json())
            .collect();
        let geometry = &self.shared.geometry;
        Ok(json!({
            "name": self.shared.name.as_str(),
            "policy": policy_name(geometry.policy),
            "capacity": geometry.capacity,
            "queue_length": geometry.queue_length,
            "max_frame_size": geometry.max_frame_size,
            "max_consumers": geometry.max_consumers,
            "free_slots": self.pool.free_count(),
            "memory": {
                "kind": self.memory.memory().name(),
                "requested": self.memory.requested().name(),
                "reason": self.memory.reason(),
                "size": self.memory.allocated_size(),
            },
            "gpu": self.device.as_ref().map(|device| device.to_json(&self.memory)),
            "frames": self.sequence,
            "dropped_unheard": self.shared.dropped_unheard.load(Ordering::Relaxed),
            "connections": connections,
        })
        .to_string())
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if self.context.fork.is_child() {
            self.claim.abandon();
            return;
        }
        self.context.unwatch(self.listener);
        self.context.remote.withdraw(&self.shared);
        for event in self.shared.close() {
            self.take_event(event);
        }
        for connection in &mut self.connections {
            connection.outlet.close();
            connection.cut();
        }
        if let Some(device) = &self.device {
            device.signals.finish();
        }
    }
}
