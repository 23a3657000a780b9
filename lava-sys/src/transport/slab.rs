//! Where frame cells come from: made once, handed out by one thread, given back by any.
//!
//! Who frees the slab: while its [`Frames`] (the handing-out side) lives, it does, and a release only pushes its cell;
//! who pushed is counted when the cells are collected. When `Frames` ends it closes the list. Frames that are still
//! held then are counted down in `balance`: whoever brings it to zero, the closer or the last release, frees the slab. So
//! a release costs one locked instruction, and a frame may outlive its consumer.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::deferred::Deferred;
use super::frame::{FrameCell, FrameRef};
use super::ready::{Signals, Watch};
use super::{Returns, Transport};
use crate::memory::Buffer;

/// What the owner of a slab's frames is.
pub enum Side {
    Producer {
        pool: Arc<Buffer>,
        /// Of a pool of GPU memory.
        signals: Option<Arc<Signals>>,
    },
    Consumer {
        transport: Transport,
        pool: Arc<Buffer>,
        returns: Arc<dyn Returns>,
        /// What must stay as long as a frame is held (the connection's socket).
        keep: Arc<dyn std::any::Any + Send + Sync>,
        /// Of a connection whose frames come from a GPU.
        device: Option<DeviceEnd>,
    },
}

/// What a consumer has for frames that come from a GPU.
pub struct DeviceEnd {
    /// None: frames are ready when they come.
    pub watch: Option<Arc<Watch>>,
    pub deferred: Arc<Deferred>,
}

impl Side {
    pub(super) fn transport(&self) -> u32 {
        match self {
            Self::Producer { .. } => 0,
            Self::Consumer { transport, .. } => transport.number(),
        }
    }

    pub(super) fn pool(&self) -> &Arc<Buffer> {
        match self {
            Self::Producer { pool, .. } | Self::Consumer { pool, .. } => pool,
        }
    }
}

impl std::fmt::Debug for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Producer { .. } => f.write_str("Producer"),
            Self::Consumer { keep, .. } => write!(f, "Consumer({})", Arc::strong_count(keep)),
        }
    }
}

/// The cells and their way back.
#[derive(Debug)]
pub struct Slab {
    pub(super) side: Side,
    /// Cells that were given back, linked through `next`. Any thread pushes; only [`Frames`] takes, all at once, so a
    /// compare-and-swap never meets a cell that went away and came back.
    returned: AtomicPtr<FrameCell>,
    balance: AtomicI64,
    /// Owns the cells; touched when they are made and when the slab ends.
    chunks: Mutex<Vec<Chunk>>,
}

/// Cells made together.
#[derive(Debug)]
struct Chunk(NonNull<FrameCell>, usize);

// SAFETY: owned memory; the cells in it are handed out under the rules of this module.
unsafe impl Send for Chunk {}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: made from a boxed slice of this length in `grow`; no frame of it is held any more.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.0.as_ptr(), self.1)) });
    }
}

