//! The end of an MPI that this plug-in began: at the process's exit, together with all other ranks.

use std::ffi::c_int;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use mpi_sys::*;

use crate::constants;
use crate::failure::Fault;
use crate::table::FAILED;
use crate::{port, process};

/// For messages of [`greet_all`] on MPI_COMM_WORLD.
const GREETING_TAG: c_int = 6779;
/// How long a thread may take to give up what it waits for.
const GIVE_UP: Duration = Duration::from_secs(1);
/// Between two looks at messages.
const REST: Duration = Duration::from_micros(50);
/// After the last meeting, until every rank has come out of it: a rest, and so many times the longest that a rank was
/// late for a rest of its own. No rank may close its connections while another, on a busy machine, still looks for
/// messages: MPICH 4.0 over UCX's TCP hangs in MPI_Finalize after that.
const ALL_OUT: Duration = Duration::from_millis(20);
const ALL_OUT_TIMES: u32 = 20;
/// How long ranks that have met once, and so are all at their end, may take for each step until they finalise.
const STEP: Duration = Duration::from_secs(10);
/// How long MPI_Finalize may take when all ranks are in it.
const END: Duration = Duration::from_secs(10);

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> c_int;
}

/// Has this process finalise MPI when it exits.
pub fn finalise_at_exit() -> Result<(), Fault> {
    // SAFETY: a function of this plug-in, which is never unloaded.
    match unsafe { atexit(finalise) } {
        0 => Ok(()),
        _ => Err(Fault::new(FAILED, "atexit has no room for MPI's end")),
    }
}

/// Unless that would hang: a rank is dead, or a thread still waits for one.
extern "C" fn finalise() {
    if !process::is_own() || process::is_abandoned() || !process::runs() {
        return;
    }
    process::begin_end();
    let deadline = Instant::now() + GIVE_UP;
    while process::is_meeting() {
        if Instant::now() > deadline {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    // Ranks may be at work for hours yet. As long as it waits, lava's thread finds out which of them are dead.
    if meet_all(0, None).is_none() {
        return;
    }
    // Before MPI_Finalize, not from within it: see `process::ending`.
    port::close_active();
    if greet_all()
        && let Some(latest) = meet_all(lateness(), Some(STEP))
    {
        std::thread::sleep(ALL_OUT + ALL_OUT_TIMES * Duration::from_micros(latest.into()));
        finalise_in_time();
    }
}

/// How long this process waits for a processor, in microseconds: the longest of a few rests. At most 100 ms.
fn lateness() -> u32 {
    const LOOK: Duration = Duration::from_millis(1);
    let looks = (0..8).map(|_| {
        let before = Instant::now();
        std::thread::sleep(LOOK);
        before.elapsed().saturating_sub(LOOK)
    });
    looks.max().map_or(0, |late| late.as_micros().min(100_000) as u32)
}

/// MPI_Finalize in a thread of its own, so that it cannot keep the process from its end.
fn finalise_in_time() {
    let (tell, told) = mpsc::channel();
    let body = move || {
        // SAFETY: MPI runs; the port is closed, which keeps all other threads of lava out.
        unsafe { MPI_Finalize() };
        let _ = tell.send(());
    };
    if std::thread::Builder::new().name("lava-mpi-end".into()).spawn(body).is_ok() {
        let _ = told.recv_timeout(END);
    }
}

/// All ranks come here at their end, and leave with the largest number that one brought. None: it failed, took longer
/// than `limit`, or a rank is dead.
fn meet_all(mine: u32, limit: Option<Duration>) -> Option<u32> {
    // MPI may use them for longer than this call, if it fails.
    let numbers = Box::leak(Box::new([mine, 0]));
    let [from, into] = numbers;
    let mut request = constants::no_request();
    // SAFETY: MPI runs, and lava's meetings are the only ones of MPI_COMM_WORLD now; the numbers live for ever.
    let begun = unsafe {
        MPI_Iallreduce(
            (&raw const *from).cast(),
            (&raw mut *into).cast(),
            1,
            constants::numbers(),
            constants::largest(),
            constants::world(),
            &raw mut request,
        )
    };
    (begun == MPI_SUCCESS as c_int && finish(&mut [request], limit)).then_some(*into)
}

/// Every rank sends a byte to every other one, and has theirs. False: it failed, took longer than [`STEP`], or a rank is
/// dead.
///
/// MPICH 4.0 over UCX's TCP was seen to hang in MPI_Finalize, where a rank closed connections while the others were done
/// with theirs and looked for messages no more. It did not once every pair of ranks had used its connection in both
/// directions: ADR 42.
fn greet_all() -> bool {
    let (mut size, mut rank) = (0, 0);
    // SAFETY: MPI runs; the results are valid for writing.
    unsafe {
        MPI_Comm_size(constants::world(), &raw mut size);
        MPI_Comm_rank(constants::world(), &raw mut rank);
    }
    let others = (0..size).filter(|other| *other != rank);
    // MPI may use them for longer than this call, if it fails. Each greeting has a place of its own.
    let places = Box::leak(vec![0_u8; size.max(0) as usize].into_boxed_slice());
    let greeting: &'static u8 = Box::leak(Box::new(1));
    let mut requests = Vec::with_capacity(2 * places.len());
    for other in others {
        let (mut sent, mut received) = (constants::no_request(), constants::no_request());
        let (kind, world) = (constants::bytes(), constants::world());
        // SAFETY: MPI runs; both bytes live for ever, and no two receives share one.
        let begun = unsafe {
            let into = (&raw mut places[other as usize]).cast();
            let from = (&raw const *greeting).cast();
            [
                MPI_Irecv(into, 1, kind, other, GREETING_TAG, world, &raw mut received),
                MPI_Isend(from, 1, kind, other, GREETING_TAG, world, &raw mut sent),
            ]
        };
        if begun != [MPI_SUCCESS as c_int; 2] {
            return false;
        }
        requests.extend([received, sent]);
    }
    finish(&mut requests, Some(STEP))
}

/// Waits until all are complete. False: MPI failed, it took longer than `limit`, or a rank is dead.
fn finish(requests: &mut [MPI_Request], limit: Option<Duration>) -> bool {
    let begun = Instant::now();
    for request in requests {
        let mut complete = 0;
        while complete == 0 {
            if process::is_abandoned() || limit.is_some_and(|limit| begun.elapsed() > limit) {
                return false;
            }
            // SAFETY: a request of MPI's; the result is valid for writing.
            let tested = unsafe { MPI_Test(request, &raw mut complete, constants::no_status()) };
            if tested != MPI_SUCCESS as c_int {
                return false;
            }
            if complete == 0 {
                std::thread::sleep(REST);
            }
        }
    }
    true
}
