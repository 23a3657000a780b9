//! Two threads for long transfers from and to the caller's memory: one thread's copying is slower than the bus.

use std::num::NonZero;
use std::thread;

use crate::error::{Error, Result};
use crate::types::LAVA_ERROR_INTERNAL;

/// From this size on, starting a thread (some 50 µs) is less than a hundredth of what it saves.
const LONG: usize = 32 << 20;

/// With fewer processors, the second thread would take one from the application.
const PROCESSORS: usize = 4;

/// Where the second half begins; None: one thread does all.
fn middle(size: usize) -> Option<usize> {
    let processors = || thread::available_parallelism().map_or(1, NonZero::get);
    (size >= LONG && processors() >= PROCESSORS).then(|| (size / 2).next_multiple_of(4096))
}

/// An address that another thread may use.
#[derive(Clone, Copy)]
struct Far(*mut u8);

// SAFETY: an address; whoever uses it promises that it is valid on that thread.
unsafe impl Sync for Far {}

impl Far {
    fn address(self) -> *mut u8 {
        self.0
    }
}

/// Calls `transfer` with (offset, address, size) for all of the host's bytes: at once, or in halves on two threads.
pub(super) fn in_halves(
    start: *mut u8,
    size: usize,
    transfer: impl Fn(u64, *mut u8, usize) -> Result<()> + Sync,
) -> Result<()> {
    match middle(size) {
        Some(middle) => at_once(start, size, middle, transfer),
        None => transfer(0, start, size),
    }
}

fn at_once(
    start: *mut u8,
    size: usize,
    middle: usize,
    transfer: impl Fn(u64, *mut u8, usize) -> Result<()> + Sync,
) -> Result<()> {
    // Within the caller's range, which has `size` bytes.
    let far = Far(start.wrapping_add(middle));
    let second = || transfer(middle as u64, far.address(), size - middle);
    let work = &second;
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("lava-transfer".into()).spawn_scoped(scope, work);
        let first = transfer(0, start, middle);
        let second = match thread {
            Ok(thread) => thread.join().unwrap_or_else(|_| {
                Err(Error::new(LAVA_ERROR_INTERNAL, "a transfer's second thread panicked"))
            }),
            Err(_) => work(),
        };
        first.and(second)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn halves_are_all_of_it_and_an_error_of_either_is_the_transfers() {
        let mut bytes = vec![0_u8; 10_000];
        at_once(bytes.as_mut_ptr(), bytes.len(), 4096, |offset, at, size| {
            // SAFETY: a part of the vector; the parts do not overlap.
            unsafe { at.write_bytes(if offset == 0 { 1 } else { 2 }, size) };
            Ok(())
        })
        .unwrap();
        assert!(bytes[..4096].iter().all(|byte| *byte == 1));
        assert!(bytes[4096..].iter().all(|byte| *byte == 2));
        for bad in [0, 4096] {
            let calls = AtomicUsize::new(0);
            let outcome = at_once(bytes.as_mut_ptr(), bytes.len(), 4096, |offset, _, _| {
                calls.fetch_add(1, Ordering::Relaxed);
                if offset == bad { Err(Error::argument("bad")) } else { Ok(()) }
            });
            assert_eq!((outcome.is_err(), calls.into_inner()), (true, 2));
        }
    }

    #[test]
    fn short_transfers_have_one_thread_and_long_ones_two_whole_halves() {
        assert_eq!(middle(LONG - 1), None);
        for size in [LONG, LONG + 1, 5 * LONG + 4095] {
            let Some(middle) = middle(size) else {
                println!("skipped: fewer than {PROCESSORS} processors");
                return;
            };
            assert!(middle.is_multiple_of(4096) && middle >= size / 2 && middle < size);
        }
    }
}
