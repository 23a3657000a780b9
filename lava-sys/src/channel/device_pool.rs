//! What a producer does differently when its pool is GPU memory: nothing of it runs for host memory.

use std::sync::Arc;

use serde_json::{Value, json};

use super::offer::hexadecimal;
use super::producer::Producer;
use super::shared::Stats;
use super::waiting::Patience;
use crate::error::{Error, Hot, Result};
use crate::memory::{Buffer, Memory};
use crate::os::clock::Deadline;
use crate::transport::descriptor::{Descriptor, Origin, Place};
use crate::transport::frame::FrameRef;
use crate::transport::ready::Signals;
use crate::transport::{Transport, vulkan};
use crate::types::*;

/// A frame's GPU work may take so long before it is staged: then its staged consumers are given up, not the channel.
const STAGING_WAIT_NS: u64 = 10_000_000_000;

/// See the module.
#[derive(Debug)]
pub struct DevicePool {
    pub signals: Arc<Signals>,
    /// Consumers that get copies in host memory.
    pub staged: u64,
    mirror: Option<Arc<Buffer>>,
    copies: u64,
    copied_bytes: u64,
}

/// Where a frame's payload lies on the GPU, for the copy.
pub(super) struct Source<'a> {
    pub buffer: &'a Buffer,
    pub offset: u64,
    pub size: u64,
    /// 0: it is ready.
    pub ready: u64,
}

impl DevicePool {
    /// None: the pool is host memory.
    pub fn of(pool: &Buffer) -> Result<Option<Self>> {
        if pool.memory() != Memory::Device {
            return Ok(None);
        }
        let signals = Arc::new(vulkan::signals(pool)?);
        Ok(Some(Self { signals, staged: 0, mirror: None, copies: 0, copied_bytes: 0 }))
    }

    #[cold]
    fn finish(&self, value: u64, patience: &mut Patience) -> Hot<()> {
        if value == 0 {
            return Ok(());
        }
        match self.signals.wait(value, Deadline::after(0)) {
            Err(LAVA_TIMED_OUT) => self.signals.wait(value, patience.start()?),
            other => other,
        }
    }

    /// Copies a payload into the mirror's slot.
    fn stage(&mut self, slot: u32, stride: u64, source: &Source<'_>) -> Result<()> {
        let mirror = self
            .mirror
            .as_ref()
            .ok_or_else(|| Error::new(LAVA_ERROR_INTERNAL, "there is no host mirror"))?;
        if source.ready != 0 {
            let waited = self.signals.wait(source.ready, Deadline::after(STAGING_WAIT_NS));
            waited.map_err(|status| Error::new(status, "the GPU work on the frame is not done"))?;
        }
        let at = u64::from(slot) * stride;
        Buffer::copy(mirror, at, source.buffer, source.offset, source.size)?;
        self.copies += 1;
        self.copied_bytes += source.size;
        Ok(())
    }

    pub fn to_json(&self, pool: &Buffer) -> Value {
        json!({
            "name": vulkan::device_name(pool),
            "device_uuid": vulkan::device_uuid(pool).map(|uuid| hexadecimal(&uuid)),
            "sync": self.signals.name(),
            "staging": self.mirror.as_ref().map(|mirror| json!({
                "memory": mirror.memory().name(),
                "reason": mirror.reason(),
                "copies": self.copies,
                "bytes": self.copied_bytes,
            })),
        })
    }
}

impl Producer {
    /// Where a slot begins in the pool.
    fn slot_offset(&self, slot: u32) -> u64 {
        u64::from(slot) * self.shared.geometry.stride
    }

    /// A loan that got a slot of GPU memory has no address.
    #[cold]
    pub(super) fn place_loan(&self, frame: &mut FrameRef, slot: u32) {
        let at = self.slot_offset(slot);
        frame.cell_mut().place_loan(at);
    }

    /// A connection has come.
    pub(super) fn note_transport(&mut self, transport: Transport, bit: u64) {
        if let Some(device) = &mut self.device
            && transport == Transport::Staged
        {
            device.staged |= bit;
            device.mirror = self.shared.staging.made();
        }
    }

    /// A connection has gone.
    pub(super) fn forget_transport(&mut self, bit: u64) {
        if let Some(device) = &mut self.device {
            device.staged &= !bit;
        }
    }

