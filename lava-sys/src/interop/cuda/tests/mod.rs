//! What is asked of the driver, in which order and with which arguments: against a stand-in for it.

#![allow(clippy::unwrap_used)]

mod fake;
mod view;

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::ptr::{self, NonNull};

use super::device::Device;
use super::library::Library;
use super::memory::Memory;
use super::semaphore::Semaphore;
use crate::error::Error;
use crate::os::descriptor::still_refers_to;
use crate::os::fork::answer_of_child;
use crate::types::*;
use fake::{Fake, uuid};

/// A descriptor, and a second one to know its file by.
fn descriptor() -> (OwnedFd, OwnedFd) {
    let fd = OwnedFd::from(tempfile::tempfile().unwrap());
    let witness = fd.as_fd().try_clone_to_owned().unwrap();
    (fd, witness)
}

fn assert_says(error: &Error, status: lava_status, words: &[&str]) {
    assert_eq!(error.status, status, "{error}");
    for word in words {
        assert!(error.message.contains(word), "{word}: {error}");
    }
}

#[test]
fn without_a_driver_the_error_says_what_to_install() {
    let error = Library::load(Path::new("/nowhere/libcuda.so.1")).unwrap_err();
    assert_says(&error, LAVA_ERROR_UNSUPPORTED, &["cannot be loaded", "--gpus all"]);
}

#[test]
fn a_driver_that_is_too_old_is_refused() {
    let Some(old) = Fake::new(&["-DOLD"]) else { return };
    let error = old.load().unwrap_err();
    assert_says(&error, LAVA_ERROR_UNSUPPORTED, &["cuImportExternalSemaphore", "460"]);
    let Some(fake) = Fake::new(&[]) else { return };
    fake.set("version", 10_010);
    let error = fake.load().unwrap_err();
    assert_says(&error, LAVA_ERROR_UNSUPPORTED, &["CUDA 10.1", "timeline", "460"]);
    assert_eq!(error.value, 10_010);
}

#[test]
fn a_driver_that_does_not_start_says_why() {
    for (code, status, words) in [
        (100, LAVA_ERROR_DEVICE, ["CUDA_ERROR_NO_DEVICE (100)", "CUDA_VISIBLE_DEVICES"]),
        (3, LAVA_ERROR_DEVICE, ["fork", "spawn"]),
        (34, LAVA_ERROR_UNSUPPORTED, ["stub", "LD_LIBRARY_PATH"]),
        (803, LAVA_ERROR_DEVICE, ["kernel module", "restart"]),
        (12345, LAVA_ERROR_DEVICE, ["(12345)", "does not know"]),
    ] {
        let Some(fake) = Fake::new(&[]) else { return };
        fake.fail("cuInit", code);
        let error = fake.load().unwrap_err();
        assert_says(&error, status, &words);
        assert_eq!(error.value, code as u64);
    }
}

#[test]
fn only_the_device_with_the_uuid_gets_a_context() {
    let Some(fake) = Fake::new(&[]) else { return };
    let device = fake.device(1).unwrap();
    assert_eq!((device.ordinal(), device.context() as usize), (1, 0x1000 + 101));
    assert_eq!((fake.retained(0), fake.retained(1)), (0, 1));
    let again = fake.device(1).unwrap();
    assert_eq!(fake.retained(1), 2);
    drop((device, again));
    assert_eq!((fake.retained(0), fake.retained(1)), (0, 0));
    assert_eq!(fake.depth(), 0);
}

#[test]
fn a_hidden_device_is_named_with_those_that_are_seen() {
    let Some(fake) = Fake::new(&[]) else { return };
    let error = Device::open(fake.load().unwrap(), uuid(7), "NVIDIA H200").unwrap_err();
    let wanted = "GPU-a7a7a7a7-a7a7-a7a7-a7a7-a7a7a7a7a7a7";
    let seen = "GPU-a1a1a1a1-a1a1-a1a1-a1a1-a1a1a1a1a1a1";
    assert_says(&error, LAVA_ERROR_DEVICE, &["NVIDIA H200", wanted, seen]);
    fake.set("devices", 0);
    let error = fake.device(0).unwrap_err();
    assert_says(&error, LAVA_ERROR_DEVICE, &["no device at all"]);
    assert_eq!(fake.retained(0), 0);
}

#[test]
fn memory_is_imported_whole_and_given_back_in_order() {
    let Some(fake) = Fake::new(&[]) else { return };
    let device = fake.device(0).unwrap();
    let (fd, witness) = descriptor();
    let number = fd.as_raw_fd();
    let before = fake.calls().len();
    let memory = Memory::import(&device, fd, 4 << 20, true).unwrap();
    assert_eq!(memory.pointer(), 0x7000_0000_0000);
    assert_ne!(still_refers_to(number, &witness), Some(true), "the driver owns it");
    drop(device);
    assert_eq!(fake.retained(0), 1, "the import keeps the context");
    drop(memory);
    assert_eq!((fake.live(), fake.retained(0), fake.depth()), (0, 0, 0));
    assert_eq!(
        fake.calls()[before..],
        [
            "push 0x1064",
            "cuImportExternalMemory type=1 size=4194304 flags=1 clean=1",
            "cuExternalMemoryGetMappedBuffer 0x2000 offset=0 size=4194304 flags=0 clean=1",
            "pop 0x1064",
            "push 0x1064",
            "cuMemFree 0x700000000000",
            "cuDestroyExternalMemory 0x2000",
            "pop 0x1064",
            "cuDevicePrimaryCtxRelease 100",
        ]
    );
}

