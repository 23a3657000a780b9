//! The writing end of a channel.

use std::sync::Arc;
use std::time::Duration;

use lava::{Bytes, Loans, Memory, Outcome, Policy, ProducerOptions, Tensor};
use pyo3::prelude::*;

use crate::buffer::Buffer;
use crate::context::{self, Context};
use crate::failure::{Failure, OrRaise};
use crate::fork::Birth;
use crate::frame::Frame;
use crate::source::Source;
use crate::tensor::Layout;
use crate::wait::{Deadline, Exclusive};

/// Payloads up to this many bytes are sent without giving up the interpreter's lock, if nothing has to be waited for.
const SMALL: usize = 64 << 10;

/// A producer, shared with its loans.
pub(crate) struct Channel {
    producer: Exclusive<lava::Producer>,
    name: String,
    /// Its policy drops frames, so that no call waits for room.
    drops: bool,
    /// Its pool is on a GPU: sending may copy.
    on_gpu: bool,
    birth: Birth,
}

impl Channel {
    fn within<R: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut lava::Producer) -> Result<R, Failure> + Send,
    ) -> PyResult<R> {
        self.birth.check()?;
        self.producer.use_detached(py, work)
    }

    fn loan(&self, py: Python<'_>, bytes: usize, deadline: Deadline) -> PyResult<lava::Loan> {
        let now = self.producer.try_use(|producer| Ok(producer.try_loan(bytes)?));
        // With a drop policy every try is a frame, which counts as dropped if there is no slot.
        let deadline = if self.drops { Deadline::Now } else { deadline };
        let loan = match now.transpose()? {
            Some(Some(loan)) => return Ok(loan),
            Some(None) if deadline.is_now() => None,
            _ => deadline.repeat(py, |slice: Duration| {
                self.producer.use_within(slice, |producer| Ok(producer.loan_timeout(bytes, slice)?))
            })?,
        };
        loan.ok_or_else(|| Failure::out_of_time("no slot is free", !deadline.is_now()).into())
    }

    /// Sends a loan; it comes back with the reason if it was not sent.
    pub(crate) fn publish(
        &self,
        py: Python<'_>,
        loan: lava::Loan,
        deadline: Deadline,
    ) -> Result<(), (Option<lava::Loan>, PyErr)> {
        let mut place = Some(loan);
        let mut send =
            |producer: &mut lava::Producer, patience: Duration| -> Result<Option<()>, Failure> {
                let Some(loan) = place.take() else { return Ok(Some(())) };
                match producer.send_timeout(loan, patience) {
                    Ok(()) => Ok(Some(())),
                    Err(error) => {
                        let full = error.is_full();
                        place = Some(error.loan);
                        if full { Ok(None) } else { Err(error.error.into()) }
                    }
                }
            };
        let now = match self.on_gpu {
            true => None,
            false => self.producer.try_use(|producer| send(producer, Duration::ZERO)),
        };
        let result = match now {
            Some(Ok(Some(()))) => return Ok(()),
            Some(Err(failure)) => Err(failure.into()),
            _ => deadline.repeat(py, |slice| {
                self.producer.use_within(slice, |producer| send(producer, slice))
            }),
        };
        let failure = match result {
            Ok(Some(())) => return Ok(()),
            Ok(None) => Failure::out_of_time("the frame was not sent", !deadline.is_now()).into(),
            Err(error) => error,
        };
        Err((place, failure))
    }
}

/// The writing end of a channel: `Producer(context, name)`.
#[pyclass(frozen, weakref, module = "lava")]
pub(crate) struct Producer {
    channel: Arc<Channel>,
}

