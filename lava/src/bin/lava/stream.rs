//! How `lava send` cuts a stream of bytes into frames, so that `lava recv` can tell whether it has all of it: one
//! BEGIN frame, data frames of any sizes, one END frame. A frame's tag says which it is.

use crate::checksum::{Checker, Checksum};

/// Tag of the first frame; its payload is the length in 8 bytes, little-endian, or [`UNKNOWN_LENGTH`].
pub const BEGIN: u64 = u64::from_le_bytes(*b"lavabeg1");
/// Tag of a frame of data.
pub const DATA: u64 = u64::from_le_bytes(*b"lavadat1");
/// Tag of the last frame; its payload is the number of bytes and their checksum, 8 bytes each, little-endian.
pub const END: u64 = u64::from_le_bytes(*b"lavaend1");

/// The length of a pipe.
pub const UNKNOWN_LENGTH: u64 = u64::MAX;

/// The payload of the BEGIN frame.
pub fn begin(length: Option<u64>) -> [u8; 8] {
    length.unwrap_or(UNKNOWN_LENGTH).to_le_bytes()
}

/// The payload of the END frame.
pub fn end(sent: &Checker) -> [u8; 16] {
    let mut payload = [0; 16];
    payload[..8].copy_from_slice(&sent.bytes().to_le_bytes());
    payload[8..].copy_from_slice(&sent.checksum().0.to_le_bytes());
    payload
}

/// What a receiver does with a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The stream begins; its length, if the sender knows it.
    Begin(Option<u64>),
    /// Write this many bytes of data.
    Data(usize),
    /// All is there and verified.
    Complete,
}

/// The receiver's place in the stream.
#[derive(Clone, Default)]
pub struct Progress {
    begun: bool,
    /// What has arrived.
    pub received: Checker,
}

impl Progress {
    /// Takes the next frame; the error says why the stream cannot be complete.
    pub fn take(&mut self, tag: u64, payload: &[u8]) -> Result<Step, String> {
        match tag {
            BEGIN if !self.begun => {
                self.begun = true;
                let length = u64::from_le_bytes(exactly(payload)?);
                Ok(Step::Begin((length != UNKNOWN_LENGTH).then_some(length)))
            }
            DATA | END if !self.begun => {
                Err("joined after the beginning: start receivers before the sender, or tell it \
                     `--receivers N`"
                    .to_owned())
            }
            DATA => {
                self.received.add(payload);
                Ok(Step::Data(payload.len()))
            }
            END => self.finish(exactly(payload)?),
            _ => Err(format!("frame with the tag {tag:#x}: this channel is not of `lava send`")),
        }
    }

    fn finish(&self, payload: [u8; 16]) -> Result<Step, String> {
        let number = |range| exactly(&payload[range]).map(u64::from_le_bytes);
        let (bytes, checksum) = (number(0..8)?, Checksum(number(8..16)?));
        if bytes != self.received.bytes() {
            return Err(format!("{} of {bytes} bytes arrived", self.received.bytes()));
        }
        let own = self.received.checksum();
        if checksum != own {
            return Err(format!("the checksum is {own} and should be {checksum}"));
        }
        Ok(Step::Complete)
    }
}

fn exactly<const SIZE: usize>(payload: &[u8]) -> Result<[u8; SIZE], String> {
    payload
        .try_into()
        .map_err(|_| format!("a control frame of {} bytes instead of {SIZE}", payload.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(data: &[u8]) -> Checker {
        let mut sent = Checker::default();
        sent.add(data);
        sent
    }

    #[test]
    fn a_whole_stream_is_complete() {
        let mut progress = Progress::default();
        assert_eq!(progress.take(BEGIN, &begin(Some(5))), Ok(Step::Begin(Some(5))));
        assert_eq!(progress.take(DATA, b"he"), Ok(Step::Data(2)));
        assert_eq!(progress.take(DATA, b"llo"), Ok(Step::Data(3)));
        assert_eq!(progress.take(END, &end(&sent(b"hello"))), Ok(Step::Complete));
    }

    #[test]
    fn an_empty_stream_of_a_pipe_is_complete() {
        let mut progress = Progress::default();
        assert_eq!(progress.take(BEGIN, &begin(None)), Ok(Step::Begin(None)));
        assert_eq!(progress.take(END, &end(&sent(b""))), Ok(Step::Complete));
    }

    #[test]
    fn missing_changed_and_foreign_frames_are_found() {
        let mut progress = Progress::default();
        assert!(progress.clone().take(DATA, b"late").is_err());
        assert!(progress.clone().take(0, b"").is_err());
        progress.take(BEGIN, &begin(None)).expect("begin");
        assert!(progress.clone().take(BEGIN, &begin(None)).is_err());
        progress.take(DATA, b"hellO").expect("data");
        let lost = progress.clone().take(END, &end(&sent(b"hello!"))).expect_err("lost");
        assert_eq!(lost, "5 of 6 bytes arrived");
        assert!(
            progress
                .clone()
                .take(END, &end(&sent(b"hello")))
                .expect_err("changed")
                .contains("checksum")
        );
        assert!(progress.take(END, b"short").is_err());
    }
}
