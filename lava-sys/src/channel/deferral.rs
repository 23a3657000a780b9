//! The service thread looks after releases that wait for a GPU: often enough that a producer short of slots is not kept
//! waiting, and not at all while there are none.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::service::{Next, Source, Turn};
use crate::os::clock::Deadline;
use crate::transport::deferred::Deferred;

/// Between two looks. A GPU takes about 10 µs to tell a host of its work, so more often is no use.
const LOOK_NS: u64 = 50_000;
/// After so many looks in vain the work is long, and looks become rarer.
const LOOKS: u32 = 100;
const RARE_LOOK_NS: u64 = 1_000_000;

/// See the module.
pub struct Deferral {
    deferred: Arc<Deferred>,
    next: Deadline,
    in_vain: u32,
}

impl Deferral {
    pub fn new(deferred: Arc<Deferred>) -> Self {
        Self { deferred, next: Deadline::NEVER, in_vain: 0 }
    }

    fn look(&mut self) -> Next {
        let pause = if self.in_vain < LOOKS { LOOK_NS } else { RARE_LOOK_NS };
        self.next = if self.deferred.poll() { Deadline::after(pause) } else { Deadline::NEVER };
        Next::Keep
    }
}

impl Source for Deferral {
    fn fd(&self) -> BorrowedFd<'_> {
        self.deferred.fd()
    }

    fn ready(&mut self, _turn: &mut Turn<'_>) -> Next {
        self.deferred.clear();
        self.in_vain = 0;
        self.look()
    }

    fn deadline(&self) -> Deadline {
        self.next
    }

    fn expired(&mut self, _turn: &mut Turn<'_>) -> Next {
        self.in_vain = self.in_vain.saturating_add(1);
        self.look()
    }
}

impl Drop for Deferral {
    /// The service thread ends with its context.
    fn drop(&mut self) {
        self.deferred.finish();
    }
}
