//! Transfers against a model in plain vectors, on whatever device is here.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::thread;

use ash::vk::Handle as _;
use proptest::prelude::*;

use super::super::testing::{device, gpus};
use super::super::{Device, Kind, Timeline, Which};
use super::shader::{SETS, UNIT};
use super::*;
use crate::types::LAVA_ERROR_DEVICE;

fn filled(device: &Arc<Device>, size: u64, kind: Kind) -> Allocation {
    let allocation = Allocation::new(device, size, kind, false).unwrap();
    device.fill(&allocation, 0, allocation.size(), 0).unwrap();
    allocation
}

fn put(to: &Allocation, at: u64, bytes: &[u8]) {
    // SAFETY: a slice is valid for its length.
    unsafe { to.device().upload(to, at, bytes.as_ptr(), bytes.len()) }.unwrap();
}

fn get(from: &Allocation, at: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0xa5; size];
    // SAFETY: the vector has `size` bytes.
    unsafe { from.device().download(from, at, bytes.as_mut_ptr(), size) }.unwrap();
    bytes
}

/// Bytes without a short period.
fn pattern(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..size).map(|_| next()).collect()
}

/// A device of its own for this test: on one card, two devices as far as Vulkan knows.
fn other_device() -> Arc<Device> {
    gpus().open(Which::Best).unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Put(usize, u64, Vec<u8>),
    Fill(usize, u64, u64, u8),
    Copy(usize, usize, u64, u64, u64, Method, Shape),
    Across(u64, u64, u64),
}

const SIZE: u64 = 5000;

fn step() -> impl Strategy<Value = Step> {
    let at = || 0..SIZE;
    let which = || 0..3_usize;
    let method = prop_oneof![Just(Method::Auto), Just(Method::Command), Just(Method::Shader)];
    let shape = (prop_oneof![Just(64_u32), Just(256)], 1..4_u32)
        .prop_map(|(group, units)| Shape { group, units });
    prop_oneof![
        (which(), at(), prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(which, at, bytes)| Step::Put(which, at, bytes)),
        (which(), at(), at(), any::<u8>())
            .prop_map(|(which, at, size, value)| Step::Fill(which, at, size, value)),
        (which(), which(), at(), at(), at(), method, shape).prop_map(
            |(to, from, to_at, from_at, size, method, shape)| {
                // Half of them where the shader can copy.
                let from_at =
                    if size % 2 == 0 { from_at / UNIT * UNIT + to_at % UNIT } else { from_at };
                Step::Copy(to, from, to_at, from_at, size, method, shape)
            }
        ),
        (at(), at(), at()).prop_map(|(to, from, size)| Step::Across(to, from, size)),
    ]
}

/// Cuts a size to what is there behind all offsets.
fn fit(size: u64, offsets: &[u64]) -> u64 {
    size.min(SIZE - offsets.iter().max().unwrap().min(&SIZE))
}

