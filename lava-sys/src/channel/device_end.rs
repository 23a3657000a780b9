//! What a consumer has beyond its rings when the producer's pool is GPU memory, or its own is.

use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::connect::Established;
use super::consumer::Consumer;
use super::context::Context;
use super::survivor;
use super::upload::Upload;
use crate::error::{Error, Hot, Result};
use crate::memory::{Buffer, Memory};
use crate::os::socket;
use crate::transport::Transport;
use crate::transport::descriptor::{Origin, Place};
use crate::transport::frame::FrameRef;
use crate::transport::slab::DeviceEnd;
use crate::types::*;

/// The memory that frames lie in: the producer's, or this consumer's own.
pub fn frames_pool(established: &Established) -> &Arc<Buffer> {
    established.upload.as_ref().map_or(&established.pool, Upload::pool)
}

/// Whether frames lie in plain host memory.
fn is_plain(established: &Established) -> bool {
    let host = matches!(established.transport, Transport::Shm | Transport::Mpi);
    host && established.upload.is_none()
}

/// For the frames of a new connection; None if they are plain host memory of the producer.
pub fn end(context: &Arc<Context>, established: &Established) -> Result<Option<DeviceEnd>> {
    if is_plain(established) {
        return Ok(None);
    }
    if let Some(watch) = &established.watch {
        survivor::look_after(context, &established.socket, watch)?;
    }
    Ok(Some(DeviceEnd { watch: established.watch.clone(), deferred: context.deferred()? }))
}

/// How frames become ready; None where the question does not arise.
pub fn sync_name(established: &Established) -> Option<&'static str> {
    match (established.transport, &established.watch) {
        (Transport::Vulkan, Some(_)) => Some("timeline"),
        _ if is_plain(established) => None,
        (_, None) => Some("host"),
        _ => None,
    }
}

impl Consumer {
    /// Allocations of GPU memory that this connection imported.
    pub(super) fn imports(&self) -> u64 {
        let pool = self.established.pool.memory() == Memory::Device;
        u64::from(pool) + self.shared.imports.load(Ordering::Relaxed)
    }

    /// As `accept_place`, where frames lie in GPU memory.
    #[cold]
    pub(super) fn accept_on_device(
        &mut self,
        place: Place,
        position: u64,
        at: u64,
        origin: Origin,
    ) -> Hot<FrameRef> {
        let ready = match &mut self.established.upload {
            Some(upload) => {
                let copied = upload.copy_slot(at, &self.established.pool, at, place.size);
                copied.map_err(|error| self.give_up_uploads(&error))?;
                0
            }
            None => self.announced(place.ready)?,
        };
        let mut frame = self.frames.take(|_| ());
        let cell = frame.cell_mut();
        cell.start_slot(place.slot, position, NonNull::dangling(), place.size, origin);
        cell.place_received(at, ready);
        if place.tensor {
            cell.set_received_tensor(self.established.metadata.read(place.slot));
        }
        Ok(frame)
    }

    /// At which value a frame of the producer's GPU memory is ready.
    fn announced(&self, ready: u64) -> Hot<u64> {
        match &self.established.watch {
            Some(watch) if ready != 0 => watch.announce(ready)?,
            None if ready != 0 => return Err(LAVA_ERROR_PROTOCOL),
            _ => {}
        }
        Ok(ready)
    }

    /// As `accept_place`, for a frame in an application's buffer that is copied to this consumer's GPU memory: into the
    /// slot that it takes anyway, if it fits.
    #[cold]
    pub(super) fn accept_copied(
        &mut self,
        place: Place,
        position: u64,
        origin: Origin,
        from: &Buffer,
    ) -> Hot<FrameRef> {
        let welcome = &self.established.welcome;
        let at = u64::from(place.slot) * welcome.stride;
        let fits = place.size <= welcome.max_frame_size;
        let upload = self.established.upload.as_mut().ok_or(LAVA_ERROR_INTERNAL)?;
        let copied = if fits {
            upload.copy_slot(at, from, place.offset, place.size).map(|()| None)
        } else {
            upload.copy_large(from, place.offset, place.size).map(Some)
        };
        let large = copied.map_err(|error| self.give_up_uploads(&error))?;
        let mut frame = self.frames.take(|_| ());
        let cell = frame.cell_mut();
        let (slot, size, nowhere) = (place.slot, place.size, NonNull::dangling());
        cell.start_slot(slot, position, nowhere, size, origin);
        match large {
            None => cell.place_received(at, 0),
            Some(buffer) => {
                cell.set_registered(buffer);
                cell.place_received(0, 0);
            }
        }
        if place.tensor {
            cell.set_received_tensor(self.established.metadata.read(place.slot));
        }
        Ok(frame)
    }

    /// No frame can be copied to the GPU any more (the device is lost, or has no room): the connection ends with that
    /// status, and the producer takes back what was sent.
    fn give_up_uploads(&mut self, error: &Error) -> lava_status {
        self.broken = error.status;
        let message = &error.message;
        self.context.log.error(|| {
            format!("channel {}: frames can no longer be copied to the GPU: {message}", self.name)
        });
        socket::shutdown(self.established.socket.as_fd());
        error.status
    }
}
