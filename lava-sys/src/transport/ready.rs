//! When a frame of GPU memory may be used: two back ends behind one interface, chosen for each connection.
//!
//! * *timeline*: a semaphore that producer and consumers share. A frame carries the value at which it is ready; whoever
//!   receives it waits on the host, or lets its own queue wait.
//! * *host*: the semaphore cannot leave the producer's process, so the producer waits for it before it publishes.
//!
//! A semaphore says nothing of life and death: that is the socket's and the pidfd's. So no wait here is without limit,
//! and when the producer's process is dead, a survivor signals what the dead can no longer signal.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Hot, Result};
use crate::memory::vulkan::Timeline;
use crate::os::clock::Deadline;
use crate::types::*;

/// A counter that a GPU or the host raises, and that both can wait for.
pub trait Semaphore: Send + Sync {
    fn value(&self) -> Result<u64>;
    /// False: the time is over. Never longer, also when the driver could wait forever.
    fn wait(&self, value: u64, timeout_ns: u64) -> Result<bool>;
    /// `value` is above the present one.
    fn signal(&self, value: u64) -> Result<()>;
    /// The `VkSemaphore`.
    fn raw(&self) -> u64;
    /// A new descriptor of it for another process.
    fn export(&self) -> Result<OwnedFd>;
    /// Itself, for other APIs, if it is Vulkan's.
    fn timeline(&self) -> Option<&Timeline>;
}

/// What to wait for before a frame's memory is used, or what to signal when it is written.
#[derive(Clone)]
pub struct Ready {
    /// None: nothing to wait for.
    pub semaphore: Option<Arc<dyn Semaphore>>,
    pub value: u64,
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ready({})", self.value)
    }
}

/// Longest single wait, between looks at whether the peer lives.
const SLICE_NS: u64 = 10_000_000;
/// Values of two frames that follow each other lie closer together: what every driver allows at least.
const STEP_MAX: u64 = (1 << 31) - 1;
/// A producer's end waits so long for GPU work on frames that it sent.
const END_NS: u64 = 1_000_000_000;

/// The producer's side: hands out the values that its GPU work is to signal.
pub struct Signals {
    semaphore: Arc<dyn Semaphore>,
    /// Consumers have it, too: back end *timeline*.
    shared: bool,
    handed: AtomicU64,
    sent: AtomicU64,
    /// Work was waited for once: whoever drops the last reference, maybe the service thread, does not wait again.
    ended: AtomicBool,
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signals({})", self.name())
    }
}

impl Signals {
    /// `semaphore` has the value 0.
    pub fn new(semaphore: Arc<dyn Semaphore>, shared: bool) -> Self {
        Self {
            semaphore,
            shared,
            handed: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }
    }

    pub fn is_shared(&self) -> bool {
        self.shared
    }

    pub fn name(&self) -> &'static str {
        if self.shared { "timeline" } else { "host" }
    }

    /// What the work on a loan has to signal. Values rise in the order of these calls.
    pub fn next(&self) -> Ready {
        let value = self.handed.fetch_add(1, Ordering::Relaxed) + 1;
        Ready { semaphore: Some(Arc::clone(&self.semaphore)), value }
    }

    /// A frame with this value is published.
    pub fn note_sent(&self, value: u64) {
        self.sent.fetch_max(value, Ordering::Relaxed);
    }

    /// Waits on the host until the work with this value is done.
    pub fn wait(&self, value: u64, deadline: Deadline) -> Hot<()> {
        wait(&*self.semaphore, value, deadline, || false)
    }

    pub fn export(&self) -> Result<OwnedFd> {
        self.semaphore.export()
    }

    /// The channel ends: work on frames that were sent gets a limited time to finish. False: it goes on.
    pub fn finish(&self) -> bool {
        let sent = self.sent.load(Ordering::Relaxed);
        let patience = if self.ended.swap(true, Ordering::Relaxed) { 0 } else { END_NS };
        sent == 0 || self.wait(sent, Deadline::after(patience)) != Err(LAVA_TIMED_OUT)
    }
}

impl Drop for Signals {
    /// Work that is under way signals the semaphore, which must exist until then.
    fn drop(&mut self) {
        if !self.finish() {
            std::mem::forget(Arc::clone(&self.semaphore));
        }
    }
}