fn play(step: &Step, real: &[Allocation; 3], model: &mut [Vec<u8>; 3]) {
    let span = |at: u64, size: u64| at as usize..(at + size) as usize;
    match step {
        Step::Put(which, at, bytes) => {
            let bytes = &bytes[..fit(bytes.len() as u64, &[*at]) as usize];
            put(&real[*which], *at, bytes);
            model[*which][span(*at, bytes.len() as u64)].copy_from_slice(bytes);
        }
        Step::Fill(which, at, size, value) => {
            let size = fit(*size, &[*at]);
            real[*which].device().fill(&real[*which], *at, size, *value).unwrap();
            model[*which][span(*at, size)].fill(*value);
        }
        Step::Copy(to, from, to_at, from_at, size, method, shape) => {
            let size = fit(*size, &[*to_at, *from_at]);
            if size > 0 {
                let ends = ((&real[*to], *to_at), (&real[*from], *from_at));
                real[*to].device().copy_by(*method, *shape, ends.0, ends.1, size).unwrap();
                let bytes = model[*from][span(*from_at, size)].to_vec();
                model[*to][span(*to_at, size)].copy_from_slice(&bytes);
            }
        }
        Step::Across(..) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { fork: false, timeout: 0, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn memory_of_a_device_behaves_as_vectors(steps in prop::collection::vec(step(), 1..25)) {
        let Some(device) = device() else { return Ok(()) };
        let other = filled(&other_of_process(), SIZE, Kind::DeviceLocal);
        let real = [
            filled(&device, SIZE, Kind::DeviceLocal),
            filled(&device, SIZE, Kind::HostVisible),
            shareable(&device, SIZE),
        ];
        let mut model = [(); 3].map(|()| vec![0_u8; SIZE as usize]);
        let mut far = vec![0_u8; SIZE as usize];
        for step in &steps {
            play(step, &real, &mut model);
            if let Step::Across(to_at, from_at, size) = step {
                let size = fit(*size, &[*to_at, *from_at]);
                let (to, from) = (*to_at as usize, *from_at as usize);
                copy_across(&other, *to_at, &real[2], *from_at, size).unwrap();
                far[to..to + size as usize].copy_from_slice(&model[2][from..from + size as usize]);
                copy_across(&real[0], *from_at, &other, *to_at, size).unwrap();
                model[0][from..from + size as usize].copy_from_slice(&far[to..to + size as usize]);
            }
        }
        for (real, model) in real.iter().zip(&model) {
            prop_assert_eq!(&get(real, 0, SIZE as usize), model);
        }
        prop_assert_eq!(get(&other, 0, SIZE as usize), far);
    }

    #[test]
    fn overlapping_ranges_move_as_memmove_does(
        from in 0..3000_u64, to in 0..3000_u64, size in 1..2000_u64,
        window in 16..600_u64, submission in 600..3000_u64,
    ) {
        let Some(device) = device() else { return Ok(()) };
        let allocation = filled(&device, SIZE, Kind::DeviceLocal);
        let mut model = pattern(SIZE as usize, 7);
        put(&allocation, 0, &model);
        model.copy_within(from as usize..(from + size) as usize, to as usize);
        let ranges = (range(&allocation, from, size), range(&allocation, to, size));
        let sizes = Sizes { submission, window };
        let mut lane = device.transfer.lanes.take(&device).unwrap();
        copy::overlapping(&mut lane, &device, ranges, sizes).unwrap();
        drop(lane);
        prop_assert_eq!(get(&allocation, 0, SIZE as usize), model);
    }

    #[test]
    fn long_copies_and_fills_are_cut_without_a_seam(
        at in 0..64_u64, apart in 0..4_u64, size in 1..60_000_u64, value in any::<u8>(),
        submission in 1000..30_000_u64, groups in 1..5_u64, span in 1024..4096_u64,
        alignment in prop_oneof![Just(16_u64), Just(64), Just(256)],
    ) {
        let Some(device) = device() else { return Ok(()) };
        let from = filled(&device, 64 << 10, Kind::DeviceLocal);
        let to = filled(&device, 64 << 10, Kind::DeviceLocal);
        let bytes = pattern(size as usize, at);
        put(&from, at, &bytes);
        let sizes = Sizes { submission: submission / UNIT * UNIT, ..Sizes::USUAL };
        let mut shader = device.transfer.shader(&device, Shape { group: 64, units: 2 }).unwrap();
        shader.cut.groups = groups;
        shader.cut.span = span;
        shader.cut.alignment = alignment;
        let to_at = at + apart * UNIT;
        let ranges = (range(&from, at, size), range(&to, to_at, size));
        let mut lane = device.transfer.lanes.take(&device).unwrap();
        copy::apart(&mut lane, &device, ranges, Some(&shader), sizes).unwrap();
        let copied = get(&to, 0, 64 << 10);
        prop_assert_eq!(&copied[to_at as usize..][..size as usize], &bytes);
        prop_assert!(copied[..to_at as usize].iter().all(|byte| *byte == 0));
        prop_assert!(copied[(to_at + size) as usize..].iter().all(|byte| *byte == 0));
        fill::fill(&mut lane, &device, ranges.1, value, sizes).unwrap();
        let mut wanted = vec![0; 64 << 10];
        wanted[to_at as usize..][..size as usize].fill(value);
        prop_assert_eq!(get(&to, 0, 64 << 10), wanted);
    }
}

/// One second device for all cases: opening takes long.
fn other_of_process() -> Arc<Device> {
    static OTHER: std::sync::OnceLock<Arc<Device>> = std::sync::OnceLock::new();
    Arc::clone(OTHER.get_or_init(other_device))
}

fn shareable(device: &Arc<Device>, size: u64) -> Allocation {
    let allocation = Allocation::new(device, size, Kind::DeviceLocal, device.info().exportable);
    let allocation = allocation.unwrap();
    device.fill(&allocation, 0, allocation.size(), 0).unwrap();
    allocation
}

#[test]
fn large_transfers_go_round_the_ring() {
    let Some(device) = device() else { return };
    let allocation = filled(&device, 24 << 20, Kind::DeviceLocal);
    // Around the bounds between one copy, a short ring and a ring that is used again.
    for size in [65_536, 65_537, 262_145, 1 << 20, (8 << 20) + 1, (17 << 20) + 12_345] {
        let bytes = pattern(size, size as u64);
        put(&allocation, 3, &bytes);
        assert!(get(&allocation, 3, size) == bytes, "{size} bytes");
    }
    assert_eq!(get(&allocation, 0, 3), [0; 3]);
}

#[test]
fn large_copies_are_the_same_by_every_method() {
    let Some(device) = device() else { return };
    let size = (5 << 20) + 77;
    let bytes = pattern(size, 1);
    let from = filled(&device, 8 << 20, Kind::DeviceLocal);
    let to = filled(&device, 8 << 20, Kind::DeviceLocal);
    put(&from, 21, &bytes);
    for method in [Method::Auto, Method::Command, Method::Shader] {
        for at in [5, 6] {
            device.fill(&to, 0, to.size(), 0xff).unwrap();
            device.copy_by(method, Shape::USUAL, (&to, at), (&from, 21), size as u64).unwrap();
            assert!(get(&to, at, size) == bytes, "{method:?} to {at}");
            assert_eq!(get(&to, at - 1, 1), [0xff]);
            assert_eq!(get(&to, at + size as u64, 1), [0xff]);
        }
    }
}

#[test]
fn a_shift_by_one_byte_of_more_than_the_scratch_memory() {
    let Some(device) = device() else { return };
    let size = (lane::SCRATCH + 4321) as usize;
    let allocation = filled(&device, 40 << 20, Kind::DeviceLocal);
    let bytes = pattern(size, 2);
    put(&allocation, 0, &bytes);
    device.copy(&allocation, 1, &allocation, 0, size as u64).unwrap();
    assert!(get(&allocation, 1, size) == bytes);
    device.copy(&allocation, 0, &allocation, 1, size as u64).unwrap();
    assert!(get(&allocation, 0, size) == bytes);
}

#[test]
fn host_memory_is_copied_in_place() {
    let Some(device) = device() else { return };
    if !device.info().host_import {
        return println!("skipped: no VK_EXT_external_memory_host");
    }
    let pages = shared::pages().unwrap();
    // SAFETY: the pages outlive the allocation, which is declared later.
    let host =
        unsafe { Allocation::import_host(&device, pages.start(), pages.size() as u64) }.unwrap();
    let far = filled(&device, pages.size() as u64, Kind::DeviceLocal);
    let bytes = pattern(pages.size(), 3);
    // SAFETY: the pages are this test's, and as large as the vector.
    unsafe { pages.start().as_ptr().copy_from(bytes.as_ptr(), bytes.len()) };
    device.copy(&far, 0, &host, 0, far.size()).unwrap();
    assert!(get(&far, 0, bytes.len()) == bytes);
    device.fill(&far, 5, 1 << 20, 9).unwrap();
    device.copy(&host, 0, &far, 0, far.size()).unwrap();
    // SAFETY: as above; the device has done with them.
    let seen = unsafe { std::slice::from_raw_parts(pages.start().as_ptr(), pages.size()) };
    assert!(seen[..5] == bytes[..5] && seen[5..5 + (1 << 20)].iter().all(|byte| *byte == 9));
    assert!(seen[5 + (1 << 20)..] == bytes[5 + (1 << 20)..]);
}

#[test]
fn two_devices_copy_through_one_ring_or_two() {
    let Some(near) = device() else { return };
    let far = other_device();
    assert!(!Arc::ptr_eq(&near, &far));
    let from = filled(&near, 24 << 20, Kind::DeviceLocal);
    let to = filled(&far, 24 << 20, Kind::DeviceLocal);
    for size in [1, 70_000, (17 << 20) + 999] {
        let bytes = pattern(size, 4);
        put(&from, 1, &bytes);
        copy_across(&to, 2, &from, 1, size as u64).unwrap();
        assert!(get(&to, 2, size) == bytes, "one ring, {size} bytes");
        let (mut near_lane, mut far_lane) =
            (near.transfer.lanes.take(&near).unwrap(), far.transfer.lanes.take(&far).unwrap());
        let mut source =
            End { device: &far, lane: &mut far_lane, range: range(&to, 2, size as u64) };
        let mut target =
            End { device: &near, lane: &mut near_lane, range: range(&from, 7, size as u64) };
        let ring = across::two_rings(&mut source, &mut target).unwrap();
        across::pump(&mut source, &mut target, &ring).unwrap();
        drop((near_lane, far_lane));
        assert!(get(&from, 7, size) == bytes, "two rings, {size} bytes");
    }
}

#[test]
fn a_slow_target_is_waited_for() {
    let Some(near) = device() else { return };
    let far = other_device();
    let size = 17 << 20;
    let from = filled(&near, size, Kind::DeviceLocal);
    let to = filled(&far, size, Kind::DeviceLocal);
    let bytes = pattern(size as usize, 8);
    put(&from, 0, &bytes);
    thread::scope(|scope| {
        // Keeps the target's queue busy, so that its part of each chunk comes late.
        scope.spawn(|| {
            let busy = filled(&far, 4 << 20, Kind::DeviceLocal);
            let ends = ((&busy, 0), (&busy, 2 << 20));
            for _ in 0..20 {
                far.copy_by(Method::Shader, Shape::USUAL, ends.0, ends.1, 2 << 20).unwrap();
            }
        });
        for _ in 0..3 {
            far.fill(&to, 0, size, 0).unwrap();
            copy_across(&to, 0, &from, 0, size).unwrap();
            assert!(get(&to, 0, size as usize) == bytes);
        }
    });
}

#[test]
fn threads_transfer_at_the_same_time() {
    let Some(near) = device() else { return };
    let far = other_device();
    let (one, two) =
        (filled(&near, 8 << 20, Kind::DeviceLocal), filled(&far, 8 << 20, Kind::DeviceLocal));
    thread::scope(|scope| {
        for thread in 0..8_u64 {
            let (one, two) = (&one, &two);
            scope.spawn(move || {
                let at = thread << 20;
                for round in 0..12 {
                    let size = 1 + (round * 7919 * (thread + 1)) as usize % 900_000;
                    let bytes = pattern(size, thread * 100 + round);
                    // Both directions at once: threads want the two devices' lanes in both orders.
                    let (near, far) = if thread % 2 == 0 { (one, two) } else { (two, one) };
                    put(near, at, &bytes);
                    copy_across(far, at + 1, near, at, size as u64).unwrap();
                    near.device().fill(near, at, size as u64, 1).unwrap();
                    assert!(get(far, at + 1, size) == bytes, "thread {thread} round {round}");
                    assert!(get(near, at, size).iter().all(|byte| *byte == 1));
                }
            });
        }
    });
    assert!(near.transfer.lanes.made() <= lanes::MOST);
}

#[test]
fn one_thread_needs_one_lane_and_makes_nothing_anew() {
    let Some(_) = device() else { return };
    let device = other_device();
    let allocation = filled(&device, 4 << 20, Kind::DeviceLocal);
    let bytes = pattern(3 << 20, 5);
    for _ in 0..50 {
        put(&allocation, 9, &bytes);
        put(&allocation, 1, &bytes[..100]);
        device.copy(&allocation, 2, &allocation, 0, 1 << 20).unwrap();
        let ends = ((&allocation, 0), (&allocation, 2 << 20));
        device.copy_by(Method::Shader, Shape::USUAL, ends.0, ends.1, 4096).unwrap();
        get(&allocation, 0, 3 << 20);
    }
    assert_eq!(device.transfer.lanes.made(), 1);
}

#[test]
fn devices_and_memory_end_in_any_order() {
    if device().is_none() {
        return;
    }
    let (near, far) = (other_device(), other_device());
    let from = filled(&near, 3 << 20, Kind::DeviceLocal);
    let to = filled(&far, 3 << 20, Kind::DeviceLocal);
    let bytes = pattern(3 << 20, 6);
    put(&from, 0, &bytes);
    copy_across(&to, 0, &from, 0, 3 << 20).unwrap();
    let shape = Shape::USUAL;
    near.copy_by(Method::Shader, shape, (&from, 0), (&from, 1 << 20), 1 << 20).unwrap();
    // The source goes with its device; the target still holds an import of their ring.
    drop(near);
    drop(from);
    assert!(get(&to, 0, bytes.len()) == bytes);
    drop(far);
    assert!(get(&to, 0, bytes.len()) == bytes);
    let again = other_device();
    let third = filled(&again, 3 << 20, Kind::DeviceLocal);
    copy_across(&to, 0, &third, 0, 3 << 20).unwrap();
    assert!(get(&to, 0, bytes.len()).iter().all(|byte| *byte == 0));
}

#[test]
fn a_device_that_hangs_is_an_error_until_it_moves_on() {
    if device().is_none() {
        return;
    }
    let device = other_device();
    let allocation = filled(&device, 4096, Kind::DeviceLocal);
    device.transfer.limit.set(Duration::from_millis(300)).unwrap();
    let never = Timeline::new(&device, false).unwrap();
    let (semaphores, stages, values) =
        ([vk::Semaphore::from_raw(never.raw())], [vk::PipelineStageFlags::ALL_COMMANDS], [1]);
    let mut wait = vk::TimelineSemaphoreSubmitInfo::default().wait_semaphore_values(&values);
    let blocked = vk::SubmitInfo::default()
        .wait_semaphores(&semaphores)
        .wait_dst_stage_mask(&stages)
        .push_next(&mut wait);
    // SAFETY: the timeline is of this device and lives until the device has moved on.
    unsafe { device.submit(&[blocked], vk::Fence::null()) }.unwrap();
    let error = device.fill(&allocation, 0, 4096, 1).unwrap_err();
    assert_eq!(error.status, LAVA_ERROR_DEVICE);
    assert!(error.message.contains("0.3 s"), "{error}");
    let begin = std::time::Instant::now();
    let error = device.copy(&allocation, 0, &allocation, 64, 64).unwrap_err();
    assert!(error.message.contains("hangs") && begin.elapsed().as_millis() < 100, "{error}");
    never.signal(1).unwrap();
    while device.fill(&allocation, 0, 4096, 2).is_err() {
        assert!(begin.elapsed().as_secs() < 30);
    }
    assert_eq!(get(&allocation, 0, 4096), [2; 4096]);
    assert_eq!(device.transfer.lanes.made(), 1);
}

#[test]
fn nothing_is_done_for_no_bytes() {
    let Some(device) = device() else { return };
    let allocation = filled(&device, 100, Kind::DeviceLocal);
    put(&allocation, 50, &[]);
    get(&allocation, 100, 0);
    device.fill(&allocation, 100, 0, 1).unwrap();
    device.copy(&allocation, 0, &allocation, 100, 0).unwrap();
    copy_across(&allocation, 0, &allocation, 100, 0).unwrap();
    assert_eq!(get(&allocation, 0, 100), [0; 100]);
}

#[test]
fn what_the_shader_is_compiled_from_is_what_is_in_the_source() {
    use std::process::Command;
    let version = Command::new("glslangValidator").arg("--version").output();
    let Ok(version) = version else {
        return println!("skipped: no glslangValidator (Debian: glslang-tools)");
    };
    // Another compiler may write other code for the same source.
    const COMPILER: &str = "Glslang Version: 11:12.0.0";
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    if !version.contains(COMPILER) {
        return println!("skipped: this is not {COMPILER}, which copy.spv is made by: {version}");
    }
    let directory = tempfile::tempdir().unwrap();
    let made = directory.path().join("copy.spv");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/copy.comp");
    let compiled = Command::new("glslangValidator")
        .args(["-V", "--target-env", "vulkan1.2", source, "-o"])
        .arg(&made)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stdout));
    assert!(
        std::fs::read(made).unwrap() == shader::CODE,
        "copy.spv is not what copy.comp compiles to; run the command in copy.comp"
    );
}

#[test]
fn dispatches_stay_within_the_limits() {
    let cut = shader::Cut { alignment: 256, span: (1 << 27) - 1, group: 4096, groups: 65_535 };
    assert_eq!(cut.most(), (1 << 27) - 512);
    let few = shader::Cut { groups: 10, ..cut };
    assert_eq!(few.most(), 40_960);
    assert!(cut.most() * SETS as u64 >= 1 << 29);
}
