//! Feature `tokio`: asynchronous receive, and a stream of frames, on the consumer's event fd.

use std::fmt;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::coop::poll_proceed;

use crate::consumer::{Consumer, Received};
use crate::error::{Error, Result};
use crate::frame::Frame;
use lava_sys::LAVA_ERROR_OS;

/// The registration of a consumer's event fd with a runtime.
pub(crate) struct Readiness(AsyncFd<EventFd>);

/// The event fd, owned by the consumer.
struct EventFd(RawFd);

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl Consumer {
    /// Takes the next frame, waiting for it without blocking the thread; `None`: the producer ended the channel, and everything
    /// is received. Nothing is lost if the future is dropped.
    ///
    /// The consumer stays with the runtime of the first such call.
    ///
    /// # Errors
    /// As [`Consumer::receive`]; `Limit`, `Os` (the event fd).
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled.
    pub async fn receive_async(&mut self) -> Result<Option<Frame>> {
        std::future::poll_fn(|context| self.poll_receive(context)).await
    }

    /// The frames as a stream, which ends with the channel or after an error.
    pub fn stream(&mut self) -> FrameStream<'_> {
        FrameStream { consumer: self, ended: false }
    }

    /// Takes the next frame, or wakes the task when there may be one.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Frame>>> {
        // A task that always finds a frame must still let others run.
        let budget = ready!(poll_proceed(context));
        loop {
            match self.try_receive()? {
                Received::Frame(frame) => {
                    budget.made_progress();
                    return Poll::Ready(Ok(Some(frame)));
                }
                Received::Closed => return Poll::Ready(Ok(None)),
                Received::Empty => {}
            }
            // `Empty` has armed the fd. Readiness that came before is stale; it is cleared before the next look.
            let mut guard =
                ready!(self.readiness()?.0.poll_read_ready(context)).map_err(os_error)?;
            guard.clear_ready();
        }
    }

    fn readiness(&mut self) -> Result<&mut Readiness> {
        let readiness = match self.readiness.take() {
            Some(readiness) => readiness,
            None => {
                let fd = EventFd(self.raw_event_fd()?);
                // SAFETY: the fd is open until the consumer's handle is destroyed, which happens after the drop of its
                // field `readiness`; nothing moves the registration out of the consumer.
                let watched = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
                Readiness(watched.map_err(|error| os_error(error.into()))?)
            }
        };
        Ok(self.readiness.insert(readiness))
    }
}

/// A consumer's frames as a [`Stream`]: made by [`Consumer::stream`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct FrameStream<'a> {
    consumer: &'a mut Consumer,
    ended: bool,
}

impl Stream for FrameStream<'_> {
    type Item = Result<Frame>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = ready!(self.consumer.poll_receive(context)).transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        Poll::Ready(next)
    }
}

impl FusedStream for FrameStream<'_> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl fmt::Debug for FrameStream<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("FrameStream").field(&self.consumer).finish()
    }
}

fn os_error(error: std::io::Error) -> Error {
    Error::with_status(LAVA_ERROR_OS, 0, format!("the runtime cannot watch the event fd: {error}"))
}
