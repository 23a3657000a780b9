//! How a producer waits: for consumers, for room, for releases.

use std::sync::Arc;

use super::connection::Connection;
use super::consumer::REMOTE_SPINS;
use super::producer::Producer;
use super::remote::progress::Wanted;
use crate::error::{Error, Hot, Result};
use crate::memory::Buffer;
use crate::os::clock::Deadline;
use crate::os::futex::{self, Word};
use crate::os::membarrier;
use crate::transport::Transport;
use crate::types::*;

/// Looks of a spinning producer between two readings of the clock, and pauses between two looks.
const LOOKS: u32 = 16;
const PAUSES: u32 = 16;

/// How long a call may wait in all: the clock is read only when it has to wait at all.
pub(super) struct Patience {
    timeout_ns: u64,
    deadline: Option<Deadline>,
}

impl Patience {
    pub(super) fn new(timeout_ns: u64) -> Self {
        Self { timeout_ns, deadline: None }
    }

    /// The deadline; an error if there is no time at all.
    pub(super) fn start(&mut self) -> Hot<Deadline> {
        if self.timeout_ns == LAVA_NO_WAIT {
            return Err(LAVA_WOULD_BLOCK);
        }
        Ok(*self.deadline.get_or_insert_with(|| Deadline::after(self.timeout_ns)))
    }
}

impl Producer {
    pub fn wait_consumers(&mut self, count: u32, timeout_ns: u64) -> Result<lava_status> {
        self.enter_control()?;
        let most = self.shared.geometry.max_consumers;
        if count > most {
            return Err(Error::argument(format!(
                "count is {count}; the channel takes {most} consumers"
            ))
            .with_value(count.into()));
        }
        let waited = self.wait(&mut Patience::new(timeout_ns), |producer| {
            Ok((producer.connection_count() >= count).then_some(()))
        });
        waited_status(waited)
    }

    pub fn wait_released(
        &mut self,
        buffer: Option<&Arc<Buffer>>,
        timeout_ns: u64,
    ) -> Result<lava_status> {
        self.enter_control()?;
        let number = match buffer.map(|buffer| self.registry.find(buffer)) {
            Some(None) => return Ok(LAVA_OK),
            Some(Some(number)) => Some(number),
            None => None,
        };
        let waited = self.wait(&mut Patience::new(timeout_ns), |producer| {
            producer.collect();
            let held = match number {
                Some(number) => producer.registry.is_held(number, &producer.pool),
                None => !producer.pool.all_released() || producer.anything_queued(),
            };
            Ok((!held).then_some(()))
        });
        waited_status(waited)
    }

    /// True if a consumer has frames without a slot still to receive.
    fn anything_queued(&mut self) -> bool {
        self.connections
            .iter_mut()
            .any(|connection| connection.is_open() && connection.outlet.queued() > 0)
    }

    /// Waits until `ready` gives something: spins, then sleeps until a consumer claims or releases, or the service
    /// thread has news.
    pub(super) fn wait<T>(
        &mut self,
        patience: &mut Patience,
        mut ready: impl FnMut(&mut Self) -> Hot<Option<T>>,
    ) -> Hot<T> {
        if let Some(found) = ready(self)? {
            return Ok(found);
        }
        let deadline = patience.start()?;
        let spin_until = Deadline::after(self.context.spin_ns).min(deadline);
        loop {
            for _ in 0..LOOKS {
                // Each look takes a line away from the consumer that is being waited for: not too often.
                for _ in 0..PAUSES {
                    std::hint::spin_loop();
                }
                self.context.remote.drive(Wanted::Room);
                self.enter()?;
                if let Some(found) = ready(self)? {
                    return Ok(found);
                }
            }
            if spin_until.passed() {
                break;
            }
        }
        if let Some(found) = self.drive_until(deadline, &mut ready)? {
            return Ok(found);
        }
        self.context.remote.hand_over();
        while !deadline.passed() {
            if let Some(found) = self.sleep(deadline, &mut ready)? {
                return Ok(found);
            }
        }
        Err(LAVA_TIMED_OUT)
    }

    /// With consumers in other hosts: whoever waits for what they give back brings it, for a while.
    fn drive_until<T>(
        &mut self,
        deadline: Deadline,
        ready: &mut impl FnMut(&mut Self) -> Hot<Option<T>>,
    ) -> Hot<Option<T>> {
        let until = Deadline::after(self.context.remote_spin_ns.saturating_mul(REMOTE_SPINS));
        let until = until.min(deadline);
        let mpi = |one: &Connection| one.stats.transport == Transport::Mpi;
        while self.connections.iter().any(mpi) && !until.passed() {
            std::thread::yield_now();
            self.context.remote.drive(Wanted::Room);
            self.enter()?;
            if let Some(found) = ready(self)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// One sleep, with a look before and after it.
    #[cold]
    fn sleep<T>(
        &mut self,
        deadline: Deadline,
        ready: &mut impl FnMut(&mut Self) -> Hot<Option<T>>,
    ) -> Hot<Option<T>> {
        self.enter()?;
        let seen = self.seen;
        let mut expected = [0_u32; LAVA_CONSUMERS_MAX as usize];
        for (value, connection) in expected.iter_mut().zip(&mut self.connections) {
            *value = connection.outlet.set_alarm();
        }
        if self.connections.iter().any(|connection| connection.outlet.needs_barrier()) {
            membarrier::barrier();
        }
        let count = self.connections.len();
        let found = ready(self);
        // With other connections than before, the words below would not be those that were looked at.
        if matches!(found, Ok(None)) && self.seen == seen && self.connections.len() == count {
            let shared = Arc::clone(&self.shared);
            let mut words =
                [Word { word: shared.events(), expected: seen }; LAVA_CONSUMERS_MAX as usize + 1];
            let mut used = 1;
            for (connection, expected) in self.connections.iter().zip(expected) {
                if let Some(word) = connection.outlet.wake_word() {
                    words[used] = Word { word, expected };
                    used += 1;
                }
            }
            futex::wait_any(&words[..used], deadline);
            self.sleeps += 1;
        }
        for connection in &mut self.connections {
            connection.outlet.clear_alarm();
        }
        if found.is_err() || matches!(found, Ok(Some(_))) {
            return found;
        }
        self.enter()?;
        ready(self)
    }
}

/// A wait's outcome for a control function: positive statuses are answers, not errors.
pub(super) fn waited_status(waited: Hot<()>) -> Result<lava_status> {
    match waited {
        Ok(()) => Ok(LAVA_OK),
        Err(status) if status > 0 => Ok(status),
        Err(status) => Err(Error::new(status, "waiting on the channel")),
    }
}