#[test]
fn memory_that_is_not_dedicated_is_imported_without_the_flag() {
    let Some(fake) = Fake::new(&[]) else { return };
    let device = fake.device(0).unwrap();
    let _memory = Memory::import(&device, descriptor().0, 65536, false).unwrap();
    let wanted = "cuImportExternalMemory type=1 size=65536 flags=0 clean=1";
    assert!(fake.calls().iter().any(|call| call == wanted));
}

#[test]
fn a_refused_descriptor_is_closed_once() {
    for driver_closes in [false, true] {
        let Some(fake) = Fake::new(&[]) else { return };
        if driver_closes {
            fake.closes_refused();
        }
        let device = fake.device(0).unwrap();
        fake.fail("cuImportExternalMemory", 999);
        let (fd, witness) = descriptor();
        let number = fd.as_raw_fd();
        let error = Memory::import(&device, fd, 4096, false).unwrap_err();
        assert_says(&error, LAVA_ERROR_DEVICE, &["importing 4096 bytes", "(999)"]);
        assert_ne!(still_refers_to(number, &witness), Some(true), "closes: {driver_closes}");
        assert_eq!((fake.live(), fake.depth()), (0, 0));
    }
}

#[test]
fn a_failed_mapping_leaves_nothing() {
    let Some(fake) = Fake::new(&[]) else { return };
    let device = fake.device(0).unwrap();
    fake.fail("cuExternalMemoryGetMappedBuffer", 2);
    let error = Memory::import(&device, descriptor().0, 4096, false).unwrap_err();
    let words = ["CUDA_ERROR_OUT_OF_MEMORY (2): out of memory"];
    assert_says(&error, LAVA_ERROR_OUT_OF_MEMORY, &words);
    assert_eq!((fake.live(), fake.depth()), (0, 0));
}

#[test]
fn streams_wait_and_signal_in_the_primary_context() {
    let Some(fake) = Fake::new(&[]) else { return };
    let device = fake.device(1).unwrap();
    let (fd, witness) = descriptor();
    let number = fd.as_raw_fd();
    let before = fake.calls().len();
    let semaphore = Semaphore::import(&device, fd).unwrap();
    assert_ne!(still_refers_to(number, &witness), Some(true), "the driver owns it");
    // SAFETY: the fake does nothing with streams.
    unsafe {
        semaphore.wait(u64::MAX, ptr::without_provenance_mut(0x55)).unwrap();
        semaphore.signal(7, ptr::null_mut()).unwrap();
    }
    drop(semaphore);
    let calls = fake.calls();
    let inside: Vec<_> = calls[before..].chunks(3).map(|call| call[1].as_str()).collect();
    assert!(
        calls[before..]
            .chunks(3)
            .all(|call| (&*call[0], &*call[2]) == ("push 0x1065", "pop 0x1065"))
    );
    assert_eq!(
        inside,
        [
            "cuImportExternalSemaphore type=9 flags=0 clean=1",
            "wait 0x3000 value=18446744073709551615 n=1 stream=0x55 clean=1",
            "signal 0x3000 value=7 n=1 stream=(nil) clean=1",
            "cuDestroyExternalSemaphore 0x3000",
        ]
    );
    assert_eq!((fake.live(), fake.depth()), (0, 0));
}

#[test]
fn a_stream_of_another_context_is_the_callers_fault() {
    let Some(fake) = Fake::new(&[]) else { return };
    let device = fake.device(0).unwrap();
    let semaphore = Semaphore::import(&device, descriptor().0).unwrap();
    fake.fail("wait", 400);
    // SAFETY: the fake does nothing with streams.
    let error = unsafe { semaphore.wait(1, ptr::null_mut()) }.unwrap_err();
    assert_says(&error, LAVA_ERROR_INVALID_ARGUMENT, &["value 1", "primary context"]);
    assert_eq!(fake.depth(), 0);
}

#[test]
fn host_memory_is_registered_and_ended() {
    let Some(fake) = Fake::new(&[]) else { return };
    let device = fake.device(0).unwrap();
    let mut bytes = vec![0_u8; 8192];
    let start = NonNull::new(bytes.as_mut_ptr()).unwrap();
    // SAFETY: the bytes outlive it.
    let memory = unsafe { Memory::register(&device, start, 8192) }.unwrap();
    assert_eq!(memory.pointer(), start.as_ptr() as u64);
    assert!(fake.calls().iter().any(|call| call == "cuMemHostRegister size=8192 flags=3"));
    drop(memory);
    assert_eq!(fake.live(), 0);
    fake.fail("cuMemHostGetDevicePointer", 801);
    // SAFETY: as above.
    let error = unsafe { Memory::register(&device, start, 8192) }.unwrap_err();
    assert_eq!((error.status, fake.live()), (LAVA_ERROR_UNSUPPORTED, 0));
    fake.fail("cuMemHostRegister", 712);
    // SAFETY: as above.
    let error = unsafe { Memory::register(&device, start, 8192) }.unwrap_err();
    assert_says(&error, LAVA_ERROR_INVALID_ARGUMENT, &["cudaHostUnregister"]);
    assert_eq!(fake.depth(), 0);
}

#[test]
fn nothing_of_cuda_is_called_in_a_forked_child() {
    let Some(fake) = Fake::new(&[]) else { return };
    let device = fake.device(0).unwrap();
    let memory = Memory::import(&device, descriptor().0, 4096, false).unwrap();
    let semaphore = Semaphore::import(&device, descriptor().0).unwrap();
    let called = fake.calls().len();
    assert!(answer_of_child(|| {
        // SAFETY: the fake does nothing with streams.
        let refused = unsafe { semaphore.wait(1, ptr::null_mut()) }.unwrap_err();
        drop((memory, semaphore, device));
        refused.status == LAVA_ERROR_FORKED && fake.calls().len() == called
    }));
}
