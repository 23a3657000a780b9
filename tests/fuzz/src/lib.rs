//! What the fuzz targets share: numbers out of the input, and a region as a hostile peer has it.

use std::sync::Arc;

use lava_sys::internals::os::mapping::Mapping;
use lava_sys::internals::sync::{AtomicU64, Ordering};
use lava_sys::internals::transport::shm::{OwnRegion, map_peer_region};

/// The input as a sequence of numbers; zeros when it is used up.
pub struct Input<'a>(pub &'a [u8]);

impl Input<'_> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let size = N.min(self.0.len());
        let (first, rest) = self.0.split_at(size);
        self.0 = rest;
        let mut bytes = [0; N];
        bytes[..size].copy_from_slice(first);
        bytes
    }

    pub fn byte(&mut self) -> u8 {
        self.bytes::<1>()[0]
    }

    pub fn word(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }
}

/// A region: the hostile owner's writable mapping, and the other side's.
pub struct Hostile {
    owner: Mapping,
}

impl Hostile {
    /// Makes a region of `size` bytes; gives the mapping that the other side gets after its checks, too.
    pub fn new(size: usize) -> (Self, Mapping) {
        let region = OwnRegion::new("hostile", size).expect("memory");
        let fd = region.fd().try_clone_to_owned().expect("a descriptor");
        let other = map_peer_region(&fd, size).expect("a valid region");
        (Self { owner: region.into_mapping() }, other)
    }

    /// Writes any word of it.
    pub fn write(&self, index: u64, value: u64) {
        let words = (self.owner.size() / size_of::<u64>()) as u64;
        // SAFETY: within the mapping, which is aligned.
        let word = unsafe {
            self.owner.start().cast::<AtomicU64>().add((index % words) as usize).as_ref()
        };
        word.store(value, Ordering::Relaxed);
    }
}

/// A region that this side owns, as it has it mapped.
pub fn own_region(size: usize) -> Mapping {
    OwnRegion::new("own", size).expect("memory").into_mapping()
}

/// For constructors that want shared mappings.
pub fn shared(mapping: Mapping) -> Arc<Mapping> {
    Arc::new(mapping)
}
