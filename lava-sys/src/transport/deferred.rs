//! Releases that wait for the consumer's own GPU: a frame that is still being read is given back when the reader's
//! semaphore has reached its value. Looked after by the service thread; a release never waits itself.

use std::any::Any;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ready::Semaphore;
use super::{Released, Returns};
use crate::error::Result;
use crate::memory::Buffer;
use crate::os::clock::Deadline;
use crate::os::epoll::Notifier;

/// One frame whose release is to come.
pub struct Pending {
    pub until: Arc<dyn Semaphore>,
    pub value: u64,
    pub released: Released,
    pub returns: Arc<dyn Returns>,
    /// What the GPU may read until then, besides the pool.
    #[allow(dead_code, reason = "holds memory")]
    pub registered: Option<Arc<Buffer>>,
    /// The pool and the connection's socket.
    #[allow(dead_code, reason = "holds memory")]
    pub keep: Arc<dyn Any + Send + Sync>,
    #[allow(dead_code, reason = "holds memory")]
    pub pool: Arc<Buffer>,
}

impl Pending {
    /// True: given back. A semaphore that cannot be read any more belongs to a lost device, which reads nothing.
    fn try_release(&self) -> bool {
        let done = self.until.value().is_ok_and(|now| now < self.value);
        if !done {
            self.returns.release(&[self.released]);
        }
        !done
    }
}

/// At the end of a context, GPU work gets so long to finish.
const END_NS: u64 = 1_000_000_000;

/// The releases of one context.
pub struct Deferred {
    pending: Mutex<Vec<Pending>>,
    notifier: Notifier,
}

impl std::fmt::Debug for Deferred {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Deferred({})", self.lock().len())
    }
}

impl Deferred {
    pub fn new() -> Result<Self> {
        Ok(Self { pending: Mutex::default(), notifier: Notifier::new()? })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back at once what is done, and keeps the rest.
    pub fn push(&self, pending: Pending) {
        if !pending.try_release() {
            self.lock().push(pending);
            self.notifier.set();
        }
    }

    /// Gives back what is done. True if some are left.
    pub fn poll(&self) -> bool {
        let mut pending = self.lock();
        pending.retain(|one| !one.try_release());
        !pending.is_empty()
    }

    /// Readable when something was pushed.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.notifier.as_fd()
    }

    pub fn clear(&self) {
        self.notifier.clear();
    }

    /// Waits a limited time for all, then gives back whatever is left: nobody looks after it any more.
    pub fn finish(&self) {
        let deadline = Deadline::after(END_NS);
        for one in std::mem::take(&mut *self.lock()) {
            let _ = one.until.wait(one.value, deadline.left_ns());
            one.returns.release(&[one.released]);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::ready::tests::Fake;
    use super::*;
    use crate::log::Log;
    use crate::memory::vulkan::GpuSettings;
    use crate::memory::{Memory, MemoryContext, Request};

    #[derive(Default)]
    struct Notes(Mutex<Vec<u32>>);

    impl Returns for Notes {
        fn release(&self, released: &[Released]) {
            self.0.lock().unwrap().extend(released.iter().map(|one| one.slot));
        }

        fn wakes(&self) -> u64 {
            0
        }
    }

    struct World {
        fake: Arc<Fake>,
        notes: Arc<Notes>,
        keep: Arc<()>,
        pool: Arc<Buffer>,
    }

    impl World {
        fn new() -> Self {
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
            let pool = Buffer::allocate(
                &request,
                &MemoryContext::new(Log::none(), GpuSettings::default()),
            )
            .unwrap();
            Self {
                fake: Arc::default(),
                notes: Arc::default(),
                keep: Arc::default(),
                pool: Arc::new(pool),
            }
        }

        fn pending(&self, slot: u32, value: u64) -> Pending {
            Pending {
                until: Arc::clone(&self.fake) as Arc<dyn Semaphore>,
                value,
                released: Released { slot, position: 0 },
                returns: Arc::clone(&self.notes) as Arc<dyn Returns>,
                registered: None,
                keep: Arc::clone(&self.keep) as Arc<dyn Any + Send + Sync>,
                pool: Arc::clone(&self.pool),
            }
        }

        fn released(&self) -> Vec<u32> {
            self.notes.0.lock().unwrap().clone()
        }
    }

    #[test]
    fn a_frame_goes_back_when_its_reader_is_done() {
        let (world, deferred) = (World::new(), Deferred::new().unwrap());
        for (slot, value) in [(0, 0), (1, 2), (2, 1), (3, 9)] {
            deferred.push(world.pending(slot, value));
        }
        assert_eq!(world.released(), [0], "nothing was to be waited for");
        assert!(deferred.poll());
        world.fake.signal(2).unwrap();
        assert!(deferred.poll());
        assert_eq!(world.released(), [0, 1, 2]);
        assert_eq!(Arc::strong_count(&world.keep), 2, "the connection stays for the last");
        deferred.finish();
        assert_eq!((world.released().len(), Arc::strong_count(&world.keep)), (4, 1));
        assert!(!deferred.poll());
    }
}
