//! The pieces, for lava's own benches, model checks and fuzz targets (feature `internals`). No promise of any kind.

pub use crate::error::{Error, Hot, Result};

/// System calls.
pub mod os {
    pub use crate::os::{clock, fork, futex, mapping, memfd, socket};
}

pub mod log {
    pub use crate::log::*;
}

pub mod memory {
    pub use crate::memory::*;
}

pub mod scope {
    pub use crate::scope::*;
}

pub mod transport {
    pub use crate::transport::*;
}

pub mod channel {
    pub use crate::channel::{connect, connection, name, pool, routing, shared};
}

pub mod sync {
    pub use crate::sync::*;
}

pub mod wire {
    pub use crate::wire::*;
}
