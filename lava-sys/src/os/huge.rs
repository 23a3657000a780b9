//! Huge pages: the reserved set, and when the kernel makes transparent ones.

use std::os::fd::BorrowedFd;

use super::limits::kilobytes_of;
use crate::error::{Error, Result};

/// The set of huge pages of the default size that an administrator reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved {
    /// Bytes of one page.
    pub page_size: u64,
    /// Pages that nobody has or is promised.
    pub free: u64,
}

/// The reserved set; `None` if the kernel has no huge pages.
pub fn reserved() -> Option<Reserved> {
    let page_size =
        kilobytes_of("/proc/meminfo", "Hugepagesize:").filter(|size| size.is_power_of_two())?;
    let directory = format!("/sys/kernel/mm/hugepages/hugepages-{}kB", page_size / 1024);
    let free = number(&format!("{directory}/free_hugepages"))?;
    let promised = number(&format!("{directory}/resv_hugepages")).unwrap_or(0);
    Some(Reserved { page_size, free: free.saturating_sub(promised) })
}

/// Free reserved pages of `page_size` bytes on one NUMA node; `None` if the kernel does not tell.
pub fn free_on_node(node: u32, page_size: u64) -> Option<u64> {
    let kilobytes = page_size / 1024;
    number(&format!(
        "/sys/devices/system/node/node{node}/hugepages/hugepages-{kilobytes}kB/free_hugepages"
    ))
}

fn number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// When the kernel gives transparent huge pages to one kind of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transparent {
    /// To every mapping that is large enough.
    Always,
    /// To mappings that ask for it.
    OnAdvice,
    Never,
}

/// Which kind of memory a setting is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Memory of one process.
    Private,
    /// Memory files.
    Shared,
}

impl Kind {
    /// Where the setting is; for messages too.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Private => "/sys/kernel/mm/transparent_hugepage/enabled",
            Self::Shared => "/sys/kernel/mm/transparent_hugepage/shmem_enabled",
        }
    }
}

/// Bytes of a transparent huge page; `None` if the kernel has none.
pub fn transparent_page_size() -> Option<u64> {
    number("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
        .filter(|size| size.is_power_of_two())
}

/// When memory of this kind gets transparent huge pages. The setting of the page size, where there is one, wins over
/// the general one.
pub fn transparent(kind: Kind) -> Transparent {
    let general = std::fs::read_to_string(kind.setting()).unwrap_or_default();
    let of_size = transparent_page_size().and_then(|size| {
        let file = kind.setting().rsplit('/').next()?;
        let kilobytes = size / 1024;
        let path = format!("/sys/kernel/mm/transparent_hugepage/hugepages-{kilobytes}kB/{file}");
        std::fs::read_to_string(path).ok()
    });
    effective(&general, of_size.as_deref())
}

fn effective(general: &str, of_size: Option<&str>) -> Transparent {
    let chosen = |text: &str| {
        text.split_whitespace()
            .find_map(|word| Some(word.strip_prefix('[')?.strip_suffix(']')?.to_owned()))
    };
    let word = match of_size.and_then(chosen) {
        Some(word) if word != "inherit" => Some(word),
        _ => chosen(general),
    };
    match word.as_deref() {
        // `within_size` gives huge pages up to the file's end without being asked.
        Some("always" | "within_size" | "force") => Transparent::Always,
        Some("madvise" | "advise") => Transparent::OnAdvice,
        _ => Transparent::Never,
    }
}

/// Bytes of a page of the memory file behind `fd`, and whether it is made of reserved huge pages.
pub fn pages_of_file(fd: BorrowedFd<'_>) -> Result<(u64, bool)> {
    const HUGETLBFS: u64 = 0x9584_58f6;
    let system =
        rustix::fs::fstatfs(fd).map_err(|errno| Error::os(errno.raw_os_error(), "fstatfs"))?;
    Ok((system.f_bsize as u64, system.f_type as u64 == HUGETLBFS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_of_the_size_wins_unless_it_inherits() {
        let advised = "always [madvise] never\n";
        assert_eq!(effective(advised, None), Transparent::OnAdvice);
        assert_eq!(
            effective(advised, Some("always [inherit] madvise never")),
            Transparent::OnAdvice
        );
        assert_eq!(effective(advised, Some("always inherit madvise [never]")), Transparent::Never);
        assert_eq!(
            effective("always within_size advise [never] deny force", None),
            Transparent::Never
        );
        assert_eq!(effective("always [within_size] advise never", None), Transparent::Always);
        assert_eq!(effective("", None), Transparent::Never);
    }

    #[test]
    fn an_ordinary_memory_file_has_small_pages() {
        use std::os::fd::AsFd as _;
        let fd = super::super::memfd::create("pages", 4096, super::super::memfd::PageKind::Small);
        let fd = fd.expect("memfd");
        let pages = pages_of_file(fd.as_fd()).expect("fstatfs");
        assert_eq!(pages, (super::super::limits::page_size(), false));
    }
}
