//! What MPI says about a call that failed.

use std::ffi::{c_char, c_int};

use mpi_sys::*;

use crate::table::{FAILED, Failure, TRUNCATED};

/// A failed call: its code of the table, MPI's error class, and the words.
pub struct Fault {
    pub code: i32,
    pub class: i32,
    pub text: String,
}

impl Fault {
    pub fn new(code: i32, text: impl Into<String>) -> Self {
        Self { code, class: 0, text: text.into() }
    }

    /// From what an MPI function returned, other than success.
    pub fn of_mpi(returned: c_int, function: &str) -> Self {
        let mut text = [0_u8; 1024];
        let (mut length, mut class) = (0, 0);
        // SAFETY: the text has more than MPI_MAX_ERROR_STRING bytes (256 in Open MPI, 512 or 1024 in MPICH).
        unsafe {
            MPI_Error_class(returned, &raw mut class);
            MPI_Error_string(returned, text.as_mut_ptr().cast::<c_char>(), &raw mut length);
        }
        let used = text.get(..usize::try_from(length).unwrap_or(0)).unwrap_or_default();
        let words = String::from_utf8_lossy(used).replace('\n', " ");
        Self { code: code_of(class), class, text: format!("{function}: {words}") }
    }

    /// # Safety
    /// `out` is NULL or valid for writing.
    pub unsafe fn report(&self, out: *mut Failure) -> i32 {
        // SAFETY: the caller's promise.
        if let Some(out) = unsafe { out.as_mut() } {
            out.class = self.class;
            out.length = copy(&self.text, &mut out.text);
        }
        self.code
    }
}

/// The table's code of an MPI error class.
pub fn code_of(class: c_int) -> i32 {
    if class == MPI_ERR_TRUNCATE as c_int { TRUNCATED } else { FAILED }
}

/// An error if an MPI function returned one.
pub fn check(returned: c_int, function: &str) -> Result<(), Fault> {
    if returned == MPI_SUCCESS as c_int { Ok(()) } else { Err(Fault::of_mpi(returned, function)) }
}

/// Copies as much text as fits, cut at a character's end; gives the bytes used.
pub fn copy(text: &str, out: &mut [u8]) -> u32 {
    let end = text.floor_char_boundary(out.len());
    out[..end].copy_from_slice(&text.as_bytes()[..end]);
    end as u32
}
