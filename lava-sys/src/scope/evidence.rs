//! What two locations say about being on one host, piece by piece.

use super::decision::Rendezvous;
use super::location::Location;
use super::text::{percent_encoded, uuid_text};
use crate::types::*;

/// What one piece of evidence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// For one host.
    Agrees,
    /// Against it, or against sharing.
    Differs,
    /// Nothing: a side does not know it, or the two cannot be compared.
    Unknown,
}

/// One piece of evidence, with its line of the report.
#[derive(Debug)]
pub(super) struct Piece {
    /// The `LAVA_EVIDENCE_*` bit.
    pub(super) kind: u32,
    pub(super) verdict: Verdict,
    pub(super) line: String,
}

/// All pieces, in the order in which they weigh.
pub(super) fn collect(a: &Location, b: &Location, rendezvous: Rendezvous) -> Vec<Piece> {
    // Numbers of processes, namespaces, directories and users are those of one kernel; across two they mean nothing.
    let comparable = a.same_kernel(b) == Some(true);
    let compare = |kind, name, mine: Option<String>, other: Option<String>| {
        piece(kind, name, comparable, mine, other)
    };
    let known = |number: u64| (number != 0).then(|| number.to_string());
    let directory = |location: &Location| {
        let (device, inode) = (location.runtime_device, location.runtime_inode);
        ((device, inode) != (0, 0)).then(|| format!("{device:x}:{inode}"))
    };
    let process = |location: &Location| {
        (location.process != 0 && location.pid_namespace != 0)
            .then(|| format!("{} in {}", location.process, location.pid_namespace))
    };
    vec![
        asked(rendezvous),
        boot(a, b),
        compare(LAVA_EVIDENCE_PROCESS, "process", process(a), process(b)),
        compare(LAVA_EVIDENCE_USER, "user", Some(a.user.to_string()), Some(b.user.to_string())),
        compare(LAVA_EVIDENCE_RUNTIME_DIRECTORY, "runtime directory", directory(a), directory(b)),
        compare(
            LAVA_EVIDENCE_MOUNT_NAMESPACE,
            "mount namespace",
            known(a.mount_namespace),
            known(b.mount_namespace),
        ),
        compare(
            LAVA_EVIDENCE_IPC_NAMESPACE,
            "IPC namespace",
            known(a.ipc_namespace),
            known(b.ipc_namespace),
        ),
        compare(
            LAVA_EVIDENCE_PID_NAMESPACE,
            "PID namespace",
            known(a.pid_namespace),
            known(b.pid_namespace),
        ),
        piece(LAVA_EVIDENCE_HOST, "host name", true, host(a), host(b)),
    ]
}

fn asked(rendezvous: Rendezvous) -> Piece {
    let (verdict, line) = match rendezvous {
        Rendezvous::Answered => (Verdict::Agrees, "rendezvous: the peer answered"),
        Rendezvous::Silent => (Verdict::Differs, "rendezvous: no answer"),
        Rendezvous::NotAsked => (Verdict::Unknown, "rendezvous: not asked"),
    };
    Piece { kind: LAVA_EVIDENCE_RENDEZVOUS, verdict, line: line.into() }
}

fn boot(a: &Location, b: &Location) -> Piece {
    let text = |location: &Location| location.has_boot_id().then(|| uuid_text(&location.boot_id));
    piece(LAVA_EVIDENCE_BOOT_ID, "boot id", true, text(a), text(b))
}

fn host(location: &Location) -> Option<String> {
    (!location.host.is_empty()).then(|| percent_encoded(&location.host))
}

fn piece(kind: u32, name: &str, comparable: bool, a: Option<String>, b: Option<String>) -> Piece {
    let (verdict, line) = match (a, b) {
        (Some(a), Some(b)) if !comparable => {
            (Verdict::Unknown, format!("{name}: {} / {}, not comparable", short(&a), short(&b)))
        }
        (Some(a), Some(b)) if a == b => (Verdict::Agrees, format!("{name}: same, {}", short(&a))),
        (Some(a), Some(b)) => (Verdict::Differs, format!("{name}: {} / {}", short(&a), short(&b))),
        _ => (Verdict::Unknown, format!("{name}: unknown")),
    };
    Piece { kind, verdict, line }
}

/// At most 40 bytes of ASCII: the report has room for two of each.
fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(40)]
}
