//! Connections to processes that share no memory with this one, by MPI.
//!
//! To the channel's code a remote connection is one of transport shm whose other end is in this process: the *engine*
//! reads the producer's ring and sends, or receives and fills the consumer's ring. Rings, policies, waiting, frames and
//! their release are those of local channels.
//!
//! * [`progress`]: what a context has of it: the lock, and who makes progress. [`thread`]: progress when nobody else does.
//! * [`engine`]: all remote connections of a context, and MPI's port. [`sender`] and [`receiver`] are one of them each.
//! * [`round`]: what it does each time. [`ending`]: how they end. [`letters`]: what engines tell each other.
//! * [`offering`] and [`seeking`]: the two sides of the handshake. [`peers`]: who is alive.

mod ending;
mod engine;
mod letters;
mod offering;
mod peers;
pub mod progress;
mod receiver;
mod round;
pub mod seeking;
mod sender;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod thread;
