//! What a frame is: a loan, a received frame, or neither any more; and how a loan is written and made ready.

use std::sync::Arc;

use lava::FrameInfo;
use lava_sys::{LAVA_ERROR_FRAME_STATE, LAVA_ERROR_NOT_FOUND};
use parking_lot::Mutex;
use pyo3::exceptions::PyBufferError;
use pyo3::prelude::*;

use crate::cuda;
use crate::failure::{Failure, OrRaise};
use crate::fork::Birth;
use crate::frame::Frame;
use crate::payload::{Memory, OwnBytes, Payload, Place, Shown};
use crate::producer::Channel;
use crate::tensor::Array;
use crate::wait::Deadline;

pub(crate) enum State {
    Received(Arc<Payload>),
    Loan(Box<Loaned>),
    /// What became of it.
    Ended(&'static str),
}

pub(crate) struct Loaned {
    pub(crate) loan: lava::Loan,
    pub(crate) channel: Arc<Channel>,
    /// Seconds that sending may take at the end of a `with` block.
    pub(crate) timeout: Option<f64>,
    /// What views of it hold; made for the first.
    pub(crate) payload: Option<Arc<Payload>>,
    /// The views write here, because so small a payload has no slot. It is copied when the loan is sent.
    pub(crate) own: bool,
}

impl Frame {
    #[inline]
    pub(crate) fn received(frame: lava::Frame) -> Self {
        let payload = Payload::new(Memory::Frame(frame));
        Self { state: Mutex::new(State::Received(payload)), birth: Birth::now() }
    }

    pub(crate) fn loaned(loan: lava::Loan, channel: Arc<Channel>, timeout: Option<f64>) -> Self {
        let loaned = Loaned { loan, channel, timeout, payload: None, own: false };
        Self { state: Mutex::new(State::Loan(Box::new(loaned))), birth: Birth::now() }
    }

    pub(crate) fn is_loan(&self) -> bool {
        matches!(&*self.state.lock(), State::Loan(_))
    }

    /// Sends the loan; with `channel`, only if it is that one's.
    pub(crate) fn publish_to(
        &self,
        py: Python<'_>,
        channel: Option<&Arc<Channel>>,
        tag: u64,
        deadline: Deadline,
    ) -> PyResult<()> {
        let mut loaned = self.take(channel)?;
        let prepared = prepare(&mut loaned).and_then(|()| match tag {
            0 => Ok(()),
            _ => Ok(loaned.loan.set_tag(tag)?),
        });
        if let Err(failure) = prepared {
            *self.state.lock() = State::Loan(loaned);
            return Err(failure.into());
        }
        let Loaned { loan, channel, timeout, payload, own } = *loaned;
        match channel.publish(py, loan, deadline) {
            Ok(()) => Ok(()),
            Err((loan, error)) => {
                if let Some(loan) = loan {
                    *self.state.lock() =
                        State::Loan(Box::new(Loaned { loan, channel, timeout, payload, own }));
                }
                Err(error)
            }
        }
    }

    /// Takes the loan out, to be sent.
    pub(crate) fn take(&self, channel: Option<&Arc<Channel>>) -> PyResult<Box<Loaned>> {
        self.birth.check()?;
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Ended("sent")) {
            State::Loan(loaned)
                if channel.is_none_or(|channel| Arc::ptr_eq(channel, &loaned.channel)) =>
            {
                Ok(loaned)
            }
            State::Loan(loaned) => {
                *state = State::Loan(loaned);
                Err(Failure::new(
                    LAVA_ERROR_FRAME_STATE,
                    "the loan is of another producer; send it there",
                )
                .into())
            }
            received @ State::Received(_) => {
                *state = received;
                Err(read_only("sent on as it is; send(frame) copies it"))
            }
            State::Ended(how) => {
                *state = State::Ended(how);
                Err(ended(how))
            }
        }
    }

    pub(crate) fn take_loan(&self, channel: &Arc<Channel>) -> PyResult<lava::Loan> {
        let mut loaned = self.take(Some(channel))?;
        match prepare(&mut loaned) {
            Ok(()) => Ok(loaned.loan),
            Err(failure) => {
                *self.state.lock() = State::Loan(loaned);
                Err(failure.into())
            }
        }
    }

    pub(crate) fn put_loan_back(&self, loan: lava::Loan, channel: Arc<Channel>) {
        let loaned = Loaned { loan, channel, timeout: None, payload: None, own: false };
        *self.state.lock() = State::Loan(Box::new(loaned));
    }

    pub(crate) fn info(&self) -> PyResult<FrameInfo> {
        match &*self.state.lock() {
            State::Received(payload) => Ok(frame_of(payload)?.info()),
            State::Loan(loaned) => Ok(loaned.loan.info()),
            State::Ended(how) => Err(ended(how)),
        }
    }

    /// The array's description, whether or not the memory can be had.
    pub(crate) fn array(&self) -> PyResult<Array> {
        let (tensor, bytes) = match &*self.state.lock() {
            State::Received(payload) => {
                let frame = frame_of(payload)?;
                (frame.tensor().or_raise()?, frame.len())
            }
            State::Loan(loaned) => (loaned.loan.tensor().or_raise()?, loaned.loan.len()),
            State::Ended(how) => return Err(ended(how)),
        };
        Ok(Array::new(tensor.as_ref(), bytes))
    }

    pub(crate) fn change(
        &self,
        work: impl FnOnce(&mut Loaned) -> Result<(), Failure>,
    ) -> PyResult<()> {
        self.birth.check()?;
        match &mut *self.state.lock() {
            State::Loan(loaned) => Ok(work(loaned)?),
            State::Received(_) => Err(read_only("changed")),
            State::Ended(how) => Err(ended(how)),
        }
    }

