//! How a context joins its job: in the background, because all ranks must meet once and some come late.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::job::{Job, JobInfo, ThreadLevel};
use super::launcher::Launcher;
use super::library::{Cards, Facts, Library, failed, no_failure, place};
use super::plugin::PluginPort;
use super::port::Port;
use super::settings::{Choice, MpiSettings};
use super::table::{self, Join, Joined};
use crate::error::{Error, Result};
use crate::log::Log;
use crate::os::clock::Deadline;
use crate::os::signals;
use crate::scope::Location;
use crate::types::*;
use crate::wire;

/// A context's membership of a job: not begun, under way, there, or failed. Any thread.
#[derive(Debug)]
pub struct Start {
    settings: MpiSettings,
    launcher: Option<Launcher>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Meeting,
    Failed(Error),
    Joined(Arc<Job>, Option<Box<dyn Port>>),
    /// The context has ended.
    Left,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            Self::Idle => "not begun",
            Self::Meeting => "waiting for other ranks",
            Self::Failed(_) => "failed",
            Self::Joined(..) => "joined",
            Self::Left => "left",
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the thread that joins has come to; nothing if the context did not wait for it.
    fn set(&self, state: State) {
        let mut now = self.lock();
        // Given back without the lock: a port takes its time to end.
        let dropped =
            if matches!(*now, State::Left) { state } else { std::mem::replace(&mut *now, state) };
        drop(now);
        drop(dropped);
        self.changed.notify_all();
    }

    fn finish(&self, met: Result<(Job, PluginPort)>, log: &Log) -> Result<()> {
        match met {
            Ok((job, port)) => {
                log.info(|| {
                    let (rank, size, hosts) = (job.rank, job.ranks.len(), job.hosts());
                    format!("MPI: rank {rank} of {size} on {hosts} host(s), {}", job.info.library)
                });
                self.set(State::Joined(Arc::new(job), Some(Box::new(port))));
                Ok(())
            }
            Err(error) => {
                log.error(|| format!("MPI: {error}"));
                self.set(State::Failed(error.clone()));
                Err(error)
            }
        }
    }
}

impl Start {
    pub fn new(settings: MpiSettings) -> Self {
        let launcher = Launcher::detect(|name| std::env::var(name).ok());
        Self { settings, launcher, shared: Arc::default() }
    }

    pub fn settings(&self) -> &MpiSettings {
        &self.settings
    }

    /// Whether a channel end of this context joins the job by itself: a launcher started more than one rank, or the
    /// application gave a communicator, and MPI is not off. Looks at the environment only.
    pub fn is_wanted(&self) -> bool {
        let several = self.launcher.as_ref().is_some_and(Launcher::started_several);
        self.settings.choice != Choice::Off && (several || self.settings.communicator.is_some())
    }

    /// Whether a call that asks for the job joins it: it is wanted, or an MPI was named.
    pub fn is_possible(&self) -> bool {
        self.is_wanted() || !matches!(self.settings.choice, Choice::Off | Choice::Auto)
    }

    /// Begins to join the job, once; later calls do nothing. Loads the plug-in and looks at MPI's state; an error if
    /// there is none or it does not fit. Meeting the other ranks is left to a thread of its own, unless the application
    /// initialised MPI for one thread: then it is done here, and blocks until all ranks are there.
    pub fn begin(&self, here: &Location, log: &Log) -> Result<()> {
        let mut state = self.shared.lock();
        match &*state {
            State::Idle => {}
            State::Failed(error) => return Err(error.clone()),
            State::Meeting | State::Joined(..) | State::Left => return Ok(()),
        }
        let (library, facts) = match self.look() {
            Ok(found) => found,
            Err(error) => {
                *state = State::Failed(error.clone());
                return Err(error);
            }
        };
        *state = State::Meeting;
        drop(state);
        let meeting = Meeting {
            library,
            communicator: self.settings.communicator,
            launcher: self.launcher.clone(),
            here: here.clone(),
        };
        if facts.thread_level.is_some_and(|level| level < ThreadLevel::Multiple) && !facts.by_lava {
            return self.shared.finish(meeting.hold(), log);
        }
        let (shared, of_thread) = (Arc::clone(&self.shared), log.clone());
        let builder = std::thread::Builder::new().name("lava-mpi-start".into());
        let body = move || drop(shared.finish(meeting.hold(), &of_thread));
        if let Err(error) = signals::with_all_blocked(|| builder.spawn(body)) {
            let message =
                format!("starting the thread that joins the MPI job: {error}; raise ulimit -u");
            let error = Error::new(LAVA_ERROR_LIMIT, message);
            self.shared.set(State::Failed(error.clone()));
            return Err(error);
        }
        Ok(())
    }

