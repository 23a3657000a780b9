//! Sleeping and waking across processes, where each word has one writer.
//!
//! A *sleeper* reads the peer's wake word, sets its alarm, a number in its own region, then looks for work once more, then
//! sleeps while the wake word stays as it was. A *waker* does its work, then looks at the alarm; if it is set and new, it
//! changes its wake word and makes the system call. A full fence on both sides, between the store and the load,
//! guarantees that at least one of the two sees the other (Dekker). The alarm's number is new each time, so that a waker
//! calls once per sleep.
//!
//! A fence makes the waker wait until its store has reached the caches, which is most of what a message costs. Where both
//! processes are registered for it ([`Fences::Asymmetric`]), the sleeper instead makes one system call that is a fence on
//! every processor (`os::membarrier`), and the waker needs only keep its compiler from reordering. Sleeping is rare and
//! costs a system call anyway.

use crate::sync::{AtomicU32, AtomicU64, Ordering, full_fence};

/// Who pays for the order between the two stores and the two loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fences {
    /// Each side has a full fence.
    Symmetric,
    /// The sleeper calls `os::membarrier::barrier` between setting its alarm and looking for work.
    Asymmetric,
}

/// The sleeping half of one alarm word. Two independent numbers share the word, so that a waker looks at one word:
/// the low half for the futex, the high half for an event descriptor.
#[derive(Debug, Default)]
pub struct Sleeper {
    next: u32,
    value: u64,
}

impl Sleeper {
    fn number(&mut self) -> u64 {
        self.next = if self.next == u32::MAX { 1 } else { self.next + 1 };
        u64::from(self.next)
    }

    fn publish(&mut self, alarm: &AtomicU64, value: u64) {
        self.value = value;
        alarm.store(value, Ordering::Relaxed);
        full_fence();
    }

    /// Sets the futex half. Look for work after this, then sleep while the wake word has the value that this gives.
    ///
    /// The value is taken before the alarm is set: a waker calls once per alarm, so a call between the two must end
    /// the sleep, or the work that follows it would wake nobody.
    pub fn set(&mut self, alarm: &AtomicU64, wake: &AtomicU32) -> u32 {
        let expected = wake.load(Ordering::Acquire);
        let number = self.number();
        self.publish(alarm, self.value >> 32 << 32 | number);
        expected
    }

    /// Clears the futex half. No fence: a late wake-up is harmless.
    pub fn clear(&mut self, alarm: &AtomicU64) {
        self.value = self.value >> 32 << 32;
        alarm.store(self.value, Ordering::Relaxed);
    }

    /// Arms the event half. Look for work after this.
    pub fn arm_event(&mut self, alarm: &AtomicU64) {
        let number = self.number();
        self.publish(alarm, number << 32 | self.value & u64::from(u32::MAX));
    }
}

/// What a waker has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    pub futex: bool,
    pub event: bool,
}

/// Looks whether the peer sleeps, after work was published. `seen` is the alarm as this waker saw it last.
///
/// Several threads may share `seen`: at worst two of them wake the same sleeper.
#[inline(always)]
pub fn look(alarm: &AtomicU64, seen: &AtomicU64, fences: Fences) -> Option<Wake> {
    match fences {
        Fences::Symmetric => full_fence(),
        Fences::Asymmetric => {
            std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst)
        }
    }
    let now = alarm.load(Ordering::Relaxed);
    let before = seen.load(Ordering::Relaxed);
    if now == before {
        return None;
    }
    Some(changed(now, before, seen))
}

#[cold]
fn changed(now: u64, before: u64, seen: &AtomicU64) -> Wake {
    seen.store(now, Ordering::Relaxed);
    let is_new = |now: u64, before: u64| now != 0 && now != before;
    Wake {
        futex: is_new(now & u64::from(u32::MAX), before & u64::from(u32::MAX)),
        event: is_new(now >> 32, before >> 32),
    }
}

/// Changes the wake word, so that a sleeper that is about to sleep does not. The system call comes after it.
pub fn bump(wake: &AtomicU32) {
    wake.fetch_add(1, Ordering::Release);
}
