//! The other process of a trial: it imports a buffer, or receives a frame, and looks at the bytes.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use lava::{
    Buffer, BufferHandle, BufferRecipe, Consumer, ConsumerOptions, Context, Memory, Outcome,
    Received, Transport,
};
use serde_json::Value;

use crate::child::Parent;
use crate::failure::{Doing, Failure};

/// Arguments of the process.
#[derive(Debug, clap::Args)]
pub struct PeerArguments {
    /// An inherited descriptor and its recipe in hexadecimal digits
    #[arg(long, requires = "recipe")]
    fd: Option<RawFd>,
    #[arg(long)]
    recipe: Option<String>,
    /// Or a channel
    #[arg(long)]
    channel: Option<String>,
    #[arg(long)]
    parent: u32,
}

/// What it says, once.
pub type Heard = Result<String, String>;

const PATIENCE: Duration = Duration::from_secs(10);

/// Runs the process.
pub fn answer(arguments: &PeerArguments) -> Result<(), Failure> {
    let parent = Parent::attach(arguments.parent)?;
    let outcome = match (&arguments.fd, &arguments.recipe, &arguments.channel) {
        (Some(fd), Some(recipe), _) => import(*fd, recipe),
        (_, _, Some(channel)) => receive(channel),
        _ => Err(Failure::Usage("nothing to try".to_owned())),
    };
    let outcome: Heard = outcome.map_err(|failure| format!("in the other process: {failure}"));
    parent.tell(&outcome)
}

/// Bytes that do not repeat at any power of two, another set for each salt.
pub fn pattern(size: usize, salt: u8) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8 ^ (at / 251) as u8 ^ salt).collect()
}

/// Fails unless the bytes are those of [`pattern`].
pub fn compare(bytes: &[u8], salt: u8, what: &str) -> Result<(), Failure> {
    let expected = pattern(bytes.len(), salt);
    match bytes.iter().zip(&expected).position(|(byte, right)| byte != right) {
        None => Ok(()),
        Some(at) => Err(Failure::Failed(format!(
            "{what} is wrong at byte {at}: {} instead of {}",
            bytes[at], expected[at]
        ))),
    }
}

fn import(fd: RawFd, recipe: &str) -> Result<String, Failure> {
    // SAFETY: the parent names a descriptor that it made inheritable for this process; nothing else here owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let digits = (0..recipe.len() / 2).map(|at| recipe.get(at * 2..at * 2 + 2).unwrap_or(""));
    let bytes: Vec<u8> = digits
        .map(|pair| u8::from_str_radix(pair, 16))
        .collect::<Result<_, _>>()
        .doing("recipe")?;
    let bytes: [u8; BufferRecipe::SIZE] =
        bytes.try_into().map_err(|_| "a recipe of another size".to_owned())?;
    let handle = BufferHandle::new(fd, BufferRecipe::from_bytes(bytes));
    let mut buffer = Buffer::import(&Context::new()?, &handle)?;
    let mut bytes = vec![0; buffer.info()?.size as usize];
    buffer.read(0, &mut bytes)?;
    compare(&bytes, 1, "what the first process wrote")?;
    buffer.write(0, &pattern(bytes.len(), 2))?;
    Ok("imported".to_owned())
}

fn receive(channel: &str) -> Result<String, Failure> {
    let options = ConsumerOptions::new()
        .memory(Memory::Device)
        .require_transport(Transport::Vulkan)
        .timeout(PATIENCE);
    let mut consumer = Consumer::open(&Context::new()?, channel, &options)?;
    let Received::Frame(frame) = consumer.receive_timeout(PATIENCE)? else {
        return Err(Failure::Failed("no frame came".to_owned()));
    };
    if frame.wait_ready(PATIENCE)? != Outcome::Done {
        return Err(Failure::Failed("the frame did not become ready".to_owned()));
    }
    compare(&frame.copy_to_vec::<u8>()?, 1, "the frame")?;
    let description: Value = serde_json::from_str(&consumer.describe()?)
        .doing("reading the connection's description")?;
    Ok(description["sync"].as_str().unwrap_or("unknown").to_owned())
}