#[pymethods]
impl Producer {
    #[new]
    #[pyo3(signature = (context, name, *, max_frame_size=None, capacity=0, queue_length=0, policy="block", memory="auto",
        fallback=None, require_memory=false, require=None, device=None, numa_node=None, commit=false,
        timestamps=true, max_consumers=0, alignment=0))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn new(
        py: Python<'_>,
        context: &Context,
        name: &str,
        max_frame_size: Option<u64>,
        capacity: u32,
        queue_length: u32,
        policy: &str,
        memory: &str,
        fallback: Option<Vec<String>>,
        require_memory: bool,
        require: Option<Bound<'_, PyAny>>,
        device: Option<Bound<'_, PyAny>>,
        numa_node: Option<u32>,
        commit: bool,
        timestamps: bool,
        max_consumers: u32,
        alignment: u32,
    ) -> PyResult<Self> {
        let policy = policy_of(policy)?;
        let memory = context::memory_of(memory)?;
        let fallback = context::memories_of(fallback)?;
        let mut options = ProducerOptions::new()
            .capacity(capacity)
            .queue_length(queue_length)
            .policy(policy)
            .memory(memory)
            .fallback(&fallback)
            .max_consumers(max_consumers)
            .alignment(alignment);
        if let Some(bytes) = max_frame_size {
            options = options.max_frame_size(bytes);
        }
        for transport in context::transports_of(require.as_ref())?.0 {
            options = options.require_transport(transport);
        }
        if let Some(device) = device {
            options = options.device(context::uuid_of(&device)?);
        }
        if let Some(node) = numa_node {
            options = options.numa_node(node);
        }
        options = if require_memory { options.require_memory() } else { options };
        options = if commit { options.commit() } else { options };
        options = if timestamps { options } else { options.no_timestamp() };
        let producer =
            context.within(py, |context| Ok(lava::Producer::create(context, name, &options)?))?;
        Ok(Self {
            channel: Arc::new(Channel {
                producer: Exclusive::new("producer", producer),
                name: name.to_owned(),
                drops: policy != Policy::Block,
                on_gpu: memory == Memory::Device,
                birth: Birth::now(),
            }),
        })
    }

    /// The channel's name.
    #[getter]
    fn name(&self) -> &str {
        &self.channel.name
    }

    #[getter]
    fn closed(&self) -> bool {
        self.channel.producer.is_closed()
    }

    /// How many consumers are connected.
    #[getter]
    fn consumers(&self, py: Python<'_>) -> PyResult<usize> {
        self.channel.within(py, |producer| Ok(producer.consumer_count()))
    }

    #[pyo3(signature = (count=1, timeout=None))]
    fn wait_consumers(&self, py: Python<'_>, count: u32, timeout: Option<f64>) -> PyResult<()> {
        self.wait(py, "the consumers are not there", timeout, |producer, slice| {
            producer.wait_consumers(count, slice)
        })
    }

    #[pyo3(signature = (buffer=None, timeout=None))]
    fn wait_released(
        &self,
        py: Python<'_>,
        buffer: Option<&Buffer>,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        let what = "frames are still held";
        let Some(buffer) = buffer else {
            return self
                .wait(py, what, timeout, |producer, slice| producer.wait_released(None, slice));
        };
        let buffer = buffer.handle()?;
        self.wait(py, what, timeout, |producer, slice| {
            producer.wait_released(Some(&buffer.read()), slice)
        })
    }

    #[pyo3(signature = (shape, dtype=None, *, timeout=None))]
    fn loan(
        &self,
        py: Python<'_>,
        shape: &Bound<'_, PyAny>,
        dtype: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Frame> {
        self.channel.birth.check()?;
        let layout = Layout::extract(shape, dtype)?;
        let loan = self.channel.loan(py, layout.bytes, Deadline::new(timeout)?)?;
        self.described(loan, layout.tensor.as_ref(), timeout)
    }

    #[pyo3(signature = (count, shape, dtype=None, *, timeout=None))]
    fn loan_many(
        &self,
        py: Python<'_>,
        count: usize,
        shape: &Bound<'_, PyAny>,
        dtype: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Vec<Frame>> {
        self.channel.birth.check()?;
        let layout = Layout::extract(shape, dtype)?;
        let deadline = if self.channel.drops { Deadline::Now } else { Deadline::new(timeout)? };
        let loans = deadline.repeat(py, |slice| {
            self.channel.producer.use_within(slice, |producer| {
                let mut loans = Loans::with_capacity(count);
                let loaned = producer.loan_many(&mut loans, layout.bytes, slice)?;
                Ok(Some(loans).filter(|_| loaned > 0 || count == 0))
            })
        })?;
        let mut loans =
            loans.ok_or_else(|| Failure::out_of_time("no slot is free", !deadline.is_now()))?;
        loans.drain().map(|loan| self.described(loan, layout.tensor.as_ref(), timeout)).collect()
    }

    #[pyo3(signature = (object, *, tag=0, timeout=None))]
    fn send(
        &self,
        py: Python<'_>,
        object: &Bound<'_, PyAny>,
        tag: u64,
        timeout: Option<f64>,
    ) -> PyResult<u32> {
        self.channel.birth.check()?;
        let deadline = Deadline::new(timeout)?;
        if let Ok(frame) = object.cast::<Frame>()
            && frame.get().is_loan()
        {
            frame.get().publish_to(py, Some(&self.channel), tag, deadline)?;
            return Ok(0);
        }
        if let Ok(buffer) = object.cast::<Buffer>() {
            return self.send_buffer(py, buffer.get(), tag, deadline);
        }
        let source = Source::extract(object)?;
        match source.compact_bytes() {
            Some(bytes) if tag == 0 && source.array.is_plain() => {
                self.send_bytes(py, bytes, deadline)
            }
            _ => self.send_source(py, &source, tag, deadline),
        }
    }

    #[pyo3(signature = (objects, *, timeout=None))]
    fn send_many(
        &self,
        py: Python<'_>,
        objects: Vec<Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<usize> {
        self.channel.birth.check()?;
        let deadline = Deadline::new(timeout)?;
        if !objects.is_empty()
            && objects
                .iter()
                .all(|object| object.cast::<Frame>().is_ok_and(|frame| frame.get().is_loan()))
        {
            return self.send_loans(py, &objects, deadline);
        }
        let sources = objects.iter().map(Source::extract).collect::<PyResult<Vec<_>>>()?;
        let plain =
            sources.iter().map(|source| source.compact_bytes().filter(|_| source.array.is_plain()));
        match plain.collect::<Option<Vec<_>>>() {
            Some(parts) => self.send_parts(py, &parts, deadline),
            None => {
                for (number, source) in sources.iter().enumerate() {
                    if let Err(error) = self.send_source(py, source, 0, deadline) {
                        return if number == 0 { Err(error) } else { Ok(number) };
                    }
                }
                Ok(sources.len())
            }
        }
    }

    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let text = self.channel.within(py, |producer| Ok(producer.describe()?))?;
        context::parse_json(py, &text)
    }

    /// Ends the channel. Consumers still receive what was sent.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.channel.birth.check()?;
        let producer = self.channel.producer.close(py)?;
        py.detach(|| drop(producer));
        Ok(())
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self) -> String {
        let name = &self.channel.name;
        match self.channel.producer.try_use(|producer| Ok(producer.consumer_count())) {
            Some(Ok(1)) => format!("<lava.Producer '{name}', 1 consumer>"),
            Some(Ok(count)) => format!("<lava.Producer '{name}', {count} consumers>"),
            Some(Err(_)) => format!("<lava.Producer '{name}', closed>"),
            None => format!("<lava.Producer '{name}', in use by another thread>"),
        }
    }
}

