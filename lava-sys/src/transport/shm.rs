//! Transport `shm`: both ends map the same pages; a frame costs one cache line each way.
//!
//! Two regions, each a memfd with one writer: the producer's (header, descriptor ring) and the consumer's (header,
//! release ring). The owner maps its region read-write, seals it, then sends it; the other end checks seals and size
//! and maps it read-only.

use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::descriptor::{Descriptor, Words};
use super::event::EventSlot;
use super::ring::alarm::{self, Fences, Sleeper};
use super::ring::descriptors::{Dropped, Popped, Reader, Regions, Writer};
use super::ring::releases;
use super::{Inlet, Outlet, Released, Returns};
use crate::error::{Hot, Result};
use crate::os::fork::ForkGuard;
use crate::os::futex;
use crate::os::mapping::{Access, Mapping};
use crate::os::{membarrier, memfd};
use crate::sync::AtomicU32;
use crate::wire::{
    ConsumerHeader, Line, ProducerHeader, Release, consumer_region_size, descriptor_region_size,
};

/// A region that this process owns: mapped, sealed, ready to be sent.
#[derive(Debug)]
pub struct OwnRegion {
    mapping: Mapping,
    fd: OwnedFd,
}

impl OwnRegion {
    /// Makes a region of `size` zero bytes.
    pub fn new(name: &str, size: usize) -> Result<Self> {
        let fd = memfd::create(name, size as u64, memfd::PageKind::Small)?;
        let mapping = Mapping::shared(fd.as_fd(), size, Access::ReadWrite)?;
        memfd::seal_single_writer(fd.as_fd())?;
        Ok(Self { mapping, fd })
    }

    /// The descriptor to send to the other end.
    pub fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Keeps the memory and closes the descriptor.
    pub fn into_mapping(self) -> Mapping {
        self.mapping
    }

    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}

/// Checks a region that the peer sent and maps it read-only.
pub fn map_peer_region(fd: &OwnedFd, size: usize) -> Result<Mapping> {
    memfd::verify(fd.as_fd(), size as u64, true)?;
    Mapping::shared(fd.as_fd(), size, Access::ReadOnly)
}

fn regions(producer: &Mapping, consumer: &Mapping, queue_length: u32) -> Regions {
    debug_assert!(producer.size() >= descriptor_region_size(queue_length));
    debug_assert!(consumer.size() >= size_of::<ConsumerHeader>());
    let header: NonNull<ProducerHeader> = producer.start().cast();
    // SAFETY: the lines follow the header within the mapping, whose size is checked above.
    let lines: NonNull<Line> = unsafe { header.add(1) }.cast();
    Regions { producer: header, lines, consumer: consumer.start().cast(), queue_length }
}

fn release_entries(consumer: &Mapping, release_length: u32) -> NonNull<Release> {
    debug_assert!(consumer.size() >= consumer_region_size(release_length));
    let header: NonNull<ConsumerHeader> = consumer.start().cast();
    // SAFETY: the entries follow the header within the mapping, whose size is checked above.
    unsafe { header.add(1) }.cast()
}

/// The producer's end.
#[derive(Debug)]
pub struct ShmOutlet {
    writer: Writer,
    releases: releases::Reader,
    sleeper: Sleeper,
    seen: AtomicU64,
    fences: Fences,
    event: Arc<EventSlot>,
    wakes: u64,
    // Keep the memory behind the pointers above.
    _own: Mapping,
    _peer: Arc<Mapping>,
}

/// How far a consumer has read, for others than the producer's thread. As the peer wrote it, not checked.
#[derive(Debug)]
pub struct ConsumedProbe(Arc<Mapping>);

impl ConsumedProbe {
    /// `consumer_region` has at least a [`ConsumerHeader`].
    pub fn new(consumer_region: Arc<Mapping>) -> Self {
        debug_assert!(consumer_region.size() >= size_of::<ConsumerHeader>());
        Self(consumer_region)
    }

