//! The service thread of a context: it accepts, shakes hands, watches for deaths. One for each context, started with
//! its first channel; it sleeps in epoll and costs nothing when nothing happens.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::error::{Error, Result};
use crate::log::Log;
use crate::os::clock::Deadline;
use crate::os::epoll::{Epoll, Notifier};
use crate::os::signals;
use crate::types::LAVA_ERROR_LIMIT;

/// Something that the service thread watches.
pub trait Source: Send {
    /// The descriptor to watch. It must stay the same.
    fn fd(&self) -> BorrowedFd<'_>;

    /// The descriptor is readable, or hung up.
    fn ready(&mut self, turn: &mut Turn<'_>) -> Next;

    /// When [`Self::expired`] is to be called, if nothing happens before.
    fn deadline(&self) -> Deadline {
        Deadline::NEVER
    }

    fn expired(&mut self, _turn: &mut Turn<'_>) -> Next {
        Next::Remove
    }
}

/// What becomes of a source after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Keep,
    /// Stop watching the descriptor until the source's deadline.
    Pause,
    Remove,
}

/// What a source may do in its turn.
pub struct Turn<'a> {
    pub log: &'a Log,
    added: Vec<(u64, Box<dyn Source>)>,
    removed: Vec<u64>,
    tokens: &'a AtomicU64,
}

impl Turn<'_> {
    /// Watches another source from now on. Gives the number to remove it by.
    pub fn add(&mut self, source: Box<dyn Source>) -> u64 {
        let token = self.tokens.fetch_add(1, Ordering::Relaxed);
        self.added.push((token, source));
        token
    }

    /// Stops watching another source.
    pub fn remove(&mut self, token: u64) {
        self.removed.push(token);
    }
}

enum Command {
    Add(u64, Box<dyn Source>),
    Remove(u64),
    Stop,
}

/// What the thread and its users share.
struct Shared {
    notifier: Notifier,
    epoll: Epoll,
    commands: Mutex<Vec<Command>>,
    tokens: AtomicU64,
}

/// The running thread. Stops and joins when dropped.
pub struct Service {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Service")
    }
}

/// The number that the notifier has in epoll; sources begin above it.
const NOTIFIER: u64 = 0;