    /// Before a loan is sent: GPU work on it is waited for where consumers cannot wait themselves.
    #[inline]
    pub(super) fn finish_work(&self, frame: &FrameRef, patience: &mut Patience) -> Hot<()> {
        match &self.device {
            None => Ok(()),
            Some(device) if device.signals.is_shared() => Ok(()),
            Some(device) => device.finish(frame.cell().ready_value(), patience),
        }
    }

    /// Says in a descriptor at which value its frame is ready.
    #[cold]
    pub(super) fn announce_ready(&self, descriptor: &mut Descriptor, value: u64) {
        let Some(device) = &self.device else { return };
        if value != 0 && device.signals.is_shared() {
            device.signals.note_sent(value);
            descriptor.set_ready(value);
        }
    }

    /// Consumers among `targets` that need a copy in host memory.
    pub(super) fn staged_among(&self, targets: u64) -> u64 {
        self.device.as_ref().map_or(0, |device| device.staged & targets)
    }

    /// Publishes a frame of the pool of which some consumers get a copy.
    #[cold]
    pub(super) fn publish_staged(&mut self, descriptor: &Descriptor, targets: u64) {
        let Some(slot) = descriptor.slot() else { return };
        let pool = Arc::clone(&self.memory);
        let (offset, size) = (self.slot_offset(slot), descriptor.size());
        let source = Source { buffer: &pool, offset, size, ready: descriptor.ready() };
        self.publish_apart(descriptor, descriptor, targets, &source);
    }

    /// As [`Self::publish_staged`], with a frame in a buffer of the application: its copy lies in the slot.
    pub(super) fn publish_buffer(
        &mut self,
        (place, origin): (Place, Origin),
        targets: u64,
        buffer: &Buffer,
    ) {
        let (mut direct, mut staged) = (Descriptor::default(), Descriptor::default());
        direct.set_place(place, origin);
        staged.set_place(Place { buffer: 0, offset: 0, ..place }, origin);
        let source = Source { buffer, offset: place.offset, size: place.size, ready: 0 };
        self.publish_apart(&direct, &staged, targets, &source);
    }

    /// First to the consumers that use the GPU's memory, which need not wait for the copy; then, after the copy, to the
    /// others. A copy that fails costs only those.
    fn publish_apart(
        &mut self,
        direct: &Descriptor,
        staged: &Descriptor,
        targets: u64,
        source: &Source<'_>,
    ) {
        let apart = self.staged_among(targets);
        for connection in &mut self.connections {
            if connection.bit & targets & !apart != 0 {
                connection.push(direct);
                connection.outlet.wake();
            } else if connection.is_open() && connection.bit & targets == 0 {
                Stats::add(&connection.stats.dropped, 1);
            }
        }
        let slot = direct.slot().unwrap_or_default();
        let stride = self.shared.geometry.stride;
        let copied = match &mut self.device {
            Some(device) => device.stage(slot, stride, source),
            None => Ok(()),
        };
        let mut reached = targets;
        match copied {
            Ok(()) => {
                let mut staged = *staged;
                staged.clear_ready();
                for connection in &mut self.connections {
                    if connection.bit & apart != 0 {
                        connection.push(&staged);
                    }
                }
            }
            Err(error) => {
                self.give_up_staging(&error);
                reached &= !apart;
            }
        }
        self.pool.publish(slot, reached);
        self.count_sent();
    }

    /// No frame can be copied any more: those who need copies are let go, and told.
    fn give_up_staging(&mut self, error: &Error) {
        let reason = format!("frames can no longer be copied to host memory: {}", error.message);
        let (pool, context, shared) = (&mut self.pool, &self.context, &self.shared);
        let Some(device) = &mut self.device else { return };
        let staged = std::mem::take(&mut device.staged);
        self.connections.retain(|connection| {
            let keep = connection.bit & staged == 0;
            if !keep {
                context.log.error(|| {
                    format!(
                        "channel {}: consumer {} is cut off: {reason}",
                        shared.name, connection.id
                    )
                });
                connection.cut();
                pool.release_all(connection.bit);
            }
            keep
        });
        shared.staging.refuse(reason);
    }
}
