//! What a context has of its remote connections: the engine behind a lock, and who makes it go.
//!
//! A thread that sends or waits for a frame works for all remote connections of its context while it does so, because
//! a message that had to pass through another thread would take longer. What nobody else does, a thread of the library
//! does ([`super::thread`]). Where the application gave MPI to one thread only, that thread does it all.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError, Weak};
use std::thread::{JoinHandle, ThreadId};

use super::super::service::lock;
use super::super::shared::ChannelShared;
use super::engine::Engine;
pub use super::round::Wanted;
use super::thread;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::memory::MemoryContext;
use crate::os::clock::Deadline;
use crate::os::exit;
use crate::os::fork::ForkGuard;
use crate::os::futex::{self, Word};
use crate::scope::Location;
use crate::transport::mpi::job::Job;
use crate::transport::mpi::port::Port;
use crate::transport::mpi::settings::MpiSettings;
use crate::transport::mpi::start::Start;
use crate::types::*;

/// When the context ends: how long to go on although no consumer takes anything more.
const LINGER_NS: u64 = 5_000_000_000;

/// The longest sleep while MPI is to be left alone.
const PAUSE_NS: u64 = 60_000_000_000;

/// What the engine knows of its context.
pub struct Facts {
    pub log: Log,
    pub location: Location,
    pub memory: MemoryContext,
    pub fork: Arc<ForkGuard>,
    /// The context's channels, for those who look for them.
    pub channels: Mutex<Vec<Weak<ChannelShared>>>,
}

/// Who is asleep, seen by those who have work for it.
const AWAKE: u32 = 0;
/// A short sleep that nobody needs to end.
const RESTS: u32 = 1;
/// A sleep that work ends.
const SLEEPS: u32 = 2;

/// See the module. Any thread.
pub struct Remote {
    /// Of the process, not of one context.
    shared: bool,
    start: Arc<Start>,
    facts: Arc<Facts>,
    engine: Mutex<Option<Engine>>,
    /// Any thread may call MPI.
    free: AtomicBool,
    /// MPI is the application's.
    attached: AtomicBool,
    /// The one thread that may, otherwise.
    only: OnceLock<ThreadId>,
    /// Why there is no job, although one was wanted.
    refusal: Mutex<Option<Error>>,
    begun: AtomicBool,
    ended: AtomicBool,
    /// Contexts that use it.
    members: AtomicU32,
    /// A producer could not get the lock: whoever has it looks again.
    called: AtomicBool,
    /// Counts rounds of threads that are not the library's.
    driven: AtomicU32,
    /// One of them went to sleep.
    handed: AtomicBool,
    state: AtomicU32,
    bell: AtomicU32,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Remote")
    }
}

/// The membership of this process, which all its contexts share: a process joins a job once, because all ranks must meet
/// for it. It stays until the process ends, as MPI does.
static SHARED: Mutex<Option<Arc<Remote>>> = Mutex::new(None);

impl Remote {
    /// For a context with these settings: that of the process, if it is in a job or can be.
    pub fn of(settings: MpiSettings, facts: Facts) -> Arc<Self> {
        let start = Start::new(settings);
        if !start.is_possible() {
            return Self::new(start, facts, false);
        }
        let mut shared = lock(&SHARED);
        if let Some(shared) = shared.as_ref().filter(|one| !one.facts.fork.is_child()) {
            let same = shared.start.settings() == start.settings();
            // With other settings it is refused when it begins, with that reason.
            if !same {
                return Self::new(start, facts, false);
            }
            shared.members.fetch_add(1, Ordering::AcqRel);
            shared.facts.log.join(facts.location.context, facts.log);
            shared.ring();
            return Arc::clone(shared);
        }
        // It outlives its contexts, and their logs may not be used after them.
        let log = Log::of_several();
        log.join(facts.location.context, facts.log);
        Arc::clone(shared.insert(Self::new(start, Facts { log, ..facts }, true)))
    }

    fn new(start: Start, facts: Facts, shared: bool) -> Arc<Self> {
        Arc::new(Self {
            shared,
            start: Arc::new(start),
            facts: Arc::new(facts),
            engine: Mutex::new(None),
            free: AtomicBool::new(false),
            attached: AtomicBool::new(false),
            only: OnceLock::new(),
            refusal: Mutex::new(None),
            begun: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            members: AtomicU32::new(1),
            called: AtomicBool::new(false),
            driven: AtomicU32::new(0),
            handed: AtomicBool::new(false),
            state: AtomicU32::new(AWAKE),
            bell: AtomicU32::new(0),
            thread: Mutex::new(None),
        })
    }

    pub fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// Whether channels of this context can reach other hosts, now or soon.
    pub fn is_wanted(&self) -> bool {
        self.start.is_wanted() || lock(&self.engine).is_some()
    }

    /// Why there is no job.
    pub fn refusal(&self) -> Option<Error> {
        lock(&self.refusal).clone()
    }

