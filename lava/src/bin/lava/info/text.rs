//! The report for people.

use std::fmt::Write;

use super::host::Limit;
use super::{Report, gpu_text, mpi};
use crate::units::format_size;

/// The report as text, a section for each part.
pub fn render(report: &Report) -> String {
    let mut text = format!("lava {}\n", report.version);
    for section in [host(report), numa(report), huge(report), limits(report), memory(report)] {
        text.push('\n');
        text.push_str(&section);
    }
    let _ = write!(
        text,
        "\n{}\n{}",
        gpu_text::render(&report.gpus),
        section("MPI", &mpi_lines(&report.mpi))
    );
    text
}

fn mpi_lines(found: &mpi::Mpi) -> Vec<(&'static str, String)> {
    let text = |name: &str| match &found.library[name] {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Null => None,
        other => Some(other.to_string()),
    };
    let mut lines = vec![
        ("choice", or_unknown(text("choice"))),
        ("launcher", text("launcher").unwrap_or_else(|| "none: only this host is reached".into())),
    ];
    lines.extend(text("library").map(|library| ("library", library)));
    lines.extend(text("plugin").map(|plugin| ("plug-in", plugin)));
    lines.extend(text("reason").map(|reason| ("not usable", reason)));
    let job = &found.library["job"];
    if job.is_object() {
        let yes = |name: &str| if job[name] == true { "yes" } else { "no" };
        lines.push(("threads", job["thread_level"].as_str().unwrap_or_default().to_owned()));
        lines.push(("GPU-aware", yes("gpu_aware").to_owned()));
        lines.push(("ranks, hosts", format!("{}, {}", job["ranks"], job["hosts"])));
    }
    for (rank, peer) in found.ranks.iter().enumerate() {
        let here = if found.rank == Some(rank) { " (here)" } else { "" };
        lines.push(("rank", format!("{rank} on {}, process {}{here}", peer.host, peer.process)));
    }
    lines
}

fn or_unknown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| value.to_string())
}

fn size_or_unknown(bytes: Option<u64>) -> String {
    or_unknown(bytes.map(format_size))
}

fn section(title: &str, lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let body = lines.iter().map(|(name, value)| format!("  {name:width$}  {value}\n"));
    format!("{title}\n{}", body.collect::<String>())
}

fn host(report: &Report) -> String {
    let host = &report.host;
    let namespaces =
        host.namespaces.iter().map(|space| format!("{} {}", space.kind, or_unknown(space.inode)));
    let processor = host.processor.as_deref().unwrap_or(host.architecture);
    let available = size_or_unknown(host.memory_available_bytes);
    section(
        "Host",
        &[
            ("name", host.name.clone()),
            ("kernel", format!("{}, {}", host.kernel, host.architecture)),
            ("processors", format!("{} × {processor}", host.processors)),
            ("memory", format!("{}, available {available}", size_or_unknown(host.memory_bytes))),
            ("boot id", or_unknown(host.boot_id.as_ref())),
            ("user, process", format!("{}, {}", host.user, host.process)),
            ("namespaces", namespaces.collect::<Vec<_>>().join(", ")),
            ("runtime directory", runtime_directory(report)),
        ],
    )
}

/// The library's own words for where processes meet, with the origin of the choice where it tells it.
fn runtime_directory(report: &Report) -> String {
    match &report.context["runtime_directory"] {
        serde_json::Value::String(path) => path.clone(),
        serde_json::Value::Object(parts) => {
            let parts = parts.iter().map(|(name, value)| match (name.as_str(), value.as_str()) {
                ("path" | "value", Some(text)) => text.to_owned(),
                (_, Some(text)) => format!("{name} {text}"),
                _ => format!("{name} {value}"),
            });
            parts.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

fn numa(report: &Report) -> String {
    if report.numa_nodes.is_empty() {
        return section("NUMA", &[("nodes", "none: the kernel tells of no NUMA nodes".to_owned())]);
    }
    let lines: Vec<(String, String)> = report
        .numa_nodes
        .iter()
        .map(|node| {
            let (total, free) =
                (size_or_unknown(node.memory_bytes), size_or_unknown(node.free_bytes));
            let processors = or_unknown(node.processors.as_ref());
            (
                format!("node {}", node.node),
                format!("processors {processors}, memory {total}, free {free}"),
            )
        })
        .collect();
    section(
        "NUMA",
        &lines.iter().map(|(name, value)| (name.as_str(), value.clone())).collect::<Vec<_>>(),
    )
}

fn huge(report: &Report) -> String {
    let pages = &report.huge_pages;
    let mut lines: Vec<(String, String)> = pages
        .reserved
        .iter()
        .map(|set| {
            let counts =
                format!("{} reserved, {} free", or_unknown(set.total), or_unknown(set.free));
            (format_size(set.page_bytes), counts)
        })
        .collect();
    lines.push(("transparent, private".to_owned(), or_unknown(pages.transparent.as_ref())));
    lines.push(("transparent, shared".to_owned(), or_unknown(pages.transparent_shared.as_ref())));
    section(
        "Huge pages",
        &lines.iter().map(|(name, value)| (name.as_str(), value.clone())).collect::<Vec<_>>(),
    )
}

fn limits(report: &Report) -> String {
    let limits = &report.limits;
    let show = |limit: Limit, format: fn(u64) -> String| {
        let word = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), format);
        format!("{} (hard: {})", word(limit.soft), word(limit.hard))
    };
    section(
        "Limits",
        &[
            ("locked memory", show(limits.locked_memory_bytes, format_size)),
            ("open files", show(limits.open_files, |files| files.to_string())),
            ("address space", show(limits.address_space_bytes, format_size)),
            ("mappings", or_unknown(limits.mappings)),
        ],
    )
}

fn memory(report: &Report) -> String {
    let size = report.memory.first().map_or(0, |attempt| attempt.size);
    let mut text = format!("Memory, each tried with {}\n", format_size(size));
    for attempt in &report.memory {
        let outcome = if attempt.available { "ok" } else { "not available" };
        let node = attempt.numa_node.map_or_else(String::new, |node| format!(", node {node}"));
        let pages = attempt
            .pages
            .as_deref()
            .map_or_else(String::new, |pages| format!(", pages: {pages}{node}"));
        let _ = writeln!(
            text,
            "  {:8}  {outcome}{pages}\n            {}",
            attempt.memory, attempt.reason
        );
    }
    text
}
