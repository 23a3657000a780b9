//! Who and where a process is, and whether two can share memory.

use std::fmt;
use std::str::FromStr;

use lava_sys::*;

use crate::bytes::{CStruct, c_string, fetch_text, text};
use crate::context::Context;
use crate::error::{Error, Result};

/// Who and where a process is. Plain data: send it to another process as its text and [`parse`](str::parse) it there.
///
/// ```
/// # fn main() -> lava::Result<()> {
/// use lava::{Context, Location, Scope};
/// let context = Context::new()?;
/// let here = Location::current(&context)?;
/// let same: Location = here.to_string().parse()?;
/// assert_eq!(here, same);
/// let report = Scope::detect(&context, &here, &same)?;
/// assert_eq!(report.scope(), Scope::Local);
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Location(lava_location);

impl Location {
    /// Where this process is.
    ///
    /// # Errors
    /// `Limit`, `Os` (the presence socket), `Forked`.
    pub fn current(context: &Context) -> Result<Self> {
        let mut raw = lava_location::sized();
        // SAFETY: the context is live, the location is a place for the answer.
        Error::check(|error| unsafe {
            lava_location_current(context.0.as_ptr(), &mut raw, error)
        })?;
        Ok(Self(raw))
    }

    /// The process id, in its own PID namespace.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.0.process
    }

    /// The effective user id.
    #[must_use]
    pub fn user(&self) -> u32 {
        self.0.user
    }

    /// The rank in the MPI job, if it is in one.
    #[must_use]
    pub fn rank(&self) -> Option<u32> {
        u32::try_from(self.0.rank).ok()
    }

    /// The kernel's boot id: equal only on one running kernel; zeros if unknown.
    #[must_use]
    pub fn boot_id(&self) -> [u8; 16] {
        self.0.boot_id
    }

    /// The host's name. It says nothing alone: many hosts share a name.
    #[must_use]
    pub fn host(&self) -> String {
        text(&self.0.host)
    }

    pub(crate) fn from_raw(raw: lava_location) -> Self {
        Self(raw)
    }

    pub(crate) fn as_raw(&self) -> &lava_location {
        &self.0
    }
}

impl FromStr for Location {
    type Err = Error;

    /// # Errors
    /// `InvalidArgument`: the message names the part that is wrong.
    fn from_str(text: &str) -> Result<Self> {
        let text = c_string(text.as_bytes(), "the location's text")?;
        let mut raw = lava_location::sized();
        // SAFETY: the text is NUL-terminated, the location is a place for the answer.
        Error::check(|error| unsafe { lava_location_parse(text.as_ptr(), &mut raw, error) })?;
        Ok(Self(raw))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = fetch_text(|buffer, capacity, needed, error| {
            // SAFETY: the location is a valid struct; `buffer` has `capacity` bytes.
            unsafe { lava_location_format(&self.0, buffer, capacity, needed, error) }
        });
        formatter.write_str(&text.map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Location({self})")
    }
}

/// Whether two processes can share memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// They share a host and can share memory.
    Local,
    /// They cannot share memory.
    Remote,
}

impl Scope {
    /// Decides from evidence whether two processes can share memory.
    ///
    /// Blocks: up to 100 ms for the peer's answer.
    ///
    /// # Errors
    /// `InvalidArgument`, `Forked`.
    pub fn detect(context: &Context, a: &Location, b: &Location) -> Result<ScopeReport> {
        let mut raw = lava_scope_report::sized();
        // SAFETY: the context is live, the locations are valid, the report is a place for the answer.
        Error::check(|error| unsafe {
            lava_scope_detect(context.0.as_ptr(), &a.0, &b.0, &mut raw, error)
        })?;
        Ok(ScopeReport(raw))
    }

    pub(crate) fn to_raw(self) -> u32 {
        match self {
            Self::Local => LAVA_SCOPE_LOCAL,
            Self::Remote => LAVA_SCOPE_REMOTE,
        }
    }
}

/// A piece of evidence for or against one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Evidence {
    /// The caller or `LAVA_SCOPE` forced the answer.
    Forced,
    /// Both are the same process.
    Process,
    /// The peer answered on its rendezvous socket: proof.
    Rendezvous,
    /// Boot ids.
    BootId,
    /// Runtime directories, by device and inode.
    RuntimeDirectory,
    /// Mount namespaces.
    MountNamespace,
    /// IPC namespaces.
    IpcNamespace,
    /// PID namespaces.
    PidNamespace,
    /// User ids.
    User,
    /// Host names.
    Host,
}

impl Evidence {
    const ALL: [(u32, Self); 10] = [
        (LAVA_EVIDENCE_FORCED, Self::Forced),
        (LAVA_EVIDENCE_PROCESS, Self::Process),
        (LAVA_EVIDENCE_RENDEZVOUS, Self::Rendezvous),
        (LAVA_EVIDENCE_BOOT_ID, Self::BootId),
        (LAVA_EVIDENCE_RUNTIME_DIRECTORY, Self::RuntimeDirectory),
        (LAVA_EVIDENCE_MOUNT_NAMESPACE, Self::MountNamespace),
        (LAVA_EVIDENCE_IPC_NAMESPACE, Self::IpcNamespace),
        (LAVA_EVIDENCE_PID_NAMESPACE, Self::PidNamespace),
        (LAVA_EVIDENCE_USER, Self::User),
        (LAVA_EVIDENCE_HOST, Self::Host),
    ];

    fn of(set: u32) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |(bit, _)| set & bit != 0).map(|(_, evidence)| evidence)
    }
}

/// A decision about scope and its evidence. It displays as text, one piece of evidence a line.
#[derive(Clone)]
pub struct ScopeReport(lava_scope_report);

impl ScopeReport {
    /// The decision.
    #[must_use]
    pub fn scope(&self) -> Scope {
        if self.0.scope == LAVA_SCOPE_LOCAL { Scope::Local } else { Scope::Remote }
    }

    /// What decided; `None` for a kind of evidence that this version does not know.
    #[must_use]
    pub fn decided_by(&self) -> Option<Evidence> {
        Evidence::of(self.0.decided_by).next()
    }

    /// What speaks for one host.
    pub fn agrees(&self) -> impl Iterator<Item = Evidence> + use<> {
        Evidence::of(self.0.agrees)
    }

    /// What speaks against it. Evidence in neither list is unknown.
    pub fn differs(&self) -> impl Iterator<Item = Evidence> + use<> {
        Evidence::of(self.0.differs)
    }
}

impl fmt::Display for ScopeReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(text(&self.0.text).trim_end())
    }
}

impl fmt::Debug for ScopeReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ScopeReport")
            .field("scope", &self.scope())
            .field("decided_by", &self.decided_by())
            .field("agrees", &self.agrees().collect::<Vec<_>>())
            .field("differs", &self.differs().collect::<Vec<_>>())
            .finish()
    }
}