    /// Joins the job, in the background, if this process is in one. What goes wrong is in the log and in
    /// [`Self::refusal`]: local channels work all the same.
    pub fn begin(self: &Arc<Self>) {
        if self.start.is_wanted() {
            self.join();
        }
    }

    /// As [`Self::begin`], because somebody asked for the job.
    pub fn join(self: &Arc<Self>) {
        if self.begun.swap(true, Ordering::AcqRel) {
            return;
        }
        let begun =
            self.start.begin(&self.facts.location, &self.facts.log).and_then(|()| {
                match self.start.job(Deadline::after(0))? {
                    Some(job) if !job.own_threads() => {
                        let _ = self.only.set(std::thread::current().id());
                        self.open(&job)
                    }
                    _ => {
                        *lock(&self.thread) = Some(thread::start(Arc::clone(self))?);
                        Ok(())
                    }
                }
            });
        if let Err(error) = begun {
            self.refuse(error);
        }
    }

    pub(super) fn refuse(&self, error: Error) {
        self.facts.log.warn(|| format!("no channels to other hosts: {error}"));
        *lock(&self.refusal) = Some(error);
    }

    /// The membership of the job.
    pub fn start(&self) -> &Arc<Start> {
        &self.start
    }

    /// Makes the engine of a job that was joined.
    pub(super) fn open(self: &Arc<Self>, job: &Arc<Job>) -> Result<()> {
        let Some(port) = self.start.take_port() else {
            return Err(Error::new(LAVA_ERROR_INTERNAL, "the job's port is taken"));
        };
        self.open_with(port, job)
    }

    /// Begins with a port that a test made.
    #[cfg(test)]
    pub fn start_with(self: &Arc<Self>, port: Box<dyn Port>, job: &Arc<Job>) -> Result<()> {
        self.begun.store(true, Ordering::Release);
        self.open_with(port, job)?;
        *lock(&self.thread) = Some(thread::start_running(Arc::clone(self))?);
        Ok(())
    }

    fn open_with(self: &Arc<Self>, port: Box<dyn Port>, job: &Arc<Job>) -> Result<()> {
        let engine = Engine::new(port, Arc::clone(job), self)?;
        *lock(&self.engine) = Some(engine);
        self.attached.store(!job.info.initialised_by_lava, Ordering::Release);
        if job.info.initialised_by_lava {
            exit::expect();
        }
        self.free.store(job.own_threads(), Ordering::Release);
        Ok(())
    }

    /// A producer's channel can be found from now on.
    pub fn offer(&self, channel: &Arc<ChannelShared>) {
        let mut channels = lock(&self.facts.channels);
        channels.retain(|one| one.strong_count() > 0);
        channels.push(Arc::downgrade(channel));
    }

    /// It is found no more.
    pub fn withdraw(&self, channel: &Arc<ChannelShared>) {
        lock(&self.facts.channels).retain(|one| !std::ptr::eq(one.as_ptr(), Arc::as_ptr(channel)));
        self.ring();
    }

    /// Whether this thread may call MPI.
    fn may(&self) -> bool {
        (self.free.load(Ordering::Relaxed)
            || self.only.get().is_some_and(|only| *only == std::thread::current().id()))
            && !self.facts.fork.is_child()
    }

    /// The engine, if nobody else has it.
    fn try_engine(&self) -> Option<MutexGuard<'_, Option<Engine>>> {
        match self.engine.try_lock() {
            Ok(engine) => Some(engine),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Works for the remote connections, if nobody else does. True if something happened. For threads that wait.
    #[inline]
    pub fn drive(&self, wanted: Wanted) -> bool {
        if !self.may() {
            return false;
        }
        self.count_round();
        self.round(wanted)
    }

    /// Not atomic as a whole: a count that is lost among others matters to nobody.
    fn count_round(&self) {
        self.driven.store(self.driven.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// A thread that drove goes to sleep: the library's thread goes on at once.
    pub fn hand_over(&self) {
        self.handed.store(true, Ordering::Release);
        if self.state.load(Ordering::SeqCst) != AWAKE {
            self.ring();
        }
    }

    /// True once after [`Self::hand_over`].
    pub(super) fn was_handed(&self) -> bool {
        self.handed.load(Ordering::Relaxed) && self.handed.swap(false, Ordering::AcqRel)
    }

    /// See [`Engine::progress`].
    pub(super) fn round(&self, wanted: Wanted) -> bool {
        let Some(mut engine) = self.try_engine() else { return false };
        if self.pauses() {
            return false;
        }
        let called =
            self.called.load(Ordering::Relaxed) && self.called.swap(false, Ordering::AcqRel);
        engine.as_mut().is_some_and(|engine| {
            engine.resume();
            engine.progress(called, wanted)
        })
    }

    /// Works as [`Self::drive`] until something happened or the deadline passed. True: something happened. For a thread
    /// that the application gave MPI.
    pub fn progress(&self, deadline: Deadline) -> Result<bool> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        loop {
            if self.round(Wanted::All) {
                return Ok(true);
            }
            if deadline.passed() {
                return Ok(false);
            }
            std::thread::yield_now();
        }
    }

    /// Does something with the engine; None if there is none (yet).
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Engine) -> T) -> Option<T> {
        lock(&self.engine).as_mut().map(act)
    }

