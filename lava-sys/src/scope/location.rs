//! Who and where a process is.

use crate::error::{Error, Result};
use crate::os::{host, namespace};
use crate::types::*;

/// Who and where a process is. A field that is unknown is 0 (`rank`: -1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Process id in its own PID namespace.
    pub process: u32,
    /// Effective user id.
    pub user: u32,
    /// Rank in the MPI job, or -1.
    pub rank: i32,
    /// Identity of the context in that process: random, never 0.
    pub context: u64,
    pub pid_namespace: u64,
    pub mount_namespace: u64,
    pub ipc_namespace: u64,
    /// Device number and inode of the runtime directory.
    pub runtime_device: u64,
    pub runtime_inode: u64,
    pub boot_id: [u8; 16],
    /// At most `LAVA_LOCATION_HOST_SIZE - 1` bytes, without NUL.
    pub host: String,
}

impl Location {
    /// This process, for the context `context` with the runtime directory of this device number and inode.
    pub fn current(runtime_device: u64, runtime_inode: u64, context: u64) -> Self {
        let mut host = host::name().replace('\0', "");
        host.truncate(host.floor_char_boundary(LAVA_LOCATION_HOST_SIZE - 1));
        Self {
            process: host::process_id(),
            user: host::user_id(),
            rank: -1,
            context,
            pid_namespace: namespace::inode(namespace::Namespace::Pid),
            mount_namespace: namespace::inode(namespace::Namespace::Mount),
            ipc_namespace: namespace::inode(namespace::Namespace::Ipc),
            runtime_device,
            runtime_inode,
            boot_id: host::boot_id(),
            host,
        }
    }

    /// The form of the C ABI.
    pub fn to_raw(&self) -> lava_location {
        let mut host = [0; LAVA_LOCATION_HOST_SIZE];
        for (to, from) in host[..LAVA_LOCATION_HOST_SIZE - 1].iter_mut().zip(self.host.bytes()) {
            *to = from.cast_signed() as core::ffi::c_char;
        }
        lava_location {
            struct_size: size_of::<lava_location>() as u32,
            process: self.process,
            user: self.user,
            rank: self.rank,
            context: self.context,
            pid_namespace: self.pid_namespace,
            mount_namespace: self.mount_namespace,
            ipc_namespace: self.ipc_namespace,
            runtime_device: self.runtime_device,
            runtime_inode: self.runtime_inode,
            boot_id: self.boot_id,
            host,
        }
    }

    /// Reads the form of the C ABI: the host name must end within its field and be UTF-8.
    pub fn from_raw(raw: &lava_location) -> Result<Self> {
        let bytes: Vec<u8> =
            raw.host.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8).collect();
        if bytes.len() == LAVA_LOCATION_HOST_SIZE {
            return Err(Error::argument(format!(
                "lava_location.host has no NUL in its {LAVA_LOCATION_HOST_SIZE} bytes"
            )));
        }
        let host = String::from_utf8(bytes)
            .map_err(|_| Error::argument("lava_location.host is not UTF-8"))?;
        if raw.rank < -1 {
            return Err(Error::argument(format!(
                "lava_location.rank is {}; unknown is -1",
                raw.rank
            )));
        }
        Ok(Self {
            process: raw.process,
            user: raw.user,
            rank: raw.rank,
            context: raw.context,
            pid_namespace: raw.pid_namespace,
            mount_namespace: raw.mount_namespace,
            ipc_namespace: raw.ipc_namespace,
            runtime_device: raw.runtime_device,
            runtime_inode: raw.runtime_inode,
            boot_id: raw.boot_id,
            host,
        })
    }

    /// Whether the boot id is known.
    pub fn has_boot_id(&self) -> bool {
        self.boot_id != [0; 16]
    }

    /// Whether both are known to run, or not to run, on one kernel; `None` if a boot id is unknown.
    pub fn same_kernel(&self, other: &Self) -> Option<bool> {
        (self.has_boot_id() && other.has_boot_id()).then(|| self.boot_id == other.boot_id)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_current_location_survives_the_c_form() {
        let here = Location::current(7, 8, 9);
        assert_eq!(here.process, std::process::id());
        assert_eq!((here.runtime_device, here.runtime_inode, here.context), (7, 8, 9));
        assert_eq!(Location::from_raw(&here.to_raw()).unwrap(), here);
        assert_eq!(here.same_kernel(&here), Some(true));
    }

    #[test]
    fn a_host_without_end_is_refused() {
        let mut raw = Location::current(7, 8, 9).to_raw();
        raw.host = [b'x' as core::ffi::c_char; LAVA_LOCATION_HOST_SIZE];
        assert_eq!(Location::from_raw(&raw).unwrap_err().status, LAVA_ERROR_INVALID_ARGUMENT);
        raw.host[0] = 0xff_u8.cast_signed() as core::ffi::c_char;
        raw.host[1] = 0;
        assert!(Location::from_raw(&raw).unwrap_err().message.contains("UTF-8"));
    }
}
