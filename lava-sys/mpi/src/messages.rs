//! Messages that are under way.

use std::ffi::{c_int, c_void};
use std::time::{Duration, Instant};

use mpi_sys::*;

use crate::constants;
use crate::failure::{Fault, check, code_of};
use crate::port::Port;
use crate::process;
use crate::table::{CLOSED, Done, FAILED, Failure, MISUSE, OK, SENT};

/// Most bytes of a message that is looked at when it is begun: MPIs send what is not longer than their eager limit at once.
const EAGER: i32 = 1 << 16;

/// A message's place in [`Messages`]. Its number for liblava is the index below, and the generation above.
struct Entry {
    request: MPI_Request,
    generation: u32,
    is_receive: bool,
    /// Open MPI crashes when a receive is cancelled twice.
    cancelled: bool,
}

/// The messages of one communicator.
pub struct Messages {
    communicator: MPI_Comm,
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// For MPI_Testsome.
    requests: Vec<MPI_Request>,
    indices: Vec<c_int>,
    statuses: Vec<MPI_Status>,
    closed: bool,
}

// SAFETY: MPI's handles are not bound to a thread.
unsafe impl Send for Messages {}

impl Messages {
    pub fn new(communicator: MPI_Comm) -> Self {
        Self {
            communicator,
            entries: Vec::new(),
            free: Vec::new(),
            requests: Vec::new(),
            indices: Vec::new(),
            statuses: Vec::new(),
            closed: false,
        }
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn add(&mut self, request: MPI_Request, is_receive: bool) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { request, generation: 0, is_receive, cancelled: false });
            (self.entries.len() - 1) as u32
        });
        let entry = &mut self.entries[index as usize];
        (entry.request, entry.is_receive, entry.cancelled) = (request, is_receive, false);
        number(index, entry.generation)
    }

    /// The index of a number that was given and has not ended.
    fn find(&self, number: u64) -> Result<usize, Fault> {
        let (index, generation) = (number as u32 as usize, (number >> 32) as u32);
        match self.entries.get(index) {
            Some(entry)
                if entry.generation == generation && entry.request != constants::no_request() =>
            {
                Ok(index)
            }
            _ => Err(Fault::new(MISUSE, format!("request {number:#x} is not under way"))),
        }
    }

    /// A message has ended; `code` from its status.
    fn end(&mut self, index: usize, code: i32, status: &MPI_Status) -> Done {
        if code == FAILED {
            // Its peer is dead or unreachable.
            process::abandon();
        }
        let entry = &mut self.entries[index];
        let request = number(index as u32, entry.generation);
        entry.request = constants::no_request();
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(index as u32);
        let mut done = Done { request, bytes: 0, source: -1, tag: -1, code, reserved: 0 };
        if !entry.is_receive {
            return done;
        }
        let (mut cancelled, mut count) = (0, 0);
        // SAFETY: the status of a message that has ended; the results are valid for writing.
        unsafe {
            if entry.cancelled {
                MPI_Test_cancelled(status, &raw mut cancelled);
            }
            if cancelled != 0 {
                done.code = CLOSED;
                return done;
            }
            MPI_Get_count(status, constants::bytes(), &raw mut count);
        }
        done.bytes = u64::try_from(count).unwrap_or(0);
        (done.source, done.tag) = (status.MPI_SOURCE, status.MPI_TAG);
        done
    }

    fn test(&mut self, numbers: &[u64], done: *mut Done) -> Result<usize, Fault> {
        match numbers {
            [] => self.progress().map(|()| 0),
            [one] => self.test_one(*one, done),
            _ => self.test_some(numbers, done),
        }
    }

    /// Lets MPI work: to look for a message is what makes every MPI do so.
    fn progress(&mut self) -> Result<(), Fault> {
        let mut found = 0;
        // SAFETY: the communicator is live; the result is valid for writing.
        let returned = unsafe {
            MPI_Iprobe(
                constants::any_source(),
                constants::any_tag(),
                self.communicator,
                &raw mut found,
                constants::no_status(),
            )
        };
        check(returned, "MPI_Iprobe")
    }

    fn test_one(&mut self, number: u64, done: *mut Done) -> Result<usize, Fault> {
        let index = self.find(number)?;
        // SAFETY: a plain struct of numbers.
        let mut status: MPI_Status = unsafe { std::mem::zeroed() };
        let mut complete = 0;
        // SAFETY: a request of MPI's; the results are valid for writing.
        let returned = unsafe {
            MPI_Test(&raw mut self.entries[index].request, &raw mut complete, &raw mut status)
        };
        let mut code = OK;
        if returned != MPI_SUCCESS as c_int {
            // The message's own error: MPI_Test ends the request then.
            code = class_code(returned);
            complete = 1;
        }
        if complete != 0 {
            let ended = self.end(index, code, &status);
            // SAFETY: it has room for one.
            unsafe { done.write(ended) };
        }
        Ok(usize::from(complete != 0))
    }

    fn test_some(&mut self, numbers: &[u64], done: *mut Done) -> Result<usize, Fault> {
        self.requests.clear();
        for number in numbers {
            let index = self.find(*number)?;
            self.requests.push(self.entries[index].request);
        }
        self.indices.resize(numbers.len(), 0);
        // SAFETY: plain structs of numbers.
        self.statuses.resize(numbers.len(), unsafe { std::mem::zeroed() });
        let mut complete = 0;
        // SAFETY: all three arrays have that many entries.
        let returned = unsafe {
            MPI_Testsome(
                numbers.len() as c_int,
                self.requests.as_mut_ptr(),
                &raw mut complete,
                self.indices.as_mut_ptr(),
                self.statuses.as_mut_ptr(),
            )
        };
        let in_statuses = returned != MPI_SUCCESS as c_int;
        if in_statuses && Fault::of_mpi(returned, "").class != MPI_ERR_IN_STATUS as c_int {
            process::abandon();
            return Err(Fault::of_mpi(returned, "MPI_Testsome"));
        }
        // MPI_UNDEFINED is negative, and cannot come: every request is under way.
        let complete = usize::try_from(complete).unwrap_or(0);
        for at in 0..complete {
            let which = self.indices[at] as usize;
            let status = self.statuses[at];
            let failed = in_statuses && status.MPI_ERROR != MPI_SUCCESS as c_int;
            let code = if failed { class_code(status.MPI_ERROR) } else { OK };
            let ended = self.end(self.find(numbers[which])?, code, &status);
            // SAFETY: it has room for all of them.
            unsafe { done.add(at).write(ended) };
        }
        Ok(complete)
    }

    /// Takes receives back, waits a while for the rest, and frees the communicator. False: something is still under way,
    /// and MPI may use its memory until the process ends.
    pub fn close(&mut self, patience: Duration) -> bool {
        if std::mem::replace(&mut self.closed, true) {
            return self.entries.iter().all(Entry::has_ended);
        }
        if !process::runs() {
            return self.entries.iter().all(Entry::has_ended);
        }
        for entry in self.entries.iter_mut().filter(|entry| entry.can_be_cancelled()) {
            entry.cancelled = true;
            // SAFETY: a receive that has not ended.
            unsafe { MPI_Cancel(&raw mut entry.request) };
        }
        let deadline = Instant::now() + patience;
        let mut all = self.try_end();
        while !all && !process::is_abandoned() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(50));
            all = self.try_end();
        }
        if all && !process::is_abandoned() {
            // SAFETY: nothing is under way on it, and nobody uses it after this.
            unsafe { MPI_Comm_free(&raw mut self.communicator) };
        }
        all
    }

    fn try_end(&mut self) -> bool {
        for entry in self.entries.iter_mut().filter(|entry| !entry.has_ended()) {
            let mut complete = 0;
            // SAFETY: a request of MPI's, which becomes MPI_REQUEST_NULL with its end.
            let returned = unsafe {
                MPI_Test(&raw mut entry.request, &raw mut complete, constants::no_status())
            };
            if returned != MPI_SUCCESS as c_int {
                // Ended, with an error of its own.
                entry.request = constants::no_request();
            }
        }
        self.entries.iter().all(Entry::has_ended)
    }
}

