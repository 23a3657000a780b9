//! Socket files: claiming a name, giving it back, removing what the dead left.
//!
//! A name belongs to whoever listens behind its socket file. A file behind which nobody listens is stale. Files are
//! made and removed under the directory's lock only, so a stale one is never taken for one that is just being made.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::name::Name;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::os::directory::{Directory, FileId, Lock};
use crate::os::socket::{self, Connected};
use crate::types::LAVA_ERROR_ALREADY_EXISTS;

/// A socket file of this process, with the listener behind it. Dropping it removes the file.
#[derive(Debug)]
pub struct Claim {
    directory: Arc<Directory>,
    file: String,
    id: Option<FileId>,
    /// Set in a forked child, where the file is the parent's.
    abandoned: bool,
}

/// Makes the socket file and listens. A stale file of the same name is replaced.
pub fn claim(directory: &Arc<Directory>, file: &str) -> Result<(Claim, OwnedFd)> {
    let lock = directory.lock()?;
    if directory.socket_id(file)?.is_some() {
        match socket::connect(directory.as_fd(), file)? {
            Connected::Absent => {}
            Connected::Stale => directory.remove(file)?,
            Connected::Yes(_) | Connected::Busy => {
                return Err(Error::new(
                    LAVA_ERROR_ALREADY_EXISTS,
                    format!(
                        "a live producer has the name '{}' in {}; choose another name, or end it (`lava ls` shows \
                         its process)",
                        file.replace('+', "/"),
                        directory.path()
                    ),
                ));
            }
        }
    }
    let listener = socket::listen(directory.as_fd(), file)?;
    let id = directory.socket_id(file)?;
    drop(lock);
    Ok((
        Claim { directory: Arc::clone(directory), file: file.to_owned(), id, abandoned: false },
        listener,
    ))
}

impl Claim {
    /// Leaves the file alone: it is the parent's.
    pub fn abandon(&mut self) {
        self.abandoned = true;
    }

    pub fn path(&self) -> String {
        format!("{}/{}", self.directory.path(), self.file)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.abandoned {
            return;
        }
        let Ok(_lock) = self.directory.lock() else { return };
        // Somebody may have removed the file and taken the name.
        if self.id.is_some() && self.directory.socket_id(&self.file).ok().flatten() == self.id {
            let _ = self.directory.remove(&self.file);
        }
    }
}

/// Removes the socket file of a channel whose producer died, if nobody listens behind it. Not for the service thread: a
/// file system on a busy disk lets its caller wait. Not even this waits for a process that has the directory's lock: a
/// file that stays is removed by a later sweep.
pub fn remove_if_stale(directory: &Directory, name: &Name, log: &Log) {
    let removed = directory.try_lock().and_then(|lock| match lock {
        Some(lock) => remove_locked(directory, &name.file(), &lock),
        None => Ok(false),
    });
    match removed {
        Ok(true) => {
            log.info(|| format!("channel {name}: removed the socket file of its dead producer"))
        }
        Ok(false) => {}
        Err(error) => log.debug(|| format!("channel {name}: {error}")),
    }
}

fn remove_locked(directory: &Directory, file: &str, _lock: &Lock) -> Result<bool> {
    if directory.socket_id(file)?.is_none() {
        return Ok(false);
    }
    match socket::connect(directory.as_fd(), file)? {
        Connected::Stale => directory.remove(file).map(|()| true),
        _ => Ok(false),
    }
}

/// Removes every stale socket file.
pub fn sweep(directory: &Directory, log: &Log) {
    for file in directory.sockets().unwrap_or_default() {
        let lock = match directory.lock() {
            Ok(lock) => lock,
            Err(error) => return log.debug(|| format!("looking for stale socket files: {error}")),
        };
        match remove_locked(directory, &file, &lock) {
            Ok(true) => {
                log.info(|| format!("removed the socket file {file}, which a dead process left"))
            }
            Ok(false) => {}
            Err(error) => log.debug(|| format!("looking at the socket file {file}: {error}")),
        }
    }
}

/// Names of the channels that have a socket file, live or stale.
pub fn channels(directory: &Directory) -> Result<Vec<String>> {
    let files = directory.sockets()?;
    Ok(files
        .iter()
        .filter_map(|file| Name::from_file(file))
        .map(|name| name.as_str().to_owned())
        .collect())
}
