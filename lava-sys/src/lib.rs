//! The implementation of lava behind its C ABI.
//!
//! Public are only [`types`] (what crosses the ABI: data) and [`decl`] (its functions, as declared in
//! `include/lava.h`). Rust programs use the crate `lava`, which is safe and built on these alone.
//!
//! Data flows one way: `abi → channel → transport → memory → os`; `types`, `wire`, `error`, `log` and `sync` are
//! leaves. `tests/layers.rs` holds this. `doc/spec/architecture.md` has the map.
#![allow(non_camel_case_types, reason = "types have the names that they have in C")]
#![cfg_attr(feature = "internals", allow(missing_docs, reason = "they are not for users"))]

/// cbindgen:ignore
pub mod decl;
pub mod types;

pub use decl::*;
pub use types::*;

#[cfg(not(feature = "system"))]
mod abi;
#[cfg(not(feature = "system"))]
mod channel;
#[cfg(not(feature = "system"))]
mod error;
#[cfg(not(feature = "system"))]
mod interop;
#[cfg(not(feature = "system"))]
mod log;
#[cfg(not(feature = "system"))]
mod memory;
#[cfg(not(feature = "system"))]
mod os;
#[cfg(not(feature = "system"))]
mod scope;
#[cfg(not(feature = "system"))]
mod sync;
#[cfg(not(feature = "system"))]
mod transport;
#[cfg(not(feature = "system"))]
mod wire;

/// cbindgen:ignore
#[cfg(all(feature = "internals", not(feature = "system")))]
#[doc(hidden)]
pub mod internals;