/// The consumer's side of back end *timeline*.
pub struct Watch {
    semaphore: Arc<dyn Semaphore>,
    /// Highest value that a frame was announced with.
    highest: AtomicU64,
    /// The producer is gone.
    lost: AtomicBool,
    /// What its work had reached when its process was found dead; `u64::MAX` before.
    reached: AtomicU64,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Watch({})", self.highest.load(Ordering::Relaxed))
    }
}

impl Watch {
    pub fn new(semaphore: Arc<dyn Semaphore>) -> Self {
        Self {
            semaphore,
            highest: AtomicU64::new(0),
            lost: AtomicBool::new(false),
            reached: AtomicU64::new(u64::MAX),
        }
    }

    /// A frame came that is ready at `value`. Called by the consumer's thread.
    pub fn announce(&self, value: u64) -> Hot<()> {
        let before = self.highest.load(Ordering::Relaxed);
        if value > before {
            if value - before > STEP_MAX {
                return Err(LAVA_ERROR_PROTOCOL);
            }
            self.highest.store(value, Ordering::Release);
        }
        if self.reached.load(Ordering::Acquire) != u64::MAX {
            self.release();
        }
        Ok(())
    }

    pub fn ready(&self, value: u64) -> Ready {
        if value == 0 {
            return Ready { semaphore: None, value: 0 };
        }
        Ready { semaphore: Some(Arc::clone(&self.semaphore)), value }
    }

    /// Waits on the host. `LAVA_ERROR_PEER_LOST`: the producer went before its work was done.
    pub fn wait(&self, value: u64, timeout_ns: u64) -> Hot<()> {
        if value == 0 {
            return Ok(());
        }
        let alive = || self.reached.load(Ordering::Acquire) == u64::MAX;
        if alive() {
            let given_up = || !alive();
            match wait(&*self.semaphore, value, Deadline::after(timeout_ns), given_up) {
                Err(LAVA_ERROR_PEER_LOST) => {}
                // The survivor's signal may be what ended the wait.
                Ok(()) if !alive() => {}
                other => {
                    let lost = other == Err(LAVA_TIMED_OUT) && self.lost.load(Ordering::Acquire);
                    let status = if timeout_ns == 0 { LAVA_WOULD_BLOCK } else { LAVA_TIMED_OUT };
                    return match other {
                        Err(LAVA_TIMED_OUT) => {
                            Err(if lost { LAVA_ERROR_PEER_LOST } else { status })
                        }
                        other => other,
                    };
                }
            }
        }
        if value <= self.reached.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(LAVA_ERROR_PEER_LOST)
        }
    }

    /// The producer hung up. Its process may live, and its work go on.
    pub fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// The producer's process is dead: nothing that waits for it may wait for ever.
    pub fn release(&self) {
        self.lost.store(true, Ordering::Release);
        let Ok(now) = self.semaphore.value() else { return };
        let before = u64::MAX;
        let _ = self.reached.compare_exchange(before, now, Ordering::AcqRel, Ordering::Acquire);
        let highest = self.highest.load(Ordering::Acquire);
        if highest > now {
            let _ = self.semaphore.signal(highest);
        }
    }
}

