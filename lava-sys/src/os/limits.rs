//! What this process may take of the machine's memory.

use rustix::process::{Resource, Rlimit};

/// Bytes of a small page.
pub fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

/// Bytes that this process may lock: `RLIMIT_MEMLOCK`. `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockLimit {
    /// The limit in force.
    pub soft: Option<u64>,
    /// How far the process may raise it by itself.
    pub hard: Option<u64>,
}

/// Reads `RLIMIT_MEMLOCK`.
pub fn lock_limit() -> LockLimit {
    let Rlimit { current, maximum } = rustix::process::getrlimit(Resource::Memlock);
    LockLimit { soft: current, hard: maximum }
}

/// Whether `RLIMIT_MEMLOCK` does not bind this thread (CAP_IPC_LOCK).
pub fn may_lock_without_limit() -> bool {
    rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(rustix::thread::CapabilitySet::IPC_LOCK))
}

/// Bytes that this process has locked; 0 if /proc does not tell.
pub fn locked_bytes() -> u64 {
    kilobytes_of("/proc/self/status", "VmLck:").unwrap_or(0)
}

/// Bytes that can be taken without swapping; `None` if /proc does not tell.
pub fn available_memory() -> Option<u64> {
    kilobytes_of("/proc/meminfo", "MemAvailable:")
}

/// The number behind `key` in a file of `key  N kB` lines, in bytes. Lines of a NUMA node begin with `Node N`.
pub(super) fn kilobytes_of(path: &str, key: &str) -> Option<u64> {
    parse_kilobytes(&std::fs::read_to_string(path).ok()?, key)
}

fn parse_kilobytes(text: &str, key: &str) -> Option<u64> {
    let mut words = text
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == key))?
        .split_whitespace();
    words.find(|word| *word == key)?;
    words.next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// For tests, in a process of their own: from now on this thread may lock `bytes` and no more.
#[cfg(test)]
pub fn lower_lock_limit(bytes: u64) -> rustix::io::Result<()> {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let mut sets = capabilities(None)?;
    sets.effective.remove(CapabilitySet::IPC_LOCK);
    set_capabilities(None, sets)?;
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    rustix::process::setrlimit(Resource::Memlock, limit)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn kilobytes_are_found_in_both_kinds_of_file() {
        let system = "MemTotal:  10 kB\nMemAvailable:   24386480 kB\n";
        assert_eq!(parse_kilobytes(system, "MemAvailable:"), Some(24_386_480 * 1024));
        assert_eq!(parse_kilobytes("Node 0 MemFree:   12 kB\n", "MemFree:"), Some(12 * 1024));
        assert_eq!(parse_kilobytes(system, "Mem"), None);
        assert_eq!(parse_kilobytes("VmLck: many kB", "VmLck:"), None);
    }

    #[test]
    fn this_machine_has_pages_and_memory() {
        assert!(page_size().is_power_of_two());
        assert!(available_memory().unwrap() > 0);
    }
}
