//! A consumer's own pool in GPU memory, for frames that come in host memory: it has the producer's slots, and a frame is
//! copied into the slot of the same number when it is received.

use std::sync::Arc;

use serde_json::{Value, json};

use super::offer::hexadecimal;
use crate::error::Result;
use crate::memory::{Buffer, Memory, MemoryContext, Request};
use crate::transport::vulkan;
use crate::types::*;

/// See the module.
#[derive(Debug)]
pub struct Upload {
    pool: Arc<Buffer>,
    /// For frames of the application's buffers that are larger than a slot: used again once nobody has it.
    large: Option<Arc<Buffer>>,
    context: MemoryContext,
    copies: u64,
    bytes: u64,
}

impl Upload {
    /// `size` bytes on the GPU `device_uuid`; zeros: the best.
    pub fn new(size: u64, device_uuid: [u8; 16], context: &MemoryContext) -> Result<Self> {
        let pool = Arc::new(allocate(size, device_uuid, context)?);
        Ok(Self { pool, large: None, context: context.clone(), copies: 0, bytes: 0 })
    }

    /// Where the frames lie.
    pub fn pool(&self) -> &Arc<Buffer> {
        &self.pool
    }

    /// Copies a range into the slot at `at`.
    pub fn copy_slot(&mut self, at: u64, from: &Buffer, offset: u64, size: u64) -> Result<()> {
        Buffer::copy(&self.pool, at, from, offset, size)?;
        self.count(size);
        Ok(())
    }

    /// Copies a range of an application's buffer, which no slot holds, into memory of its own.
    pub fn copy_large(&mut self, from: &Buffer, offset: u64, size: u64) -> Result<Arc<Buffer>> {
        let free =
            |buffer: &mut Arc<Buffer>| buffer.size() >= size && Arc::get_mut(buffer).is_some();
        let to = match self.large.take_if(free) {
            Some(buffer) => buffer,
            None => Arc::new(allocate(size, self.pool.device_uuid(), &self.context)?),
        };
        Buffer::copy(&to, 0, from, offset, size)?;
        self.count(size);
        self.large = Some(Arc::clone(&to));
        Ok(to)
    }

    fn count(&mut self, size: u64) {
        self.copies += 1;
        self.bytes += size;
    }

    pub fn to_json(&self) -> Value {
        json!({
            "name": vulkan::device_name(&self.pool),
            "device_uuid": hexadecimal(&self.pool.device_uuid()),
            "copies": self.copies,
            "bytes": self.bytes,
        })
    }
}

/// Shareable where the device allows, as frames are that were imported: programs pass them to CUDA and others.
fn allocate(size: u64, device_uuid: [u8; 16], context: &MemoryContext) -> Result<Buffer> {
    let request = |shareable| Request {
        memory: Memory::Device,
        size,
        alignment: 0,
        flags: LAVA_BUFFER_REQUIRE | shareable,
        numa_node: None,
        fallback: Vec::new(),
        peer: None,
        device_uuid,
    };
    Buffer::allocate(&request(LAVA_BUFFER_SHAREABLE), context)
        .or_else(|_| Buffer::allocate(&request(0), context))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::consumer::{self, Consumer};
    use super::super::context::{self, Context};
    use super::super::producer::{self, Producer};
    use super::*;
    use crate::memory::vulkan::{Allowed, testing};

    const SIZE: usize = 5000;
    const SECOND: u64 = 1_000_000_000;

    fn context(place: &tempfile::TempDir) -> Arc<Context> {
        let options = context::Options {
            runtime_directory: Some(place.path().to_str().unwrap().to_owned()),
            vulkan: Some(Allowed::All),
            ..context::Options::default()
        };
        Context::create(options).unwrap()
    }

    fn world(place: &tempfile::TempDir) -> (Producer, Consumer) {
        let options = producer::Options {
            policy: LAVA_POLICY_BLOCK,
            max_frame_size: SIZE as u64,
            capacity: 4,
            queue_length: 0,
            memory: Memory::Auto,
            fallback: Vec::new(),
            flags: 0,
            max_consumers: 0,
            alignment: 0,
            numa_node: None,
            require_transports: 0,
            device_uuid: [0; 16],
        };
        let producer = Producer::create(&context(place), "host", &options).unwrap();
        let options = consumer::Options {
            flags: 0,
            timeout_ns: 0,
            require_transports: 0,
            max_copies: None,
            producer: None,
            memory: Memory::Device,
            device_uuid: [0; 16],
        };
        (producer, Consumer::create(&context(place), "host", &options).unwrap())
    }

    #[test]
    fn a_copy_that_fails_ends_the_connection_and_keeps_what_was_received() {
        if testing::device().is_none() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let (mut producer, mut consumer) = world(&place);
        for value in 1..4 {
            producer.send_bytes(&[value; SIZE], SECOND).unwrap();
        }
        let held = consumer.receive(SECOND).unwrap();
        assert!(held.cell().is_on_device());
        // A pool without room stands for a device that is lost.
        let upload = consumer.established.upload.as_mut().unwrap();
        upload.pool = Arc::new(allocate(1, [0; 16], &upload.context).unwrap());
        for _ in 0..2 {
            assert_eq!(consumer.receive(SECOND).unwrap_err(), LAVA_ERROR_TOO_LARGE);
        }
        assert_eq!(consumer.connection().state, LAVA_CONNECTION_LOST);
        let (buffer, at) = held.cell().buffer().unwrap();
        assert!(buffer.size() >= at + SIZE as u64, "what was received before stays");
        held.release();
        while producer.connection_count() > 0 {
            std::thread::yield_now();
        }
    }
}