    pub(crate) fn end(&self, how: &'static str) {
        let state = std::mem::replace(&mut *self.state.lock(), State::Ended(how));
        if let State::Ended(before) = &state {
            *self.state.lock() = State::Ended(before);
        }
    }
}

pub(crate) fn ended(how: &str) -> PyErr {
    Failure::new(
        LAVA_ERROR_FRAME_STATE,
        format!("this frame was {how}; use it before, or keep an array of it"),
    )
    .into()
}

pub(crate) fn read_only(what: &str) -> PyErr {
    Failure::new(
        LAVA_ERROR_FRAME_STATE,
        format!("a received frame is read-only and cannot be {what}; copy it"),
    )
    .into()
}

pub(crate) fn frame_of(payload: &Payload) -> Result<&lava::Frame, Failure> {
    payload.frame().ok_or_else(|| Failure::new(lava_sys::LAVA_ERROR_INTERNAL, "the frame has gone"))
}

pub(crate) fn show_received(payload: &Arc<Payload>) -> PyResult<Shown> {
    let frame = frame_of(payload)?;
    let array = Array::new(frame.tensor().or_raise()?.as_ref(), frame.len());
    let start = frame.as_ptr().cast_mut();
    let place = match start.is_null() {
        false => Place::Host(start),
        true => on_gpu(frame.cuda())?,
    };
    Ok(Shown { payload: payload.clone(), place, read_only: true, array })
}

/// A place in CUDA's terms; without CUDA nobody else can use the memory in place.
pub(crate) fn on_gpu(view: lava::Result<lava::CudaView>) -> PyResult<Place> {
    match view {
        Ok(view) => Ok(Place::Cuda {
            pointer: view.device_pointer,
            ordinal: view.device_ordinal,
            context: view.context,
        }),
        Err(error) => Err(PyBufferError::new_err(format!(
            "the memory is a GPU's, and CUDA cannot see it ({error}); copy it: read(), or __dlpack__(dl_device=(1, 0)), which \
             is numpy.from_dlpack(frame, device='cpu')"
        ))),
    }
}

pub(crate) fn show_loan(loaned: &mut Loaned) -> PyResult<Shown> {
    let array = Array::new(loaned.loan.tensor().or_raise()?.as_ref(), loaned.loan.len());
    let (payload, place) = loan_place(loaned)?;
    Ok(Shown { payload, place, read_only: false, array })
}

/// Where a loan is written, and what keeps that alive after the loan was sent.
pub(crate) fn loan_place(loaned: &mut Loaned) -> PyResult<(Arc<Payload>, Place)> {
    let capacity = loaned.loan.info().capacity as usize;
    let start = loaned.loan.bytes_mut().ok().map(|bytes| (bytes.as_mut_ptr(), bytes.len()));
    let payload = match &loaned.payload {
        Some(payload) => payload.clone(),
        None => {
            let payload = Payload::new(match (loaned.loan.buffer(), start) {
                (Ok((buffer, _)), _) => Memory::Slot(buffer),
                (Err(error), Some((from, size))) if error.status() == LAVA_ERROR_NOT_FOUND => {
                    let own = OwnBytes::new(capacity);
                    // SAFETY: `capacity` is at least `size`; the two are apart.
                    unsafe { std::ptr::copy_nonoverlapping(from, own.start(), size) };
                    loaned.own = true;
                    Memory::Own(own)
                }
                (Err(error), _) => return Err(Failure::from(error).into()),
            });
            loaned.payload = Some(payload.clone());
            payload
        }
    };
    let place = match (payload.own(), start) {
        (Some(own), _) => Place::Host(own.start()),
        (None, Some((start, _))) => Place::Host(start),
        (None, None) => on_gpu(loaned.loan.cuda())?,
    };
    Ok((payload, place))
}

/// Makes a loan ready to be sent: what was written beside it, and the streams that write it.
pub(crate) fn prepare(loaned: &mut Loaned) -> Result<(), Failure> {
    let Some(payload) = &loaned.payload else { return Ok(()) };
    if let Some(own) = payload.own() {
        let bytes = loaned.loan.bytes_mut()?;
        // SAFETY: `own` has the loan's capacity; the two are apart.
        unsafe { std::ptr::copy_nonoverlapping(own.start(), bytes.as_mut_ptr(), bytes.len()) };
    }
    let streams = payload.take_streams();
    if streams.is_empty() {
        return Ok(());
    }
    let context = loaned.loan.cuda()?.context;
    if let Some(stream) = cuda::join(context, &streams)? {
        // SAFETY: a stream for which the loan was handed out, of the primary context; its user keeps it until its work is
        // done, and the others are waited for by it.
        unsafe { loaned.loan.set_ready_cuda(stream as *mut _)? };
    }
    Ok(())
}

/// Copies bytes of a loan on the host.
pub(crate) fn read_loan(
    shown: &Shown,
    nbytes: usize,
    offset: usize,
    bytes: &mut [u8],
) -> Result<(), Failure> {
    let inside = offset.checked_add(bytes.len()).is_some_and(|end| end <= nbytes);
    let Place::Host(start) = shown.place else {
        return Err(Failure::new(
            lava_sys::LAVA_ERROR_UNSUPPORTED,
            "a loan of a GPU's memory cannot be read; write it only",
        ));
    };
    if !inside {
        let message = format!(
            "{} bytes at offset {offset} are outside the payload of {nbytes} bytes",
            bytes.len()
        );
        return Err(Failure::new(lava_sys::LAVA_ERROR_TOO_LARGE, message));
    }
    // SAFETY: the range lies within the payload, which `shown` holds.
    unsafe { std::ptr::copy_nonoverlapping(start.add(offset), bytes.as_mut_ptr(), bytes.len()) };
    Ok(())
}
