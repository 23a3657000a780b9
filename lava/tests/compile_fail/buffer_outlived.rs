//! A buffer's bytes do not outlive it.
use lava::Buffer;

fn late(buffer: Buffer) -> lava::Result<u8> {
    let bytes = buffer.as_slice()?;
    drop(buffer);
    Ok(bytes[0])
}

fn main() {}
