//! Nothing is left behind: by many lives, by threads, by forked children.
#![allow(clippy::unwrap_used)]

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::testing::{alone, device, gpus, is_alone};
use super::*;
use crate::error::Result;
use crate::os::fork::answer_of_child;
use crate::os::mapping::Mapping;
use crate::types::*;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Bytes of this process's memory that are present.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// False in the process of all tests, which first runs the test in one of its own, if there is a device.
fn in_its_own_process(test: &str) -> bool {
    if !is_alone(test) && device().is_some() {
        alone(test, &[]);
    }
    is_alone(test)
}

/// Everything that is made once, and given back.
fn one_life(device: &Arc<Device>, host: &Mapping) -> Result<()> {
    let one = Allocation::new(device, 1 << 20, Kind::DeviceLocal, true)?;
    device.fill(&one, 0, 1 << 20, 1)?;
    let two = Allocation::import(device, one.export()?, one.recipe())?;
    drop(Allocation::import(device, two.export()?, two.recipe())?);
    drop(Allocation::new(device, 1 << 20, Kind::HostVisible, false)?);
    if device.info().host_import {
        // SAFETY: the mapping outlives the allocation.
        drop(unsafe { Allocation::import_host(device, host.start(), host.size() as u64) }?);
    }
    let timeline = Timeline::new(device, false)?;
    timeline.signal(1)?;
    // A failed import leaves nothing either.
    let false_recipe = Recipe { memory_type: 31, ..*one.recipe() };
    assert!(Allocation::import(device, one.export()?, &false_recipe).is_err());
    let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    assert!(Allocation::import(device, null, one.recipe()).is_err());
    Ok(())
}

#[test]
fn a_thousand_lives_leave_nothing() {
    const NAME: &str = "memory::vulkan::lifetime_tests::a_thousand_lives_leave_nothing";
    if !in_its_own_process(NAME) {
        return;
    }
    let (device, host) = (device().unwrap(), Mapping::private(1 << 20).unwrap());
    (0..50).for_each(|_| one_life(&device, &host).unwrap());
    let before = (descriptors(), resident());
    (0..1000).for_each(|_| one_life(&device, &host).unwrap());
    assert_eq!(descriptors(), before.0);
    let grown = resident().saturating_sub(before.1);
    assert!(grown < 16 << 20, "{grown} bytes more after 1000 lives of 4 MiB");
}

#[test]
fn contexts_come_and_go() {
    const NAME: &str = "memory::vulkan::lifetime_tests::contexts_come_and_go";
    if !in_its_own_process(NAME) {
        return;
    }
    let host = Mapping::private(1 << 20).unwrap();
    let life = || {
        let device = gpus().open(Which::Best).unwrap();
        one_life(&device, &host).unwrap();
    };
    (0..3).for_each(|_| life());
    let before = descriptors();
    (0..20).for_each(|_| life());
    assert_eq!(descriptors(), before);
    // What lies in a device keeps it and its instance, whatever else is gone.
    let last =
        Allocation::new(&gpus().open(Which::Best).unwrap(), 4096, Kind::DeviceLocal, true).unwrap();
    last.device().fill(&last, 0, 4096, 1).unwrap();
}

#[test]
fn threads_share_a_device() {
    let Some(device) = device() else { return };
    let host = Mapping::private(1 << 20).unwrap();
    std::thread::scope(|scope| {
        for number in 0..6_u8 {
            let (device, host) = (&device, &host);
            scope.spawn(move || {
                for _ in 0..20 {
                    one_life(device, host).unwrap();
                    let own = Allocation::new(device, 70_000, Kind::DeviceLocal, false).unwrap();
                    device.fill(&own, 0, 70_000, number).unwrap();
                    let mut bytes = vec![0xee; 70_000];
                    // SAFETY: the vector has so many bytes.
                    unsafe { device.download(&own, 0, bytes.as_mut_ptr(), bytes.len()) }.unwrap();
                    assert!(bytes.iter().all(|byte| *byte == number));
                }
            });
        }
    });
}

/// In the child every call is an error, and dropping what the parent made touches nothing.
#[test]
fn a_forked_child_calls_nothing() {
    const NAME: &str = "memory::vulkan::lifetime_tests::a_forked_child_calls_nothing";
    if !in_its_own_process(NAME) {
        return;
    }
    let gpus = gpus();
    let device = gpus.open(Which::Best).unwrap();
    let shared = Allocation::new(&device, 4096, Kind::DeviceLocal, true).unwrap();
    let timeline = Timeline::new(&device, false).unwrap();
    device.fill(&shared, 0, 4096, 1).unwrap();
    let mut parents = Some((gpus, device, shared, timeline));
    let child_is_kept_out = answer_of_child(|| {
        let Some((gpus, device, shared, timeline)) = parents.take() else { return false };
        let forked =
            |result: Result<()>| result.is_err_and(|error| error.status == LAVA_ERROR_FORKED);
        let answers = [
            forked(gpus.list().map(drop)),
            forked(super::testing::gpus().list().map(drop)),
            forked(Allocation::new(&device, 4096, Kind::DeviceLocal, true).map(drop)),
            forked(shared.export().map(drop)),
            forked(device.fill(&shared, 0, 4096, 2)),
            forked(timeline.value().map(drop)),
            forked(timeline.signal(1)),
            forked(timeline.wait(1, 0).map(drop)),
        ];
        drop((timeline, shared, device, gpus));
        answers == [true; 8]
    });
    assert!(child_is_kept_out);
    let (_gpus, device, shared, timeline) = parents.unwrap();
    device.fill(&shared, 0, 4096, 3).unwrap();
    timeline.signal(1).unwrap();
}
