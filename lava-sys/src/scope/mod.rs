//! Who is where, and whether two processes can share memory: pure data and a pure decision. Asking the peer is
//! `channel::probe`'s work; its answer comes in as [`Rendezvous`].
#![forbid(unsafe_code)]

mod decision;
mod evidence;
mod location;
mod text;

pub use decision::{Forced, Rendezvous, Report, Scope, decide};
pub use location::Location;
