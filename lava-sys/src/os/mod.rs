//! The operating system: one system call per function, errno turned into [`Error`](crate::error::Error), EINTR
//! retried, no policy. The only place that sees `libc` and `rustix`.

pub mod clock;
pub mod descriptor;
pub mod directory;
pub mod epoll;
pub mod exit;
pub mod fork;
pub mod futex;
pub mod host;
pub mod huge;
pub mod limits;
pub mod mapping;
pub mod membarrier;
pub mod memfd;
pub mod namespace;
pub mod numa;
pub mod objects;
pub mod pages;
pub mod random;
pub mod signals;
pub mod socket;
