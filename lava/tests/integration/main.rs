//! Producers, consumers and buffers through the safe interface, within one process and between processes.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

#[cfg(feature = "tokio")]
mod asynchronous;
mod batches;
mod buffers;
mod channels;
mod contexts;
mod devices;
mod frames;
mod gpu_channels;
mod gpu_queue;
mod gpu_uploads;
mod gpu_work;
mod policies;
mod processes;
mod sent_buffers;
mod support;
mod threads;
mod two_gpus;
