//! A received frame is read-only.
use lava::Frame;

fn write(frame: &mut Frame) -> lava::Result<()> {
    frame.bytes()?[0] = 1;
    Ok(())
}

fn main() {}
