//! The port of a job, over the plug-in's table.

use std::cell::Cell;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::Arc;

use super::library::{Library, failed, no_failure};
use super::port::{Completion, Port, Request};
use super::table::{self, Done, Joined, Table};
use crate::error::{Error, Result};
use crate::os::signals;
use crate::types::*;

thread_local! {
    /// Whether this thread has SIGPIPE blocked, once it was looked up: lava's own threads have.
    static BLOCKS_PIPE: Cell<Option<bool>> = const { Cell::new(None) };
}

/// See the module.
pub struct PluginPort {
    table: &'static Table,
    port: *mut c_void,
    rank: i32,
    size: i32,
    tag_limit: i32,
    gpu_aware: bool,
    /// A lost peer's socket would kill the process: MPI's transports write to sockets.
    pipe_kills: bool,
    done: Vec<MaybeUninit<Done>>,
    /// Of the last call that failed.
    failure: Box<table::Failure>,
    _library: Arc<Library>,
}

// SAFETY: the plug-in's port may be used by any thread, one at a time.
unsafe impl Send for PluginPort {}

impl PluginPort {
    /// # Safety
    /// `joined` is what the library's `join` gave, and is not used elsewhere.
    pub unsafe fn new(library: Arc<Library>, joined: &Joined) -> Self {
        Self {
            table: library.table(),
            port: joined.port,
            rank: joined.rank,
            size: joined.size,
            tag_limit: joined.tag_limit,
            gpu_aware: library.is_gpu_aware(),
            pipe_kills: signals::pipe_kills(),
            done: Vec::new(),
            failure: Box::new(no_failure()),
            _library: library,
        }
    }

    /// Runs a call of MPI's in which this process cannot be killed by a peer that has gone.
    #[inline]
    fn guarded<T>(&self, act: impl FnOnce() -> T) -> T {
        if !self.pipe_kills || thread_blocks_pipe() { act() } else { signals::without_pipe(act) }
    }

    #[inline]
    fn check(&self, code: i32) -> Result<()> {
        if code == table::OK { Ok(()) } else { Err(failed(code, &self.failure)) }
    }

    fn check_length(bytes: usize) -> Result<i32> {
        i32::try_from(bytes).map_err(|_| {
            Error::argument(format!("a message of {bytes} bytes; MPI takes {} at most", i32::MAX))
                .with_value(bytes as u64)
        })
    }
}

fn thread_blocks_pipe() -> bool {
    BLOCKS_PIPE.get().unwrap_or_else(|| {
        let blocks = signals::blocks_pipe();
        BLOCKS_PIPE.set(Some(blocks));
        blocks
    })
}

impl Port for PluginPort {
    fn rank(&self) -> i32 {
        self.rank
    }

    fn size(&self) -> i32 {
        self.size
    }

    unsafe fn send(
        &mut self,
        from: *const u8,
        bytes: usize,
        to: i32,
        tag: i32,
    ) -> Result<Option<Request>> {
        let bytes = Self::check_length(bytes)?;
        let mut number = 0;
        let out = &raw mut *self.failure;
        // SAFETY: the port is live; the caller keeps the memory until the message has ended.
        let code = self.guarded(|| unsafe {
            (self.table.send)(self.port, from, bytes, to, tag, &raw mut number, out)
        });
        self.check(code)?;
        Ok((number != table::SENT).then_some(Request(number)))
    }

    unsafe fn receive(
        &mut self,
        into: *mut u8,
        bytes: usize,
        from: Option<i32>,
        tag: Option<i32>,
    ) -> Result<Request> {
        let bytes = Self::check_length(bytes)?;
        let (from, tag) = (from.unwrap_or(-1), tag.unwrap_or(-1));
        let mut number = 0;
        let out = &raw mut *self.failure;
        // SAFETY: the port is live; the caller keeps the memory until the message has ended.
        let code = self.guarded(|| unsafe {
            (self.table.receive)(self.port, into, bytes, from, tag, &raw mut number, out)
        });
        self.check(code)?;
        Ok(Request(number))
    }

    fn test(&mut self, requests: &[Request], done: &mut Vec<Completion>) -> Result<()> {
        if self.done.len() < requests.len().max(1) {
            self.done.resize_with(requests.len().max(1), MaybeUninit::uninit);
        }
        let mut count = 0_usize;
        // A request is its number.
        let numbers = requests.as_ptr().cast::<u64>();
        let (ends, out) = (self.done.as_mut_ptr().cast::<Done>(), &raw mut *self.failure);
        // SAFETY: the port is live; `done` has room for all of the requests.
        let code = self.guarded(|| unsafe {
            let length = requests.len();
            (self.table.test)(self.port, numbers, length, ends, &raw mut count, out)
        });
        self.check(code)?;
        for ended in self.done.iter().take(count) {
            // SAFETY: the plug-in wrote `count` of them.
            done.push(completion(unsafe { ended.assume_init_ref() }));
        }
        Ok(())
    }

    fn cancel(&mut self, request: Request) {
        // SAFETY: the port is live; the plug-in knows which requests are.
        self.guarded(|| unsafe { (self.table.cancel)(self.port, request.0) });
    }

    fn tag_limit(&self) -> i32 {
        self.tag_limit
    }

    fn gpu_aware(&self) -> bool {
        self.gpu_aware
    }

    fn abandon(&mut self) {
        // SAFETY: the port is live.
        unsafe { (self.table.abandon)(self.port) };
    }
}

fn completion(done: &Done) -> Completion {
    Completion {
        request: Request(done.request),
        bytes: done.bytes as usize,
        source: done.source,
        tag: done.tag,
        status: match done.code {
            table::OK => LAVA_OK,
            table::CLOSED => LAVA_CLOSED,
            table::TRUNCATED => LAVA_ERROR_TOO_LARGE,
            _ => LAVA_ERROR_PEER_LOST,
        },
    }
}

impl Drop for PluginPort {
    fn drop(&mut self) {
        // SAFETY: the port is live, and not used after this.
        self.guarded(|| unsafe { (self.table.leave)(self.port) });
    }
}
