//! The reading end of a channel.

use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::time::Duration;

use lava::{ConsumerOptions, Frames, Memory, Received};
use lava_sys::LAVA_CLOSED;
use pyo3::PyTraverseError;
use pyo3::gc::PyVisit;
use pyo3::prelude::*;

use crate::context::{self, Context};
use crate::failure::Failure;
use crate::fork::Birth;
use crate::frame::Frame;
use crate::location::Location;
use crate::opening;
use crate::wait::{Deadline, Exclusive};
use crate::watch::{Receive, Watch};

/// A consumer with the frames that an event loop has taken ahead.
struct Inlet {
    consumer: lava::Consumer,
    ahead: VecDeque<lava::Frame>,
    /// The descriptor exists, so that a receive that finds nothing arms it.
    watched: bool,
    /// It is armed: it becomes readable with the next frame, and looking again before that would only cost.
    armed: bool,
}

/// An answer: a frame, or the end of the channel.
pub(crate) enum Next {
    Frame(lava::Frame),
    Closed,
}

impl Inlet {
    #[inline]
    fn next(&mut self, patience: Duration) -> Result<Option<Next>, Failure> {
        if let Some(frame) = self.ahead.pop_front() {
            return Ok(Some(Next::Frame(frame)));
        }
        let received = self.consumer.receive_timeout(patience)?;
        self.armed = self.watched && matches!(received, Received::Empty);
        Ok(match received {
            Received::Frame(frame) => Some(Next::Frame(frame)),
            Received::Closed => Some(Next::Closed),
            Received::Empty => None,
        })
    }
}

/// The reading end of a channel.
#[pyclass(frozen, weakref, module = "lava")]
pub(crate) struct Consumer {
    inlet: Exclusive<Inlet>,
    pub(crate) watch: Watch,
    name: String,
    /// Receiving may copy to a GPU, which takes its time.
    copies: bool,
    birth: Birth,
}

#[pymethods]
impl Consumer {
    #[new]
    #[pyo3(signature = (context, name, *, timeout=None, require=None, max_copies=None, memory="auto", device=None,
        producer=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn new(
        py: Python<'_>,
        context: &Context,
        name: &str,
        timeout: Option<f64>,
        require: Option<Bound<'_, PyAny>>,
        max_copies: Option<u32>,
        memory: &str,
        device: Option<Bound<'_, PyAny>>,
        producer: Option<&Location>,
    ) -> PyResult<Self> {
        let memory = context::memory_of(memory)?;
        let mut options = ConsumerOptions::new().memory(memory);
        let (transports, zero_copy) = context::transports_of(require.as_ref())?;
        for transport in transports {
            options = options.require_transport(transport);
        }
        if let Some(copies) = max_copies.or(zero_copy.then_some(0)) {
            options = options.max_copies(copies);
        }
        if let Some(device) = device {
            options = options.device(context::uuid_of(&device)?);
        }
        if let Some(location) = producer {
            options = options.producer(location.get());
        }
        // Ten seconds, as everywhere in lava.
        let deadline = Deadline::new(Some(timeout.unwrap_or(10.0)))?;
        let consumer = opening::open(py, context.handle()?, name, options, deadline)?;
        Ok(Self {
            inlet: Exclusive::new(
                "consumer",
                Inlet { consumer, ahead: VecDeque::new(), watched: false, armed: false },
            ),
            watch: Watch::default(),
            name: name.to_owned(),
            copies: memory == Memory::Device,
            birth: Birth::now(),
        })
    }

    /// The channel's name.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    #[getter]
    fn closed(&self) -> bool {
        self.inlet.is_closed()
    }

    #[pyo3(signature = (timeout=None))]
    fn receive(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Frame> {
        let deadline = Deadline::new(timeout)?;
        match self.next(py, deadline)? {
            Some(Next::Frame(frame)) => Ok(Frame::received(frame)),
            Some(Next::Closed) => Err(self.over().into()),
            None => Err(Failure::out_of_time("no frame came", !deadline.is_now()).into()),
        }
    }

    /// The next frame if it is there, else `None`.
    fn try_receive(&self, py: Python<'_>) -> PyResult<Option<Frame>> {
        match self.next(py, Deadline::Now)? {
            Some(Next::Frame(frame)) => Ok(Some(Frame::received(frame))),
            Some(Next::Closed) => Err(self.over().into()),
            None => Ok(None),
        }
    }

    #[pyo3(signature = (most, timeout=None))]
    fn receive_many(
        &self,
        py: Python<'_>,
        most: usize,
        timeout: Option<f64>,
    ) -> PyResult<Vec<Frame>> {
        self.birth.check()?;
        let deadline = Deadline::new(timeout)?;
        let answer = deadline.repeat(py, |slice| {
            self.inlet.use_within(slice, |inlet| {
                let mut list: Vec<_> = inlet.ahead.drain(..most.min(inlet.ahead.len())).collect();
                if !list.is_empty() || most == 0 {
                    return Ok(Some(Some(list)));
                }
                let mut frames = Frames::with_capacity(most);
                match inlet.consumer.receive_many(&mut frames, slice)? {
                    Some(0) => Ok(None),
                    Some(_) => {
                        list.extend(frames.drain());
                        Ok(Some(Some(list)))
                    }
                    None => Ok(Some(None)),
                }
            })
        })?;
        match answer {
            Some(Some(list)) => Ok(list.into_iter().map(Frame::received).collect()),
            Some(None) => Err(self.over().into()),
            None => Err(Failure::out_of_time("no frame came", !deadline.is_now()).into()),
        }
    }

    /// A descriptor for `select`, `poll` or an event loop.
    pub(crate) fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.birth.check()?;
        self.inlet.use_detached(py, |inlet| {
            inlet.watched = true;
            Ok(inlet.consumer.event_fd()?.as_raw_fd())
        })
    }

