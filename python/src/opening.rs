//! Opening a consumer, which may wait long for its producer, in a way that Ctrl-C ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use lava::{Consumer, ConsumerOptions, Context};
use lava_sys::{LAVA_ERROR_INTERNAL, LAVA_ERROR_LIMIT};
use pyo3::prelude::*;

use crate::failure::Failure;
use crate::wait::Deadline;

/// How long one try waits for the producer: long enough for a handshake on a loaded machine.
const TRY: Duration = Duration::from_secs(1);

/// Connects, waiting for the producer until the deadline.
///
/// A thread of its own does the waiting, since a try must not be cut short for Ctrl-C. If the caller has gone, the thread
/// ends after its try.
pub(crate) fn open(
    py: Python<'_>,
    context: Arc<Context>,
    name: &str,
    options: ConsumerOptions,
    deadline: Deadline,
) -> PyResult<Consumer> {
    let (sender, answer) = sync_channel(1);
    let abandoned = Arc::new(AtomicBool::new(false));
    let (name, gone) = (name.to_owned(), abandoned.clone());
    let work = move || {
        let result = try_again(&context, &name, &options, deadline, &gone);
        // Not to be the last owner when the caller goes on.
        drop(context);
        if let Some(result) = result {
            // Nobody hears it if the caller went at this very moment; the consumer is closed then.
            let _ = sender.send(result);
        }
    };
    std::thread::Builder::new().name("lava-open".to_owned()).spawn(work).map_err(|error| {
        Failure::new(
            LAVA_ERROR_LIMIT,
            format!("no thread could be started ({error}); raise `ulimit -u`"),
        )
    })?;
    let waited = Deadline::Never.repeat(py, move |slice| match answer.recv_timeout(slice) {
        Ok(result) => Ok(Some(result)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => {
            Err(Failure::new(LAVA_ERROR_INTERNAL, "the opening thread has gone"))
        }
    });
    abandoned.store(true, Ordering::Relaxed);
    match waited? {
        Some(result) => Ok(result?),
        None => Err(Failure::new(
            LAVA_ERROR_INTERNAL,
            "the wait for a producer ended without an answer",
        )
        .into()),
    }
}

/// `None`: the caller has gone.
fn try_again(
    context: &Context,
    name: &str,
    options: &ConsumerOptions,
    deadline: Deadline,
    gone: &AtomicBool,
) -> Option<Result<Consumer, Failure>> {
    loop {
        let patience = deadline.left(TRY);
        let last = patience < TRY;
        let options = options.clone().timeout(patience);
        let result = Consumer::open(context, name, &options).map_err(Failure::from);
        if gone.load(Ordering::Relaxed) {
            return None;
        }
        match result {
            Err(failure) if failure.is_wait() && !last => {}
            result => return Some(result),
        }
    }
}
