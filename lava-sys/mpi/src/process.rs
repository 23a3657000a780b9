//! MPI in this process: whether it runs, who started it, and its end. MPI has one state for each process, so has this.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mpi_sys::*;

use crate::constants;
use crate::failure::{Fault, check, copy};
use crate::port;
use crate::table::{FAILED, Facts, Failure, MPICH, OK, OPEN_MPI};

/// Process that initialised MPI through this plug-in; 0: none. A forked child must not finalise its parent's MPI.
static INITIALISED_BY: AtomicU32 = AtomicU32::new(0);
/// MPI is ending: [`ending`] ran.
static ENDING: AtomicBool = AtomicBool::new(false);
/// A rank is dead: MPI_Finalize would wait for it.
static ABANDONED: AtomicBool = AtomicBool::new(false);
/// Threads that are inside of a call that waits for other ranks.
static MEETING: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> c_int;
}

/// True from the beginning of MPI_Finalize on.
pub fn is_ending() -> bool {
    ENDING.load(Ordering::Acquire)
}

pub fn abandon() {
    ABANDONED.store(true, Ordering::Release);
}

pub fn is_abandoned() -> bool {
    ABANDONED.load(Ordering::Acquire)
}

/// Marks a call that waits for other ranks, while it lives.
pub struct Meeting(());

