//! The shared objects of this process.

use std::ffi::{CStr, OsStr, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Paths of the loaded shared libraries, in the order in which they were loaded; the program itself is not among them.
pub fn loaded() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let add: &mut Add<'_> = &mut |info| {
        let name = name_of(info);
        if !name.as_os_str().is_empty() {
            found.push(name.to_owned());
        }
    };
    visit(add);
    found
}

/// The file that this code was loaded from: the library, or the program that contains it.
pub fn own() -> Option<PathBuf> {
    let here = own as fn() -> Option<PathBuf> as usize as u64;
    let mut found = None;
    let add: &mut Add<'_> = &mut |info| {
        // SAFETY: the loader's array of headers, with that many entries, valid for the call.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
        let contains = headers.iter().any(|header| {
            let start = info.dlpi_addr.wrapping_add(header.p_vaddr);
            header.p_type == libc::PT_LOAD && (start..start + header.p_memsz).contains(&here)
        });
        if contains {
            found = Some(name_of(info).to_owned());
        }
    };
    visit(add);
    match found {
        Some(name) if !name.as_os_str().is_empty() => std::fs::canonicalize(name).ok(),
        _ => std::env::current_exe().ok(),
    }
}

/// The full path of a library that was loaded by this name, as far as it is known.
pub fn find(name: &Path) -> PathBuf {
    let found = || loaded().into_iter().find(|path| path.file_name() == name.file_name());
    std::fs::canonicalize(name).ok().or_else(found).unwrap_or_else(|| name.to_owned())
}

type Add<'a> = dyn FnMut(&libc::dl_phdr_info) + 'a;

fn name_of(info: &libc::dl_phdr_info) -> &Path {
    if info.dlpi_name.is_null() {
        return Path::new("");
    }
    // SAFETY: the loader's text, with its NUL, valid for the call.
    let name = unsafe { CStr::from_ptr(info.dlpi_name) };
    Path::new(OsStr::from_bytes(name.to_bytes()))
}

/// Calls `add` for each object.
fn visit(mut add: &mut Add<'_>) {
    unsafe extern "C" fn one(info: *mut libc::dl_phdr_info, _: usize, add: *mut c_void) -> c_int {
        // SAFETY: `add` is what `visit` passed below, and the loader's info is valid for the call.
        let (add, info) = unsafe { (&mut *add.cast::<&mut Add<'_>>(), &*info) };
        add(info);
        0
    }
    // SAFETY: the function has the type that the loader demands, and does not unwind: `add` only copies.
    unsafe { libc::dl_iterate_phdr(Some(one), (&raw mut add).cast()) };
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_is_loaded_and_this_code_is_in_the_program() {
        assert!(loaded().iter().any(|path| path.to_string_lossy().contains("libc.so")));
        assert_eq!(own().unwrap(), std::env::current_exe().unwrap());
    }
}
