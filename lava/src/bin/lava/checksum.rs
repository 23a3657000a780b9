//! The checksum of a stream of bytes: XXH3, which is faster than the memory it reads.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3Default;

/// A checksum, written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Checksum(pub u64);

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> Self {
        checksum.to_string()
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl TryFrom<String> for Checksum {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        u64::from_str_radix(&text, 16)
            .map(Checksum)
            .map_err(|error| format!("checksum `{text}`: {error}"))
    }
}

/// Takes in bytes and tells their number and checksum.
#[derive(Clone, Default)]
pub struct Checker {
    hash: Xxh3Default,
    bytes: u64,
}

impl Checker {
    /// Adds `data` to the end.
    pub fn add(&mut self, data: &[u8]) {
        self.hash.update(data);
        self.bytes += data.len() as u64;
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The checksum of the bytes so far.
    pub fn checksum(&self) -> Checksum {
        Checksum(self.hash.digest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_depends_on_the_bytes_and_not_on_the_pieces() {
        let data: Vec<u8> = (0..10_000_u32).map(|number| (number * 7) as u8).collect();
        let mut whole = Checker::default();
        whole.add(&data);
        let mut pieces = Checker::default();
        data.chunks(41).for_each(|piece| pieces.add(piece));
        assert_eq!((whole.checksum(), whole.bytes()), (pieces.checksum(), 10_000));
        let mut changed = data.clone();
        changed[9_999] ^= 1;
        let mut other = Checker::default();
        other.add(&changed);
        assert_ne!(other.checksum(), whole.checksum());
    }

    #[test]
    fn a_checksum_survives_json() {
        let text = serde_json::to_string(&Checksum(0xab)).expect("JSON");
        assert_eq!(text, "\"00000000000000ab\"");
        assert_eq!(serde_json::from_str::<Checksum>(&text).expect("JSON"), Checksum(0xab));
    }
}
