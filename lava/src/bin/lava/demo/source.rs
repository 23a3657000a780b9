//! What the demo streams: a real file, repeated up to a size.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::checksum::{Checker, Checksum};
use crate::failure::{Doing, Failure};
use crate::interrupt;

/// The file, over and over.
#[derive(Debug)]
pub struct Source {
    file: File,
    path: PathBuf,
    length: u64,
    /// Bytes of the stream.
    pub size: u64,
}

/// The demo's stream when no file is named.
const DEFAULT_SIZE: u64 = 1 << 30;

impl Source {
    /// `path`, once; or this executable, repeated to 1 GiB; or either repeated or cut to `size`.
    pub fn open(path: Option<&Path>, size: Option<u64>) -> Result<Self, Failure> {
        let own = std::env::current_exe();
        let (path, shown) = match path {
            Some(path) => (path, path.to_owned()),
            None => (Path::new("/proc/self/exe"), own.unwrap_or_else(|_| "lava".into())),
        };
        let file = File::open(path).doing(format_args!("opening {}", shown.display()))?;
        let metadata = file.metadata().doing(format_args!("looking at {}", shown.display()))?;
        if !metadata.is_file() || metadata.len() == 0 {
            let what = if metadata.is_file() { "is empty" } else { "is not a regular file" };
            return Err(Failure::Failed(format!(
                "{} {what}; name a file with content to repeat",
                shown.display()
            )));
        }
        let length = metadata.len();
        let default = if path == Path::new("/proc/self/exe") { DEFAULT_SIZE } else { length };
        Ok(Source { file, path: shown, length, size: size.unwrap_or(default) })
    }

    /// The file's name for people.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the bytes of the stream at `position`; the range lies within the stream.
    pub fn read(&self, position: u64, mut target: &mut [u8]) -> Result<(), Failure> {
        let mut offset = position % self.length;
        while !target.is_empty() {
            let wanted = target.len().min((self.length - offset) as usize);
            let (part, rest) = target.split_at_mut(wanted);
            self.file
                .read_exact_at(part, offset)
                .doing(format_args!("reading {}", self.path.display()))?;
            (target, offset) = (rest, 0);
        }
        Ok(())
    }

    /// The checksum of the whole stream, read apart from the frames, so that damage on their way shows.
    pub fn checksum(&self, mut progress: impl FnMut(u64)) -> Result<Checksum, Failure> {
        let mut checker = Checker::default();
        let mut piece = vec![0; 1 << 20];
        while checker.bytes() < self.size {
            interrupt::check()?;
            let length = piece.len().min((self.size - checker.bytes()) as usize);
            self.read(checker.bytes(), &mut piece[..length])?;
            checker.add(&piece[..length]);
            progress(checker.bytes());
        }
        Ok(checker.checksum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_file_is_repeated() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("abc");
        std::fs::write(&path, b"abc").expect("file");
        let source = Source::open(Some(&path), Some(8)).expect("source");
        let mut bytes = [0; 7];
        source.read(1, &mut bytes).expect("bytes");
        assert_eq!(&bytes, b"bcabcab");
        let mut whole = Checker::default();
        whole.add(b"abcabcab");
        assert_eq!(source.checksum(|_| ()).expect("checksum"), whole.checksum());
        assert_eq!(Source::open(Some(&path), None).expect("source").size, 3);
    }

    #[test]
    fn what_cannot_be_repeated_is_refused() {
        let directory = tempfile::tempdir().expect("directory");
        std::fs::write(directory.path().join("empty"), b"").expect("file");
        for name in ["empty", ".", "absent"] {
            assert!(Source::open(Some(&directory.path().join(name)), None).is_err(), "{name}");
        }
    }
}