impl Entry {
    fn can_be_cancelled(&self) -> bool {
        self.is_receive && !self.cancelled && !self.has_ended()
    }

    fn has_ended(&self) -> bool {
        self.request == constants::no_request()
    }
}

fn number(index: u32, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(index)
}

fn class_code(returned: c_int) -> i32 {
    let mut class = 0;
    // SAFETY: the result is valid for writing.
    unsafe { MPI_Error_class(returned, &raw mut class) };
    code_of(class)
}

/// Whether a message that was just begun has ended.
fn is_sent(request: &mut MPI_Request) -> bool {
    let mut complete = 0;
    // SAFETY: a request of MPI's, which becomes MPI_REQUEST_NULL with its end.
    let returned = unsafe { MPI_Test(request, &raw mut complete, constants::no_status()) };
    if returned != MPI_SUCCESS as c_int {
        // Ended, with an error of its own: its peer is lost, which silence will tell.
        process::abandon();
        return true;
    }
    complete != 0
}

/// Runs a function of the table that begins a message.
///
/// # Safety
/// As the table says.
unsafe fn begin(
    port: *mut c_void,
    request: *mut u64,
    failure: *mut Failure,
    is_receive: bool,
    bytes: i32,
    start: impl FnOnce(MPI_Comm, *mut MPI_Request) -> c_int,
) -> i32 {
    // SAFETY: the caller's promise.
    let begun = unsafe {
        Port::with(port, |messages| {
            let mut made = constants::no_request();
            let returned = start(messages.communicator, &raw mut made);
            if returned != MPI_SUCCESS as c_int && class_code(returned) == FAILED {
                process::abandon();
            }
            check(returned, if is_receive { "MPI_Irecv" } else { "MPI_Isend" })?;
            if !is_receive && bytes <= EAGER && is_sent(&mut made) {
                return Ok(SENT);
            }
            Ok(messages.add(made, is_receive))
        })
    };
    match begun {
        Ok(number) => {
            // SAFETY: the caller's promise.
            unsafe { request.write(number) };
            OK
        }
        // SAFETY: the caller's promise.
        Err(fault) => unsafe { fault.report(failure) },
    }
}

