//! Every system call that lava makes fails once, in every way that it can: the call that needed it says so clearly or
//! does without it, nothing leaks, nothing hangs, and the next attempt works.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lava::{
    Buffer, BufferOptions, Consumer, ConsumerOptions, Context, Error, ErrorKind, Outcome, Producer,
    ProducerOptions, Received,
};

use crate::support::census::Census;
use crate::support::inject::{self, Fault, Switch};
use crate::support::place::Place;
use crate::support::stage::Scene;
use crate::support::{Played, payload};

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "faults/every_system_call_fails_once", play: every_system_call_fails_once },
    Scene { name: "faults/finds_what_is_made_wrong", play: finds_what_is_made_wrong },
];

/// Errors that a system call can have; none for one that cannot fail, or whose failure nobody could survive.
#[allow(non_upper_case_globals, reason = "the names of the C library")]
fn errors_of(number: i64) -> &'static [i32] {
    use libc::*;
    match number {
        SYS_openat => &[EMFILE, ENFILE, EACCES, ENOMEM, EINTR],
        SYS_socket | SYS_socketpair | SYS_memfd_create | SYS_eventfd2 | SYS_epoll_create1
        | SYS_inotify_init1 | SYS_dup | SYS_pidfd_open => &[EMFILE, ENFILE, ENOMEM],
        SYS_accept4 => &[EMFILE, ENFILE, ENOMEM, EINTR, ECONNABORTED, EPERM],
        SYS_mmap => &[ENOMEM, EACCES, EPERM],
        SYS_ftruncate | SYS_fallocate => &[ENOSPC, ENOMEM, EINTR, EPERM],
        SYS_fcntl => &[EMFILE, EPERM, EBUSY],
        SYS_sendmsg | SYS_sendto => &[ENOMEM, ENOBUFS, EINTR, EPERM, EMFILE],
        SYS_recvmsg | SYS_recvfrom => &[ENOMEM, EINTR],
        SYS_epoll_ctl => &[ENOMEM, ENOSPC],
        SYS_epoll_pwait | SYS_epoll_pwait2 => &[EINTR],
        SYS_ppoll => &[EINTR, ENOMEM],
        SYS_bind => &[EACCES, ENOMEM, ENOSPC, EADDRINUSE],
        SYS_listen => &[EADDRINUSE],
        SYS_connect => &[EINTR, ENOMEM, EACCES, EPERM, EAGAIN, ECONNREFUSED],
        SYS_getsockopt => &[EMFILE, ENOMEM, EPERM],
        SYS_flock => &[EINTR, ENOLCK, ENOMEM],
        SYS_mkdirat => &[EACCES, ENOSPC, ENOMEM],
        SYS_unlinkat => &[EACCES, EPERM, ENOMEM],
        SYS_fstat | SYS_newfstatat | SYS_statx | SYS_fstatfs => &[ENOMEM, EACCES],
        SYS_readlinkat | SYS_getdents64 => &[ENOMEM, EACCES],
        SYS_read => &[EINTR, ENOMEM],
        SYS_write => &[EINTR],
        SYS_getrandom => &[EINTR],
        SYS_mbind | SYS_set_mempolicy | SYS_get_mempolicy | SYS_mlock => &[ENOMEM, EPERM],
        SYS_membarrier => &[EPERM, ENOMEM],
        SYS_inotify_add_watch => &[ENOSPC, ENOMEM, EACCES],
        SYS_clone3 | SYS_clone => &[EAGAIN, ENOMEM],
        #[cfg(target_arch = "x86_64")]
        SYS_open => &[EMFILE, ENFILE, EACCES, ENOMEM, EINTR],
        #[cfg(target_arch = "x86_64")]
        SYS_mkdir => &[EACCES, ENOSPC, ENOMEM],
        #[cfg(target_arch = "x86_64")]
        SYS_poll | SYS_epoll_wait => &[EINTR],
        #[cfg(target_arch = "x86_64")]
        SYS_readlink => &[ENOMEM, EACCES],
        _ => &[],
    }
}

