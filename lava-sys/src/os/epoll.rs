//! Waiting for many descriptors, and the descriptor with which another thread ends the wait.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, epoll};
use rustix::io::Errno;

use super::clock::Deadline;
use crate::error::{Error, Result};

/// A set of descriptors, each with a number.
#[derive(Debug)]
pub struct Epoll {
    fd: OwnedFd,
}

impl Epoll {
    pub fn new() -> Result<Self> {
        let fd = epoll::create(epoll::CreateFlags::CLOEXEC)
            .map_err(|errno| Error::os(errno.raw_os_error(), "epoll_create"))?;
        Ok(Self { fd })
    }

    /// Watches `fd` for input and hang-up, level-triggered, until it is removed or closed.
    pub fn add(&self, fd: BorrowedFd<'_>, number: u64) -> Result<()> {
        epoll::add(&self.fd, fd, epoll::EventData::new_u64(number), epoll::EventFlags::IN)
            .map_err(|errno| Error::os(errno.raw_os_error(), "adding to epoll"))
    }

    pub fn remove(&self, fd: BorrowedFd<'_>) {
        let _ = epoll::delete(&self.fd, fd);
    }

    /// Waits; gives the numbers of the descriptors that are ready, none when the deadline passed.
    pub fn wait(&self, ready: &mut Vec<u64>, deadline: Deadline) -> Result<()> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(64);
        ready.clear();
        match epoll::wait(&self.fd, spare_capacity(&mut events), deadline.left_timespec().as_ref())
        {
            Ok(_) => ready.extend(events.iter().map(|event| event.data.u64())),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::os(errno.raw_os_error(), "epoll_wait")),
        }
        Ok(())
    }
}

/// A descriptor of this process that one thread sets and another waits for.
#[derive(Debug)]
pub struct Notifier {
    fd: OwnedFd,
}

impl Notifier {
    pub fn new() -> Result<Self> {
        let fd = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| Error::os(errno.raw_os_error(), "eventfd"))?;
        Ok(Self { fd })
    }

    pub fn set(&self) {
        let _ = rustix::io::retry_on_intr(|| rustix::io::write(&self.fd, &1_u64.to_ne_bytes()));
    }

    pub fn clear(&self) {
        let _ = rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut [0_u8; 8]));
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