    pub fn consumed(&self) -> u64 {
        // SAFETY: the mapping begins with a header, which is all atomics.
        let header = unsafe { self.0.start().cast::<ConsumerHeader>().as_ref() };
        header.consumed.load(Ordering::Relaxed)
    }
}

impl ShmOutlet {
    /// `own` has [`descriptor_region_size`] bytes, `peer` [`consumer_region_size`].
    pub fn new(
        own: Mapping,
        peer: Arc<Mapping>,
        queue_length: u32,
        release_length: u32,
        fences: Fences,
        event: Arc<EventSlot>,
    ) -> Self {
        let regions = regions(&own, &peer, queue_length);
        Self {
            writer: Writer::new(regions),
            releases: releases::Reader::new(release_entries(&peer, release_length), release_length),
            sleeper: Sleeper::default(),
            seen: AtomicU64::new(0),
            fences,
            event,
            wakes: 0,
            _own: own,
            _peer: peer,
        }
    }

    /// As [`Outlet::push`], of words that another connection had.
    pub fn push_words(&mut self, words: &Words) -> u64 {
        self.writer.push_words(words)
    }

    /// How far the consumer has claimed, looked up afresh.
    pub fn consumed(&mut self) -> Hot<u64> {
        self.writer.refresh()
    }

    #[cold]
    #[inline(never)]
    fn wake_up(&mut self, wake: alarm::Wake) {
        if wake.futex {
            let word = &self.writer.regions().producer().wake;
            alarm::bump(word);
            futex::wake(word);
            self.wakes += 1;
        }
        if wake.event && self.event.signal() {
            self.wakes += 1;
        }
    }
}

impl Outlet for ShmOutlet {
    #[inline(always)]
    fn room(&mut self, wanted: u64) -> Hot<u64> {
        self.writer.room(wanted)
    }

    #[inline(always)]
    fn prepare(&self) {
        self.writer.prepare();
    }

    #[inline(always)]
    fn has_room(&self) -> bool {
        self.writer.has_room()
    }

    #[inline(always)]
    fn push(&mut self, descriptor: &Descriptor<'_>) -> u64 {
        self.writer.push(descriptor)
    }

    #[inline(always)]
    fn wake(&mut self) {
        let alarm = &self.writer.regions().consumer().alarm;
        if let Some(wake) = alarm::look(alarm, &self.seen, self.fences) {
            self.wake_up(wake);
        }
    }

    #[inline(always)]
    fn released(&mut self) -> Option<Released> {
        self.releases.pop().map(|(slot, position)| Released { slot, position })
    }

    fn drop_oldest(&mut self) -> Hot<Dropped> {
        self.writer.drop_oldest()
    }

    fn queued(&mut self) -> u64 {
        let _ = self.writer.refresh();
        self.writer.queued()
    }

    fn published_slot(&self, position: u64) -> Option<u32> {
        self.writer.published_slot(position)
    }

    fn next(&self) -> u64 {
        self.writer.next()
    }

    fn set_alarm(&mut self) -> u32 {
        let regions = self.writer.regions();
        self.sleeper.set(&regions.producer().alarm, &regions.consumer().wake)
    }

    fn clear_alarm(&mut self) {
        self.sleeper.clear(&self.writer.regions().producer().alarm);
    }

    fn wake_word(&self) -> Option<&AtomicU32> {
        Some(&self.writer.regions().consumer().wake)
    }

    fn close(&mut self) {
        self.writer.close();
        let regions = *self.writer.regions();
        alarm::bump(&regions.producer().wake);
        futex::wake(&regions.producer().wake);
        self.event.signal();
    }

    fn needs_barrier(&self) -> bool {
        self.fences == Fences::Asymmetric
    }

    fn wakes(&self) -> u64 {
        self.wakes
    }
}

/// What the consumer's end and its frames share: the memory, and the way back.
#[derive(Debug)]
pub struct ShmLink {
    regions: Regions,
    releases: releases::Writer,
    seen: AtomicU64,
    fences: Fences,
    wakes: AtomicU64,
    fork: Arc<ForkGuard>,
    // Keep the memory behind the pointers above.
    _own: Mapping,
    _peer: Mapping,
}

