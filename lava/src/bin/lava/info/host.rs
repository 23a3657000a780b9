//! The host as the kernel tells it in `/proc` and `/sys`. What cannot be read is absent, never guessed.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};
use serde::Serialize;

/// Who and where this process is.
#[derive(Debug, Serialize)]
pub struct Host {
    pub name: String,
    pub kernel: String,
    pub architecture: &'static str,
    pub processor: Option<String>,
    pub processors: usize,
    pub memory_bytes: Option<u64>,
    pub memory_available_bytes: Option<u64>,
    pub boot_id: Option<String>,
    pub user: u32,
    pub process: u32,
    pub namespaces: Vec<Namespace>,
}

/// One namespace; equal numbers on one kernel are the same one.
#[derive(Debug, Serialize)]
pub struct Namespace {
    pub kind: &'static str,
    pub inode: Option<u64>,
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn read_number(path: impl AsRef<Path>) -> Option<u64> {
    read(path)?.parse().ok()
}

/// The number of kibibytes after `key:` in the text of `/proc/meminfo` or of a node's, in bytes.
fn meminfo(text: &str, key: &str) -> Option<u64> {
    let line = text
        .lines()
        .find(|line| line.split_whitespace().any(|word| word.trim_end_matches(':') == key))?;
    let (_, value) = line.split_once(':')?;
    Some(value.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// `pid:[4026531836]` as a number.
fn namespace(kind: &'static str) -> Namespace {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).ok();
    let inode =
        link.and_then(|link| link.to_str()?.split_once('[')?.1.strip_suffix(']')?.parse().ok());
    Namespace { kind, inode }
}

impl Host {
    pub fn look() -> Self {
        let system = rustix::system::uname();
        let memory = read("/proc/meminfo").unwrap_or_default();
        let processors = read("/proc/cpuinfo").unwrap_or_default();
        let model =
            processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Host {
            name: system.nodename().to_string_lossy().into_owned(),
            kernel: format!(
                "{} {}",
                system.sysname().to_string_lossy(),
                system.release().to_string_lossy()
            ),
            architecture: std::env::consts::ARCH,
            processor: model.map(|(_, model)| model.to_owned()),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: meminfo(&memory, "MemTotal"),
            memory_available_bytes: meminfo(&memory, "MemAvailable"),
            boot_id: read("/proc/sys/kernel/random/boot_id"),
            user: rustix::process::geteuid().as_raw(),
            process: std::process::id(),
            namespaces: ["pid", "mnt", "ipc", "user", "net"].into_iter().map(namespace).collect(),
        }
    }
}

/// One NUMA node.
#[derive(Debug, Serialize)]
pub struct NumaNode {
    pub node: u32,
    pub processors: Option<String>,
    pub memory_bytes: Option<u64>,
    pub free_bytes: Option<u64>,
}

/// The nodes in order; empty where the kernel has no NUMA.
pub fn numa_nodes() -> Vec<NumaNode> {
    let Ok(entries) = fs::read_dir("/sys/devices/system/node") else { return Vec::new() };
    let mut nodes: Vec<NumaNode> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let node = entry.file_name().to_str()?.strip_prefix("node")?.parse().ok()?;
            let memory = read(entry.path().join("meminfo")).unwrap_or_default();
            Some(NumaNode {
                node,
                processors: read(entry.path().join("cpulist")),
                memory_bytes: meminfo(&memory, "MemTotal"),
                free_bytes: meminfo(&memory, "MemFree"),
            })
        })
        .collect();
    nodes.sort_by_key(|node| node.node);
    nodes
}

/// Huge pages: the reserved sets by size, and when the kernel makes them by itself.
#[derive(Debug, Serialize)]
pub struct HugePages {
    pub reserved: Vec<ReservedPages>,
    /// For private memory: `always`, `madvise` or `never`.
    pub transparent: Option<String>,
    /// For shared memory, such as channels: `always`, `within_size`, `advise`, `never`, ...
    pub transparent_shared: Option<String>,
}

/// The reserved huge pages of one size.
#[derive(Debug, Serialize)]
pub struct ReservedPages {
    pub page_bytes: u64,
    pub total: Option<u64>,
    pub free: Option<u64>,
}

/// The word in brackets: `always [madvise] never`.
fn chosen(path: &str) -> Option<String> {
    let text = read(path)?;
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

impl HugePages {
    pub fn look() -> Self {
        let entries = fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten();
        let mut reserved: Vec<ReservedPages> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name();
                let kibibytes: u64 =
                    name.to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
                Some(ReservedPages {
                    page_bytes: kibibytes * 1024,
                    total: read_number(entry.path().join("nr_hugepages")),
                    free: read_number(entry.path().join("free_hugepages")),
                })
            })
            .collect();
        reserved.sort_by_key(|pages| pages.page_bytes);
        HugePages {
            reserved,
            transparent: chosen("/sys/kernel/mm/transparent_hugepage/enabled"),
            transparent_shared: chosen("/sys/kernel/mm/transparent_hugepage/shmem_enabled"),
        }
    }
}

/// Limits of this process: each soft and hard; absent is unlimited.
#[derive(Debug, Serialize)]
pub struct Limits {
    pub locked_memory_bytes: Limit,
    pub open_files: Limit,
    pub address_space_bytes: Limit,
    pub mappings: Option<u64>,
}

/// One limit.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limit {
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

impl Limits {
    pub fn look() -> Self {
        let limit = |resource| {
            let limit = getrlimit(resource);
            Limit { soft: limit.current, hard: limit.maximum }
        };
        Limits {
            locked_memory_bytes: limit(Resource::Memlock),
            open_files: limit(Resource::Nofile),
            address_space_bytes: limit(Resource::As),
            mappings: read_number("/proc/sys/vm/max_map_count"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_both_forms_of_meminfo() {
        assert_eq!(meminfo("MemTotal:       24 kB\nMemFree: 1 kB", "MemFree"), Some(1024));
        assert_eq!(meminfo("Node 0 MemTotal:  7 kB", "MemTotal"), Some(7168));
        assert_eq!(meminfo("MemTotal: 1 kB", "SwapTotal"), None);
    }

    #[test]
    fn this_host_has_a_kernel_and_processors() {
        let host = Host::look();
        assert!(host.kernel.starts_with("Linux "), "{}", host.kernel);
        assert!(host.processors >= 1);
        assert_eq!(host.process, std::process::id());
    }
}
