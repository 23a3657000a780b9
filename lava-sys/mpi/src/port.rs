//! The communicator of lava's own: how it is made, and how it ends. One at a time for each process.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mpi_sys::*;

use crate::constants;
use crate::failure::{Fault, check};
use crate::messages::Messages;
use crate::process::{self, Meeting};
use crate::table::{BUSY, CLOSED, FAILED, Failure, Join, Joined, MISUSE, OK};

/// Ranks meet in MPI_Comm_create_group by this tag, which collides with nothing of the application's: its collective
/// calls and its messages have no part in it.
const MEETING_TAG: c_int = 6778;
/// How long messages that are under way may take to end when the port ends.
const LAST_MESSAGES: Duration = Duration::from_secs(1);
/// Between two looks at ranks that are still to come.
const REST: Duration = Duration::from_micros(100);

/// A port as liblava holds it: a pointer from `Arc::into_raw`.
pub struct Port {
    messages: Mutex<Messages>,
}

/// The port of this process, and a communicator that later ports are made of without a part of the application in it.
struct Active {
    port: Option<Arc<Port>>,
    base: Option<MPI_Comm>,
    joining: bool,
}

// SAFETY: MPI's handles are not bound to a thread.
unsafe impl Send for Active {}

static ACTIVE: Mutex<Active> = Mutex::new(Active { port: None, base: None, joining: false });

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Port {
    /// The messages, unless the port is closed.
    ///
    /// # Safety
    /// The pointer is NULL or one that [`join`] gave and [`leave`] has not taken.
    pub unsafe fn with<T>(
        port: *mut c_void,
        act: impl FnOnce(&mut Messages) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        // SAFETY: the caller's promise.
        let port = unsafe { port.cast::<Self>().as_ref() }
            .ok_or_else(|| Fault::new(MISUSE, "the port is NULL"))?;
        let mut messages = lock(&port.messages);
        if messages.is_closed() {
            return Err(Fault::new(CLOSED, "MPI was finalised by this process"));
        }
        act(&mut messages)
    }
}

/// See the table.
pub unsafe extern "C" fn join(
    options: *const Join,
    joined: *mut Joined,
    failure: *mut Failure,
) -> i32 {
    // SAFETY: the caller's promise.
    let Some(options) = (unsafe { options.as_ref() }) else { return MISUSE };
    // SAFETY: the caller's promise.
    match unsafe { join_once(options) } {
        Ok(made) => {
            // SAFETY: the caller's promise.
            unsafe { joined.write(made) };
            OK
        }
        // SAFETY: the caller's promise.
        Err(fault) => unsafe { fault.report(failure) },
    }
}

/// # Safety
/// The options are valid as the table says.
unsafe fn join_once(options: &Join) -> Result<Joined, Fault> {
    let base = {
        let mut active = lock(&ACTIVE);
        if active.joining || active.port.is_some() {
            let words = "another context of this process is in the MPI job with other settings; use its settings";
            return Err(Fault::new(BUSY, words));
        }
        if !process::runs() || process::is_ending() {
            return Err(Fault::new(CLOSED, "MPI was finalised in this process"));
        }
        active.joining = true;
        active.base
    };
    // SAFETY: the caller's promise.
    let made = unsafe { meet(options, base) };
    let mut active = lock(&ACTIVE);
    active.joining = false;
    let (messages, joined) = made?;
    let port = Arc::new(Port { messages: Mutex::new(messages) });
    active.port = Some(Arc::clone(&port));
    Ok(Joined { port: Arc::into_raw(port).cast_mut().cast(), ..joined })
}

/// # Safety
/// The options are valid as the table says.
unsafe fn meet(options: &Join, base: Option<MPI_Comm>) -> Result<(Messages, Joined), Fault> {
    let _meeting = Meeting::begin();
    process::watch_for_the_end()?;
    let communicator = match (options.has_communicator != 0, base) {
        (true, _) => of_group(from_handle(options.communicator)?)?,
        (false, Some(base)) => duplicate(base)?,
        (false, None) => {
            let world = constants::world();
            // The application's collective calls may use it at the same time, unless there is no application.
            let base = if process::is_own() { world } else { of_group(world)? };
            lock(&ACTIVE).base = Some(base);
            duplicate(base)?
        }
    };
    let (mut rank, mut size) = (0, 0);
    // SAFETY: a communicator made above; the results are valid for writing.
    unsafe {
        check(
            MPI_Comm_set_errhandler(communicator, constants::errors_return()),
            "MPI_Comm_set_errhandler",
        )?;
        check(MPI_Comm_rank(communicator, &raw mut rank), "MPI_Comm_rank")?;
        check(MPI_Comm_size(communicator, &raw mut size), "MPI_Comm_size")?;
    }
    // SAFETY: the caller's promise.
    unsafe { tell_all(options, communicator, size) }?;
    let tag_limit = tag_limit(communicator);
    let joined = Joined { port: ptr::null_mut(), rank, size, tag_limit, reserved: 0 };
    Ok((Messages::new(communicator), joined))
}

fn from_handle(handle: i64) -> Result<MPI_Comm, Fault> {
    let number = RSMPI_Fint::try_from(handle)
        .map_err(|_| Fault::new(MISUSE, format!("{handle} is no communicator of Fortran's")))?;
    // SAFETY: a lookup of a number; a wrong one gives MPI_COMM_NULL, or is MPI's to refuse.
    let communicator = unsafe { RSMPI_Comm_f2c(number) };
    if communicator == constants::no_communicator() {
        return Err(Fault::new(
            MISUSE,
            format!("the communicator {handle} is none, or is freed; pass MPI_Comm_c2f(comm)"),
        ));
    }
    let mut between_groups = 0;
    // SAFETY: a live communicator; the result is valid for writing.
    let returned = unsafe { MPI_Comm_test_inter(communicator, &raw mut between_groups) };
    check(returned, "MPI_Comm_test_inter")?;
    if between_groups != 0 {
        return Err(Fault::new(MISUSE, "the communicator is an intercommunicator; merge it first"));
    }
    Ok(communicator)
}

