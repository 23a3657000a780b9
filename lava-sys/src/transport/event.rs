//! A consumer's event socket, as the producer has it: the service thread receives it, the producer's thread signals it.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::os::socket;

/// The place of the event socket. A consumer arms its event as soon as it has sent the socket, so a frame may come before
/// the socket does: the signal is kept for it.
#[derive(Default)]
pub struct EventSlot {
    state: Mutex<State>,
    hook: Option<Hook>,
}

/// Called instead of a signal. It must not wait.
pub type Hook = Box<dyn Fn() + Send + Sync>;

#[derive(Debug, Default)]
struct State {
    socket: Option<OwnedFd>,
    pending: bool,
}

impl std::fmt::Debug for EventSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventSlot")
    }
}

impl EventSlot {
    /// For a consumer that is part of this process: it is called on the producer's own thread.
    pub fn with_hook(hook: Hook) -> Self {
        Self { state: Mutex::default(), hook: Some(hook) }
    }

    /// Makes the consumer's event readable, now or when its socket comes. True if a signal was sent.
    pub fn signal(&self) -> bool {
        if let Some(hook) = &self.hook {
            hook();
            return false;
        }
        let mut state = self.lock();
        state.pending = state.socket.is_none();
        state.socket.as_ref().inspect(|event| socket::signal(event)).is_some()
    }

    /// The socket has come.
    pub fn fill(&self, event: OwnedFd) {
        let mut state = self.lock();
        if std::mem::take(&mut state.pending) {
            socket::signal(&event);
        }
        state.socket = Some(event);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::EventSlot;
    use crate::os::clock::Deadline;
    use crate::os::socket;

    #[test]
    fn a_signal_before_the_socket_is_kept() {
        let (slot, (ours, theirs)) = (EventSlot::default(), socket::pair().expect("sockets"));
        assert!(!slot.signal());
        slot.fill(theirs);
        assert!(socket::wait_readable(ours.as_fd(), Deadline::after(0)).expect("poll"));
    }

    #[test]
    fn a_socket_without_a_signal_stays_silent() {
        let (slot, (ours, theirs)) = (EventSlot::default(), socket::pair().expect("sockets"));
        slot.fill(theirs);
        assert!(!socket::wait_readable(ours.as_fd(), Deadline::after(0)).expect("poll"));
        assert!(slot.signal());
        assert!(socket::wait_readable(ours.as_fd(), Deadline::after(0)).expect("poll"));
    }
}
