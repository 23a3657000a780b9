//! The text form of a location: one line of ASCII without spaces,
//! `lava1;host=…;boot=…;process=…;user=…;rank=…;context=…;pidns=…;mntns=…;ipcns=…;dir=…:…`.
//! A reader ignores keys that it does not know, so that later versions can add some; all of the above must be there, so
//! that a cut text is noticed.

use std::fmt::{self, Display, Write as _};

use super::location::Location;
use crate::error::{Error, Result};
use crate::os::host::parse_uuid;
use crate::types::LAVA_LOCATION_HOST_SIZE;

const VERSION: &str = "lava1";

/// A percent-encoded host name of up to this many bytes is written so; a longer one as hexadecimal digits, which bounds
/// the whole text by `LAVA_LOCATION_TEXT_SIZE`.
const PERCENT_MAX: usize = 2 * (LAVA_LOCATION_HOST_SIZE - 1);

impl Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = percent_encoded(&self.host);
        write!(f, "{VERSION};")?;
        if encoded.len() <= PERCENT_MAX {
            write!(f, "host={encoded}")?;
        } else {
            f.write_str("hosthex=")?;
            self.host.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        let (process, user, rank) = (self.process, self.user, self.rank);
        let (pid, mount, ipc) = (self.pid_namespace, self.mount_namespace, self.ipc_namespace);
        write!(f, ";boot={}", uuid_text(&self.boot_id))?;
        write!(f, ";process={process};user={user};rank={rank};context={:x}", self.context)?;
        write!(f, ";pidns={pid};mntns={mount};ipcns={ipc}")?;
        write!(f, ";dir={:x}:{}", self.runtime_device, self.runtime_inode)
    }
}

/// Text in which everything but visible ASCII, and the characters with a meaning here, is `%XX`.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b';' | b'=' | b'%') {
            encoded.push(byte.into());
        } else {
            let _ = write!(encoded, "%{byte:02x}");
        }
    }
    encoded
}

/// The 8-4-4-4-12 form.
pub(super) fn uuid_text(uuid: &[u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(*uuid));
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

impl Location {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parts = text.split(';');
        if parts.next() != Some(VERSION) {
            return Err(wrong(format!("it does not begin with \"{VERSION};\"")));
        }
        let mut found = Parts::default();
        for part in parts {
            let (key, value) = part.split_once('=').ok_or_else(|| {
                wrong(format!("the part {part:.40?} is not of the form key=value"))
            })?;
            found
                .set(key, value)
                .map_err(|reason| wrong(format!("{key:.20}={value:.80}: {reason}")))?;
        }
        found.into_location()
    }
}

fn wrong(reason: impl Display) -> Error {
    Error::argument(format!("not a location: {reason}"))
}

type PartResult<T> = std::result::Result<T, String>;

/// The parts read so far.
#[derive(Default)]
struct Parts {
    host: Option<String>,
    boot_id: Option<[u8; 16]>,
    process: Option<u32>,
    user: Option<u32>,
    rank: Option<i32>,
    context: Option<u64>,
    pid_namespace: Option<u64>,
    mount_namespace: Option<u64>,
    ipc_namespace: Option<u64>,
    directory: Option<(u64, u64)>,
}

impl Parts {
    fn set(&mut self, key: &str, value: &str) -> PartResult<()> {
        match key {
            "host" => once(&mut self.host, host(percent_decoded(value)?)?),
            "hosthex" => once(&mut self.host, host(hex_bytes(value)?)?),
            "boot" => once(&mut self.boot_id, parse_uuid(value).ok_or("not a UUID")?),
            "process" => once(&mut self.process, number(value)?),
            "user" => once(&mut self.user, number(value)?),
            "rank" => once(&mut self.rank, rank(value)?),
            "context" => once(&mut self.context, hexadecimal(value)?),
            "pidns" => once(&mut self.pid_namespace, number(value)?),
            "mntns" => once(&mut self.mount_namespace, number(value)?),
            "ipcns" => once(&mut self.ipc_namespace, number(value)?),
            "dir" => {
                let (device, inode) =
                    value.split_once(':').ok_or("not of the form device:inode")?;
                once(&mut self.directory, (hexadecimal(device)?, number(inode)?))
            }
            _ => Ok(()),
        }
    }

    fn into_location(self) -> Result<Location> {
        let directory = needed(self.directory, "dir")?;
        Ok(Location {
            process: needed(self.process, "process")?,
            user: needed(self.user, "user")?,
            rank: needed(self.rank, "rank")?,
            context: needed(self.context, "context")?,
            pid_namespace: needed(self.pid_namespace, "pidns")?,
            mount_namespace: needed(self.mount_namespace, "mntns")?,
            ipc_namespace: needed(self.ipc_namespace, "ipcns")?,
            runtime_device: directory.0,
            runtime_inode: directory.1,
            boot_id: needed(self.boot_id, "boot")?,
            host: needed(self.host, "host")?,
        })
    }
}

fn needed<T>(part: Option<T>, key: &str) -> Result<T> {
    part.ok_or_else(|| wrong(format!("the part {key}= is missing; is the text cut?")))
}

fn once<T>(place: &mut Option<T>, value: T) -> PartResult<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err("given twice".into()),
    }
}

/// Digits only: `parse` alone would take a sign too.
fn digits(text: &str, allowed: impl Fn(u8) -> bool) -> PartResult<&str> {
    let right = !text.is_empty() && text.bytes().all(allowed);
    right.then_some(text).ok_or_else(|| "not a number".into())
}

fn number<T: std::str::FromStr>(text: &str) -> PartResult<T> {
    digits(text, |byte| byte.is_ascii_digit())?
        .parse()
        .map_err(|_| "the number is too large".into())
}

