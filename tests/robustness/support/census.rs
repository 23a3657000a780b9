//! Counts what a process holds, to find what it did not give back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What this process holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Census {
    /// What descriptors point to, and how many of each.
    files: BTreeMap<String, usize>,
    /// Mappings of shared memory.
    mappings: usize,
    threads: usize,
    /// Resident memory: of this process alone, and shared, in KiB.
    private: u64,
    shared: u64,
}

/// Private memory that may come and go: the allocator keeps some of what was freed.
const SLACK_KIB: u64 = 12 * 1024;
/// Shared memory likewise: a pool's pages come with the first use of each slot.
const SHARED_SLACK_KIB: u64 = 256;
/// What is given back by other threads comes back a little later.
const PATIENCE: Duration = Duration::from_secs(5);

impl Census {
    pub(crate) fn take() -> Self {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir("/proc/self/fd").expect("/proc").flatten() {
            if let Ok(target) = std::fs::read_link(entry.path()) {
                let name = target.to_string_lossy();
                // Sockets and pipes have numbers.
                let kind = name.split(':').next().unwrap_or_default().to_owned();
                *files.entry(kind).or_insert(0) += 1;
            }
        }
        let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc");
        let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace()
                .next()
                .and_then(|number| number.parse::<u64>().ok())
                .unwrap_or(0)
        };
        Self {
            files,
            mappings: maps.lines().filter(|line| line.contains("memfd:")).count(),
            threads: number("Threads:") as usize,
            private: number("RssAnon:"),
            shared: number("RssShmem:"),
        }
    }

    /// KiB of resident memory, private and shared.
    pub(crate) fn resident(&self) -> u64 {
        self.private + self.shared
    }

    /// What is held beyond `before`; empty if nothing.
    fn excess(&self, before: &Self) -> Vec<String> {
        let mut excess = Vec::new();
        for (kind, count) in &self.files {
            let had = before.files.get(kind).copied().unwrap_or(0);
            if *count > had {
                excess.push(format!("{count} descriptors of {kind}, not {had}"));
            }
        }
        let mut compare = |what: &str, now: u64, before: u64, slack: u64| {
            if now > before + slack {
                excess.push(format!("{now} {what}, not {before}"));
            }
        };
        compare("mappings", self.mappings as u64, before.mappings as u64, 0);
        compare("threads", self.threads as u64, before.threads as u64, 0);
        compare("KiB of private memory", self.private, before.private, SLACK_KIB);
        compare("KiB of shared memory", self.shared, before.shared, SHARED_SLACK_KIB);
        excess
    }

    /// What this process holds now beyond `self`.
    pub(crate) fn excess_now(&self) -> Vec<String> {
        Self::take().excess(self)
    }

    /// Fails if this process holds more than `self` says, now and after some patience.
    pub(crate) fn assert_not_exceeded(&self) {
        self.assert_not_exceeded_by(|| {});
    }

    /// As [`Self::assert_not_exceeded`], for a producer that is still there: it takes notice of consumers that went
    /// whenever it is used, so `poke` uses it.
    pub(crate) fn assert_not_exceeded_by(&self, mut poke: impl FnMut()) {
        let start = Instant::now();
        loop {
            poke();
            let excess = self.excess_now();
            if excess.is_empty() {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "not given back: {}", excess.join("; "));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
