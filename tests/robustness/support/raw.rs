//! The protocol by hand: messages as bytes, regions as words, with nothing of lava in between, so that a scene can say
//! what lava never would. Numbers and offsets are those of `doc/spec/protocol.md`.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt,
};

/// Of the protocol: to be raised here, in lava-sys/src/wire/mod.rs and in doc/spec/protocol.md together.
pub(crate) const VERSION: u16 = 3;

pub(crate) const HELLO_ATTACH: u16 = 1;
pub(crate) const HELLO_LIST: u16 = 2;
pub(crate) const HELLO_PROBE: u16 = 3;
pub(crate) const WELCOME: u16 = 4;
pub(crate) const ATTACH: u16 = 5;
pub(crate) const READY: u16 = 6;
pub(crate) const DETACH: u16 = 7;
pub(crate) const EVENT: u16 = 8;
pub(crate) const BUFFER: u16 = 9;
pub(crate) const RETIRE: u16 = 10;

/// Bytes of the messages.
pub(crate) const HELLO_SIZE: usize = 760;
pub(crate) const WELCOME_SIZE: usize = 1040;
pub(crate) const ATTACH_SIZE: usize = 24;
pub(crate) const PLAIN_SIZE: usize = 16;
pub(crate) const DETACH_SIZE: usize = 24;
pub(crate) const BUFFER_SIZE: usize = 112;

/// Bytes before the ring in both regions.
pub(crate) const HEADER: usize = 384;
/// Words of the producer's header.
pub(crate) const CLOSED: usize = 0;
pub(crate) const PRODUCER_ALARM: usize = 1;
pub(crate) const PRODUCER_WAKE: usize = 16;
pub(crate) const OLDEST: usize = 32;
/// Words of the consumer's header.
pub(crate) const CONSUMED: usize = 0;
pub(crate) const CONSUMER_ALARM: usize = 16;
pub(crate) const CONSUMER_WAKE: usize = 32;

/// A message that can be bent.
#[derive(Debug, Clone)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Bytes {
    /// A correct head and zeros.
    pub(crate) fn new(kind: u16, size: usize, descriptors: u32) -> Self {
        let mut message = Self(vec![0; size]);
        message.u32(0, 0x6176_616c).u16(4, VERSION).u16(6, kind);
        message.u32(8, size as u32).u32(12, descriptors);
        message
    }

    pub(crate) fn u16(&mut self, at: usize, value: u16) -> &mut Self {
        self.put(at, &value.to_ne_bytes())
    }

    pub(crate) fn u32(&mut self, at: usize, value: u32) -> &mut Self {
        self.put(at, &value.to_ne_bytes())
    }

    pub(crate) fn u64(&mut self, at: usize, value: u64) -> &mut Self {
        self.put(at, &value.to_ne_bytes())
    }

    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn get_u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.0[at..at + 4].try_into().expect("4 bytes"))
    }

    pub(crate) fn kind(&self) -> u16 {
        u16::from_ne_bytes(self.0[6..8].try_into().expect("2 bytes"))
    }
}

/// Where the recipe of GPU memory lies in a welcome and in a buffer.
pub(crate) const WELCOME_RECIPE: usize = 976;
pub(crate) const BUFFER_RECIPE: usize = 48;

/// A recipe that could be right, on a GPU that nobody has.
pub(crate) fn recipe(message: &mut Bytes, at: usize, size: u64) {
    message.u64(at, size).u64(at + 8, size).u32(at + 16, 1).u32(at + 24, 0x3f3);
    message.put(at + 32, &[0xab; 32]);
}

/// A correct first message of a consumer.
pub(crate) fn hello(kind: u16, name: &str, location: &str) -> Bytes {
    let mut hello = Bytes::new(kind, HELLO_SIZE, 0);
    hello.u32(20, u32::MAX).put(32, name.as_bytes()).put(96, location.as_bytes());
    hello
}

fn socket() -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .expect("a socket")
}

