//! Unix sockets that keep message boundaries and carry descriptors; nothing here blocks.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

use super::clock::Deadline;
use crate::error::{Error, Result};

/// Most descriptors that a message of the protocol carries.
pub const DESCRIPTORS_MAX: usize = 4;

/// Room for every descriptor that the kernel can put into one message (SCM_MAX_FD is 253), so that none is lost
/// unclosed when a hostile peer sends too many.
const RECEIVE_MAX: usize = 253;

fn new_socket() -> Result<OwnedFd> {
    rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
    .map_err(|errno| Error::os(errno.raw_os_error(), "making a Unix socket"))
}

/// The address of a socket file, in a directory that is already open: names in it are short enough for the 108 bytes
/// of an address, whatever the directory's own path is.
fn address(directory: BorrowedFd<'_>, name: &str) -> Result<SocketAddrUnix> {
    let path = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
    SocketAddrUnix::new(path.as_str())
        .map_err(|errno| Error::os(errno.raw_os_error(), format!("the socket address {path}")))
}

/// Makes a socket file in `directory` and listens there.
pub fn listen(directory: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    let socket = new_socket()?;
    rustix::net::bind(&socket, &address(directory, name)?).map_err(|errno| {
        Error::os(errno.raw_os_error(), format!("binding the socket {name} (is /proc mounted?)"))
    })?;
    rustix::net::listen(&socket, 128)
        .map_err(|errno| Error::os(errno.raw_os_error(), format!("listening at {name}")))?;
    Ok(socket)
}

/// What came of a try to connect.
#[derive(Debug)]
pub enum Connected {
    Yes(OwnedFd),
    /// No such file, or nobody listens behind it any more.
    Absent,
    /// A file is there, and nobody listens behind it: its maker is gone.
    Stale,
    /// Somebody is there, and too busy to take another connection now.
    Busy,
}

/// Connects to a socket file in `directory`.
pub fn connect(directory: BorrowedFd<'_>, name: &str) -> Result<Connected> {
    let socket = new_socket()?;
    match rustix::net::connect(&socket, &address(directory, name)?) {
        Ok(()) => Ok(Connected::Yes(socket)),
        Err(Errno::NOENT) => Ok(Connected::Absent),
        Err(Errno::CONNREFUSED) => Ok(Connected::Stale),
        Err(Errno::AGAIN) => Ok(Connected::Busy),
        Err(errno) => {
            Err(Error::os(errno.raw_os_error(), format!("connecting to the socket {name}")))
        }
    }
}

/// Takes one waiting connection; None if there is none.
pub fn accept(listener: BorrowedFd<'_>) -> Result<Option<OwnedFd>> {
    loop {
        match rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(socket) => return Ok(Some(socket)),
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(errno) => return Err(Error::os(errno.raw_os_error(), "accepting a connection")),
        }
    }
}

/// Two connected sockets: what goes into one comes out of the other.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
    .map_err(|errno| Error::os(errno.raw_os_error(), "making a pair of sockets"))
}

/// Who is at the other end, as the kernel recorded it when the connection was made.
#[derive(Debug, Clone, Copy)]
pub struct PeerCredentials {
    /// As seen from this PID namespace; 0 if it is not visible there.
    pub process: u32,
    /// As seen from this user namespace; 65534 if it has no name there.
    pub user: u32,
}

pub fn peer_credentials(socket: BorrowedFd<'_>) -> Result<PeerCredentials> {
    let mut found = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    socket_option(socket, libc::SO_PEERCRED, &mut found)?;
    Ok(PeerCredentials { process: u32::try_from(found.pid).unwrap_or(0), user: found.uid })
}

/// A descriptor that tells when the peer's process ends. None where the kernel cannot give one (before 6.5, when its
/// process id is not visible here either).
pub fn peer_pidfd(socket: BorrowedFd<'_>) -> Option<OwnedFd> {
    const SO_PEERPIDFD: i32 = 77;
    let mut raw: i32 = -1;
    if socket_option(socket, SO_PEERPIDFD, &mut raw).is_ok() && raw >= 0 {
        // SAFETY: the kernel made this descriptor for us.
        return Some(unsafe { OwnedFd::from_raw_fd(raw) });
    }
    let process = peer_credentials(socket).ok()?.process;
    let process = rustix::process::Pid::from_raw(i32::try_from(process).ok()?)?;
    rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty()).ok()
}

