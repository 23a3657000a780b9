//! The exported functions, one file per object, in the order of the header. Each is thin: check, convert, one call into
//! the library, map the error. Nothing here decides anything, and nothing else in the crate is `#[no_mangle]`.

mod guard;
mod handle;

mod version;

mod context;

mod mpi;

mod device;

mod location;

mod buffer;

mod producer;

mod consumer;

mod frame;

mod ready;

mod vulkan;

mod cuda;
