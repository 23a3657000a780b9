//! Handles between processes, as a program of its own would send them: bytes and a descriptor over a Unix socket.

use std::ffi::c_void;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// The socket's address, beside the runtime directory.
fn place() -> libc::sockaddr_un {
    let directory = std::env::var("LAVA_RUNTIME_DIR").expect("LAVA_RUNTIME_DIR");
    let mut address =
        libc::sockaddr_un { sun_family: libc::AF_UNIX as libc::sa_family_t, sun_path: [0; 108] };
    let path = format!("{directory}.fd");
    assert!(path.len() < address.sun_path.len(), "{path} is too long for a socket");
    for (to, from) in address.sun_path.iter_mut().zip(path.bytes()) {
        *to = from as libc::c_char;
    }
    address
}

fn socket() -> OwnedFd {
    // SAFETY: plain numbers; the descriptor is new and ours.
    unsafe { owned(libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0)) }
}

/// # Safety
/// `fd` is open and nobody else's, or an error.
unsafe fn owned(fd: i32) -> OwnedFd {
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the caller's promise.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

const ADDRESS: libc::socklen_t = size_of::<libc::sockaddr_un>() as libc::socklen_t;

pub(crate) fn listen() -> OwnedFd {
    let (socket, address) = (socket(), place());
    // SAFETY: the address is valid for its size.
    let done = unsafe {
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), ADDRESS) == 0
            && libc::listen(socket.as_raw_fd(), 1) == 0
    };
    assert!(done, "{}", std::io::Error::last_os_error());
    socket
}

pub(crate) fn accept(listener: &OwnedFd) -> OwnedFd {
    // SAFETY: no address is asked for; the descriptor is new and ours.
    unsafe { owned(libc::accept(listener.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut())) }
}

pub(crate) fn connect() -> OwnedFd {
    let (socket, address) = (socket(), place());
    // SAFETY: the address is valid for its size.
    let done =
        unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), ADDRESS) == 0 };
    assert!(done, "{}", std::io::Error::last_os_error());
    socket
}

/// Room for one descriptor, aligned as a control message must be.
#[repr(align(8))]
struct Control([u8; 64]);

/// Calls with a message of `bytes` and room for one descriptor.
fn with_message<T>(
    bytes: *mut c_void,
    size: usize,
    call: impl FnOnce(&mut libc::msghdr) -> T,
) -> T {
    let mut control = Control([0; 64]);
    let mut piece = libc::iovec { iov_base: bytes, iov_len: size };
    // SAFETY: all zero is a valid header.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut piece;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: computes a size.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<i32>() as u32) } as _;
    call(&mut header)
}

pub(crate) fn send(to: &OwnedFd, bytes: &[u8], fd: &impl AsFd) {
    let sent = with_message(bytes.as_ptr().cast_mut().cast(), bytes.len(), |header| {
        // SAFETY: the control buffer has room for one descriptor, and the bytes are only read.
        unsafe {
            let control = libc::CMSG_FIRSTHDR(header);
            (*control).cmsg_level = libc::SOL_SOCKET;
            (*control).cmsg_type = libc::SCM_RIGHTS;
            (*control).cmsg_len = libc::CMSG_LEN(size_of::<i32>() as u32) as _;
            libc::CMSG_DATA(control).cast::<i32>().write_unaligned(fd.as_fd().as_raw_fd());
            libc::sendmsg(to.as_raw_fd(), header, libc::MSG_NOSIGNAL)
        }
    });
    assert_eq!(sent, bytes.len() as isize, "{}", std::io::Error::last_os_error());
}

/// Fills `bytes` and gives the descriptor that came with them.
pub(crate) fn receive(from: &OwnedFd, bytes: &mut [u8]) -> OwnedFd {
    let size = bytes.len();
    with_message(bytes.as_mut_ptr().cast(), size, |header| {
        // SAFETY: `bytes` is writable for its size; a received descriptor is new and ours.
        unsafe {
            let received = libc::recvmsg(from.as_raw_fd(), header, libc::MSG_CMSG_CLOEXEC);
            assert_eq!(received, size as isize, "{}", std::io::Error::last_os_error());
            let control = libc::CMSG_FIRSTHDR(header);
            assert!(!control.is_null() && (*control).cmsg_type == libc::SCM_RIGHTS);
            owned(libc::CMSG_DATA(control).cast::<i32>().read_unaligned())
        }
    })
}
