//! What transfers with a GPU cost, each by every method, beside memcpy and CUDA in the same run. One JSON line each.
//!
//! `cargo run --release -p lava-benches --example transfers -- [--cpu] [SIZE...]`; sizes in bytes, default 4 KiB to 1 GiB.
//! `--cpu` allows a CPU device (lavapipe), which shows that this program works and nothing else.
//!
//! `gb_per_s` counts the bytes moved; within a device, where each byte is read and written, twice.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod cuda;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lava_sys::internals::log::Log;
use lava_sys::internals::memory::vulkan::{
    Allocation, Allowed, Device, GpuSettings, Gpus, Kind, Method, Shape, Which, copy_across,
};
use lava_sys::internals::os::mapping::Mapping;

const SIZES: [u64; 6] = [4 << 10, 64 << 10, 1 << 20, 16 << 20, 256 << 20, 1 << 30];

/// Shapes of the copy shader that are compared: invocations of a group, units of 16 bytes for each.
const SHAPES: [(u32, u32); 8] =
    [(256, 1), (256, 2), (256, 4), (256, 8), (128, 1), (128, 4), (512, 1), (1024, 1)];

/// The median time of one call, after two that warm up.
pub fn measure(mut call: impl FnMut()) -> Duration {
    (0..2).for_each(|_| call());
    let begin = Instant::now();
    let mut times = Vec::new();
    while times.len() < 5 || (begin.elapsed() < Duration::from_millis(200) && times.len() < 2000) {
        let begin = Instant::now();
        call();
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

/// Measures and prints. `passes` says how often each byte is counted.
pub fn report(what: &str, method: &str, size: u64, passes: u32, call: impl FnMut()) {
    let time = measure(call).as_secs_f64();
    let row = serde_json::json!({
        "what": what,
        "method": method,
        "size": size,
        "us": time * 1e6,
        "gb_per_s": size as f64 * f64::from(passes) / time / 1e9,
    });
    println!("{row}");
}

/// The best device, and another: the second best if there are two, else the same card opened once more.
fn open(allowed: Allowed) -> (Arc<Device>, Arc<Device>) {
    let gpus = || Gpus::new(GpuSettings { allowed, ..GpuSettings::default() }, Log::none());
    let first = gpus();
    let device = first.open(Which::Best).unwrap();
    let list = first.list().unwrap();
    let another = list.iter().filter(|info| info.usable.is_ok() && info.kind == device.info().kind);
    let uuid = another.map(|info| info.device_uuid).find(|uuid| *uuid != device.info().device_uuid);
    (device, gpus().open(uuid.map_or(Which::Best, Which::Uuid)).unwrap())
}

/// Bytes that cannot be compressed: GPUs move memory of repeated values faster than any other. Xorshift (Marsaglia 2003).
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..4 << 20).flat_map(|_| next().to_ne_bytes()).collect()
}

fn allocate(device: &Arc<Device>, size: u64) -> Allocation {
    let allocation = Allocation::new(device, size, Kind::DeviceLocal, true).unwrap();
    let noise = noise();
    for at in (0..size).step_by(noise.len()) {
        let length = noise.len().min((size - at) as usize);
        // SAFETY: the noise has that many bytes.
        unsafe { device.upload(&allocation, at, noise.as_ptr(), length) }.unwrap();
    }
    allocation
}

fn within_the_device(device: &Arc<Device>, size: u64) {
    let (to, from) = (allocate(device, size), allocate(device, size));
    let by = |method, shape| {
        let (to, from) = (&to, &from);
        move || device.copy_by(method, shape, (to, 0), (from, 0), size).unwrap()
    };
    report("device to device", "chosen", size, 2, by(Method::Auto, Shape::USUAL));
    report("device to device", "command", size, 2, by(Method::Command, Shape::USUAL));
    for (group, units) in SHAPES {
        let name = format!("shader {group}x{units}");
        report("device to device", &name, size, 2, by(Method::Shader, Shape { group, units }));
    }
    report("fill", "command", size, 1, || device.fill(&to, 0, size, 0).unwrap());
    if size <= 4096 {
        return;
    }
    report("shift by 4 KiB", "through scratch", size, 2, || {
        device.copy(&to, 4096, &to, 0, size - 4096).unwrap();
    });
}