/// Waits in slices, and stops when `given_up` says so (`LAVA_ERROR_PEER_LOST`).
fn wait(
    semaphore: &dyn Semaphore,
    value: u64,
    deadline: Deadline,
    given_up: impl Fn() -> bool,
) -> Hot<()> {
    loop {
        let slice = deadline.left_ns().min(SLICE_NS);
        match semaphore.wait(value, slice) {
            Ok(true) => return Ok(()),
            Ok(false) if given_up() => return Err(LAVA_ERROR_PEER_LOST),
            Ok(false) if deadline.passed() => return Err(LAVA_TIMED_OUT),
            Ok(false) => {}
            Err(_) => return Err(LAVA_ERROR_DEVICE),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use std::sync::{Condvar, Mutex};
    use std::time::Duration;

    use super::*;
    use crate::error::Error;

    /// A semaphore without a GPU.
    #[derive(Debug, Default)]
    pub(in crate::transport) struct Fake {
        value: Mutex<u64>,
        changed: Condvar,
    }

    impl Semaphore for Fake {
        fn value(&self) -> Result<u64> {
            Ok(*self.value.lock().unwrap())
        }

        fn wait(&self, value: u64, timeout_ns: u64) -> Result<bool> {
            let timeout = Duration::from_nanos(timeout_ns);
            let now = self.value.lock().unwrap();
            let waited = self.changed.wait_timeout_while(now, timeout, |now| *now < value);
            Ok(*waited.unwrap().0 >= value)
        }

        fn signal(&self, value: u64) -> Result<()> {
            let mut now = self.value.lock().unwrap();
            assert!(value > *now, "{value} does not rise above {now}");
            *now = value;
            self.changed.notify_all();
            Ok(())
        }

        fn raw(&self) -> u64 {
            7
        }

        fn export(&self) -> Result<OwnedFd> {
            Err(Error::new(LAVA_ERROR_UNSUPPORTED, "a fake"))
        }

        fn timeline(&self) -> Option<&Timeline> {
            None
        }
    }

    fn watch() -> (Arc<Fake>, Watch) {
        let fake = Arc::<Fake>::default();
        (Arc::clone(&fake), Watch::new(fake))
    }

    const LONG: u64 = 20_000_000_000;

    #[test]
    fn a_frame_is_ready_when_its_value_is_reached() {
        let (fake, watch) = watch();
        watch.announce(3).unwrap();
        assert_eq!(watch.wait(0, 0), Ok(()));
        assert_eq!(
            (watch.wait(3, 0), watch.wait(3, 1)),
            (Err(LAVA_WOULD_BLOCK), Err(LAVA_TIMED_OUT))
        );
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(30));
                fake.signal(5).unwrap();
            });
            assert_eq!(watch.wait(3, LONG), Ok(()));
        });
        assert!(watch.ready(0).semaphore.is_none());
        assert_eq!((watch.ready(3).value, watch.ready(3).semaphore.unwrap().raw()), (3, 7));
    }

    #[test]
    fn the_survivor_signals_for_the_dead_and_knows_what_was_not_done() {
        let (fake, watch) = watch();
        watch.announce(2).unwrap();
        watch.announce(4).unwrap();
        fake.signal(2).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| watch.wait(4, LONG));
            std::thread::sleep(Duration::from_millis(20));
            watch.lose();
            assert!(!waiting.is_finished(), "work of a living process may still end");
            watch.release();
            assert_eq!(waiting.join().unwrap(), Err(LAVA_ERROR_PEER_LOST));
        });
        assert_eq!((watch.wait(2, 0), watch.wait(4, 0)), (Ok(()), Err(LAVA_ERROR_PEER_LOST)));
        assert_eq!(fake.value().unwrap(), 4, "a queue that waits goes on");
        // A frame that was published before, and received after the end.
        watch.announce(6).unwrap();
        assert_eq!((fake.value().unwrap(), watch.wait(6, LONG)), (6, Err(LAVA_ERROR_PEER_LOST)));
    }

    #[test]
    fn a_producer_that_left_unfinished_work_is_named_when_the_time_is_over() {
        let (_fake, watch) = watch();
        watch.announce(1).unwrap();
        watch.lose();
        assert_eq!(watch.wait(1, 1_000_000), Err(LAVA_ERROR_PEER_LOST));
    }

    #[test]
    fn values_that_no_driver_takes_break_the_protocol() {
        let (_fake, watch) = watch();
        assert_eq!(watch.announce(STEP_MAX), Ok(()));
        assert_eq!(watch.announce(1), Ok(()), "frames may come in another order than their work");
        assert_eq!(watch.announce(u64::MAX), Err(LAVA_ERROR_PROTOCOL));
        assert_eq!(watch.announce(2 * STEP_MAX), Ok(()));
    }

    #[test]
    fn values_rise_and_the_end_waits_for_what_was_sent() {
        let fake = Arc::<Fake>::default();
        let signals = Signals::new(Arc::clone(&fake) as Arc<dyn Semaphore>, false);
        assert_eq!((signals.next().value, signals.next().value, signals.name()), (1, 2, "host"));
        assert_eq!(signals.wait(1, Deadline::after(1)), Err(LAVA_TIMED_OUT));
        signals.note_sent(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(30));
                fake.signal(1).unwrap();
            });
            drop(signals);
            assert_eq!(fake.value().unwrap(), 1);
        });
        let never = Signals::new(Arc::clone(&fake) as Arc<dyn Semaphore>, true);
        never.note_sent(9);
        drop(never);
        assert_eq!(Arc::strong_count(&fake), 2, "kept for the work that is still to signal it");
        // SAFETY: the one that was kept, which nobody else gives back.
        unsafe { Arc::decrement_strong_count(Arc::as_ptr(&fake)) };
    }
}
