//! Sending the application's own buffers, without copying.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::offer::hexadecimal;
use super::producer::Producer;
use super::waiting::{Patience, waited_status};
use crate::error::{Error, Result};
use crate::memory::{Buffer, Memory};
use crate::os::memfd;
use crate::os::socket::{self, Sent};
use crate::transport::descriptor::{Descriptor, Origin, Place};
use crate::transport::tensor;
use crate::transport::vulkan::{self, Exported};
use crate::types::*;
use crate::wire::{self, Message, Recipe, kind};

impl Producer {
    pub fn send_buffer(
        &mut self,
        buffer: &Arc<Buffer>,
        offset: u64,
        size: u64,
        tag: u64,
        tensor: Option<&lava_tensor>,
        timeout_ns: u64,
    ) -> Result<lava_status> {
        self.enter_control()?;
        check_sendable(buffer, offset, size)?;
        self.check_device(buffer, size)?;
        let tensor = tensor.map(|tensor| tensor::check(tensor, size)).transpose()?;
        let (number, retired) = self.registry.number(buffer, &self.pool)?;
        for number in retired {
            self.retire(number);
        }
        let mut patience = Patience::new(timeout_ns);
        let waited = self.acquire_slot(&mut patience).and_then(|slot| {
            let targets =
                self.wait_targets(&mut patience).inspect_err(|_| self.pool.discard(slot))?;
            Ok((slot, targets))
        });
        let (slot, targets) = match waited {
            Ok(waited) => waited,
            Err(LAVA_WOULD_BLOCK) if self.shared.geometry.policy != LAVA_POLICY_BLOCK => {
                return Ok(LAVA_OK);
            }
            Err(status) => return waited_status(Err(status)),
        };
        if let Err(error) = self.pass_buffer(number, buffer, targets, &mut patience) {
            self.pool.discard(slot);
            return if error.status > 0 { Ok(error.status) } else { Err(error) };
        }
        if let Some(tensor) = &tensor {
            self.metadata.write(slot, tensor);
        }
        self.registry.note(slot, number);
        let origin = Origin { sequence: self.sequence, timestamp_ns: self.timestamp(), tag };
        let place =
            Place { slot, buffer: number, offset, size, tensor: tensor.is_some(), ready: 0 };
        if buffer.memory() == Memory::Device && self.staged_among(targets) != 0 {
            self.publish_buffer((place, origin), targets, buffer);
        } else {
            self.publish_direct(&Descriptor::Slot { place, origin }, targets);
        }
        self.wake_all();
        Ok(LAVA_OK)
    }

    /// A buffer in GPU memory goes to consumers that have imported a pool on the same GPU, or staged through the pool's
    /// mirror.
    fn check_device(&self, buffer: &Buffer, size: u64) -> Result<()> {
        if buffer.memory() != Memory::Device {
            return Ok(());
        }
        let unsupported = |what: String| Err(Error::new(LAVA_ERROR_UNSUPPORTED, what));
        if self.device.is_none() {
            return unsupported(
                "this buffer is GPU memory and the channel's pool is host memory: create the channel with \
                 LAVA_MEMORY_DEVICE, or copy into a loan"
                    .into(),
            );
        }
        let (own, pool) = (vulkan::device_uuid(buffer), vulkan::device_uuid(&self.memory));
        if own != pool {
            let name =
                |uuid: Option<[u8; 16]>| uuid.map_or_else(String::new, |uuid| hexadecimal(&uuid));
            return unsupported(format!(
                "this buffer is on GPU {}, the channel's pool on GPU {}: copy into a loan",
                name(own),
                name(pool)
            ));
        }
        let most = self.shared.geometry.max_frame_size;
        if size > most && self.staged_among(u64::MAX) != 0 {
            return Err(Error::new(
                LAVA_ERROR_TOO_LARGE,
                format!(
                    "a consumer gets its frames staged in host memory, in slots of {most} bytes: {size} bytes do not fit; \
                     raise max_frame_size"
                ),
            )
            .with_value(size));
        }
        Ok(())
    }

