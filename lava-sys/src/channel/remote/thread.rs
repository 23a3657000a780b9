//! Progress when no thread of the application makes any: it polls, then yields, then sleeps, the longer the less there
//! is to do. MPI has nothing to sleep on.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::progress::{Remote, Wanted};
use crate::error::{Error, Result};
use crate::os::clock::{Deadline, now_ns};
use crate::os::signals;
use crate::types::LAVA_ERROR_LIMIT;

/// Idle time after which the thread yields instead of polling, and sleeps instead of yielding.
const POLL_NS: u64 = 20_000;
const YIELD_NS: u64 = 100_000;
/// First and longest sleep, and the one while there is no connection.
const SLEEP_NS: u64 = 50_000;
const SLEEP_MAX_NS: u64 = 1_000_000;
/// Time without a frame after which the longest sleep is another one: what looking costs is then below 2 % of a processor.
const QUIET_NS: u64 = 1_000_000_000;
const SLEEP_QUIET_NS: u64 = 4_000_000;
const ALONE_NS: u64 = 5_000_000;
/// Sleep while other threads make progress.
const REST_NS: u64 = 200_000;
/// Between two looks whether the job is there.
const JOIN_NS: u64 = 50_000_000;

/// Starts it; it ends with [`Remote::end`].
pub fn start(remote: Arc<Remote>) -> Result<JoinHandle<()>> {
    spawn(move || {
        if join(&remote) {
            run(&remote);
        }
    })
}

/// As [`start`], with the job there.
#[cfg(test)]
pub fn start_running(remote: Arc<Remote>) -> Result<JoinHandle<()>> {
    spawn(move || run(&remote))
}

fn spawn(body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let builder = std::thread::Builder::new().name("lava-mpi".into()).stack_size(1 << 20);
    signals::with_all_blocked(|| builder.spawn(body)).map_err(|error| {
        Error::new(LAVA_ERROR_LIMIT, format!("starting the MPI thread: {error}; raise ulimit -u"))
    })
}

/// Waits until all ranks have met. False: there is nothing to do.
fn join(remote: &Arc<Remote>) -> bool {
    while !remote.has_ended() {
        match remote.start().job(Deadline::after(JOIN_NS)) {
            Ok(None) => {}
            Ok(Some(job)) => match remote.open(&job) {
                Ok(()) => return true,
                Err(error) => {
                    remote.refuse(error);
                    return false;
                }
            },
            Err(error) => {
                remote.refuse(error);
                return false;
            }
        }
    }
    false
}

fn run(remote: &Remote) {
    let mut driven = 0;
    let mut idle_since = now_ns();
    let mut sleep = SLEEP_NS;
    let (mut traffic, mut quiet_since) = (0, idle_since);
    while !remote.has_ended() {
        remote.pause();
        if remote.was_handed() {
            (idle_since, sleep) = (now_ns(), SLEEP_NS);
        } else if remote.was_driven(&mut driven) {
            remote.sleep(REST_NS, true);
            (idle_since, sleep) = (now_ns(), SLEEP_NS);
            continue;
        }
        if remote.round(Wanted::All) {
            (idle_since, sleep) = (now_ns(), SLEEP_NS);
            continue;
        }
        let now = now_ns();
        match now - idle_since {
            idle if idle < POLL_NS => std::hint::spin_loop(),
            idle if idle < YIELD_NS => std::thread::yield_now(),
            _ if remote.with(|engine| engine.is_busy()) == Some(false) => {
                remote.sleep(ALONE_NS, false)
            }
            _ => {
                remote.sleep(sleep, false);
                let seen = remote.with(|engine| engine.traffic()).unwrap_or_default();
                if std::mem::replace(&mut traffic, seen) != seen {
                    quiet_since = now;
                }
                let quiet = now - quiet_since > QUIET_NS;
                sleep = (sleep * 2).min(if quiet { SLEEP_QUIET_NS } else { SLEEP_MAX_NS });
            }
        }
    }
}
