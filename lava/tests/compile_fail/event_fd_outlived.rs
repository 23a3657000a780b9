//! The event fd does not outlive its consumer.
use std::os::fd::BorrowedFd;

use lava::Consumer;

fn late(consumer: Consumer) -> lava::Result<BorrowedFd<'static>> {
    consumer.event_fd()
}

fn main() {}
