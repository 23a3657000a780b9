//! Buffers of the application that a channel sends: each is passed to each consumer once and has a number from then on.

use std::sync::Arc;

use super::pool::Pool;
use crate::error::{Error, Result};
use crate::memory::Buffer;
use crate::types::LAVA_ERROR_UNSUPPORTED;

/// Most buffers of one channel.
const BUFFERS_MAX: usize = 1024;

/// The registered buffers, and which slot stands for a frame of which.
#[derive(Debug)]
pub struct Registry {
    /// By number - 1. A number is never used again, so that a late frame cannot be taken for another buffer's.
    buffers: Vec<Option<Arc<Buffer>>>,
    live: usize,
    /// Number of the buffer that each slot's frame lies in; 0: the pool.
    of_slot: Box<[u32]>,
}

impl Registry {
    pub fn new(capacity: u32) -> Self {
        Self { buffers: Vec::new(), live: 0, of_slot: vec![0; capacity as usize].into() }
    }

    /// The number of a buffer, registering it if it is new. Also the numbers of buffers that nobody can send any more:
    /// consumers are to forget them.
    pub fn number(&mut self, buffer: &Arc<Buffer>, pool: &Pool) -> Result<(u32, Vec<u32>)> {
        let found = self
            .buffers
            .iter()
            .position(|one| one.as_ref().is_some_and(|one| Arc::ptr_eq(one, buffer)));
        if let Some(index) = found {
            return Ok((index as u32 + 1, Vec::new()));
        }
        let retired = self.retire(pool);
        if self.live >= BUFFERS_MAX {
            return Err(Error::new(
                LAVA_ERROR_UNSUPPORTED,
                format!("{BUFFERS_MAX} buffers are in use by this channel, the most it takes; send fewer different ones"),
            )
            .with_value(BUFFERS_MAX as u64));
        }
        self.buffers.push(Some(Arc::clone(buffer)));
        self.live += 1;
        Ok((self.buffers.len() as u32, retired))
    }

    /// Forgets the buffers that only this registry holds and no consumer has a frame of.
    fn retire(&mut self, pool: &Pool) -> Vec<u32> {
        let mut retired = Vec::new();
        for index in 0..self.buffers.len() {
            let number = index as u32 + 1;
            let unused =
                self.buffers[index].as_ref().is_some_and(|buffer| Arc::strong_count(buffer) == 1);
            if unused && !self.is_held(number, pool) {
                self.buffers[index] = None;
                self.live -= 1;
                retired.push(number);
            }
        }
        retired
    }

    /// Notes which buffer a slot's frame lies in.
    #[inline]
    pub fn note(&mut self, slot: u32, number: u32) {
        self.of_slot[slot as usize] = number;
    }

    /// True if a consumer has a frame of that buffer, or is still to receive one.
    pub fn is_held(&self, number: u32, pool: &Pool) -> bool {
        (0..pool.capacity()).any(|slot| self.of_slot[slot as usize] == number && pool.is_held(slot))
    }

    /// The number of a buffer that was registered.
    pub fn find(&self, buffer: &Arc<Buffer>) -> Option<u32> {
        self.buffers
            .iter()
            .position(|one| one.as_ref().is_some_and(|one| Arc::ptr_eq(one, buffer)))
            .map(|index| index as u32 + 1)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::log::Log;
    use crate::memory::{Memory, MemoryContext, Request};

    fn buffer() -> Arc<Buffer> {
        let request = Request {
            memory: Memory::Standard,
            size: 64,
            alignment: 0,
            flags: 0,
            numa_node: None,
            fallback: Vec::new(),
            peer: None,
            device_uuid: [0; 16],
        };
        Arc::new(
            Buffer::allocate(&request, &MemoryContext::new(Log::none(), Default::default()))
                .unwrap(),
        )
    }

    #[test]
    fn a_number_is_kept_while_somebody_can_use_the_buffer_and_never_used_again() {
        let (mut pool, mut registry) = (Pool::new(2), Registry::new(2));
        let (first, second) = (buffer(), buffer());
        assert_eq!(registry.number(&first, &pool).unwrap(), (1, vec![]));
        assert_eq!(registry.number(&second, &pool).unwrap(), (2, vec![]));
        assert_eq!(registry.number(&first, &pool).unwrap(), (1, vec![]));
        assert_eq!(registry.find(&second), Some(2));
        let slot = pool.take().unwrap();
        registry.note(slot, 1);
        pool.publish(slot, 0b1);
        // Nobody can send either any more, but a consumer has a frame of the first.
        drop((first, second));
        assert!(registry.is_held(1, &pool) && !registry.is_held(2, &pool));
        let third = buffer();
        assert_eq!(registry.number(&third, &pool).unwrap(), (3, vec![2]));
        assert!(pool.release(slot, 0b1) && !registry.is_held(1, &pool));
        assert_eq!(registry.number(&buffer(), &pool).unwrap(), (4, vec![1]));
        assert_eq!(registry.find(&third), Some(3));
    }

    #[test]
    fn too_many_buffers_are_refused_until_one_goes() {
        let (pool, mut registry) = (Pool::new(1), Registry::new(1));
        let mut kept: Vec<_> = (0..BUFFERS_MAX).map(|_| buffer()).collect();
        for one in &kept {
            registry.number(one, &pool).unwrap();
        }
        let one_more = buffer();
        let error = registry.number(&one_more, &pool).unwrap_err();
        assert_eq!((error.status, error.value), (LAVA_ERROR_UNSUPPORTED, BUFFERS_MAX as u64));
        kept.remove(7);
        let number = BUFFERS_MAX as u32 + 1;
        assert_eq!(registry.number(&one_more, &pool).unwrap(), (number, vec![8]));
    }
}