impl Producer {
    fn described(
        &self,
        mut loan: lava::Loan,
        tensor: Option<&Tensor>,
        timeout: Option<f64>,
    ) -> PyResult<Frame> {
        if tensor.is_some() {
            loan.set_tensor(tensor).or_raise()?;
        }
        Ok(Frame::loaned(loan, self.channel.clone(), timeout))
    }

    fn wait(
        &self,
        py: Python<'_>,
        what: &str,
        timeout: Option<f64>,
        mut work: impl FnMut(&mut lava::Producer, Duration) -> lava::Result<Outcome> + Send,
    ) -> PyResult<()> {
        self.channel.birth.check()?;
        let deadline = Deadline::new(timeout)?;
        let attempt = |slice: Duration| {
            self.channel
                .producer
                .use_within(slice, |producer| Ok(work(producer, slice)?.is_done().then_some(())))
        };
        match deadline.repeat(py, attempt)? {
            Some(()) => Ok(()),
            None => Err(Failure::out_of_time(what, !deadline.is_now()).into()),
        }
    }

    fn send_bytes(&self, py: Python<'_>, bytes: &[u8], deadline: Deadline) -> PyResult<u32> {
        let channel = &self.channel;
        if bytes.len() <= SMALL && !channel.on_gpu {
            let now = channel.producer.try_use(|producer| Ok(producer.try_send_bytes(bytes)?));
            if let Some(Outcome::Done) = now.transpose()? {
                return Ok(1);
            }
        }
        let sent = deadline.repeat(py, |slice| {
            channel.producer.use_within(slice, |producer| {
                Ok(producer.send_bytes_timeout(bytes, slice)?.is_done().then_some(1))
            })
        })?;
        sent.ok_or_else(|| {
            Failure::out_of_time("the frame was not sent", !deadline.is_now()).into()
        })
    }

