//! lava moves frames of memory from one producer process to any number of consumer processes, without copying.
//!
//! A [`Producer`] creates a channel by name; a [`Consumer`] opens it by name, before or after, in another process or the same
//! one. The producer takes a [`Loan`], writes to it in place and sends it; the consumer receives a [`Frame`] that
//! lies in the same memory. The kernel frees everything when a process dies: there is nothing to clean up.
//!
//! ```
//! # fn main() -> lava::Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! # let options = lava::ContextOptions::new().runtime_directory(directory.path());
//! # let options_there = options.clone();
//! use lava::{Consumer, ConsumerOptions, Context, Producer, ProducerOptions};
//!
//! // Usually another process.
//! let there = std::thread::spawn(move || -> lava::Result<f32> {
//! #   let options = options_there;
//!     let context = Context::create(&options)?;
//!     let mut consumer = Consumer::open(&context, "images", &ConsumerOptions::new())?;
//!     let mut sum = 0.0;
//!     for frame in &mut consumer {
//!         sum += frame?.copy_to_vec::<f32>()?.iter().sum::<f32>();
//!     }
//!     Ok(sum)
//! });
//!
//! let context = Context::create(&options)?;
//! let mut producer = Producer::create(&context, "images", &ProducerOptions::new())?;
//! for _ in 0..3 {
//!     let mut loan = producer.loan_slice::<f32>(1000)?;
//!     loan.slice_mut::<f32>()?.fill(1.0);
//!     producer.send(loan)?; // waits until a consumer is there
//! }
//! drop(producer); // ends the channel; what was sent is still received
//! assert_eq!(there.join().expect("no panic")?, 3000.0);
//! # Ok(())
//! # }
//! ```
//!
//! # Waiting
//! `x()` waits for ever, `x_timeout(.., timeout)` as long as told, `try_x()` not at all; calls that come in one form take a
//! [`Timeout`]. That nothing could be done in time is a value ([`Received::Empty`], [`Outcome::TimedOut`], `None`), not an
//! error; only [`Producer::send`] and its kin give the loan back in a [`SendError`].
//!
//! # Memory that others write to
//! A received payload lies in memory that its producer can still write to, so lava does not show it as a `&[u8]` unless told
//! that the producer will not: see [`Frame`] and [`ConsumerOptions::trust_producer`].
//!
//! # Features
//! * `tokio`: `Consumer::receive_async` and `Consumer::stream`.
//! * `system`: link an installed liblava.so instead of compiling the implementation into the program.
//! * `cli` (default): the command line `lava`.

mod batch;
mod buffer;
mod buffer_options;
mod bytes;
mod connection;
mod consumer;
mod context;
mod cuda;
mod device;
mod error;
mod frame;
mod handle;
mod loan;
mod location;
mod mpi;
mod outcome;
mod producer;
mod producer_options;
mod tensor;
mod timeout;
mod vulkan;

#[cfg(feature = "tokio")]
mod asynchronous;

#[cfg(feature = "tokio")]
pub use asynchronous::FrameStream;
pub use batch::{Frames, Loans};
pub use buffer::{Buffer, BufferHandle, BufferInfo, BufferRecipe, Memory, Pages};
pub use buffer_options::BufferOptions;
pub use bytes::Bytes;
pub use connection::{ConnectionInfo, ConnectionState, Rejection, Transport};
pub use consumer::{Consumer, ConsumerOptions, Received};
pub use context::{Context, ContextOptions, LogLevel, version};
pub use cuda::CudaView;
pub use device::{Device, DeviceHeap, DeviceKind, Devices, PciAddress, Uuid};
pub use error::{Error, ErrorKind, Result};
pub use frame::{Frame, FrameInfo};
pub use loan::Loan;
pub use location::{Evidence, Location, Scope, ScopeReport};
pub use mpi::Mpi;
pub use outcome::{Outcome, SendError};
pub use producer::Producer;
pub use producer_options::{Policy, ProducerOptions};
pub use tensor::{DataType, Element, ElementKind, Tensor};
pub use timeout::Timeout;
pub use vulkan::{QueueLock, Timeline, VulkanBuffer, VulkanDevice};