fn hexadecimal(text: &str) -> PartResult<u64> {
    let digits = digits(text, |byte| byte.is_ascii_hexdigit())?;
    u64::from_str_radix(digits, 16).map_err(|_| "the number is too large".into())
}

fn rank(text: &str) -> PartResult<i32> {
    if text == "-1" { Ok(-1) } else { number(text) }
}

fn hex_byte(pair: &[u8]) -> PartResult<u8> {
    let digits = std::str::from_utf8(pair).ok().filter(|digits| digits.len() == 2);
    let value = digits.and_then(|digits| hexadecimal(digits).ok());
    value
        .and_then(|value| u8::try_from(value).ok())
        .ok_or_else(|| "not two hexadecimal digits".into())
}

fn hex_bytes(text: &str) -> PartResult<Vec<u8>> {
    text.as_bytes().chunks(2).map(hex_byte).collect()
}

fn percent_decoded(text: &str) -> PartResult<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            bytes.push(hex_byte(tail.get(..2).ok_or("a % without two digits")?)?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    Ok(bytes)
}

fn host(bytes: Vec<u8>) -> PartResult<String> {
    if bytes.len() >= LAVA_LOCATION_HOST_SIZE {
        let most = LAVA_LOCATION_HOST_SIZE - 1;
        return Err(format!("the name has {} bytes; at most {most} are allowed", bytes.len()));
    }
    if bytes.contains(&0) {
        return Err("the name has a NUL".into());
    }
    String::from_utf8(bytes).map_err(|_| "the name is not UTF-8".into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::LAVA_LOCATION_TEXT_SIZE;

    prop_compose! {
        fn any_location()(
            numbers in any::<(u32, u32, u64)>(),
            rank in -1..i32::MAX,
            namespaces in any::<(u64, u64, u64)>(),
            directory in any::<(u64, u64)>(),
            boot_id in any::<[u8; 16]>(),
            host in "[^\\x00]{0,63}",
        ) -> Location {
            let mut host: String = host;
            host.truncate(host.floor_char_boundary(LAVA_LOCATION_HOST_SIZE - 1));
            Location {
                process: numbers.0, user: numbers.1, rank, context: numbers.2,
                pid_namespace: namespaces.0, mount_namespace: namespaces.1, ipc_namespace: namespaces.2,
                runtime_device: directory.0, runtime_inode: directory.1, boot_id, host,
            }
        }
    }

    proptest! {
        #[test]
        fn every_location_survives_its_text(location in any_location()) {
            let text = location.to_string();
            prop_assert!(text.len() < LAVA_LOCATION_TEXT_SIZE);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(Location::parse(&text).unwrap(), location.clone());
            prop_assert_eq!(Location::from_raw(&location.to_raw()).unwrap(), location);
        }

        #[test]
        fn garbage_is_refused_with_words(text in any::<String>()) {
            let error = Location::parse(&text).unwrap_err();
            prop_assert!(error.message.starts_with("not a location: "));
        }

        #[test]
        fn a_damaged_text_never_panics(location in any_location(), at in any::<prop::sample::Index>(), with in any::<char>()) {
            let mut text: Vec<char> = location.to_string().chars().collect();
            let at = at.index(text.len());
            text[at] = with;
            let damaged: String = text.into_iter().collect();
            if let Ok(read) = Location::parse(&damaged) {
                prop_assert_eq!(Location::parse(&read.to_string()).unwrap(), read);
            }
        }

        #[test]
        fn a_cut_text_is_another_location_or_an_error(location in any_location(), at in any::<prop::sample::Index>()) {
            let text = location.to_string();
            let cut = &text[..at.index(text.len())];
            prop_assert!(Location::parse(cut).map_or(true, |read| read != location));
        }
    }

    fn largest() -> Location {
        Location {
            process: u32::MAX,
            user: u32::MAX,
            rank: i32::MAX,
            context: u64::MAX,
            pid_namespace: u64::MAX,
            mount_namespace: u64::MAX,
            ipc_namespace: u64::MAX,
            runtime_device: u64::MAX,
            runtime_inode: u64::MAX,
            boot_id: [0xff; 16],
            host: "ü".repeat(31) + ";",
        }
    }

    #[test]
    fn the_longest_text_fits() {
        let text = largest().to_string();
        assert!(
            text.contains("hosthex=") && text.len() < LAVA_LOCATION_TEXT_SIZE,
            "{}",
            text.len()
        );
        assert_eq!(Location::parse(&text).unwrap(), largest());
    }

    #[test]
    fn errors_name_the_part() {
        let good = Location { host: "node7".into(), ..largest() }.to_string();
        for (from, to, named) in [
            ("lava1;", "lava2;", "lava1"),
            ("host=node7", "host=%4", "host=%4"),
            ("host=node7", "host=%00", "NUL"),
            ("process=", "process=+", "process=+"),
            ("user=4294967295", "user=4294967296", "user="),
            ("rank=", "rank=-", "rank=-"),
            ("boot=f", "boot=g", "UUID"),
            ("dir=", "dir=z", "dir=z"),
            (";pidns=18446744073709551615", "", "pidns="),
            (";user", ";user=1;user", "twice"),
            (";user", ";spot;user", "spot"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            let error = Location::parse(&bad).unwrap_err();
            assert!(error.message.contains(named), "{bad}: {error}");
            assert_eq!(error.status, crate::types::LAVA_ERROR_INVALID_ARGUMENT);
        }
    }

    #[test]
    fn unknown_keys_are_ignored() {
        let text = largest().to_string();
        assert_eq!(Location::parse(&format!("{text};gpu=none")).unwrap(), largest());
    }
}
