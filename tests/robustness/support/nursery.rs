//! Victims: processes that are made to be killed, quickly and in great number.
//!
//! A nursery is an actor with one thread that has touched nothing of lava. It forks a victim for each byte that it is
//! sent, so that a victim costs a fork and not the start of a program.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::place::Place;

/// What a victim tells of itself; memory that outlives it.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Frames whose sending or checking has begun, and those for which it has ended.
    pub(crate) begun: AtomicU64,
    pub(crate) done: AtomicU64,
    /// Not 0: the victim found something wrong, and said what on standard error.
    pub(crate) failed: AtomicU64,
}

/// The progress of `rounds` victims, shared between a scene and its nursery through a file.
pub(crate) struct Log {
    first: *const Progress,
    rounds: usize,
}

// SAFETY: shared memory that is accessed through atomics only, mapped until the process ends.
unsafe impl Send for Log {}
// SAFETY: as above.
unsafe impl Sync for Log {}

impl Log {
    fn open(place: &Place, rounds: usize) -> Self {
        let path = place.root().join("progress");
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.expect("a file");
        let size = rounds * size_of::<Progress>();
        file.set_len(size as u64).expect("room");
        // SAFETY: a new mapping of a file of this size; fresh bytes are zero, which every field may be.
        let start = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), size, access, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        assert_ne!(start, libc::MAP_FAILED);
        Self { first: start.cast(), rounds }
    }

    pub(crate) fn of(&self, round: usize) -> &Progress {
        assert!(round < self.rounds);
        // SAFETY: within the mapping.
        unsafe { &*self.first.add(round) }
    }
}

/// For the nursery: the role's whole life. `live` is what each victim does.
pub(crate) fn serve(place: &Place, live: fn(&Place, &Progress)) {
    let rounds: usize = std::env::var(ROUNDS).expect("rounds").parse().expect("a number");
    let log = Log::open(place, rounds);
    // SAFETY: the kernel reaps the victims.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let mut order = [0];
    for round in 0.. {
        // Unbuffered: a victim must not inherit half of what was read.
        if std::io::stdin().lock().read(&mut order).expect("a pipe") == 0 {
            return;
        }
        // SAFETY: this process has one thread.
        let victim = unsafe { libc::fork() };
        if victim == 0 {
            be_victim(place, log.of(round), live);
        }
        assert!(victim > 0, "{}", std::io::Error::last_os_error());
        std::io::stdout().write_all(&victim.to_ne_bytes()).expect("a pipe");
        std::io::stdout().flush().expect("a pipe");
    }
}

fn be_victim(place: &Place, progress: &Progress, live: fn(&Place, &Progress)) -> ! {
    // SAFETY: no pointers; a victim whose nursery dies must not stay.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| live(place, progress)));
    if lived.is_err() {
        progress.failed.store(1, Ordering::SeqCst);
    }
    // SAFETY: ends this process at once; what it has is the kernel's to free.
    unsafe { libc::_exit(0) }
}

const ROUNDS: &str = "ROBUSTNESS_ROUNDS";

/// For the scene: a running nursery.
pub(crate) struct Nursery {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    pub(crate) log: Log,
    round: usize,
}

/// A victim that was born.
pub(crate) struct Victim {
    pub(crate) process: u32,
    pub(crate) round: usize,
    handle: OwnedFd,
}

/// When a victim was killed, and when it was dead: a process that does not get a processor dies late.
#[derive(Clone, Copy)]
pub(crate) struct Killed {
    pub(crate) at: Instant,
    pub(crate) dead: Instant,
}

impl Nursery {
    /// `role` calls [`serve`]; at most `rounds` victims will be born.
    pub(crate) fn start(place: &Place, role: &str, rounds: usize) -> Self {
        let log = Log::open(place, rounds);
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        place.put_into(&mut command);
        command.env("ROBUSTNESS_ROLE", role).env(ROUNDS, rounds.to_string());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a nursery");
        let (input, output) = (child.stdin.take(), child.stdout.take());
        Self {
            child,
            input: input.expect("a pipe"),
            output: output.expect("a pipe"),
            log,
            round: 0,
        }
    }

    pub(crate) fn bear(&mut self) -> Victim {
        self.input.write_all(&[1]).expect("the nursery lives");
        let mut process = [0; 4];
        self.output.read_exact(&mut process).expect("the nursery lives");
        let process = i32::from_ne_bytes(process);
        let round = self.round;
        self.round += 1;
        let pid = Pid::from_raw(process).expect("a process");
        let handle = pidfd_open(pid, PidfdFlags::empty()).expect("the victim lives");
        Victim { process: process as u32, round, handle }
    }

    pub(crate) fn progress(&self, victim: &Victim) -> &Progress {
        self.log.of(victim.round)
    }

    /// Ends it; no victim found anything wrong.
    pub(crate) fn end(self) -> Log {
        let Self { mut child, input, output, log, round } = self;
        drop((input, output));
        assert!(child.wait().expect("a child").success(), "the nursery failed");
        for round in 0..round {
            assert_eq!(log.of(round).failed.load(Ordering::SeqCst), 0, "victim {round} complained");
        }
        log
    }
}

impl Victim {
    /// SIGKILL. Gives the moment before it, and the one at which the victim was seen to be dead.
    pub(crate) fn kill(&self) -> Killed {
        let at = Instant::now();
        pidfd_send_signal(&self.handle, Signal::KILL).expect("the victim lived");
        let dead = poll(&mut [PollFd::new(&self.handle, PollFlags::IN)], None).expect("a pidfd");
        assert_eq!(dead, 1);
        Killed { at, dead: Instant::now() }
    }
}
