//! Where a consumer looks for its producer, and how it waits between two looks.

use super::consumer::Options;
use super::context::Context;
use crate::error::{Error, Result};
use crate::os::clock::Deadline;
use crate::os::{directory, socket};
use crate::scope::{self, Rendezvous, Scope};
use crate::types::*;

/// Longest sleep between two looks for the producer, for file systems that report no new files.
pub const LOOK_NS: u64 = 1_000_000_000;
/// Sleep between looks when a file is there but nobody answers behind it.
pub const RETRY_NS: u64 = 2_000_000;
/// Sleep between looks while ranks of an MPI job are asked, too.
pub const REMOTE_NS: u64 = 200_000;

/// Where to look for a producer.
pub struct Ways {
    pub local: bool,
    pub remote: bool,
}

/// A producer whose location is known and cannot be reached is not waited for.
pub fn ways(context: &Context, options: &Options) -> Result<Ways> {
    let here = context.location();
    let remote = context.remote.is_wanted();
    let silent = match &options.producer {
        Some(producer) => super::probe::detect(context, &here, producer),
        None => scope::decide(&here, &here, context.forced, Rendezvous::NotAsked),
    };
    let local = silent.scope == Scope::Local;
    if !local && !remote {
        let why = context.remote.refusal().map_or_else(
            || "this process is in no MPI job: start both ends with mpirun".to_owned(),
            |error| error.message,
        );
        let text = silent.text.trim_end();
        return Err(Error::new(LAVA_ERROR_UNREACHABLE, format!("{text}; {why}")));
    }
    // One that is known to share memory is found here.
    Ok(Ways { local, remote: remote && !(local && options.producer.is_some()) })
}

/// Sleeps until a file may have come, for as long as `pause_ns`.
pub fn wait_for_file(
    watch: Option<&directory::Watch<'_>>,
    pause_ns: u64,
    deadline: Deadline,
) -> Result<()> {
    let until = deadline.min(Deadline::after(pause_ns));
    if pause_ns == REMOTE_NS {
        std::thread::sleep(std::time::Duration::from_nanos(until.left_ns().min(REMOTE_NS)));
        return Ok(());
    }
    match watch.and_then(|watch| watch.fd().map(|fd| (watch, fd))) {
        Some((watch, fd)) => {
            if pause_ns == RETRY_NS {
                watch.drain();
            }
            if socket::wait_readable(fd, until)? {
                watch.drain();
            }
        }
        None => {
            std::thread::sleep(std::time::Duration::from_nanos(until.left_ns().min(20_000_000)))
        }
    }
    Ok(())
}
