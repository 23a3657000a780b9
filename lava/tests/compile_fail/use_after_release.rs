//! A frame's bytes cannot be read after it was given back.
use lava::Frame;

fn late(frame: Frame) -> lava::Result<u8> {
    let bytes = frame.bytes()?;
    drop(frame);
    Ok(bytes[0])
}

fn main() {}
