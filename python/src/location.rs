//! Who and where a process is.

use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3::prelude::*;

use crate::failure::OrRaise;

/// Who and where a process is. `str()` gives it as text for other processes, `Location(text)` reads that.
#[pyclass(frozen, module = "lava")]
pub(crate) struct Location(lava::Location);

impl Location {
    pub(crate) fn new(location: lava::Location) -> Self {
        Self(location)
    }

    pub(crate) fn get(&self) -> lava::Location {
        self.0.clone()
    }
}

#[pymethods]
impl Location {
    #[new]
    fn parse(text: &str) -> PyResult<Self> {
        Ok(Self(text.parse().or_raise()?))
    }

    /// Process id, in its own namespace.
    #[getter]
    fn process(&self) -> u32 {
        self.0.process()
    }

    /// Effective user id.
    #[getter]
    fn user(&self) -> u32 {
        self.0.user()
    }

    /// Rank in an MPI job.
    #[getter]
    fn rank(&self) -> Option<u32> {
        self.0.rank()
    }

    /// Host name.
    #[getter]
    fn host(&self) -> String {
        self.0.host()
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("lava.Location('{}')", self.0)
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.to_string().hash(&mut hasher);
        hasher.finish()
    }

    fn __getnewargs__(&self) -> (String,) {
        (self.0.to_string(),)
    }
}

/// Whether two processes can share memory, and why.
#[pyclass(frozen, get_all, module = "lava")]
pub(crate) struct ScopeReport {
    /// `local` or `remote`.
    scope: String,
    /// The evidence that decided.
    decided_by: Option<String>,
    /// Evidence for one host.
    agrees: Vec<String>,
    /// Evidence against it.
    differs: Vec<String>,
    /// The decision and each piece of evidence in words.
    text: String,
}

impl ScopeReport {
    pub(crate) fn new(report: &lava::ScopeReport) -> Self {
        let word = |evidence: lava::Evidence| context_word(&format!("{evidence:?}"));
        Self {
            scope: context_word(&format!("{:?}", report.scope())),
            decided_by: report.decided_by().map(word),
            agrees: report.agrees().map(word).collect(),
            differs: report.differs().map(word).collect(),
            text: report.to_string(),
        }
    }
}

#[pymethods]
impl ScopeReport {
    fn __repr__(&self) -> String {
        format!("<lava.ScopeReport, {}>", self.scope)
    }
}

/// `BootId` becomes `boot_id`.
fn context_word(name: &str) -> String {
    let mut word = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.extend(letter.to_lowercase());
    }
    word
}