/// Long enough for what goes well, short for what does not.
const WAIT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(3);
const BIG: usize = 3 << 20;

/// Creates, allocates, exports, imports, opens, sends, receives, closes. The first error ends it.
fn everything(place: &Place, context: &Context) -> Result<(), Failure> {
    for big in [false, true] {
        let size = if big { BIG } else { 100 };
        drop(Buffer::allocate(context, &BufferOptions::new(size as u64))?);
    }
    let mut own = Buffer::allocate(context, &BufferOptions::new(BIG as u64).shareable())?;
    own.write(0, b"shared")?;
    let imported = Buffer::import(context, &own.export()?)?;
    let mut bytes = [0; 6];
    imported.read(0, &mut bytes)?;
    assert_eq!(&bytes, b"shared");
    let mut producer = Producer::create(context, "faulty", &ProducerOptions::new())?;
    let other = Context::create(&place.options())?;
    let mut consumer = Consumer::open(&other, "faulty", &ConsumerOptions::new().timeout(WAIT))?;
    let _ = consumer.event_fd()?;
    let sent = payload::payload(1, 0);
    done(producer.send_bytes_timeout(&sent, LONG)?)?;
    assert_eq!(receive(&mut consumer)?.copy_to_vec::<u8>()?, sent);
    done(producer.send_buffer(&own, 0..6, 0, None, LONG)?)?;
    assert_eq!(receive(&mut consumer)?.copy_to_vec::<u8>()?, b"shared");
    drop(producer);
    match consumer.receive_timeout(LONG)? {
        Received::Closed => Ok(()),
        other => Err(Failure::Unexpected(format!("not closed: {other:?}"))),
    }
}

fn receive(consumer: &mut Consumer) -> Result<lava::Frame, Failure> {
    match consumer.receive_timeout(LONG)? {
        Received::Frame(frame) => Ok(frame),
        other => Err(Failure::Unexpected(format!("no frame: {other:?}"))),
    }
}

fn done(outcome: Outcome) -> Result<(), Failure> {
    match outcome {
        Outcome::Done => Ok(()),
        other => Err(Failure::Unexpected(format!("not sent: {other:?}"))),
    }
}

/// How an attempt ended.
enum Failure {
    Error(Error),
    /// Nothing failed, and it did not go on.
    Unexpected(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Error(error) => write!(f, "{:?}: {error}", error.kind()),
            Self::Unexpected(what) => f.write_str(what),
        }
    }
}

/// What became of one fault.
struct Verdict {
    /// How the attempt ended in which it happened.
    first: Result<(), Failure>,
    /// What is wrong with that, or with the next attempt.
    complaint: Option<String>,
}

/// Two attempts: the fault may end the first one.
fn two_attempts(place: &Place, switch: &Switch, errno: i32) -> Verdict {
    let (context, first) = match Context::create(&place.options()) {
        Ok(context) => {
            let first = everything(place, &context);
            (Some(context), first)
        }
        Err(error) => (None, Err(error.into())),
    };
    switch.off();
    let context = context.map_or_else(|| Context::create(&place.options()), Ok);
    let second = context.map_err(Failure::from).and_then(|context| everything(place, &context));
    let complaint = match (&first, &second) {
        (_, Err(failure)) => Some(format!("the next attempt fails: {failure}")),
        (Err(Failure::Error(error)), _) => complaint_about(error, errno),
        // One end lost the other, and is still waiting for it to come back: a consumer that opens again is let in.
        _ => None,
    };
    Verdict { first, complaint }
}

