//! Who holds which slot: pure bookkeeping in the producer's private memory, so that no peer can disturb it.
//!
//! A slot is *free*, *loaned* to the application, or *held* by a set of consumers (published to them and not yet
//! released). A consumer is a bit; there are at most 64.

/// The slots of one channel.
#[derive(Debug)]
pub struct Pool {
    /// Free slots; the one freed last is taken first, because its memory is warm.
    free: Vec<u32>,
    /// Consumers that hold each slot.
    holders: Vec<u64>,
}

impl Pool {
    /// All slots are free; slot 0 is taken first.
    pub fn new(capacity: u32) -> Self {
        Self { free: (0..capacity).rev().collect(), holders: vec![0; capacity as usize] }
    }

    pub fn capacity(&self) -> u32 {
        self.holders.len() as u32
    }

    #[inline]
    pub fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    pub fn free_count(&self) -> usize {
        self.free.len()
    }

    /// Takes a free slot: it is loaned.
    #[inline]
    pub fn take(&mut self) -> Option<u32> {
        self.free.pop()
    }

    /// A loaned slot was not sent.
    pub fn discard(&mut self, slot: u32) {
        debug_assert_eq!(self.holders[slot as usize], 0);
        self.free.push(slot);
    }

    /// A loaned slot was published to these consumers; with none it is free at once.
    #[inline]
    pub fn publish(&mut self, slot: u32, consumers: u64) {
        self.holders[slot as usize] = consumers;
        if consumers == 0 {
            self.free.push(slot);
        }
    }

    /// A consumer no longer holds a slot. False if it did not.
    #[inline]
    pub fn release(&mut self, slot: u32, consumer: u64) -> bool {
        let Some(holders) = self.holders.get_mut(slot as usize) else { return false };
        if *holders & consumer == 0 {
            return false;
        }
        *holders &= !consumer;
        if *holders == 0 {
            self.free.push(slot);
        }
        true
    }

    /// A consumer is gone: everything that it held is released.
    pub fn release_all(&mut self, consumer: u64) {
        for slot in 0..self.capacity() {
            self.release(slot, consumer);
        }
    }

    /// Slots that a consumer holds.
    pub fn held_by(&self, consumer: u64) -> usize {
        self.holders.iter().filter(|holders| *holders & consumer != 0).count()
    }

    /// True if some consumer holds the slot.
    pub fn is_held(&self, slot: u32) -> bool {
        self.holders.get(slot as usize).is_some_and(|holders| *holders != 0)
    }

    /// True if no consumer holds any slot.
    pub fn all_released(&self) -> bool {
        self.holders.iter().all(|holders| *holders == 0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Take,
        Discard(usize),
        Publish(usize, u64),
        Release(u32, u32),
        ReleaseAll(u32),
    }

    const SLOTS: u32 = 5;

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Take),
            1 => any::<usize>().prop_map(Step::Discard),
            3 => (any::<usize>(), 0..16_u64).prop_map(|(at, set)| Step::Publish(at, set << 60 | set)),
            6 => (0..SLOTS + 2, 0..64_u32).prop_map(|(slot, bit)| Step::Release(slot, bit)),
            1 => (0..64_u32).prop_map(Step::ReleaseAll),
        ]
    }

    /// The same with sets, slowly.
    #[derive(Default)]
    struct Model {
        loaned: Vec<u32>,
        held: HashSet<(u32, u32)>,
    }

    impl Model {
        fn is_held(&self, slot: u32) -> bool {
            self.held.iter().any(|(held, _)| *held == slot)
        }

        fn free(&self) -> Vec<u32> {
            (0..SLOTS).filter(|slot| !self.loaned.contains(slot) && !self.is_held(*slot)).collect()
        }

        fn apply(&mut self, pool: &mut Pool, step: Step) -> Result<(), TestCaseError> {
            match step {
                Step::Take => match pool.take() {
                    Some(slot) => {
                        prop_assert!(self.free().contains(&slot), "{} was not free", slot);
                        self.loaned.push(slot);
                    }
                    None => prop_assert!(self.free().is_empty()),
                },
                Step::Discard(at) if !self.loaned.is_empty() => {
                    pool.discard(self.loaned.swap_remove(at % self.loaned.len()));
                }
                Step::Publish(at, set) if !self.loaned.is_empty() => {
                    let slot = self.loaned.swap_remove(at % self.loaned.len());
                    pool.publish(slot, set);
                    let bits = (0..64).filter(|bit| set >> bit & 1 == 1);
                    self.held.extend(bits.map(|bit| (slot, bit)));
                }
                Step::Release(slot, bit) => {
                    let released = pool.release(slot, 1 << bit);
                    prop_assert_eq!(released, self.held.remove(&(slot, bit)));
                }
                Step::ReleaseAll(bit) => {
                    pool.release_all(1 << bit);
                    self.held.retain(|(_, holder)| *holder != bit);
                }
                Step::Discard(_) | Step::Publish(..) => {}
            }
            Ok(())
        }

        fn compare(&self, pool: &Pool) -> Result<(), TestCaseError> {
            prop_assert_eq!(pool.free_count(), self.free().len());
            prop_assert_eq!(pool.has_free(), !self.free().is_empty());
            prop_assert_eq!(pool.all_released(), self.held.is_empty());
            for slot in 0..SLOTS + 2 {
                prop_assert_eq!(pool.is_held(slot), self.is_held(slot));
            }
            for bit in 0..64 {
                let held = self.held.iter().filter(|(_, holder)| *holder == bit).count();
                prop_assert_eq!(pool.held_by(1 << bit), held);
            }
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn no_slot_is_lost_or_given_twice(steps in prop::collection::vec(step(), 0..200)) {
            let (mut pool, mut model) = (Pool::new(SLOTS), Model::default());
            for step in steps {
                model.apply(&mut pool, step)?;
                model.compare(&pool)?;
            }
            let mut left: Vec<u32> = std::iter::from_fn(|| pool.take()).collect();
            left.sort_unstable();
            prop_assert_eq!(left, model.free());
        }
    }

    #[test]
    fn the_slot_freed_last_is_taken_first() {
        let mut pool = Pool::new(3);
        assert_eq!((pool.capacity(), pool.take(), pool.take()), (3, Some(0), Some(1)));
        pool.publish(0, 0b11);
        pool.discard(1);
        assert!(pool.release(0, 0b01) && pool.release(0, 0b10));
        assert_eq!((pool.take(), pool.take(), pool.take()), (Some(0), Some(1), Some(2)));
        assert_eq!(pool.take(), None);
    }
}
