//! Numbers of bytes for people.

use std::fmt;

/// Shows bytes in the largest binary unit that is exact, or with one decimal.
pub(super) struct Bytes(pub(super) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let unit = (self.0.checked_ilog2().unwrap_or(0) / 10) as usize;
        let one = 1_u64 << (10 * unit);
        if self.0.is_multiple_of(one) {
            return write!(f, "{} {}", self.0 / one, UNITS[unit]);
        }
        let tenths = (u128::from(self.0 % one) * 10) / u128::from(one);
        write!(f, "{}.{tenths} {}", self.0 / one, UNITS[unit])
    }
}

/// `text`, cut at a character's end so that it has at most `limit` bytes; a cut is shown by dots.
pub(super) fn cut(text: &str, limit: usize) -> String {
    const DOTS: &str = "...";
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(limit.saturating_sub(DOTS.len()));
    format!("{}{DOTS}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_readable() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (64 << 20, "64 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("too long", 6), "too...");
        assert_eq!(cut("aüüüü", 6), "aü...");
    }
}