    /// Copies any array into a slot. A frame that the policy drops is not copied.
    fn send_source(
        &self,
        py: Python<'_>,
        source: &Source,
        tag: u64,
        deadline: Deadline,
    ) -> PyResult<u32> {
        let mut loan = match self.channel.loan(py, source.bytes(), deadline) {
            Err(error)
                if self.channel.drops
                    && error.is_instance_of::<pyo3::exceptions::PyBlockingIOError>(py) =>
            {
                return Ok(0);
            }
            result => result?,
        };
        let copies = source.copy_to(py, &mut loan)?;
        if !source.array.is_plain() {
            loan.set_tensor(Some(&source.array.tensor()?)).or_raise()?;
        }
        if tag != 0 {
            loan.set_tag(tag).or_raise()?;
        }
        self.channel.publish(py, loan, deadline).map_err(|(_, error)| error)?;
        Ok(copies)
    }

    fn send_buffer(
        &self,
        py: Python<'_>,
        buffer: &Buffer,
        tag: u64,
        deadline: Deadline,
    ) -> PyResult<u32> {
        let (handle, size, tensor) = (buffer.handle()?, buffer.size(), buffer.tensor());
        let sent = deadline.repeat(py, |slice| {
            self.channel.producer.use_within(slice, |producer| {
                let sent = producer.send_buffer(&handle.read(), 0..size, tag, tensor, slice)?;
                Ok(sent.is_done().then_some(0))
            })
        })?;
        sent.ok_or_else(|| {
            Failure::out_of_time("the buffer was not sent", !deadline.is_now()).into()
        })
    }

    fn send_parts(&self, py: Python<'_>, parts: &[&[u8]], deadline: Deadline) -> PyResult<usize> {
        let mut done = 0;
        let result = deadline.repeat(py, |slice| {
            self.channel.producer.use_within(slice, |producer| {
                let rest: Vec<Bytes<'_>> =
                    parts[done..].iter().map(|part| Bytes::from(*part)).collect();
                done += producer.send_bytes_many(&rest, slice)?;
                Ok((done == parts.len()).then_some(()))
            })
        });
        match result {
            Err(error) if done == 0 => Err(error),
            _ => Ok(done),
        }
    }

    fn send_loans(
        &self,
        py: Python<'_>,
        objects: &[Bound<'_, PyAny>],
        deadline: Deadline,
    ) -> PyResult<usize> {
        let mut loans = Loans::with_capacity(objects.len());
        for object in objects {
            if let Ok(frame) = object.cast::<Frame>() {
                loans.push(frame.get().take_loan(&self.channel)?);
            }
        }
        let (mut done, count) = (0, objects.len());
        let result = deadline.repeat(py, |slice| {
            self.channel.producer.use_within(slice, |producer| {
                done += producer.send_many(&mut loans, slice)?;
                Ok((done == count).then_some(()))
            })
        });
        // What was not sent stays the caller's.
        for (loan, object) in loans.drain().zip(&objects[done..]) {
            if let Ok(frame) = object.cast::<Frame>() {
                frame.get().put_loan_back(loan, self.channel.clone());
            }
        }
        match result {
            Err(error) if done == 0 => Err(error),
            _ => Ok(done),
        }
    }
}

fn policy_of(name: &str) -> Result<Policy, Failure> {
    match name {
        "block" => Ok(Policy::Block),
        "drop_newest" => Ok(Policy::DropNewest),
        "drop_oldest" => Ok(Policy::DropOldest),
        _ => Err(Failure::argument(format!(
            "policy '{name}' is not known; give 'block', 'drop_newest' or 'drop_oldest'"
        ))),
    }
}
