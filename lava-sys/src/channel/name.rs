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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_survive_their_file(text in "[a-zA-Z0-9][a-zA-Z0-9._-]{0,9}(/[a-zA-Z0-9][a-zA-Z0-9._-]{0,9}){0,3}") {
            let name = Name::new(&text).unwrap();
            prop_assert_eq!(name.as_str(), &text);
            prop_assert!(!name.file().contains('/'));
            prop_assert_eq!(Name::from_file(&name.file()), Some(name));
        }

        #[test]
        fn any_text_is_refused_or_safe_as_a_file_name(text in "\\PC{0,70}|[a./+\\x00-]{0,70}") {
            match Name::new(&text) {
                Ok(name) => {
                    let file = name.file();
                    let plain = |c: char| c.is_ascii_alphanumeric() || ".+_-".contains(c);
                    prop_assert!((1..=LAVA_NAME_MAX).contains(&file.len()));
                    prop_assert!(file.chars().all(plain) && !file.starts_with('.'));
                }
                Err(error) => {
                    prop_assert_eq!(error.status, crate::types::LAVA_ERROR_INVALID_ARGUMENT);
                    prop_assert_eq!(error.value, text.len() as u64);
                }
            }
            Name::from_file(&text);
        }

        #[test]
        fn different_names_have_different_files(a in "[ab./_-]{1,6}", b in "[ab./_-]{1,6}") {
            if let (Ok(a), Ok(b)) = (Name::new(&a), Name::new(&b)) {
                prop_assert_eq!(a == b, a.file() == b.file());
            }
        }
    }

    #[test]
    fn wrong_names_say_why() {
        for (text, words) in [
            ("", "has 0 bytes"),
            (&"x".repeat(LAVA_NAME_MAX + 1), "has 65 bytes"),
            ("a b", "has the character ' '"),
            ("a+b", "has the character '+'"),
            ("a\nb", "has the character '\\n'"),
            ("naïve", "has the character 'ï'"),
            ("../a", "does not begin with a letter or digit"),
            ("a//b", "does not begin with a letter or digit"),
            ("a/", "does not begin with a letter or digit"),
            (".", "does not begin with a letter or digit"),
        ] {
            let error = Name::new(text).unwrap_err();
            assert!(error.message.contains(words), "{error}");
        }
        assert!(Name::new(&"x".repeat(LAVA_NAME_MAX)).is_ok());
        assert_eq!(Name::from_file("a/b"), None);
    }
}