    /// Passes a buffer to the consumers that do not have it yet.
    fn pass_buffer(
        &mut self,
        number: u32,
        buffer: &Buffer,
        targets: u64,
        patience: &mut Patience,
    ) -> Result<()> {
        let copied = if buffer.memory() == Memory::Device { self.staged_among(targets) } else { 0 };
        for connection in &mut self.connections {
            let has = connection.buffers.contains(&number);
            if has || targets & !copied & connection.bit == 0 {
                continue;
            }
            let (message, fd) = passed(number, buffer)?;
            let fd = fd.as_fd();
            loop {
                match socket::send(connection.socket.as_fd(), bytemuck::bytes_of(&message), &[fd])?
                {
                    Sent::Yes | Sent::Gone => break,
                    Sent::Full => {
                        // Only a consumer whose service thread is stopped lets its socket fill up.
                        let deadline = patience.start().map_err(|status| {
                            Error::new(status, "a consumer does not read its socket")
                        })?;
                        if deadline.passed() {
                            return Err(Error::new(
                                LAVA_TIMED_OUT,
                                "a consumer does not read its socket",
                            ));
                        }
                        std::thread::sleep(std::time::Duration::from_millis(1));
                    }
                }
            }
            connection.buffers.insert(number);
        }
        Ok(())
    }

    /// Tells the consumers that a buffer will not be sent any more.
    fn retire(&mut self, number: u32) {
        let message = wire::Buffer {
            head: wire::Buffer::make_head(kind::RETIRE, 0),
            id: number,
            ..bytemuck::Zeroable::zeroed()
        };
        for connection in &mut self.connections {
            if connection.buffers.remove(&number) {
                // A consumer that does not read keeps the mapping until it ends.
                let _ = socket::send(connection.socket.as_fd(), bytemuck::bytes_of(&message), &[]);
            }
        }
    }
}

/// The message that passes a buffer, and its descriptor.
fn passed(number: u32, buffer: &Buffer) -> Result<(wire::Buffer, OwnedFd)> {
    let (recipe, fd, file_size) = if buffer.memory() == Memory::Device {
        let Exported { fd, recipe } = vulkan::export(buffer)?;
        (recipe, fd, recipe.allocation_size)
    } else {
        let fd = buffer.shared_fd().ok_or_else(|| {
            Error::new(LAVA_ERROR_INTERNAL, "a shareable buffer without a descriptor")
        })?;
        (Recipe::default(), memfd::duplicate(fd)?, buffer.allocated_size())
    };
    let message = wire::Buffer {
        head: wire::Buffer::make_head(kind::BUFFER, 1),
        id: number,
        memory: buffer.memory().number(),
        pages: buffer.pages(),
        reserved: 0,
        size: buffer.size(),
        file_size,
        recipe,
    };
    Ok((message, fd))
}

fn check_sendable(buffer: &Buffer, offset: u64, size: u64) -> Result<()> {
    let unsupported =
        |what: &str| Err(Error::new(LAVA_ERROR_UNSUPPORTED, format!("this buffer {what}")));
    if buffer.flags() & LAVA_BUFFER_IMPORTED != 0 {
        return unsupported("was imported: only the process that allocated a buffer can send it");
    }
    let on_device = buffer.memory() == Memory::Device;
    if !on_device && buffer.shared_fd().is_none() {
        return unsupported("cannot be shared: allocate it with LAVA_BUFFER_SHAREABLE");
    }
    // Nobody can keep importers of GPU memory from writing to it.
    if !on_device && !buffer.is_single_writer() {
        return unsupported(
            "can be written to by importers: allocate it without LAVA_BUFFER_WRITABLE_BY_IMPORTERS",
        );
    }
    if offset.checked_add(size).is_none_or(|end| end > buffer.size()) {
        return Err(Error::new(
            LAVA_ERROR_TOO_LARGE,
            format!("{size} bytes at {offset} lie outside the buffer of {} bytes", buffer.size()),
        )
        .with_value(size));
    }
    Ok(())
}