/// A clear error says what was being done, and is nobody else's fault. What is no lack of anything may be one: a peer's
/// descriptor may be such that the system refuses to answer.
fn complaint_about(error: &Error, errno: i32) -> Option<String> {
    use libc::{EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC};
    let lack = [EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC].contains(&errno);
    let blames = match error.kind() {
        ErrorKind::Internal => true,
        ErrorKind::Protocol => lack,
        _ => false,
    };
    let says_nothing = error.message().len() < 10;
    (blames || says_nothing).then(|| format!("an unclear error: {:?} {error}", error.kind()))
}

/// What is held beyond `before`, after some patience.
fn excess(before: &Census) -> Vec<String> {
    let start = Instant::now();
    loop {
        let excess = before.excess_now();
        if excess.is_empty() || start.elapsed() > LONG {
            return excess;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The faults of each system call that a run without one makes. Of one that is made very often, some.
fn all_faults(calls: &BTreeMap<i64, usize>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (number, count) in calls {
        let step = count.div_ceil(60);
        for occurrence in (1..=*count).step_by(step) {
            faults.extend(errors_of(*number).iter().map(|errno| Fault {
                number: *number,
                occurrence,
                errno: *errno,
            }));
        }
    }
    faults
}

fn every_system_call_fails_once(place: &Place) -> Played {
    // What the process takes once, and keeps, is taken before anything is counted.
    let warm = inject::run(None, |switch| two_attempts(place, switch, 0))?;
    assert!(warm.result.complaint.is_none(), "without a fault: {:?}", warm.result.complaint);
    let dry = inject::run(None, |_| {
        let context = Context::create(&place.options());
        context.map_err(Failure::from).and_then(|context| everything(place, &context))
    })?;
    assert!(dry.result.is_ok(), "without a fault");
    let mut before = Census::take();
    let (start, faults) = (Instant::now(), all_faults(&dry.calls));
    let (mut happened, mut endings, mut complaints) = (0, BTreeMap::new(), Vec::new());
    for fault in &faults {
        let run = inject::run(Some(*fault), |switch| two_attempts(place, switch, fault.errno))?;
        happened += usize::from(run.happened);
        let ending = match &run.result.first {
            Ok(()) => "none".to_owned(),
            Err(Failure::Error(error)) => format!("{:?}", error.kind()),
            Err(Failure::Unexpected(_)) => "waited in vain".to_owned(),
        };
        *endings.entry(ending).or_insert(0) += 1;
        complaints.extend(run.result.complaint.map(|what| format!("{fault:?}: {what}")));
        let held = excess(&before);
        if !held.is_empty() {
            complaints.push(format!("{fault:?}: not given back: {}", held.join("; ")));
            before = Census::take();
        }
    }
    let used: Vec<i64> =
        dry.calls.keys().copied().filter(|one| !errors_of(*one).is_empty()).collect();
    println!(
        "result: {happened} of {} faults happened in {} system calls, in {:.1?}; endings: {endings:?}",
        faults.len(),
        used.len(),
        start.elapsed()
    );
    let never: Vec<_> = dry.calls.keys().filter(|one| errors_of(**one).is_empty()).collect();
    println!("result: not made to fail: {never:?}");
    assert!(happened > faults.len() / 2, "only {happened} faults happened");
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
    Ok(())
}

/// The harness can fail: an error that says nothing is found, and a fault does happen.
fn finds_what_is_made_wrong(place: &Place) -> Played {
    let fault = Fault { number: libc::SYS_memfd_create, occurrence: 1, errno: libc::ENOMEM };
    let context = place.context();
    let make = |_: &Switch| {
        let options = BufferOptions::new(BIG as u64).shareable();
        [0, 1].map(|_| Buffer::allocate(&context, &options).map(drop))
    };
    let run = inject::run(Some(fault), make)?;
    let [first, second] = run.result;
    let error = first.expect_err("the fault is not seen");
    assert!(run.happened && second.is_ok());
    assert_eq!(error.kind(), ErrorKind::OutOfMemory, "{error}");
    assert!(complaint_about(&error, fault.errno).is_none());
    Ok(())
}