impl Slab {
    /// Takes back a chain of `count` ended frames, from `first` to `last`. Frees a closed slab with its last frame.
    ///
    /// # Safety
    /// `slab` was made by [`Frames::new`] and is not used after this. The cells are of it, linked through `next`, were held until
    /// now, and nobody else knows them.
    #[inline(always)]
    pub(super) unsafe fn give_back(
        slab: *const Self,
        first: *mut FrameCell,
        last: *mut FrameCell,
        count: i64,
    ) {
        // SAFETY: alive, because these frames are held until the exchange succeeds.
        let returned = unsafe { &(*slab).returned };
        let mut head = returned.load(Ordering::Relaxed);
        while head != CLOSED {
            // SAFETY: `last` is ours until the exchange succeeds.
            unsafe { (*last).next = head };
            match returned.compare_exchange_weak(head, first, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
        // SAFETY: as the caller promised.
        unsafe { Self::settle(slab, count) };
    }

    /// Counts frames of a closed slab down.
    ///
    /// # Safety
    /// As [`Self::give_back`].
    #[cold]
    unsafe fn settle(slab: *const Self, count: i64) {
        // SAFETY: alive, because these frames are held until the subtraction.
        let before = unsafe { (*slab).balance.fetch_sub(count, Ordering::AcqRel) };
        if before == count {
            // SAFETY: `Frames` ended and left the slab, which came from a box, to the last release, which this is.
            drop(unsafe { Box::from_raw(slab.cast_mut()) });
        }
    }
}

/// The head of `returned` when [`Frames`] has ended: no cell has this address, which is not aligned.
const CLOSED: *mut FrameCell = std::ptr::without_provenance_mut(1);

/// The handing-out side of a slab; one thread at a time.
#[derive(Debug)]
pub struct Frames {
    /// From a box; valid as long as this value lives.
    slab: NonNull<Slab>,
    /// Free cells, linked through `next`.
    local: *mut FrameCell,
    made: usize,
}

// SAFETY: the local list belongs to this value alone, whichever thread has it; `Slab` is `Sync` and `Send`.
unsafe impl Send for Frames {}

impl Frames {
    /// Makes `count` cells to begin with; more are made when more are held.
    pub fn new(side: Side, count: usize) -> Self {
        let slab = Slab {
            side,
            returned: AtomicPtr::new(std::ptr::null_mut()),
            balance: AtomicI64::new(0),
            chunks: Mutex::new(Vec::new()),
        };
        let slab = NonNull::from(Box::leak(Box::new(slab)));
        let mut frames = Self { slab, local: std::ptr::null_mut(), made: 0 };
        frames.grow(count.max(1));
        frames
    }

    #[inline(always)]
    pub fn slab(&self) -> &Slab {
        // SAFETY: freed by this value's end at the earliest; others only share it.
        unsafe { self.slab.as_ref() }
    }

    #[cold]
    fn grow(&mut self, count: usize) {
        let owner = self.slab.as_ptr().cast_const();
        let cells: Box<[FrameCell]> = (0..count).map(|_| FrameCell::free(owner)).collect();
        let first = NonNull::from(Box::leak(cells)).cast::<FrameCell>();
        for index in 0..count {
            // SAFETY: within the slice that was just made, which only this thread knows.
            unsafe { self.push_local(first.add(index).as_ptr()) };
        }
        self.made += count;
        self.slab().chunks.lock().unwrap_or_else(PoisonError::into_inner).push(Chunk(first, count));
    }

    /// # Safety
    /// `cell` is a free cell of this slab that nobody else knows.
    #[inline(always)]
    unsafe fn push_local(&mut self, cell: *mut FrameCell) {
        // SAFETY: the caller's promise.
        unsafe { (*cell).next = self.local };
        self.local = cell;
    }

    /// Takes in what was given back. Calls `slot_of_loan` with the slot of each loan that was released unsent.
    pub fn collect(&mut self, mut slot_of_loan: impl FnMut(u32)) {
        if self.slab().returned.load(Ordering::Relaxed).is_null() {
            return;
        }
        let returned = self.slab().returned.swap(std::ptr::null_mut(), Ordering::Acquire);
        if let Side::Producer { .. } = self.slab().side {
            // SAFETY: the chain was published by `give_back` and is ours alone now.
            for cell in unsafe { chain(returned) } {
                // SAFETY: as above.
                if let Some(slot) = unsafe { (*cell).slot() } {
                    slot_of_loan(slot);
                }
            }
        }
        if !self.local.is_null() {
            // SAFETY: as above.
            if let Some(last) = unsafe { chain(returned) }.last() {
                // SAFETY: as above.
                unsafe { (*last).next = self.local };
            }
        }
        self.local = returned;
    }

    /// A free cell, which counts as held from now on. Its owner must have called [`Self::collect`] when this side has
    /// slots to take back.
    #[inline(always)]
    pub fn take(&mut self, slot_of_loan: impl FnMut(u32)) -> FrameRef {
        if self.local.is_null() {
            self.refill(slot_of_loan);
        }
        // `refill` leaves none without a cell.
        let cell = NonNull::new(self.local).unwrap_or(NonNull::dangling());
        // SAFETY: the head of the local list is a free cell of ours.
        self.local = unsafe { cell.as_ref() }.next;
        FrameRef::new(cell)
    }

    #[cold]
    #[inline(never)]
    fn refill(&mut self, slot_of_loan: impl FnMut(u32)) {
        self.collect(slot_of_loan);
        if self.local.is_null() {
            self.grow(self.made);
        }
    }

    /// Frames that are held, those included that were given back since the last [`Self::collect`]. It counts the others.
    pub fn held(&self) -> u64 {
        // SAFETY: the local list is this value's alone.
        (self.made - unsafe { chain(self.local) }.count()) as u64
    }

    /// Takes a frame back on the handing-out thread: a loan that was sent.
    #[inline(always)]
    pub fn put_back(&mut self, mut frame: FrameRef) {
        let _ = frame.cell_mut().end();
        // SAFETY: the frame ended, and is of this slab (its caller checked).
        unsafe { self.push_local(frame.as_ptr()) };
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        let returned = self.slab().returned.swap(CLOSED, Ordering::AcqRel);
        // SAFETY: the chain was published by `give_back` and is ours alone now.
        let released = unsafe { chain(returned) }.count();
        let held = (self.held() as usize - released) as i64;
        let before = self.slab().balance.fetch_add(held, Ordering::AcqRel);
        if before + held == 0 {
            // SAFETY: no frame is held, so nobody else knows the slab, which came from a box.
            drop(unsafe { Box::from_raw(self.slab.as_ptr()) });
        }
    }
}

/// The cells of a list, which may be used and freed as they come.
///
/// # Safety
/// They are linked through `next`, and nobody else's.
unsafe fn chain(first: *mut FrameCell) -> impl Iterator<Item = *mut FrameCell> {
    let mut next = first;
    std::iter::from_fn(move || {
        let cell = NonNull::new(next)?;
        // SAFETY: as the caller promised.
        next = unsafe { cell.as_ref() }.next;
        Some(cell.as_ptr())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc;
    use std::sync::{Arc, Mutex, Weak};

    use proptest::prelude::*;

    use super::super::Released;
    use super::super::descriptor::Origin;
    use super::*;
    use crate::log::Log;
    use crate::memory::{Memory, MemoryContext, Request};
    use crate::types::*;

    static_assertions::assert_impl_all!(Slab: Send, Sync);

    /// Notes what is given back.
    #[derive(Debug, Default)]
    struct Notes(Mutex<Vec<Released>>);

    impl Returns for Notes {
        fn release(&self, released: &[Released]) {
            self.0.lock().unwrap().extend_from_slice(released);
        }

        fn wakes(&self) -> u64 {
            0
        }
    }

    fn buffer() -> Arc<Buffer> {
        let request = Request {
            memory: Memory::Standard,
            size: 4096,
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

    /// A consumer's slab; the weak pointer ends with it.
    struct World {
        frames: Option<Frames>,
        notes: Arc<Notes>,
        alive: Weak<()>,
        pool: Arc<Buffer>,
        position: u64,
    }

    impl World {
        fn new(count: usize) -> Self {
            let (notes, keep, pool) = (Arc::<Notes>::default(), Arc::new(()), buffer());
            let alive = Arc::downgrade(&keep);
            let side = Side::Consumer {
                transport: Transport::Shm,
                pool: Arc::clone(&pool),
                returns: Arc::clone(&notes) as Arc<dyn Returns>,
                keep,
                device: None,
            };
            Self { frames: Some(Frames::new(side, count)), notes, alive, pool, position: 0 }
        }

        /// A received frame in the slot with its position's number.
        fn receive(&mut self) -> FrameRef {
            let mut frame = self.frames.as_mut().unwrap().take(|_| ());
            let data = self.pool.data().unwrap();
            frame.cell_mut().start_slot(
                self.position as u32,
                self.position,
                data,
                8,
                Origin::default(),
            );
            self.position += 1;
            frame
        }

        fn released(&self) -> Vec<u64> {
            let notes = self.notes.0.lock().unwrap();
            assert!(notes.iter().all(|one| u64::from(one.slot) == one.position));
            let mut positions: Vec<u64> = notes.iter().map(|one| one.position).collect();
            positions.sort_unstable();
            positions
        }

        fn held(&mut self) -> u64 {
            let frames = self.frames.as_mut().unwrap();
            frames.collect(|_| ());
            frames.held()
        }
    }

    fn release(frame: FrameRef) -> crate::error::Hot<()> {
        // SAFETY: the tests keep the slab alive whenever they release a frame twice.
        unsafe { FrameCell::release(frame.as_ptr()) }
    }

    fn release_many(frames: &[FrameRef]) -> crate::error::Hot<()> {
        let cells: Vec<_> = frames.iter().map(|frame| frame.as_ptr()).collect();
        // SAFETY: as above.
        unsafe { FrameCell::release_many(&cells) }
    }

    #[test]
    fn a_frame_outlives_its_owner_and_the_last_one_frees_it() {
        let mut world = World::new(1);
        let held: Vec<FrameRef> = (0..100).map(|_| world.receive()).collect();
        world.frames = None;
        for (index, frame) in held.iter().enumerate() {
            assert!(world.alive.upgrade().is_some(), "freed with {} frames held", 100 - index);
            assert_eq!(frame.cell().info().size, 8);
            release(*frame).unwrap();
        }
        assert!(world.alive.upgrade().is_none());
        assert_eq!(world.released(), (0..100).collect::<Vec<_>>());
        World::new(3).frames = None;
    }

    #[test]
    fn a_second_release_is_refused() {
        let mut world = World::new(2);
        let (first, second) = (world.receive(), world.receive());
        release(first).unwrap();
        assert_eq!(release(first), Err(LAVA_ERROR_INVALID_HANDLE));
        assert_eq!(release_many(&[first, second, second]), Err(LAVA_ERROR_INVALID_HANDLE));
        assert_eq!((world.released(), world.held()), (vec![0, 1], 0));
        // SAFETY: null is refused before it is used.
        let null = unsafe { FrameCell::release_many(&[std::ptr::null_mut()]) };
        assert_eq!(null, Err(LAVA_ERROR_INVALID_POINTER));
        world.frames = None;
        assert!(world.alive.upgrade().is_none());
    }

    #[test]
    fn threads_release_what_one_thread_takes() {
        const THREADS: u64 = 4;
        const EACH: u64 = 3000;
        let mut world = World::new(8);
        let alive = world.alive.clone();
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (sender, receiver) = mpsc::sync_channel::<FrameRef>(64);
                let work = move || {
                    while let Ok(frame) = receiver.recv() {
                        if thread % 2 == 0 {
                            release(frame).unwrap();
                        } else {
                            let more: Vec<_> = receiver.try_iter().collect();
                            release_many(&[&[frame], &more[..]].concat()).unwrap();
                        }
                    }
                };
                (sender, std::thread::spawn(work))
            })
            .collect();
        for turn in 0..EACH {
            for (sender, _) in &threads {
                sender.send(world.receive()).unwrap();
            }
            if turn == EACH - 1 {
                // The last frames are released after, while or before this.
                world.frames = None;
            }
        }
        for (sender, thread) in threads {
            drop(sender);
            thread.join().unwrap();
        }
        assert_eq!(world.released(), (0..THREADS * EACH).collect::<Vec<_>>());
        assert!(alive.upgrade().is_none());
    }

    #[test]
    fn a_registered_buffer_stays_until_its_frame_is_released() {
        let mut world = World::new(1);
        let registered = buffer();
        let weak = Arc::downgrade(&registered);
        let mut frame = world.frames.as_mut().unwrap().take(|_| ());
        let data = registered.data().unwrap();
        frame.cell_mut().start_slot(0, 0, data, 16, Origin::default());
        frame.cell_mut().set_registered(registered);
        assert_eq!(frame.cell().buffer().unwrap().1, 0);
        assert!(frame.cell().info().flags & LAVA_FRAME_BUFFER != 0 && weak.upgrade().is_some());
        release(frame).unwrap();
        assert!(weak.upgrade().is_none());
        // The cell serves again, for the pool.
        let again = world.receive();
        assert!(Arc::ptr_eq(&again.cell().buffer().unwrap().0, &world.pool));
        release(again).unwrap();
    }

    #[test]
    fn a_loan_that_is_released_unsent_gives_its_slot_back() {
        let pool = buffer();
        let data = pool.data().unwrap();
        let mut frames = Frames::new(Side::Producer { pool, signals: None }, 2);
        let mut loans: Vec<FrameRef> = (0..5)
            .map(|slot| {
                let mut frame = frames.take(|_| ());
                frame.cell_mut().start_loan(Some((slot, data)), 1, 64);
                frame
            })
            .collect();
        frames.put_back(loans.remove(2));
        release_many(&loans).unwrap();
        let mut slots = Vec::new();
        frames.collect(|slot| slots.push(slot));
        slots.sort_unstable();
        assert_eq!((slots, frames.held()), (vec![0, 1, 3, 4], 0));
        frames.collect(|slot| panic!("slot {slot} twice"));
    }

    proptest! {
        #[test]
        fn counts_follow_what_is_taken_and_released(steps in prop::collection::vec((0..4_u8, any::<usize>()), 0..120), close_at in 0..120_usize) {
            let mut world = World::new(1);
            let (mut held, mut released) = (Vec::new(), Vec::new());
            for (index, (step, choice)) in steps.into_iter().enumerate() {
                if index == close_at {
                    world.frames = None;
                }
                match step {
                    0 | 1 if world.frames.is_some() => held.push((world.position, world.receive())),
                    2 if !held.is_empty() => {
                        let (position, frame) = held.swap_remove(choice % held.len());
                        release(frame).unwrap();
                        released.push(position);
                    }
                    3 => {
                        let gone = held.split_off(held.len() - choice % (held.len() + 1));
                        release_many(&gone.iter().map(|(_, frame)| *frame).collect::<Vec<_>>()).unwrap();
                        released.extend(gone.iter().map(|(position, _)| *position));
                    }
                    _ => {}
                }
                if world.frames.is_some() {
                    prop_assert_eq!(world.held(), held.len() as u64);
                }
                prop_assert_eq!(world.alive.upgrade().is_some(), world.frames.is_some() || !held.is_empty());
            }
            released.sort_unstable();
            prop_assert_eq!(world.released(), released);
            world.frames = None;
            for (_, frame) in held {
                release(frame).unwrap();
            }
            prop_assert!(world.alive.upgrade().is_none());
        }
    }
}
