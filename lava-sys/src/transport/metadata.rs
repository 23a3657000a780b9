//! The metadata region: what a frame says beyond its descriptor, one [`SlotHeader`] a slot, written by the producer.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::os::mapping::Mapping;
use crate::types::*;
use crate::wire::SlotHeader;

/// The region, mapped in this process: read-write at the producer, read-only at consumers.
#[derive(Debug)]
pub struct Metadata {
    mapping: Mapping,
    slots: u32,
}

/// Bytes of a region for `slots` slots.
pub fn region_size(slots: u32) -> usize {
    slots as usize * size_of::<SlotHeader>()
}

/// Words of a tensor.
pub const TENSOR_WORDS: usize = 18;

fn header_word(header: &SlotHeader, at: usize) -> &AtomicU64 {
    match at {
        0 => &header.tensor,
        1 => &header.byte_offset,
        2..10 => &header.shape[at - 2],
        _ => &header.strides[at - 10],
    }
}

impl Metadata {
    /// `mapping` has [`region_size`] bytes.
    pub fn new(mapping: Mapping, slots: u32) -> Self {
        debug_assert!(mapping.size() >= region_size(slots));
        Self { mapping, slots }
    }

    fn header(&self, slot: u32) -> &SlotHeader {
        assert!(slot < self.slots);
        let first: NonNull<SlotHeader> = self.mapping.start().cast();
        // SAFETY: below `slots`, so within the mapping; the type is all atomics.
        unsafe { first.add(slot as usize).as_ref() }
    }

    /// Producer: writes a slot's tensor before its descriptor is published. The mapping must be writable.
    pub fn write(&self, slot: u32, tensor: &lava_tensor) {
        let header = self.header(slot);
        let kind = u64::from(tensor.dtype)
            | u64::from(tensor.bits) << 8
            | u64::from(tensor.lanes) << 16
            | u64::from(tensor.dimensions) << 32;
        header.tensor.store(kind, Ordering::Relaxed);
        header.byte_offset.store(tensor.byte_offset, Ordering::Relaxed);
        let store = |cells: &[AtomicU64], values: &[i64]| {
            for (cell, value) in cells.iter().zip(values) {
                cell.store(*value as u64, Ordering::Relaxed);
            }
        };
        store(&header.shape, &tensor.shape);
        store(&header.strides, &tensor.strides);
    }

    /// A slot's tensor in [`TENSOR_WORDS`] words, for another process without this memory.
    pub fn copy_out(&self, slot: u32) -> [u64; TENSOR_WORDS] {
        let header = self.header(slot);
        std::array::from_fn(|at| header_word(header, at).load(Ordering::Relaxed))
    }

    /// The reverse of [`Self::copy_out`]. The mapping must be writable.
    pub fn copy_in(&self, slot: u32, words: &[u64; TENSOR_WORDS]) {
        let header = self.header(slot);
        for (at, word) in words.iter().enumerate() {
            header_word(header, at).store(*word, Ordering::Relaxed);
        }
    }

    /// Consumer: a copy of a slot's tensor as the peer wrote it, not checked.
    pub fn read(&self, slot: u32) -> lava_tensor {
        let header = self.header(slot);
        let kind = header.tensor.load(Ordering::Relaxed);
        lava_tensor {
            struct_size: size_of::<lava_tensor>() as u32,
            dtype: kind as u8,
            bits: (kind >> 8) as u8,
            lanes: (kind >> 16) as u16,
            dimensions: (kind >> 32) as u32,
            has_strides: 1,
            byte_offset: header.byte_offset.load(Ordering::Relaxed),
            shape: std::array::from_fn(|at| header.shape[at].load(Ordering::Relaxed) as i64),
            strides: std::array::from_fn(|at| header.strides[at].load(Ordering::Relaxed) as i64),
        }
    }
}
