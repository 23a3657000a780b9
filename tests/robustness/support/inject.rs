//! Makes one system call fail, of a thread and of all that it starts: another thread is asked by the kernel before each
//! call, and answers one of them with an error instead of letting it go on. lava is as it is; nothing is put into it.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Skip, seccomp};

/// One failure: the error that one of the calls of a number gives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) number: i64,
    pub(crate) occurrence: usize,
    pub(crate) errno: i32,
}

/// What a run was like.
pub(crate) struct Run<T> {
    pub(crate) result: T,
    /// How often each system call was made.
    pub(crate) calls: BTreeMap<i64, usize>,
    /// The fault did happen.
    pub(crate) happened: bool,
}

/// Not asked about: what cannot fail, what the standard library makes for itself and ends the process for, and `close`,
/// which closes whatever it answers.
const LET_GO: &[i64] = &[
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_prctl,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_close,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_geteuid,
];

/// Longest run: one that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(15);
const IOCTL_RECEIVE: u64 = 0xc050_2100;
const IOCTL_SEND: u64 = 0xc018_2101;

/// Switches a fault off, for the part of a run that must succeed.
pub(crate) struct Switch(AtomicBool);

impl Switch {
    pub(crate) fn off(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Plays in a thread of its own, with at most one fault.
pub(crate) fn run<T: Send>(
    fault: Option<Fault>,
    play: impl FnOnce(&Switch) -> T + Send,
) -> Result<Run<T>, Skip> {
    let switch = Switch(AtomicBool::new(false));
    // Every call of the thread waits for an answer from then on, so the descriptor is handed over without one.
    let listener = AtomicI32::new(NOT_YET);
    std::thread::scope(|scope| {
        let player = scope.spawn(|| {
            let asked = seccomp::ask_about_all_but(LET_GO)
                .inspect_err(|_| listener.store(NEVER, Ordering::SeqCst))?;
            listener.store(asked.as_raw_fd(), Ordering::SeqCst);
            std::mem::forget(asked);
            Ok(play(&switch))
        });
        while listener.load(Ordering::SeqCst) == NOT_YET {
            std::thread::yield_now();
        }
        let raw = listener.load(Ordering::SeqCst);
        let (mut calls, mut happened) = (BTreeMap::new(), false);
        if raw != NEVER {
            // SAFETY: the other thread made it, and forgot it.
            let asked: OwnedFd = unsafe { std::os::fd::FromRawFd::from_raw_fd(raw) };
            happened = answer(&asked, fault, &switch, &mut calls);
        }
        let result = player.join().expect("no panic")?;
        Ok(Run { result, calls, happened })
    })
}

const NOT_YET: i32 = -1;
const NEVER: i32 = -2;

/// Answers until the last thread that asks has ended. Gives whether the fault happened.
fn answer(
    asked: &OwnedFd,
    fault: Option<Fault>,
    switch: &Switch,
    calls: &mut BTreeMap<i64, usize>,
) -> bool {
    let (start, mut happened) = (Instant::now(), false);
    loop {
        if start.elapsed() > LIMIT {
            // The thread that hangs is never joined.
            println!("hangs with {fault:?}");
            std::process::exit(1);
        }
        let mut waiting = [PollFd::new(asked, PollFlags::IN)];
        let pause = Timespec { tv_sec: 1, tv_nsec: 0 };
        poll(&mut waiting, Some(&pause)).expect("a listener");
        if waiting[0].revents().contains(PollFlags::HUP) {
            return happened;
        }
        if !waiting[0].revents().contains(PollFlags::IN) {
            continue;
        }
        // SAFETY: plain numbers; the kernel wants them to be zero.
        let mut question: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the structure that this request fills in.
        if unsafe { libc::ioctl(asked.as_raw_fd(), IOCTL_RECEIVE, &mut question) } != 0 {
            // The thread that asked has ended meanwhile.
            continue;
        }
        let number = i64::from(question.data.nr);
        let mut error = 0;
        if !is_of_the_allocator(&question.data) {
            let count = calls.entry(number).or_insert(0);
            *count += 1;
            if let Some(fault) = fault
                && (fault.number, fault.occurrence) == (number, *count)
                && !switch.0.load(Ordering::SeqCst)
            {
                (error, happened) = (-fault.errno, true);
            }
        }
        let flags = if error == 0 { libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32 } else { 0 };
        let mut reply = libc::seccomp_notif_resp { id: question.id, val: 0, error, flags };
        // SAFETY: the structure that this request reads.
        unsafe { libc::ioctl(asked.as_raw_fd(), IOCTL_SEND, &mut reply) };
    }
}

/// Memory for the allocator or a thread's stack, without which the standard library ends the process. lava's own private
/// mappings are of one page or of more than two million bytes.
fn is_of_the_allocator(call: &libc::seccomp_data) -> bool {
    let [_, size, _, flags, ..] = call.args;
    i64::from(call.nr) == libc::SYS_mmap
        && flags & libc::MAP_ANONYMOUS as u64 != 0
        && !(size == 4096 || size > 2 << 20 && flags & libc::MAP_STACK as u64 == 0)
}
