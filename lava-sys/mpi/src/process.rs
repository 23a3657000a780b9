//! MPI in this process: whether it runs, who started it, and its end. MPI has one state for each process, so has this.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use mpi_sys::*;

use crate::constants;
use crate::failure::{Fault, check, copy};
use crate::table::{Facts, Failure, MPICH, OK, OPEN_MPI};
use crate::{exit, port};

/// Process that initialised MPI through this plug-in; 0: none. A forked child must not finalise its parent's MPI.
static INITIALISED_BY: AtomicU32 = AtomicU32::new(0);
/// MPI is ending: [`ending`] ran.
static ENDING: AtomicBool = AtomicBool::new(false);
/// A rank is dead: MPI_Finalize would wait for it.
static ABANDONED: AtomicBool = AtomicBool::new(false);
/// Threads that are inside of a call that waits for other ranks.
static MEETING: AtomicU32 = AtomicU32::new(0);

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

/// Threads inside of MPI give up what they wait for.
pub fn begin_end() {
    ENDING.store(true, Ordering::Release);
}

/// Whether a thread is inside of a call that waits for other ranks.
pub fn is_meeting() -> bool {
    MEETING.load(Ordering::Acquire) != 0
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
    // SAFETY: MPI runs, and nobody else has set a handler yet.
    unsafe { MPI_Comm_set_errhandler(constants::world(), constants::errors_return()) };
    exit::finalise_at_exit()?;
    watch_for_the_end()
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
    begin_end();
    port::close_active();
    MPI_SUCCESS as c_int
}