    /// The next frame, waiting for it in the running event loop. Cancelling it loses no frame.
    fn receive_async(slf: Py<Self>) -> Receive {
        Receive::new(slf, false)
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__(slf: Py<Self>) -> Receive {
        Receive::new(slf, true)
    }

    /// For the event loop: the descriptor is readable.
    fn _wake(&self, py: Python<'_>) -> PyResult<()> {
        self.wake(py)
    }

    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.birth.check()?;
        let text = self.inlet.use_detached(py, |inlet| Ok(inlet.consumer.describe()?))?;
        context::parse_json(py, &text)
    }

    /// Closes this end. Frames that were received stay valid.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.birth.check()?;
        self.unwatch(py)?;
        let inlet = self.inlet.close(py)?;
        py.detach(|| drop(inlet));
        Ok(())
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.watch.traverse(&visit)
    }

    fn __clear__(&self) {
        self.watch.clear();
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Frame>> {
        match self.next(py, Deadline::Never)? {
            Some(Next::Frame(frame)) => Ok(Some(Frame::received(frame))),
            _ => Ok(None),
        }
    }

    fn __repr__(&self) -> String {
        let name = &self.name;
        match self.inlet.try_use(|inlet| Ok(inlet.consumer.connection()?)) {
            Some(Ok(connection)) => {
                let state = format!("{:?}", connection.state).to_lowercase();
                let transport = context::transport_name(connection.transport);
                format!(
                    "<lava.Consumer '{name}', {state}, by {transport}, {} copies>",
                    connection.copies
                )
            }
            Some(Err(_)) => format!("<lava.Consumer '{name}', closed>"),
            None => format!("<lava.Consumer '{name}', in use by another thread>"),
        }
    }
}

impl Consumer {
    #[inline]
    fn next(&self, py: Python<'_>, deadline: Deadline) -> PyResult<Option<Next>> {
        self.birth.check()?;
        if !self.copies {
            match self.inlet.try_use(|inlet| inlet.next(Duration::ZERO)) {
                Some(Ok(None)) if deadline.is_now() => return Ok(None),
                Some(Ok(None)) | None => {}
                Some(answer) => return Ok(answer?),
            }
        }
        deadline.repeat(py, |slice| self.inlet.use_within(slice, |inlet| inlet.next(slice)))
    }

    /// For event loops: the answer that is there. Does not look again while the descriptor is armed.
    pub(crate) fn poll(&self, py: Python<'_>) -> PyResult<Option<Next>> {
        let quiet = self.inlet.try_use(|inlet| Ok(inlet.armed && inlet.ahead.is_empty()));
        match quiet.transpose()? {
            Some(true) => Ok(None),
            _ => self.next(py, Deadline::Now),
        }
    }

    /// For event loops: takes up to two frames ahead, which makes the descriptor quiet if there are no more, and tells
    /// whether a receive would answer at once.
    pub(crate) fn fetch(&self, py: Python<'_>) -> PyResult<bool> {
        self.birth.check()?;
        let fetched = self.inlet.try_use(|inlet| {
            while inlet.ahead.len() < 2 {
                let received = inlet.consumer.try_receive();
                inlet.armed = inlet.watched && matches!(received, Ok(Received::Empty));
                match received {
                    Ok(Received::Frame(frame)) => inlet.ahead.push_back(frame),
                    Ok(Received::Empty) => break,
                    // Told again by the next receive.
                    Ok(Received::Closed) | Err(_) => return Ok(true),
                }
            }
            Ok(!inlet.ahead.is_empty())
        });
        py.check_signals()?;
        // Another thread is receiving: look again by a receive.
        Ok(fetched.transpose()?.unwrap_or(true))
    }

    pub(crate) fn over(&self) -> Failure {
        Failure::new(
            LAVA_CLOSED,
            format!("channel {}: the producer ended it, and everything is received", self.name),
        )
    }
}
