//! Waiting on the host for work on the device: never without limit, and never longer inside the driver than a slice.

use std::hint::spin_loop;
use std::time::{Duration, Instant};

use ash::vk;

use super::super::device::Device;
use super::super::failure::failed;
use super::super::info::DeviceKind;
use crate::error::{Error, Result};
use crate::types::LAVA_ERROR_DEVICE;

/// How long to look at the counter before the driver is asked to wait. A blocking wait takes about 20 µs more (H200,
/// doc/adr/0033): after three milliseconds that is less than a hundredth.
const SPIN: Duration = Duration::from_millis(3);

/// How long the driver may keep a thread before it looks around.
const SLICE: Duration = Duration::from_millis(100);

/// Waits until the timeline has reached the value.
pub(super) fn reached(device: &Device, timeline: vk::Semaphore, value: u64) -> Result<()> {
    let begin = Instant::now();
    let limit = device.transfer.limit();
    // On a CPU device the spinning thread would take the processor from the work that it waits for.
    let spin = if device.info().kind == DeviceKind::Cpu { Duration::ZERO } else { SPIN };
    loop {
        // A look at the counter costs 0.04 µs, a look at the clock about as much.
        for _ in 0..16 {
            if counter(device, timeline)? >= value {
                return Ok(());
            }
            spin_loop();
        }
        if begin.elapsed() >= spin {
            break;
        }
    }
    while begin.elapsed() < limit {
        if slice(device, timeline, value)? {
            return Ok(());
        }
    }
    Err(Error::new(
        LAVA_ERROR_DEVICE,
        format!(
            "device {}: a transfer was not done after {} s: the device hangs, or work that was queued before it does",
            device.info().name,
            limit.as_secs_f32()
        ),
    ))
}

/// The timeline's value.
pub(super) fn counter(device: &Device, timeline: vk::Semaphore) -> Result<u64> {
    // SAFETY: the semaphore is a timeline of this device.
    unsafe { device.raw.get_semaphore_counter_value(timeline) }
        .map_err(|result| failed(result, "vkGetSemaphoreCounterValue of a transfer"))
}

fn slice(device: &Device, timeline: vk::Semaphore, value: u64) -> Result<bool> {
    let (timelines, values) = ([timeline], [value]);
    let info = vk::SemaphoreWaitInfo::default().semaphores(&timelines).values(&values);
    // SAFETY: the semaphore is a timeline of this device.
    match unsafe { device.raw.wait_semaphores(&info, SLICE.as_nanos() as u64) } {
        Ok(()) => Ok(true),
        Err(vk::Result::TIMEOUT) => Ok(false),
        Err(result) => Err(failed(result, "vkWaitSemaphores for a transfer")),
    }
}
