//! The operating system: one system call per function, errno turned into [`Error`](crate::error::Error), EINTR
//! retried, no policy. The only place that sees `libc` and `rustix`.

pub mod mapping;
pub mod memfd;
