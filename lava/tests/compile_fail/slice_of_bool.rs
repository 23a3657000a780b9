//! Bytes of another process are seen only as types for which every pattern of bits is a value.
use lava::Frame;

fn flags(frame: &Frame) -> lava::Result<&[bool]> {
    frame.slice::<bool>()
}

fn main() {}
