//! Everything that crosses the C ABI: plain data and constants, no code.
//!
//! Reading these files is reading `include/lava.h`: the header is generated from them and from `abi/`.
//! Rules that every struct here keeps:
//! * an *options* struct begins with `struct_size`; zero in any other field means the default;
//! * an *info* struct begins with `struct_size`, set by the caller; the library writes at most that much;
//! * fields are appended, never changed; padding is explicit; no build feature changes a layout.

mod buffer;
mod channel;
mod context;
mod cuda;
mod device;
mod error;
mod frame;
#[cfg(test)]
mod layout;
mod location;
mod vulkan;

pub use buffer::*;
pub use channel::*;
pub use context::*;
pub use cuda::*;
pub use device::*;
pub use error::*;
pub use frame::*;
pub use location::*;
pub use vulkan::*;

/// Wait for ever.
pub const LAVA_FOREVER: u64 = u64::MAX;
/// Do not wait: try once.
pub const LAVA_NO_WAIT: u64 = 0;
/// The number of the ABI that this header describes: bumped when a line of it changes meaning, part of the soname.
pub const LAVA_ABI_VERSION: u32 = 0;
