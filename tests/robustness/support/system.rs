//! What scenes ask of the system beyond the standard library. Each changes this process only, which plays one scene.

use std::ffi::{CStr, CString};
use std::time::Duration;

use super::Skip;

/// A user without privileges.
pub(crate) const NOBODY: u32 = 65534;

pub(crate) fn is_root() -> bool {
    // SAFETY: no arguments.
    unsafe { libc::geteuid() == 0 }
}

/// Gives up the privileges of root for good.
pub(crate) fn become_nobody() {
    // SAFETY: no pointers but an empty list.
    let result = unsafe {
        libc::setgroups(0, std::ptr::null());
        libc::setresgid(NOBODY, NOBODY, NOBODY) | libc::setresuid(NOBODY, NOBODY, NOBODY)
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Mounts of this process are its own from now on.
pub(crate) fn private_mounts() -> Result<(), Skip> {
    unshare(libc::CLONE_NEWNS, "a mount namespace")?;
    mount("none", c"/", "", libc::MS_REC | libc::MS_PRIVATE, "")
}

pub(crate) fn unshare(flags: i32, what: &str) -> Result<(), Skip> {
    // SAFETY: no pointers.
    if unsafe { libc::unshare(flags) } == 0 {
        return Ok(());
    }
    Err(Skip(format!("{what} is not permitted here: {}", std::io::Error::last_os_error())))
}

pub(crate) fn mount(
    source: &str,
    target: &CStr,
    kind: &str,
    flags: u64,
    options: &str,
) -> Result<(), Skip> {
    let [source, kind, options] =
        [source, kind, options].map(|text| CString::new(text).expect("no NUL"));
    // SAFETY: all are strings that live through the call.
    let result = unsafe {
        libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast())
    };
    if result == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(Skip(format!("mounting {kind:?} at {target:?} is not permitted here: {error}")))
}

/// Sets how many descriptors this process may have.
pub(crate) fn limit_files(soft: u64) -> Result<(), Skip> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a place for the answer.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    if limit.rlim_max < soft {
        return Err(Skip(format!("RLIMIT_NOFILE of {soft} is above the {} here", limit.rlim_max)));
    }
    limit.rlim_cur = soft;
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    Ok(())
}

/// Time that all threads of this process have run.
pub(crate) fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

pub(crate) fn user_and_group() -> (u32, u32) {
    // SAFETY: no arguments.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// In a new user namespace: this user is called as before.
pub(crate) fn keep_user((user, group): (u32, u32)) -> Result<(), Skip> {
    let write = |file: &str, text: String| {
        std::fs::write(format!("/proc/self/{file}"), text)
            .map_err(|error| Skip(format!("writing {file} is not permitted here: {error}")))
    };
    write("setgroups", "deny".into())?;
    write("uid_map", format!("{user} {user} 1"))?;
    write("gid_map", format!("{group} {group} 1"))
}