fn with_pageable_memory(device: &Arc<Device>, size: u64) {
    let far = allocate(device, size);
    let mut near = vec![1_u8; size as usize];
    // SAFETY: the vector has `size` bytes.
    report("upload", "pageable", size, 1, || unsafe {
        device.upload(&far, 0, near.as_ptr(), near.len()).unwrap();
    });
    // SAFETY: as above.
    report("download", "pageable", size, 1, || unsafe {
        device.download(&far, 0, near.as_mut_ptr(), near.len()).unwrap();
    });
    let source = vec![2_u8; size as usize];
    report("memcpy", "pageable", size, 1, || {
        near.copy_from_slice(std::hint::black_box(&source));
    });
    if size < 16 << 20 {
        return;
    }
    // One thread's memcpy is slower than the bus: do several threads fill it?
    let part = (size / 4) as usize;
    report("upload", "pageable, 4 threads", size, 1, || {
        std::thread::scope(|scope| {
            for (index, bytes) in source.chunks(part).enumerate() {
                let (far, at) = (&far, (index * part) as u64);
                // SAFETY: a slice is valid for its length.
                scope.spawn(move || unsafe {
                    device.upload(far, at, bytes.as_ptr(), bytes.len()).unwrap();
                });
            }
        });
    });
}

fn with_pinned_memory(device: &Arc<Device>, size: u64) {
    let alignment = device.info().host_import_alignment.max(4096);
    if !device.info().host_import || !size.is_multiple_of(alignment) {
        return;
    }
    let pages = Mapping::private_aligned(size as usize, alignment as usize).unwrap();
    // SAFETY: the pages outlive the import, which is declared later.
    let near = unsafe { Allocation::import_host(device, pages.start(), size) }.unwrap();
    let far = allocate(device, size);
    report("upload", "pinned", size, 1, || device.copy(&far, 0, &near, 0, size).unwrap());
    report("download", "pinned", size, 1, || device.copy(&near, 0, &far, 0, size).unwrap());
    for (group, units) in [(256, 1), (256, 4)] {
        let shape = Shape { group, units };
        let by_shader = |to, from| device.copy_by(Method::Shader, shape, (to, 0), (from, 0), size);
        let name = format!("pinned, shader {group}x{units}");
        report("upload", &name, size, 1, || by_shader(&far, &near).unwrap());
        report("download", &name, size, 1, || by_shader(&near, &far).unwrap());
    }
}

fn between_devices(from: &Arc<Device>, to: &Arc<Device>, size: u64) {
    let (source, target) = (allocate(from, size), allocate(to, size));
    report("device to another", "through the host", size, 1, || {
        copy_across(&target, 0, &source, 0, size).unwrap();
    });
}

fn main() {
    let mut allowed = Allowed::Gpus;
    let mut sizes = Vec::new();
    for word in std::env::args().skip(1) {
        match word.as_str() {
            "--cpu" => allowed = Allowed::All,
            // Of cargo bench and cargo test.
            "--bench" | "--test" => {}
            _ => sizes.push(word.parse().unwrap_or_else(|_| panic!("{word}: not a size in bytes"))),
        }
    }
    if sizes.is_empty() {
        sizes.extend(SIZES);
    }
    let (device, other) = open(allowed);
    eprintln!("{:?}\nand {:?}", device.info(), other.info());
    for &size in &sizes {
        within_the_device(&device, size);
        with_pageable_memory(&device, size);
        with_pinned_memory(&device, size);
        between_devices(&device, &other, size);
        cuda::compare(size);
    }
}