impl ShmLink {
    /// `own` has [`consumer_region_size`] bytes, `peer` [`descriptor_region_size`].
    pub fn new(
        own: Mapping,
        peer: Mapping,
        queue_length: u32,
        release_length: u32,
        fences: Fences,
        fork: Arc<ForkGuard>,
    ) -> Arc<Self> {
        let regions = regions(&peer, &own, queue_length);
        Arc::new(Self {
            regions,
            releases: releases::Writer::new(release_entries(&own, release_length), release_length),
            seen: AtomicU64::new(0),
            fences,
            wakes: AtomicU64::new(0),
            fork,
            _own: own,
            _peer: peer,
        })
    }

    #[inline(always)]
    fn wake(&self) {
        if let Some(wake) = alarm::look(&self.regions.producer().alarm, &self.seen, self.fences)
            && wake.futex
        {
            self.wake_up();
        }
    }

    /// After an alarm was set, before looking for work.
    fn fence(&self) {
        if self.fences == Fences::Asymmetric {
            membarrier::barrier();
        }
    }

    #[cold]
    #[inline(never)]
    fn wake_up(&self) {
        let word = &self.regions.consumer().wake;
        alarm::bump(word);
        futex::wake(word);
        self.wakes.fetch_add(1, Ordering::Relaxed);
    }

    /// True if the producer said that nothing more will come.
    pub fn is_closed(&self) -> bool {
        self.regions.producer().closed.load(Ordering::Acquire) != 0
    }

    /// The word on which the consumer's thread sleeps; for the service thread, which wakes it when the peer is lost.
    pub fn consumer_sleeps_on(&self) -> &AtomicU32 {
        &self.regions.producer().wake
    }
}

impl Returns for ShmLink {
    #[inline]
    fn release(&self, released: &[Released]) {
        // A forked child has the frame's handle, not the frame: the parent still reads it.
        if self.fork.is_child() {
            return;
        }
        let first = self.releases.reserve(released.len() as u64);
        for (number, one) in (first..).zip(released) {
            self.releases.fill(number, one.slot, one.position);
        }
        self.wake();
    }

    fn wakes(&self) -> u64 {
        self.wakes.load(Ordering::Relaxed)
    }
}

/// The consumer's end.
#[derive(Debug)]
pub struct ShmInlet {
    reader: Reader,
    sleeper: Sleeper,
    link: Arc<ShmLink>,
}

impl ShmInlet {
    /// `may_drop`: the channel's policy is drop-oldest.
    pub fn new(link: Arc<ShmLink>, may_drop: bool) -> Self {
        Self { reader: Reader::new(link.regions, may_drop), sleeper: Sleeper::default(), link }
    }
}

impl Inlet for ShmInlet {
    #[inline(always)]
    fn pop(&mut self, words: &mut Words) -> Hot<Popped> {
        self.reader.pop(words)
    }

    #[inline(always)]
    fn ready(&self) -> bool {
        self.reader.ready()
    }

    fn consumed(&self) -> u64 {
        self.reader.consumed()
    }

    fn queued(&self) -> u64 {
        self.reader.queued()
    }

    #[inline(always)]
    fn wake(&self, kept: u64) {
        self.reader.announce(kept);
        self.link.wake();
    }

    fn closed(&self) -> bool {
        self.reader.closed()
    }

    fn set_alarm(&mut self) -> u32 {
        let regions = &self.link.regions;
        let expected = self.sleeper.set(&regions.consumer().alarm, &regions.producer().wake);
        self.link.fence();
        expected
    }

    fn clear_alarm(&mut self) {
        self.sleeper.clear(&self.link.regions.consumer().alarm);
    }

    fn arm_event(&mut self) {
        self.sleeper.arm_event(&self.link.regions.consumer().alarm);
        self.link.fence();
    }

    fn wake_word(&self) -> &AtomicU32 {
        &self.link.regions.producer().wake
    }
}