    /// Loads the plug-in, and looks at what is there. MPI is not initialised by it.
    fn look(&self) -> Result<(Arc<Library>, Facts)> {
        if self.settings.choice == Choice::Off {
            return Err(Error::new(
                LAVA_ERROR_UNSUPPORTED,
                "MPI is off for this context (LAVA_MPI)",
            ));
        }
        let library = Library::find(&self.settings, self.launcher.as_ref())?;
        let facts = library.facts()?;
        if facts.is_finalised {
            let words = "MPI was finalised in this process, and cannot be started again; use lava before MPI_Finalize";
            return Err(Error::new(LAVA_ERROR_UNSUPPORTED, words));
        }
        if self.settings.communicator.is_some() && !facts.is_initialised {
            let words =
                "a communicator is given, but MPI is not initialised; call MPI_Init_thread before";
            return Err(Error::argument(words));
        }
        Ok((Arc::new(library), facts))
    }

    /// The job, once all ranks have met; None: not begun, or not met by the deadline. An error if joining it failed.
    pub fn job(&self, deadline: Deadline) -> Result<Option<Arc<Job>>> {
        let mut state = self.shared.lock();
        loop {
            match &*state {
                State::Joined(job, _) => return Ok(Some(Arc::clone(job))),
                State::Failed(error) => return Err(error.clone()),
                State::Idle | State::Left => return Ok(None),
                State::Meeting if deadline.passed() => return Ok(None),
                State::Meeting => {}
            }
            // In pieces, because a duration has a limit.
            let rest = Duration::from_nanos(deadline.left_ns().min(1_000_000_000));
            let woken = self.shared.changed.wait_timeout(state, rest);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The port of the job that [`Self::job`] gave; once, for the engine.
    pub fn take_port(&self) -> Option<Box<dyn Port>> {
        match &mut *self.shared.lock() {
            State::Joined(_, port) => port.take(),
            _ => None,
        }
    }

    /// What is known of MPI, without loading anything: for `describe`.
    pub fn to_json(&self) -> Value {
        let state = self.shared.lock();
        let mut told = json!({
            "choice": self.settings.choice.name(),
            "communicator": self.settings.communicator,
            "launcher": self.launcher.as_ref().map(|launcher| launcher.name),
            "launched_ranks": self.launcher.as_ref().and_then(|launcher| launcher.size),
            "state": state.name(),
        });
        match &*state {
            State::Failed(error) => told["reason"] = json!(error.message),
            State::Joined(job, _) => told["job"] = job.to_json(),
            State::Idle | State::Meeting | State::Left => {}
        }
        told
    }

    /// As [`Self::to_json`], with the library that would be used. Loads the plug-in; MPI is not initialised by it.
    pub fn look_to_json(&self) -> Value {
        let mut told = self.to_json();
        match self.look() {
            Ok((library, facts)) => {
                told["plugin"] = json!(library.path.display().to_string());
                told["library"] = json!(facts.library);
                told["standard"] = json!(facts.standard);
                told["initialised"] = json!(facts.is_initialised);
            }
            Err(error) if told["reason"].is_null() => told["reason"] = json!(error.message),
            Err(_) => {}
        }
        told
    }
}

impl Drop for Start {
    /// Another context may join the job after this, though the thread that joined may not have ended yet.
    fn drop(&mut self) {
        let left = std::mem::replace(&mut *self.shared.lock(), State::Left);
        drop(left);
    }
}

/// Bytes of what a rank tells of itself.
const CARD: usize = 512;
/// The beginning of a card.
const MAGIC: &[u8; 8] = b"lavampi1";

/// All ranks meet: initialise MPI if nobody has, make a communicator, tell each other where they are.
struct Meeting {
    library: Arc<Library>,
    communicator: Option<i64>,
    launcher: Option<Launcher>,
    here: Location,
}

impl Meeting {
    fn hold(self) -> Result<(Job, PluginPort)> {
        let mut failure = no_failure();
        // SAFETY: the failure is valid for writing.
        let code = unsafe { (self.library.table().initialise)(&raw mut failure) };
        if code != table::OK {
            return Err(failed(code, &failure));
        }
        let facts = self.library.facts()?;
        self.check_launcher(&facts)?;
        let level = facts.thread_level.unwrap_or(ThreadLevel::Single);
        if facts.by_lava && level < ThreadLevel::Serialized {
            return Err(Error::new(
                LAVA_ERROR_UNSUPPORTED,
                format!("{} gives threads no more than {}", facts.library, level.name()),
            ));
        }
        let mine = card(&self.here);
        let mut cards = Box::new(Cards { bytes: CARD, all: Vec::new() });
        let joined = match self.join(&mine, &mut cards) {
            Ok(joined) => joined,
            Err(error) => {
                // MPI may still use both.
                Box::leak(mine);
                Box::leak(cards);
                return Err(error);
            }
        };
        // SAFETY: from `join` just now.
        let port = unsafe { PluginPort::new(Arc::clone(&self.library), &joined) };
        let ranks = read_cards(&cards.all)?;
        let info = JobInfo {
            plugin: self.library.path.display().to_string(),
            library: facts.library,
            standard: facts.standard,
            thread_level: level,
            gpu_aware: port.gpu_aware(),
            launcher: self.launcher.map_or("none", |launcher| launcher.name).to_owned(),
            initialised_by_lava: facts.by_lava,
        };
        Ok((Job { rank: joined.rank, ranks, info }, port))
    }

    /// A launcher of another MPI starts processes that are each alone, and tells nobody.
    fn check_launcher(&self, facts: &Facts) -> Result<()> {
        let Some(launcher) = &self.launcher else { return Ok(()) };
        let Some(size) = launcher.size.filter(|size| *size > 1) else { return Ok(()) };
        if facts.world_size != 1 {
            return Ok(());
        }
        Err(Error::new(
            LAVA_ERROR_UNSUPPORTED,
            format!(
                "{} started {size} ranks, but {} finds this one alone: the launcher is of another MPI; start it with \
                 the mpirun of {}, or build the plug-in with the launcher's MPI",
                launcher.name,
                facts.library,
                facts.family.name()
            ),
        ))
    }

    fn join(&self, mine: &[u8], cards: &mut Cards) -> Result<Joined> {
        let options = Join {
            communicator: self.communicator.unwrap_or(0),
            has_communicator: self.communicator.is_some().into(),
            reserved: 0,
            mine: mine.as_ptr(),
            bytes: mine.len(),
            place,
            user: std::ptr::from_mut(cards).cast(),
        };
        // SAFETY: a struct of numbers and a pointer.
        let (mut joined, mut failure) = (unsafe { std::mem::zeroed::<Joined>() }, no_failure());
        // SAFETY: `mine` and `cards` live until the call returns, and for ever if it fails.
        let code = unsafe {
            (self.library.table().join)(&raw const options, &raw mut joined, &raw mut failure)
        };
        if code == table::OK { Ok(joined) } else { Err(failed(code, &failure)) }
    }
}

/// What this rank tells: magic, protocol version, length and text of its location.
fn card(here: &Location) -> Box<[u8]> {
    let text = here.to_string();
    let mut card = Vec::with_capacity(CARD);
    card.extend(MAGIC);
    card.extend(wire::VERSION.to_le_bytes());
    card.extend((text.len() as u32).to_le_bytes());
    card.extend(text.bytes());
    card.resize(CARD, 0);
    card.into_boxed_slice()
}

/// The location of each rank, with its number.
fn read_cards(all: &[u8]) -> Result<Vec<Location>> {
    all.chunks_exact(CARD)
        .enumerate()
        .map(|(rank, card)| {
            let mut location =
                read_card(card).map_err(|error| error.context(format!("MPI: rank {rank}")))?;
            location.rank = i32::try_from(rank).unwrap_or(i32::MAX);
            Ok(location)
        })
        .collect()
}

fn read_card(card: &[u8]) -> Result<Location> {
    let version = card.strip_prefix(MAGIC).and_then(|rest| rest.split_first_chunk());
    let Some((version, rest)) = version.map(|(bytes, rest)| (u16::from_le_bytes(*bytes), rest))
    else {
        return Err(Error::new(LAVA_ERROR_PROTOCOL, "runs another version of lava"));
    };
    if version != wire::VERSION {
        return Err(Error::new(
            LAVA_ERROR_PROTOCOL,
            format!(
                "speaks version {version} of lava's protocol, this rank {}; use the same lava on all ranks",
                wire::VERSION
            ),
        ));
    }
    let text = rest.split_first_chunk().and_then(|(length, rest)| {
        let text = rest.get(..u32::from_le_bytes(*length) as usize)?;
        std::str::from_utf8(text).ok()
    });
    Location::parse(text.ok_or_else(|| Error::new(LAVA_ERROR_PROTOCOL, "told no location"))?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn cards_tell_locations_and_refuse_what_is_none() {
        let here = Location::current(1, 2, 3);
        let mut all = card(&here).to_vec();
        all.extend(card(&here));
        let read = read_cards(&all).unwrap();
        assert_eq!((read.len(), read[0].rank, read[1].rank), (2, 0, 1));
        assert_eq!((&read[1].host, read[1].context), (&here.host, 3));
        for (at, words) in
            [(0, "another version"), (8, "speaks version"), (11, "no location"), (14, "rank 0")]
        {
            let mut wrong = all.clone();
            wrong[at] ^= 0xff;
            let error = read_cards(&wrong).unwrap_err();
            assert!(error.message.contains(words), "{at}: {error}");
        }
    }

    /// As if nothing had started this process.
    fn alone(settings: MpiSettings) -> Start {
        Start { settings, launcher: None, shared: Arc::default() }
    }

    #[test]
    fn without_a_launcher_nothing_begins() {
        let start = alone(MpiSettings::default());
        assert!(!start.is_wanted() && !start.is_possible());
        assert!(start.job(Deadline::after(0)).unwrap().is_none() && start.take_port().is_none());
        let named = MpiSettings { choice: Choice::Mpich, ..MpiSettings::default() };
        assert!(alone(named).is_possible());
        let off =
            MpiSettings { choice: Choice::Off, communicator: Some(0), ..MpiSettings::default() };
        let start = Start::new(off);
        let error = start.begin(&Location::current(0, 0, 1), &Log::none()).unwrap_err();
        assert!(!start.is_wanted() && error.message.contains("LAVA_MPI"), "{error}");
    }
}