    /// A producer has published to a remote consumer: it is sent now, by this thread or whoever has the engine.
    pub(super) fn call(&self, key: u64) {
        if self.may()
            && let Some(mut engine) = self.try_engine()
        {
            self.count_round();
            let sending = engine.as_mut().is_some_and(|engine| engine.send_now(key));
            drop(engine);
            if sending && self.state.load(Ordering::Relaxed) == SLEEPS {
                self.ring();
            }
            return;
        }
        self.called.store(true, Ordering::Release);
        if self.state.load(Ordering::SeqCst) != AWAKE {
            self.ring();
        }
    }

    /// Wakes the library's thread.
    fn ring(&self) {
        self.bell.fetch_add(1, Ordering::AcqRel);
        futex::wake(&self.bell);
    }

    /// Rounds that other threads made since the last call with `since`, which is updated.
    pub(super) fn was_driven(&self, since: &mut u32) -> bool {
        let now = self.driven.load(Ordering::Relaxed);
        std::mem::replace(since, now) != now
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// The library's thread sleeps; `rests`: no work is to end it early.
    pub(super) fn sleep(&self, time_ns: u64, rests: bool) {
        let expected = self.bell.load(Ordering::Acquire);
        self.state.store(if rests { RESTS } else { SLEEPS }, Ordering::SeqCst);
        let work = self.called.load(Ordering::SeqCst) || self.handed.load(Ordering::SeqCst);
        if !self.has_ended() && !work {
            futex::wait_any(&[Word { word: &self.bell, expected }], Deadline::after(time_ns));
        }
        self.state.store(AWAKE, Ordering::Relaxed);
    }

    /// Whether MPI is to be left alone: it is the application's, which has no context left and may end MPI at any time.
    /// The last look is under the engine's lock.
    ///
    /// MPICH's `MPI_Finalize` takes other threads' locks for its own from its first line on, before it tells anybody
    /// (`isThreaded = 0` in `MPII_Finalize`, version 4.0.2), so no thread of lava may be inside of MPI then.
    fn pauses(&self) -> bool {
        self.members.load(Ordering::Acquire) == 0 && self.attached.load(Ordering::Relaxed)
    }

    /// The library's thread sleeps while [`Self::pauses`].
    pub(super) fn pause(&self) {
        let expected = self.bell.load(Ordering::Acquire);
        if self.pauses() && !self.has_ended() {
            futex::wait_any(&[Word { word: &self.bell, expected }], Deadline::after(PAUSE_NS));
        }
    }

    /// A context ends: what it sent goes out first, as long as somebody takes it.
    pub fn leave(&self, context: u64) {
        if !self.shared {
            return self.end();
        }
        if self.facts.fork.is_child() {
            return;
        }
        self.linger(context);
        self.facts.log.leave(context);
        if self.members.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Whoever is inside of MPI now comes out of it.
            let mut engine = lock(&self.engine);
            if self.pauses()
                && self.may()
                && let Some(engine) = engine.as_mut()
            {
                engine.suspend();
            }
        }
    }

    fn linger(&self, context: u64) {
        if !self.may() || lock(&self.engine).is_none() {
            return;
        }
        let state = || self.with(|engine| engine.rest_of(context)).unwrap_or_default();
        let (mut before, mut until) = (state(), Deadline::after(LINGER_NS));
        loop {
            let now = state();
            if now.is_none() || until.passed() {
                return;
            }
            if now != before {
                (before, until) = (now, Deadline::after(LINGER_NS));
            }
            self.drive(Wanted::All);
            std::thread::yield_now();
        }
    }

    fn end(&self) {
        if self.facts.fork.is_child() {
            // MPI is the parent's.
            std::mem::forget(lock(&self.engine).take());
            std::mem::forget(lock(&self.thread).take());
            return;
        }
        self.ended.store(true, Ordering::Release);
        self.ring();
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
        let Some(mut engine) = lock(&self.engine).take() else { return };
        if !self.may() {
            // The one thread that may call MPI is another: nothing is known to be done with, so nothing is freed.
            return std::mem::forget(engine);
        }
        let (mut moved, mut until) = (engine.moved(), Deadline::after(LINGER_NS));
        while !engine.wind_up() && !until.passed() {
            if engine.moved() != moved {
                (moved, until) = (engine.moved(), Deadline::after(LINGER_NS));
            }
            std::thread::yield_now();
        }
        engine.dissolve();
    }
}
