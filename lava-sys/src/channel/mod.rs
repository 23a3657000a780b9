//! Channels: a name, one producer, any number of consumers.
//!
//! * [`producer`], [`consumer`]: the two ends; [`publish`], [`receive`]: their hot paths. [`connection`] is one pair as
//!   the producer sees it.
//! * [`pool`]: who holds which slot (pure). [`routing`]: which transport a connection gets (pure).
//! * [`rendezvous`]: names and socket files. [`link`] and [`connect`]: the two sides of the handshake.
//! * [`remote`]: connections to processes that share no memory with this one.
//! * [`service`]: the thread that accepts, watches and cleans up. [`context`]: what all of these share.
#![forbid(unsafe_code)]

pub mod accept;
pub mod connect;
pub mod connection;
pub mod consumer;
pub mod context;
mod deferral;
mod device_end;
mod device_pool;
pub mod handshakes;
pub mod late;
pub mod link;
pub mod list;
mod looking;
pub mod name;
mod offer;
mod peer_memory;
pub mod pool;
pub mod presence;
pub mod probe;
pub mod producer;
pub mod publish;
pub mod receive;
pub mod registry;
pub mod remote;
pub mod rendezvous;
pub mod report;
pub mod routing;
pub mod send_buffer;
pub mod service;
pub mod settings;
pub mod shared;
mod staging;
mod survivor;
mod upload;
pub mod waiting;
