//! Names of channels, and the socket files that stand for them.

use crate::error::{Error, Result};
use crate::types::LAVA_NAME_MAX;

/// A channel name that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(String);

impl Name {
    /// Letters, digits, `.`, `_`, `-`, and `/` between parts; each part begins with a letter or digit.
    pub fn new(text: &str) -> Result<Self> {
        let fail = |what: String| {
            Err(Error::argument(format!(
                "the channel name '{}' {what}; allowed are 1 to {LAVA_NAME_MAX} letters, digits, '.', '_', '-', and \
                 '/' between parts that begin with a letter or digit",
                text.escape_debug()
            ))
            .with_value(text.len() as u64))
        };
        if text.is_empty() || text.len() > LAVA_NAME_MAX {
            return fail(format!("has {} bytes", text.len()));
        }
        if let Some(wrong) = text
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/')))
        {
            return fail(format!("has the character '{}'", wrong.escape_debug()));
        }
        if text.split('/').any(|part| !part.starts_with(|c: char| c.is_ascii_alphanumeric())) {
            return fail("has a part that does not begin with a letter or digit".into());
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Name of its socket file: `/` becomes `+`, which no name has.
    pub fn file(&self) -> String {
        self.0.replace('/', "+")
    }

    /// The channel whose socket file this is; None for other files.
    pub fn from_file(file: &str) -> Option<Self> {
        if file.contains('/') { None } else { Self::new(&file.replace('+', "/")).ok() }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
