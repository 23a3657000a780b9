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
            && matches!(transport, Transport::Staged | Transport::Mpi)
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

    /// The value at which the GPU work on a loan that is sent now is done, if consumers wait for it themselves; else 0.
    #[inline]
    pub(super) fn ready_value(&self, value: u64) -> u64 {
        match &self.device {
            Some(device) if value != 0 && device.signals.is_shared() => {
                device.signals.note_sent(value);
                value
            }
            _ => 0,
        }
    }

    /// Consumers among `targets` that need a copy in host memory.
    pub(super) fn staged_among(&self, targets: u64) -> u64 {
        self.device.as_ref().map_or(0, |device| device.staged & targets)
    }

    /// Publishes a frame of the pool of which some consumers get a copy.
    #[cold]
    pub(super) fn publish_staged(&mut self, place: Place, origin: Origin, targets: u64) {
        let pool = Arc::clone(&self.memory);
        let offset = self.slot_offset(place.slot);
        let source = Source { buffer: &pool, offset, size: place.size, ready: place.ready };
        self.publish_apart((place, place), origin, targets, &source);
    }

    /// As [`Self::publish_staged`], with a frame in a buffer of the application: its copy lies in the slot.
    pub(super) fn publish_buffer(
        &mut self,
        (place, origin): (Place, Origin),
        targets: u64,
        buffer: &Buffer,
    ) {
        let staged = Place { buffer: 0, offset: 0, ..place };
        let source = Source { buffer, offset: place.offset, size: place.size, ready: 0 };
        self.publish_apart((place, staged), origin, targets, &source);
    }

    /// First to the consumers that use the GPU's memory, which need not wait for the copy; then, after the copy, to the
    /// others. A copy that fails costs only those.
    fn publish_apart(
        &mut self,
        (direct, staged): (Place, Place),
        origin: Origin,
        targets: u64,
        source: &Source<'_>,
    ) {
        let slot = direct.slot;
        let direct = Descriptor::Slot { place: direct, origin };
        // The copy is made before it is published.
        let staged = Descriptor::Slot { place: Place { ready: 0, ..staged }, origin };
        let apart = self.staged_among(targets);
        for connection in &mut self.connections {
            if connection.bit & targets & !apart != 0 {
                connection.push(&direct);
                connection.outlet.wake();
            } else if connection.is_open() && connection.bit & targets == 0 {
                Stats::add(&connection.stats.dropped, 1);
            }
        }
        let stride = self.shared.geometry.stride;
        let copied = match &mut self.device {
            Some(device) => device.stage(slot, stride, source),
            None => Ok(()),
        };
        let mut reached = targets;
        match copied {
            Ok(()) => {
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
        self.advance(1);
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::consumer::{self, Consumer};
    use super::super::context::{self, Context};
    use super::super::producer;
    use super::*;
    use crate::memory::vulkan::{Allowed, testing};

    const SIZE: usize = 5000;

    /// A producer on a GPU, and where it is found. None where there is no GPU.
    fn world() -> Option<(tempfile::TempDir, Producer)> {
        testing::device()?;
        let place = tempfile::tempdir().unwrap();
        let options = producer::Options {
            policy: LAVA_POLICY_BLOCK,
            max_frame_size: 0,
            capacity: 4,
            queue_length: 0,
            memory: Memory::Device,
            fallback: Vec::new(),
            flags: LAVA_PRODUCER_REQUIRE_MEMORY,
            max_consumers: 0,
            alignment: 0,
            numa_node: None,
            require_transports: 0,
            device_uuid: [0; 16],
        };
        let producer = Producer::create(&context(&place, Allowed::All), "gpu", &options).unwrap();
        Some((place, producer))
    }

    fn context(place: &tempfile::TempDir, allowed: Allowed) -> Arc<Context> {
        let directory = place.path().to_str().unwrap().to_owned();
        let options = context::Options {
            runtime_directory: Some(directory),
            vulkan: Some(allowed),
            ..context::Options::default()
        };
        Context::create(options).unwrap()
    }

    fn open(place: &tempfile::TempDir, allowed: Allowed) -> Result<Consumer> {
        let options = consumer::Options {
            flags: 0,
            timeout_ns: 0,
            require_transports: 0,
            max_copies: None,
            producer: None,
            memory: Memory::Auto,
            device_uuid: [0; 16],
        };
        Consumer::create(&context(place, allowed), "gpu", &options)
    }

    const SECOND: u64 = 1_000_000_000;

    /// Whichever back end the device allows: nobody sees a frame as ready before its work is done.
    #[test]
    fn a_frame_is_ready_when_its_gpu_work_is() {
        let Some((place, mut producer)) = world() else { return };
        let mut consumer = open(&place, Allowed::All).unwrap();
        let mut loan = producer.loan(SIZE as u64, SECOND).unwrap();
        let first = loan.cell_mut().next_ready().unwrap();
        let next = loan.cell_mut().next_ready().unwrap();
        assert_eq!((first.value, next.value), (1, 2));
        let work = next.semaphore.unwrap();
        let shared = producer.device.as_ref().unwrap().signals.is_shared();
        if shared {
            producer.send(loan, SECOND).unwrap();
            let frame = consumer.receive(SECOND).unwrap();
            let ready = frame.cell().ready();
            assert_eq!((ready.value, ready.semaphore.is_some()), (2, true));
            assert_eq!(frame.cell().wait_ready(0), Err(LAVA_WOULD_BLOCK));
            assert_eq!(frame.cell().wait_ready(1000), Err(LAVA_TIMED_OUT));
            work.signal(2).unwrap();
            assert_eq!(frame.cell().wait_ready(SECOND), Ok(()));
            frame.release();
        } else {
            assert_eq!(producer.send(loan, 0), Err(LAVA_WOULD_BLOCK));
            assert_eq!(producer.send(loan, 1_000_000), Err(LAVA_TIMED_OUT), "still the caller's");
            assert!(consumer.receive(0).is_err(), "nobody sees it");
            work.signal(2).unwrap();
            producer.send(loan, SECOND).unwrap();
            let frame = consumer.receive(SECOND).unwrap();
            assert_eq!(frame.cell().ready().value, 0);
            assert_eq!(frame.cell().wait_ready(0), Ok(()));
            frame.release();
        }
    }

    #[test]
    fn a_frame_is_staged_when_its_gpu_work_is_done() {
        let Some((place, mut producer)) = world() else { return };
        let mut staged = open(&place, Allowed::Off).unwrap();
        let mut loan = producer.loan(SIZE as u64, SECOND).unwrap();
        let ready = loan.cell_mut().next_ready().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(50));
                ready.semaphore.unwrap().signal(ready.value).unwrap();
            });
            producer.send(loan, 20 * SECOND).unwrap();
        });
        let frame = staged.receive(SECOND).unwrap();
        assert_eq!((frame.cell().ready_value(), frame.cell().wait_ready(0)), (0, Ok(())));
        assert!(!frame.cell().data().is_null());
        frame.release();
    }

    #[test]
    fn a_copy_that_fails_costs_the_staged_consumers_only_and_is_told() {
        let Some((place, mut producer)) = world() else { return };
        let mut direct = open(&place, Allowed::All).unwrap();
        let mut staged = open(&place, Allowed::Off).unwrap();
        producer.send_bytes(&[1; SIZE], SECOND).unwrap();
        // As a lost device would have it.
        producer.device.as_mut().unwrap().mirror = None;
        producer.send_bytes(&[2; SIZE], SECOND).unwrap();
        producer.send_bytes(&[3; SIZE], SECOND).unwrap();
        for sequence in 0..3 {
            let frame = direct.receive(SECOND).unwrap();
            assert_eq!(frame.cell().info().sequence, sequence);
            frame.release();
        }
        staged.receive(SECOND).expect("what was copied before").release();
        assert_eq!(staged.receive(SECOND).unwrap_err(), LAVA_ERROR_PEER_LOST);
        let error = open(&place, Allowed::Off).unwrap_err();
        assert_eq!(error.status, LAVA_ERROR_REQUIREMENT);
        assert!(error.message.contains("can no longer be copied"), "{error}");
        assert_eq!(producer.connection_count(), 1);
    }
}
