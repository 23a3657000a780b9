//! A frame has one owner, who gives it back once.
use lava::Frame;

fn copy(frame: &Frame) -> Frame {
    frame.clone()
}

fn main() {}