fn socket_option<T>(socket: BorrowedFd<'_>, option: i32, value: &mut T) -> Result<()> {
    let mut size = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is valid for `size` bytes, and the callers' types are plain numbers.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            std::ptr::from_mut(value).cast(),
            &raw mut size,
        )
    };
    if result == 0 {
        return Ok(());
    }
    Err(Error::os(last_errno(), format!("reading socket option {option}")))
}

pub(super) fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// What came of a try to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Yes,
    /// The socket's buffer is full.
    Full,
    /// The peer is gone.
    Gone,
}

/// Sends one message with descriptors (which stay the caller's). Never waits, never raises SIGPIPE.
pub fn send(
    socket: BorrowedFd<'_>,
    message: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<Sent> {
    let mut space = [MaybeUninit::<u8>::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Error::argument(format!("{} descriptors in one message", descriptors.len())));
    }
    loop {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match rustix::net::sendmsg(socket, &[IoSlice::new(message)], &mut control, flags) {
            Ok(_) => return Ok(Sent::Yes),
            Err(Errno::AGAIN) => return Ok(Sent::Full),
            Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => return Ok(Sent::Gone),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::os(errno.raw_os_error(), "sending on a socket")),
        }
    }
}

/// What came of a try to receive.
#[derive(Debug)]
pub enum Received {
    /// Bytes in the buffer, and the descriptors that came with them.
    Message { size: usize, descriptors: Vec<OwnedFd> },
    /// Nothing is there.
    Nothing,
    /// The peer closed its end.
    End,
    /// The message was larger than the buffer. Descriptors that came with it are closed.
    Damaged(&'static str),
}

/// Receives one message. Never waits. Every descriptor that the peer sent is either returned or closed; it is an error
/// if this process has too many open files to take them.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Received> {
    let mut space = [MaybeUninit::<u8>::uninit(); rustix::cmsg_space!(ScmRights(RECEIVE_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        match rustix::net::recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
            Ok(message) => break message,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(Received::Nothing),
            Err(Errno::CONNRESET | Errno::NOTCONN) => return Ok(Received::End),
            Err(errno) => return Err(Error::os(errno.raw_os_error(), "receiving on a socket")),
        }
    };
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = part {
            descriptors.extend(fds);
        }
    }
    if message.flags.contains(rustix::net::ReturnFlags::CTRUNC) {
        // There was room for all that the kernel can send, so it is this process that could not take them.
        return Err(Error::os(Errno::MFILE.raw_os_error(), "receiving descriptors"));
    }
    if message.flags.contains(rustix::net::ReturnFlags::TRUNC) {
        return Ok(Received::Damaged("a message is too long"));
    }
    if message.bytes == 0 && descriptors.is_empty() {
        return Ok(Received::End);
    }
    Ok(Received::Message { size: message.bytes, descriptors })
}

/// Ends the connection for both sides, whoever else holds a descriptor of it.
pub fn shutdown(socket: BorrowedFd<'_>) {
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
}

/// Waits until the descriptor is readable or the peer is gone. False: the deadline passed.
pub fn wait_readable(fd: BorrowedFd<'_>, deadline: Deadline) -> Result<bool> {
    loop {
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        match rustix::event::poll(&mut fds, deadline.left_timespec().as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::os(errno.raw_os_error(), "poll")),
        }
    }
}

/// One byte, for whoever polls the other end. A full buffer means that it is readable already.
pub fn signal(socket: impl AsFd) {
    let _ = rustix::net::send(socket, &[1], SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
}

/// Takes everything that [`signal`] put there.
pub fn drain_signals(socket: impl AsFd) {
    let mut bytes = [0_u8; 16];
    while matches!(rustix::net::recv(&socket, &mut bytes, RecvFlags::DONTWAIT), Ok((size, _)) if size > 0)
    {
    }
}
