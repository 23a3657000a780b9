//! The two lock-free rings of a connection, over memory that one side can only read.
//!
//! * [`descriptors`]: producer to consumer, one cache line a frame, the stamp inside the line: a message costs one
//!   line transfer. The consumer tells how far it has read; the producer looks only when the ring seems full.
//! * [`releases`]: consumer to producer, filled by any thread of the consumer's process.
//! * [`alarm`]: the sleep and wake protocol: nobody pays a system call when nobody sleeps.
//!
//! Each half holds raw pointers into a region and what it alone knows; the peer's words are loaded once, checked, then
//! used. The files have no system calls, so that the model checker can run them.

pub mod alarm;
pub mod descriptors;
pub mod releases;
