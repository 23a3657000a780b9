//! The live channels of a runtime directory, as their producers describe them.

use std::os::fd::{AsFd, OwnedFd};

use serde_json::{Value, json};

use super::context::Context;
use super::link::{LIST_MAX, check_user};
use super::name::Name;
use crate::error::{Error, Result};
use crate::os::clock::Deadline;
use crate::os::socket::{self, Connected, Received};
use crate::types::*;
use crate::wire::{self, Message, kind};

/// A JSON array, one object a channel.
pub fn list_channels(context: &Context, timeout_ns: u64) -> Result<String> {
    context.check_fork()?;
    let deadline = Deadline::after(timeout_ns);
    let mut asked = Vec::new();
    for file in context.directory.sockets()? {
        let Some(name) = Name::from_file(&file) else { continue };
        match socket::connect(context.directory.as_fd(), &file) {
            Ok(Connected::Yes(socket)) => {
                let sent = ask(&socket);
                asked.push((name, sent.map(|()| socket)));
            }
            Ok(Connected::Busy) => {
                asked.push((name, Err(Error::new(LAVA_WOULD_BLOCK, "the producer is busy"))))
            }
            Ok(Connected::Absent | Connected::Stale) => {}
            Err(error) => asked.push((name, Err(error))),
        }
    }
    let list: Vec<Value> = asked
        .into_iter()
        .map(|(name, socket)| {
            socket
                .and_then(|socket| answer(&socket, deadline))
                .unwrap_or_else(|error| json!({ "name": name.as_str(), "error": error.message }))
        })
        .collect();
    Ok(Value::from(list).to_string())
}

fn ask(socket: &OwnedFd) -> Result<()> {
    check_user(socket.as_fd())?;
    let hello = wire::Hello {
        head: wire::Hello::make_head(kind::HELLO_LIST, 0),
        ..bytemuck::Zeroable::zeroed()
    };
    socket::send(socket.as_fd(), bytemuck::bytes_of(&hello), &[]).map(|_| ())
}

fn answer(socket: &OwnedFd, deadline: Deadline) -> Result<Value> {
    if !socket::wait_readable(socket.as_fd(), deadline)? {
        return Err(Error::new(LAVA_TIMED_OUT, "the producer does not answer"));
    }
    let mut buffer = vec![0; LIST_MAX];
    let Received::Message { size, .. } = socket::receive(socket.as_fd(), &mut buffer)? else {
        return Err(Error::new(LAVA_ERROR_PROTOCOL, "the producer hung up"));
    };
    let head_size = size_of::<wire::Head>();
    let is_list = size >= head_size
        && bytemuck::try_pod_read_unaligned::<wire::Head>(&buffer[..head_size]).is_ok_and(|head| {
            head.magic == wire::MAGIC && head.version == wire::VERSION && head.kind == kind::LIST
        });
    if !is_list {
        return Err(Error::new(LAVA_ERROR_PROTOCOL, "the producer's answer is not a list"));
    }
    serde_json::from_slice(&buffer[head_size..size])
        .map_err(|error| Error::new(LAVA_ERROR_PROTOCOL, format!("the producer's answer: {error}")))
}