/// No raw wait lasts longer: a peer that says nothing at all is found.
fn limit_waits(socket: &OwnedFd) {
    let limit = Some(Duration::from_secs(10));
    sockopt::set_socket_timeout(socket, sockopt::Timeout::Recv, limit).expect("a timeout");
}

pub(crate) fn connect(path: &Path) -> OwnedFd {
    let socket = socket();
    limit_waits(&socket);
    rustix::net::connect(&socket, &SocketAddrUnix::new(path).expect("short")).expect("a listener");
    socket
}

pub(crate) fn listen(path: &Path) -> OwnedFd {
    let socket = socket();
    limit_waits(&socket);
    rustix::net::bind(&socket, &SocketAddrUnix::new(path).expect("short")).expect("a free name");
    rustix::net::listen(&socket, 16).expect("a listener");
    socket
}

pub(crate) fn accept(listener: &OwnedFd) -> OwnedFd {
    let socket = rustix::net::accept_with(listener, SocketFlags::CLOEXEC).expect("a consumer");
    limit_waits(&socket);
    socket
}

/// Sends a message with any number of descriptors. False: the peer is gone.
pub(crate) fn send(socket: &OwnedFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> bool {
    let mut space = vec![MaybeUninit::uninit(); 64 + 4 * descriptors.len()];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
    }
    match rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
        Ok(_) => true,
        Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN) => false,
        Err(error) => panic!("sending: {error}"),
    }
}

/// The next message; None when the peer hung up.
pub(crate) fn receive(socket: &OwnedFd) -> Option<(Bytes, Vec<OwnedFd>)> {
    let mut bytes = vec![0; 256 * 1024];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let parts = &mut [IoSliceMut::new(&mut bytes)];
    let received = match rustix::net::recvmsg(socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC)
    {
        Ok(received) => received.bytes,
        Err(Errno::CONNRESET) => 0,
        Err(error) => panic!("no answer and no hang-up: {error}"),
    };
    let descriptors = control.drain().filter_map(|part| match part {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors.collect::<Vec<_>>()),
        _ => None,
    });
    let descriptors = descriptors.flatten().collect();
    bytes.truncate(received);
    (received > 0).then_some((Bytes(bytes), descriptors))
}

/// Seals of a region that lava accepts.
pub(crate) fn right_seals() -> SealFlags {
    SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL
}

/// Shared memory of this process's own making, mapped for writing before it is sealed.
pub(crate) struct Region {
    pub(crate) fd: OwnedFd,
    start: *mut u8,
    size: usize,
}

// SAFETY: memory that is accessed through atomics only.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

fn map(fd: &OwnedFd, size: usize, access: i32) -> *mut u8 {
    // SAFETY: a new mapping at a place that the kernel chooses.
    let start = unsafe {
        libc::mmap(std::ptr::null_mut(), size, access, libc::MAP_SHARED, fd.as_raw_fd(), 0)
    };
    assert_ne!(start, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
    start.cast()
}

impl Region {
    pub(crate) fn new(size: usize) -> Self {
        Self::sealed(size, right_seals())
    }

    pub(crate) fn sealed(size: usize, seals: SealFlags) -> Self {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("hostile", flags).expect("a memfd");
        rustix::fs::ftruncate(&fd, size as u64).expect("room");
        let start = map(&fd, size.max(1), libc::PROT_READ | libc::PROT_WRITE);
        if !seals.is_empty() {
            rustix::fs::fcntl_add_seals(&fd, seals).expect("seals");
        }
        Self { fd, start, size: size.max(1) }
    }

    /// A region of the other side, to be read.
    pub(crate) fn of_peer(fd: OwnedFd) -> Self {
        let size = rustix::fs::fstat(&fd).expect("a file").st_size as usize;
        let start = map(&fd, size, libc::PROT_READ);
        Self { fd, start, size }
    }

    pub(crate) fn words(&self) -> usize {
        self.size / 8
    }

    /// Word `index` of the region.
    pub(crate) fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.words());
        // SAFETY: within the mapping, which is aligned to a page.
        unsafe { AtomicU64::from_ptr(self.start.cast::<u64>().add(index)) }
    }

    pub(crate) fn set(&self, index: usize, value: u64) {
        self.word(index).store(value, Ordering::SeqCst);
    }

    pub(crate) fn get(&self, index: usize) -> u64 {
        self.word(index).load(Ordering::SeqCst)
    }

    /// Wakes whoever sleeps on the low half of a word, in any process.
    pub(crate) fn wake(&self, index: usize) {
        // SAFETY: the address of a word that stays mapped.
        unsafe {
            libc::syscall(libc::SYS_futex, self.word(index).as_ptr(), libc::FUTEX_WAKE, i32::MAX)
        };
    }

    pub(crate) fn borrow(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: our mapping, which nothing borrows any more.
        unsafe { libc::munmap(self.start.cast(), self.size) };
    }
}

