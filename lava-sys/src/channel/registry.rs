//! Buffers of the application that a channel sends: each is passed to each consumer once and has a number from then on.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use super::pool::Pool;
use crate::error::{Error, Result};
use crate::memory::Buffer;
use crate::types::{LAVA_ERROR_LIMIT, LAVA_ERROR_UNSUPPORTED};

/// Most buffers of one channel.
const BUFFERS_MAX: usize = 1024;

/// One registered buffer. Its memory is not kept: consumers map its file themselves.
#[derive(Debug)]
struct Entry {
    number: u32,
    buffer: Weak<Buffer>,
}

/// The registered buffers, and which slot stands for a frame of which.
#[derive(Debug)]
pub struct Registry {
    /// By the buffer's identity, which no other buffer of this process ever has.
    entries: HashMap<u64, Entry>,
    /// The number given last. None is used again, so that a late frame cannot be taken for another buffer's.
    last: u32,
    /// Number of the buffer that each slot's frame lies in; 0: the pool.
    of_slot: Box<[u32]>,
}

impl Registry {
    pub fn new(capacity: u32) -> Self {
        Self { entries: HashMap::new(), last: 0, of_slot: vec![0; capacity as usize].into() }
    }

    /// The number of a buffer, registering it if it is new. Also the numbers of buffers that nobody can send any more:
    /// consumers are to forget them.
    pub fn number(&mut self, buffer: &Arc<Buffer>, pool: &Pool) -> Result<(u32, Vec<u32>)> {
        if let Some(number) = self.find(buffer) {
            return Ok((number, Vec::new()));
        }
        let retired = self.retire(pool);
        if self.entries.len() >= BUFFERS_MAX {
            return Err(Error::new(
                LAVA_ERROR_UNSUPPORTED,
                format!("{BUFFERS_MAX} buffers are in use by this channel, the most it takes; send fewer different ones"),
            )
            .with_value(BUFFERS_MAX as u64));
        }
        self.last = self.last.checked_add(1).ok_or_else(|| {
            Error::new(LAVA_ERROR_LIMIT, "this channel has sent 4294967295 buffers; create it anew")
        })?;
        let entry = Entry { number: self.last, buffer: Arc::downgrade(buffer) };
        self.entries.insert(buffer.id(), entry);
        Ok((self.last, retired))
    }

    /// Forgets the buffers that are gone and no consumer has a frame of.
    fn retire(&mut self, pool: &Pool) -> Vec<u32> {
        let is_gone = |entry: &Entry| entry.buffer.strong_count() == 0;
        if !self.entries.values().any(is_gone) {
            return Vec::new();
        }
        let held: HashSet<u32> = (0..pool.capacity())
            .filter(|slot| pool.is_held(*slot))
            .map(|slot| self.of_slot[slot as usize])
            .collect();
        let mut retired = Vec::new();
        self.entries.retain(|_, entry| {
            let stays = !is_gone(entry) || held.contains(&entry.number);
            if !stays {
                retired.push(entry.number);
            }
            stays
        });
        retired.sort_unstable();
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
        self.entries.get(&buffer.id()).map(|entry| entry.number)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::hint::black_box;

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

    #[test]
    fn buffers_come_and_go_without_a_trace() {
        let (pool, mut registry) = (Pool::new(1), Registry::new(1));
        for number in 1..=5000 {
            let one = buffer();
            assert_eq!(registry.number(&one, &pool).unwrap().0, number);
            // Its memory goes with whoever allocated it, and not with the channel.
            assert_eq!(Arc::strong_count(&one), 1);
        }
        assert!(registry.entries.len() <= 2 && registry.entries.capacity() < 16);
    }

    /// A lookup among many costs what one among few does.
    #[test]
    fn finding_a_buffer_does_not_take_longer_with_many() {
        let (pool, mut registry) = (Pool::new(1), Registry::new(1));
        let kept: Vec<_> = (0..BUFFERS_MAX).map(|_| buffer()).collect();
        let mut timed = |count: usize| {
            kept[..count].iter().for_each(|one| drop(registry.number(one, &pool).unwrap()));
            let look = |registry: &Registry| {
                let start = std::time::Instant::now();
                (0..2000)
                    .for_each(|_| assert!(black_box(registry.find(&kept[count - 1])).is_some()));
                start.elapsed()
            };
            (0..20).map(|_| look(&registry)).min().unwrap()
        };
        let (few, many) = (timed(4), timed(BUFFERS_MAX));
        assert!(many < few * 10, "{few:?} with 4 buffers, {many:?} with {BUFFERS_MAX}");
    }
}
