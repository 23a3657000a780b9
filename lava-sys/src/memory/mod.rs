//! Memory: host strategies, shared memory, buffers.
//!
//! [`Buffer::allocate`] walks a plan (what was asked for, then the fallbacks) until one strategy succeeds; each strategy
//! is a file. `auto` chooses from facts alone. `handle` gives buffers to other processes and takes theirs.

mod access;
mod allocate;
mod attached;
mod auto;
mod buffer;
mod device;
mod device_handle;
mod handle;
mod huge;
mod kind;
mod machine;
mod numa;
mod pinned;
mod request;
mod standard;
mod storage;
mod units;
pub mod vulkan;

pub use attached::Attached;
pub use buffer::Buffer;
pub use kind::Memory;
pub use request::{MemoryContext, Request};
