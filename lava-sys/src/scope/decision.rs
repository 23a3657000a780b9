//! Local or remote: the decision, from forced scope, evidence and the peer's answer. Pure.

use super::evidence::{self, Piece, Verdict};
use super::location::Location;
use crate::error::{Error, Result};
use crate::types::*;

/// What two processes can share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Memory.
    Local,
    /// Messages only.
    Remote,
}

impl Scope {
    /// The `LAVA_SCOPE_*` number.
    pub fn number(self) -> u32 {
        match self {
            Self::Local => LAVA_SCOPE_LOCAL,
            Self::Remote => LAVA_SCOPE_REMOTE,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

/// A scope set from outside, for tests; `Auto` leaves the decision to the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Forced {
    #[default]
    Auto,
    Local,
    Remote,
}

impl Forced {
    /// Reads a `LAVA_SCOPE_*` number.
    pub fn from_number(number: u32) -> Result<Self> {
        match number {
            LAVA_SCOPE_AUTO => Ok(Self::Auto),
            LAVA_SCOPE_LOCAL => Ok(Self::Local),
            LAVA_SCOPE_REMOTE => Ok(Self::Remote),
            _ => Err(Error::argument(format!(
                "scope {number} is not one of LAVA_SCOPE_AUTO (0), LAVA_SCOPE_LOCAL (1), LAVA_SCOPE_REMOTE (2)"
            ))
            .with_value(number.into())),
        }
    }

    /// Reads the word of the environment variable `LAVA_SCOPE`.
    pub fn parse(word: &str) -> Result<Self> {
        match word {
            "auto" => Ok(Self::Auto),
            "local" => Ok(Self::Local),
            "remote" => Ok(Self::Remote),
            _ => Err(Error::argument(format!("scope {word:?} is not one of auto, local, remote"))),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

/// What came of asking the peer on its rendezvous socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rendezvous {
    Answered,
    /// Asked, and no answer.
    Silent,
    NotAsked,
}

/// The decision and its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub scope: Scope,
    /// The one `LAVA_EVIDENCE_*` bit that decided.
    pub decided_by: u32,
    /// The bits that speak for one host.
    pub agrees: u32,
    /// The bits that speak against it. Bits in neither set are unknown.
    pub differs: u32,
    /// The decision, then each piece of evidence, one a line; less than `LAVA_SCOPE_TEXT_SIZE` bytes.
    pub text: String,
}

impl Report {
    /// The decision's line, for log lines and error messages.
    pub fn summary(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }
}

/// Decides whether `a` and `b` can share memory.
pub fn decide(a: &Location, b: &Location, forced: Forced, rendezvous: Rendezvous) -> Report {
    let pieces = evidence::collect(a, b, rendezvous);
    let set = |verdict| {
        pieces
            .iter()
            .filter(|piece| piece.verdict == verdict)
            .fold(0, |set, piece| set | piece.kind)
    };
    let (agrees, differs) = (set(Verdict::Agrees), set(Verdict::Differs));
    let (scope, decided_by, reason) = match forced {
        Forced::Local => {
            (Scope::Local, LAVA_EVIDENCE_FORCED, "forced by the options or LAVA_SCOPE".into())
        }
        Forced::Remote => {
            (Scope::Remote, LAVA_EVIDENCE_FORCED, "forced by the options or LAVA_SCOPE".into())
        }
        Forced::Auto => weigh(a, b, agrees, differs),
    };
    Report { scope, decided_by, agrees, differs, text: text(scope, &reason, &pieces) }
}

/// The rule, from the strongest evidence to the weakest. The host name never decides.
fn weigh(a: &Location, b: &Location, agrees: u32, differs: u32) -> (Scope, u32, String) {
    let agree = |kinds: u32| agrees & kinds == kinds;
    let differ = |kind: u32| differs & kind != 0;
    let local = |kind, reason: &str| (Scope::Local, kind, reason.to_owned());
    let remote = |kind, reason: String| (Scope::Remote, kind, reason);

    if agree(LAVA_EVIDENCE_PROCESS | LAVA_EVIDENCE_USER) {
        return local(LAVA_EVIDENCE_PROCESS, "the same process");
    }
    if agree(LAVA_EVIDENCE_RENDEZVOUS) {
        return local(LAVA_EVIDENCE_RENDEZVOUS, "the peer answered on its rendezvous socket");
    }
    if differ(LAVA_EVIDENCE_BOOT_ID) {
        let mut reason = "another host: the boot ids differ".to_owned();
        if agree(LAVA_EVIDENCE_HOST) {
            reason += ", though the host names are equal";
        }
        return remote(LAVA_EVIDENCE_BOOT_ID, reason);
    }
    if !agree(LAVA_EVIDENCE_BOOT_ID) {
        return remote(
            LAVA_EVIDENCE_BOOT_ID,
            "a boot id is unknown (is /proc mounted?), so one host cannot be shown".into(),
        );
    }
    if differ(LAVA_EVIDENCE_USER) {
        let reason = format!(
            "same host, but users {} and {}: a process refuses other users' connections; run both as one user",
            a.user, b.user
        );
        return remote(LAVA_EVIDENCE_USER, reason);
    }
    if !agree(LAVA_EVIDENCE_RUNTIME_DIRECTORY) {
        return remote(LAVA_EVIDENCE_RUNTIME_DIRECTORY, unshared(differs));
    }
    if differ(LAVA_EVIDENCE_RENDEZVOUS) {
        return local(
            LAVA_EVIDENCE_RUNTIME_DIRECTORY,
            "same host and runtime directory, though the peer did not answer (has it ended?)",
        );
    }
    local(LAVA_EVIDENCE_RUNTIME_DIRECTORY, "same host and runtime directory")
}

fn unshared(differs: u32) -> String {
    let (place, how) = if differs & LAVA_EVIDENCE_MOUNT_NAMESPACE != 0 {
        (
            "in separate mount namespaces (containers) without",
            "bind-mount one directory into both and set",
        )
    } else {
        ("without", "set the same")
    };
    format!("same host, but {place} a shared runtime directory; {how} LAVA_RUNTIME_DIR")
}

fn text(scope: Scope, reason: &str, pieces: &[Piece]) -> String {
    let mut text = format!("{}: {reason}", scope.name());
    for piece in pieces {
        if text.len() + 1 + piece.line.len() >= LAVA_SCOPE_TEXT_SIZE {
            break;
        }
        text.push('\n');
        text.push_str(&piece.line);
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn here() -> Location {
        Location {
            process: 100,
            user: 1000,
            rank: -1,
            context: 1,
            pid_namespace: 11,
            mount_namespace: 12,
            ipc_namespace: 13,
            runtime_device: 14,
            runtime_inode: 15,
            boot_id: [7; 16],
            host: "node".into(),
        }
    }

    fn peer() -> Location {
        Location { process: 200, context: 2, ..here() }
    }

    fn auto(b: &Location, rendezvous: Rendezvous) -> Report {
        decide(&here(), b, Forced::Auto, rendezvous)
    }

    fn expect(report: &Report, scope: Scope, decided_by: u32) {
        assert_eq!((report.scope, report.decided_by), (scope, decided_by), "{}", report.text);
        assert!(report.summary().starts_with(scope.name()));
    }

    #[test]
    fn one_kernel_and_one_directory_are_local() {
        let report = auto(&peer(), Rendezvous::NotAsked);
        expect(&report, Scope::Local, LAVA_EVIDENCE_RUNTIME_DIRECTORY);
        assert_eq!(report.differs, LAVA_EVIDENCE_PROCESS);
        assert_eq!(report.agrees & LAVA_EVIDENCE_RENDEZVOUS, 0);
        let silent = auto(&peer(), Rendezvous::Silent);
        expect(&silent, Scope::Local, LAVA_EVIDENCE_RUNTIME_DIRECTORY);
        assert!(silent.summary().contains("did not answer"));
    }

    #[test]
    fn two_contexts_of_a_process_are_local() {
        let twin = Location { context: 9, runtime_inode: 99, ..here() };
        expect(&auto(&twin, Rendezvous::NotAsked), Scope::Local, LAVA_EVIDENCE_PROCESS);
    }

    #[test]
    fn the_same_process_number_on_another_kernel_is_remote() {
        let other = Location { boot_id: [8; 16], ..here() };
        let report = auto(&other, Rendezvous::NotAsked);
        expect(&report, Scope::Remote, LAVA_EVIDENCE_BOOT_ID);
        // Only the host name agrees; numbers of two kernels are not compared.
        assert_eq!((report.agrees, report.differs), (LAVA_EVIDENCE_HOST, LAVA_EVIDENCE_BOOT_ID));
        assert!(report.summary().contains("host names are equal"));
    }

    #[test]
    fn an_answer_is_proof() {
        let container = Location {
            pid_namespace: 21,
            mount_namespace: 22,
            runtime_inode: 25,
            host: "other".into(),
            ..peer()
        };
        expect(&auto(&container, Rendezvous::Answered), Scope::Local, LAVA_EVIDENCE_RENDEZVOUS);
    }

    #[test]
    fn containers_without_a_shared_directory_are_remote_and_hear_how_to_share() {
        let container = Location { mount_namespace: 22, runtime_inode: 25, ..peer() };
        let report = auto(&container, Rendezvous::Silent);
        expect(&report, Scope::Remote, LAVA_EVIDENCE_RUNTIME_DIRECTORY);
        assert!(
            report.summary().contains("bind-mount")
                && report.summary().contains("LAVA_RUNTIME_DIR")
        );
        let unknown = Location { runtime_device: 0, runtime_inode: 0, ..peer() };
        let report = auto(&unknown, Rendezvous::NotAsked);
        expect(&report, Scope::Remote, LAVA_EVIDENCE_RUNTIME_DIRECTORY);
        assert_eq!(report.differs & LAVA_EVIDENCE_RUNTIME_DIRECTORY, 0);
    }

    #[test]
    fn other_users_are_remote() {
        let other = Location { user: 1001, ..peer() };
        let report = auto(&other, Rendezvous::NotAsked);
        expect(&report, Scope::Remote, LAVA_EVIDENCE_USER);
        assert!(report.summary().contains("1000") && report.summary().contains("1001"));
    }

    #[test]
    fn an_unknown_boot_id_is_remote() {
        let unknown = Location { boot_id: [0; 16], ..peer() };
        let report = auto(&unknown, Rendezvous::NotAsked);
        expect(&report, Scope::Remote, LAVA_EVIDENCE_BOOT_ID);
        assert_eq!(report.differs & LAVA_EVIDENCE_BOOT_ID, 0);
    }

    #[test]
    fn force_wins_over_everything() {
        let report = decide(&here(), &here(), Forced::Remote, Rendezvous::Answered);
        expect(&report, Scope::Remote, LAVA_EVIDENCE_FORCED);
        let far = Location { boot_id: [8; 16], ..peer() };
        expect(
            &decide(&here(), &far, Forced::Local, Rendezvous::Silent),
            Scope::Local,
            LAVA_EVIDENCE_FORCED,
        );
    }

    #[test]
    fn the_ordinary_report_has_all_its_lines() {
        let report = auto(
            &Location { mount_namespace: 22, host: "x".repeat(63), ..peer() },
            Rendezvous::Silent,
        );
        assert_eq!(report.text.lines().count(), 10, "{}", report.text);
        assert!(report.text.contains("mount namespace: 12 / 22"));
    }

    #[test]
    fn words_and_numbers_are_read() {
        for (number, forced) in [(0, Forced::Auto), (1, Forced::Local), (2, Forced::Remote)] {
            assert_eq!(Forced::from_number(number).unwrap(), forced);
            assert_eq!(Forced::parse(forced.name()).unwrap(), forced);
        }
        assert_eq!(Forced::from_number(3).unwrap_err().value, 3);
        assert!(Forced::parse("near").unwrap_err().message.contains("near"));
    }

    proptest! {
        #[test]
        fn every_report_fits_and_is_symmetric_in_scope(
            numbers in any::<[[u64; 5]; 2]>(),
            boots in any::<[[u8; 16]; 2]>(),
            users in any::<[u32; 2]>(),
            hosts in any::<[[char; 15]; 2]>(),
            one_boot in any::<bool>(),
        ) {
            let [a, b] = [0, 1].map(|at| {
                let [pid_namespace, mount_namespace, ipc_namespace, runtime_device, runtime_inode] = numbers[at];
                Location {
                    process: users[at], user: users[at], rank: -1, context: 1,
                    pid_namespace, mount_namespace, ipc_namespace, runtime_device, runtime_inode,
                    boot_id: boots[if one_boot { 0 } else { at }],
                    host: hosts[at].iter().collect(),
                }
            });
            for rendezvous in [Rendezvous::Answered, Rendezvous::Silent, Rendezvous::NotAsked] {
                let report = decide(&a, &b, Forced::Auto, rendezvous);
                prop_assert!(report.text.len() < LAVA_SCOPE_TEXT_SIZE);
                prop_assert!(report.text.lines().count() > 4);
                prop_assert!(report.text.bytes().all(|byte| byte == b'\n' || byte == b' ' || byte.is_ascii_graphic()));
                prop_assert_eq!(report.agrees & report.differs, 0);
                let mirrored = decide(&b, &a, Forced::Auto, rendezvous);
                prop_assert_eq!((mirrored.scope, mirrored.decided_by), (report.scope, report.decided_by));
            }
        }
    }
}