/// See the table.
pub unsafe extern "C" fn send(
    port: *mut c_void,
    from: *const u8,
    bytes: i32,
    to: i32,
    tag: i32,
    request: *mut u64,
    failure: *mut Failure,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe {
        begin(port, request, failure, false, bytes, |communicator, made| {
            MPI_Isend(from.cast(), bytes, constants::bytes(), to, tag, communicator, made)
        })
    }
}

/// See the table.
pub unsafe extern "C" fn receive(
    port: *mut c_void,
    into: *mut u8,
    bytes: i32,
    from: i32,
    tag: i32,
    request: *mut u64,
    failure: *mut Failure,
) -> i32 {
    // SAFETY: the caller's promise.
    unsafe {
        begin(port, request, failure, true, bytes, |communicator, made| {
            let from = if from < 0 { constants::any_source() } else { from };
            let tag = if tag < 0 { constants::any_tag() } else { tag };
            MPI_Irecv(into.cast(), bytes, constants::bytes(), from, tag, communicator, made)
        })
    }
}

/// See the table.
pub unsafe extern "C" fn test(
    port: *mut c_void,
    requests: *const u64,
    count: usize,
    done: *mut Done,
    done_count: *mut usize,
    failure: *mut Failure,
) -> i32 {
    // SAFETY: the caller's promise.
    let tested = unsafe {
        Port::with(port, |messages| {
            let numbers =
                if count == 0 { &[] } else { std::slice::from_raw_parts(requests, count) };
            messages.test(numbers, done)
        })
    };
    match tested {
        Ok(complete) => {
            // SAFETY: the caller's promise.
            unsafe { done_count.write(complete) };
            OK
        }
        // SAFETY: the caller's promise.
        Err(fault) => unsafe { fault.report(failure) },
    }
}

/// See the table.
pub unsafe extern "C" fn cancel(port: *mut c_void, request: u64) {
    // SAFETY: the caller's promise.
    let _ = unsafe {
        Port::with(port, |messages| {
            let index = messages.find(request)?;
            let entry = &mut messages.entries[index];
            if entry.can_be_cancelled() {
                entry.cancelled = true;
                check(MPI_Cancel(&raw mut entry.request), "MPI_Cancel")?;
            }
            Ok(())
        })
    };
}
