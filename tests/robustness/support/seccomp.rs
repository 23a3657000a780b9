//! Filters of system calls: what a thread, and all that it starts, may call, and who is asked first.

use std::os::fd::{FromRawFd, OwnedFd};

use super::Skip;

const LOAD_NUMBER: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

fn instruction(code: u16, k: u32, jump_true: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt: jump_true, jf: 0, k }
}

/// For this thread and those that it starts from now on: `listed` system calls lead to `action`, all others to `other`.
fn install(listed: &[i64], action: u32, other: u32, flags: u64) -> Result<i32, Skip> {
    let mut program = vec![instruction(LOAD_NUMBER, 0, 0)];
    for (index, number) in listed.iter().enumerate() {
        // Over the rest of the list and the return that follows it.
        let jump = u8::try_from(listed.len() - index).expect("a short list");
        program.push(instruction(JUMP_IF_EQUAL, *number as u32, jump));
    }
    program.push(instruction(RETURN, other, 0));
    program.push(instruction(RETURN, action, 0));
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program lives through the call; the kernel checks and copies it.
    let result = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter)
    };
    if result < 0 {
        let error = std::io::Error::last_os_error();
        return Err(Skip(format!("a seccomp filter is not permitted here: {error}")));
    }
    Ok(result as i32)
}

/// The process dies by SIGSYS when this thread, or one that it starts from now on, makes a listed call.
pub(crate) fn forbid(listed: &[i64]) -> Result<(), Skip> {
    install(listed, libc::SECCOMP_RET_KILL_PROCESS, libc::SECCOMP_RET_ALLOW, 0).map(drop)
}

/// Whoever has the descriptor decides about every system call of this thread, and of those that it starts from now on,
/// that is not listed.
pub(crate) fn ask_about_all_but(listed: &[i64]) -> Result<OwnedFd, Skip> {
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let raw = install(listed, libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_USER_NOTIF, flags)?;
    // SAFETY: the kernel made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}