impl Meeting {
    pub fn begin() -> Self {
        MEETING.fetch_add(1, Ordering::AcqRel);
        Self(())
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        MEETING.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Whether MPI is between its initialisation and its end.
pub fn runs() -> bool {
    let (mut initialised, mut finalised) = (0, 0);
    // SAFETY: allowed at any time, from any thread.
    unsafe {
        MPI_Initialized(&raw mut initialised);
        MPI_Finalized(&raw mut finalised);
    }
    initialised != 0 && finalised == 0
}

/// Whether this process initialised MPI through the plug-in.
pub fn is_own() -> bool {
    INITIALISED_BY.load(Ordering::Acquire) == std::process::id()
}

/// Handles are pointers in Open MPI and numbers in MPICH's ABI.
const FAMILY: u32 =
    if size_of::<MPI_Comm>() == size_of::<*mut c_void>() { OPEN_MPI } else { MPICH };

/// See the table.
pub unsafe extern "C" fn facts(out: *mut Facts) {
    // SAFETY: the caller's promise.
    let Some(out) = (unsafe { out.as_mut() }) else { return };
    let (mut initialised, mut finalised, mut major, mut minor) = (0, 0, 0, 0);
    let mut text = [0_u8; MPI_MAX_LIBRARY_VERSION_STRING as usize + 1];
    let mut length = 0;
    // SAFETY: these are allowed at any time, from any thread; the text has the size that MPI demands.
    unsafe {
        MPI_Initialized(&raw mut initialised);
        MPI_Finalized(&raw mut finalised);
        MPI_Get_version(&raw mut major, &raw mut minor);
        MPI_Get_library_version(text.as_mut_ptr().cast::<c_char>(), &raw mut length);
    }
    let used = text.get(..usize::try_from(length).unwrap_or(0)).unwrap_or_default();
    let library = String::from_utf8_lossy(used);
    out.family = FAMILY;
    out.standard = [major.unsigned_abs(), minor.unsigned_abs()];
    out.initialised = u32::from(initialised != 0);
    out.finalised = u32::from(finalised != 0);
    out.initialised_here = u32::from(is_own());
    out.length = copy(library.trim_end_matches(['\0', '\n', ' ']), &mut out.library);
    (out.thread_level, out.world_size, out.world_rank) = (-1, -1, -1);
    if initialised != 0 && finalised == 0 {
        let mut level = 0;
        // SAFETY: MPI runs; the results are valid for writing.
        unsafe {
            MPI_Query_thread(&raw mut level);
            MPI_Comm_size(constants::world(), &raw mut out.world_size);
            MPI_Comm_rank(constants::world(), &raw mut out.world_rank);
        }
        out.thread_level = level_number(level);
    }
}

/// MPI's constants differ from one MPI to the next.
fn level_number(level: c_int) -> i32 {
    let levels = [
        constants::thread_single(),
        constants::thread_funneled(),
        constants::thread_serialized(),
        constants::thread_multiple(),
    ];
    levels.iter().position(|one| *one == level).map_or(0, |at| at as i32)
}

/// See the table.
pub unsafe extern "C" fn initialise(failure: *mut Failure) -> i32 {
    match initialise_once() {
        Ok(()) => OK,
        // SAFETY: the caller's promise.
        Err(fault) => unsafe { fault.report(failure) },
    }
}

fn initialise_once() -> Result<(), Fault> {
    if runs() {
        return Ok(());
    }
    let mut provided = 0;
    {
        let _meeting = Meeting::begin();
        // SAFETY: MPI takes NULL for the arguments; it is not initialised.
        let returned = unsafe {
            MPI_Init_thread(
                ptr::null_mut(),
                ptr::null_mut(),
                constants::thread_multiple(),
                &raw mut provided,
            )
        };
        check(returned, "MPI_Init_thread")?;
    }
    INITIALISED_BY.store(std::process::id(), Ordering::Release);
    // SAFETY: MPI runs, and nobody else has set a handler yet. A function of this plug-in, which is never unloaded.
    unsafe {
        MPI_Comm_set_errhandler(constants::world(), constants::errors_return());
        if atexit(finalise_at_exit) != 0 {
            return Err(Fault::new(FAILED, "atexit has no room for MPI's end"));
        }
    }
    watch_for_the_end()
}

/// Ends the MPI that this plug-in began, unless that would hang: a rank is dead, or a thread still waits for one.
extern "C" fn finalise_at_exit() {
    if !is_own() || is_abandoned() || !runs() {
        return;
    }
    // A thread that waits for late ranks gives up, unless it is inside of a call that blocks.
    ENDING.store(true, Ordering::Release);
    let deadline = Instant::now() + Duration::from_secs(1);
    while MEETING.load(Ordering::Acquire) != 0 {
        if Instant::now() > deadline {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    if meet_all(0).is_none() {
        return;
    }
    // Before MPI_Finalize, not from within it: see `ending`.
    port::close_active();
    if let Some(latest) = meet_all(lateness()) {
        std::thread::sleep(ALL_OUT + ALL_OUT_TIMES * Duration::from_micros(latest.into()));
        finalise_in_time();
    }
}

/// After the last meeting, until every rank has come out of it: a rest, and so many times the longest that a rank was
/// late for a rest of its own. MPICH 4.0 over UCX's TCP hangs in MPI_Finalize if it has looked for messages since another
/// rank closed its connection, so no rank may close while another, on a busy machine, is still looking.
const ALL_OUT: Duration = Duration::from_millis(20);
const ALL_OUT_TIMES: u32 = 20;

/// How long this process waits for a processor, in microseconds: the longest of a few rests. At most 100 ms.
fn lateness() -> u32 {
    const REST: Duration = Duration::from_millis(1);
    let rests = (0..8).map(|_| {
        let before = Instant::now();
        std::thread::sleep(REST);
        before.elapsed().saturating_sub(REST)
    });
    rests.max().map_or(0, |late| late.as_micros().min(100_000) as u32)
}

/// How long MPI_Finalize may take when all ranks are in it.
const END: Duration = Duration::from_secs(3);

/// MPI_Finalize in a thread of its own, so that it cannot keep the process from its end.
fn finalise_in_time() {
    let (tell, told) = std::sync::mpsc::channel();
    let body = move || {
        // SAFETY: MPI runs; `ending`, which it calls first, keeps all other threads of lava out.
        unsafe { MPI_Finalize() };
        let _ = tell.send(());
    };
    if std::thread::Builder::new().name("lava-mpi-end".into()).spawn(body).is_ok() {
        let _ = told.recv_timeout(END);
    }
}

/// All ranks come here at their end, and leave with the largest number that one brought. None: it failed, or a rank is
/// dead.
fn meet_all(mine: u32) -> Option<u32> {
    // MPI may use them for longer than this call, if it fails.
    let numbers = Box::leak(Box::new([mine, 0]));
    let (from, into) = numbers.split_at_mut(1);
    let (mut request, mut complete) = (constants::no_request(), 0);
    // SAFETY: MPI runs, and this plug-in's MPI is used by nobody else; the numbers live for ever.
    let mut returned = unsafe {
        MPI_Iallreduce(
            from.as_ptr().cast(),
            into.as_mut_ptr().cast(),
            1,
            constants::numbers(),
            constants::largest(),
            constants::world(),
            &raw mut request,
        )
    };
    while returned == MPI_SUCCESS as c_int && complete == 0 && !is_abandoned() {
        // SAFETY: a request of MPI's; the result is valid for writing.
        returned = unsafe { MPI_Test(&raw mut request, &raw mut complete, constants::no_status()) };
        if complete == 0 {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
    (complete != 0).then(|| into[0])
}

/// Makes MPI call [`ending`] at the beginning of MPI_Finalize, while messages still work: the standard promises it for
/// the attributes of MPI_COMM_SELF. Once for each process. In MPICH that is too late for a thread that is inside of MPI:
/// its lock stays taken, and MPI_Finalize ends the process for it. So lava's own end closes the port before, and in an
/// application's MPI lava makes no progress once the last context is gone.
pub fn watch_for_the_end() -> Result<(), Fault> {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if WATCHED.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    let mut key = 0;
    // SAFETY: MPI runs; the functions live for ever and have the types that MPI demands.
    unsafe {
        check(
            MPI_Comm_create_keyval(Some(no_copy), Some(ending), &raw mut key, ptr::null_mut()),
            "MPI_Comm_create_keyval",
        )?;
        check(MPI_Comm_set_attr(constants::own(), key, ptr::null_mut()), "MPI_Comm_set_attr")
    }
}

/// A duplicate of MPI_COMM_SELF does not take the attribute over.
unsafe extern "C" fn no_copy(
    _: MPI_Comm,
    _: c_int,
    _: *mut c_void,
    _: *mut c_void,
    _: *mut c_void,
    flag: *mut c_int,
) -> c_int {
    // SAFETY: MPI gives a place for it.
    unsafe { flag.write(0) };
    MPI_SUCCESS as c_int
}

unsafe extern "C" fn ending(_: MPI_Comm, _: c_int, _: *mut c_void, _: *mut c_void) -> c_int {
    ENDING.store(true, Ordering::Release);
    port::close_active();
    MPI_SUCCESS as c_int
}
