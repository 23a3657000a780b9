//! The stand-in for CUDA's driver: compiled when a test asks for it, one copy a test.

use std::ffi::{CStr, CString, c_char, c_int};
use std::process::Command;
use std::sync::Arc;

use super::super::device::Device;
use super::super::library::Library;
use crate::error::Result;

/// The UUID of the fake's device of an ordinal.
pub fn uuid(ordinal: u8) -> [u8; 16] {
    [0xa0 + ordinal; 16]
}

pub struct Fake {
    directory: tempfile::TempDir,
    controls: libloading::Library,
}

impl Fake {
    /// `None`, with a line that says so, where there is no C compiler.
    pub fn new(flags: &[&str]) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("fake.c");
        std::fs::write(&source, include_str!("fake.c")).unwrap();
        let library = directory.path().join("libcuda.so.1");
        let compiler = Command::new("cc")
            .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .args(flags)
            .arg(&source)
            .output();
        let Ok(output) = compiler else {
            println!("skipped: no C compiler");
            return None;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // SAFETY: it runs nothing when it is loaded.
        let controls = unsafe { libloading::Library::new(&library) }.unwrap();
        Some(Self { directory, controls })
    }

    pub fn load(&self) -> Result<Library> {
        Library::load(&self.directory.path().join("libcuda.so.1"))
    }

    pub fn device(&self, ordinal: u8) -> Result<Arc<Device>> {
        Device::open(self.load()?, uuid(ordinal), "Fake GPU").map(Arc::new)
    }

    fn control<T: Copy>(&self, name: &str) -> T {
        // SAFETY: the callers name functions of fake.c with their types.
        unsafe { *self.controls.get::<T>(name.as_bytes()).unwrap() }
    }

    /// The calls made, a line each, without those of opening the device.
    pub fn calls(&self) -> Vec<String> {
        let calls = self.control::<unsafe extern "C" fn() -> *const c_char>("fake_calls");
        // SAFETY: the fake's own text, with its NUL.
        let text = unsafe { CStr::from_ptr(calls()) }.to_str().unwrap();
        text.lines().map(String::from).collect()
    }

    /// What was made and not yet ended.
    pub fn live(&self) -> c_int {
        // SAFETY: takes nothing.
        unsafe { self.control::<unsafe extern "C" fn() -> c_int>("fake_live")() }
    }

    /// How many contexts this thread has pushed.
    pub fn depth(&self) -> c_int {
        // SAFETY: takes nothing.
        unsafe { self.control::<unsafe extern "C" fn() -> c_int>("fake_depth")() }
    }

    /// How often the primary context of a device is retained.
    pub fn retained(&self, ordinal: c_int) -> c_int {
        // SAFETY: the tests' ordinals are in range.
        unsafe { self.control::<unsafe extern "C" fn(c_int) -> c_int>("fake_retained")(ordinal) }
    }

    pub fn set(&self, what: &str, value: c_int) {
        // SAFETY: these functions take one number.
        unsafe { self.control::<unsafe extern "C" fn(c_int)>(&format!("fake_{what}"))(value) }
    }

    pub fn closes_refused(&self) {
        // SAFETY: takes nothing.
        unsafe { self.control::<unsafe extern "C" fn()>("fake_closes_refused")() }
    }

    pub fn fail(&self, function: &str, code: c_int) {
        let name = CString::new(function).unwrap();
        // SAFETY: the name is copied.
        unsafe {
            self.control::<unsafe extern "C" fn(*const c_char, c_int)>("fake_fail")(
                name.as_ptr(),
                code,
            );
        }
    }
}