/// Descriptors that are no region, each with what it is.
pub(crate) fn wrong_files(place: &Path, size: usize) -> Vec<(&'static str, OwnedFd)> {
    let file = |path: &Path| OwnedFd::from(std::fs::File::open(path).expect("a file"));
    let named = place.join("named");
    std::fs::write(&named, vec![0; size]).expect("a file");
    let on_disk = tempfile::tempfile().expect("a file");
    on_disk.set_len(size as u64).expect("room");
    let (reading, writing) = rustix::pipe::pipe().expect("a pipe");
    let memory = |size: usize, seals: SealFlags| {
        let region = Region::sealed(size, seals);
        region.fd.try_clone().expect("a descriptor")
    };
    let all = right_seals();
    vec![
        ("a file with a name", file(&named)),
        ("a file without a name", on_disk.into()),
        ("a directory", file(place)),
        ("a device", file(Path::new("/dev/zero"))),
        ("a pipe's reading end", reading),
        ("a pipe's writing end", writing),
        ("a socket", socket()),
        (
            "an eventfd",
            rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).expect("one"),
        ),
        ("a path only", {
            let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
            rustix::fs::open(&named, flags, rustix::fs::Mode::empty()).expect("a file")
        }),
        ("a memfd without seals", memory(size, SealFlags::empty())),
        ("a memfd that can shrink", memory(size, all - SealFlags::SHRINK)),
        ("a memfd that can grow", memory(size, all - SealFlags::GROW)),
        ("a memfd that others can write to", memory(size, all - SealFlags::FUTURE_WRITE)),
        ("a memfd that is too small", memory(size - 8, all)),
        ("a memfd that is too large", memory(size + 4096, all)),
        ("an empty memfd", memory(0, all)),
    ]
}

/// Nobody who is passed this file can change what its maker has in it, or its size.
pub(crate) fn assert_read_only(file: &OwnedFd, what: &str) {
    use rustix::fs::{FallocateFlags, fallocate, ftruncate};
    let size = rustix::fs::fstat(file).expect("a file").st_size as u64;
    let refused = Err(Errno::PERM);
    assert_eq!(ftruncate(file, 0), refused, "{what} can be cut");
    assert_eq!(ftruncate(file, size + 4096), refused, "{what} can grow");
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    assert_eq!(fallocate(file, punch, 0, 4096), refused, "{what} can be emptied");
    assert_eq!(rustix::io::pwrite(file, &[1], 0), Err(Errno::PERM), "{what} can be written to");
    for file in [file.as_raw_fd(), reopened(file).as_raw_fd()] {
        // SAFETY: a new mapping, if it is made at all.
        let start = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), 4096, access, libc::MAP_SHARED, file, 0)
        };
        assert_eq!(start, libc::MAP_FAILED, "{what} can be mapped for writing");
    }
}

/// The same file once more, opened by its name in /proc for reading and writing.
fn reopened(file: &OwnedFd) -> OwnedFd {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let opened = std::fs::OpenOptions::new().read(true).write(true).open(path);
    opened.expect("the same user may open it").into()
}
