//! What a producer offers a consumer: the transport, and the descriptors of the pool that go with it. If the preferred
//! transport turns out to be impossible, the next one is tried, with the reason.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::link::protocol;
use super::routing::{self, Ends, Route, Wants};
use super::shared::ChannelShared;
use crate::error::{Error, Result};
use crate::memory::{Buffer, Memory};
use crate::os::memfd;
use crate::scope::Report;
use crate::transport::{Transport, vulkan};
use crate::types::*;
use crate::wire::{self, Recipe, ready};

/// The pool as one consumer gets it.
pub struct Offer {
    pub route: Route,
    pub memory: Memory,
    pub pages: u32,
    pub size: u64,
    /// Zeros for host memory.
    pub recipe: Recipe,
    /// One of [`ready`].
    pub ready: u32,
    /// The pool's, and the semaphore's after it.
    pub fds: Vec<OwnedFd>,
}

/// Chooses and prepares. An error is for the consumer: it is refused with it.
pub fn make(channel: &ChannelShared, hello: &wire::Hello, scope: &Report) -> Result<Offer> {
    let consumer_wants = wants(hello)?;
    let mut no_import = why_no_import(channel, hello);
    let mut no_staging = channel.staging.refusal();
    loop {
        let route = routing::choose(&Ends {
            pool_on_device: channel.pool.memory() == Memory::Device,
            scope,
            consumer_wants,
            no_import: no_import.as_deref(),
            no_staging: no_staging.as_deref(),
            no_mpi: Some("the consumer did not ask through an MPI job"),
            consumer_accepts: hello.require_transports,
            producer_accepts: channel.geometry.require_transports,
            max_copies: hello.max_copies,
        });
        let refusal = match route.transport {
            None => return Err(Error::new(LAVA_ERROR_REQUIREMENT, route.reason)),
            Some(Transport::Vulkan) => &mut no_import,
            Some(Transport::Staged) => &mut no_staging,
            Some(_) => return of_host(&channel.pool, route),
        };
        let offered = if route.transport == Some(Transport::Vulkan) {
            of_device(channel, route)
        } else {
            mirror(channel).and_then(|mirror| of_host(&mirror, route))
        };
        match offered {
            Ok(offer) => return Ok(offer),
            Err(error) => *refusal = Some(format!("the producer: {}", error.message)),
        }
    }
}

/// As [`make`], for a consumer of another host: the route, and host memory with the channel's slots.
pub fn make_remote(
    channel: &ChannelShared,
    hello: &wire::Hello,
    scope: &Report,
) -> Result<(Route, Arc<Buffer>)> {
    let consumer_wants = wants(hello)?;
    let on_device = channel.pool.memory() == Memory::Device;
    let (mut no_mpi, mut host) = (channel.staging.refusal(), Arc::clone(&channel.pool));
    if on_device && no_mpi.is_none() {
        match mirror(channel) {
            Ok(mirror) => host = mirror,
            Err(error) => no_mpi = Some(format!("the producer: {}", error.message)),
        }
    }
    let route = routing::choose(&Ends {
        pool_on_device: on_device,
        scope,
        consumer_wants,
        no_import: None,
        no_staging: None,
        no_mpi: no_mpi.as_deref(),
        consumer_accepts: hello.require_transports,
        producer_accepts: channel.geometry.require_transports,
        max_copies: hello.max_copies,
    });
    match route.transport {
        Some(Transport::Mpi) => Ok((route, host)),
        Some(other) => Err(protocol(format!("{} is no way to another host", other.name()))),
        None => Err(Error::new(LAVA_ERROR_REQUIREMENT, route.reason)),
    }
}

fn wants(hello: &wire::Hello) -> Result<Wants> {
    Wants::from_number(hello.memory)
        .ok_or_else(|| protocol(format!("the consumer wants memory {}", hello.memory)))
}

/// The channel has as many consumers as it takes.
pub fn no_place(channel: &ChannelShared) -> Error {
    let most = channel.geometry.max_consumers;
    let message = format!("the channel has its {most} consumers, the most it takes");
    Error::new(LAVA_ERROR_REFUSED, message).with_value(most.into())
}

/// What the consumer says itself, or what follows from the GPU that it wants.
fn why_no_import(channel: &ChannelShared, hello: &wire::Hello) -> Option<String> {
    if hello.no_vulkan != 0 {
        return Some(wire::get_text(&hello.reason));
    }
    let pool = vulkan::device_uuid(&channel.pool)?;
    let wanted = hello.device_uuid;
    (wanted != [0; 16] && wanted != pool).then(|| {
        format!("it wants GPU {}, the pool is on GPU {}", hexadecimal(&wanted), hexadecimal(&pool))
    })
}

/// A UUID as text.
pub fn hexadecimal(uuid: &[u8; 16]) -> String {
    uuid.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mirror(channel: &ChannelShared) -> Result<Arc<Buffer>> {
    channel.staging.mirror(&channel.pool, &channel.geometry, &channel.memory_context)
}

fn of_host(pool: &Buffer, route: Route) -> Result<Offer> {
    let fd = pool
        .shared_fd()
        .ok_or_else(|| Error::new(LAVA_ERROR_INTERNAL, "the pool has no descriptor"))?;
    Ok(Offer {
        route,
        memory: pool.memory(),
        pages: pool.pages(),
        size: pool.allocated_size(),
        recipe: Recipe::default(),
        ready: ready::HOST,
        fds: vec![memfd::duplicate(fd)?],
    })
}

fn of_device(channel: &ChannelShared, route: Route) -> Result<Offer> {
    let exported = vulkan::export(&channel.pool)?;
    let mut fds = vec![exported.fd];
    let shared = channel.signals.as_ref().filter(|signals| signals.is_shared());
    if let Some(signals) = shared {
        fds.push(signals.export()?);
    }
    Ok(Offer {
        route,
        memory: Memory::Device,
        pages: channel.pool.pages(),
        size: channel.pool.size(),
        recipe: exported.recipe,
        ready: if fds.len() > 1 { ready::TIMELINE } else { ready::HOST },
        fds,
    })
}
