//! The lanes of a device: as many transfers run at once as there are lanes; further threads wait for one.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::super::device::Device;
use super::lane::Lane;
use crate::error::{Error, Result};
use crate::types::LAVA_ERROR_DEVICE;

/// Lanes of one device. Several, since one thread's memcpy (10 GB/s) does not fill the bus (50 GB/s); few, since each has
/// a ring of pinned memory.
pub(super) const MOST: usize = 4;

#[derive(Default)]
pub(super) struct Lanes {
    state: Mutex<State>,
    given_back: Condvar,
}

#[derive(Default)]
struct State {
    /// The last one given back is taken first: its staging memory is in the cache.
    free: Vec<Lane>,
    made: usize,
    /// Lanes whose work the device did not finish in time. While there is one, nothing new is begun.
    stuck: Vec<Lane>,
}

impl State {
    /// Puts lanes back that are idle by now; whether others are left.
    fn hangs(&mut self, device: &Device) -> bool {
        self.free.extend(self.stuck.extract_if(.., |lane| lane.is_idle(&device.raw)));
        !self.stuck.is_empty()
    }
}

impl Lanes {
    /// Takes a lane, makes one, or waits for one. Whoever holds one gives it back within the limit of its waits.
    pub(super) fn take<'a>(&'a self, device: &'a Device) -> Result<Taken<'a>> {
        device.check_fork()?;
        let mut state = self.lock();
        loop {
            if state.hangs(device) {
                return Err(Error::new(
                    LAVA_ERROR_DEVICE,
                    format!(
                        "device {} hangs: an earlier transfer, or what was queued before it, is not done yet",
                        device.info().name
                    ),
                ));
            }
            if let Some(lane) = state.free.pop() {
                return Ok(Taken { lanes: self, device, lane: Some(lane) });
            }
            if state.made < MOST {
                break;
            }
            state = self.given_back.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.made += 1;
        drop(state);
        match Lane::new(device) {
            Ok(lane) => Ok(Taken { lanes: self, device, lane: Some(lane) }),
            Err(error) => {
                self.lock().made -= 1;
                self.given_back.notify_one();
                Err(error)
            }
        }
    }

    /// Whether the device still works on a transfer that was given up.
    pub(super) fn hangs(&self, device: &Device) -> bool {
        self.lock().hangs(device)
    }

    fn give_back(&self, device: &Device, lane: Lane) {
        // After an error something may still be under way, which uses the lane's memory.
        let idle = lane.is_idle(&device.raw) || lane.finish(device).is_ok();
        let mut state = self.lock();
        if idle {
            state.free.push(lane);
            drop(state);
            self.given_back.notify_one();
        } else {
            state.stuck.push(lane);
            drop(state);
            self.given_back.notify_all();
        }
    }

    /// Destroys all lanes; false if the device still works on one, which then leaks.
    ///
    /// # Safety
    /// No lane is taken, now or later.
    pub(super) unsafe fn destroy(&self, raw: &ash::Device) -> bool {
        let mut state = self.lock();
        let State { free, stuck, .. } = &mut *state;
        let mut all_idle = true;
        for mut lane in free.drain(..).chain(stuck.drain(..)) {
            if lane.is_idle(raw) {
                // SAFETY: idle, and not in the list any more.
                unsafe { lane.destroy(raw) };
            } else {
                all_idle = false;
            }
        }
        all_idle
    }

    /// How many lanes there are.
    #[cfg(test)]
    pub(super) fn made(&self) -> usize {
        self.lock().made
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lane in use; dropped, it is given back.
pub(super) struct Taken<'a> {
    lanes: &'a Lanes,
    device: &'a Device,
    lane: Option<Lane>,
}

impl Deref for Taken<'_> {
    type Target = Lane;

    fn deref(&self) -> &Lane {
        self.lane.as_ref().unwrap_or_else(|| unreachable!("taken out by drop only"))
    }
}

impl DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut Lane {
        self.lane.as_mut().unwrap_or_else(|| unreachable!("taken out by drop only"))
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(lane) = self.lane.take() {
            self.lanes.give_back(self.device, lane);
        }
    }
}
