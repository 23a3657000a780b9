//! The running kernel and who this process is on it.

/// The kernel's boot id: random, new at each boot, the same in every container of the host; zero if /proc does not tell.
pub fn boot_id() -> [u8; 16] {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .ok()
        .and_then(|text| parse_uuid(text.trim()))
        .unwrap_or_default()
}

/// Reads a UUID in its text form.
pub fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let dashes_right = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| {
            if matches!(at, 8 | 13 | 18 | 23) { byte == b'-' } else { byte.is_ascii_hexdigit() }
        });
    if !dashes_right {
        return None;
    }
    let number = u128::from_str_radix(&text.replace('-', ""), 16).ok()?;
    Some(number.to_be_bytes())
}

/// The host name; what is not UTF-8 in it is replaced.
pub fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// This process's id in its own PID namespace.
pub fn process_id() -> u32 {
    std::process::id()
}

/// The effective user.
pub fn user_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_read_strictly() {
        let uuid = parse_uuid("29fd39cf-58a7-434d-9d75-164955722b95").expect("a UUID");
        assert_eq!((uuid[0], uuid[15]), (0x29, 0x95));
        for wrong in
            ["", "29fd39cf58a7434d9d75164955722b95", "29fd39cf-58a7-434d-9d75-16495572+b95"]
        {
            assert_eq!(parse_uuid(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_boot_id_is_known_and_stays() {
        assert_ne!(boot_id(), [0; 16]);
        assert_eq!(boot_id(), boot_id());
    }
}