/// A communicator of all ranks of another one, made without a collective call on it.
fn of_group(parent: MPI_Comm) -> Result<MPI_Comm, Fault> {
    // SAFETY: the results are valid for writing, and the group is freed below.
    unsafe {
        let (mut group, mut made) = (constants::no_group(), constants::no_communicator());
        check(MPI_Comm_group(parent, &raw mut group), "MPI_Comm_group")?;
        let returned = MPI_Comm_create_group(parent, group, MEETING_TAG, &raw mut made);
        MPI_Group_free(&raw mut group);
        check(returned, "MPI_Comm_create_group")?;
        Ok(made)
    }
}

/// A duplicate of a communicator of lava's own; sleeps while other ranks are still to come.
fn duplicate(parent: MPI_Comm) -> Result<MPI_Comm, Fault> {
    // MPI writes it while the call is under way, so it stays where it is until the end.
    let mut made = Box::new(constants::no_communicator());
    let mut request = constants::no_request();
    // SAFETY: both live until the call is complete.
    check(unsafe { MPI_Comm_idup(parent, &raw mut *made, &raw mut request) }, "MPI_Comm_idup")?;
    match finish(&mut request, "MPI_Comm_idup") {
        Ok(()) => Ok(*made),
        Err(fault) => {
            // MPI may still write it.
            Box::leak(made);
            Err(fault)
        }
    }
}

/// Waits for a non-blocking collective call, with rests, because the last rank may be long in coming.
fn finish(request: &mut MPI_Request, function: &str) -> Result<(), Fault> {
    let begin = Instant::now();
    loop {
        let mut complete = 0;
        // SAFETY: a request of MPI's; the result is valid for writing.
        check(unsafe { MPI_Test(request, &raw mut complete, constants::no_status()) }, function)?;
        if complete != 0 {
            return Ok(());
        }
        if process::is_ending() {
            return Err(Fault::new(CLOSED, "MPI was finalised before all ranks had met"));
        }
        if begin.elapsed() > Duration::from_millis(1) {
            std::thread::sleep(REST);
        }
    }
}

/// # Safety
/// The options are valid as the table says.
unsafe fn tell_all(options: &Join, communicator: MPI_Comm, size: c_int) -> Result<(), Fault> {
    let bytes =
        c_int::try_from(options.bytes).map_err(|_| Fault::new(MISUSE, "too much to tell"))?;
    // SAFETY: the caller's promise.
    let place = unsafe { (options.place)(options.user, size) };
    if place.is_null() {
        return Err(Fault::new(FAILED, format!("no memory for what {size} ranks tell")));
    }
    let (kind, mut request) = (constants::bytes(), constants::no_request());
    // SAFETY: `mine` has that many bytes and `place` that many for each rank, until the call is complete: the caller
    // keeps both for ever if it is not.
    let returned = unsafe {
        MPI_Iallgather(
            options.mine.cast(),
            bytes,
            kind,
            place.cast(),
            bytes,
            kind,
            communicator,
            &raw mut request,
        )
    };
    check(returned, "MPI_Iallgather")?;
    finish(&mut request, "MPI_Iallgather")
}

/// The largest tag; what the standard guarantees if MPI does not tell.
fn tag_limit(communicator: MPI_Comm) -> c_int {
    let (mut value, mut known) = (ptr::null_mut::<c_int>(), 0);
    // SAFETY: the attribute is a pointer to an int, which lives as long as MPI.
    unsafe {
        let returned = MPI_Comm_get_attr(
            communicator,
            MPI_TAG_UB as c_int,
            (&raw mut value).cast(),
            &raw mut known,
        );
        if returned == MPI_SUCCESS as c_int && known != 0 { *value } else { 32_767 }
    }
}

/// See the table.
pub unsafe extern "C" fn leave(port: *mut c_void) -> u32 {
    if port.is_null() {
        return 1;
    }
    // SAFETY: from `join`, and not used again.
    let port = unsafe { Arc::from_raw(port.cast::<Port>().cast_const()) };
    // In this order, as `close_active` has it.
    let mut active = lock(&ACTIVE);
    let mut messages = lock(&port.messages);
    let ended = messages.close(LAST_MESSAGES);
    if active.port.as_ref().is_some_and(|one| Arc::ptr_eq(one, &port)) {
        active.port = None;
    }
    u32::from(ended)
}

/// See the table.
pub unsafe extern "C" fn abandon(_: *mut c_void) {
    process::abandon();
}

/// MPI_Finalize begins: nothing of lava's may use MPI after this.
pub fn close_active() {
    let deadline = Instant::now() + LAST_MESSAGES;
    loop {
        let mut active = lock(&ACTIVE);
        // A thread that is joining notices the end, unless it is inside of a call that blocks.
        if !active.joining || Instant::now() > deadline {
            if let Some(port) = active.port.as_ref() {
                lock(&port.messages).close(LAST_MESSAGES);
            }
            // SAFETY: lava's own communicator, of which nothing is made any more.
            unsafe {
                if let Some(mut base) = active.base.take()
                    && base != constants::world()
                    && !process::is_abandoned()
                {
                    MPI_Comm_free(&raw mut base);
                }
            }
            return;
        }
        drop(active);
        std::thread::sleep(REST);
    }
}
