//! A consumer in an event loop, such as asyncio's: the running loop watches the descriptor, no thread is needed.
//!
//! One future waits for each task. When the descriptor is readable the loop calls [`Consumer::wake`], which takes up to two
//! frames ahead and so, as a rule, makes the descriptor quiet, and wakes one task. The task then receives, so that
//! cancelling it loses no frame; if it ends without having received, the next one is woken in its place.

use std::collections::VecDeque;

use parking_lot::Mutex;
use pyo3::PyTraverseError;
use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration};
use pyo3::gc::PyVisit;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::consumer::{Consumer, Next};
use crate::frame::Frame;

/// Who waits for a consumer. Its lock is never held while Python runs.
#[derive(Default)]
pub(crate) struct Watch(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// The loop that watches the descriptor.
    event_loop: Option<Py<PyAny>>,
    /// A future of that loop for each task, first come first.
    waiters: VecDeque<Py<PyAny>>,
}

impl Watch {
    /// For the garbage collector: the loop refers to the consumer.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        // In use means reachable.
        let Some(waiting) = self.0.try_lock() else { return Ok(()) };
        visit.call(&waiting.event_loop)?;
        waiting.waiters.iter().try_for_each(|waiter| visit.call(waiter))
    }

    pub(crate) fn clear(&self) {
        let waiting = std::mem::take(&mut *self.0.lock());
        drop(waiting);
    }

    /// The first that waits, taken out of the row.
    fn next(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        loop {
            let first = self.0.lock().waiters.pop_front();
            match first {
                Some(waiter) if is_done(waiter.bind(py))? => {}
                first => return Ok(first),
            }
        }
    }
}

fn is_done(waiter: &Bound<'_, PyAny>) -> PyResult<bool> {
    waiter.call_method0(intern!(waiter.py(), "done"))?.is_truthy()
}

fn finish(waiter: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = waiter.py();
    waiter.call_method1(intern!(py, "set_result"), (py.None(),)).map(drop)
}

impl Consumer {
    /// The descriptor is readable: called by the loop.
    pub(crate) fn wake(&self, py: Python<'_>) -> PyResult<()> {
        let Some(waiter) = self.watch.next(py)? else {
            // Nobody waits, and a readable descriptor would keep the loop busy.
            return self.unwatch(py);
        };
        if self.fetch(py)? {
            return finish(waiter.bind(py));
        }
        self.watch.0.lock().waiters.push_front(waiter);
        Ok(())
    }

    /// No loop watches the descriptor any more; whoever waits looks again.
    pub(crate) fn unwatch(&self, py: Python<'_>) -> PyResult<()> {
        let Waiting { event_loop, waiters } = std::mem::take(&mut *self.watch.0.lock());
        let Some(event_loop) = event_loop else { return Ok(()) };
        let event_loop = event_loop.bind(py);
        if event_loop.call_method0(intern!(py, "is_closed"))?.is_truthy()? {
            return Ok(());
        }
        event_loop.call_method1(intern!(py, "remove_reader"), (self.fileno(py)?,))?;
        for waiter in waiters {
            if !is_done(waiter.bind(py))? {
                finish(waiter.bind(py))?;
            }
        }
        Ok(())
    }
}

/// A future that is done when a receive may have an answer; `None`: it may have one now.
fn wait<'py>(consumer: &Bound<'py, Consumer>) -> PyResult<Option<Bound<'py, PyAny>>> {
    static RUNNING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = consumer.py();
    let running = RUNNING.import(py, "asyncio", "get_running_loop")?.call0()?;
    let this = consumer.get();
    let watches = this.watch.0.lock().event_loop.as_ref().is_some_and(|known| known.is(&running));
    if !watches {
        this.unwatch(py)?;
        let wake = consumer.getattr(intern!(py, "_wake"))?;
        running.call_method1(intern!(py, "add_reader"), (this.fileno(py)?, wake))?;
        this.watch.0.lock().event_loop = Some(running.clone().unbind());
        // What came before the descriptor was there does not make it readable.
        if this.fetch(py)? {
            return Ok(None);
        }
    }
    let waiter = running.call_method0(intern!(py, "create_future"))?;
    this.watch.0.lock().waiters.push_back(waiter.clone().unbind());
    Ok(Some(waiter))
}

/// What `receive_async` and `async for` await: a coroutine, as far as Python can tell.
#[pyclass(frozen, module = "lava._lava", name = "_Receive")]
pub(crate) struct Receive {
    consumer: Py<Consumer>,
    /// The end of the channel is that of an iteration, else an error.
    iterates: bool,
    /// What it waits for.
    waiter: Mutex<Option<Py<PyAny>>>,
}

impl Receive {
    pub(crate) fn new(consumer: Py<Consumer>, iterates: bool) -> Self {
        Self { consumer, iterates, waiter: Mutex::new(None) }
    }

    /// It ends without an answer. What it was woken for is the next one's.
    fn leave(&self, py: Python<'_>) -> PyResult<()> {
        let waiter = self.waiter.lock().take();
        let Some(waiter) = waiter else { return Ok(()) };
        let consumer = self.consumer.get();
        consumer.watch.0.lock().waiters.retain(|other| !other.is(&waiter));
        let waiter = waiter.bind(py);
        let woken =
            is_done(waiter)? && !waiter.call_method0(intern!(py, "cancelled"))?.is_truthy()?;
        match woken {
            true => consumer.watch.next(py)?.map_or(Ok(()), |next| finish(next.bind(py))),
            false => Ok(()),
        }
    }
}

#[pymethods]
impl Receive {
    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.waiter.lock().take();
        let consumer = self.consumer.bind(py);
        loop {
            match consumer.get().poll(py)? {
                Some(Next::Frame(frame)) => {
                    let frame = Py::new(py, Frame::received(frame))?;
                    return Err(PyStopIteration::new_err((frame,)));
                }
                Some(Next::Closed) if self.iterates => {
                    consumer.get().unwatch(py)?;
                    return Err(PyStopAsyncIteration::new_err(()));
                }
                Some(Next::Closed) => return Err(consumer.get().over().into()),
                None => {}
            }
            if let Some(waiter) = wait(consumer)? {
                // How a task tells a future that it waits for from one that was yielded by mistake.
                waiter.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
                *self.waiter.lock() = Some(waiter.clone().unbind());
                return Ok(waiter);
            }
        }
    }

    fn send<'py>(&self, py: Python<'py>, _value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.__next__(py)
    }

    #[pyo3(signature = (kind, value=None, _trace=None))]
    fn throw<'py>(
        &self,
        py: Python<'py>,
        kind: Bound<'py, PyAny>,
        value: Option<Bound<'py, PyAny>>,
        _trace: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.leave(py)?;
        Err(PyErr::from_value(value.unwrap_or(kind)))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.leave(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.consumer)?;
        match self.waiter.try_lock() {
            Some(waiter) => visit.call(&*waiter),
            None => Ok(()),
        }
    }
}
