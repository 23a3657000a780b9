//! The receiving thread, and the threads that give its frames back.

use std::sync::Arc;
use std::thread::JoinHandle;

use lava_sys::internals::transport::descriptor::{self, Origin, Payload, Words};
use lava_sys::internals::transport::frame::{FrameCell, FrameRef};
use lava_sys::internals::transport::ring::alarm::Sleeper;
use lava_sys::internals::transport::ring::descriptors::{Popped, Reader};
use lava_sys::internals::transport::slab::{Frames, Side};
use lava_sys::internals::transport::{Released, Returns, Transport};

use crate::handoff::Handoff;
use crate::memory::{Connection, SLOT_SIZE, WayBack, sleep};

const RELEASERS: u64 = 2;

pub struct Consumer {
    connection: Arc<Connection>,
    reader: Reader,
    back: Arc<WayBack>,
    frames: Frames,
    sleeper: Sleeper,
    releasers: Vec<(Arc<Handoff>, JoinHandle<()>)>,
    next: u64,
    pub received: u64,
    drops: bool,
}

/// Reads the payload with plain loads, then gives the frame back. `extra`: the seeded fault, words beyond the end.
///
/// # Safety
/// This thread alone holds the frame.
unsafe fn check_and_release(cell: *mut FrameCell, extra: usize) {
    // SAFETY: the caller's promise.
    let frame = unsafe { FrameRef::from_raw(cell) }.expect("a frame");
    let (words, number) = (frame.cell().data().cast::<u64>(), frame.cell().info().sequence);
    for index in 0..SLOT_SIZE / 8 + extra {
        // SAFETY: within the frame, which is held; beyond it only in the run that shows that this is found.
        let word = unsafe { words.add(index).read() };
        assert!(word == number || index >= SLOT_SIZE / 8, "word {index} of frame {number}: {word}");
    }
    // SAFETY: the caller's promise.
    unsafe { FrameCell::release(cell) }.expect("a live frame");
}

impl Consumer {
    pub fn new(connection: &Arc<Connection>, drops: bool, overrun: bool) -> Self {
        let back = Arc::new(WayBack::new(connection));
        let side = Side::Consumer {
            transport: Transport::Shm,
            pool: Arc::clone(&connection.pool),
            returns: Arc::clone(&back) as Arc<dyn Returns>,
            keep: Arc::new(()),
            device: None,
        };
        // The last slot's end is the pool's.
        let extra = if overrun { SLOT_SIZE * crate::memory::SLOTS as usize / 8 } else { 0 };
        let releasers = (0..RELEASERS)
            .map(|_| {
                let handoff = Arc::<Handoff>::default();
                let frames = Arc::clone(&handoff);
                let work = move || {
                    while let Some(cell) = frames.receive() {
                        // SAFETY: each is handed to one thread.
                        unsafe { check_and_release(cell, extra) };
                    }
                };
                (handoff, std::thread::spawn(work))
            })
            .collect();
        Self {
            connection: Arc::clone(connection),
            reader: Reader::new(connection.regions(), drops),
            back,
            frames: Frames::new(side, 4),
            sleeper: Sleeper::default(),
            releasers,
            next: 0,
            received: 0,
            drops,
        }
    }

    /// Receives until the close.
    pub fn run(mut self) -> u64 {
        while self.receive() {}
        drop(self.frames);
        for (handoff, thread) in self.releasers {
            handoff.end();
            thread.join().expect("no panic");
        }
        self.received
    }

    /// Waits for a frame and takes it. False: the end.
    fn receive(&mut self) -> bool {
        for turn in 0.. {
            let closed = self.reader.closed();
            if self.take() {
                return true;
            }
            if closed {
                return false;
            }
            if turn > 20 {
                let connection = Arc::clone(&self.connection);
                let (alarm, word) = connection.consumer_side();
                let expected = self.sleeper.set(alarm, word);
                let found = self.take();
                if !found && !self.reader.closed() {
                    sleep(word, expected);
                }
                self.sleeper.clear(alarm);
                if found {
                    return true;
                }
            }
        }
        false
    }

    fn take(&mut self) -> bool {
        let mut words = Words::default();
        let popped = self.reader.pop(&mut words).expect("no lie");
        self.reader.announce(0);
        self.back.wake_producer();
        match popped {
            Popped::Frame { position } => self.accept(&words, position),
            Popped::TakenBack { slot, position } => {
                self.back.release(&[Released { slot, position }]);
            }
            Popped::Empty => return false,
        }
        true
    }

    fn accept(&mut self, words: &Words, position: u64) {
        let decoded = descriptor::decode(words).expect("a descriptor");
        let number = decoded.origin.sequence;
        assert!(
            number == self.next || self.drops && number > self.next,
            "{number} came, {} was next",
            self.next
        );
        self.next = number + 1;
        self.received += 1;
        match decoded.payload {
            Payload::Inline { words, size } => assert_eq!((words[0], size), (number, 8)),
            Payload::Packed { .. } => panic!("{decoded:?}"),
            Payload::Elsewhere(place) => {
                let mut frame = self.frames.take(|_| ());
                let data = self.connection.slot(place.slot).cast();
                let origin = Origin { sequence: number, ..Origin::default() };
                frame.cell_mut().start_slot(place.slot, position, data, place.size, origin);
                let choice = number / 2 % (RELEASERS + 1);
                match self.releasers.get(choice as usize) {
                    Some((handoff, _)) => handoff.send(frame),
                    // SAFETY: nobody else got it.
                    None => unsafe { check_and_release(frame.as_ptr(), 0) },
                }
            }
        }
    }
}
