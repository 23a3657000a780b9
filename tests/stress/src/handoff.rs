//! Passes frames to another thread: made of atomics that the sanitizers see, which those inside the prebuilt standard
//! library are not.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use lava_sys::internals::transport::frame::{FrameCell, FrameRef};

#[derive(Default)]
pub struct Handoff {
    places: [AtomicPtr<FrameCell>; 4],
    ended: AtomicBool,
}

impl Handoff {
    /// Waits for a place.
    pub fn send(&self, frame: FrameRef) {
        let put = |place: &AtomicPtr<FrameCell>| {
            let order = (Ordering::Release, Ordering::Relaxed);
            place.compare_exchange(null_mut(), frame.as_ptr(), order.0, order.1).is_ok()
        };
        while !self.places.iter().any(put) {
            std::thread::yield_now();
        }
    }

    /// Nothing more will be sent.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Waits for a frame; None: the end.
    pub fn receive(&self) -> Option<*mut FrameCell> {
        loop {
            let ended = self.ended.load(Ordering::Acquire);
            let mut taken =
                self.places.iter().map(|place| place.swap(null_mut(), Ordering::Acquire));
            if let Some(cell) = taken.find(|cell| !cell.is_null()) {
                return Some(cell);
            }
            if ended {
                return None;
            }
            std::thread::yield_now();
        }
    }
}