impl Service {
    pub fn start(log: Log) -> Result<Self> {
        let shared = Arc::new(Shared {
            notifier: Notifier::new()?,
            epoll: Epoll::new()?,
            commands: Mutex::new(Vec::new()),
            tokens: AtomicU64::new(NOTIFIER + 1),
        });
        shared.epoll.add(std::os::fd::AsFd::as_fd(&shared.notifier), NOTIFIER)?;
        let of_thread = Arc::clone(&shared);
        let builder =
            std::thread::Builder::new().name("lava-service".into()).stack_size(256 * 1024);
        let body = move || Loop { shared: of_thread, log, sources: HashMap::new() }.run();
        let thread = signals::with_all_blocked(|| builder.spawn(body)).map_err(|error| {
            Error::new(
                LAVA_ERROR_LIMIT,
                format!("starting the service thread: {error}; raise ulimit -u"),
            )
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Watches a source. Gives the number to remove it by; an error if the kernel cannot watch one more.
    pub fn add(&self, source: Box<dyn Source>) -> Result<u64> {
        let token = self.shared.tokens.fetch_add(1, Ordering::Relaxed);
        {
            // Under the lock: a source that is ready at once would keep the thread looking for what it does not have yet.
            let mut commands = lock(&self.shared.commands);
            self.shared.epoll.add(source.fd(), token)?;
            commands.push(Command::Add(token, source));
        }
        self.shared.notifier.set();
        Ok(token)
    }

    /// Stops watching; the source is dropped by the service thread soon after.
    pub fn remove(&self, token: u64) {
        self.send(Command::Remove(token));
    }

    fn send(&self, command: Command) {
        lock(&self.shared.commands).push(command);
        self.shared.notifier.set();
    }

    /// Forgets the thread, which does not exist in a forked child.
    pub fn abandon(&mut self) {
        self.thread = None;
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.send(Command::Stop);
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

/// Locks a mutex whose holders cannot leave it broken.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Entry {
    source: Box<dyn Source>,
    paused: bool,
    /// When to try again to watch a source that could not be watched after its pause.
    again: Deadline,
}

impl Entry {
    fn new(source: Box<dyn Source>) -> Self {
        Self { source, paused: false, again: Deadline::NEVER }
    }

    fn deadline(&self) -> Deadline {
        if self.again == Deadline::NEVER { self.source.deadline() } else { self.again }
    }
}

/// Rest before another try to watch a source.
const AGAIN_NS: u64 = 50_000_000;

struct Loop {
    shared: Arc<Shared>,
    log: Log,
    sources: HashMap<u64, Entry>,
}

impl Loop {
    fn run(mut self) {
        let mut ready = Vec::new();
        loop {
            let next = self.sources.values().map(Entry::deadline).min();
            if let Err(error) = self.shared.epoll.wait(&mut ready, next.unwrap_or(Deadline::NEVER))
            {
                self.log.error(|| format!("service thread: {error}"));
                return;
            }
            for token in &ready {
                if *token == NOTIFIER {
                    self.shared.notifier.clear();
                } else {
                    self.turn(*token, |source, turn| source.ready(turn));
                }
            }
            if self.obey() {
                return;
            }
            let late: Vec<u64> = self
                .sources
                .iter()
                .filter(|(_, entry)| entry.deadline().passed())
                .map(|(token, _)| *token)
                .collect();
            for token in late {
                if self.resume(token) {
                    self.turn(token, |source, turn| source.expired(turn));
                }
            }
        }
    }

    /// Carries out what other threads asked for. True: stop.
    fn obey(&mut self) -> bool {
        let commands = std::mem::take(&mut *lock(&self.shared.commands));
        for command in commands {
            match command {
                Command::Add(token, source) => {
                    self.sources.insert(token, Entry::new(source));
                }
                Command::Remove(token) => self.remove(token),
                Command::Stop => return true,
            }
        }
        false
    }

    /// A source of this thread's own making. One that cannot be watched is given up, which hangs up on its peer.
    fn insert(&mut self, token: u64, source: Box<dyn Source>) {
        match self.shared.epoll.add(source.fd(), token) {
            Ok(()) => drop(self.sources.insert(token, Entry::new(source))),
            Err(error) => self.log.error(|| format!("service thread: {error}")),
        }
    }

    fn remove(&mut self, token: u64) {
        if let Some(entry) = self.sources.remove(&token)
            && !entry.paused
        {
            self.shared.epoll.remove(entry.source.fd());
        }
    }

    /// Watches a paused source again. False: the kernel cannot, and it stays paused a while longer.
    fn resume(&mut self, token: u64) -> bool {
        let Some(entry) = self.sources.get_mut(&token) else { return false };
        if !entry.paused {
            return true;
        }
        if let Err(error) = self.shared.epoll.add(entry.source.fd(), token) {
            self.log.error(|| format!("service thread: {error}"));
            entry.again = Deadline::after(AGAIN_NS);
            return false;
        }
        (entry.paused, entry.again) = (false, Deadline::NEVER);
        true
    }

    fn turn(&mut self, token: u64, act: impl FnOnce(&mut dyn Source, &mut Turn<'_>) -> Next) {
        let Some(entry) = self.sources.get_mut(&token) else { return };
        let mut turn = Turn {
            log: &self.log,
            added: Vec::new(),
            removed: Vec::new(),
            tokens: &self.shared.tokens,
        };
        let next = act(&mut *entry.source, &mut turn);
        let (added, removed) = (turn.added, turn.removed);
        match next {
            Next::Keep => {}
            Next::Pause => {
                entry.paused = true;
                self.shared.epoll.remove(entry.source.fd());
            }
            Next::Remove => self.remove(token),
        }
        for (token, source) in added {
            self.insert(token, source);
        }
        for token in removed {
            self.remove(token);
        }
    }
}
