//! Bytes of another process are seen only as types for which every pattern of bits is a value: not `bool`, no references.
use lava::Frame;

fn view<T: Copy>(frame: &Frame) -> lava::Result<&[T]> {
    frame.slice::<T>()
}

fn main() {}
